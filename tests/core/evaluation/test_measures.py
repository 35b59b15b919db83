"""Measures: against ir_measures, against their definitions written out here, and against published figures."""

import csv
import json
import math
import random
import subprocess
import sys
from pathlib import Path

import ir_measures
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from core.evaluate import main
from core.evaluation.measures import (
    Evaluator,
    check_topics,
    evaluate,
    interpolated_precision,
    mean,
    providers,
    rbp_residual,
)
from core.formats.qrels import read_qrels
from core.formats.runs import read_run
from core.workspace.errors import UserError
from core.workspace.measure_names import measure_name, parse_measure, split_names

ROOT = Path(__file__).resolve().parents[3]
MEASURES = ["nDCG@3", "nDCG@10", "P@3", "P@10", "R@3", "R@100", "AP", "Bpref", "RR"]
MEASURES += ["nDCG", "AP@3", "Rprec", "Success@3", "AP(rel=2)@3", "Success(rel=2)@1"]
MEASURES += ["P(rel=2)@3", "R(rel=2)@10", "AP(rel=2)", "Bpref(rel=2)", "RR(rel=3)"]
topics = st.sampled_from(["1", "2", "3", "4"])
documents = st.sampled_from("abcdefghijkl")
# the second and the third are one number as a float32, which is what trec_eval keeps
scores = st.sampled_from([2.0, 1.0, 1.00000001, 0.5, 0.0, -1.0]) | st.floats(-100, 100)
runs = st.dictionaries(topics, st.dictionaries(documents, scores), min_size=1)
grades = st.sampled_from([0, 0, 1, 1, 2, 3, -1, -2])
# a topic of negative grades alone has its own test: it can end Python
judgments_of_any_grade = st.dictionaries(documents, grades, min_size=1).filter(lambda by: max(by.values()) >= 0)
qrels_with_negative_grades = st.dictionaries(topics, judgments_of_any_grade, min_size=1)
judgments_of_three_grades = st.dictionaries(documents, st.sampled_from([0, 1, 2]), min_size=1)
qrels_without_negative_grades = st.dictionaries(topics, judgments_of_three_grades, min_size=1)


def trec_eval_order(by_document):
    """Return documents by float32 score, ties by id, both descending."""
    return sorted(by_document, key=lambda document: (np.float32(by_document[document]), document), reverse=True)


def ndcg(order, judgments, k):
    def dcg(gains):
        return sum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains[:k], 1))

    gains = {document: max(grade, 0) for document, grade in judgments.items()}
    ideal = dcg(sorted(gains.values(), reverse=True))
    return dcg([gains.get(document, 0) for document in order]) / ideal if ideal else 0.0


def average_precision(order, judgments):
    relevant = [judgments.get(document, 0) > 0 for document in order]
    found = [sum(relevant[:rank]) / rank for rank in range(1, len(order) + 1) if relevant[rank - 1]]
    return sum(found) / max(1, sum(grade > 0 for grade in judgments.values()))


def bpref(order, judgments):
    n_relevant = sum(grade > 0 for grade in judgments.values())
    n_not = sum(grade == 0 for grade in judgments.values())
    total, not_relevant_above = 0.0, 0
    for document in order:
        grade = judgments.get(document)
        if grade == 0:
            not_relevant_above += 1
        if grade is not None and grade > 0:
            total += 1 - (min(not_relevant_above, n_relevant) / min(n_not, n_relevant) if not_relevant_above else 0)
    return total / n_relevant if n_relevant else 0.0


def reciprocal_rank(order, judgments):
    return next((1 / rank for rank, document in enumerate(order, 1) if judgments.get(document, 0) > 0), 0.0)


def as_ir_measures_has_it(run, qrels):
    theirs = {name: dict.fromkeys(qrels, 0.0) for name in MEASURES}
    answered = {topic: by_document for topic, by_document in run.items() if by_document}  # it can end Python on others
    for found in ir_measures.iter_calc([ir_measures.parse_measure(name) for name in MEASURES], qrels, answered):
        theirs[str(found.measure)][found.query_id] = found.value
    return {name: pytest.approx(by_topic, abs=1e-9) for name, by_topic in theirs.items()}


