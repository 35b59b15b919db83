#!/usr/bin/env python3
"""Compare statistics with scipy and statsmodels, and measures with ir_measures and official scores, on real runs.

    python scripts/tables/check_statistics.py --runs FOLDER --qrels FILE [--official FILE] [--pairs 20]

FOLDER has runs (.run or .run.gz). The official scores are a CSV with a column "tag", the names of the runs, and columns
such as "ndcg@20", "P@20", "bpref", "map" and "rbp_p5". statsmodels is not among the requirements; without it (pip
install statsmodels) its rows are missing. The exit status is 1 if anything differs.
"""

import argparse
import csv
import itertools
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from scipy import stats

from core.evaluation.cross_checks import ir_measures_values
from core.evaluation.measures import evaluate, mean
from core.evaluation.significance import (
    Values,
    bootstrap_intervals,
    compare,
    corrected,
    equivalence,
    p_values,
    smallest_detectable,
    topics_needed,
)
from core.evaluation.table_formats import Table, plain_text
from core.formats.qrels import Qrels, read_qrels
from core.formats.runs import Scores, ranked, read_run
from core.workspace import command_line
from core.workspace.errors import UserError
from core.workspace.measure_names import FAMILIES, TREC_EVAL, measure_name, parse_measure

MEASURE = "AP"
"""The measure by which runs are compared."""
MARGIN, DIFFERENCE = 0.05, 0.02
"""The margin of the equivalence tests, and the difference that is to be detected."""
RESAMPLES = 9_999
OFFICIAL = {
    "ndcg@20": ("nDCG@20",),
    "P@20": ("P@20",),
    "bpref": ("Bpref",),
    "map": ("AP",),
    "rbp_p5": ("RBP(rel=1,p=0.5)", "RBP(rel=2,p=0.5)"),
}
"""Columns of official scores -> their measures; RBP with gains of 0, 0.5 and 1 is the mean of the two thresholds."""
EXACT = 1e-9
"""Largest relative difference of what is no estimate: far below the last printed digit."""
ERRORS = 4
"""Standard errors by which Monte Carlo estimates may differ."""
Row = tuple[str, str, int, float, str, bool]
"""What is compared, with which library, how many values, the largest difference, its unit, and whether it is one."""


def statistics(values: Values, pairs: list[tuple[str, str]]) -> Iterator[Row]:
    """Yield each statistic of pairs of runs, with the same by another library."""
    topics = list(next(iter(values.values())))
    arrays = {name: np.array([by[topic] for topic in topics]) for name, by in values.items()}
    found = {pair: compare(values[pair[0]], values[pair[1]]) for pair in pairs}
    t_tests = {(a, b): stats.ttest_rel(arrays[a], arrays[b]) for a, b in pairs}

    def exact(what: str, library: str, ours: Callable[[Any], Any], theirs: Callable[[Any], Any]) -> Row:
        return exact_row(what, library, [ours(pair) for pair in pairs], [theirs(pair) for pair in pairs])

    root = np.sqrt(len(topics))
    yield exact("difference", "numpy", lambda p: found[p].difference, lambda p: np.mean(arrays[p[0]] - arrays[p[1]]))
    yield exact("p, t-test", "scipy", lambda p: found[p].p_t_test, lambda p: t_tests[p].pvalue)
    yield exact(
        "95 % CI of difference", "scipy", lambda p: found[p].interval, lambda p: t_tests[p].confidence_interval()
    )
    yield exact("effect size", "scipy", lambda p: found[p].effect_size, lambda p: t_tests[p].statistic / root)
    yield exact("p, Wilcoxon", "scipy", lambda p: _wilcoxon(values, p), lambda p: _their_wilcoxon(arrays, p))
    yield exact(
        "p, equivalence",
        "scipy",
        lambda p: equivalence(values[p[0]], values[p[1]], MARGIN).p,
        lambda p: max(
            stats.ttest_1samp(arrays[p[0]] - arrays[p[1]], -MARGIN, alternative="greater").pvalue,
            stats.ttest_1samp(arrays[p[0]] - arrays[p[1]], MARGIN, alternative="less").pvalue,
        ),
    )
    wins = {(a, b): arrays[a] - arrays[b] for a, b in pairs}
    yield exact(
        "wins, ties, losses",
        "numpy",
        lambda p: (found[p].wins, found[p].ties, found[p].losses),
        lambda p: [np.sum(wins[p] > 0), np.sum(wins[p] == 0), np.sum(wins[p] < 0)],
    )
    yield _randomisation(found, arrays)
    yield _bootstrap(values, arrays)
    yield from _by_statsmodels(found, values, arrays)


def exact_row(what: str, library: str, ours: Any, theirs: Any) -> Row:
    """Return the row of a statistic that is no estimate."""
    first, second = np.array(ours, dtype=float), np.array(theirs, dtype=float)
    apart = np.abs(first - second) / np.maximum(np.abs(second), 1e-12)
    return what, library, first.size, float(apart.max()), "relative", bool(np.allclose(first, second, EXACT, 1e-12))


