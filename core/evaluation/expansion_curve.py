"""Effectiveness by the number of predicted queries: the artifact `doc2query-curve`.

BM25 is measured with the first n predicted queries of each document, for several n, and where the queries are scored
also with the better half of them. Each variant is indexed in memory, as the first expanded system of the profile is.
`curve.csv` has a row for each variant, measure and topic.
"""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import pandas as pd
from tqdm import tqdm

from core.evaluation.comparison_tables import against_baseline, readable
from core.evaluation.measures import PerTopic, evaluate, mean
from core.evaluation.significance import Comparison
from core.evaluation.table_formats import Table
from core.evaluation.verdicts import verdict
from core.formats.collections import QRELS, TOPICS, Collection, collection_digests, read_built_collection
from core.formats.documents import CORPUS
from core.formats.exclusions import EXCLUDED, kept_hits
from core.formats.predicted_queries import SCORES_FOLDER, are_scored, kept_queries, read_expansions, read_scores
from core.retrieval.bm25 import Bm25Index, index_settings
from core.workspace import command_line
from core.workspace.artifacts import Manifest, read_manifest, read_whole
from core.workspace.errors import UserError
from core.workspace.profile import AnalyzerSettings, Bm25Settings, ExpansionSettings, SystemSettings
from core.workspace.stage import Build, Draft
from core.workspace.workspace import CollectionFolder

FILE = "curve.csv"
NUMBERS = (0, 1, 2, 5, 10, 20, 40)
"""Numbers of queries per document."""
SHARES = (1.0, 0.5)
"""Shares of the queries to keep, the best-scored ones."""
MEASURES = ("nDCG@10", "R@100", "Judged@10")
DEPTH = 100
"""Documents retrieved per topic, as many as the measures need."""

Variant = tuple[int, float]
"""Number of queries per document, 0 for BM25 alone, and the share of them that is kept."""


def variants(most: int, scored: bool) -> list[Variant]:
    """Return the variants to measure.

    Args:
        most: the number of predicted queries of the document that has most.
        scored: whether the queries have scores.
    """
    numbers = sorted({number for number in NUMBERS if number < most} | {0, most})
    return [(number, share) for share in SHARES[: 1 + scored] for number in numbers if number or share == 1]


def bm25_values(
    collection: Collection,
    topic_field: str,
    bm25: Bm25Settings,
    analyzer: AnalyzerSettings,
    kept: Mapping[str, list[str]] | None,
    expansion: ExpansionSettings | None,
) -> PerTopic:
    """Return `MEASURES` of BM25 over documents that are expanded with some queries; None for no expansion.

    Args:
        topic_field: the part of a topic that is searched, see `core.formats.topics.Topic.text`.
        expansion: how the queries are indexed.
    """
    index = Bm25Index.build(collection.documents, bm25, analyzer, kept, expansion)
    # Scores are derived from ranks to keep the system's order of ties, as in a written run.
    run = {}
    for topic in collection.topics:
        excluded = collection.excluded.get(topic.id, set())
        hits = kept_hits(index.search(topic.text(topic_field), DEPTH + len(excluded)), excluded, DEPTH)
        run[topic.id] = {name: -float(rank) for rank, (name, _) in enumerate(hits)}
    return evaluate(run, collection.qrels, MEASURES)


def curve_settings(build: Build, system: SystemSettings) -> dict[str, Any]:
    """Return the settings that affect the curve."""
    settings = index_settings(build.profile, system)
    settings["expansion"] = system.expansion.model_dump(include={"field", "weight"})
    settings["topic_field"] = build.profile.collection.topic_field
    return settings | {"numbers": NUMBERS, "shares": SHARES, "measures": MEASURES}


def curve_inputs(build: Build, system: SystemSettings) -> dict[str, str]:
    """Return the digests of the collection, of the predicted queries, and of their scores if there are any."""
    folder = build.folder
    digests = collection_digests(folder, CORPUS, TOPICS, QRELS, EXCLUDED)
    digests["doc2query"] = read_manifest(folder.predicted_queries).digest
    return digests | ({SCORES_FOLDER: read_manifest(folder.query_scores).digest} if are_scored(folder) else {})


