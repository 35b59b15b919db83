"""The metadata of a run, ir_metadata (Breuer et al., 2022; www.ir-metadata.org): YAML in comments before the run.

# ir_metadata.start
# tag: my-run
# method:
#   automatic: true
# ir_metadata.end
"""

from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from core.formats.text_lines import read_lines
from core.workspace.artifacts import Manifest

START, END = "# ir_metadata.start", "# ir_metadata.end"
MOST_LINES = 5_000
"""Maximum number of lines of metadata that are read."""
MOST_ENTRIES, DEEPEST = 100, 8
"""Maximum number of entries that are said, and of their levels: aliases in YAML may repeat or contain themselves."""
SCHEMA = "0.2"


def read_metadata(path: Path) -> tuple[dict[str, Any], str]:
    """Return the metadata at the head of a run, {} if there is none, and what is wrong with it.

    Raises:
        UserError: if the file is missing or truncated.
    """
    lines: list[str] = []
    for _, line in read_lines(path):
        text = line.rstrip()
        if not lines and not text.startswith("#") and text:
            return {}, ""
        if lines and text == END:
            return _parse(lines[1:])
        if lines or text == START:
            lines.append(text)
        if len(lines) > MOST_LINES or (lines and text and not text.startswith("#")):
            break
    return ({}, f"the metadata has no line {END!r}") if lines else ({}, "")


def _parse(lines: list[str]) -> tuple[dict[str, Any], str]:
    import yaml

    text = "\n".join(line.removeprefix("#").removeprefix(" ") for line in lines)
    try:
        found = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        return {}, f"the metadata is not valid YAML ({' '.join(str(error).split())[:200]})"
    return (found, "") if isinstance(found, dict) else ({}, "the metadata is not a mapping")


def in_words(metadata: Mapping[str, Any]) -> str:
    """Return what a run's metadata says, as `section.key: value` separated by semicolons."""
    return "; ".join(f"{name}: {value}" for name, value in islice(_flat(metadata), MOST_ENTRIES))


def _flat(value: Any, name: str = "", depth: int = 0) -> Iterator[tuple[str, str]]:
    if depth < DEEPEST and isinstance(value, Mapping):
        for key, part in value.items():
            yield from _flat(part, f"{name}.{key}" if name else str(key), depth + 1)
    elif depth < DEEPEST and isinstance(value, list):
        for number, part in enumerate(value, 1):
            yield from _flat(part, f"{name}[{number}]", depth + 1)
    elif not isinstance(value, (Mapping, list)):
        yield name, " ".join(str(value).split())


def metadata_lines(tag: str, collection: str, manifest: Manifest, method: Mapping[str, Any]) -> list[str]:
    """Return the lines that go before a run of a built collection.

    Args:
        method: the settings of the system, without empty ones.
    """
    import yaml

    host = manifest.host
    latency = manifest.facts.get("median_milliseconds")
    metadata: dict[str, Any] = {
        "schema version": SCHEMA,
        "tag": tag,
        "platform": {
            "hardware": {"cpu": {"model": host.get("processor"), "number of cores": host.get("cores")}},
            "operating system": {"kernel": host.get("system")},
            "software": {"libraries": [f"{name} {version}" for name, version in manifest.versions.items()]},
        },
        "implementation": {"executable": {"cmd": manifest.command}, "source": {"lang": ["python"]}},
        "resources": {"runtime": {"wall clock": f"{manifest.seconds:g} s"}},
        "data": {"test collection": {"name": collection}},
        "method": {
            "automatic": True,
            "score ties": "none: scores are strictly descending",
            "retrieval": [{"name": tag, "settings": dict(method)}],
        },
    }
    if latency is not None:
        metadata["resources"]["runtime"]["median latency of a query"] = f"{latency:g} ms"
    text = yaml.safe_dump(metadata, sort_keys=False, allow_unicode=True, width=100)
    return [START, *(f"# {line}".rstrip() for line in text.splitlines()), END]