def _wilcoxon(values: Values, pair: tuple[str, str]) -> float:
    return p_values({name: values[name] for name in pair}, pair[1], "wilcoxon")[0][pair[0]]


def _their_wilcoxon(arrays: Mapping[str, np.ndarray], pair: tuple[str, str]) -> float:
    apart = np.round(arrays[pair[0]] - arrays[pair[1]], 12)
    apart = apart[apart != 0]
    method = "exact" if len(np.unique(np.abs(apart))) == len(apart) <= 50 else "approx"
    return float(stats.wilcoxon(apart, method=method).pvalue)


def _randomisation(found: Mapping[tuple[str, str], Any], arrays: Mapping[str, np.ndarray]) -> Row:
    """Compare with plain resampling, in standard errors."""
    apart = []
    for (a, b), ours in found.items():
        plain = stats.permutation_test(
            (arrays[a], arrays[b]),
            lambda x, y, axis: np.mean(x - y, axis=axis),
            permutation_type="samples",
            n_resamples=RESAMPLES,
            rng=1,
        ).pvalue
        # Plain resampling does not resolve p below 1 / (resamples + 1), of which scipy reports twice.
        error = np.sqrt(max(plain * (1 - plain), 1 / RESAMPLES) / RESAMPLES) + 2 / RESAMPLES / ERRORS
        apart.append(abs(ours.p_randomisation - plain) / error)
    return "p, randomisation", "scipy", len(apart), max(apart), "standard errors", max(apart) < ERRORS


def _bootstrap(values: Values, arrays: Mapping[str, np.ndarray]) -> Row:
    """Compare the intervals of means, in standard errors of a bound by the bootstrap."""
    apart = []
    for name, (_, low, high) in bootstrap_intervals(values).items():
        theirs = stats.bootstrap((arrays[name],), np.mean, n_resamples=RESAMPLES, method="percentile", rng=1)
        # The standard error of a quantile at 2.5 % of a normal distribution (Mosteller, 1946), of two estimates.
        density = stats.norm.pdf(stats.norm.ppf(0.025)) / theirs.standard_error
        error = np.sqrt(2 * 0.025 * 0.975 / RESAMPLES) / density
        bounds = theirs.confidence_interval
        apart += [abs(low - bounds.low) / error, abs(high - bounds.high) / error]
    return "95 % CI of means", "scipy", len(apart), max(apart), "standard errors", max(apart) < ERRORS


def _by_statsmodels(found: Mapping[tuple[str, str], Any], values: Values, arrays: Mapping[str, Any]) -> Iterator[Row]:
    try:
        from statsmodels.stats.multitest import multipletests
        from statsmodels.stats.power import TTestPower
        from statsmodels.stats.weightstats import ttost_paired
    except ImportError:
        return
    pairs, power = list(found), TTestPower()
    deviations = {(a, b): float(np.std(arrays[a] - arrays[b], ddof=1)) for a, b in pairs}
    topics = len(next(iter(arrays.values())))
    p = np.array([one.p_t_test for one in found.values()])
    for ours, theirs in (("holm", "holm"), ("bonferroni", "bonferroni"), ("benjamini-hochberg", "fdr_bh")):
        yield exact_row(f"p, {ours}", "statsmodels", corrected(p, ours), multipletests(p, method=theirs)[1])  # type: ignore[arg-type]
    yield exact_row(
        "p, equivalence",
        "statsmodels",
        [equivalence(values[a], values[b], MARGIN).p for a, b in pairs],
        [ttost_paired(arrays[a], arrays[b], -MARGIN, MARGIN)[0] for a, b in pairs],
    )
    effect = power.solve_power(nobs=topics, power=0.8, alpha=0.05)
    detectable = [smallest_detectable(deviation, topics) for deviation in deviations.values()]
    row = exact_row("MDE", "statsmodels", detectable, [effect * one for one in deviations.values()])
    yield *row[:-1], row[3] < 1e-5  # both are solved by iteration
    yield exact_row(
        "topics needed",
        "statsmodels",
        [topics_needed(one, DIFFERENCE) for one in deviations.values()],
        [np.ceil(power.solve_power(DIFFERENCE / one, power=0.8, alpha=0.05)) for one in deviations.values()],
    )


def measures_to_check() -> list[str]:
    """Return every family of measures, with and without cut-offs and relevance levels."""
    names = ["RR@10", "nDCG", "AP@100", "RBP(rel=1,p=0.5)", "RBP(rel=2)", "R@1000", "nDCG@20", "P@20", "Success@1"]
    for name, family in FAMILIES.items():
        if name != "Judged":  # ir_measures divides by the number of retrieved documents, RankScope by k
            names += [measure_name(name, family.usual_cutoff)]
            names += [measure_name(name, family.usual_cutoff, 2)] if family.binary else []
    names += ["infAP", "IPrec@0.1", "SetP", "SetR", "SetF", "NumRet", "NumRel", "Compat(p=0.95)"]
    known = []
    for name in dict.fromkeys(names):
        try:
            known.append(parse_measure(name).notation)
        except UserError as error:
            command_line.note(f"not compared: {error}")
    return list(dict.fromkeys(known))


