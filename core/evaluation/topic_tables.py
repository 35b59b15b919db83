"""Tables by topic: differences of two systems, difficulty, query length, topic types, notable topics."""

from collections.abc import Callable, Mapping, Sequence
from math import fsum
from statistics import median

import pandas as pd

from core.evaluation.measures import mean
from core.evaluation.ndcg_decomposition import split_difference
from core.evaluation.rank_tables import reason_sentence, split_cutoff
from core.evaluation.significance import Corrected, Values
from core.evaluation.table_formats import Table
from core.evaluation.verdicts import Verdict, verdict
from core.formats.qrels import Qrels, highest_grade
from core.formats.topics import Topic

CLOSE = 0.01
"""Largest difference of notable topics that counts as the same score: what a page shows as equal to two decimals."""
PICKED = 3
"""Number of notable topics of each kind."""
LENGTH = "query length (words)"
TIED = "Same score, different documents"
MEDIAN = "-median"
"""Name of the median system in place of a system's; no system can have this name."""
MEDIAN_LABEL = "median system"
TYPE_LABELS = {"meaning": "paraphrase (no shared words)", "exact": "exact term"}
"""Topic types -> their names where the stored name does not explain itself."""


def differences(a: Mapping[str, float], b: Mapping[str, float] | None, topics: Mapping[str, Topic]) -> pd.DataFrame:
    """Return the topics with values of both systems, largest difference a - b first; without b, the values of a.

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
    """Return the mean of each system over the topics of each type; empty if the topics have no types."""
    rows = [
        {"kind": topics[topic].kind, "system": system, "topic": topic, "value": value}
        for system, by_topic in values.items()
        for topic, value in by_topic.items()
        if topic in topics and topics[topic].kind
    ]
    if not rows:
        return pd.DataFrame()
    tidy = pd.DataFrame(rows)
    groups = tidy.groupby(["kind", "system"], sort=False)["value"]
    table = (
        groups.agg(_mean)
        .unstack()
        .reindex(index=list(dict.fromkeys(tidy["kind"])), columns=list(dict.fromkeys(tidy["system"])))
    )
    table.insert(0, "topics", tidy.groupby("kind", sort=False)["topic"].nunique())
    return table


def types_table(
    values: Values,
    topics: Mapping[str, Topic],
    labels: Mapping[str, str],
    measure: str,
    collection: str,
    differences: pd.DataFrame | None = None,
) -> Table:
    """Return the mean of each system over the topics of each type; empty if the topics have no types.

    Args:
        differences: a table from `differences`; adds a column with its mean by type and restricts the topics to its.
    """
    if differences is not None:
        kept = set(differences["topic"])
        values = {system: {t: v for t, v in by.items() if t in kept} for system, by in values.items()}
    table = means_by_type(values, topics)
    if differences is not None and not table.empty:
        table = table.join(mean_differences_by_type(differences)["difference"])
    table = table.rename(columns=dict(labels), index=TYPE_LABELS).rename_axis("topic type")
    return Table(table, f"{collection}: {measure} by topic type")


def mean_differences_by_type(differences: pd.DataFrame) -> pd.DataFrame:
    """Return the mean difference by topic type, indexed by kind, with columns topics, difference.

    Args:
        differences: the table from `differences`.
    """
    groups = differences[differences["kind"] != ""].groupby("kind", sort=False)["difference"]
    return groups.agg(["size", _mean]).set_axis(["topics", "difference"], axis=1)


def _mean(values: pd.Series) -> float:
    return fsum(values) / len(values)


def median_system(values: Values) -> dict[str, float]:
    """Return each topic's median over the systems with a value for it."""
    topics = dict.fromkeys(topic for by_topic in values.values() for topic in by_topic)
    return {topic: median(by[topic] for by in values.values() if topic in by) for topic in topics}


