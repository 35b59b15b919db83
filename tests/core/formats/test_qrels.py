"""Qrels in BEIR's and TREC's form."""

import csv
import gzip

import pytest
import pytrec_eval
from hypothesis import given
from hypothesis import strategies as st

from core.formats.qrels import read_qrels, write_qrels
from core.workspace.errors import UserError

TREC = "1 0 d1 2\n1 0 d2 0\n2 0 d1 -1\n"
BEIR = "query-id\tcorpus-id\tscore\n1\td1\t2\n1\td2\t0\n2\td1\t-1\n"
JUDGMENTS = {"1": {"d1": 2, "d2": 0}, "2": {"d1": -1}}
ids = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=8)


@pytest.mark.parametrize("content", [TREC, BEIR, TREC.replace(" ", "\t"), TREC.replace("\n", "\r\n"), TREC.rstrip()])
@pytest.mark.parametrize("ending", ["txt", "txt.gz"])
def test_both_forms_plain_and_gz_read_the_same(content, ending, tmp_path):
    path = tmp_path / f"qrels.{ending}"
    path.write_bytes(gzip.compress(content.encode()) if ending.endswith("gz") else content.encode())
    assert read_qrels(path) == JUDGMENTS


HEADED = {
    "other names": "qid\tdocid\trelevance\n1\td1\t2\n1\td2\t0\n2\td1\t-1\n",
    "capitals and spaces": "Query_ID doc_id Label\n1 d1 2\n1 d2 0\n2 d1 -1\n",
    "another order": "corpus-id\tscore\tquery-id\nd1\t2\t1\nd2\t0\t1\nd1\t-1\t2\n",
    "TREC's columns": "topic iteration docno rel\n1 0 d1 2\n1 Q0 d2 0\n2 0 d1 -1\n",
    "after a blank line": "\n" + BEIR,
    "a byte order mark": "\ufeff" + BEIR,
    "a mark and no header": "\ufeff" + TREC,
    "grades with a point": BEIR.replace("\t2\n", "\t2.00\n").replace("\t0\n", "\t0.\n").replace("-1", "-1.0"),
    "quoted": "".join("\t".join(f'"{field}"' for field in line.split("\t")) + "\r\n" for line in BEIR.splitlines()),
    "quoted in part": BEIR.replace("d1", '"d1"'),
}


@pytest.mark.parametrize("name", HEADED)
def test_qrels_as_other_tools_write_them_read_the_same(name, tmp_path):
    path = tmp_path / "qrels.tsv"
    path.write_bytes(HEADED[name].encode())
    assert read_qrels(path) == JUDGMENTS


words = st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=8)
tables = st.dictionaries(st.tuples(words, words), st.integers(-2, 4), min_size=1, max_size=12)


@given(table=tables)
def test_quoted_qrels_are_those_that_the_csv_module_wrote(table, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "quoted-qrels.tsv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter="\t", quoting=csv.QUOTE_ALL)
        writer.writerows([["query-id", "corpus-id", "score"], *([*key, grade] for key, grade in table.items())])
    read = read_qrels(path)
    assert {(topic, document): grade for topic, by in read.items() for document, grade in by.items()} == table


@given(table=tables)
def test_trec_qrels_are_those_that_pytrec_eval_reads(table, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "trec-qrels.txt"
    path.write_text("".join(f"{topic} 0 {document} {grade}\n" for (topic, document), grade in table.items()), "utf-8")
    with path.open(encoding="utf-8") as file:
        assert read_qrels(path) == pytrec_eval.parse_qrel(file)


@given(table=tables)
def test_qrels_of_any_ids_that_are_written_read_back_the_same(table, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "any-qrels.tsv"
    qrels: dict[str, dict[str, int]] = {}
    for (topic, document), grade in table.items():
        qrels.setdefault(topic, {})[document] = grade
    write_qrels(path, qrels)
    assert read_qrels(path) == qrels


REFUSED = {
    "a fraction": ("1 0 d1 0.5\n", "line 1: the grade '0.5' is not a whole number"),
    "a grade that Python alone reads": ("1 0 d1 1_0\n", "line 1: the grade '1_0'"),
    "a header that is not known": ("foo bar baz\n1 d1 2\n", "line 1: 3 columns, expected"),
    "three columns without a header": ("1\td1\t2\n", "need the header query-id TAB corpus-id TAB score"),
    "JSON": ('{"query-id": "1", "corpus-id": "d1", "score": 1}\n', "line 1: JSON, expected query-id"),
    "commas": ("query-id,corpus-id,score\n1,d1,2\n", "not by commas"),
    "a short line under a header": (BEIR + "3 d1\n", "line 5: 2 columns, but 3 in the header"),
    "a quoted id with a space": ('query-id\tcorpus-id\tscore\n"1"\t"d 1"\t"2"\n', "ids have no spaces"),
    "semicolons": ("query-id;corpus-id;score\n1;d1;2\n", "not by commas or semicolons"),
    "a run": (
        "1 Q0 d1 1 9.5 tag\n",
        "line 1: 6 columns, expected topic, iteration, document, grade; this looks like a run",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_qrels_that_cannot_be_read_are_refused_with_what_to_do(name, tmp_path):
    content, sentence = REFUSED[name]
    (tmp_path / "qrels.tsv").write_text(content)
    with pytest.raises(UserError) as caught:
        read_qrels(tmp_path / "qrels.tsv")
    assert sentence in str(caught.value)


def test_a_judgment_said_twice_alike_counts_once(tmp_path):
    path = tmp_path / "qrels.txt"
    path.write_text(TREC + TREC)
    assert read_qrels(path) == JUDGMENTS


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UserError, match=r"none\.txt"):
        read_qrels(tmp_path / "none.txt")


@pytest.mark.parametrize("grade", ["2147483648", "-99999999999", "1" * 30])
def test_a_grade_that_trec_eval_cannot_hold_is_refused(grade, tmp_path):
    path = tmp_path / "qrels.txt"
    path.write_text(f"1 0 d1 {grade}\n")
    with pytest.raises(UserError, match="line 1"):
        read_qrels(path)


def test_an_id_with_a_zero_byte_is_refused(tmp_path):
    # trec_eval's ids end at a zero byte: a\0b and a\0c would be one document
    path = tmp_path / "qrels.txt"
    path.write_bytes(b"1 0 a\0b 1\n1 0 a\0c 0\n")
    with pytest.raises(UserError, match="line 1"):
        read_qrels(path)


@given(
    qrels=st.dictionaries(ids, st.dictionaries(ids, st.integers(-2, 4), min_size=1, max_size=5), min_size=1, max_size=5)
)
def test_written_qrels_read_back_the_same(qrels, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "written-qrels.tsv"
    write_qrels(path, qrels)
    assert read_qrels(path) == qrels


@pytest.mark.data
def test_every_line_of_the_real_qrels_is_a_judgment(data_folder):
    # as many judgments as `zcat FILE | wc -l` counts lines
    runs = data_folder / "trec-covid-runs"
    full = read_qrels(runs / "full" / "qrels.beir.txt.gz")
    assert (len(full), sum(map(len, full.values()))) == (50, 66334)
    residual = read_qrels(runs / "round5" / "qrels.covid-round5.txt.gz")
    assert (len(residual), sum(map(len, residual.values()))) == (50, 23151)
