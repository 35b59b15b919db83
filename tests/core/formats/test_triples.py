"""MS MARCO triples."""

import csv
import gzip
import sys
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.formats.triples import Triple, read_triples, split_by_query
from core.workspace.errors import UserError

BAD = {
    "two columns": (b"q\ta\tb\nq\ta\n", "line 2"),
    "four columns": (b"q\ta\tb\tc\n", "line 1"),
    "an empty column": (b"q\ta\tb\nq\t \tb\n", "line 2"),
    "nothing": (b"", "no triples"),
    "bytes that are not UTF-8": (b"q\ta\t\xff\n", "triples.tsv"),
}
triples_of_few_queries = st.lists(st.builds(Triple, st.sampled_from("abcdefghij"), st.text(), st.text()), max_size=60)


@pytest.mark.parametrize("name", BAD)
def test_bad_triples_are_refused_with_file_and_line(name, tmp_path):
    content, where = BAD[name]
    path = tmp_path / "triples.tsv"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"triples\.tsv") as caught:
        read_triples(path)
    assert where in str(caught.value)


def test_triples_in_a_gz_cut_short_are_refused(tmp_path):
    path = tmp_path / "triples.tsv.gz"
    path.write_bytes(gzip.compress("".join(f"q{i}\ta{i * i}\tb{i}\n" for i in range(999)).encode())[:-200])
    with pytest.raises(UserError, match=r"triples\.tsv\.gz"):
        read_triples(path)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UserError, match=r"none\.tsv"):
        read_triples(tmp_path / "none.tsv")


def test_control_characters_do_not_end_a_line(tmp_path):
    path = tmp_path / "triples.tsv"
    path.write_bytes('what\x85is "it\tâ\x80\x99 one\u2028two\x1cthree\tno\x0cthing\nq\ta\tb'.encode())
    assert read_triples(path) == [
        Triple('what\x85is "it', "â\x80\x99 one\u2028two\x1cthree", "no\x0cthing"),
        Triple("q", "a", "b"),
    ]


def test_triples_that_the_csv_module_quoted_read_the_same(tmp_path):
    rows = [("what is it", 'he said "it"', "no"), ("q", "a\tb", '"')]
    with (tmp_path / "quoted.tsv").open("w", newline="") as file:
        csv.writer(file, delimiter="\t", quoting=csv.QUOTE_ALL).writerows(rows)
    assert read_triples(tmp_path / "quoted.tsv") == [Triple(*row) for row in rows]


def test_quotations_in_passages_stay(tmp_path):
    (tmp_path / "triples.tsv").write_text('"x" y\t"all of it"\tb"\n"q\t"a"\t"b\n')
    assert read_triples(tmp_path / "triples.tsv") == [Triple('"x" y', '"all of it"', 'b"'), Triple('"q', '"a"', '"b')]


def test_text_is_repaired_where_the_setting_says_so(tmp_path, monkeypatch):
    (tmp_path / "triples.tsv").write_text("is it\tdonâ\x80\x99t\tb\n", encoding="utf-8", newline="\n")
    monkeypatch.setitem(sys.modules, "ftfy", None)
    assert read_triples(tmp_path / "triples.tsv")[0].relevant == "donâ\x80\x99t"
    with pytest.raises(UserError, match="pip install ftfy"):
        read_triples(tmp_path / "triples.tsv", fix_text=True)
    stand_in = SimpleNamespace(fix_text=lambda text: text.encode("latin-1").decode("utf-8").replace("\u2019", "'"))
    monkeypatch.setitem(sys.modules, "ftfy", stand_in)
    assert read_triples(tmp_path / "triples.tsv", fix_text=True)[0].relevant == "don't"


def test_ftfy_repairs_as_expected(tmp_path):
    pytest.importorskip("ftfy")
    (tmp_path / "triples.tsv").write_text("is it\tdonâ\x80\x99t 1Â½\tb\n", encoding="utf-8", newline="\n")
    assert read_triples(tmp_path / "triples.tsv", fix_text=True)[0].relevant == "don't 1½"


@given(triples=triples_of_few_queries, held_out=st.floats(0.01, 0.99))
def test_no_query_is_both_trained_on_and_held_out(triples, held_out):
    training, validation = split_by_query(triples, held_out)
    assert not {t.query for t in training} & {t.query for t in validation}
    assert sorted(training + validation, key=repr) == sorted(triples, key=repr)


def test_the_split_does_not_depend_on_the_order_and_holds_out_about_the_share():
    triples = [Triple(f"query {i}", "a", "b") for i in range(4000)]
    training, validation = split_by_query(triples, 0.05)
    backwards, _ = split_by_query(triples[::-1], 0.05)
    assert backwards == training[::-1]
    assert 150 < len(validation) < 250  # 200 expected, standard deviation 14


@pytest.mark.data
def test_the_stand_in_triples_are_whole(data_folder):
    triples = read_triples(data_folder / "msmarco" / "msmarco_triples.mix11k.tsv.gz")
    assert len(triples) == 11000
    assert len({t.query for t in triples}) == 7131
    assert len({(t.query, t.relevant) for t in triples}) == 8527
    assert any("\x80" in t.relevant for t in triples)


@pytest.mark.data
def test_the_first_official_triples_are_the_beginning_of_the_stand_in(data_folder):
    head = read_triples(data_folder / "msmarco" / "triples.train.small.head100.tsv")
    assert len(head) == 100
    assert read_triples(data_folder / "msmarco" / "msmarco_triples.mix11k.tsv.gz")[:100] == head