def tallies(values: Values, against: str, topics: Sequence[str], tie: float) -> pd.DataFrame:
    """Return every other system's wins, ties and losses against one system, over the topics that both have.

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
            "difference": fsum(differences) / len(kept),
            "wins": wins,
            "ties": len(kept) - wins - losses,
            "losses": losses,
        }
    return pd.DataFrame.from_dict(rows, orient="index", columns=["topics", "difference", "wins", "ties", "losses"])


def difficulty(values: Values, topics: Mapping[str, Topic], qrels: Qrels, kept: Sequence[str]) -> pd.DataFrame:
    """Return the topics, hardest first, with the mean and the range over systems.

    Columns: topic, query, mean, lowest, highest, best (system), relevant, judged, then one per system.
    """
    rows = []
    for topic in kept:
        by_system = {system: by_topic[topic] for system, by_topic in values.items() if topic in by_topic}
        judgments = qrels.get(topic, {})
        rows.append(
            {
                "topic": topic,
                "query": topics[topic].query if topic in topics else "",
                "mean": mean(by_system),
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
    """Return a table of topics with the query length as an additional column words."""
    texts = [topics[topic].text(topic_field) if topic in topics else "" for topic in table["topic"]]
    return table.assign(words=[len(text.split()) for text in texts])


def rank_correlation(x: pd.Series, y: pd.Series) -> tuple[float, float] | None:
    """Return Spearman's rank correlation and its p value, or None if x or y is constant."""
    if len(x) < 3 or x.nunique() < 2 or y.nunique() < 2:
        return None
    from scipy import stats  # takes half a second to import, and only this view needs it

    found = stats.spearmanr(x, y)
    return float(found.statistic), float(found.pvalue)


def contrasts(table: pd.DataFrame, overlaps: Mapping[str, float], tie: float, count: int) -> dict[str, list[str]]:
    """Return the notable topics: the largest wins of "a" and of "b", and "apart", ties with the least overlap.

    Args:
        table: the table from `differences`, largest first.
        overlaps: topic -> overlap of the two lists; topics without one are not considered for "apart".
        tie: the largest absolute difference that counts as a tie; CLOSE if that is larger.
    """
    ahead = list(table[table["difference"] > tie]["topic"][:count])
    behind = list(table[table["difference"] < -tie]["topic"][::-1][:count])
    close = table[table["difference"].abs() <= max(tie, CLOSE)]["topic"]
    tied = [topic for topic in close if overlaps.get(topic, 1.0) < 1 and topic not in (*ahead, *behind)]
    return {"a": ahead, "b": behind, "apart": sorted(tied, key=lambda topic: overlaps[topic])[:count]}


def comparable(values: Values, b: str, topics: Sequence[str]) -> dict[str, dict[str, float]]:
    """Return the values of the systems on some topics, for `compare_corrected`; those of the median system, too, if it
    is system b."""
    shown = {**values, MEDIAN: median_system(values)} if b == MEDIAN else values
    return {system: {topic: of[topic] for topic in topics} for system, of in shown.items() if of.keys() >= set(topics)}


def topics_verdict(
    topics: int, labels: Mapping[str, str], a: str, b: str, measure: str, compared: Callable[[], Corrected]
) -> Verdict:
    """Return how system a compares with b over some topics.

    Args:
        topics: the number of topics.
        b: the other system, "" if there is none.
        compared: returns the comparison of the two on these topics; not called if there is none.
    """
    if not b:
        return Verdict(
            f"Only {labels[a]} is evaluated", f"the values are its {measure}, there is no system to compare it with"
        )
    if topics < 2:
        return Verdict(f"Topics selected: {topics}. At least two are needed to compare systems")
    return verdict(labels[a], labels[b], measure, *compared())


def differences_table(
    table: pd.DataFrame,
    labels: Mapping[str, str],
    a: str,
    b: str,
    measure: str,
    collection: str,
    compared: Callable[[], Corrected],
) -> Table:
    """Return the difference on every topic and the comparison of the two systems.

    Args:
        table: the table from `differences`; the other arguments as in `topics_verdict`.
    """
    shown = table.rename(columns={"a": labels[a], "b": labels[b]}) if b else table.drop(columns=["a", "b"])
    shown = shown.replace({"kind": TYPE_LABELS}).rename(columns={"kind": "type"}).set_index("topic")
    found = topics_verdict(len(table), labels, a, b, measure, compared)
    caption = f"{collection}, {measure}: differences by topic"
    return Table(shown, caption, sentences=[found.sentence], details=found.details)


