"""The package: its metadata, the files in its wheel, and the `rankscope` command."""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from core import __version__

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = {"start", "build"} | {
    path.stem for path in (ROOT / "core").glob("[a-z]*.py") if "command_line.run(main)" in path.read_text("utf-8")
}


def rankscope(*arguments):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    for name in ("core", "dashboard"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "tests").mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE", "requirements.txt", "requirements-scale.txt"):
        shutil.copy(ROOT / name, folder)
    shutil.copy(ROOT / "tests" / "requirements.txt", folder / "tests")
    code = "from setuptools.build_meta import build_wheel; print(build_wheel('.'))"
    built = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True)
    with zipfile.ZipFile(folder / built.stdout.split()[-1]) as archive:
        yield archive


def metadata(wheel):
    name = next(name for name in wheel.namelist() if name.endswith("/METADATA"))
    return wheel.read(name).decode().partition("\n\n")[0].splitlines()


def test_the_version_is_one():
    citation = (ROOT / "CITATION.cff").read_text("utf-8")
    assert re.search(r"^version: (.*)$", citation, re.MULTILINE)[1] == __version__
    assert rankscope("-m", "core", "--version").stdout == f"RankScope {__version__}\n"


def test_the_package_states_version_licence_and_pinned_requirements(wheel):
    lines = metadata(wheel)
    assert f"Version: {__version__}" in lines
    assert "License-Expression: Apache-2.0" in lines
    pinned = re.findall(r"^([\w-]+)==", (ROOT / "requirements.txt").read_text("utf-8"), re.MULTILINE)
    required = [re.match(r"Requires-Dist: ([\w-]+)==", line) for line in lines if "extra ==" not in line]
    assert sorted(match[1] for match in required if match) == sorted(pinned)


def test_the_package_holds_every_module_and_data_file(wheel):
    files = {
        path.relative_to(ROOT).as_posix()
        for folder in ("core", "dashboard")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in (".py", ".toml", ".svg")
    }
    assert files <= set(wheel.namelist())


def test_the_package_has_the_command(wheel):
    name = next(name for name in wheel.namelist() if name.endswith("/entry_points.txt"))
    assert "rankscope = core.__main__:main" in wheel.read(name).decode()


def test_help_lists_every_command_with_a_line():
    listed = dict(re.findall(r"^  (\w+) {2,}(\S.*)$", rankscope("-m", "core", "--help").stdout, re.MULTILINE))
    assert listed.keys() - {"COMMAND"} == COMMANDS
    assert rankscope("-m", "core").stdout == rankscope("-m", "core", "--help").stdout


def test_a_command_is_that_of_python_m(tmp_path):
    (tmp_path / "some.run").write_text("1 Q0 a 1 2.0 x\n1 Q0 b 2 1.0 x\n")
    (tmp_path / "qrels").write_text("1 0 b 1\n")
    given = [str(tmp_path / "some.run"), "--qrels", str(tmp_path / "qrels"), "--measures", "RR"]
    ours, theirs = rankscope("-m", "core", "evaluate", *given), rankscope("-m", "core.evaluate", *given)
    assert ours.stdout == theirs.stdout == "some RR=0.5000\n"
    given[0] += ".none"
    ours, theirs = rankscope("-m", "core", "evaluate", *given), rankscope("-m", "core.evaluate", *given)
    assert (ours.returncode, ours.stderr) == (theirs.returncode, theirs.stderr)
    assert ours.returncode == 2


def test_an_unknown_command_is_refused():
    outcome = rankscope("-m", "core", "encod")
    assert outcome.returncode == 2
    assert "invalid choice: 'encod'" in outcome.stderr
