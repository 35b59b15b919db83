"""What document expansion did to a ranking: which documents it brought up, and which of them were judged relevant."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from core.evaluation.comparison_tables import comparison_sentence
from core.evaluation.grades import grade_text
from core.evaluation.significance import compare
from core.evaluation.table_formats import Table
from core.formats.documents import Document
from core.formats.qrels import Qrels
from core.formats.runs import Scores, ranked
from core.formats.topics import Topic
from core.retrieval.analyzer import Analyzer


@dataclass(frozen=True)
class Move:
    """A document's rank without and with expansion, None where the run has it not, and its grade, None unjudged."""

    document: str
    before: int | None
    after: int | None
    grade: int | None

    @property
    def places(self) -> float:
        """Places gained; a run that has the document not counts as the end of the list."""
        last = float("inf")
        before, after = self.before or last, self.after or last
        return 0.0 if before == after else before - after

    @property
    def relevant(self) -> bool:
        """Whether it was judged relevant."""
        return self.grade is not None and self.grade > 0


@dataclass(frozen=True)
class Effect:
    """Documents of one topic that came into the first ranks, or left them."""

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
    """Return the documents that are among the first `depth` of either ranking and stand elsewhere in the other.

    Those that gained most places come first.

    Args:
        before: document -> score for one topic, without expansion.
        after: the same with expansion.
    """
    old, new = ({name: rank for rank, (name, _) in enumerate(ranked(dict(run)), 1)} for run in (before, after))
    first = [name for ranks in (new, old) for name, rank in ranks.items() if rank <= depth]
    found = [Move(name, old.get(name), new.get(name), judgments.get(name)) for name in dict.fromkeys(first)]
    return sorted((move for move in found if move.places), key=lambda move: (-move.places, move.after or 0))


def effects(before: Scores, after: Scores, qrels: Qrels, depth: int) -> list[Effect]:
    """Count for every judged topic which documents came into the first `depth` ranks and which left them."""
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
    """Return the words of predicted queries that BM25 does not find in the document, and how many queries have each.

    A word is shown as the first of its spellings; the most frequent come first.
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
) -> Table:
    """Return what expansion did to every topic, the largest gain first, and how the two systems compare.

    Args:
        expanded, plain: the systems' values by the measure; topics without are left out.
        labels: of both systems.
    """
    gained = {topic: value - plain[topic] for topic, value in expanded.items()}
    rows = [
        {
            "topic": effect.topic,
            "query": topics[effect.topic].query if effect.topic in topics else "",
            f"{measure} gained": gained[effect.topic],
            "relevant in": effect.relevant_in,
            "relevant out": effect.relevant_out,
            "not relevant in": effect.not_relevant_in,
            "not relevant out": effect.not_relevant_out,
            "unjudged in": effect.unjudged_in,
            "unjudged out": effect.unjudged_out,
        }
        for effect in measured
        if effect.topic in gained
    ]
    table = pd.DataFrame(rows).sort_values(f"{measure} gained", ascending=False, kind="stable")
    said = comparison_sentence(*labels, measure, compare(expanded, plain))
    return Table(table.set_index("topic"), f"{collection}: effect of expansion by topic", sentences=[said])


MOVED: dict[str, Callable[[Move], bool]] = {
    "Helped: relevant documents brought up": lambda move: move.relevant and move.places > 0,
    "Harmed: not relevant documents brought up": lambda move: (
        move.grade is not None and not move.relevant and move.places > 0
    ),
    "Harmed: relevant documents pushed down": lambda move: move.relevant and move.places < 0,
}
"""What may have happened to a judged document."""


def moves_table(found: Sequence[Move], documents: Mapping[str, Document], highest_grade: int, caption: str) -> Table:
    """Return the judged documents that moved, by what that means: their ranks, grade and title.

    Args:
        found: from `moves`.
    """
    rows = []
    for effect, chosen in MOVED.items():
        moved = [move for move in found if chosen(move)]
        for move in moved if moved and moved[0].places > 0 else reversed(moved):
            title = documents[move.document].title if move.document in documents else ""
            rows.append((effect, move.document, move.before, move.after, grade_text(move.grade, highest_grade), title))
    columns = ["effect", "document", "without", "with", "grade", "title"]
    table = pd.DataFrame(rows, columns=columns).astype({"without": "Int64", "with": "Int64"})
    unjudged = sum(move.grade is None for move in found)
    said = [f"{unjudged} unjudged documents moved as well."]
    return Table(table.set_index("effect"), f"{caption}: documents that expansion moved", sentences=said)