def wins_table(
    values: Values, against: str, topics: Sequence[str], tie: float, labels: Mapping[str, str], caption: str
) -> Table:
    """Return the wins, ties and losses of every system, and of the median system, against one system.

    Args:
        topics, tie: as in `tallies`.
    """
    table = tallies({**values, MEDIAN: median_system(values)}, against, topics, tie)
    return Table(table.rename(index=dict(labels)).rename_axis("system"), f"{caption}: wins, ties and losses")


def heat_map_table(table: pd.DataFrame, labels: Mapping[str, str], systems: Sequence[str], caption: str) -> Table:
    """Return the values of every topic by system, hardest topic first.

    Args:
        table: the table from `difficulty`.
    """
    shown = table[["topic", "query", *systems]].rename(columns=dict(labels)).set_index("topic")
    return Table(shown, f"{caption}: heat map")


def difficulty_table(table: pd.DataFrame, labels: Mapping[str, str], systems: Sequence[str], caption: str) -> Table:
    """Return the mean and the range over systems for every topic, hardest first.

    Args:
        table: the table from `difficulty`.
    """
    columns = {"lowest": "minimum", "highest": "maximum", "best": "best system"}
    shown = table.drop(columns=list(systems)).replace({"best": dict(labels)}).rename(columns=columns).set_index("topic")
    return Table(shown, f"{caption}: topic difficulty")


def length_table(table: pd.DataFrame, caption: str) -> Table:
    """Return the query length and the difference of every topic, and their rank correlation.

    Args:
        table: the table from `with_lengths`.
    """
    found = rank_correlation(table["words"], table["difference"])
    said = (
        [f"Spearman's rank correlation of {LENGTH} and difference: {found[0]:+.2f} (p = {found[1]:.2g})."]
        if found
        else []
    )
    shown = table[["topic", "query", "words", "difference"]].rename(columns={"words": LENGTH}).set_index("topic")
    return Table(shown, f"{caption}: query length", sentences=said)


def notable_table(
    table: pd.DataFrame,
    tie: float,
    lists: Callable[[str], tuple[Sequence[str], Sequence[str]]] | None,
    overlaps: Mapping[str, float],
    qrels: Qrels,
    titles: Callable[[Sequence[str]], Mapping[str, str]],
    labels: tuple[str, str],
    measure: str,
    collection: str,
) -> Table:
    """Return the notable topics with what changed in each, indexed by topic.

    Args:
        table: the table from `differences`.
        lists: returns the rankings of a and b for a topic, or None if either has none.
        overlaps: topic -> rank-biased overlap of the two lists.
        titles: returns the names of documents.
        labels: the labels of a and b.
    """
    label_a, label_b = labels
    headings = dict(zip(("a", "b", "apart"), notable_headings(*labels), strict=True))
    picked = contrasts(table, overlaps, tie, PICKED)
    by_topic, k = table.set_index("topic"), split_cutoff(measure)
    rows = []
    for name, topics in picked.items():
        for topic in topics:
            said = ""
            if lists is not None:
                parts = split_difference(*lists(topic), qrels.get(topic, {}), k)
                names = titles([part.document for part in parts])
                said = reason_sentence(parts, label_a, label_b, k, names, highest_grade(qrels))
            query, difference = by_topic.loc[topic, ["query", "difference"]]
            rows.append((topic, headings[name], query, difference, overlaps.get(topic), said))
    columns = ["topic", "notable", "query", "difference", "overlap (RBO)", "change"]
    shown = pd.DataFrame(rows, columns=columns).astype({"difference": float, "overlap (RBO)": float})
    return Table(shown.set_index("topic"), f"{collection}, {measure}: notable topics")


def notable_headings(label_a: str, label_b: str) -> tuple[str, str, str]:
    """Return the headings of the three kinds of notable topics."""
    return f"Largest wins of {label_a}", f"Largest wins of {label_b}", TIED
