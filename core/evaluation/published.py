"""Published figures for whole collections (`reference.toml`), shown for context."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


FILE = Path(__file__).with_name("reference.toml")


@dataclass(frozen=True)
class Published:
    """A system's published figures and their source."""

    system: str
    source: str
    measures: dict[str, float]


def published_figures(facts: Mapping[str, Any]) -> list[Published]:
    """Return the published figures of a collection; none unless it is a complete collection of `reference.toml`.

    Args:
        facts: the facts of the collection's manifest: documents (0 if only runs were imported), topics, judgments.
    """
    for collection in tomllib.loads(FILE.read_text(encoding="utf-8"))["collection"]:
        counts = {name: facts.get(name) for name in ("topics", "judgments")}
        same = all(collection[name] == count for name, count in counts.items())
        if same and facts.get("documents") in (0, collection["documents"]):
            return [Published(**figure) for figure in collection["figure"]]
    return []
