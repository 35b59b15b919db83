#!/usr/bin/env python3
"""Regenerate the artifacts of a collection: print the plan, make what is stale, resume what was interrupted.

python scripts/build.py --profile sample
python scripts/build.py --profile trec-covid
python scripts/build.py --profile trec-covid --collection ../my-collection --only encode
python scripts/build.py --collection beir:cqadupstack/android --systems bm25,all-MiniLM-L6-v2 --without ann
python scripts/build.py --collection ../msmarco --name msmarco-dev --split dev --unjudged drop
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from core.build import STAGES, build, peak_memory_gibibytes
from core.workspace import command_line


def main() -> None:
    """Parse, build, and print what became of every stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    command_line.add_profile_options(parser)
    command_line.add_systems_option(parser)
    parser.add_argument("--only", metavar="STAGE", help=f"only this stage: {', '.join(STAGES)}")
    parser.add_argument(
        "--without", metavar="STAGES", type=command_line.names, default=[], help="not these stages, commas between"
    )
    parser.add_argument("--replace", action="store_true", help="replace a collection of the same name, other source")
    parser.add_argument("--force", action="store_true", help="make fresh artifacts again, too (trained models stay)")
    parser.add_argument("--triples", type=Path, metavar="FILE", help="MS MARCO triples (default: the profile's)")
    command_line.add_threads_option(parser)
    options = parser.parse_args()
    profile, folder = command_line.profile_and_folder(options)
    outcomes = build(
        profile,
        folder,
        options.device,
        options.only,
        options.force,
        options.triples,
        systems=options.systems,
        without=options.without,
        replace=options.replace,
        threads=options.threads,
    )
    print("\nResult:")
    for outcome in outcomes:
        print(f"  {outcome.result:<7}{outcome.seconds:9.1f} s  {outcome.step.stage:<16}{outcome.step.target.name}")
    if peak := peak_memory_gibibytes():
        print(f"  peak memory {peak:.2f} GiB")
    if failed := [outcome for outcome in outcomes if outcome.result in ("failed", "skipped")]:
        print("\nNot made:")
        for outcome in failed:
            print(f"  {outcome.step.stage} {outcome.step.target.name}: {outcome.reason}")
        sys.exit(1)


if __name__ == "__main__":
    command_line.run(main)
