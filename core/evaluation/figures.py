"""The dashboard's figures: functions that compute a table from a collection's results.

`python -m core.compare` prints them. The pages compute the same tables with the same functions of the modules below,
from results that they cache between reruns.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import cast

import pandas as pd

from core.evaluation import (
    comparison_tables,
    costs,
    cross_checks,
    expansion_effects,
    fusion_tuning,
    paper_tables,
    rank_tables,
    topic_tables,
)
from core.evaluation import expansion_curve as curves
from core.evaluation import judged_ranks as by_rank
from core.evaluation import robustness as robust
from core.evaluation.comparison_tables import BOTH, against_baseline, best_systems, evaluated_measures
from core.evaluation.configurations import bm25_table, dense_table, fusion_table, sparse_table
from core.evaluation.diagnosis_tables import read_diagnosis
from core.evaluation.expansion_example import example_table, find_example, gains
from core.evaluation.measures import Evaluator, mean, mean_curves, providers, residuals
from core.evaluation.ndcg_decomposition import ideal_ranking, split_difference
from core.evaluation.published import (
    agreement_table,
    exercise_table,
    far_from_published,
    of_mteb,
    published_figures,
)
from core.evaluation.rank_overlap import rank_biased_overlap
from core.evaluation.results import Results, first_baseline, first_compared, manifests
from core.evaluation.significance import Correction, Test, Values, compare_corrected
from core.evaluation.significance import equivalence as test_equivalence
from core.evaluation.table_formats import Table
from core.evaluation.topic_examples import examples_table, find_examples
from core.evaluation.topic_tables import MEDIAN
from core.evaluation.unjudged import figures as unjudged_figures
from core.formats.runs import ranked
from core.retrieval.bm25 import Origin, load_index, origins, stored_predicted
from core.workspace.errors import UserError
from core.workspace.measure_names import parse_measure
from core.workspace.profile import find_settings

MakeTable = Callable[[pd.DataFrame, Mapping[str, str], Sequence[str], str], Table]


def means(
    results: Results,
    show: str = "means",
    test: str = "",
    systems: Sequence[str] = (),
    measures: Sequence[str] = (),
    reference: Sequence[str] = (),
) -> Table:
    """All systems by all measures, sorted by the first: mean, mean with CI, or mean with significance letters."""
    chosen = _systems(results, systems)
    tidy = results.measured.tidy
    tidy = tidy[tidy["system"].isin(chosen)]
    shown = [_measure(results, name) for name in measures] or evaluated_measures(tidy, results.profile.measures)
    for name in shown:
        tidy = comparison_tables.with_measure(tidy, name, partial(results.values, name))
    tidy = comparison_tables.by_mean(tidy, shown[0])
    topics, order = tidy["topic"].nunique(), list(dict.fromkeys(tidy["system"]))
    default: Test = "randomisation" if comparison_tables.has_letters(len(chosen)) else "t-test"
    by = cast("Test", test or default)
    cells = comparison_tables.mean_cells(tidy, shown, show, by)
    about = comparison_tables.means_caption(results.folder.name, show, len(chosen), topics, by)
    latencies = comparison_tables.latencies(order, manifests(results.folder))
    known = [] if measures else published_figures(results.facts)
    known += [of_mteb(Path(path)) for path in reference]
    return comparison_tables.means_table(cells, about, latencies, results.labels, known, shown)


def table(
    results: Results,
    measures: Sequence[str] = (),
    baseline: str = "",
    systems: Sequence[str] = (),
    test: Test | None = None,
    correction: Correction = "holm",
    detect: float | None = None,
) -> Table:
    """Comparison with a baseline: means, intervals, differences, effect size, MDE, corrected p, wins, ties, losses."""
    measures, baseline = [_measure(results, name) for name in measures or [""]], _baseline(results, baseline)
    chosen = [name for name in results.systems if name == baseline or name in _systems(results, systems)]
    tables = {}
    for measure in measures:
        values = _of(results.values(measure), chosen)
        compared = against_baseline(values, baseline, [test] if test else BOTH, correction, detect)
        judged = comparison_tables.judged_partner(measure)
        shares = results.values(judged) if judged else {}
        by_system = {name: mean(shares[name]) for name in chosen} if judged else None
        tables[measure] = comparison_tables.baseline_table(
            *compared, results.labels, measure, baseline, results.folder.name, by_system
        )
    made = comparison_tables.joined_tables(
        tables, comparison_tables.baseline_caption(results.folder.name, measures, results.labels[baseline])
    )
    return replace(made, details=[f"{providers(measures)}.", *_residuals(results, chosen, measures)])


def _residuals(results: Results, systems: Sequence[str], measures: Sequence[str]) -> list[str]:
    """Return a sentence on the residuals of each RBP among the measures."""
    rbp = [name for name in measures if parse_measure(name).name == "RBP"]
    if not rbp:
        return []
    found = {system: residuals(results.run(system).scores, results.qrels, rbp) for system in systems}
    return [
        f"Residual of {name}: "
        + "; ".join(f"{results.labels[system]} {mean(of_system[name]):.4f}" for system, of_system in found.items())
        for name in rbp
    ]


def paper(
    results: Results,
    systems: Sequence[str] = (),
    measures: Sequence[str] = (),
    label: Sequence[str] = (),
    against: str = "",
    test: Test = "randomisation",
    correction: Correction = "holm",
    decimals: int = 4,
    bold: bool = True,
    published: bool = False,
) -> Table:
    """The table for a paper: chosen systems by chosen measures, with marks of significance, best means in bold."""
    given = paper_tables.parse_labels(label)
    measures = [_measure(results, name) for name in measures] or paper_tables.first_measures(results.measured.tidy)
    values = {name: results.values(name) for name in measures}
    chosen = _systems(results, systems) if systems else best_systems(values[measures[0]], [against])
    labels = {name: given.pop(name, results.labels[name]) for name in chosen}
    for name in given:
        raise UserError(f"--label names {name}, which is not among the systems of the table: {', '.join(chosen)}")
    choices = paper_tables.Choices(labels, measures, against, test, correction, decimals, bold, published)
    return paper_tables.paper_table(values, choices, results.folder.name, published_figures(results.facts))


def types(results: Results, measure: str = "", a: str = "", b: str = "", type: str = "") -> Table:
    """The mean of each system by topic type; with --a, also the mean difference from --b."""
    measure = _measure(results, measure)
    table = _differences(results, measure, a, b, type)[0] if a else None
    values = results.values(measure)
    return topic_tables.types_table(values, results.topics, results.labels, measure, results.folder.name, table)


def robustness(results: Results, measure: str = "", systems: Sequence[str] = ()) -> Table:
    """Robustness of the ranking: the winner under other measures, cut-offs and thresholds, and without each topic."""
    measure, chosen = _measure(results, measure), _systems(results, systems)
    stored = list(dict.fromkeys(results.measured.tidy["measure"]))
    varied = list(robust.variations(measure, stored, results.highest_grade))
    names = [name for _, name in varied]
    values = {name: _of(by, chosen) for name, by in results.stored_values(names, chosen).items()}
    if missing := [name for name in names if name not in values]:
        evaluator = Evaluator(results.qrels, missing)
        computed = {system: evaluator.evaluate(results.run(system).scores) for system in chosen}
        values |= {name: {system: by[name] for system, by in computed.items()} for name in missing}
    of_chosen = values[measure] = _of(results.values(measure), chosen)
    without = robust.leave_one_out(of_chosen) if len(next(iter(of_chosen.values()))) > 2 else {}
    return robust.robustness_table(measure, varied, values, without, results.labels)


def precision_recall(results: Results, relevance: int = 1) -> Table:
    """The precision-recall curve of each system: interpolated precision at eleven recall levels."""
    curves = mean_curves(results.systems, lambda name: results.run(name).scores, results.qrels, relevance)
    return comparison_tables.curve_table(curves, results.labels, relevance)


def unjudged(results: Results, cutoff: int = 10, baseline: str = "") -> Table:
    """nDCG of each system, on condensed lists, and its range over possible judgments of the unjudged documents."""
    baseline = _baseline(results, baseline)
    rows = unjudged_figures(results.systems, lambda name: results.run(name).scores, baseline, results.qrels, cutoff)
    return comparison_tables.unjudged_table(rows, baseline, results.labels, cutoff)


def judged_ranks(results: Results, measure: str = "", depth: int = 10, systems: Sequence[str] = ()) -> Table:
    """Judged@k at each depth, the judged documents that only one run has, and its figure without their judgments."""
    measure, chosen = _measure(results, measure), _systems(results, systems)
    rows = by_rank.judged_ranks(chosen, lambda name: results.run(name).scores, results.qrels, measure, depth)
    return by_rank.judged_table(rows, results.labels, measure, depth, results.folder.name)


def equivalence(
    results: Results, measure: str = "", baseline: str = "", systems: Sequence[str] = (), margin: float = 0.01
) -> Table:
    """Equivalence of every system with a baseline within a margin: two one-sided paired t-tests (TOST)."""
    measure, baseline = _measure(results, measure), _baseline(results, baseline)
    values = results.values(measure)
    chosen = [name for name in _systems(results, systems) if name != baseline]
    found = {results.labels[name]: test_equivalence(values[name], values[baseline], margin) for name in chosen}
    return comparison_tables.equivalence_table(found, results.labels[baseline], measure, margin, results.folder.name)


def cost(results: Results, measure: str = "", price: float | None = None) -> Table:
    """Effectiveness vs cost: the mean of each system, latency by step, memory, build time and money per query."""
    measure = _measure(results, measure)
    table, _ = against_baseline(results.values(measure), _baseline(results, ""))
    price = results.profile.price_per_hour if price is None else price
    rows = costs.cost_rows(table, results.profile, results.folder, manifests(results.folder), price)
    return costs.cost_table(rows, results.labels, measure)


def cross_check(results: Results, measure: str = "", library: str = "") -> Table:
    """Cross-check of the means with other libraries."""
    if library == "sentence-transformers":
        return cross_checks.agreement_table(results.agreement(), results.labels)
    measures = cross_checks.checkable(dict.fromkeys([_measure(results, measure), *results.measured.tidy["measure"]]))
    values = {name: results.values(name) for name in measures}
    rows = cross_checks.check_rows(results.systems, values, lambda name: results.run(name).scores, results.qrels)
    return cross_checks.check_table(rows, results.labels, len(results.qrels))


def dense_systems(results: Results) -> Table:
    """The configuration of the dense systems: model, input limit, pooling, similarity, prompts, precision."""
    systems, found = results.profile.system, manifests(results.folder)
    return dense_table(results.folder.workspace, systems, found, results.labels, results.folder.name)


def sparse_systems(results: Results) -> Table:
    """The configuration of the learned sparse systems: model, input limit, prompts, terms, precision."""
    return sparse_table(results.profile.system, manifests(results.folder), results.labels, results.folder.name)


def bm25_systems(results: Results) -> Table:
    """The configuration of the BM25 systems: parameters, fields, analyzer."""
    return bm25_table(results.profile.system, manifests(results.folder), results.labels, results.folder.name)


def fusions(results: Results) -> Table:
    """The configuration of the fusions: systems, normalisation, weights and where these were chosen."""
    return fusion_table(results.profile.system, manifests(results.folder), results.labels, results.folder.name)


def fusion_weights(results: Results, system: str = "") -> Table:
    """A fusion by its weights, from the runs of the fused systems (`python -m core.tune` measures it)."""
    every = [one.name for one in results.profile.system if one.kind == "fusion"]
    if not every:
        raise UserError(f"{results.folder.name} has no fusion")
    fused = find_settings(results.profile, system or every[0])
    systems, curve, measure = fusion_tuning.read_curve(results.folder, fused.name)
    return fusion_tuning.curve_table(curve, systems, measure, fused, results.labels, results.folder.name)


def published(results: Results) -> Table:
    """What was measured against published figures, for systems with their configuration on whole collections."""
    known = published_figures(results.facts)
    systems = [system for system in results.profile.system if system.name in results.systems]
    of = (results.values, results.labels)
    table = agreement_table(
        known, results.folder.workspace, systems, manifests(results.folder), *of, results.folder.name
    )
    return replace(table, sentences=[*table.sentences, *far_from_published(known, systems, *of)])


def exercise(results: Results) -> Table:
    """What others reached on the collection in the exercise that RankScope grew from."""
    return exercise_table(results.facts, results.folder.name)


def diagnosis(results: Results, system: str = "") -> Table:
    """Why a figure differs from a published one: what was tried, what closes the gap (`python -m core.diagnose`)."""
    systems = [name for name in results.labels if results.folder.diagnosis(name).path.exists()]
    if not (system or systems):
        raise UserError(f"{results.folder.name} has no diagnosis; make one with python -m core.diagnose")
    chosen = system or systems[0]
    return read_diagnosis(results.folder, chosen, results.labels.get(chosen, chosen))


def topics(results: Results, measure: str = "", a: str = "", b: str = "", tie: float = 0.0, type: str = "") -> Table:
    """The difference of two systems for each topic, the largest first."""
    measure = _measure(results, measure)
    table, a, b = _differences(results, measure, a, b, type)
    values = topic_tables.comparable(results.values(measure), b, list(table["topic"]))
    compared = partial(compare_corrected, values, a, b, tie)
    return topic_tables.differences_table(table, _labels(results), a, b, measure, results.folder.name, compared)


def wins(results: Results, measure: str = "", a: str = "", b: str = "", tie: float = 0.0, type: str = "") -> Table:
    """The wins, ties and losses of every system against system b."""
    measure = _measure(results, measure)
    table, _, b = _differences(results, measure, a, b, type)
    if not b:
        raise UserError(f"{results.folder.name} has only one evaluated system; a comparison needs two")
    values = results.values(measure)
    against = {**values, b: topic_tables.median_system(values)} if b == MEDIAN else values
    caption = f"{results.folder.name}, {measure}"
    return topic_tables.wins_table(against, b, list(table["topic"]), tie, _labels(results), caption)


def notable(results: Results, measure: str = "", a: str = "", b: str = "", tie: float = 0.0, type: str = "") -> Table:
    """Notable topics: the largest wins of two systems, and topics with the same score but different documents."""
    measure = _measure(results, measure)
    table, a, b = _differences(results, measure, a, b, type)
    labels = (_labels(results)[a], _labels(results).get(b, ""))
    runs = {name: results.run(name).scores for name in (a, b)} if b and b != MEDIAN else {}

    def lists(topic: str) -> tuple[list[str], list[str]]:
        of_a, of_b = ([name for name, _ in ranked(run.get(topic, {}))] for run in runs.values())
        return of_a, of_b

    overlaps = {topic: rank_biased_overlap(*lists(topic)) for topic in table["topic"]} if runs else {}
    titles = partial(rank_tables.titles_of, results.documents if runs else {})
    return topic_tables.notable_table(
        table, tie, lists if runs else None, overlaps, results.qrels, titles, labels, measure, results.folder.name
    )


def examples(results: Results, measure: str = "", a: str = "", b: str = "") -> Table:
    """The largest win, the largest loss, and the same score with different documents: the top 3 of both systems."""
    measure = _measure(results, measure)
    table, a, b = _differences(results, measure, a, b, "")
    if not b or b == MEDIAN:
        raise UserError("examples need the lists of two systems; name them with --a and --b")
    of_a, of_b = (results.run(name).scores for name in (a, b))
    found = find_examples(table, measure, (of_a, of_b), results.qrels, results.documents)
    return examples_table(found, (results.labels[a], results.labels[b]), measure, results.folder.name)


def heat_map(results: Results, measure: str = "", a: str = "", b: str = "", type: str = "") -> Table:
    """The value of every topic and system, the hardest topic first."""
    return _difficulty(results, measure, a, b, type, topic_tables.heat_map_table)


def difficulty(results: Results, measure: str = "", a: str = "", b: str = "", type: str = "") -> Table:
    """The mean and the range over systems of every topic, the hardest first."""
    return _difficulty(results, measure, a, b, type, topic_tables.difficulty_table)


def query_length(results: Results, measure: str = "", a: str = "", b: str = "", type: str = "") -> Table:
    """The query length and the difference of two systems for each topic, and their rank correlation."""
    measure = _measure(results, measure)
    table = _differences(results, measure, a, b, type)[0]
    table = topic_tables.with_lengths(table, results.topics, results.profile.collection.topic_field)
    return topic_tables.length_table(table, f"{results.folder.name}, {measure}")


def lists(results: Results, topic: str, measure: str = "", systems: Sequence[str] = (), depth: int = 10) -> Table:
    """The ranked lists of the systems for one topic, and the ideal ranking."""
    measure = _measure(results, measure)
    scores = _scores(results, topic, systems)
    values = {name: by_topic[topic] for name, by_topic in results.values(measure).items() if name in scores}
    titles = partial(rank_tables.titles_of, results.documents)
    return rank_tables.lists_table(
        scores, results.qrels[topic], depth, measure, values, titles, results.labels, _about(results, topic)
    )


def contributions(results: Results, topic: str, measure: str = "", a: str = "", b: str = "") -> Table:
    """The contribution of each document to the difference of two systems' nDCG on one topic."""
    measure = _measure(results, measure)
    a, b = _pair(results, measure, a, b)
    if not b or b == MEDIAN:
        raise UserError("the contributions need the lists of two systems; name them with --a and --b")
    k = rank_tables.split_cutoff(measure)
    of_a, of_b = _rankings(_scores(results, topic, (a, b))).values()
    parts = split_difference(of_a, of_b, results.qrels[topic], k)
    titles = rank_tables.titles_of(results.documents, [part.document for part in parts])
    return rank_tables.contributions_table(
        parts, results.labels[a], results.labels[b], k, titles, results.highest_grade, _about(results, topic)
    )


