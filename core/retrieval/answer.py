"""A system's answer to a query: the record shared by batch runs and the dashboard."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Answer:
    """The documents retrieved for a query.

    Attributes:
        hits: (document, score) pairs, best first.
        seconds: the time of each step of the search; queries searched together share it equally.
        parts: the (name, contribution) pairs that add up to a document's score, for the documents that were explained.
    """

    hits: list[tuple[str, float]]
    seconds: dict[str, float] = field(default_factory=dict)
    parts: Mapping[str, list[tuple[str, float]]] = field(default_factory=dict)

    @property
    def ranking(self) -> list[str]:
        """The document ids, best first."""
        return [document for document, _ in self.hits]


def depths(queries: Sequence[str], k: int | Sequence[int]) -> Sequence[int]:
    """Return the number of documents wanted for each query; see `core.retrieval.systems.System.search`."""
    return [k] * len(queries) if isinstance(k, int) else k
