"""Print a figure of the dashboard: comparisons of systems, topics, ranked lists, ANN sweeps and trainings.

    python -m core.compare means sample --show letters
    python -m core.compare table sample --measures nDCG@10,AP --baseline bm25 --correction benjamini-hochberg
    python -m core.compare table a.run b.run.gz --qrels qrels.txt --baseline a --test wilcoxon --format latex
    python -m core.compare paper sample --systems bm25,fine-tuned --measures nDCG@10,AP,R@100 --latex
    python -m core.compare topics sample --a fine-tuned --b bm25 --csv
    python -m core.compare lists sample --topic 7 --depth 20
    python -m core.compare ann-at-recall sample --system fine-tuned --recall 0.99

Figures are computed from the current runs and judgments; artifacts older than their inputs are reported on standard
error. With --qrels, figures of runs are computed from files. With --format, a table carries its provenance, from which
`python -m core.verify` repeats it.
"""

import argparse
import inspect
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from core import __version__
from core.evaluation import ann_figures, document_map, figures, rerank_depths, run_orders, training_figures
from core.evaluation.ann_answer import SOURCES
from core.evaluation.ann_tables import COSTS
from core.evaluation.comparison_tables import CORRECTIONS, SHOW, TESTS
from core.evaluation.fusion_tuning import weight_notes
from core.evaluation.given_runs import GivenResults, add_excluded_option
from core.evaluation.results import Results, left_out_sentence, notices, older, saved_profile
from core.evaluation.table_exports import FORMS, Provenance, export, inputs_of
from core.evaluation.table_formats import Table, plain_text
from core.formats.qrels import HIGHEST_GRADE
from core.workspace import command_line
from core.workspace.artifacts import Replaced, read_latest
from core.workspace.errors import UserError
from core.workspace.measure_names import split_names
from core.workspace.workspace import Workspace

