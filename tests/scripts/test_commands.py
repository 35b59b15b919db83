"""docs/commands.md is current, and says of each command all that its help says."""

import argparse
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from scripts.tables.commands import COMMON, TARGET, commands, parser_of, reference  # noqa: E402

SECTIONS = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", TARGET.read_text("utf-8"), re.MULTILINE | re.DOTALL))


def test_the_reference_is_current():
    assert TARGET.read_text("utf-8") == reference(), "write it again with python scripts/tables/commands.py"


@pytest.mark.parametrize("name", commands())
def test_a_section_has_every_option_of_the_commands_help(name):
    text = SECTIONS[name] + SECTIONS[COMMON] * (f"[{COMMON.lower()}]" in SECTIONS[name])
    parser = parser_of(commands()[name])
    subcommands = [a.choices.values() for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    helps = "".join(one.format_help() for one in [parser, *(one for group in subcommands for one in group)])
    options = re.findall(r"^  (--[\w-]+)", helps, re.MULTILINE)
    assert helps
    assert all(f"| `{option}" in text for option in options)
