"""Comparisons in words, against cases worked by hand and figures of scipy and numpy."""

import itertools
import re
from functools import partial

import numpy as np
import pytest
import scipy.stats

from core.evaluation import comparison_tables
from core.evaluation.significance import compare, compare_corrected
from core.evaluation.table_formats import MISSING
from core.evaluation.topic_tables import MEDIAN, comparable, topics_verdict
from core.evaluation.verdicts import baseline_verdicts, outcome_of, overall_verdict, p_relation, p_text, verdict

UP = {str(i): 0.5 + i / 100 for i in range(20)}
FLAT = {str(i): 0.1 for i in range(20)}


def paired_means(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.mean(a - b))


def test_a_verdict_states_difference_interval_one_corrected_p_and_wins() -> None:
    a = dict(zip("12345678", [0.2, 0.1, 0.3, 0.05, 0.0, 0.1, 0.9, -0.03], strict=True))
    b = dict.fromkeys(a, 0.0)
    low, high = scipy.stats.ttest_rel(list(a.values()), list(b.values())).confidence_interval(0.95)
    signs = np.array(list(itertools.product([1, -1], repeat=8)))
    p = float(np.mean(np.abs(signs @ list(a.values())) >= sum(a.values()) - 1e-9))
    said = verdict("A", "B", "AP", compare(a, b), min(1, 3 * p), 3)
    assert said.headline == "A vs B: +0.2025 AP, not significant"
    assert said.evidence == (
        f"95 % CI {low:+.4f} to {high:+.4f}; p = {3 * p:.2g} (randomisation test, Holm-adjusted over 3 comparisons); "
        "6 wins, 1 tie, 1 loss on 8 topics"
    )
    assert said.sentence == f"{said.headline}: {said.evidence}."
    assert f"p = {p:.2g} before correction, 256 sign assignments." in said.details[0]
    assert len(re.findall(r"\bp [=<]", said.sentence)) == 1, "one p; the others are details"
    assert not re.search("MDE|t-test", said.sentence)


def test_it_says_significant_only_where_it_is() -> None:
    found, worse = compare(UP, FLAT), compare(FLAT, UP)
    assert verdict("A", "B", "AP", found, 0.01).headline == "A beats B by +0.4950 AP"
    assert verdict("A", "B", "AP", found, 0.06).headline == "A vs B: +0.4950 AP, not significant"
    assert verdict("A", "B", "AP", worse, 0.01).headline == "A loses to B: -0.4950 AP"
    assert [outcome_of(one, p) for one, p in ((found, 0.01), (found, 0.05), (worse, 0.01))] == [
        "better",
        "not significant",
        "worse",
    ]


def test_what_has_no_variance_is_said_in_words_and_left_empty_in_tables() -> None:
    values = {"low": {"1": 0.1, "2": 0.6, "3": 0.2}, "high": {"1": 0.4, "2": 0.9, "3": 0.5}}
    values["same"] = dict(values["low"])
    table, found = comparison_tables.against_baseline(values, "low")
    readable = comparison_tables.readable(table)
    assert readable.loc["high", "p, randomisation test (Holm-adjusted)"] == "0.25 (0.5)"
    for column in ("95 % CI of difference", "MDE at 80 % power", "p, paired t-test (Holm-adjusted)"):
        assert readable.loc["high", column] == MISSING
    assert table.loc[["high", "same"], ["p t-test", "difference low", "detectable"]].isna().all(axis=None)
    said = baseline_verdicts(table, found, {"low": "L", "high": "H", "same": "S"}, "AP", "low")
    assert said["high"].sentence == (
        "H vs L: +0.3000 AP, not significant: the same difference on all 3 topics (zero variance: CI and t-test are "
        "undefined); p = 0.5 (randomisation test, Holm-adjusted over 2 comparisons); 3 wins, 0 ties, 0 losses on 3 "
        "topics."
    )
    assert said["same"].sentence == "S and L have the same AP on all 3 topics."
    assert not re.search("nan|None|MDE", " ".join([said["high"].sentence, *said["high"].details]))
    constant = {"none": {"1": 0.0, "2": 0.0}, "some": {"1": 0.5, "2": 0.25}}
    assert comparison_tables.with_intervals({"AP": constant}).loc["none", "AP"] == "0.0000 (–)"


def test_tests_that_disagree_are_said_to_in_the_details() -> None:
    a = dict(zip("12345678", [0.2, 0.1, 0.3, 0.05, 0.0, 0.1, 0.9, 0.02], strict=True))
    details = verdict("A", "B", "AP", compare(a, dict.fromkeys(a, 0.0))).details
    p_t_test = scipy.stats.ttest_1samp(list(a.values()), 0).pvalue
    of_signs = scipy.stats.permutation_test((list(a.values()), [0.0] * 8), paired_means, permutation_type="samples")
    assert of_signs.pvalue < 0.05 < p_t_test
    said = f"Paired t-test, on which the CI is based: p = {p_t_test:.2g}; it disagrees with the randomisation test"
    assert said in details[1]
    agreed = verdict("A", "B", "AP", compare(UP, FLAT)).details
    assert not any("disagrees" in sentence for sentence in agreed)


