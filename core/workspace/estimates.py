"""Estimates of the time and the disk space of a build's steps, and of the time left while it runs.

A stage states what an artifact costs (`Stage.estimate`): an amount of work at a `Rate`. A rate that an earlier build
reached on this machine is used as it is; its manifest records it. Other rates are those of the reference machine,
scaled by short measurements of this one (`calibrate`).
"""

import functools
import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from core.workspace.artifacts import Manifest, host, read_manifest
from core.workspace.errors import UserError
from core.workspace.workspace import Workspace

CHARACTERS_PER_TOKEN = 4.9
"""English abstracts in WordPiece, without the two tokens that mark the ends of a text."""


SHORTEST = 2.0
"""Seconds of work below which a step's rate is mostly start-up, and is not used for other estimates."""


PROBE_SECONDS = 0.3
"""Time in seconds that each measurement of a calibration takes."""


PRIOR_SECONDS = 10.0
"""Weight of the estimate in `Pace`: steps much shorter than this hardly change the time left."""


@dataclass(frozen=True)
class Rate:
    """The speed of one kind of work.

    Attributes:
        name: of the kind of work; manifests record the rate under it.
        per_second: units of work per second on the reference machine, two cores with AVX-512 and AMX.
        probe: the measurement in `PROBES` that it is proportional to; "" if it is not scaled.
    """

    name: str
    per_second: float
    probe: str = "text"


@dataclass(frozen=True)
class Cost:
    """What it costs to make an artifact.

    Attributes:
        units: the amount of work.
        rate: the speed of this work.
        bytes: the artifact's size on disk.
        startup: time in seconds that does not depend on the amount, such as that of loading a model.
        temporary: size on disk of files that are removed when the artifact is complete, such as checkpoints.
    """

    units: float
    rate: Rate
    bytes: float = 0.0
    startup: float = 0.0
    temporary: float = 0.0


@dataclass(frozen=True)
class Sizes:
    """The size of a collection.

    Attributes:
        documents: number of documents.
        topics: number of topics.
        lengths: lengths in characters (title and text) of a sample of the documents.
        bytes: size of the corpus on disk.
    """

    documents: int
    topics: int
    lengths: tuple[int, ...]
    bytes: float

    @property
    def characters(self) -> float:
        """The total length of all documents."""
        return self.documents * float(np.mean(self.lengths))

    def total(self, of_tokens: Callable[[np.ndarray], np.ndarray], limit: int) -> float:
        """Return the sum over all documents of a function of their number of tokens, truncated at a limit."""
        tokens = np.minimum(np.array(self.lengths) / CHARACTERS_PER_TOKEN + 2, limit)
        return self.documents * float(of_tokens(tokens).mean())


# The speed of this machine


def _text() -> float:
    """Decode JSON and count words; return the number of characters."""
    counts: dict[str, int] = {}
    for line in _lines():
        for word in json.loads(line)["text"].lower().split():
            counts[word] = counts.get(word, 0) + 1
    return sum(map(len, _lines()))


@functools.lru_cache(maxsize=1)
def _lines() -> list[str]:
    return [json.dumps({"text": " ".join(f"word{i * j % 997}" for j in range(180))}) for i in range(100)]


def _product(precision: str) -> float:
    """Multiply matrices of the shapes in a small encoder; return the number of floating-point operations."""
    import torch

    texts, narrow, wide = 2048, 384, 1536
    kind = getattr(torch, precision)
    with torch.inference_mode():
        torch.ones(texts, narrow, dtype=kind) @ torch.ones(narrow, wide, dtype=kind)
    return 2.0 * texts * narrow * wide


PROBES: dict[str, tuple[Callable[[], float], float]] = {
    "text": (_text, 7.2e7),
    "fp32": (functools.partial(_product, "float32"), 2.6e11),
    "bf16": (functools.partial(_product, "bfloat16"), 1.8e12),
}
"""Measurement -> (function that does some work and returns its amount, work per second on the reference machine)."""


def calibrate(probes: Iterable[str], clock: Callable[[], float] = time.perf_counter) -> dict[str, float]:
    """Measure this machine's speed as multiples of the reference machine's, `PROBE_SECONDS` for each probe."""
    speeds = {}
    for name in probes:
        work, reference = PROBES[name]
        work()  # without imports and first allocations
        started, done = clock(), 0.0
        while (elapsed := clock() - started) < PROBE_SECONDS:
            done += work()
        speeds[name] = done / elapsed / reference
    return speeds


