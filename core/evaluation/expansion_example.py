"""The document that expansion helped most on a topic, and the predicted query that earned it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from core.evaluation.ndcg_decomposition import split_difference
from core.evaluation.rank_tables import title_of
from core.evaluation.table_formats import Table, shortened
from core.formats.documents import Document
from core.formats.qrels import Qrels
from core.formats.runs import Scores, ranked
from core.retrieval.analyzer import Analyzer
from core.retrieval.bm25 import Origin

CUTOFF = 10
"""Cut-off of the nDCG whose gain is explained."""
MOST_TRIED = 50
"""Number of documents looked at for one that predicted queries helped."""


@dataclass(frozen=True)
class Gain:
    """A relevant document that ranks higher with expansion: its ranks without and with it, and the gain in nDCG@10."""

    topic: str
    document: str
    grade: int
    before: int | None
    after: int
    value: float


@dataclass(frozen=True)
class Example:
    """A gain and what it is owed to.

    Attributes:
        gain: the gain.
        queries: index predicted query; columns earned (the part of the document's score that its terms earned) and
            terms; the decisive query first.
        score: the document's score for the topic with expansion.
    """

    gain: Gain
    queries: pd.DataFrame
    score: float

    @property
    def decisive(self) -> str:
        """The predicted query whose terms earned most."""
        return str(self.queries.index[0])


def gains(before: Scores, after: Scores, qrels: Qrels) -> list[Gain]:
    """Return the relevant documents that contribute to a higher nDCG@10 with expansion, largest contribution first.

    Args:
        before, after: the scores without and with expansion, topic -> document -> score.
    """
    found = []
    for topic, judgments in qrels.items():
        of_after, of_before = ([name for name, _ in ranked(run.get(topic, {}))] for run in (after, before))
        for part in split_difference(of_after, of_before, judgments, CUTOFF):
            if part.value > 0 and part.rank_a and part.grade:
                found.append(Gain(topic, part.document, part.grade, part.rank_b, part.rank_a, part.value))
    return sorted(found, key=lambda gain: (-gain.value, gain.topic, gain.document))


def earned(origins: Sequence[Origin], queries: Sequence[str], analyzer: Analyzer) -> pd.DataFrame:
    """Return what each predicted query earned of a document's score, the most first.

    The weight that a term owes to predicted queries is shared equally by its occurrences in them. A query that was
    predicted several times has the sum.

    Args:
        origins: see `core.retrieval.bm25.origins`.
        queries: the document's indexed predicted queries.

    Returns:
        Index predicted query; columns earned and terms, the matched terms as spelled, in the order of their weight.
    """
    spelled = [[(token, query[begin:end]) for token, begin, end in analyzer.spans(query)] for query in queries]
    tokens = [[token for token, _ in spans] for spans in spelled]
    shares: dict[str, float] = dict.fromkeys(queries, 0.0)
    terms: dict[str, list[str]] = {query: [] for query in queries}
    for origin in sorted(origins, key=lambda one: -one.predicted):
        occurrences = sum(some.count(origin.term) for some in tokens)
        for query, spans in zip(queries, spelled, strict=True):
            written = [spelling.casefold() for token, spelling in spans if token == origin.term]
            if origin.predicted and written:
                shares[query] += origin.predicted * len(written) / occurrences
                terms[query] = list(dict.fromkeys([*terms[query], *written]))
    table = pd.DataFrame({"earned": shares, "terms": {query: ", ".join(some) for query, some in terms.items()}})
    return table.rename_axis("predicted query").sort_values("earned", ascending=False, kind="stable")


def find_example(
    candidates: Sequence[Gain],
    explain: Callable[[str, str], tuple[Sequence[Origin], Sequence[str]]],
    analyzer: Analyzer,
) -> Example | None:
    """Return the largest gain that is owed to a predicted query; None if there is none.

    Args:
        candidates: see `gains`.
        explain: (topic, document) -> the origins of the document's score and its indexed predicted queries.
    """
    return next(_examples(candidates[:MOST_TRIED], explain, analyzer), None)


def _examples(
    candidates: Sequence[Gain],
    explain: Callable[[str, str], tuple[Sequence[Origin], Sequence[str]]],
    analyzer: Analyzer,
) -> Iterator[Example]:
    for gain in candidates:
        origins, queries = explain(gain.topic, gain.document)
        table = earned(origins, queries, analyzer)
        if len(table) and table["earned"].iloc[0] > 0:
            yield Example(gain, table, sum(one.document + one.predicted for one in origins))


def example_table(
    example: Example, topic_query: str, documents: Mapping[str, Document], labels: tuple[str, str], collection: str
) -> Table:
    """Return the predicted queries of the example with what each earned, and the example in words.

    Args:
        labels: the labels of the systems with and without expansion.
    """
    gain, share = example.gain, example.queries["earned"].sum() / example.score
    title = title_of(documents.get(gain.document), gain.document)
    before = f"rank {gain.before}" if gain.before else "outside the run"
    said = [
        f"Topic {gain.topic}, “{topic_query}”: expansion moves “{shortened(title, 90)}” (grade {gain.grade}) from "
        f"{before} to rank {gain.after}, which contributes {gain.value:+.4f} to nDCG@{CUTOFF}.",
        f"Predicted queries earn {100 * share:.0f} % of its score. The decisive one is “{example.decisive}”, by its "
        f"terms {example.queries['terms'].iloc[0]}.",
    ]
    table = example.queries.assign(**{"share of score": example.queries["earned"] / example.score})
    about = f"{collection}, topic {gain.topic}: predicted queries of {gain.document}, {labels[0]} against {labels[1]}"
    return Table(table[["earned", "share of score", "terms"]], about, sentences=said)
