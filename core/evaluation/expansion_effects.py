"""Effect of document expansion on rankings: the documents promoted and demoted, and whether they are relevant."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from core.evaluation.grades import grade_text
from core.evaluation.rank_tables import document_title
from core.evaluation.significance import Corrected
from core.evaluation.table_formats import Table
from core.evaluation.verdicts import verdict
from core.formats.documents import Document
from core.formats.qrels import Qrels
from core.formats.runs import Scores, ranked
from core.formats.topics import Topic
from core.retrieval.analyzer import Analyzer


@dataclass(frozen=True)
class Move:
    """A document's ranks without and with expansion (None: not in the run) and its grade (None: unjudged)."""

    document: str
    before: int | None
    after: int | None
    grade: int | None

    @property
    def places(self) -> float:
        """The number of ranks gained; a document missing from a run counts as ranked after its last one."""
        last = float("inf")
        before, after = self.before or last, self.after or last
        return 0.0 if before == after else before - after

    @property
    def relevant(self) -> bool:
        """Whether the document was judged relevant."""
        return self.grade is not None and self.grade > 0


@dataclass(frozen=True)
class Effect:
    """Numbers of documents of one topic that entered the top ranks or dropped out of them."""

    topic: str
    relevant_in: int
    relevant_out: int
    not_relevant_in: int
    not_relevant_out: int
    unjudged_in: int
    unjudged_out: int


def moves(
    before: Mapping[str, float], after: Mapping[str, float], judgments: Mapping[str, int], depth: int
) -> list[Move]:
    """Return the documents in the top `depth` of either ranking whose rank changed, largest gain first.

    Args:
        before: the scores of one topic without expansion, document -> score.
        after: the scores with expansion.
    """
    old, new = ({name: rank for rank, (name, _) in enumerate(ranked(dict(run)), 1)} for run in (before, after))
    first = [name for ranks in (new, old) for name, rank in ranks.items() if rank <= depth]
    found = [Move(name, old.get(name), new.get(name), judgments.get(name)) for name in dict.fromkeys(first)]
    return sorted((move for move in found if move.places), key=lambda move: (-move.places, move.after or 0))


def effects(before: Scores, after: Scores, qrels: Qrels, depth: int) -> list[Effect]:
    """Count, for every judged topic, the documents that entered the top `depth` and those that dropped out."""
    return [
        _effect(topic, moves(before.get(topic, {}), after.get(topic, {}), judgments, depth), depth)
        for topic, judgments in qrels.items()
    ]


def _effect(topic: str, moved: Iterable[Move], depth: int) -> Effect:
    counts = dict.fromkeys(
        [f"{kind}_{way}" for kind in ("relevant", "not_relevant", "unjudged") for way in ("in", "out")], 0
    )
    for move in moved:
        was, stands = (rank is not None and rank <= depth for rank in (move.before, move.after))
        if was != stands:
            kind = "unjudged" if move.grade is None else "relevant" if move.relevant else "not_relevant"
            counts[f"{kind}_{'in' if stands else 'out'}"] += 1
    return Effect(topic, **counts)


def new_terms(analyzer: Analyzer, document: Document, queries: Iterable[str]) -> list[tuple[str, int]]:
    """Return the terms that predicted queries add to the document, with the number of queries that contain each.

    A term is shown in its first spelling; the most frequent terms come first.
    """
    known = set(analyzer.tokens(document.full_text))
    spelled: dict[str, str] = {}
    counts: dict[str, int] = {}
    for query in queries:
        spans = list(analyzer.spans(query))
        for token, begin, end in spans:
            spelled.setdefault(token, query[begin:end].casefold())
        for token in {token for token, _, _ in spans} - known:
            counts[token] = counts.get(token, 0) + 1
    return sorted(((spelled[token], count) for token, count in counts.items()), key=lambda pair: (-pair[1], pair[0]))


def topics_table(
    measured: Iterable[Effect],
    expanded: Mapping[str, float],
    plain: Mapping[str, float],
    measure: str,
    topics: Mapping[str, Topic],
    labels: tuple[str, str],
    collection: str,
    compared: Corrected,
) -> Table:
    """Return the effect of expansion on every topic, largest gain first, and the comparison of the two systems.

    Args:
        expanded, plain: the systems' values of the measure; topics missing from either are left out.
        labels: the labels of both systems.
        compared: the comparison of the two.
    """
    gained = {topic: value - plain[topic] for topic, value in expanded.items()}
    rows = [
        {
            "topic": effect.topic,
            "query": topics[effect.topic].query if effect.topic in topics else "",
            f"{measure} difference": gained[effect.topic],
            "relevant gained": effect.relevant_in,
            "relevant lost": effect.relevant_out,
            "not relevant gained": effect.not_relevant_in,
            "not relevant lost": effect.not_relevant_out,
            "unjudged gained": effect.unjudged_in,
            "unjudged lost": effect.unjudged_out,
        }
        for effect in measured
        if effect.topic in gained
    ]
    table = pd.DataFrame(rows).sort_values(f"{measure} difference", ascending=False, kind="stable")
    found = verdict(labels[0], labels[1], measure, *compared)
    caption = f"{collection}: effect of expansion by topic"
    return Table(table.set_index("topic"), caption, sentences=[found.sentence], details=found.details)


MOVED: dict[str, Callable[[Move], bool]] = {
    "Helped: relevant documents promoted": lambda move: move.relevant and move.places > 0,
    "Harmed: non-relevant documents promoted": lambda move: (
        move.grade is not None and not move.relevant and move.places > 0
    ),
    "Harmed: relevant documents demoted": lambda move: move.relevant and move.places < 0,
}
"""Groups of judged documents by whether their move helps or harms, each with its condition."""


def moves_table(found: Sequence[Move], documents: Mapping[str, Document], highest_grade: int, caption: str) -> Table:
    """Return the judged documents that moved, grouped by effect, with their ranks, grade and title.

    Args:
        found: the moves from `moves`.
    """
    rows = []
    for effect, chosen in MOVED.items():
        moved = [move for move in found if chosen(move)]
        for move in moved if moved and moved[0].places > 0 else reversed(moved):
            title = document_title(documents.get(move.document), move.document)
            rows.append((effect, move.document, move.before, move.after, grade_text(move.grade, highest_grade), title))
    columns = ["effect", "document", "rank without", "rank with", "grade", "title"]
    table = pd.DataFrame(rows, columns=columns).astype({"rank without": "Int64", "rank with": "Int64"})
    unjudged = sum(move.grade is None for move in found)
    said = [f"Unjudged documents that changed rank: {unjudged}."]
    return Table(
        table.set_index("effect"), f"{caption}: judged documents promoted or demoted by expansion", sentences=said
    )