def measure_rows(runs: Mapping[str, Scores], qrels: Qrels, measures: list[str]) -> list[tuple[str, str, int, float]]:
    """Return (measure, provider, number of values, largest difference on a topic) against ir_measures.

    ir_measures' providers order ties each in its own way, and RankScope as trec_eval: those other than trec_eval are
    given trec_eval's ranks.
    """
    largest = dict.fromkeys(measures, 0.0)
    by_trec_eval = [name for name in measures if parse_measure(name).provider == TREC_EVAL]
    others = [name for name in measures if name not in by_trec_eval]
    for scores in runs.values():
        ours, theirs = evaluate(scores, qrels, measures), ir_measures_values(scores, qrels, by_trec_eval)
        theirs |= ir_measures_values(untied(scores), qrels, others)
        for name in measures:
            apart = max(abs(ours[name][topic] - theirs[name][topic]) for topic in qrels)
            largest[name] = max(largest[name], apart)
    count = len(runs) * len(qrels)
    return [(name, parse_measure(name).provider, count, apart) for name, apart in largest.items()]


def untied(scores: Scores) -> Scores:
    """Return a run in trec_eval's order without ties."""
    return {
        topic: {document: float(rank) for rank, (document, _) in enumerate(reversed(ranked(by_document)), 1)}
        for topic, by_document in scores.items()
    }


def official_rows(runs: Mapping[str, Scores], qrels: Qrels, file: Path) -> Iterator[tuple[str, str, float, float]]:
    """Yield (run, measure, mean here, official score) for the runs in a file of official scores."""
    with file.open(encoding="utf-8") as opened:
        for row in csv.DictReader(opened):
            if row["tag"] not in runs:
                continue
            given = {column: names for column, names in OFFICIAL.items() if row.get(column)}
            found = evaluate(runs[row["tag"]], qrels, [name for names in given.values() for name in names])
            for column, names in given.items():
                here = sum(mean(found[name]) for name in names) / len(names)
                yield row["tag"], " and ".join(names), here, float(row[column])


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, required=True, help="folder of runs")
    parser.add_argument("--qrels", type=Path, required=True, help="their judgments")
    parser.add_argument("--official", type=Path, help="CSV of official scores")
    parser.add_argument("--pairs", type=int, default=20, help="number of pairs of runs (default: 20)")
    options = parser.parse_args()
    qrels = read_qrels(options.qrels)
    files = sorted([*options.runs.glob("*.run"), *options.runs.glob("*.run.gz")])
    runs = {file.name.split(".run")[0]: read_run(file).scores for file in files}
    values = {name: evaluate(scores, qrels, [MEASURE])[MEASURE] for name, scores in runs.items()}
    pairs = list(itertools.combinations(runs, 2))[: options.pairs]
    rows = list(statistics(values, pairs))
    columns = ["statistic", "library", "values", "largest difference", "unit", "agrees"]
    _print(rows, columns, f"Statistics of {len(pairs)} pairs of runs by {MEASURE}, {len(qrels)} topics")
    by_measure = [
        (name, provider, count, apart, apart <= EXACT)
        for name, provider, count, apart in measure_rows(runs, qrels, measures_to_check())
    ]
    columns = ["measure", "computed by", "values", "largest difference", "agrees"]
    _print(by_measure, columns, f"Measures of {len(runs)} runs, {len(qrels)} topics, and ir_measures")
    agree = [bool(row[-1]) for row in (*rows, *by_measure)]
    if options.official:
        scores = [
            (run, name, f"{here:.4f}", f"{there:.4f}", f"{here:.4f}" == f"{there:.4f}")
            for run, name, here, there in official_rows(runs, qrels, options.official)
        ]
        _print(scores, ["run", "measure", "RankScope", "official", "agrees"], "Means and official scores")
        agree += [bool(row[-1]) for row in scores]
    by_trec_eval = sum(row[1] == TREC_EVAL for row in by_measure)
    print(f"{sum(agree)} of {len(agree)} rows agree; {by_trec_eval} measures are computed by trec_eval.")
    if not all(agree):
        sys.exit(1)


def _print(rows: list[Any], columns: list[str], caption: str) -> None:
    table = pd.DataFrame(rows, columns=columns).set_index(columns[0])
    shown = table.assign(**{columns[-1]: table[columns[-1]].map({True: "yes", False: "NO"})})
    if "largest difference" in shown:
        shown["largest difference"] = shown["largest difference"].map("{:.2g}".format)
    print(plain_text(Table(table, caption, shown)))


if __name__ == "__main__":
    command_line.run(main)
