"""Benchmark of evaluation against pytrec_eval, ir_measures and ranx, and of reading runs against their readers."""

import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import ir_measures
import numpy as np
import pandas as pd
import pytrec_eval

from core.evaluation.measures import Evaluator
from core.formats.qrels import Qrels
from core.formats.runs import Scores, read_run, write_run
from scripts.benchmarks.measuring import WITHIN, Comparison, Scale, in_turns, shared

MEASURES = {
    "nDCG@10": ("ndcg_cut.10", "ndcg@10"),
    "P@10": ("P.10", "precision@10"),
    "R@100": ("recall.100", "recall@100"),
    "AP": ("map", "map"),
    "RR": ("recip_rank", "mrr"),
}
"""Measure name in RankScope and ir_measures -> names in trec_eval and ranx."""
TOPICS, DEPTH, JUDGED, DOCUMENTS = 50, 1000, 1400, 171_332
"""Sizes of the synthetic runs and judgments, as in TREC-COVID."""
DIFFERENT_RUNS = 10
"""Number of different runs, which are evaluated repeatedly; a hundred would not fit into a small memory."""
READ_WITHIN_SECONDS = 0.1


def made_up(seed: int) -> tuple[list[Scores], Qrels]:
    """Return synthetic runs without ties, 30 % of whose documents are judged, and the judgments."""
    chance = np.random.default_rng(seed)
    names = np.array([f"d{number:06d}" for number in range(DOCUMENTS)])
    qrels: Qrels = {}
    runs: list[Scores] = [{} for _ in range(DIFFERENT_RUNS)]
    for topic in map(str, range(1, TOPICS + 1)):
        order = chance.permutation(DOCUMENTS)
        judged, others = order[:JUDGED], order[JUDGED : JUDGED + DEPTH]
        qrels[topic] = dict(zip(names[judged].tolist(), chance.integers(0, 3, JUDGED).tolist(), strict=True))
        for run in runs:
            seen = chance.choice(judged, 3 * DEPTH // 10, replace=False)
            documents = chance.permutation(np.concatenate([seen, others[: DEPTH - len(seen)]]))
            scores = np.arange(DEPTH, 0, -1) + 0.5 * chance.random(DEPTH)
            run[topic] = dict(zip(names[documents].tolist(), scores.tolist(), strict=True))
    return runs, qrels


def evaluators(qrels: Qrels) -> dict[str, Callable[[Scores], Any]]:
    """Return functions that evaluate a run for every topic; judgments are prepared here, outside the measured time."""
    names = list(MEASURES)
    theirs = ir_measures.evaluator([ir_measures.parse_measure(name) for name in names], qrels)
    found: dict[str, Callable[[Scores], Any]] = {
        "RankScope": Evaluator(qrels, names).evaluate,
        "pytrec_eval": pytrec_eval.RelevanceEvaluator(
            qrels, {trec_eval for trec_eval, _ in MEASURES.values()}
        ).evaluate,
        "ir_measures": lambda run: list(theirs.iter_calc(run)),
    }
    if find_spec("ranx"):
        import ranx

        judged, wanted = ranx.Qrels(qrels), [name for _, name in MEASURES.values()]
        found["ranx"] = lambda run: ranx.evaluate(judged, ranx.Run(run), wanted, return_mean=False)
    return found


def readers() -> dict[str, Callable[[Path], Any]]:
    """Return functions that read a run."""
    columns = ["topic", "Q0", "document", "rank", "score", "tag"]

    def by_pytrec_eval(path: Path) -> Any:
        with path.open(encoding="utf-8") as file:
            return pytrec_eval.parse_run(file)

    return {
        "RankScope": read_run,
        "ir_measures": lambda path: list(ir_measures.read_trec_run(str(path))),
        "pytrec_eval": by_pytrec_eval,
        "pandas": lambda path: pd.read_csv(path, sep=r"\s+", names=columns, dtype={"topic": str, "document": str}),
    }


def measure(scale: Scale) -> Iterator[Comparison | str]:
    """Evaluate many runs, and read a run of 50,000 lines."""
    runs, qrels = made_up(1)
    if not find_spec("ranx"):
        yield "ranx: absent (it is not installed)"
    tasks = {name: _of_all(evaluate, runs, scale.runs) for name, evaluate in evaluators(qrels).items()}
    found = shared(in_turns(tasks, scale.rounds, scale.seconds), scale.runs)
    task = f"{scale.runs} runs x {TOPICS} topics x {DEPTH:,} documents, {len(MEASURES)} measures"
    yield Comparison("evaluation", task, "run", "RankScope", found, {"pytrec_eval": WITHIN})

    names = [*MEASURES, "Judged@10"]
    theirs = ir_measures.evaluator([ir_measures.parse_measure(name) for name in names], qrels)
    ways = {"RankScope": Evaluator(qrels, names).evaluate, "ir_measures": lambda run: list(theirs.iter_calc(run))}
    tasks = {name: _of_all(evaluate, runs, scale.runs) for name, evaluate in ways.items()}
    found = shared(in_turns(tasks, scale.rounds, scale.seconds), scale.runs)
    yield Comparison("evaluation", "the same with Judged@10", "run", "RankScope", found)

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.run"
        rankings = {topic: list(by_document.items()) for topic, by_document in runs[0].items()}
        write_run(path, "tag", rankings.items())
        tasks = {name: partial(read, path) for name, read in readers().items()}
        found = in_turns(tasks, 2 * scale.rounds, scale.seconds)
    task = f"read a run of {TOPICS * DEPTH:,} lines"
    yield Comparison("evaluation", task, "", "RankScope", found, limit=READ_WITHIN_SECONDS)


def _of_all(evaluate: Callable[[Scores], Any], runs: list[Scores], count: int) -> Callable[[], object]:
    return lambda: [evaluate(runs[number % len(runs)]) for number in range(count)]
