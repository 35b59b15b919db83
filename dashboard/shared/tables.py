"""The tables behind the pages: views of the tidy table of measures, without Streamlit."""

from collections.abc import Mapping, Sequence

import pandas as pd

from core.evaluation.significance import ROUNDING, Comparison
from core.formats.topics import Topic
from core.workspace.measure_names import parse_measure


def measure_order(measures: Sequence[str]) -> list[str]:
    """Return the measures with the judged share first after the nDCG of the same cut-off: one is not read alone."""
    ordered: list[str] = []
    for measure in measures:
        partner = measure.replace("nDCG@", "Judged@")
        ordered += [measure, partner] if partner != measure and partner in measures else [measure]
    return list(dict.fromkeys(ordered))


def evaluated_measures(tidy: pd.DataFrame, wanted: Sequence[str]) -> list[str]:
    """Return those of the measures that were evaluated, as `measure_order` has them."""
    known = set(tidy["measure"])
    return measure_order([measure for measure in wanted if measure in known])


def per_topic(tidy: pd.DataFrame, measure: str) -> dict[str, dict[str, float]]:
    """Return a measure's values, system -> topic -> value; a system that was not evaluated is absent."""
    rows = tidy[tidy["measure"] == measure]
    return {
        str(system): dict(zip(group["topic"], group["value"], strict=True))
        for system, group in rows.groupby("system", sort=False)
    }


def means(tidy: pd.DataFrame, measures: Sequence[str]) -> pd.DataFrame:
    """Return the mean over topics, one row a system, one column a measure."""
    table = tidy.pivot_table(index="system", columns="measure", values="value", aggfunc="mean", sort=False)
    return table[[measure for measure in measures if measure in table]]


def by_kind(values: Mapping[str, Mapping[str, float]], topics: Mapping[str, Topic]) -> pd.DataFrame:
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


def verdict(label_a: str, label_b: str, measure: str, found: Comparison) -> str:
    """Say in a sentence how two systems compare."""
    if found.interval is None and abs(found.difference) < ROUNDING:
        return f"Over {found.topics} topics, {label_a} and {label_b} have the same {measure} on each."
    t_test = "" if found.p_t_test is None else f", {p_text(found.p_t_test)} by t-test"
    return (
        f"Over {found.topics} topics, {label_a} minus {label_b} is {found.difference:+.4f} {measure}"
        f"{interval_text(found)}; {found.wins} wins, {found.ties} ties, {found.losses} losses; "
        f"p {p_relation(found.p_randomisation)} by randomisation test{t_test}."
    )


def interval_text(found: Comparison) -> str:
    """Return what follows a difference: its interval, or why there is none."""
    if found.interval is None:
        return f" on each of the {found.topics} topics: without variance there is no t-test and no interval"
    return f", 95 % CI {found.interval[0]:+.4f} to {found.interval[1]:+.4f}"


def p_text(p: float) -> str:
    """Return a p value with two digits, and more where these would be 0.05; "< 0.001" where it is."""
    if p < 0.001:
        return "< 0.001"
    return f"{p:.2g}" if f"{p:.2g}" != "0.05" else f"{p:.4f}"


def p_relation(p: float) -> str:
    """Return what stands after a p: "= 0.03", or "< 0.001"."""
    return p_text(p) if p < 0.001 else f"= {p_text(p)}"


def explanation(measure: str) -> str:
    """Say what a measure is."""
    return parse_measure(measure)[0].description
