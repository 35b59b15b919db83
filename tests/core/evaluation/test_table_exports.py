"""Exported tables: what they carry, and that a table edited by one digit is found out."""

import json
import re

import pandas as pd
import pytest

from core import compare, verify
from core.evaluation.table_exports import FORMS, Provenance, differences, export, read_export
from core.evaluation.table_formats import Table
from core.workspace.errors import UserError

EXPORTED = [form for form in FORMS if form != "table"]
PROVENANCE = Provenance(["table", "sample", "--label", "a=x -- y"], "0.1.0", {"runs/a": "0123456789abcdef"})
FIGURES = pd.DataFrame(
    {"nDCG@10": [0.4143, 0.41099999, None], "n": [1, 2, 3]},
    index=pd.Index(["BM25 | x & y", "=Dense", "Dense"], name="system"),
)
RUNS = {
    "a": {"1": ["d1", "d2", "d3"], "2": ["d3", "d1"], "3": ["d2"]},
    "b.x": {"1": ["d3", "d2"], "2": ["d1", "d3"], "3": ["d1", "d2"]},
    "c": {"1": ["d2", "d1"], "2": ["d2"], "3": ["d3", "d2"]},
}
QRELS = "1 0 d1 2\n1 0 d2 0\n2 0 d3 1\n2 0 d1 0\n3 0 d2 1\n3 0 d1 0\n"


@pytest.fixture
def files(tmp_path):
    """Write the runs and the judgments."""
    for name, by_topic in RUNS.items():
        lines = [f"{t} Q0 {d} {r} {9 - r} t\n" for t, found in by_topic.items() for r, d in enumerate(found, 1)]
        (tmp_path / f"{name}.run").write_text("".join(lines))
    (tmp_path / "qrels.txt").write_text(QRELS)
    return [*(tmp_path / f"{name}.run" for name in RUNS), "--qrels", tmp_path / "qrels.txt"]


@pytest.mark.parametrize("form", EXPORTED)
def test_a_table_carries_its_provenance_and_is_the_same_when_it_is_made_again(form):
    table = Table(FIGURES, "A caption of 3 systems", sentences=["BM25 has 0.4143."])
    exported = read_export(export(table, form, PROVENANCE), "t")
    assert (exported.form, exported.provenance) == (form, PROVENANCE)
    assert differences(exported, export(table, form)) == []
    assert "rankscope" not in export(table, form)


@pytest.mark.parametrize("form", EXPORTED)
def test_every_digit_that_is_edited_is_found(form):
    table = Table(FIGURES, "A caption of 3 systems")
    text = export(table, form, PROVENANCE)
    start = text.index("\n") if form == "latex" else 0  # the line of the provenance
    end = text.index('"rankscope"') if form == "json" else len(text) if form == "latex" else text.index("rankscope: ")
    places = [match.start() for match in re.finditer(r"\d", text[start:end])]
    assert len(places) > 10
    for place in places:
        edited = list(text)
        edited[start + place] = "7" if text[start + place] != "7" else "8"
        assert differences(read_export("".join(edited), "t"), export(table, form)), (form, place)


def test_rows_that_are_left_out_or_added_are_said():
    table = Table(FIGURES, "c")
    lines = export(table, "markdown", PROVENANCE).splitlines()
    without = read_export("\n".join([*lines[:3], *lines[4:]]), "t")
    assert differences(without, export(table, "markdown")) == [
        "missing in the table: =Dense, system; =Dense, nDCG@10; =Dense, n"
    ]
    added = read_export("\n".join([lines[0], lines[1], "| Ours | 0.9 | 1 |", *lines[2:]]), "t")
    assert len(differences(added, export(table, "markdown"))) == 3


@pytest.mark.parametrize(
    "text", ["", "system,AP\na,0.1\n", "{", '{"rankscope": 1}', "% rankscope: {}\n", "% rankscope: {\n"]
)
def test_a_file_without_provenance_is_refused(text):
    with pytest.raises(UserError, match=r"t\.tex: no provenance"):
        read_export(text, "t.tex")


@pytest.mark.parametrize("form", EXPORTED)
def test_a_table_of_run_files_edited_by_one_digit_is_found(form, files, command, tmp_path):
    options = ["--baseline", "c", "--measures", "nDCG@10,RBP(rel=1)", "--test", "t-test", "--correction", "bonferroni"]
    printed = command(compare.main, "table", *files, *options, "--detect", "0.1", "--format", form)
    assert printed.status == 0, printed.err
    path = tmp_path / "table"
    path.write_bytes(printed.out.encode())
    assert command(verify.main, path).status == 0
    # the mean of a by nDCG@10: 1, 1 and 1
    changed = re.sub(r"(?<!0\.)1\.0(000)?(?=[^0-9])", "1.1", printed.out, count=1)
    assert changed != printed.out
    path.write_bytes(changed.encode())
    outcome = command(verify.main, path)
    assert outcome.status == 1
    assert "1.1" in outcome.out
    assert "made again it is 1.0" in outcome.out