@given(run=runs, qrels=qrels_with_negative_grades)
def test_every_topic_is_as_ir_measures_has_it(run, qrels):
    assume(run.keys() & qrels.keys())
    assert evaluate(run, qrels, MEASURES) == as_ir_measures_has_it(run, qrels)


@given(several=st.lists(runs, min_size=2, max_size=4), qrels=qrels_with_negative_grades)
def test_one_evaluator_gives_each_of_many_runs_what_ir_measures_gives_it(several, qrels):
    assume(all(run.keys() & qrels.keys() for run in several))
    evaluator = Evaluator(qrels, MEASURES)
    for run in [*several, several[0]]:
        assert evaluator.evaluate(run) == as_ir_measures_has_it(run, qrels)


@given(run=runs, qrels=qrels_without_negative_grades)
def test_every_topic_is_as_the_definitions_have_it(run, qrels):
    assume(run.keys() & qrels.keys())
    found = evaluate(run, qrels, [*MEASURES, "Judged@3", "Judged@10"])
    for topic, judgments in qrels.items():
        order = trec_eval_order(run.get(topic, {}))
        relevant = [judgments.get(document, 0) > 0 for document in order]
        expected = {
            "nDCG@3": ndcg(order, judgments, 3),
            "nDCG@10": ndcg(order, judgments, 10),
            "P@3": sum(relevant[:3]) / 3,
            "P@10": sum(relevant[:10]) / 10,
            "R@3": sum(relevant[:3]) / max(1, sum(grade > 0 for grade in judgments.values())),
            "R@100": sum(relevant) / max(1, sum(grade > 0 for grade in judgments.values())),
            "AP": average_precision(order, judgments),
            "Bpref": bpref(order, judgments),
            "RR": reciprocal_rank(order, judgments),
            "Judged@3": sum(document in judgments for document in order[:3]) / 3,
            "Judged@10": sum(document in judgments for document in order[:10]) / 10,
        }
        assert {name: found[name][topic] for name in expected} == pytest.approx(expected, abs=1e-9)


@given(run=runs, qrels=qrels_with_negative_grades)
def test_no_measure_leaves_0_to_1(run, qrels):
    assume(run.keys() & qrels.keys())
    for by_topic in evaluate(run, qrels, [*MEASURES, "Judged@10"]).values():
        assert by_topic.keys() == qrels.keys()
        assert all(0 <= value <= 1 + 1e-9 for value in by_topic.values())


@given(run=runs, qrels=qrels_with_negative_grades, seed=st.integers(0, 99))
def test_the_order_of_the_entries_changes_nothing(run, qrels, seed):
    assume(run.keys() & qrels.keys())

    def shuffled(table):
        items = list(table.items())
        random.Random(seed).shuffle(items)
        return dict(items)

    again = shuffled({topic: shuffled(by_document) for topic, by_document in run.items()})
    assert evaluate(again, shuffled(qrels), MEASURES) == evaluate(run, qrels, MEASURES)


def test_ndcg_of_the_textbook_example():
    # the example of https://en.wikipedia.org/wiki/Discounted_cumulative_gain: DCG 6.861, ideal 8.740
    grades = {"d1": 3, "d2": 2, "d3": 3, "d4": 0, "d5": 1, "d6": 2, "d7": 3, "d8": 2}
    run = {"1": {f"d{rank}": 10.0 - rank for rank in range(1, 7)}}
    assert evaluate(run, {"1": grades}, ["nDCG@6"])["nDCG@6"]["1"] == pytest.approx(6.861 / 8.740, abs=5e-5)


