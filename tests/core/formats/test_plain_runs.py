"""Fast reading of runs: whatever the file, what is read is what reading line by line reads."""

import gzip
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.formats import runs
from core.formats.plain_runs import read_plain

ODD_NUMBERS = [
    "1e400",
    "-0",
    "+1.5",
    "1_000",
    "0x1p3",
    ".5",
    "5.",
    "1e",
    "1d5",
    "nan",
    "inf",
    "-Infinity",
    "NULL",
    "NA",
]
NUMBERS = st.integers(-5, 2000).map(str) | st.floats().map(repr) | st.sampled_from(ODD_NUMBERS)
IDS = st.sampled_from(["1", "2", "001", "#3", "NA", "null", "d1", "d2", "é", '"d4"', "d\xa05", "d\x1c6", "d\x0b7"])
LINES = st.tuples(IDS, st.sampled_from(["Q0", "0"]), IDS, NUMBERS, NUMBERS, IDS)
SEPARATORS = st.sampled_from([" ", " ", " ", " ", "\t", "  "])
ENDS = st.sampled_from(["\n", "\n", "\n", "\n", "\r\n", " \n", "\n\n", ""])


@st.composite
def contents(draw) -> str:
    """Return the text of a run, most lines of which are as they should be, with some at fault in any way."""
    lines = []
    for n in range(draw(st.integers(0, 6))):
        columns = [str(n // 3), "Q0", f"d{n}", str(n + 1), str(draw(st.floats(-1e9, 1e9))), "tag"]
        if draw(st.integers(0, 3)) == 0:
            columns = list(draw(LINES))
        if draw(st.integers(0, 9)) == 0:
            columns = draw(st.sampled_from([columns[:3], columns[:5], [*columns, "more"], ["", *columns], []]))
        lines.append(draw(SEPARATORS).join(columns) + draw(ENDS))
    return draw(st.sampled_from(["", "", "", "\ufeff", "# a: b\n", "\n"])) + "".join(lines)


def line_by_line(path):
    with patch.object(runs, "read_plain", lambda _: None):
        return runs.read_run_file(path, most_faults=20)


@given(contents(), st.booleans())
@settings(max_examples=500)
def test_a_run_is_read_as_line_by_line(tmp_path_factory, text, packed):
    path = tmp_path_factory.mktemp("runs") / ("a.run.gz" if packed else "a.run")
    data = text.encode()
    path.write_bytes(gzip.compress(data) if packed else data)
    assert repr(runs.read_run_file(path, most_faults=20)) == repr(line_by_line(path))


@pytest.mark.parametrize("separator", [" ", "\t"])
def test_a_run_as_systems_write_it_is_read_fast(separator, tmp_path):
    path = tmp_path / "a.run"
    rows = [(topic, "Q0", f"d{n}", n + 1, 10 - n / 3, "tag") for topic in (7, 3) for n in range(5)]
    path.write_text("".join(separator.join(map(str, row)) + "\n" for row in rows))
    tag, topics = read_plain(path)
    assert (tag, [(topic.topic, topic.first) for topic in topics]) == ("tag", [("7", 1), ("3", 6)])
    assert repr(runs.read_run_file(path)) == repr(line_by_line(path))


LEFT = {
    "empty": "",
    "cut off": "1 Q0 d1 1 0.5 t",
    "topic in two places": "1 Q0 d1 1 0.5 t\n2 Q0 d1 1 0.5 t\n1 Q0 d2 2 0.4 t\n",
    "document twice": "1 Q0 d1 1 0.5 t\n1 Q0 d1 2 0.4 t\n",
}


@pytest.mark.parametrize("name", LEFT)
def test_what_needs_a_closer_look_is_left_to_the_other_reader(name, tmp_path):
    (tmp_path / "a.run").write_text(LEFT[name])
    assert read_plain(tmp_path / "a.run") is None


def test_a_missing_a_damaged_and_a_large_file_are_left_to_the_other_reader(tmp_path):
    (tmp_path / "a.run.gz").write_bytes(gzip.compress(b"1 Q0 d1 1 0.5 t\n")[:-5])
    (tmp_path / "b.run").write_text("1 Q0 d1 1 0.5 t\n" * 2)
    with patch("core.formats.plain_runs.LARGEST_FILE", 20):
        assert [read_plain(tmp_path / name) for name in ("a.run.gz", "b.run", "c.run")] == [None] * 3
