"""Runs in the TREC format."""

import gzip
import random

import numpy as np
import pytest
import pytrec_eval
from hypothesis import example, given
from hypothesis import strategies as st

from core.formats.runs import first_ranked, ranked, read_run, run_name, write_run
from core.workspace.errors import UserError

BAD = {
    "five columns": ("1 Q0 d1 1 0.5\n", "line 1"),
    "seven columns": ("1 Q0 d1 1 0.5 t\n1 Q0 d2 2 0.4 a tag\n", "line 2"),
    "a NaN score": ("1 Q0 d1 1 0.5 t\n1 Q0 d2 2 NaN t\n", "line 2: the score 'NaN'"),
    "an infinite score": ("1 Q0 d1 1 inf t\n", "line 1: the score 'inf'"),
    "a score that is no number": ("1 Q0 d1 1 high t\n", "line 1: the score 'high'"),
    "a rank that is no number": ("1 Q0 d1 first 0.5 t\n", "line 1: the rank 'first'"),
    "a document twice": ("1 Q0 d1 1 0.5 t\n2 Q0 d1 1 0.5 t\n1 Q0 d1 2 0.4 t\n", "line 3"),
    "an id with a zero byte": ("1 Q0 a\0b 1 0.5 t\n1 Q0 a\0c 2 0.4 t\n", "line 1"),
    "nothing": ("", "empty"),
    "blank lines": ("\n \n", "empty"),
}
near_ties = st.sampled_from([1.0, 1.0 + 1e-9, 1.0 - 1e-9, 1.0 + 1e-7, 0.0, -0.0, 1e-46, 16777217.0, 16777216.0])
scores_of_a_topic = st.lists(near_ties | st.floats(-1e30, 1e30), min_size=1, max_size=8)


@pytest.mark.parametrize("name", BAD)
def test_a_bad_run_is_refused_with_file_and_line(name, tmp_path):
    content, where = BAD[name]
    path = tmp_path / "bad.run"
    path.write_text(content)
    with pytest.raises(UserError, match=r"bad\.run") as caught:
        read_run(path)
    assert where in str(caught.value)


def test_a_run_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UserError, match=r"none\.run"):
        read_run(tmp_path / "none.run")


@pytest.mark.parametrize("ending", [".run", ".txt", ".trec", ".run.gz", "", ".gz"])
def test_a_run_goes_by_the_name_of_its_file(ending, tmp_path):
    assert run_name(tmp_path / f"team.r5{ending}") == "team.r5"


@pytest.mark.parametrize("separator", [" ", "\t", "   "])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_columns_may_stand_apart_by_any_space(separator, end, tmp_path):
    path = tmp_path / "a.run.gz"
    lines = [["1", "Q0", "d1", "1", "0.5", "t"], ["1", "Q0", "d2", "2", "2.5e-1", "another"]]
    path.write_bytes(gzip.compress("".join(separator.join(line) + end for line in lines).encode()))
    run = read_run(path)
    assert (run.name, run.scores, run.notices) == ("a", {"1": {"d1": 0.5, "d2": 0.25}}, [])


@given(scores=scores_of_a_topic, seed=st.integers(0, 9))
@example(scores=[1.0, 1.0, 1.0], seed=0)
def test_trec_eval_ranks_a_written_run_as_the_system_did(scores, seed, tmp_path_factory):
    names = [f"d{number}" for number in range(len(scores))]
    random.Random(seed).shuffle(names)
    ranking = list(zip(names, sorted(scores, reverse=True), strict=True))
    path = tmp_path_factory.getbasetemp() / "written.run"
    # one topic a rank: there the document at that rank alone is relevant, so trec_eval tells where it stands
    write_run(path, "tag", [(f"rank{rank}", ranking) for rank in range(1, len(ranking) + 1)])
    run = read_run(path)
    qrels = {f"rank{rank}": {document: 1} for rank, (document, _) in enumerate(ranking, 1)}
    found = pytrec_eval.RelevanceEvaluator(qrels, {"recip_rank"}).evaluate(run.scores)
    assert {topic: round(1 / by["recip_rank"]) for topic, by in found.items()} == {
        f"rank{rank}": rank for rank in range(1, len(ranking) + 1)
    }
    assert run.notices == [], "neither ties nor a rank that disagrees"


