"""Compare two runs on the same topics with significance tests.

python -m core.significance RUN BASELINE --qrels QRELS --measure nDCG@10
"""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from core.evaluation.given_runs import add_excluded_option, given_exclusions, read_given_run
from core.evaluation.measures import evaluate
from core.evaluation.significance import compare
from core.evaluation.verdicts import verdict
from core.formats.qrels import read_qrels
from core.workspace import command_line


def main(arguments: list[str] | None = None) -> None:
    """Run `python -m core.significance`: print the comparison of two runs as JSON, with a sentence."""
    parser = argparse.ArgumentParser(prog="python -m core.significance", description=__doc__)
    parser.add_argument("a", type=Path, metavar="RUN", help="a TREC run, plain or .gz")
    parser.add_argument("b", type=Path, metavar="BASELINE", help="the run to compare it with")
    parser.add_argument("--qrels", type=Path, required=True, help="qrels in TREC or BEIR format, plain or .gz")
    parser.add_argument("--measure", default="nDCG@10", help="e.g. nDCG@10 or P(rel=2)@20")
    add_excluded_option(parser)
    command_line.add_identical_ids_option(parser)
    options = parser.parse_args(arguments)
    qrels = read_qrels(options.qrels)
    excluded = given_exclusions(options, qrels)
    runs = [read_given_run(path, qrels, excluded) for path in (options.a, options.b)]
    a, b = (evaluate(run.scores, qrels, [options.measure])[options.measure] for run in runs)
    comparison = compare(a, b)
    sentence = verdict(runs[0].name, runs[1].name, options.measure, comparison).sentence
    print(json.dumps(asdict(comparison) | {"sentence": sentence}))


if __name__ == "__main__":
    command_line.run(main)