def recorded_work(cost: Cost) -> dict[str, Any]:
    """Return the entry of a manifest's facts from which `reached_rates` computes a rate."""
    return {"kind": cost.rate.name, "units": round(cost.units), "startup_seconds": cost.startup}


def reached_rates(workspace: Workspace) -> dict[str, float]:
    """Return the rates of earlier builds on a machine like this one: name -> units per second of the longest step."""
    longest: dict[str, tuple[float, float]] = {}
    folders = [artifact for folder in workspace.collections() for artifact in folder.artifacts()]
    for artifact in [*folders, *workspace.models()]:
        try:
            manifest = read_manifest(artifact)
        except UserError:
            continue
        name, seconds, rate = _reached(manifest)
        if seconds >= max(SHORTEST, longest.get(name, (0.0, 0.0))[0]):
            longest[name] = seconds, rate
    return {name: rate for name, (_, rate) in longest.items()}


def _reached(manifest: Manifest) -> tuple[str, float, float]:
    """Return the name of the rate that a manifest records, the seconds of its work and the rate; else zeros."""
    work = manifest.facts.get("work")
    if not isinstance(work, dict) or manifest.host != host():
        return "", 0.0, 0.0
    try:
        seconds = manifest.seconds - float(work["startup_seconds"])
        return str(work["kind"]), seconds, float(work["units"]) / seconds if seconds > 0 else 0.0
    except (KeyError, TypeError, ValueError):
        return "", 0.0, 0.0


@dataclass(frozen=True)
class Speed:
    """What is known of this machine's speed.

    Attributes:
        reached: rates of earlier builds, see `reached_rates`.
        probes: results of `calibrate`.
    """

    reached: Mapping[str, float] = field(default_factory=dict)
    probes: Mapping[str, float] = field(default_factory=dict)

    def seconds(self, cost: Cost) -> float:
        """Return the estimated time of a cost in seconds."""
        scaled = cost.rate.per_second * self.probes.get(cost.rate.probe, 1.0)
        startup = cost.startup / self.probes.get("text", 1.0)
        return startup + cost.units / (self.reached.get(cost.rate.name) or scaled)

    def probes_for(self, costs: Iterable[Cost]) -> list[str]:
        """Return the probes that the estimates of some costs need, in the order of `PROBES`."""
        needed = {cost.rate.probe for cost in costs if cost.rate.name not in self.reached}
        return [name for name in PROBES if name in needed]


class Pace:
    """The time left in a build, from the estimates of the remaining steps and how the finished ones compare."""

    def __init__(self) -> None:
        self._estimated: dict[str, float] = {}
        self._actual: dict[str, float] = {}

    def add(self, cost: Cost, estimated: float, actual: float) -> None:
        """Take the estimated and the actual time of a finished step in seconds."""
        for totals, seconds in ((self._estimated, estimated), (self._actual, actual)):
            totals[cost.rate.probe] = totals.get(cost.rate.probe, 0.0) + seconds

    def left(self, remaining: Iterable[tuple[Cost, float]]) -> float:
        """Return the time left in seconds.

        The estimate of each remaining step is multiplied by the ratio of actual to estimated time of the finished
        steps of its kind (text, or matrix products in one precision).

        Args:
            remaining: cost and estimated time in seconds of each remaining step.
        """
        return sum(seconds * self._ratio(cost.rate.probe) for cost, seconds in remaining)

    def _ratio(self, kind: str) -> float:
        actual, estimated = self._actual.get(kind, 0.0), self._estimated.get(kind, 0.0)
        return (actual + PRIOR_SECONDS) / (estimated + PRIOR_SECONDS)


# In words


def in_time(seconds: float) -> str:
    """Return a time in words: "0.4 s", "48 s", "12 min", "3 h 20 min"."""
    if seconds < 59.5:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h" + (f" {minutes % 60} min" if minutes % 60 else "")


def in_bytes(size: float) -> str:
    """Return a size in words: "3 kB", "142 MB", "2.4 GB"."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6)):
        if size >= 0.995 * scale:
            return f"{size / scale:.{1 if size < 9.95 * scale else 0}f} {unit}"
    return f"{max(1, round(size / 1e3))} kB" if size else "0 kB"