OF_RUNS: dict[str, Callable[..., Table]] = {
    "means": figures.means,
    "table": figures.table,
    "paper": figures.paper,
    "types": figures.types,
    "robustness": figures.robustness,
    "precision-recall": figures.precision_recall,
    "unjudged": figures.unjudged,
    "judged-ranks": figures.judged_ranks,
    "equivalence": figures.equivalence,
    "run-orders": run_orders.run_orders,
    "cost": figures.cost,
    "rerank-depths": rerank_depths.rerank_depths,
    "dense-systems": figures.dense_systems,
    "sparse-systems": figures.sparse_systems,
    "bm25-systems": figures.bm25_systems,
    "fusions": figures.fusions,
    "diagnosis": figures.diagnosis,
    "published": figures.published,
    "exercise": figures.exercise,
    "cross-check": figures.cross_check,
    "topics": figures.topics,
    "wins": figures.wins,
    "notable": figures.notable,
    "examples": figures.examples,
    "heat-map": figures.heat_map,
    "difficulty": figures.difficulty,
    "query-length": figures.query_length,
    "lists": figures.lists,
    "contributions": figures.contributions,
    "ranks": figures.ranks,
    "overlap": figures.overlap,
    "missed": figures.missed,
    "expansion": figures.expansion,
    "expansion-example": figures.expansion_example,
    "moves": figures.moves,
}
OF_SWEEPS: dict[str, Callable[..., Table]] = {
    "ann-answer": ann_figures.ann_answer,
    "ann-sweep": ann_figures.ann_sweep,
    "ann-at-recall": ann_figures.ann_at_recall,
    "ann-pareto": ann_figures.ann_pareto,
    "ann-latency": ann_figures.ann_latency,
    "ann-speed-ups": ann_figures.ann_speed_ups,
    "ann-crossings": ann_figures.ann_crossings,
    "ann-missed": ann_figures.ann_missed,
    "ann-equivalence": ann_figures.ann_equivalence,
    "ann-similarities": ann_figures.ann_similarities,
    "ann-sizes": ann_figures.ann_sizes,
}
OF_TRAININGS: dict[str, Callable[..., Table]] = {
    "training-history": training_figures.training_history,
    "training-settings": training_figures.training_settings,
    "training-checks": training_figures.training_checks,
    "overfitting": training_figures.overfitting,
    "ablations": training_figures.ablations,
}
OF_QUERIES: dict[str, Callable[..., Table]] = {"expansion-curve": figures.expansion_curve}
OF_WEIGHTS: dict[str, Callable[..., Table]] = {"fusion-weights": figures.fusion_weights}
OF_VECTORS: dict[str, Callable[..., Table]] = {
    "document-points": document_map.document_points,
    "document-clusters": document_map.document_clusters,
    "document-neighbours": document_map.document_neighbours,
}
FIGURES = OF_RUNS | OF_QUERIES | OF_WEIGHTS | OF_SWEEPS | OF_TRAININGS | OF_VECTORS
OF_FILES = (
    *("means", "table", "paper", "robustness", "precision-recall", "unjudged", "published", "cross-check", "topics"),
    *("wins", "notable", "heat-map", "difficulty", "lists", "contributions", "ranks", "overlap", "missed"),
    *("judged-ranks", "equivalence"),
)
"""Figures of runs that can be given as files, with their judgments."""
OPTIONS: dict[str, dict[str, Any]] = {
    "measure": {"help": "e.g. nDCG@10 or P(rel=2)@20 (default: the first of the profile)"},
    "baseline": {"metavar": "SYSTEM", "help": "the baseline system (default: from the profile)"},
    "systems": {"metavar": "NAMES", "type": command_line.names, "help": "only these systems, comma-separated"},
    "show": {
        "choices": list(SHOW),
        "help": "means only (default), with 95 %% CIs, or with letters for significant differences",
    },
    "test": {"choices": list(TESTS), "help": "significance test (default: randomisation; t-test for many systems)"},
    "measures": {
        "metavar": "NAMES",
        "type": split_names,
        "help": "these measures, comma-separated, by the names of ir_measures (default: all, or the first)",
    },
    "label": {"action": "append", "metavar": "SYSTEM=LABEL", "help": "name of a system in the table; repeatable"},
    "against": {"metavar": "SYSTEM", "help": "test against this system only (default: all pairs of systems)"},
    "correction": {"choices": list(CORRECTIONS), "help": "correction for multiple comparisons (default: holm)"},
    "reference": {
        "action": "append",
        "metavar": "FILE",
        "help": "a result of MTEB (JSON), as a row of published figures; repeatable",
    },
    "margin": {"type": float, "metavar": "M", "help": "the margin of equivalence (default: 0.01)"},
    "detect": {"type": float, "metavar": "X", "help": "print how many topics a difference of X needs at 80 %% power"},
    "decimals": {"type": int, "metavar": "N", "help": "decimals of the means (default: 4)"},
    "bold": {"action": argparse.BooleanOptionalAction, "help": "highest means in bold (default)"},
    "published": {"action": argparse.BooleanOptionalAction, "help": "published figures below a line"},
    "relevance": {
        "type": command_line.bounded(int, 1, HIGHEST_GRADE),
        "metavar": "GRADE",
        "help": "lowest grade that counts as relevant (default: 1)",
    },
    "cutoff": {"type": int, "metavar": "K", "help": "k of nDCG@k (default: 10)"},
    "library": {
        "choices": ["ir_measures", "sentence-transformers"],
        "help": "library to compare with (default: ir_measures)",
    },
    "a": {"metavar": "SYSTEM", "help": "system A (default: the fine-tuned one, or else the best)"},
    "b": {"metavar": "SYSTEM", "help": "system B, or --b=-median for the median of all systems"},
    "tie": {
        "type": command_line.bounded(float, 0),
        "metavar": "T",
        "help": "tie threshold: differences up to this are ties (default: 0)",
    },
    "type": {"metavar": "TYPE", "help": "only topics of this type"},
    "topic": {"required": True, "metavar": "ID", "help": "topic id"},
    "document": {"metavar": "ID", "help": "document id"},
    "query": {"metavar": "TEXT", "help": "a query, encoded by the model of the system"},
    "expanded": {"metavar": "SYSTEM", "help": "the expanded system (default: the first)"},
    "plain": {
        "metavar": "SYSTEM",
        "help": "the system to compare it with (default: the first BM25 without expansion)",
    },
    "depth": {
        "type": command_line.bounded(int, 1),
        "metavar": "K",
        "help": "number of documents per list (default: 10)",
    },
    "depths": {"metavar": "NUMBERS", "type": command_line.numbers, "help": "comma-separated (default: 10,20,50,100)"},
    "system": {
        "metavar": "SYSTEM",
        "help": "the dense system, fusion or re-ranker (default: the first that was measured)",
    },
    "size": {
        "type": int,
        "metavar": "N",
        "help": "documents of a simulated or sampled sweep (default: the collection)",
    },
    "recall": {
        "type": command_line.bounded(float, 0, 1),
        "metavar": "R",
        "help": "the target recall@10 (default: 0.95)",
    },
    "cost": {"choices": list(COSTS), "help": "latency or throughput (default: p50_ms)"},
    "price": {
        "type": command_line.bounded(float, 0),
        "metavar": "P",
        "help": "price of a machine per hour (default: from the profile)",
    },
    "source": {
        "choices": list(SOURCES),
        "help": "own: sweeps of the collection (default); reference: those shipped with RankScope, of other vectors",
    },
    "graphs": {"choices": ["one", "all"], "help": "implementations of HNSW that compete (default: one)"},
    "model": {"metavar": "MODEL", "help": "the fine-tuned model (default: the first)"},
    "base": {"metavar": "MODEL", "help": "the base model (default: the first)"},
}


