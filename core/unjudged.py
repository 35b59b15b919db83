"""Analyse the effect of unjudged documents on nDCG: condensed lists, and bounds over all possible judgments.

trec_eval counts unjudged documents as non-relevant. The resulting nDCG is not a lower bound: if judged relevant, such a
document would also be in the ideal ranking that nDCG divides by.

    python -m core.unjudged RUN BASELINE --qrels QRELS --cutoff 10
"""

import argparse
import json
from pathlib import Path

from core.evaluation.given_runs import add_excluded_option, given_exclusions, read_given_run
from core.evaluation.unjudged import figures
from core.formats.qrels import read_qrels
from core.workspace import command_line


def main(arguments: list[str] | None = None) -> None:
    """Run `python -m core.unjudged`: print the effect of unjudged documents on nDCG as JSON."""
    parser = argparse.ArgumentParser(prog="python -m core.unjudged", description=__doc__)
    parser.add_argument("a", type=Path, metavar="RUN", help="a TREC run, plain or .gz")
    parser.add_argument("b", type=Path, metavar="BASELINE", help="the run to compare it with")
    parser.add_argument("--qrels", type=Path, required=True, help="qrels in TREC or BEIR format, plain or .gz")
    parser.add_argument("--cutoff", type=int, default=10, help="k of nDCG@k")
    add_excluded_option(parser)
    command_line.add_identical_ids_option(parser)
    options = parser.parse_args(arguments)
    qrels = read_qrels(options.qrels)
    excluded = given_exclusions(options, qrels)
    runs = {name: read_given_run(getattr(options, name), qrels, excluded).scores for name in ("a", "b")}
    print(json.dumps(figures(["a"], runs.__getitem__, "b", qrels, options.cutoff)["a"]))


if __name__ == "__main__":
    command_line.run(main)
