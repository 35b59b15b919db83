"""The ranked lists of a topic side by side, and the relevant documents that they miss."""

from collections.abc import Sequence
from dataclasses import replace

import streamlit as st

from core.evaluation import rank_tables
from dashboard.shared import clicks, results, state, widgets
from dashboard.shared.escaping import escape_markdown
from dashboard.shared.ranked_lists import Chip, Hit, grade_dot, rank_chip
from dashboard.views.topic.explanation import STYLE, WAITING, explanations
from dashboard.views.topic.shown import Shown, exports
from dashboard.views.topic.side_by_side import Column, side_by_side


def open_document(value: str) -> None:
    """Keep in the URL which document was opened, and in which list; `value` begins with the list's letter."""
    letter, _, document = value.partition(" ")
    state.write("list", letter)
    state.write("document", document)


def switches(depth: int, several: bool) -> None:
    """Draw the switches of the lists: only differences, and the ideal ranking in place of the missed documents."""
    if several:
        folds = f"Fold away the documents that are in the top {depth} of all lists."
        state.switch("Only differences", "differences", folds)
    state.switch("Ideal ranking", "ideal", "Show the best possible order in place of the missed documents.")


def lists(shown: Shown) -> None:
    """Draw the ranked lists of the systems and the missed relevant documents, or the ideal ranking, side by side."""
    clicks.reported("documents", open_document)
    values = results.values(shown.opened, shown.measure)
    by_system = {system: values[system][shown.topic.id] for system in shown.systems}
    columns = [_ranked(shown, system, by_system[system]) for system in shown.systems]
    columns.append(_ideal(shown) if state.read("ideal") == "on" else _missed(shown))
    opened = state.read("document")
    if opened in shown.content.documents and not _places(columns, opened):
        columns[-1].hits.append(_hit(shown, opened, "", [_chip(shown, system, opened) for system in shown.systems]))
    folded = rank_tables.shared_documents(shown.rankings, shown.depth) if state.read("differences") == "on" else []
    relevant = {document for document, _ in shown.ideal}
    warning, place = st.container(), st.empty()

    def draw(explanation: str) -> None:
        _open_row(columns, opened, explanation)
        place.html(STYLE + side_by_side(columns, set(folded) - {opened}, relevant))

    draw(WAITING)
    table = rank_tables.lists_table(
        shown.scores,
        shown.judgments,
        shown.depth,
        shown.measure,
        by_system,
        shown.titles,
        shown.labels,
        shown.caption,
    )
    exports(shown, table, "lists", measure=shown.measure, systems=shown.systems, depth=shown.depth)
    with st.expander("Missed relevant documents and their ranks"):
        missed(shown)
    if _places(columns, opened):
        with warning:
            _say_older(shown)
        draw(explanations(shown, opened))  # last, as scoring may take seconds


def _open_row(columns: Sequence[Column], document: str, explanation: str) -> None:
    """Open the row of a document: the one that was clicked if it is still there, else its first."""
    places = _places(columns, document)
    if not places:
        return
    number, row = next((p for p in places if columns[p[0]].letter == state.read("list")), places[0])
    hits = columns[number].hits
    hits[row] = replace(hits[row], is_open=True, reports="", more=explanation)


def _places(columns: Sequence[Column], document: str) -> list[tuple[int, int]]:
    """Return the number of the column and of the row of each place where a document stands."""
    return [
        (number, row)
        for number, column in enumerate(columns)
        for row, hit in enumerate(column.hits)
        if hit.identity == document
    ]


def _say_older(shown: Shown) -> None:
    """Draw a warning where the current indexes, which explain the scores, are not those that made the runs."""
    explained = [system for system in shown.opened.profile.system if system.name in shown.systems]
    widgets.say_older(shown.opened, widgets.answering_artifacts(shown.opened, explained))


def _ranked(shown: Shown, system: str, value: float) -> Column:
    letter = shown.letters[system]
    hits = [
        _hit(
            shown,
            document,
            letter,
            [_chip(shown, other, document, rank) for other in shown.systems if other != system],
            rank,
            score,
        )
        for rank, (document, score) in enumerate(shown.scores[system][: shown.depth], 1)
    ]
    facts = rank_tables.list_facts(shown.scores[system], shown.depth, shown.judgments, shown.measure, value)
    return Column(letter, f"{letter}: {shown.labels[system]}", facts, hits, shown.spans(system))


def _missed(shown: Shown) -> Column:
    """Return the relevant documents that no list has in its top k."""
    found = set(rank_tables.shown_documents(shown.rankings, shown.depth))
    names = [name for name, _ in shown.ideal if name not in found]
    hits = [_hit(shown, name, "M", [_chip(shown, system, name) for system in shown.systems]) for name in names]
    facts = f"{len(names)} of {len(shown.ideal)} outside every top {shown.depth}"
    if len(names) > shown.depth:
        facts += f"; {shown.depth} shown"
    return Column("M", "Missed relevant", facts, hits[: shown.depth], shown.spans(""), ranked=False)


def _ideal(shown: Shown) -> Column:
    hits = [
        _hit(shown, name, "I", [_chip(shown, system, name) for system in shown.systems], rank)
        for rank, (name, _) in enumerate(shown.ideal[: shown.depth], 1)
    ]
    return Column("I", "Ideal ranking", rank_tables.ideal_facts(shown.judgments), hits, shown.spans(""), ranked=False)


def _hit(
    shown: Shown, document: str, letter: str, chips: Sequence[Chip], rank: int | None = None, score: float | None = None
) -> Hit:
    about, grade = shown.content.documents.get(document), shown.judgments.get(document)
    dot = grade_dot(grade, shown.content.highest_grade)
    return Hit(document, about, rank, dot, score, chips=chips, reports=f"{letter} {document}", more=WAITING)


def _chip(shown: Shown, system: str, document: str, here: int | None = None) -> Chip:
    """Return a chip with the rank of a document in a system's list, compared with its rank `here` if it has one."""
    letter, there, label = shown.letters[system], shown.ranks[system].get(document), shown.labels[system]
    if here:
        chip = rank_chip(letter, here, there, label)
        # Beside more than one other list there is room for the rank alone.
        return chip if len(shown.systems) < 3 else replace(chip, text=f"{letter}\u00a0{there or '–'}")
    return Chip(f"{letter}\u00a0{there or '–'}", f"rank {there} in {label}" if there else f"not retrieved by {label}")


def missed(shown: Shown) -> None:
    """Draw the relevant documents that a system misses in its top k, with their ranks."""
    table = rank_tables.missed_table(
        shown.rankings, shown.ideal, shown.depth, shown.titles, shown.labels, shown.caption
    )
    for sentence in table.sentences:
        st.markdown(escape_markdown(sentence))
    st.dataframe(
        table.shown.reset_index(),
        hide_index=True,
        placeholder="not retrieved",
        alt="Missed relevant documents, with their rank in each list",
    )
    exports(shown, table, "missed", systems=shown.systems, depth=shown.depth)