def parser() -> argparse.ArgumentParser:
    """Return the parser: one subcommand per figure, with the parameters of its function as options."""
    made = argparse.ArgumentParser(
        prog="python -m core.compare",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    commands = made.add_subparsers(dest="figure", required=True, metavar="FIGURE")
    for name, function in FIGURES.items():
        about = (function.__doc__ or "").partition("\n")[0]
        # The arguments become the provenance of a table, from which `without_format` takes --format away.
        command = commands.add_parser(name, help=about, description=about, allow_abbrev=False)
        if name in OF_FILES:
            about = "name of a built collection, e.g. sample; with --qrels, run files, plain or .gz"
            command.add_argument("of", nargs="+", metavar="COLLECTION", help=about)
            about = "qrels in TREC or BEIR format, plain or .gz: compute the figure from run files"
            command.add_argument("--qrels", type=Path, help=about)
            about = "order run files by their rank column instead of the scores"
            command.add_argument("--by-rank", action="store_true", help=about)
            add_excluded_option(command)
            command_line.add_identical_ids_option(command)
        else:
            command.add_argument("of", nargs=1, metavar="COLLECTION", help="name of a built collection, e.g. sample")
        for option in list(inspect.signature(function).parameters)[1:]:
            command.add_argument(f"--{option}", default=argparse.SUPPRESS, **OPTIONS[option])
        form = command.add_mutually_exclusive_group()
        form.add_argument("--format", choices=FORMS, help="print it in this format, with its provenance")
        form.add_argument("--csv", action="store_true", help="print CSV with values in full precision")
        form.add_argument("--latex", action="store_true", help="print a LaTeX table for the package booktabs")
        form.add_argument("--markdown", action="store_true", help="print a Markdown table")
    return made


def figure(arguments: Sequence[str] | argparse.Namespace) -> tuple[Table, list[str], Provenance]:
    """Return a figure as a table, notes about it, and its provenance.

    Args:
        arguments: those of this command, or what its parser returns.

    Raises:
        UserError: if the collection or a run is missing or damaged, or an option is invalid for it.
    """
    given = arguments if isinstance(arguments, argparse.Namespace) else parser().parse_args(arguments)
    parameters = list(inspect.signature(FIGURES[given.figure]).parameters)[1:]
    options = {name: value for name, value in vars(given).items() if name in parameters}
    if getattr(given, "qrels", None):
        results = GivenResults([Path(path) for path in given.of], given.qrels, given, options.get("measures", ()))
        table = FIGURES[given.figure](results, **options)
        return table, _notes(results, given.figure), _provenance(results)
    if len(given.of) > 1:
        raise UserError("give the name of one collection, or run files with their --qrels")
    collection = given.of[0]
    folder, profile = saved_profile(Workspace.default(), collection)

    def make(digests: tuple[str, ...]) -> tuple[Table, list[str], Provenance]:
        results = Results(folder, profile)
        table = FIGURES[given.figure](results, **options)
        if results.digests() != digests:
            raise Replaced(f"an artifact of {collection} was replaced while it was read; try again")
        return table, _notes(results, given.figure), _provenance(results)

    return read_latest(Results(folder, profile).digests, make)


def _provenance(results: Results) -> Provenance:
    """Return the digests of the inputs of a figure; `main` adds the arguments."""
    return Provenance([], __version__, inputs_of(results.digests()))


def _notes(results: Results, name: str) -> list[str]:
    """Return the warnings about a figure, a sentence each."""
    if name in OF_TRAININGS:
        return []
    if name in OF_VECTORS:
        return older(
            results.folder, {f"vectors/{system}": f"the vectors of {system}" for system in results.profile.encoded}
        )
    if name in OF_QUERIES:
        return older(results.folder, {"doc2query-curve": "the curve"})
    if name in OF_WEIGHTS:
        fusions = [system.name for system in results.profile.system if system.kind == "fusion"]
        return older(results.folder, {f"tuning/{system}": f"the weights of {system}" for system in fusions})
    if name in OF_SWEEPS:
        return ann_figures.sweep_notices(results.folder, results.profile)
    missing = [f"{results.labels[system]}: {why}" for system, why in results.measured.unavailable.items()]
    short = left_out_sentence(results.measured, results.labels)
    weights = weight_notes(results.profile, results.folder, results.labels)
    noticed = notices(results.folder, results.labels, results.measured)
    return [*noticed, *missing, *weights, *([short] if short else [])]


def main(arguments: list[str] | None = None) -> None:
    """Run `python -m core.compare`."""
    arguments = list(sys.argv[1:] if arguments is None else map(str, arguments))
    given = parser().parse_args(arguments)
    table, notes, provenance = figure(given)
    for sentence in notes:
        command_line.note(sentence)
    bare = next((form for form in ("csv", "latex", "markdown") if getattr(given, form)), "")
    form = given.format or bare or "table"
    if form == "table":
        print(plain_text(table), end="")
        return
    provenance = replace(provenance, arguments=without_format(arguments))
    print(export(table, form, None if bare else provenance), end="")


def without_format(arguments: Sequence[str]) -> list[str]:
    """Return the arguments without --format."""
    kept = [word for word in arguments if not word.startswith("--format=")]
    while "--format" in kept:
        place = kept.index("--format")
        del kept[place : place + 2]
    return kept


if __name__ == "__main__":
    command_line.run(main)