@given(scores=scores_of_a_topic)
def test_written_scores_stay_within_a_hair_of_the_systems(scores, tmp_path_factory):
    ranking = [(f"d{number}", score) for number, score in enumerate(sorted(scores, reverse=True))]
    path = tmp_path_factory.getbasetemp() / "written.run"
    write_run(path, "tag", [("1", ranking)])
    read = read_run(path).scores["1"]
    assert [read[name] for name, _ in ranking] == pytest.approx([s for _, s in ranking], rel=2e-6, abs=1e-37)


@given(scores=scores_of_a_topic)
def test_ranked_is_the_order_of_trec_eval(scores):
    by_document = {f"d{number}": score for number, score in enumerate(scores)}
    order = [document for document, _ in ranked(by_document)]
    qrels = {document: {document: 1} for document in order}
    found = pytrec_eval.RelevanceEvaluator(qrels, {"recip_rank"}).evaluate(dict.fromkeys(order, by_document))
    assert [round(1 / found[document]["recip_rank"]) for document in order] == list(range(1, len(order) + 1))


@given(scores=scores_of_a_topic | st.lists(near_ties, min_size=1, max_size=30), k=st.integers(0, 35))
def test_the_first_ranked_are_the_beginning_of_trec_evals_order(scores, k):
    by_document = {f"d{number}": score for number, score in enumerate(scores)}
    order = sorted(by_document, key=lambda name: (np.float32(by_document[name]), name), reverse=True)
    assert first_ranked(by_document, k) == order[:k]


columns_of_a_run = st.lists(
    st.tuples(st.sampled_from("12"), st.integers(0, 5), st.sampled_from([0.5, 0.25, 0.1, 1e-46])),
    min_size=1,
    max_size=12,
)


