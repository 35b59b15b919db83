#!/usr/bin/env python3
"""Import many runs at once, and measure the time and memory of every page that shows them.

    python scripts/campaigns/many_runs.py make runs/*.run.gz --qrels qrels.txt [--systems 118]
    python scripts/campaigns/many_runs.py measure many-118 [--only summary]

`make` varies the given runs (neighbours swapped, noise added to scores, lists truncated, pairs fused, one copy) until
there are enough, and imports them as the collection `many-<systems>`. `measure` opens every page and view in a separate
process: "first" is the first visit after that of another collection (so that imports of libraries are not counted),
"again" the second visit, "CPU s" their CPU seconds (those to compare on a machine with other work), and MB the peak
memory of the process.
"""

import argparse
import itertools
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
import streamlit as st
from streamlit.testing.v1 import AppTest

from core.formats.runs import Run, ranked, read_run, write_run
from core.import_runs import import_runs
from core.retrieval.fusion import reciprocal_rank_fusion
from core.workspace import command_line
from core.workspace.errors import UserError
from core.workspace.workspace import CHECKOUT, Workspace
from dashboard.streamlit_internals import go_to

Rankings = dict[str, list[tuple[str, float]]]
"""topic -> (document, score), best first."""
VARIATIONS = ("exchanged", "noise", "cut", "fused")
SMALL = 2
"""Number of systems of the collection visited for warm-up."""
PATIENCE_SECONDS = 900
VIEWS: tuple[tuple[str, dict[str, str]], ...] = (
    ("summary", {}),
    ("summary", {"cells": "letters"}),
    ("summary", {"cells": "letters", "test": "t-test"}),
    ("summary", {"cells": "intervals"}),
    *(("summary", {"open": part}) for part in ("conclusion", "curve", "unjudged", "cost", "checks")),
    ("summary", {"open": "checks", "check": "yes"}),
    *(("topics", {"chart": view}) for view in ("differences", "contrasts", "heat", "difficulty", "length")),
    *(("topic", {"view": view}) for view in ("lists", "difference", "positions")),
    *((page, {}) for page in ("search", "documents", "ann", "expansion", "training", "runs", "artifacts", "report")),
    ("report", {"made": "yes"}),
)
"""Pages with their URL parameters; "made" stands for a click on the report's download button."""


def varied(runs: list[Run], wanted: int, seed: int) -> Iterator[tuple[str, Rankings]]:
    """Yield the runs, a copy of the first and then variations of them, `wanted` in total."""
    lists = [{topic: ranked(scores) for topic, scores in run.scores.items()} for run in runs]
    yield from itertools.islice(zip((run.name for run in runs), lists, strict=True), wanted)
    generator = np.random.default_rng(seed)
    for number in range(len(runs), wanted):
        kind = "copy" if number == len(runs) else VARIATIONS[number % len(VARIATIONS)]
        base = int(generator.integers(len(runs)))
        strength = float(generator.random())
        other = lists[int(generator.integers(len(runs)))]
        rankings = {t: vary(kind, ranking, other.get(t, []), strength, generator) for t, ranking in lists[base].items()}
        yield f"{kind}-{number}", rankings


def vary(
    kind: str,
    ranking: list[tuple[str, float]],
    other: list[tuple[str, float]],
    strength: float,
    generator: np.random.Generator,
) -> list[tuple[str, float]]:
    """Return a variation of a ranking, with scores that decrease by 1 per rank; `strength` is between 0 and 1."""
    documents = [document for document, _ in ranking]
    if kind == "exchanged":
        for place in np.flatnonzero(generator.random(max(len(documents) - 1, 0)) < strength):
            documents[place], documents[place + 1] = documents[place + 1], documents[place]
    elif kind == "noise":
        places = np.arange(len(documents)) + generator.normal(0, 1 + 50 * strength**3, len(documents))
        documents = [documents[place] for place in np.argsort(places, kind="stable")]
    elif kind == "cut":
        documents = documents[: max(5, int(len(documents) * strength**2))]
    elif kind == "fused":
        documents = [d for d, _ in reciprocal_rank_fusion([documents, [d for d, _ in other]])][: len(documents)]
    return [(document, float(len(documents) - place)) for place, document in enumerate(documents)]


def make(paths: list[Path], qrels: Path, systems: int, seed: int) -> None:
    """Write the runs to a temporary folder, import them, and print the time and peak memory."""
    runs = [read_run(path) for path in paths]
    with tempfile.TemporaryDirectory() as folder:
        written = []
        for name, rankings in varied(runs, systems, seed):
            written.append(Path(folder) / f"{name}.run")
            write_run(written[-1], name, rankings.items())
        del runs
        started = time.perf_counter()
        collection = Workspace.default().collection(f"many-{systems}")
        import_runs(collection, written, qrels)
        seconds = time.perf_counter() - started
    print(f"{systems} runs imported as {collection.name} in {seconds:.1f} s, {peak_megabytes():.0f} MB")


