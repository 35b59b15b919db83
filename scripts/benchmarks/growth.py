#!/usr/bin/env python3
"""Measure seconds, peak memory and bytes on disk of every stage, for collections of 10,000 to 1 million documents.

python scripts/benchmarks/growth.py                                # all sizes; resumes where it was stopped
python scripts/benchmarks/growth.py --sizes 2000,5000 --indexes faiss-ivf

Every stage runs as a separate command, so that its peak memory can be measured. Results are written to
artifacts/growth/growth.csv after each stage, with a chart in growth.html. synthetic_collection.py makes the
collections.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from core.formats.collections import QRELS
from core.formats.runs import FILE
from core.workspace import command_line
from core.workspace.artifacts import remove_tree
from core.workspace.errors import UserError
from core.workspace.profile import AnnSettings, IndexSettings, Profile, read_profile
from core.workspace.workspace import CHECKOUT, Workspace

SIZES = "10000,30000,100000,300000,1000000"
PANELS = {"seconds": "seconds", "peak_gigabytes": "peak memory (GB)", "disk_gigabytes": "on disk (GB)"}


def profiles(options: argparse.Namespace, workspace: Workspace, name: str, folder: Path) -> dict[str, str]:
    """Write a profile for BM25 and one for the dense system on the collection `name`; return their paths."""
    base = read_profile(options.profile)
    known = {index.kind: index for index in AnnSettings().index}
    indexes = [known.get(kind) or IndexSettings(kind=kind) for kind in options.indexes.split(",")]
    paths = {}
    for kind, system in (("bm25", "bm25"), ("dense", options.system)):
        chosen = [s for s in base.system if s.name == system]
        if not chosen:
            raise UserError(f"the profile {options.profile} has no system {system!r}")
        table = base.model_dump() | {"baseline": system, "system": [s.model_dump() for s in chosen]}
        table["collection"] |= {"name": name, "source": str(workspace.downloads / name)}
        table["ann"] |= {"index": [index.model_dump() for index in indexes], "repeats": 1}
        paths[kind] = str(folder / f"{name}-{kind}.json")
        Path(paths[kind]).write_text(Profile.model_validate(table).model_dump_json(indent=1), encoding="utf-8")
    return paths


def stages(
    options: argparse.Namespace, workspace: Workspace, name: str, size: int, paths: dict[str, str]
) -> dict[str, tuple[list[str], Path]]:
    """Return the command of every stage, in order, and the path that it writes."""
    folder, source, system = workspace.collection(name), workspace.downloads / name, options.system
    synthetic = ["scripts/benchmarks/synthetic_collection.py"]
    shared = ["--base", options.base, "--profile", options.profile, "--system", system]
    qrels = str(folder.collection / QRELS)

    def evaluate(run: str) -> list[str]:
        return ["-m", "core.evaluate", str(folder.run(run) / FILE), "--qrels", qrels, "--json"]

    return {
        "make documents": ([*synthetic, "documents", name, "--size", str(size), *shared], source),
        "collection": (["-m", "core.collection", "--profile", paths["bm25"]], folder.collection.path),
        "make vectors": ([*synthetic, "vectors", name, *shared], folder.vectors(system).path),
        "bm25": (["-m", "core.bm25", "--profile", paths["bm25"]], folder.bm25("bm25").path),
        "search bm25": (["-m", "core.search", "--profile", paths["bm25"]], folder.run("bm25").path),
        "search exact": (["-m", "core.search", "--profile", paths["dense"]], folder.run(system).path),
        "evaluate bm25": (evaluate("bm25"), folder.run("bm25").path),
        "evaluate exact": (evaluate(system), folder.run(system).path),
        "indexes": (["-m", "core.ann", "--profile", paths["dense"]], folder.sweep(system).path),
    }


def measured(command: list[str]) -> tuple[float, float, str]:
    """Run a command of this project; return its seconds, its peak memory in bytes and its output.

    Raises:
        UserError: if the command failed.
    """
    started = time.perf_counter()
    process = subprocess.Popen([sys.executable, *command], cwd=CHECKOUT, stdout=subprocess.PIPE, text=True)
    output = process.stdout.read() if process.stdout else ""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise UserError(
            f"{' '.join(command)} ended with {process.returncode}; fix the cause and rerun this script to resume"
        )
    peak = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return time.perf_counter() - started, peak, output


def ndcg(output: str) -> float | None:
    """Return nDCG@10 from the output of `core.evaluate --json`."""
    figures: dict[str, float] = next(iter(json.loads(output).values()))
    return figures.get("nDCG@10")


def draw(table: pd.DataFrame, path: Path) -> None:
    """Draw every stage's cost by collection size, with logarithmic axes."""
    figure = make_subplots(rows=1, cols=len(PANELS), subplot_titles=list(PANELS.values()))
    for column, cost in enumerate(PANELS, 1):
        for number, (stage, rows) in enumerate(table.groupby("stage", sort=False)):
            figure.add_scatter(
                x=rows["documents"],
                y=rows[cost],
                name=str(stage),
                legendgroup=str(stage),
                showlegend=column == 1,
                marker={"symbol": number},
                line={"color": go.Figure().layout.template.layout.colorway[number % 10]},
                row=1,
                col=column,
            )
    figure.update_xaxes(type="log", title="documents")
    figure.update_yaxes(type="log")
    figure.write_html(path)