@given(rows=columns_of_a_run)
def test_the_first_odd_line_of_each_topic_is_told(rows, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "odd.run"
    path.write_text("".join(f"{topic} Q0 d{i} {rank} {score} t\n" for i, (topic, rank, score) in enumerate(rows)))
    tied, disagreeing = [], []
    for topic in {topic for topic, _, _ in rows}:
        lines = [(rank, np.float32(score), n) for n, (of, rank, score) in enumerate(rows, 1) if of == topic]
        lines.sort(key=lambda line: line[0])
        tied += [lines[i][2] for i in range(len(lines)) if lines[i][1] in [score for _, score, _ in lines[:i]]][:1]
        disagreeing += [lines[i][2] for i in range(1, len(lines)) if lines[i][1] > lines[i - 1][1]][:1]
    told = read_run(path).notices
    for lines, word in ((tied, "tied"), (disagreeing, "disagrees")):
        about = [notice for notice in told if word in notice]
        assert len(about) == bool(lines)
        assert not lines or f"{len(lines)} of " in about[0]
        assert not lines or f"first on line {min(lines)}" in about[0]


def test_ties_are_told(tmp_path):
    path = tmp_path / "a.run"
    path.write_text("1 Q0 d1 1 0.5 t\n1 Q0 d2 2 0.5 t\n2 Q0 d1 1 0.5 t\n")
    (notice,) = read_run(path).notices
    assert "tied in 1 of 2 topics" in notice


def test_scores_that_only_float32_cannot_tell_apart_are_told_as_ties(tmp_path):
    path = tmp_path / "a.run"
    path.write_text("1 Q0 d1 1 1.00000001 t\n1 Q0 d2 2 1.0 t\n")
    assert np.float32(1.00000001) == np.float32(1.0)
    (notice,) = read_run(path).notices
    assert "tied in 1 of 1 topics" in notice


def test_ranks_that_disagree_with_the_scores_are_told(tmp_path):
    path = tmp_path / "a.run"
    path.write_text("1 Q0 d1 1 0.4 t\n1 Q0 d2 2 0.5 t\n2 Q0 d1 1 0.5 t\n")
    (notice,) = read_run(path).notices
    assert "disagrees with the scores in 1 of 2 topics" in notice
    assert "follows the scores" in notice


def test_by_rank_the_ranks_are_followed_and_no_notice_says_otherwise(tmp_path):
    path = tmp_path / "a.run"
    path.write_text("1 Q0 d1 1 0.4 t\n1 Q0 d2 2 0.5 t\n1 Q0 d3 3 0.5 t\n")
    run = read_run(path, "rank")
    assert [document for document, _ in ranked(run.scores["1"])] == ["d1", "d2", "d3"]
    assert not any("follows the scores" in notice for notice in run.notices)


@pytest.mark.data
def test_the_rounded_real_run_is_noticed(data_folder):
    run = read_run(data_folder / "trec-covid-runs" / "full" / "all-MiniLM-L6-v2.run.gz")
    assert len(run.scores) == 50
    assert any("tied in 50 of 50 topics" in notice for notice in run.notices)


def test_ms_marcos_three_columns_are_ranked_as_they_say(tmp_path):
    rows = [("7", "a", 1), ("7", "b", 2), ("7", "c", 3), ("8", "b", 1)]
    (tmp_path / "dev.tsv").write_text("".join(f"{topic}\t{document}\t{rank}\n" for topic, document, rank in rows))
    six = "".join(f"{topic} Q0 {document} {rank} {1 / rank} tag\n" for topic, document, rank in rows)
    (tmp_path / "six.run").write_text(six)
    qrels = {"7": {"b": 1, "c": 2}, "8": {"a": 1}}
    with (tmp_path / "six.run").open() as file:
        expected = pytrec_eval.RelevanceEvaluator(qrels, {"ndcg", "recip_rank"}).evaluate(pytrec_eval.parse_run(file))
    evaluator = pytrec_eval.RelevanceEvaluator(qrels, {"ndcg", "recip_rank"})
    assert evaluator.evaluate(read_run(tmp_path / "dev.tsv").scores) == expected


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("7 a 30\n7 b 20\n7 c 10\n", "line 1: three columns are read as topic, document, rank"),
        ("7 a 0.9\n", "line 1: three columns are read as"),
        ("7 a 1\n7 Q0 b 2 1.0 t\n", "line 2: 6 columns, expected topic, document, rank"),
        ("7 Q0 b 2 1.0 t\n7 a 1\n", "line 2: 3 columns, expected topic, Q0"),
        ("7 a 1\n7 b x\n", "line 2: the rank 'x'"),
    ],
)
def test_three_columns_that_are_no_ranks_are_refused(content, sentence, tmp_path):
    (tmp_path / "a.run").write_text(content)
    with pytest.raises(UserError, match=sentence):
        read_run(tmp_path / "a.run")


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("7 Q0 a 1 2,5 tag", "the score '2,5' is not a finite number, which needs a decimal point"),
        ("7 Q0 a 1 1_0 tag", "the score '1_0' is not a finite number"),
        ("7 Q0 a 1 \u0661\u0660 tag", "the score '\u0661\u0660' is not a finite number"),
        (
            "7 Q0 a 1 2.5 my tag",
            "7 columns, expected topic, Q0, document, rank, score, tag; ids and tags have no spaces",
        ),
    ],
)
def test_numbers_that_trec_eval_reads_otherwise_and_spaces_are_refused(line, sentence, tmp_path):
    (tmp_path / "a.run").write_text(f"7 Q0 b 2 1.0 t\n{line}\n", encoding="utf-8")
    with pytest.raises(UserError) as caught:
        read_run(tmp_path / "a.run")
    assert f"line 2: {sentence}" in str(caught.value)
