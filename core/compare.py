"""Print a figure of the dashboard: comparisons of systems, topics, the lists of a topic, ANN sweeps, trainings.

    python -m core.compare means sample --show letters
    python -m core.compare baseline sample --measure nDCG@10 --baseline bm25 --latex
    python -m core.compare topics sample --a fine-tuned --b bm25 --csv
    python -m core.compare lists sample --topic 7 --depth 20
    python -m core.compare ann-at-recall sample --system fine-tuned --recall 0.99

Figures are of the runs and judgments that are there now; what is older than its inputs is named on standard error.
"""

import argparse
import inspect
from collections.abc import Callable
from typing import Any

from core.evaluation import ann_figures, figures, training_figures
from core.evaluation.ann_tables import COSTS
from core.evaluation.comparison_tables import SHOW, TESTS
from core.evaluation.results import Results, notices, saved_profile
from core.evaluation.table_formats import Table, csv, latex, markdown, plain_text, texts
from core.workspace import command_line
from core.workspace.artifacts import Replaced, read_latest
from core.workspace.workspace import Workspace

OF_RUNS: dict[str, Callable[..., Table]] = {
    "means": figures.means,
    "baseline": figures.baseline,
    "types": figures.types,
    "robustness": figures.robustness,
    "precision-recall": figures.precision_recall,
    "unjudged": figures.unjudged,
    "cost": figures.cost,
    "cross-check": figures.cross_check,
    "topics": figures.topics,
    "wins": figures.wins,
    "notable": figures.notable,
    "heat-map": figures.heat_map,
    "difficulty": figures.difficulty,
    "query-length": figures.query_length,
    "lists": figures.lists,
    "contributions": figures.contributions,
    "ranks": figures.ranks,
    "overlap": figures.overlap,
    "missed": figures.missed,
    "expansion": figures.expansion,
    "moves": figures.moves,
}
OF_SWEEPS: dict[str, Callable[..., Table]] = {
    "ann-sweep": ann_figures.ann_sweep,
    "ann-at-recall": ann_figures.ann_at_recall,
    "ann-pareto": ann_figures.ann_pareto,
    "ann-latency": ann_figures.ann_latency,
    "ann-speed-ups": ann_figures.ann_speed_ups,
    "ann-crossings": ann_figures.ann_crossings,
    "ann-missed": ann_figures.ann_missed,
    "ann-similarities": ann_figures.ann_similarities,
    "ann-sizes": ann_figures.ann_sizes,
}
OF_TRAININGS: dict[str, Callable[..., Table]] = {
    "training-history": training_figures.training_history,
    "training-settings": training_figures.training_settings,
    "ablations": training_figures.ablations,
}
FIGURES = OF_RUNS | OF_SWEEPS | OF_TRAININGS
OPTIONS: dict[str, dict[str, Any]] = {
    "measure": {"help": "e.g. nDCG@10 or P(rel=2)@20 (default: the profile's first)"},
    "baseline": {"metavar": "SYSTEM", "help": "the system that the others are compared with (default: the profile's)"},
    "systems": {"metavar": "NAMES", "type": command_line.names, "help": "only these systems, commas between"},
    "show": {
        "choices": list(SHOW),
        "help": "means alone (default), with 95 %% intervals, or with letters of significance",
    },
    "test": {"choices": list(TESTS), "help": "of significance (default: randomisation, of many systems t-test)"},
    "relevance": {"type": int, "metavar": "GRADE", "help": "the lowest grade that is relevant (default: 1)"},
    "cutoff": {"type": int, "metavar": "K", "help": "k of nDCG@k (default: 10)"},
    "library": {"choices": ["ir_measures", "sentence-transformers"], "help": "(default: ir_measures)"},
    "a": {"metavar": "SYSTEM", "help": "the first system (default: the first that is not the baseline)"},
    "b": {"metavar": "SYSTEM", "help": "the system it is compared with, --b=-median for the median of all"},
    "tie": {"type": float, "metavar": "T", "help": "differences not larger than this are ties (default: 0)"},
    "type": {"metavar": "TYPE", "help": "only topics of this type"},
    "topic": {"required": True, "metavar": "ID", "help": "the topic"},
    "expanded": {"metavar": "SYSTEM", "help": "the expanded system (default: the first)"},
    "plain": {
        "metavar": "SYSTEM",
        "help": "the system it is compared with (default: the first BM25 without expansion)",
    },
    "depth": {"type": int, "metavar": "K", "help": "how many documents of each list (default: 10)"},
    "system": {"metavar": "SYSTEM", "help": "the dense system (default: the first with a sweep)"},
    "size": {
        "type": int,
        "metavar": "N",
        "help": "documents of a simulated or sampled sweep (default: the collection)",
    },
    "recall": {"type": float, "metavar": "R", "help": "the target recall@10 (default: 0.95)"},
    "cost": {"choices": list(COSTS), "help": "latency or throughput (default: p50_ms)"},
    "model": {"metavar": "MODEL", "help": "the fine-tuned model (default: the first)"},
    "base": {"metavar": "MODEL", "help": "the base model of the ablations (default: the first)"},
}