def main() -> None:
    """Measure every stage at every size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default=SIZES, help=f"numbers of documents (default: {SIZES})")
    parser.add_argument("--base", default="sample", help="the built collection that the others are derived from")
    parser.add_argument("--profile", default="sample", help="the profile with the systems")
    parser.add_argument("--system", default="all-MiniLM-L6-v2", help="the dense system")
    parser.add_argument(
        "--indexes", default="hnswlib,faiss-ivf,faiss-sq8", help="comma-separated indexes of core.indexes.registry"
    )
    parser.add_argument("--keep", action="store_true", help="keep the collections (a million documents: some 6 GB)")
    options = parser.parse_args()
    workspace = Workspace.default()
    folder = workspace.root / "growth"
    folder.mkdir(parents=True, exist_ok=True)
    place = folder / "growth.csv"
    rows = pd.read_csv(place).to_dict("records") if place.exists() else []
    for size in map(int, options.sizes.split(",")):
        name = f"synthetic-{size}"
        of_size = stages(options, workspace, name, size, profiles(options, workspace, name, folder))
        done = {row["stage"] for row in rows if row["documents"] == size}
        if done >= of_size.keys():
            continue
        for stage, (command, target) in of_size.items():
            if stage in done and target.exists():
                continue
            seconds, peak, output = measured(command)
            disk = sum(path.stat().st_size for path in target.rglob("*") if path.is_file())
            rows = [row for row in rows if (row["documents"], row["stage"]) != (size, stage)]
            row = {"documents": size, "stage": stage, "seconds": round(seconds, 2)}
            row |= {"peak_gigabytes": round(peak / 1e9, 3), "disk_gigabytes": round(disk / 1e9, 4)}
            rows.append(row | {"nDCG@10": ndcg(output) if stage.startswith("evaluate") else None})
            table = pd.DataFrame(rows).sort_values("documents", kind="stable")
            table.to_csv(place, index=False, lineterminator="\n")
            draw(table, folder / "growth.html")
            print(
                f"{size:>11,}  {stage:<16}{seconds:9.1f} s{peak / 1e9:8.2f} GB{disk / 1e9:9.3f} GB on disk", flush=True
            )
        if not options.keep:
            shutil.copytree(of_size["indexes"][1], folder / name, dirs_exist_ok=True)
            remove_tree(workspace.collection(name).path)
            remove_tree(workspace.downloads / name)
    print(place)


if __name__ == "__main__":
    command_line.run(main)