def peak_megabytes() -> float:
    """Return the peak memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(collection: str, only: str) -> None:
    """Print one row per page and view."""
    if not Workspace.default().collection(collection).path.is_dir():
        raise UserError(f"no collection {collection}; make it with scripts/campaigns/many_runs.py make")
    print(f"{'page':<48}{'first s':>9}{'again s':>9}{'CPU s':>9}{'again':>9}{'MB':>7}", flush=True)
    for page, parameters in VIEWS:
        if only and page != only:
            continue
        asked = [sys.executable, __file__, "visit", collection, page, json.dumps(parameters)]
        done = subprocess.run(asked, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False)
        name = " ".join([page, *(f"{key}={value}" for key, value in parameters.items())])
        if done.returncode:
            print(f"{name:<48} failed: {(done.stderr or done.stdout).strip().splitlines()[-1]}", flush=True)
            continue
        found = json.loads(done.stdout.splitlines()[-1])
        seconds = "".join(f"{found[of]:>9.2f}" for of in ("first", "again", "first_cpu", "again_cpu"))
        print(f"{name:<48}{seconds}{found['megabytes']:>7.0f}", flush=True)
        for sentence in found["warnings"]:
            print(f"    {sentence}")


def visit(collection: str, page: str, parameters: dict[str, str]) -> None:
    """Open a page as a browser would, twice; print the seconds, the peak memory and the page's warnings."""
    os.environ.pop("RANKSCOPE_PROFILE", None)
    if parameters.pop("made", ""):
        st.download_button = pressed
    opened(f"many-{SMALL}", page, parameters)
    _, first, first_cpu = timed(collection, page, parameters)
    app, again, again_cpu = timed(collection, page, parameters)
    sentences = [warning.value.replace("\\", "") for warning in app.warning]
    seconds = {"first": first, "again": again, "first_cpu": first_cpu, "again_cpu": again_cpu}
    print(json.dumps({**seconds, "megabytes": peak_megabytes(), "warnings": sentences}))


def timed(collection: str, page: str, parameters: dict[str, str]) -> tuple[AppTest, float, float]:
    """Return the rendered page, the seconds by the clock, and the CPU seconds of all threads."""
    started, computed = time.perf_counter(), time.process_time()
    app = opened(collection, page, parameters)
    return app, time.perf_counter() - started, time.process_time() - computed


def pressed(label: str, data: Any, *arguments: Any, **options: Any) -> bool:
    """Replace a download button by one that is pressed at once, so that its file is made."""
    if callable(data):
        data()
    return False


def opened(collection: str, page: str, parameters: dict[str, str]) -> AppTest:
    """Return the rendered page.

    Raises:
        RuntimeError: if the page ended with an exception.
    """
    from dashboard.shared import live

    live.warm_up = lambda: None  # type: ignore[assignment]  # background loading is not part of a page
    app = AppTest.from_file(str(CHECKOUT / "dashboard" / "app.py"), default_timeout=PATIENCE_SECONDS)
    app.query_params.update({"collection": collection, **parameters})
    # The session starts at this page, as with a link, so that the Summary page is not drawn first.
    go_to(app, page).run()
    if app.exception:
        raise RuntimeError(app.exception[0].message)
    return app


def main() -> None:
    """Run the subcommand."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    making = verbs.add_parser("make", help="vary runs and import them")
    making.add_argument("runs", nargs="+", type=Path, metavar="RUN")
    making.add_argument("--qrels", type=Path, required=True)
    making.add_argument("--systems", type=int, default=118)
    making.add_argument("--seed", type=int, default=13)
    measuring = verbs.add_parser("measure", help="open every page")
    measuring.add_argument("collection")
    measuring.add_argument("--only", default="", help="one page, e.g. summary")
    visiting = verbs.add_parser("visit", help="open one page (used by measure)")
    visiting.add_argument("collection")
    visiting.add_argument("page")
    visiting.add_argument("parameters", type=json.loads)
    options = parser.parse_args()
    if options.verb == "make":
        for systems in dict.fromkeys([SMALL, options.systems]):
            make(options.runs, options.qrels, systems, options.seed)
    elif options.verb == "measure":
        measure(options.collection, options.only)
    else:
        visit(options.collection, options.page, options.parameters)


if __name__ == "__main__":
    command_line.run(main)