def test_a_changed_run_is_named(files, command, tmp_path):
    printed = command(compare.main, "means", *files, "--measures", "AP", "--format=csv").out
    (tmp_path / "table.csv").write_text(printed)
    (tmp_path / "a.run").write_text("1 Q0 d2 1 3.0 t\n2 Q0 d3 1 3.0 t\n")
    outcome = command(verify.main, tmp_path / "table.csv")
    assert outcome.status == 1
    assert "a changed since the table was made" in outcome.err
    assert "a, AP: the table has 1.0, made again it is" in outcome.out


def test_a_table_of_files_is_that_of_the_same_runs_in_a_collection(files, command, workspace):
    from core import import_runs

    assert command(import_runs.main, *files[:3], *files[3:], "--name", "mine").status == 0
    options = ["--measures", "nDCG@10,AP", "--baseline", "a"]
    of_files = json.loads(command(compare.main, "table", *files, *options, "--format", "json").out)
    of_collection = json.loads(command(compare.main, "table", "mine", *options, "--format", "json").out)
    assert of_files["rows"] == of_collection["rows"]
    assert of_files["sentences"] == of_collection["sentences"]


def test_several_collections_or_a_figure_of_documents_are_refused(files, command):
    assert "one collection" in command(compare.main, "table", "a", "b").err
    assert command(compare.main, "expansion", *files).status == 2


def test_rows_in_another_order_are_said():
    table = Table(FIGURES, "c")
    lines = export(table, "csv", PROVENANCE).splitlines(keepends=True)
    swapped = read_export("".join([lines[0], lines[2], lines[1], *lines[3:]]), "t")
    assert differences(swapped, export(table, "csv")) == [
        "the rows are in another order; made again it is BM25 | x & y, '=Dense, Dense"
    ]


def carried(arguments, inputs=None):
    return f"# rankscope: {json.dumps({'arguments': arguments, 'version': '0.0.1', 'inputs': inputs or {}})}\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (carried(3), "no provenance"),
        (carried([1, 2]), "no provenance"),
        (carried(["means", "sample"], ["x"]), "no provenance"),
        (carried(["means", "sample", "--renamed", "x"]), "made by RankScope 0.0.1; this version"),
        (carried(["nothing", "sample"]), "made by RankScope 0.0.1; this version"),
        (carried(["means", "--help"]), "made by RankScope 0.0.1; this version"),
        (
            carried(["means", "x.run", "--qrels", "moved.txt"]),
            "x.run, of which it was made, is neither there nor beside",
        ),
        (carried(["means", "nowhere"]), "no collection 'nowhere' here"),
    ],
)
def test_a_table_that_cannot_be_made_again_is_one_sentence(text, said, command, tmp_path):
    (tmp_path / "table.csv").write_text(text)
    assert command(verify.main, tmp_path / "table.csv").refused_with(said)


def test_files_that_were_moved_are_found_beside_the_table(files, command, tmp_path):
    printed = command(compare.main, "means", *files, "--measures", "AP", "--format=csv").out
    there = tmp_path / "elsewhere"
    there.mkdir()
    (there / "table.csv").write_text(printed)
    for file in tmp_path.glob("*.*"):
        file.rename(there / file.name)
    assert command(verify.main, there / "table.csv").status == 0
    (there / "a.run").unlink()
    assert command(verify.main, there / "table.csv").refused_with("a.run, of which it was made")


@pytest.mark.parametrize("test", ["randomisation", "t-test", "wilcoxon"])
def test_identical_runs_are_said_to_be_so(test, files, command, tmp_path):
    (tmp_path / "same.run").write_bytes((tmp_path / "a.run").read_bytes())
    of = [tmp_path / "a.run", tmp_path / "same.run", *files[-2:]]
    outcome = command(compare.main, "table", *of, "--measures", "AP", "--test", test)
    assert "same and a have the same AP on all 3 topics." in outcome.out, outcome.err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--measures", "NERR8@10"], "a parameter is missing, or has a value that is not allowed"),
        (["--measures", "RBP(p=2,rel=1)"], "a parameter is missing, or has a value that is not allowed"),
        (["--detect", "inf"], "a difference to detect is a positive number"),
    ],
)
def test_options_that_mean_nothing_are_one_sentence(options, said, files, command):
    outcome = command(compare.main, "table", *files, *options)
    assert outcome.refused_with(said), outcome.err


def test_no_option_of_a_figure_is_abbreviated(files, command):
    """The provenance has the options as they were given, but for --format."""
    parser = compare.parser()
    for name in compare.FIGURES:
        assert "--form" in parser.parse_known_args([name, "sample", "--topic", "1", "--form", "csv"])[1]
    for form in (["--format", "csv"], ["--format=csv"]):
        printed = command(compare.main, "means", *files, *form, "--measures", "AP").out
        assert not [word for word in read_export(printed, "t").provenance.arguments if word.startswith("--form")]