def test_ndcg_worked_by_hand():
    # grade 1 at rank 1, unjudged at 2, grade 2 at 3: 1/1 + 2/2 = 2; ideal 2/1 + 1/log2(3) = 2.6309
    run, qrels = {"1": {"a": 3.0, "b": 2.0, "c": 1.0}}, {"1": {"a": 1, "c": 2}}
    assert evaluate(run, qrels, ["nDCG@10"])["nDCG@10"]["1"] == pytest.approx(2 / 2.63093, abs=1e-5)
    assert evaluate(run, qrels, ["nDCG@2"])["nDCG@2"]["1"] == pytest.approx(1 / 2.63093, abs=1e-5)


def test_ndcg_is_1_in_the_ideal_order_and_less_in_any_other():
    qrels = {"1": {"a": 2, "b": 1, "c": 0}}
    assert evaluate({"1": {"a": 3.0, "b": 2.0, "c": 1.0}}, qrels, ["nDCG@10"])["nDCG@10"]["1"] == 1
    assert evaluate({"1": {"a": 2.0, "b": 3.0, "c": 1.0}}, qrels, ["nDCG@10"])["nDCG@10"]["1"] < 1
    assert evaluate({"1": {"a": 3.0, "b": 1.0, "c": 2.0}}, qrels, ["nDCG@10"])["nDCG@10"]["1"] < 1


def test_the_ideal_holds_judged_documents_that_were_not_retrieved():
    assert evaluate({"1": {"a": 1.0}}, {"1": {"a": 1, "missed": 1}}, ["nDCG@10"])["nDCG@10"]["1"] < 1


def test_a_topic_that_the_run_lacks_counts_0_and_one_without_judgments_does_not_count():
    found = evaluate({"1": {"a": 1.0}, "9": {"a": 1.0}}, {"1": {"a": 1}, "2": {"a": 1}}, ["RR", "Judged@1"])
    assert found == {"RR": {"1": 1.0, "2": 0.0}, "Judged@1": {"1": 1.0, "2": 0.0}}
    assert mean(found["RR"]) == 0.5


def test_judged_counts_empty_ranks_as_unjudged_and_grade_0_as_judged():
    run, qrels = {"1": {"a": 3.0, "b": 2.0, "c": 1.0}}, {"1": {"a": 0, "c": -1}}
    found = evaluate(run, qrels, ["Judged@1", "Judged@2", "Judged@10"])
    assert {name: by_topic["1"] for name, by_topic in found.items()} == {
        "Judged@1": 1,
        "Judged@2": 0.5,
        "Judged@10": 0.2,
    }


def test_judged_breaks_ties_as_trec_eval_does():
    # equal as float32: trec_eval puts the id that sorts last first
    assert evaluate({"1": {"a": 1.00000001, "b": 1.0}}, {"1": {"b": 1}}, ["P@1", "Judged@1"]) == {
        "P@1": {"1": 1.0},
        "Judged@1": {"1": 1.0},
    }


@pytest.mark.parametrize(
    "name",
    [
        "nDCG@0",
        "nDCG@-1",
        "ndcg@10",
        "",
        "P@ten",
        "(" * 5000,
        "__import__('os')",
        "P(rel=0)@3",
        "P(2)@3",
    ],
)
def test_a_measure_that_there_is_not_is_refused_with_those_that_are(name):
    with pytest.raises(UserError, match="nDCG@k"):
        parse_measure(name)


def test_a_measures_name_is_taken_apart_and_put_together():
    names = ("nDCG@10", "nDCG", "P(rel=2)@20", "R@1000", "AP", "AP@10", "AP(rel=3)", "Bpref", "RR(rel=2)", "RR@10")
    for name in (*names, "Judged@5", "Rprec", "Success@5", "ERR@20", "RBP(rel=1)", "RBP(rel=2)"):
        measure = parse_measure(name)
        assert measure_name(measure.name, measure.cutoff, measure.relevance) == name
    assert parse_measure("P(rel=2)@20")[1:4] == ("P", 20, 2)
    assert parse_measure("P(rel=1)@20") == parse_measure("P@20")
    assert measure_name("Bpref", 10) == "Bpref"
    assert measure_name("nDCG", 10, 2) == "nDCG@10"
    assert split_names("AP, RBP(rel=1,p=0.5),nDCG(gains={0:0,1:3})@10") == [
        "AP",
        "RBP(rel=1,p=0.5)",
        "nDCG(gains={0:0,1:3})@10",
    ]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("RBP", r"RBP\(rel=1\)"),
        ("ERR", "ERR@10"),
        ("INST", r"max_rel \(required\)"),
        ("nDCG(rel=2)@10", "cutoff, dcg, gains"),
        ("Judged(rel=2)@10", "cutoff"),
        ("alpha_nDCG@10", "subtopics"),
    ],
)
def test_a_measure_with_wrong_parameters_is_refused_with_what_it_needs(name, why):
    with pytest.raises(UserError, match=why):
        parse_measure(name)


