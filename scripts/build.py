#!/usr/bin/env python3
"""Build the artifacts of a collection: print the plan, make what is stale, resume what was interrupted.

python scripts/build.py --profile sample
python scripts/build.py --profile trec-covid
python scripts/build.py --profile trec-covid --collection ../my-collection --only encode
python scripts/build.py --profile trec-covid --plan
python scripts/build.py --collection beir:cqadupstack/android --systems bm25,all-MiniLM-L6-v2 --without ann
python scripts/build.py --collection ir_datasets:beir/scifact/test
python scripts/build.py --collection hub:BeIR/scifact
python scripts/build.py --collection ../msmarco --name msmarco-dev --split dev --unjudged drop
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from core.build import Options, plan_build, result_lines, run_build, say_plan
from core.stages import STAGES
from core.workspace import command_line


def main() -> None:
    """Build, and print the outcome of every stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    command_line.add_profile_options(parser)
    command_line.add_systems_option(parser)
    parser.add_argument("--only", metavar="STAGE", help=f"only this stage: {', '.join(stage.name for stage in STAGES)}")
    parser.add_argument(
        "--without", metavar="STAGES", type=command_line.names, default=[], help="comma-separated stages to leave out"
    )
    parser.add_argument(
        "--replace", action="store_true", help="replace a collection of the same name from another source"
    )
    parser.add_argument(
        "--force", action="store_true", help="also rebuild artifacts that are up to date (except trained models)"
    )
    parser.add_argument("--plan", action="store_true", help="print the plan with its estimates and build nothing")
    command_line.add_triples_option(parser)
    command_line.add_threads_option(parser)
    options = parser.parse_args()
    build = command_line.build_from(options)
    if options.plan:
        chosen = Options(options.only or "", options.force, options.without, options.replace)
        build, plan = plan_build(build, chosen)
        say_plan(plan, build.folder, print)
        return
    outcomes = run_build(build, options.only, options.force, without=options.without, replace_source=options.replace)
    print("\nResult:")
    print(*result_lines(outcomes), sep="\n")
    if failed := [outcome for outcome in outcomes if outcome.result in ("failed", "skipped")]:
        print("\nNot made:")
        for outcome in failed:
            print(f"  {outcome.step.stage.name} {outcome.step.artifact.name}: {outcome.reason}")
        sys.exit(1)


if __name__ == "__main__":
    command_line.run(main)
