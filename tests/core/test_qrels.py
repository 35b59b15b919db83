"""Qrels in BEIR's and TREC's form."""

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import UserError
from core.qrels import read_qrels, write_qrels

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