def test_other_names_of_a_measure_are_its_own():
    assert [parse_measure(name).notation for name in ("NDCG@10", "MRR@10", "RBP(p=0.8, rel=1)")] == [
        "nDCG@10",
        "RR@10",
        "RBP(rel=1)",
    ]


def test_measures_that_trec_eval_lacks_follow_their_definitions_and_its_order_of_ties():
    # "c" comes before "b" and "a" among tied documents, as in trec_eval: ranks are d, c, b, a
    run = {"a topic": {"a": 1.0, "b": 1.0, "c": 1.0, "d": 2.0}, "none": {}}
    qrels = {"a topic": {"b": 1, "a": 2, "d": 0}, "none": {"x": 1}, "negative": {"y": -1}}
    found = evaluate(run, qrels, ["RR@2", "RR@3", "RBP(rel=1,p=0.5)", "RBP(rel=2,p=0.5)", "ERR@20", "NumRet"])
    expected = {
        "RR@2": 0,
        "RR@3": 1 / 3,
        "RBP(rel=1,p=0.5)": 0.5 * (0.25 + 0.125),
        "RBP(rel=2,p=0.5)": 0.5 * 0.125,
        "ERR@20": 1 / 16 / 3 + 15 / 16 * 3 / 16 / 4,
        "NumRet": 4,
    }
    # gdeval prints five digits
    assert {name: by["a topic"] for name, by in found.items()} == pytest.approx(expected, abs=1e-5)
    assert all(by["none"] == by["negative"] == 0 for by in found.values())
    # c at rank 2 is unjudged, and nothing is known after rank 4
    assert rbp_residual(run, qrels, 0.5)["a topic"] == pytest.approx(0.5 * 0.5 + 0.5**4)
    assert rbp_residual(run, qrels, 0.5)["none"] == 1
    assert providers(["AP", "ERR@20", "Judged@5"]) == (
        "Measures by trec_eval (pytrec_eval): AP; gdeval (ir_measures): ERR@20; RankScope: Judged@5"
    )


def test_the_lowest_relevant_grade_is_a_choice():
    run, qrels = {"1": {"a": 4.0, "b": 3.0, "c": 2.0, "d": 1.0}}, {"1": {"a": 1, "b": 2, "c": 0, "x": 2}}
    found = evaluate(run, qrels, ["P@2", "P(rel=2)@2", "R(rel=2)@4", "AP(rel=2)", "RR(rel=2)", "RR"])
    assert {name: by_topic["1"] for name, by_topic in found.items()} == {
        "P@2": 1,
        "P(rel=2)@2": 0.5,
        "R(rel=2)@4": 0.5,
        "AP(rel=2)": 0.25,
        "RR(rel=2)": 0.5,
        "RR": 1,
    }


def test_the_precision_recall_curve_worked_by_hand():
    # relevant at ranks 1 and 4 of two retrieved and four in all: recall 1/4 at precision 1, recall 1/2 at precision 1/2
    run = {"1": {"a": 4.0, "x": 3.0, "y": 2.0, "b": 1.0}, "2": {}}
    qrels = {"1": {"a": 1, "b": 2, "c": 1, "d": 1, "x": 0}, "2": {"a": 1}, "3": {"a": -1}}
    curve = interpolated_precision(run, qrels)
    expected = [1, 1, 1, 0.5, 0.5, 0.5, 0, 0, 0, 0, 0]
    assert list(curve) == ["0.0", "0.1", "0.2", "0.3", "0.4", "0.5", "0.6", "0.7", "0.8", "0.9", "1.0"]
    assert [by_topic["1"] for by_topic in curve.values()] == pytest.approx(expected)
    assert all(by_topic["2"] == by_topic["3"] == 0 for by_topic in curve.values())
    assert [by_topic["1"] for by_topic in interpolated_precision(run, qrels, 2).values()] == [0.25] * 11


