"""Does the conclusion hold? The winner under other measures, cut-offs, thresholds, and without each topic."""

from collections.abc import Iterator

import pandas as pd
import streamlit as st

from core.evaluation.measures import Evaluator
from core.evaluation.robustness import Winner, leave_one_out, winner
from core.evaluation.significance import Values
from core.workspace.measure_names import measure_name, parse_measure
from dashboard.shared import data, export, results
from dashboard.shared.escaping import escape_markdown
from dashboard.shared.provenance import command, provenance
from dashboard.views.overview.view import View

CUTOFFS = (1, 3, 5, 10, 20, 50, 100)
COLUMNS = ["varied", "measure", "winner", "lead", "second", "holds"]


def variations(view: View) -> Iterator[tuple[str, str]]:
    """Yield what is varied, and the measure that is then looked at; the chosen measure first, none twice."""
    chosen = view.parsed
    seen = set()
    rows = [("as chosen", view.measure)]
    rows += [("other measure", measure) for measure in dict.fromkeys(view.tidy["measure"])]
    if chosen.family.with_cutoff:
        rows += [("other cut-off", measure_name(chosen.name, k, chosen.relevance)) for k in CUTOFFS]
    for relevance in range(1, view.content.highest_grade + 1):
        names = [chosen.name] if chosen.family.binary else ["P", "AP"]
        rows += [("other threshold", measure_name(name, view.cutoff, relevance)) for name in names]
    for varied, measure in rows:
        if measure not in seen and parse_measure(measure).name != "Judged":
            seen.add(measure)
            yield varied, measure


def table(view: View) -> pd.DataFrame:
    """Return one row a variation: what is varied, measure, winner, lead over the second, second, whether it holds."""
    first = winner(view.values)
    varied = list(variations(view))
    stored = set(view.tidy["measure"])
    others = tuple(measure for _, measure in varied if measure not in stored)
    computed = _measured(view.opened, view.systems, others, results.digests(view.opened, view.systems))
    rows = [
        (what, measure, *_row(view, winner(computed.get(measure) or results.values(view.opened, measure)), first))
        for what, measure in varied
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


# All measures of a run at once: of many systems, each run would be read anew for each measure.
@st.cache_data(max_entries=10, show_spinner=False, hash_funcs={data.Opened: lambda opened: str(opened.folder)})
def _measured(
    opened: data.Opened, systems: list[str], measures: tuple[str, ...], digests: tuple[str, ...]
) -> dict[str, Values]:
    evaluator = Evaluator(data.judged_topics(opened).qrels, measures)
    found = {system: evaluator.evaluate(results.run_scores(opened, system)) for system in systems}
    return {measure: {system: found[system][measure] for system in systems} for measure in measures}


@st.cache_data(max_entries=50, show_spinner=False)  # for each of the topics all others are added up anew
def _left_out(values: Values) -> dict[str, Winner]:
    return leave_one_out(values)


def one_topic_left_out(view: View, first: Winner, without: dict[str, Winner], changed: list[str]) -> pd.DataFrame:
    """Return, as `table`, a row for each topic without which another wins; where there is none, the closest call.

    Args:
        without: topic -> the winner over all other topics.
        changed: the topics without which another wins than `first`.
    """
    shown = {f"without topic {topic}": without[topic] for topic in changed}
    if without and not changed:
        closest = min(without, key=lambda topic: without[topic].lead)
        shown = {f"closest call: without topic {closest}": without[closest]}
    rows = [(varied, view.measure, *_row(view, one, first)) for varied, one in shown.items()]
    return pd.DataFrame(rows, columns=COLUMNS)


def _row(view: View, found: Winner, first: Winner) -> tuple[str, float, str, str]:
    names = " = ".join(view.labels[system] for system in found.systems)
    return names, found.lead, view.labels.get(found.second, ""), "yes" if found.systems == first.systems else "no"


def draw(view: View) -> None:
    """Draw the table and say how often another system wins."""
    found = table(view)
    first = winner(view.values)
    topics = len(next(iter(view.values.values())))
    without = _left_out(view.values) if topics > 2 else {}  # of two topics, one alone compares nothing
    changed = [topic for topic, one in without.items() if one.systems != first.systems]
    others = found[found["holds"] == "no"]
    names = " = ".join(view.labels[system] for system in first.systems)
    sentence = f"{names} has the highest mean {view.measure}. "
    sentence += f"It does not under {len(others)} of {len(found) - 1} other measures, cut-offs and thresholds. "
    if without:
        sentence += f"Leaving one topic out changes the winner for {len(changed)} of {len(without)} topics"
        sentence += f": {', '.join(changed)}." if changed else "."
    st.write(escape_markdown(sentence))
    config = {"lead": st.column_config.NumberColumn(format="%.4f")}
    shown = pd.concat([found, one_topic_left_out(view, first, without, changed)])
    st.dataframe(shown, hide_index=True, column_config=config, height="content", alt="The winner under other measures")
    with st.container(horizontal=True, vertical_alignment="center"):
        indexed = shown.set_index("varied")
        name = f"{view.opened.folder.name}-conclusion"
        export.downloads(indexed, name, f"The winner by {view.measure} and under variations")
        measures = ",".join(found["measure"])
        option = f'--measures "{measures}" --per-topic'
        commands = {system: command(view.opened, "evaluate", [system], option) for system in view.systems}
        provenance(
            view.opened, "conclusion", measures, commands, "the winner has the highest mean; its lead is no test"
        )
    st.caption(
        "A winner that changes with the measure or with a single topic is no conclusion. The lead is the difference to "
        "the second system; whether it is more than chance is for the tests above."
    )
