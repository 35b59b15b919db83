#!/usr/bin/env python3
"""Compare the speed of RankScope with that of alternative libraries, run in turns, and print the ratios.

    python scripts/benchmarks/bench.py --collection trec-covid-subset --out bench-1.json      # ten minutes on two cores
    python scripts/benchmarks/bench.py --sections bm25 evaluation
    python scripts/benchmarks/bench.py --sections encode --whole    # the whole collection, for nDCG@10: half an hour
    python scripts/benchmarks/bench.py --table bench-1.json bench-2.json bench-3.json

A ratio is the library's time divided by RankScope's in the same round: 2 means that RankScope takes half as long. The
times of all rounds go to a JSON file, with the machine and the versions, and to a CSV file of the same name.

Sections: bm25, encode, exact, evaluation, cold (start of the dashboard), live (queries by system and stage), pipeline.
"""

import argparse
import csv
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from core.workspace import command_line
from core.workspace.errors import UserError
from core.workspace.workspace import SHOWN, CollectionFolder, Workspace
from scripts.benchmarks.machine import all_versions, machine
from scripts.benchmarks.measuring import TOY, Comparison, Figure, Scale, table

SECTIONS = ("bm25", "encode", "exact", "evaluation", "cold", "live", "pipeline")
Measured = Comparison | Figure | str


def measured(section: str, folder: CollectionFolder, system: str, scale: Scale, whole: bool) -> Iterator[Measured]:
    """Yield the measurements of a section, and notes on what it leaves out."""
    # Imported per section: these libraries take seconds to load, and the threads of some slow down others.
    if section == "bm25":
        from scripts.benchmarks import lexical

        yield from lexical.measure(folder, scale)
    elif section in ("encode", "exact"):
        from scripts.benchmarks import vectors

        encoding = section == "encode"
        yield from vectors.encode(folder, system, scale, whole) if encoding else vectors.exact(folder, system, scale)
    elif section == "evaluation":
        from scripts.benchmarks import evaluation

        yield from evaluation.measure(scale)
    else:
        from scripts.benchmarks import whole as of_the_whole

        ways: dict[str, Callable[[], Iterator[Measured]]] = {
            "cold": lambda: of_the_whole.cold(folder, scale),
            "live": lambda: of_the_whole.live(folder, scale),
            "pipeline": of_the_whole.pipeline,
        }
        yield from ways[section]()


def measure(sections: list[str], folder: CollectionFolder, system: str, scale: Scale, whole: bool) -> dict[str, Any]:
    """Return the measurements of sections as a JSON object, with a note for each that failed."""
    started = time.perf_counter()
    result: dict[str, Any] = {"collection": folder.name, "machine": machine(), "versions": all_versions()}
    result |= {"scale": asdict(scale), "comparisons": [], "figures": [], "notes": []}
    for section in sections:
        say(f"{section} ...")
        try:
            for found in measured(section, folder, system, scale, whole):
                if isinstance(found, str):
                    result["notes"].append(found)
                    say(f"  {found}")
                    continue
                result["comparisons" if isinstance(found, Comparison) else "figures"].append(asdict(found))
                say(f"  {found.task if isinstance(found, Comparison) else found.name}")
        except UserError as error:
            result["notes"].append(f"{section}: left out: {error}")
            say(f"  {result['notes'][-1]}")
    result["seconds"] = round(time.perf_counter() - started, 1)
    result["finished"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return result


def say(progress: str) -> None:
    """Print progress to standard error."""
    print(time.strftime("%H:%M:%S"), progress, file=sys.stderr, flush=True)


def write(result: dict[str, Any], path: Path) -> None:
    """Write a result as JSON, and its times to a CSV file of the same name."""
    path.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    with path.with_suffix(".csv").open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["section", "task", "per", "who", "ours", "round", "seconds"])
        for c in result["comparisons"]:
            for name, values in c["seconds"].items():
                for number, seconds in enumerate(values, 1):
                    rows.writerow([c["section"], c["task"], c["per"], name, int(name == c["ours"]), number, seconds])


def read(path: Path) -> dict[str, Any]:
    """Read a file written by `write`.

    Raises:
        UserError: if the file is missing or has other contents.
    """
    try:
        result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if not {"comparisons", "figures"} <= result.keys():
            raise ValueError("neither comparisons nor figures")
    except (OSError, ValueError, AttributeError) as error:
        raise UserError(f"{path}: not a result of scripts/benchmarks/bench.py ({error})") from None
    return result


def main() -> None:
    """Measure, print the table and write the data; or print the table of existing results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sections", nargs="+", choices=SECTIONS, default=list(SECTIONS), metavar="SECTION")
    parser.add_argument("--collection", default="sample", help="a built collection under artifacts/ (default: sample)")
    parser.add_argument("--system", default="all-MiniLM-L6-v2", help="the dense system for encode and exact")
    parser.add_argument("--whole", action="store_true", help="also encode the whole collection, for nDCG@10")
    parser.add_argument("--toy", action="store_true", help="run a little of every section, as a check")
    parser.add_argument("--out", type=Path, default=Path("bench.json"), help="output file (default: bench.json)")
    parser.add_argument(
        "--table", nargs="+", type=Path, metavar="FILE", help="only print the medians of existing output files"
    )
    options = parser.parse_args()
    if options.table:
        print(table([read(path) for path in options.table]))
        return
    folder = Workspace.default().collection(options.collection)
    if not folder.profile.is_file():
        raise UserError(f"no built collection {options.collection} under {SHOWN}/; build it with scripts/build.py")
    result = measure(options.sections, folder, options.system, TOY if options.toy else Scale(), options.whole)
    write(result, options.out)
    about = result["machine"]
    print(f"{about['processor']}, {about['cores']} cores ({' '.join(about['features'])}), {about['memory_gib']} GiB")
    print(f"{options.collection}, {result['seconds']:.0f} s; medians, and from lowest to highest\n")
    print(table([result]))
    for note in result["notes"]:
        print(f"- {note}")


if __name__ == "__main__":
    command_line.run(main)
