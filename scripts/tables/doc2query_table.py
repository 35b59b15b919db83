#!/usr/bin/env python3
"""Print the effect of doc2query's settings: number of queries, filtering, and appending or a separate field.

    python scripts/tables/doc2query_table.py --collection trec-covid-subset/
    python scripts/tables/doc2query_table.py --collection scifact/ --choose

The collection must be built, and its queries predicted and scored (`python -m core.doc2query generate`, then `score`);
indexes are made in memory. With --choose, the share of queries to keep and the weight of the field are evaluated on the
collection's *training* topics (qrels/train.tsv), best first, so that settings for the reported collections can be
chosen without their topics.
"""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import pandas as pd

from core.evaluation.expansion_curve import MEASURES, bm25_values
from core.evaluation.measures import PerTopic, mean
from core.evaluation.significance import compare
from core.formats.collections import Collection, read_built_collection
from core.formats.predicted_queries import check_scores, kept_queries, read_expansions, read_scores
from core.formats.sources import obtain_source, read_collection
from core.workspace import command_line
from core.workspace.artifacts import read_manifest
from core.workspace.errors import UserError
from core.workspace.profile import ExpansionSettings, Profile
from core.workspace.workspace import CollectionFolder

QUERIES = [5, 10, 20, 40]
SHARES = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]
WEIGHTS = [0.1, 0.2, 0.3, 0.5, 0.75, 1.0]


@dataclass(frozen=True)
class Predicted:
    """The predicted queries of a built collection and their scores."""

    queries: dict[str, list[str]]
    scores: dict[str, list[float]]

    @property
    def most(self) -> int:
        """The number of predicted queries per document."""
        return max(map(len, self.queries.values()), default=0)


def measured(
    profile: Profile, collection: Collection, predicted: Predicted, expansion: ExpansionSettings | None
) -> PerTopic:
    """Return the measures of BM25 with the expansion, or of BM25 alone if it is None."""
    kept = kept_queries(predicted.queries, predicted.scores, expansion) if expansion else None
    field = profile.collection.topic_field
    return bm25_values(collection, field, profile.bm25, profile.analyzer, kept, expansion)


def variants(most: int, keep: float, weight: float) -> Iterator[ExpansionSettings]:
    """Yield the rows of the table: numbers of queries, unfiltered and filtered, appended and as a separate field."""
    for number in [n for n in QUERIES if n <= most] or [most]:
        for share in dict.fromkeys([1.0, keep]):
            yield ExpansionSettings(queries=number, keep=share)
            yield ExpansionSettings(queries=number, keep=share, field="own", weight=weight)


def candidates(most: int) -> Iterator[ExpansionSettings]:
    """Yield the settings to evaluate on the training topics."""
    for share in SHARES:
        yield ExpansionSettings(queries=most, keep=share)
        for weight in WEIGHTS:
            yield ExpansionSettings(queries=most, keep=share, field="own", weight=weight)


def table(
    profile: Profile, collection: Collection, predicted: Predicted, expansions: Iterator[ExpansionSettings]
) -> pd.DataFrame:
    """Return one row per expansion, BM25 alone first: settings, measures, difference of nDCG@10 to BM25 and its p."""
    alone = measured(profile, collection, predicted, None)
    rows = [{"queries": 0, "keep": "", "field": "", "weight": ""} | {m: mean(alone[m]) for m in MEASURES}]
    for expansion in expansions:
        values = measured(profile, collection, predicted, expansion)
        found = compare(values["nDCG@10"], alone["nDCG@10"])
        row = expansion.model_dump() | {measure: mean(values[measure]) for measure in MEASURES}
        row |= {"weight": expansion.weight if expansion.field == "own" else ""}
        row |= {"difference": found.difference, "relative": found.difference / mean(alone["nDCG@10"])}
        row |= {"p": found.p_randomisation, "p R@100": compare(values["R@100"], alone["R@100"]).p_randomisation}
        rows.append(row)
        print(f"  {expansion.queries} queries, {expansion.keep:.0%} kept, {expansion.field}", file=sys.stderr)
    return pd.DataFrame(rows)


def training_topics(profile: Profile, folder: CollectionFolder) -> Collection:
    """Return the collection with the training topics of its source.

    Raises:
        UserError: if the source has no training topics.
    """
    settings = profile.collection.model_copy(update={"split": "train", "unjudged_topics": "drop"})
    try:
        return read_collection(obtain_source(folder.workspace, settings), settings)
    except UserError as error:
        raise UserError(f"--choose needs training topics, and {folder.name} has none ({error})") from None


def main() -> None:
    """Print the table, or the ranking of settings on the training topics."""
    parser = argparse.ArgumentParser(description=__doc__)
    command_line.add_profile_options(parser)
    parser.add_argument("--keep", type=float, default=0.3, help="share of queries to keep (default: 0.3)")
    parser.add_argument("--weight", type=float, default=1.0, help="weight of the separate field (default: 1)")
    parser.add_argument("--choose", action="store_true", help="evaluate shares and weights on the training topics")
    parser.add_argument("--csv", type=Path, help="also write the table to this file")
    options = parser.parse_args()
    profile, folder = command_line.profile_and_folder(options)
    check_scores(folder)
    predicted = Predicted(read_expansions(folder), read_scores(folder))
    scorer = read_manifest(folder.query_scores).settings["scorer"]
    print(f"{folder.name}: {predicted.most} queries a document, scored by {scorer}")
    if options.choose:
        collection = training_topics(profile, folder)
        found = table(profile, collection, predicted, candidates(predicted.most))
        found = found.sort_values("nDCG@10", ascending=False, kind="stable")
    else:
        expansions = variants(predicted.most, options.keep, options.weight)
        found = table(profile, read_built_collection(folder), predicted, expansions)
    print(found.to_string(index=False, float_format=lambda value: f"{value:.4f}", na_rep=""))
    if options.csv:
        found.to_csv(options.csv, index=False)


if __name__ == "__main__":
    command_line.run(main)
