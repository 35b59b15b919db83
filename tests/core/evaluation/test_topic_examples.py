"""Example topics: the largest win and loss, and the same score with different documents, on cases worked by hand."""

import math

from core.evaluation.topic_examples import find_examples
from core.evaluation.topic_tables import differences
from core.formats.documents import Document
from core.formats.topics import Topic

QRELS = {"win": {"r": 1}, "loss": {"r": 1}, "same": {"r": 1, "s": 1}, "zero": {"r": 1}}
A = {"win": ["r", "n"], "loss": ["n", "m", "r"], "same": ["r", "s"], "zero": ["n", "m"]}
B = {"win": ["n", "r"], "loss": ["r", "n"], "same": ["s", "r"], "zero": ["m", "x"]}
AT = {1: 1.0, 2: 1 / math.log2(3), 3: 0.5}
"""nDCG of a topic with one relevant document, by its rank."""
VALUES_A = {"win": AT[1], "loss": AT[3], "same": 1.0, "zero": 0.0}
VALUES_B = {"win": AT[2], "loss": AT[1], "same": 1.0, "zero": 0.0}
TOPICS = {name: Topic(name, f"query {name}", "") for name in QRELS}


def scores(lists: dict[str, list[str]]) -> dict[str, dict[str, float]]:
    return {topic: {d: 10.0 - rank for rank, d in enumerate(ranking)} for topic, ranking in lists.items()}


def test_each_kind_has_its_topic_its_sentence_and_both_lists() -> None:
    documents = {"r": Document("r", "A relevant document", "")}
    table = differences(VALUES_A, VALUES_B, TOPICS)
    win, loss, same = find_examples(table, "nDCG@10", (scores(A), scores(B)), QRELS, documents)
    assert (win.kind, win.topic, win.query) == ("Largest win", "win", "query win")
    gain = f"{AT[1] - AT[2]:+.4f}"
    assert win.sentence == (
        f"{gain} nDCG@10; largest contribution: “A relevant document” (relevant) rises from rank 2 to 1 ({gain})."
    )
    assert [(d.document, d.grade, d.title) for d in win.top_a] == [("r", 1, "A relevant document"), ("n", None, "n")]
    assert (loss.kind, loss.topic) == ("Largest loss", "loss")
    assert "falls from rank 1 to 3 (-0.5000)" in loss.sentence
    assert (same.kind, same.topic) == ("Same score, different documents", "same"), "a score above 0 comes first"
    assert same.sentence == "Both have nDCG@10 1.0000, with 2 of the top 10 documents in common."


def test_scores_that_are_only_close_are_said_to_be() -> None:
    table = differences({"win": 1.0, "same": 0.505}, {"win": 0.5, "same": 0.5}, TOPICS)
    _, same = find_examples(table, "AP", (scores(A), scores(B)), QRELS, {})
    assert same.sentence == "AP 0.5050 and 0.5000 (equal within 0.01), with 2 of the top 10 documents in common."


def test_kinds_that_do_not_occur_are_left_out() -> None:
    table = differences(VALUES_A, VALUES_A, TOPICS)
    assert find_examples(table, "nDCG@10", (scores(A), scores(A)), QRELS, {}) == []
    one = differences({"win": 1.0}, {"win": 0.5}, TOPICS)
    assert [e.kind for e in find_examples(one, "AP", (scores(A), scores(B)), QRELS, {})] == ["Largest win"]
    none = differences({"win": 0.0}, {"win": 0.0}, TOPICS)
    assert find_examples(none, "nDCG@10", ({}, {}), QRELS, {}) == [], "no system retrieved anything"


def test_a_measure_other_than_ndcg_names_what_the_contribution_is_to() -> None:
    table = differences({"win": 1.0}, {"win": 0.5}, TOPICS)
    (win,) = find_examples(table, "RR", (scores(A), scores(B)), QRELS, {})
    assert win.sentence.startswith("+0.5000 RR; largest contribution to nDCG@10: “r”")
