"""What document expansion did to a ranking: which documents it brought up, and which of them were judged relevant."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pandas as pd

from core.evaluation.grades import grade_text
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
    measured: list[Effect], gained: Mapping[str, float], measure: str, topics: Mapping[str, Topic]
) -> pd.DataFrame:
    """Return one row a topic, the largest gain first.

    Args:
        gained: what each topic gained by the measure; topics without are left out.
    """
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
    return pd.DataFrame(rows).sort_values(f"{measure} gained", ascending=False, kind="stable", ignore_index=True)


def moves_table(found: list[Move], documents: Mapping[str, Document], highest_grade: int) -> pd.DataFrame:
    """Return one row a document that moved: its ranks, grade and title."""
    return pd.DataFrame(
        {
            "document": [move.document for move in found],
            "without": [move.before for move in found],
            "with": [move.after for move in found],
            "grade": [grade_text(move.grade, highest_grade) for move in found],
            "title": [documents[m.document].title if m.document in documents else "" for m in found],
        }
    ).astype({"without": "Int64", "with": "Int64"})