def ranks(results: Results, topic: str, systems: Sequence[str] = (), depth: int = 10) -> Table:
    """The rank in every list of each document in the top k of any list, for one topic."""
    rankings = _rankings(_scores(results, topic, systems))
    titles = rank_tables.titles_of(results.documents, rank_tables.shown_documents(rankings, depth))
    return rank_tables.ranks_table(
        rankings, depth, results.qrels[topic], titles, results.labels, _about(results, topic)
    )


def overlap(results: Results, topic: str, systems: Sequence[str] = (), depth: int = 10) -> Table:
    """The overlap of the ranked lists of each pair of systems for one topic: RBO and Jaccard."""
    rankings = _rankings(_scores(results, topic, systems))
    return rank_tables.overlap_table(rankings, depth, results.labels, _about(results, topic))


def missed(results: Results, topic: str, systems: Sequence[str] = (), depth: int = 10) -> Table:
    """The relevant documents that a system misses in its top k, for one topic."""
    rankings = _rankings(_scores(results, topic, systems))
    relevant = ideal_ranking(results.qrels[topic])
    titles = partial(rank_tables.titles_of, results.documents)
    return rank_tables.missed_table(rankings, relevant, depth, titles, results.labels, _about(results, topic))


def expansion(results: Results, expanded: str = "", plain: str = "", measure: str = "", depth: int = 10) -> Table:
    """The effect of document expansion on each topic: difference, documents gained and lost in the top k."""
    measure = _measure(results, measure)
    expanded, plain = _expanded_and_plain(results, expanded, plain)
    values = results.values(measure)
    before, after = results.run(plain).scores, results.run(expanded).scores
    found = expansion_effects.effects(before, after, results.qrels, depth)
    labels = (results.labels[expanded], results.labels[plain])
    compared = compare_corrected(values, expanded, plain)
    return expansion_effects.topics_table(
        found, values[expanded], values[plain], measure, results.topics, labels, results.folder.name, compared
    )