def measure_curve(build: Build, system: SystemSettings, draft: Draft) -> None:
    """Index and search the built collection once per variant; an interrupted run resumes after the finished ones."""
    profile, folder = build.profile, build.folder
    collection, queries = read_built_collection(folder), read_expansions(folder)
    scores = read_scores(folder) if SCORES_FOLDER in draft.inputs else None
    shared = (profile.collection.topic_field, profile.bm25_of(system), profile.analyzer_of(system))
    most = max(map(len, queries.values()), default=0)
    wanted = variants(most, scores is not None)
    with suppress(UserError):  # the system may not be indexed yet
        minutes = len(wanted) * read_manifest(folder.bm25(system.name)).seconds / 60
        command_line.note(f"{len(wanted)} BM25 indexes, each as {system.name}'s: about {minutes:.1f} minutes")
    found = {}
    for variant in tqdm(wanted, desc="doc2query curve", unit="index"):
        if (name := str(variant)) not in draft.log.done:
            number, keep = variant
            expansion = system.expansion.model_copy(update={"queries": number, "keep": keep}) if number else None
            kept = kept_queries(queries, scores, expansion) if expansion else None
            draft.log.add({name: bm25_values(collection, *shared, kept, expansion)})
        found[variant] = draft.log.done[name]
    draft.facts.update(documents=len(queries), queries=sum(map(len, queries.values())), variants=len(found))
    curve_rows(found).to_csv(draft / FILE, index=False, lineterminator="\n")


def curve_rows(values: Mapping[Variant, PerTopic]) -> pd.DataFrame:
    """Return the values of each variant as a table with the columns queries, keep, measure, topic, value."""
    rows = [
        (*variant, measure, topic, value)
        for variant, by_measure in values.items()
        for measure, by_topic in by_measure.items()
        for topic, value in by_topic.items()
    ]
    return pd.DataFrame(rows, columns=["queries", "keep", "measure", "topic", "value"])


def read_curve(folder: CollectionFolder, digest: str = "") -> dict[Variant, PerTopic]:
    """Return the values of each variant from the artifact `doc2query-curve`.

    Args:
        digest: the required version, see `core.workspace.artifacts.read_whole`.

    Raises:
        UserError: if the artifact is missing or damaged.
    """
    place = folder.expansion_curve

    def read(_: Manifest) -> dict[Variant, PerTopic]:
        rows = pd.read_csv(place / FILE, dtype={"topic": str}, keep_default_na=False)
        values: dict[Variant, PerTopic] = {}
        for queries, keep, measure, topic, value in rows.itertuples(index=False, name=None):
            values.setdefault((queries, keep), {}).setdefault(measure, {})[topic] = value
        return values

    return read_whole(place, read, digest=digest)


def label(variant: Variant) -> str:
    """Return the name of a variant in tables."""
    queries, keep = variant
    return str(queries) if keep == 1 else f"{queries}, best {keep:.0%}"


def curve_figures(values: Mapping[Variant, PerTopic], measure: str) -> pd.DataFrame:
    """Return the columns of `against_baseline` for each variant, compared with no queries, and queries and keep.

    Raises:
        UserError: if the measure is not one of the curve's, or there are fewer than two topics.
    """
    return _compared(values, measure)[0]


def _compared(values: Mapping[Variant, PerTopic], measure: str) -> tuple[pd.DataFrame, dict[str, Comparison]]:
    if measure not in MEASURES:
        raise UserError(f"the curve has no {measure}; use one of {', '.join(MEASURES)}")
    by_variant = {label(variant): by_measure[measure] for variant, by_measure in values.items()}
    table, found = against_baseline(by_variant, label((0, 1.0)))
    table["queries"], table["keep"] = zip(*values, strict=True)
    return table, found


def curve_table(values: Mapping[Variant, PerTopic], measure: str, collection: str) -> Table:
    """Return the effectiveness of each variant, with its paired comparison with no queries by one measure.

    Raises:
        UserError: see `curve_figures`.
    """
    table, found = _compared(values, measure)
    others = {name: [mean(by_measure[name]) for by_measure in values.values()] for name in MEASURES if name != measure}
    shown = readable(table)[["mean", "difference", "95 % CI of difference", "p, randomisation test (Holm-adjusted)"]]
    shown = shown.rename(columns={"mean": measure}).assign(**others).rename_axis("queries")
    figures = table.drop(columns=["queries", "keep"]).rename(columns={"mean": measure}).assign(**others)
    return Table(
        figures.rename_axis("queries"),
        f"{collection}: BM25 by number of predicted queries per document, {measure} compared with no queries",
        shown,
        [_best(table, found, measure)],
    )


def _best(table: pd.DataFrame, found: Mapping[str, Comparison], measure: str) -> str:
    """Return sentences on the variant with the highest mean."""
    name = str(table["mean"].idxmax())
    if name not in found:
        return f"No number of queries has a higher mean {measure} than no queries ({table['mean'].iloc[0]:.4f})."
    adjusted = float(table.loc[name, "Holm randomisation"])
    best = f"BM25 with {name} queries per document"
    return (
        f"Highest mean {measure}: {table.loc[name, 'mean']:.4f}. "
        f"{verdict(best, 'BM25 alone', measure, found[name], adjusted, len(found)).sentence} "
        "The best of several settings on the same topics is overestimated."
    )