def parser() -> argparse.ArgumentParser:
    """Return the parser: a subcommand for every figure, with the options that its function takes."""
    made = argparse.ArgumentParser(
        prog="python -m core.compare", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = made.add_subparsers(dest="figure", required=True, metavar="FIGURE")
    for name, function in FIGURES.items():
        about = (function.__doc__ or "").partition("\n")[0]
        command = commands.add_parser(name, help=about, description=about)
        command.add_argument("collection", metavar="COLLECTION", help="the name of a built collection, e.g. sample")
        for option in list(inspect.signature(function).parameters)[1:]:
            command.add_argument(f"--{option}", default=argparse.SUPPRESS, **OPTIONS[option])
        form = command.add_mutually_exclusive_group()
        form.add_argument("--csv", action="store_true", help="print CSV, the figures in full precision")
        form.add_argument("--latex", action="store_true", help="print LaTeX for the package booktabs")
        form.add_argument("--markdown", action="store_true", help="print Markdown")
    return made


def figure(collection: str, name: str, **options: Any) -> tuple[Table, list[str]]:
    """Return a figure of a collection, and what a reader must know of it.

    Raises:
        UserError: the collection or a run is missing or damaged, or an option does not fit it.
    """
    folder, profile = saved_profile(Workspace.default(), collection)

    def make(digests: tuple[str, ...]) -> tuple[Table, list[str]]:
        results = Results(folder, profile)
        table = FIGURES[name](results, **options)
        if results.digests() != digests:
            raise Replaced(f"an artifact of {collection} was replaced meanwhile; try again")
        return table, _notes(results, name)

    return read_latest(Results(folder, profile).digests, make)


def _notes(results: Results, name: str) -> list[str]:
    """Return the warnings about a figure, a sentence each."""
    if name in OF_TRAININGS:
        return []
    if name in OF_SWEEPS:
        return ann_figures.sweep_notices(results.folder, results.profile)
    missing = [f"{results.labels[system]}: {why}" for system, why in results.measured.unavailable.items()]
    return [*notices(results.folder, results.labels, results.measured), *missing]


def main(arguments: list[str] | None = None) -> None:
    """Run `python -m core.compare`."""
    options = vars(parser().parse_args(arguments))
    forms = {name: options.pop(name) for name in ("csv", "latex", "markdown")}
    table, notes = figure(options.pop("collection"), options.pop("figure"), **options)
    for sentence in notes:
        command_line.note(sentence)
    if forms["csv"]:
        print(csv(table.figures), end="")
    elif forms["latex"]:
        print(latex(texts(table.shown), table.caption), end="")
    elif forms["markdown"]:
        print(markdown(texts(table.shown)), end="")
    else:
        print(plain_text(table), end="")


if __name__ == "__main__":
    command_line.run(main)