def expansion_example(results: Results, expanded: str = "", plain: str = "") -> Table:
    """The document that document expansion helped most on a topic, and what each of its predicted queries earned."""
    expanded, plain = _expanded_and_plain(results, expanded, plain)
    settings = find_settings(results.profile, expanded)
    bm25, field = results.profile.bm25_of(settings), results.profile.collection.topic_field
    index, predicted = load_index(results.profile, settings, results.folder), stored_predicted(results.folder, expanded)

    def explain(topic: str, document: str) -> tuple[list[Origin], list[str]]:
        queries, query = predicted.get(document, []), results.topics[topic].text(field)
        known = results.documents.get(document)
        return (origins(index, bm25, query, known, queries), queries) if known else ([], [])

    candidates = gains(results.run(plain).scores, results.run(expanded).scores, results.qrels)
    example = find_example(candidates, explain, index.analyzer)
    if example is None:
        raise UserError(f"no relevant document gains nDCG@10 on {results.folder.name} through a predicted query")
    query = results.topics[example.gain.topic].query
    labels = (results.labels[expanded], results.labels[plain])
    return example_table(example, query, results.documents, labels, results.folder.name)


def expansion_curve(results: Results, measure: str = "nDCG@10") -> Table:
    """The effectiveness of BM25 by the number of predicted queries per document."""
    return curves.curve_table(curves.read_curve(results.folder), measure, results.folder.name)


