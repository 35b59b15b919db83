"""Imported runs as systems, which answer the collection's topics alone: for fusions and re-rankers of them."""

from collections.abc import Mapping, Sequence

from core.formats.runs import ranked
from core.retrieval.answer import Answer, depths
from core.workspace.errors import UserError
from core.workspace.profile import SystemSettings


class RunSystem:
    """The answers of an imported run to the collection's topics."""

    def __init__(self, settings: SystemSettings, scores: Mapping[str, Mapping[str, float]], texts: Mapping[str, str]):
        """Take the run, topic -> document -> score, and the text of each topic.

        Raises:
            UserError: if two topics have the same text, so that the text does not tell which one is asked.
        """
        topics: dict[str, str] = {}
        for topic, text in texts.items():
            if (other := topics.setdefault(text, topic)) != topic:
                raise UserError(
                    f"{settings.name} is an imported run, but topics {other} and {topic} have the same text"
                )
        self.settings, self._scores, self._topics = settings, scores, topics
        self.topics = set(scores)

    def search(self, queries: Sequence[str], k: int | Sequence[int]) -> list[Answer]:
        """See `core.retrieval.systems.System`.

        Raises:
            UserError: if a query is not the text of a topic.
        """
        return [Answer(self._hits(query)[:depth]) for query, depth in zip(queries, depths(queries, k), strict=True)]

    def _hits(self, query: str) -> list[tuple[str, float]]:
        if query not in self._topics:
            raise UserError(
                f"{self.settings.name} is an imported run without an index, so it cannot answer new queries"
            )
        return ranked(self._scores.get(self._topics[query], {}))

    def explain(self, query: str, document: str) -> list[tuple[str, float]]:
        """See `core.retrieval.systems.System`; the only contribution is the score, none if it was not retrieved."""
        return [(name, score) for name, score in self._hits(query) if name == document]
