"""Relevance scores of predicted queries, for filtering them (doc2query--, Gospodinov et al., 2023).

A T5 also generates queries that its document does not answer, or that many other documents answer as well. A dense
system of the profile scores each query by its similarity to the document it was predicted for, optionally minus that to
the nearest other document; the scores are the artifact `doc2query-scores`. Topics and judgments are not used. The share
of queries to keep is a setting of the system that indexes them (`ExpansionSettings`).
"""

import time
from typing import Any

import numpy as np
from tqdm import tqdm

from core.formats.predicted_queries import SCORES_FILE, read_expansions, write_by_document
from core.indexes.base import empty_results, unit_rows
from core.indexes.exact import ExactIndex
from core.retrieval.encoder import encode_texts, load_encoder_of, load_vectors
from core.workspace.artifacts import advice, read_manifest
from core.workspace.errors import UserError
from core.workspace.models import digest_if_here
from core.workspace.profile import Profile, SystemSettings
from core.workspace.stage import Build, Draft
from core.workspace.workspace import CollectionFolder

SHARD = 64


DECIMALS = 5


def score(build: Build, system: SystemSettings, draft: Draft) -> None:
    """Score the predicted queries of the built collection with a dense system.

    An interrupted run resumes after the finished shards of documents.

    Raises:
        UserError: if queries, vectors or the scorer's model are missing or damaged, or a document with predicted
            queries has no vector.
    """
    folder = build.folder
    queries = read_expansions(folder)
    vectors, ids = load_vectors(folder, system.vectors_name)
    if lacking := queries.keys() - set(ids):
        place = folder.vectors(system.vectors_name)
        count = f"{len(lacking)} of the documents that have predicted queries"
        raise UserError(f"{place.shown} has no vector for {count}, such as {min(lacking)}; {advice(place)}")
    encoder = load_encoder_of(folder, system, build.device)
    others = ExactIndex(system.similarity) if build.profile.doc2query.score_by == "margin" else None
    if others:
        others.build(vectors)
    started, scored = time.perf_counter(), 0
    with tqdm(total=len(ids), initial=len(draft.log.done), desc="doc2query scores", unit="document") as bar:
        for begin in range(0, len(ids), SHARD):
            left = [row for row in range(begin, min(begin + SHARD, len(ids))) if ids[row] not in draft.log.done]
            if not left:
                continue
            own = [queries.get(ids[row], []) for row in left]
            found = scores_of(encoder, system, own, left, vectors, others)
            draft.log.add({ids[row]: values for row, values in zip(left, found, strict=True)})
            scored += sum(map(len, own))
            bar.update(len(left))
    if scored:
        draft.facts["queries_per_second"] = round(scored / (time.perf_counter() - started), 1)
    by_document = {name: draft.log.done[name] for name in ids}
    values = [value for own in by_document.values() for value in own]
    deciles = np.quantile(values or [0], np.linspace(0, 1, 11)).round(4).tolist()
    draft.facts.update(queries=len(values), deciles=deciles)
    write_by_document(draft / SCORES_FILE, "scores", by_document)


def scores_of(
    encoder: Any,
    system: SystemSettings,
    queries: list[list[str]],
    rows: list[int],
    vectors: np.ndarray,
    others: ExactIndex | None,
) -> list[list[float]]:
    """Return the similarity of each query to its document, [len(rows)][n_queries].

    Args:
        rows: the positions of the documents.
        vectors: the vectors of all documents, float32 [n_documents, dimension].
        others: an index of `vectors` with which the similarity to the nearest other document is subtracted, or None.
    """
    texts = sorted({query for own in queries for query in own})
    if not texts:
        return [[] for _ in queries]
    encoded = encode_texts(encoder, [system.query_prefix + text for text in texts], "query")
    positions, nearest = others.search(encoded, 2) if others else empty_results(len(texts), 2)
    nearest[positions < 0] = 0  # no other document
    own_vectors = np.asarray(vectors[rows])
    if system.similarity == "cosine":
        encoded, own_vectors = unit_rows(encoded), unit_rows(own_vectors)
    number = {text: i for i, text in enumerate(texts)}
    return [
        [
            round(float(encoded[i] @ vector - nearest[i, int(positions[i, 0] == row)]), DECIMALS)
            for i in map(number.__getitem__, own)
        ]
        for own, row, vector in zip(queries, rows, own_vectors, strict=True)
    ]


def scores_settings(profile: Profile, system: SystemSettings) -> dict[str, Any]:
    """Return the settings that determine the scores, for the manifest."""
    settings = {"scorer": system.name, "similarity": system.similarity, "query_prefix": system.query_prefix}
    return settings | ({"score_by": "margin"} if profile.doc2query.score_by == "margin" else {})


def scores_inputs(folder: CollectionFolder, system: SystemSettings) -> dict[str, str]:
    """Return the digests of queries, vectors and the scorer's model; the model's is "" if it is not on this machine."""
    return {
        "doc2query": read_manifest(folder.predicted_queries).digest,
        f"vectors/{system.vectors_name}": read_manifest(folder.vectors(system.vectors_name)).digest,
        "model": digest_if_here(folder.workspace, system.model),
    }