def moves(results: Results, topic: str, expanded: str = "", plain: str = "", depth: int = 10) -> Table:
    """The judged documents that document expansion promoted or demoted, for one topic."""
    expanded, plain = _expanded_and_plain(results, expanded, plain)
    before, after = (results.run(name).scores.get(topic, {}) for name in (plain, expanded))
    found = expansion_effects.moves(before, after, _judgments(results, topic), depth)
    return expansion_effects.moves_table(found, results.documents, results.highest_grade, _about(results, topic))


def _expanded_and_plain(results: Results, expanded: str, plain: str) -> tuple[str, str]:
    """Return an expanded system and the unexpanded system to compare it with."""
    systems = [system for system in results.profile.system if system.name in results.systems]
    first = next((system.name for system in systems if system.expanded), "")
    if not (expanded or first):
        raise UserError(f"{results.folder.name} has no evaluated system with document expansion")
    other = next((system.name for system in systems if system.kind == "bm25" and not system.expanded), "")
    if not (plain or other):
        raise UserError(
            f"{results.folder.name} has no evaluated BM25 system without expansion; name another system with --plain"
        )
    return _known(results, expanded or first), _known(results, plain or other)


def _measure(results: Results, measure: str) -> str:
    """Return the named measure, by default the first that was evaluated."""
    if measure:
        return parse_measure(measure).notation
    return evaluated_measures(results.measured.tidy, results.profile.measures)[0]