@given(run=runs, qrels=qrels_without_negative_grades, relevance=st.sampled_from([1, 2]))
def test_the_precision_recall_curve_is_as_its_definition_has_it(run, qrels, relevance):
    assume(run.keys() & qrels.keys())
    curve = interpolated_precision(run, qrels, relevance)
    for topic, judgments in qrels.items():
        relevant = [judgments.get(document, 0) >= relevance for document in trec_eval_order(run.get(topic, {}))]
        total = sum(grade >= relevance for grade in judgments.values())
        points = [(sum(relevant[:rank]), sum(relevant[:rank]) / rank) for rank in range(1, len(relevant) + 1)]
        for tenth, by_topic in enumerate(curve.values()):
            needed = int(tenth / 10 * total + 0.9)
            reached = [precision for found, precision in points if total and found >= needed]
            assert by_topic[topic] == pytest.approx(max(reached, default=0), abs=1e-9)


def test_a_topic_of_negative_grades_alone_or_with_nothing_retrieved_counts_0_and_does_not_end_python():
    # pytrec_eval writes outside its memory there, and often dies of it: tried in a process of its own, many times over
    script = """
from core.evaluation.measures import evaluate
for size in list(range(1, 13)) * 100:
    names = "abcdefghijkl"[:size]
    qrels = {"1": dict.fromkeys(names, -1), "2": dict.fromkeys(names, -2), "3": {"a": 1}}
    run = {topic: {name: float(ord(name)) for name in names} for topic in "123"}
    found = evaluate(run, qrels, ["nDCG@3", "P@3", "R@3", "AP", "Bpref", "RR", "nDCG@10", "P@10", "R@100"])
    assert all(by_topic["1"] == by_topic["2"] == 0 for by_topic in found.values()), found
    assert abs(found["RR"]["3"] - 1 / size) < 1e-9, found
    found = evaluate({"3": {}}, qrels, ["nDCG@3", "P@3", "R@100", "AP", "Bpref", "RR"])
    assert all(by_topic["3"] == 0 for by_topic in found.values()), found
"""
    ended = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == 0, ended


def test_a_run_of_other_topics_is_refused():
    with pytest.raises(UserError, match="no topic in common"):
        check_topics("mine.run", {"7": {"a": 1.0}}, {"1": {"a": 1}})
    check_topics("mine.run", {}, {"1": {"a": 1}})


# Published figures


@pytest.mark.data
def test_the_runs_of_round_5_have_their_official_scores(data_folder, command):
    folder = data_folder / "trec-covid-runs" / "round5"
    runs = sorted(folder.glob("*.run.gz"))
    assert len(runs) == 8
    columns = {"nDCG@20": "ndcg@20", "P@20": "P@20", "Bpref": "bpref", "AP": "map"}
    rbp = ("RBP(rel=1,p=0.5)", "RBP(rel=2,p=0.5)")
    outcome = command(
        main, *runs, "--qrels", folder / "qrels.covid-round5.txt.gz", "--measures", ",".join([*columns, *rbp]), "--json"
    )
    assert outcome.status == 0, outcome.err
    found = json.loads(outcome.out)
    with (folder / "official-scores.csv").open(newline="") as file:
        official = {
            row["tag"]: {ours: float(row[theirs]) for ours, theirs in (columns | {"RBP": "rbp_p5"}).items()}
            for row in csv.DictReader(file)
        }
    for by_name in found.values():
        by_name["RBP"] = (
            sum(by_name[name] for name in rbp) / 2
        )  # NIST's has the gains 0, 1/2 and 1 for grades 0, 1 and 2
    assert {
        tag: {name: round(by_name[name], 4) for name in official[tag]} for tag, by_name in found.items()
    } == official


