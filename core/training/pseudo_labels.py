"""Pseudo-labelled queries: the teacher that scores them, their batches, and how they are stored."""

import functools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.formats.triples import is_held_out
from core.indexes.base import unit_rows
from core.retrieval.bm25 import load_index
from core.retrieval.encoder import Encoder, encode_to_file, load_encoder_of, load_vectors
from core.workspace.artifacts import Manifest, read_whole
from core.workspace.errors import UserError
from core.workspace.profile import Profile, PseudoLabelSettings, SystemSettings, find_settings
from core.workspace.progress import ProgressLog
from core.workspace.workspace import CollectionFolder

BATCHES, SCORES = "batches.jsonl", "scores.npy"


@dataclass(frozen=True)
class Batch:
    """A batch of documents with their predicted queries and the teacher's scores.

    Attributes:
        documents: document ids, shortest document first.
        queries: the same number of queries for each document, [n_documents][n_queries].
        scores: the teacher's scores of all queries for all documents of the batch, float32
            [n_documents, n_queries, n_documents].
        held_out: whether the batch is for validation; then its documents are in no other batch.
    """

    documents: list[str]
    queries: list[list[str]]
    scores: np.ndarray
    held_out: bool


class Teacher:
    """A teacher whose score is the weighted sum of the scores of BM25 and dense systems.

    Attributes:
        vectors: the concatenated document vectors of the dense systems, each scaled by the square root of the system's
            weight, so that inner products give the dense part of the sum; float32 [n_documents, dimension].
        row: the row number of each query.
    """

    def __init__(
        self,
        profile: Profile,
        folder: CollectionFolder,
        queries: list[str],
        partial: Path,
        log: ProgressLog,
        device: str,
    ):
        """Open the systems and encode the queries into files under `partial`, so that encoding can be resumed.

        Raises:
            UserError: if an artifact that a teacher needs is missing, or no teacher is dense.
        """
        weights = profile.pseudo_labels.teachers
        lexical, dense = teachers_of(profile)
        self._lexical = [(weights[s.name], load_index(profile, s, folder)) for s in lexical]
        self.row = {query: row for row, query in enumerate(queries)}
        self._files = [partial / f"query-vectors-{system.name}.npy" for system in dense]
        of_documents: list[np.ndarray] = []
        of_queries: list[np.ndarray] = []
        for system, file in zip(dense, self._files, strict=True):
            texts = [system.query_prefix + query for query in queries]
            open_encoder = functools.partial(
                Encoder, functools.partial(load_encoder_of, folder, system, device), "query"
            )
            encode_to_file(open_encoder, texts, str, file, log, f"queries, {system.name}")
            for rows, parts in (
                (load_vectors(folder, system.vectors_name)[0], of_documents),
                (np.load(file), of_queries),
            ):
                parts.append(unit_rows(rows) if system.similarity == "cosine" else np.array(rows))
                parts[-1] *= np.float32(weights[system.name] ** 0.5)
        self.vectors, self._queries = np.hstack(of_documents), np.hstack(of_queries)

    def scores(self, query: str, members: list[int]) -> np.ndarray:
        """Return the teacher's scores for a query of the documents at the given positions, float32 [len(members)]."""
        dense = self.vectors[members] @ self._queries[self.row[query]]
        lexical = np.sum([weight * index.scores(query)[members] for weight, index in self._lexical], axis=0)
        scores: np.ndarray = dense + lexical
        return scores

    def score_batch(self, queries: list[list[str]], members: list[int]) -> np.ndarray:
        """Return the scores of a batch, float32 [n_documents, n_queries, n_documents], as in `Batch`.

        Args:
            queries: the queries of each document, [n_documents][n_queries].
            members: the positions of the documents.
        """
        return np.array([[self.scores(query, members) for query in row] for row in queries], dtype=np.float32)

    def close(self) -> None:
        """Delete the files that are only needed for resuming."""
        for file in self._files:
            file.unlink()


def teachers_of(profile: Profile) -> tuple[list[SystemSettings], list[SystemSettings]]:
    """Return the BM25 systems and the dense systems that the profile names as teachers.

    Raises:
        UserError: if no teacher is dense, or a teacher is neither BM25 nor dense.
    """
    found = [find_settings(profile, name) for name in profile.pseudo_labels.teachers]
    lexical, dense = ([s for s in found if s.kind == kind] for kind in ("bm25", "dense"))
    if not dense or len(lexical) + len(dense) != len(found):
        raise UserError(
            "pseudo_labels.teachers must name BM25 and dense systems of the profile, at least one of them dense"
        )
    return lexical, dense


def first_queries(predicted: list[str], wanted: int) -> list[str]:
    """Return the first `wanted` distinct queries, repeating from the start if there are too few."""
    distinct = list(dict.fromkeys(query for query in predicted if query))
    return [distinct[i % len(distinct)] for i in range(wanted)]


def make_batches(
    usable: list[int], vectors: np.ndarray, lengths: np.ndarray, names: list[str], settings: PseudoLabelSettings
) -> Iterator[tuple[list[int], bool]]:
    """Yield each batch as (positions of its documents, shortest first; whether it is held out)."""
    training = [i for i in usable if not is_held_out(names[i], settings.held_out)]
    held_out = [i for i in usable if is_held_out(names[i], settings.held_out)]
    generator = np.random.default_rng(settings.seed)
    for pool, is_validation, rounds in ((held_out, True, 1), (training, False, settings.rounds)):
        for _ in range(rounds):
            groups = _neighbour_groups(pool, vectors, settings.neighbours, generator)
            order = [i for group in generator.permutation(len(groups)) for i in groups[group]]
            for begin in range(0, len(order) - settings.batch + 1, settings.batch):
                yield sorted(order[begin : begin + settings.batch], key=lambda i: (lengths[i], i)), is_validation


def _neighbour_groups(
    pool: list[int], vectors: np.ndarray, size: int, generator: np.random.Generator
) -> list[list[int]]:
    """Split positions into groups, each a random remaining document and its nearest remaining neighbours."""
    left = np.array(pool)[generator.permutation(len(pool))] if pool else np.zeros(0, int)
    of_left = vectors[left]
    free = np.ones(len(left), dtype=bool)
    groups = []
    for first in range(len(left)):
        if not free[first]:
            continue
        similarity = np.where(free, of_left @ of_left[first], -np.inf)
        similarity[first] = np.inf
        wanted = min(size, int(free.sum()))
        group = np.argpartition(-similarity, wanted - 1)[:wanted]
        free[group] = False
        groups.append([int(i) for i in left[group]])
    return groups


def read_batches(folder: CollectionFolder) -> list[Batch]:
    """Read the artifact `pseudo-labels` of a collection.

    Raises:
        UserError: if it is missing or damaged.
    """
    target = folder.pseudo_labels

    def read(_: Manifest) -> list[Batch]:
        scores = np.load(target / SCORES, mmap_mode="r", allow_pickle=False)
        with (target / BATCHES).open(encoding="utf-8", newline="\n") as file:
            return [Batch(scores=scores[number], **json.loads(line)) for number, line in enumerate(file)]

    return read_whole(target, read)
