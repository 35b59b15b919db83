"""Tables by topic: differences of two systems, difficulty, query length, topic types, notable topics."""

from collections.abc import Mapping, Sequence
from statistics import median

import pandas as pd

from core.evaluation.significance import Values
from core.formats.qrels import Qrels
from core.formats.topics import Topic

MEDIAN = "-median"
"""Stands for the median system where a system is named; no system can have this name."""


def differences(a: Mapping[str, float], b: Mapping[str, float] | None, topics: Mapping[str, Topic]) -> pd.DataFrame:
    """Return the topics that both systems have, largest difference a - b first; without b, the values of a.

    Columns: topic, kind, query, a, b, difference.
    """
    rows = [
        {
            "topic": topic,
            "kind": topics[topic].kind if topic in topics else "",
            "query": topics[topic].query if topic in topics else "",
            "a": value,
            "b": None if b is None else b[topic],
            "difference": value - (0.0 if b is None else b[topic]),
        }
        for topic, value in a.items()
        if b is None or topic in b
    ]
    table = pd.DataFrame(rows, columns=["topic", "kind", "query", "a", "b", "difference"])
    return table.sort_values(["difference", "topic"], ascending=[False, True], kind="stable", ignore_index=True)


def means_by_type(values: Mapping[str, Mapping[str, float]], topics: Mapping[str, Topic]) -> pd.DataFrame:
    """Return the mean of each system over the topics of each kind; no rows where the topics have no kinds."""
    rows = [
        {"kind": topics[topic].kind, "system": system, "topic": topic, "value": value}
        for system, by_topic in values.items()
        for topic, value in by_topic.items()
        if topic in topics and topics[topic].kind
    ]
    if not rows:
        return pd.DataFrame()
    tidy = pd.DataFrame(rows)
    table = tidy.pivot_table(index="kind", columns="system", values="value", aggfunc="mean", sort=False)
    table.insert(0, "topics", tidy.groupby("kind", sort=False)["topic"].nunique())
    return table


def median_system(values: Values) -> dict[str, float]:
    """Return each topic's median over the systems that have it."""
    topics = dict.fromkeys(topic for by_topic in values.values() for topic in by_topic)
    return {topic: median(by[topic] for by in values.values() if topic in by) for topic in topics}


def tallies(values: Values, against: str, topics: Sequence[str], tie: float) -> pd.DataFrame:
    """Return every other system's wins, ties and losses against one, over those of the topics that both have.

    Index: system; columns: topics, difference (its mean), wins, ties, losses.
    """
    rows = {}
    for system, by_topic in values.items():
        kept = [topic for topic in topics if topic in by_topic and topic in values[against]]
        if system == against or not kept:
            continue
        differences = [by_topic[topic] - values[against][topic] for topic in kept]
        wins, losses = sum(d > tie for d in differences), sum(d < -tie for d in differences)
        rows[system] = {
            "topics": len(kept),
            "difference": sum(differences) / len(kept),
            "wins": wins,
            "ties": len(kept) - wins - losses,
            "losses": losses,
        }
    return pd.DataFrame.from_dict(rows, orient="index", columns=["topics", "difference", "wins", "ties", "losses"])


def difficulty(values: Values, topics: Mapping[str, Topic], qrels: Qrels, kept: Sequence[str]) -> pd.DataFrame:
    """Return the topics, hardest first, with the mean over systems and the range that it hides.

    Columns: topic, query, mean, lowest, highest, best (system), relevant, judged, then one a system.
    """
    rows = []
    for topic in kept:
        by_system = {system: by_topic[topic] for system, by_topic in values.items() if topic in by_topic}
        judgments = qrels.get(topic, {})
        rows.append(
            {
                "topic": topic,
                "query": topics[topic].query if topic in topics else "",
                "mean": sum(by_system.values()) / len(by_system),
                "lowest": min(by_system.values()),
                "highest": max(by_system.values()),
                "best": max(by_system, key=by_system.__getitem__),
                "relevant": sum(grade > 0 for grade in judgments.values()),
                "judged": len(judgments),
            }
            | by_system
        )
    columns = ["topic", "query", "mean", "lowest", "highest", "best", "relevant", "judged", *values]
    return pd.DataFrame(rows, columns=columns).sort_values("mean", kind="stable", ignore_index=True)


def with_lengths(table: pd.DataFrame, topics: Mapping[str, Topic], topic_field: str) -> pd.DataFrame:
    """Return a table of topics with the number of words of the text that was searched as the column words."""
    texts = [topics[topic].text(topic_field) if topic in topics else "" for topic in table["topic"]]
    return table.assign(words=[len(text.split()) for text in texts])


def rank_correlation(x: pd.Series, y: pd.Series) -> tuple[float, float] | None:
    """Return Spearman's rank correlation and its p value; None where one of the two does not vary."""
    if len(x) < 3 or x.nunique() < 2 or y.nunique() < 2:
        return None
    from scipy import stats  # half a second, for this one view

    found = stats.spearmanr(x, y)
    return float(found.statistic), float(found.pvalue)


def contrasts(table: pd.DataFrame, overlaps: Mapping[str, float], tie: float, count: int) -> dict[str, list[str]]:
    """Pick the topics to look at first: "a" and "b" are furthest ahead in, and "apart" have tied with other documents.

    Args:
        table: from `tables.differences`, largest first.
        overlaps: topic -> overlap of the two lists; topics without one are not picked for "apart".
    """
    ahead = table[table["difference"] > tie]["topic"]
    behind = table[table["difference"] < -tie]["topic"]
    tied = [topic for topic in table[table["difference"].abs() <= tie]["topic"] if overlaps.get(topic, 1.0) < 1]
    return {
        "a": list(ahead[:count]),
        "b": list(behind[::-1][:count]),
        "apart": sorted(tied, key=lambda topic: overlaps[topic])[:count],
    }