def test_too_few_topics_are_said_in_the_details() -> None:
    few = compare({"1": 0.1, "2": 0.3, "3": 0.5}, {"1": 0.0, "2": 0.0, "3": 0.0})
    assert (
        "With 3 topics, the smallest p that the randomisation test can give is 0.25"
        in verdict("A", "B", "AP", few).details[-1]
    )


def test_many_comparisons_are_counted_in_one_sentence() -> None:
    steps = {f"s{i:02}": {str(t): i / 10 + t / 1000 * (1 + i % 3) for t in range(20)} for i in range(30)}
    values = steps | {"copy": dict(steps["s10"])}
    table, found = comparison_tables.against_baseline(values, "s10")
    said = overall_verdict(table, found, "AP", "Ten")
    assert said.sentence == (
        "19 of 30 systems are significantly better than Ten in AP: 10 significantly worse, 1 not significantly "
        "different (randomisation test, p < 0.05, Holm-adjusted over 30 comparisons)."
    )


def test_a_comparison_over_topics_without_a_second_system_or_topics_says_so() -> None:
    labels = {"a": "A", "b": "B"}
    values = {"a": {"1": 0.5, "2": 0.25}, "b": {"1": 0.25, "2": 0.24}}
    compared = partial(compare_corrected, values, "a", "b", 0.1)
    assert "Only A is evaluated" in topics_verdict(2, labels, "a", "", "AP", compared).sentence
    assert topics_verdict(1, labels, "a", "b", "AP", compared).sentence.startswith("Topics selected: 1. At least two")
    assert "1 win, 1 tie, 0 losses on 2 topics" in topics_verdict(2, labels, "a", "b", "AP", compared).evidence


def test_p_is_corrected_over_all_systems_compared_with_b() -> None:
    generator = np.random.default_rng(1)
    values = {name: dict(zip("abcdefgh", generator.random(8), strict=True)) for name in ("x", "y", "z", "b")}
    signs = np.array(list(itertools.product([1, -1], repeat=8)))
    p = {}
    for name in ("x", "y", "z"):
        differences = np.array([values[name][t] - values["b"][t] for t in "abcdefgh"])
        p[name] = float(np.mean(np.abs(signs @ differences) >= abs(differences.sum()) - 1e-9))
    adjusted, least = {}, 0.0
    for number, name in enumerate(sorted(p, key=p.__getitem__)):
        least = adjusted[name] = max(least, min(1, p[name] * (3 - number)))
    for name in p:
        comparison, corrected, comparisons = compare_corrected(values, name, "b")
        assert (comparison.p_randomisation, corrected, comparisons) == (
            pytest.approx(p[name]),
            pytest.approx(adjusted[name]),
            3,
        )


def test_the_better_system_may_be_named_first() -> None:
    a, b = {"1": 0.1, "2": 0.3, "3": 0.2}, {"1": 0.2, "2": 0.35, "3": 0.1}
    said = verdict("B", "A", "AP", compare(b, a))
    assert verdict("A", "B", "AP", compare(a, b), better_first=True) == said
    assert verdict("B", "A", "AP", compare(b, a), better_first=True) == said


def test_the_median_system_and_a_selection_of_topics_can_be_compared() -> None:
    values = {"a": {"1": 0.5, "2": 0.25, "3": 0.0}, "b": {"1": 0.3, "2": 0.2, "3": 0.1}, "short": {"1": 1.0}}
    assert comparable(values, "b", ["1", "2"]) == {"a": {"1": 0.5, "2": 0.25}, "b": {"1": 0.3, "2": 0.2}}
    both = {name: values[name] for name in "ab"}
    assert comparable(both, MEDIAN, ["1"]) == {"a": {"1": 0.5}, "b": {"1": 0.3}, MEDIAN: {"1": 0.4}}


@pytest.mark.parametrize(
    ("p", "text", "relation"),
    [
        (0.0004, "< 0.001", "< 0.001"),
        (0.001, "0.001", "= 0.001"),
        (0.03125, "0.031", "= 0.031"),
        (0.0496, "0.0496", "= 0.0496"),
        (0.0504, "0.0504", "= 0.0504"),
        (1.0, "1", "= 1"),
    ],
)
def test_p_values_have_two_digits_and_four_where_two_would_hide_the_side_of_five_percent(p, text, relation):
    assert (p_text(p), p_relation(p)) == (text, relation)