@pytest.mark.data
def test_every_measure_of_the_runs_of_round_5_is_as_ir_measures_has_it(data_folder):
    folder = data_folder / "trec-covid-runs" / "round5"
    qrels = read_qrels(folder / "qrels.covid-round5.txt.gz")
    names = ["nDCG", "AP@100", "RR@10", "Success@5", "Rprec", "RBP(rel=1)", "RBP(rel=2,p=0.95)", "ERR@20", "infAP"]
    names += ["Compat(p=0.95)", "SetF(beta=0.5)", "IPrec@0.1", "nDCG(dcg='exp-log2')@10", "P(judged_only=True)@10"]
    names += ["BPM(max_rel=2,T=1.0)@10", "SDCG(max_rel=2)@10", "INST(max_rel=2)", "INSQ(max_rel=2)", "NumRet"]
    measures = [ir_measures.parse_measure(name) for name in names]
    for path in sorted(folder.glob("*.run.gz")):
        run = read_run(path).scores
        ranks = {
            t: {d: r for r, d in enumerate(reversed(trec_eval_order(by)), 1)} for t, by in run.items()
        }  # without ties
        theirs = {str(measure): dict.fromkeys(qrels, 0.0) for measure in measures}
        for found in ir_measures.iter_calc(measures, qrels, ranks):
            theirs[str(found.measure)][found.query_id] = found.value
        ours = evaluate(run, qrels, names)
        for name in names:
            assert ours[name] == pytest.approx(theirs[str(ir_measures.parse_measure(name))], abs=1e-9), (path, name)


@pytest.mark.data
def test_the_runs_over_the_whole_collection_have_their_published_ndcg(data_folder, command):
    folder = data_folder / "trec-covid-runs" / "full"
    arguments = ["--qrels", folder / "qrels.beir.txt.gz", "--measures", "nDCG@10", "--json"]
    by_score = command(main, *sorted(folder.glob("*.run.gz")), *arguments)
    found = {name: round(by_name["nDCG@10"], 4) for name, by_name in json.loads(by_score.out).items()}
    assert found == {"bm25": 0.5963, "bm25-doc2query-t5": 0.6448, "all-MiniLM-L6-v2": 0.4709}
    assert "note: all-MiniLM-L6-v2" in by_score.err
    by_rank = command(main, folder / "all-MiniLM-L6-v2.run.gz", "--by-rank", *arguments)
    assert round(json.loads(by_rank.out)["all-MiniLM-L6-v2"]["nDCG@10"], 4) == 0.4760


@pytest.mark.data
def test_a_run_with_its_lines_shuffled_measures_the_same(data_folder, tmp_path):
    folder = data_folder / "trec-covid-runs" / "round5"
    qrels = read_qrels(folder / "qrels.covid-round5.txt.gz")
    run = read_run(folder / "uab.base.run.gz")
    lines = [f"{t} Q0 {d} 1 {s!r} t\n" for t, by_document in run.scores.items() for d, s in by_document.items()]
    random.Random(3).shuffle(lines)
    (tmp_path / "shuffled.run").write_text("".join(lines))
    names = [*MEASURES, "Judged@10"]
    assert evaluate(read_run(tmp_path / "shuffled.run").scores, qrels, names) == evaluate(run.scores, qrels, names)


def test_of_several_measures_the_one_that_fails_is_named(monkeypatch):
    calc = ir_measures.iter_calc

    def failing(measures, qrels, run):
        if any(str(measure) == "infAP" for measure in measures):
            raise ZeroDivisionError("float division by zero")
        return calc(measures, qrels, run)

    monkeypatch.setattr(ir_measures, "iter_calc", failing)
    with pytest.raises(UserError, match=r"^infAP: ir_measures failed"):
        evaluate({"1": {"a": 1.0}}, {"1": {"a": 1}}, ["RR@10", "infAP", "SetP"])
