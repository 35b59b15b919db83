"""The campaign of docs/trust.md that is over in two seconds; the others take minutes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.skipif(os.name != "posix", reason="processes are forked")
def test_of_two_imports_at_once_one_succeeds():
    command = [sys.executable, ROOT / "scripts" / "import_test.py", "--rounds", "8"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stdout.split()[-3:] == ["8", "of", "8"]