def _known(results: Results, system: str) -> str:
    if system not in results.systems:
        reason = results.measured.unavailable.get(system)
        raise UserError(
            f"{system} is not evaluated: {reason}"
            if reason
            else f"{results.folder.name} has no system {system}; it has {', '.join(results.systems)}"
        )
    return system


def _systems(results: Results, systems: Sequence[str]) -> list[str]:
    """Return the named systems, by default all."""
    return [_known(results, name) for name in systems] or results.systems


def _of(values: Values, systems: Sequence[str]) -> dict[str, Mapping[str, float]]:
    """Return the values of some systems."""
    return {name: values[name] for name in systems}


def _baseline(results: Results, baseline: str) -> str:
    return _known(results, baseline) if baseline else first_baseline(results.profile, results.systems)


def _pair(results: Results, measure: str, a: str, b: str) -> tuple[str, str]:
    """Return systems a and b, by default the pair of the pages; b is "" if only one is evaluated."""
    base = first_baseline(results.profile, results.systems)
    if b and b != MEDIAN:
        base = _known(results, b)
    if a:
        a = _known(results, a)
    else:
        a = first_compared(results.profile, results.systems, base, partial(_means, results, measure)) or base
    if a == b:
        raise UserError(f"A and B are both {a}; choose two systems")
    if b:
        return a, b
    others = [name for name in results.systems if name != a]
    return a, base if base in others else others[0] if others else ""


