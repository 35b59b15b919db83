"""The split of an nDCG difference: it adds up to trec_eval's own difference, and says what a reader would say."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.evaluation.measures import evaluate
from core.evaluation.ndcg_decomposition import ideal_ranking, shares, split_difference
from core.formats.runs import ranked

DOCUMENTS = [f"d{number}" for number in range(12)]
# Few different scores, so that many are tied, some of them in float32 only.
scores = st.dictionaries(st.sampled_from(DOCUMENTS), st.sampled_from([0.0, 0.5, 0.5 + 1e-12, 1.0, 2.0]), min_size=1)
qrels = st.dictionaries(st.sampled_from([*DOCUMENTS, "elsewhere"]), st.integers(-1, 3), min_size=1).filter(
    lambda judgments: max(judgments.values()) >= 0
)


def order(by_document: dict[str, float]) -> list[str]:
    return [document for document, _ in ranked(by_document)]


@given(scores, scores, qrels, st.integers(1, 14))
def test_the_parts_add_up_to_trec_evals_difference(
    a: dict[str, float], b: dict[str, float], judgments: dict[str, int], k: int
) -> None:
    measure = f"nDCG@{k}"
    values = [evaluate({"1": run}, {"1": judgments}, [measure])[measure]["1"] for run in (a, b)]
    assert sum(shares(order(a), judgments, k).values()) == pytest.approx(values[0])
    parts = split_difference(order(a), order(b), judgments, k)
    assert sum(part.value for part in parts) == pytest.approx(values[0] - values[1], abs=1e-12)
    assert len({part.document for part in parts}) == len(parts)


@given(scores, qrels, st.integers(1, 14))
def test_a_list_against_itself_and_against_nothing(a: dict[str, float], judgments: dict[str, int], k: int) -> None:
    same = split_difference(order(a), order(a), judgments, k)
    assert {(part.change, part.value) for part in same} == {("unchanged", 0.0)}
    alone = split_difference(order(a), [], judgments, k)
    assert {part.change for part in alone} == {"entered"}
    assert {part.document: part.value for part in alone} == shares(order(a), judgments, k)


def test_by_hand() -> None:
    judgments = {"x": 2, "y": 1, "z": 0, "far": -1}
    ideal = 2 + 1 / math.log2(3)
    parts = {part.document: part for part in split_difference(["x", "z", "n"], ["y", "x", "n"], judgments, 2)}
    assert list(parts) == ["y", "x", "z"], "the largest first; what is below the cut-off in both has no part"
    assert parts["x"].value == pytest.approx((2 - 2 / math.log2(3)) / ideal)
    assert (parts["x"].change, parts["x"].rank_a, parts["x"].rank_b, parts["x"].grade) == ("re-ranked", 1, 2, 2)
    assert parts["y"].value == pytest.approx(-1 / ideal)
    assert (parts["y"].change, parts["y"].rank_a) == ("dropped out", None)
    assert (parts["z"].change, parts["z"].value, parts["z"].rank_b) == ("entered", 0.0, None)
    below = split_difference(["n", "x"], ["x", "n"], judgments, 1)
    changes = {(p.document, p.change, p.rank_a, p.rank_b) for p in below}
    assert changes == {("n", "entered", 1, 2), ("x", "dropped out", 2, 1)}
    assert next(part for part in below if part.document == "n").grade is None, "unjudged is not grade 0"


def test_the_ideal_list_is_all_relevant_documents_with_ties_by_id_last_first() -> None:
    assert ideal_ranking({"a": 1, "b": 2, "c": 1, "d": 0, "e": -1}) == [("b", 2), ("c", 1), ("a", 1)]
    assert shares(["a", "b"], {"a": 0}, 2) == {"a": 0.0, "b": 0.0}, "nothing relevant: nothing to gain"


def test_what_makes_the_difference_comes_before_what_works_against_it() -> None:
    # Gains at rank 1 and 2: 3 for a; 2 and 2 / log2(3) = 1.26 for b, which is better, though "p" is the largest part.
    parts = split_difference(["p", "n"], ["q", "r"], {"p": 3, "q": 2, "r": 2}, 2)
    assert [part.document for part in parts][:3] == ["q", "r", "p"]
    assert sum(part.value for part in parts) < 0 < next(part.value for part in parts if part.document == "p")
