"""The answer of a system to a query: the one record that the batch run and the pages pass on."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Answer:
    """The documents that were retrieved for a query.

    Attributes:
        hits: (document, score), best first.
        seconds: the time of each step of the search; of queries that were searched together, an equal share.
        parts: what a document's score is made of, as (name of the part, its share); of the documents for which that
            was asked.
    """

    hits: list[tuple[str, float]]
    seconds: dict[str, float] = field(default_factory=dict)
    parts: Mapping[str, list[tuple[str, float]]] = field(default_factory=dict)

    @property
    def ranking(self) -> list[str]:
        """The documents, best first."""
        return [document for document, _ in self.hits]