def _means(results: Results, measure: str) -> dict[str, float]:
    return {system: mean(dict(values)) for system, values in results.values(measure).items()}


def _differences(results: Results, measure: str, a: str, b: str, type: str) -> tuple[pd.DataFrame, str, str]:
    """Return the differences by topic and the systems a and b."""
    a, b = _pair(results, measure, a, b)
    values = results.values(measure)
    of_b = topic_tables.median_system(values) if b == MEDIAN else values.get(b)
    table = topic_tables.differences(values[a], of_b, results.topics)
    if type:
        table = table[table["kind"] == type].reset_index(drop=True)
        if table.empty:
            raise UserError(f"{results.folder.name} has no topic of the type {type} with values of both systems")
    return table, a, b


def _difficulty(results: Results, measure: str, a: str, b: str, type: str, make: MakeTable) -> Table:
    measure = _measure(results, measure)
    kept = list(_differences(results, measure, a, b, type)[0]["topic"])
    values = results.values(measure)
    table = topic_tables.difficulty(values, results.topics, results.qrels, kept)
    return make(table, results.labels, list(values), f"{results.folder.name}, {measure}")


def _labels(results: Results) -> dict[str, str]:
    return results.labels | {MEDIAN: topic_tables.MEDIAN_LABEL}


def _about(results: Results, topic: str) -> str:
    return f"{results.folder.name}, topic {topic}"


def _judgments(results: Results, topic: str) -> dict[str, int]:
    if topic not in results.qrels:
        raise UserError(f"{results.folder.name} has no judged topic {topic}")
    return results.qrels[topic]


def _scores(results: Results, topic: str, systems: Sequence[str]) -> dict[str, list[tuple[str, float]]]:
    """Return each system's (document, score) pairs for a topic, in trec_eval's order."""
    _judgments(results, topic)
    return {name: ranked(results.run(name).scores.get(topic, {})) for name in _systems(results, systems)}


def _rankings(scores: Mapping[str, Sequence[tuple[str, float]]]) -> dict[str, list[str]]:
    return {system: [document for document, _ in hits] for system, hits in scores.items()}
