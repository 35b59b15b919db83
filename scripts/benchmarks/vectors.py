"""Benchmark of encoding against plain `SentenceTransformer.encode`, and of exact search against other libraries."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import faiss
import numpy as np
import torch
from sentence_transformers import SentenceTransformer, util

from core.evaluation.measures import evaluate, mean
from core.formats.collections import Collection, read_built_collection
from core.formats.runs import run_of
from core.indexes.base import unit_rows
from core.indexes.exact import ExactIndex
from core.indexes.simulation import simulate
from core.retrieval.encoder import encode_texts, load_encoder, load_vectors, topic_vectors
from core.workspace.models import locate_model, pick_device
from core.workspace.profile import SystemSettings, find_settings, read_profile
from core.workspace.workspace import CollectionFolder
from scripts.benchmarks.measuring import Comparison, Figure, Scale, in_turns, shared

PLAIN = "SentenceTransformer.encode"
PRECISIONS = ("fp32", "bf16")
"""Precisions in which RankScope encodes."""
NDCG_WITHIN = 0.002
SEED = 13


def encode(folder: CollectionFolder, system: str, scale: Scale, whole: bool) -> Iterator[Comparison | Figure]:
    """Encode a sample of the documents in turns; with `whole`, also all documents once, for nDCG@10."""
    profile, collection = read_profile(str(folder.profile)), read_built_collection(folder)
    settings = find_settings(profile, system)
    texts = [settings.document_prefix + document.full_text for document in collection.documents]
    plain = SentenceTransformer(str(locate_model(folder.workspace, settings.model)), device=pick_device())
    if settings.max_tokens:
        plain.max_seq_length = settings.max_tokens
    encoders: dict[str, Callable[[list[str]], np.ndarray]] = {PLAIN: partial(plain.encode, show_progress_bar=False)}
    models: dict[str, Any] = {PLAIN: plain}
    for name in PRECISIONS:
        models[name] = load_encoder(folder.workspace, settings.model_copy(update={"precision": name}))
        encoders[name] = partial(encode_texts, models[name], role="document")
    chosen = np.random.default_rng(SEED).permutation(len(texts))[: scale.texts]
    sample = [texts[i] for i in chosen]
    tasks = {name: partial(encoder, sample) for name, encoder in encoders.items()}
    for encoder in encoders.values():
        encoder(sample[:8])
    found = shared(in_turns(tasks, min(3, scale.rounds), 2 * scale.seconds, warm_up=False), len(sample))
    for name in PRECISIONS:
        seconds = {name: found[name], PLAIN: found[PLAIN]}
        target = {PLAIN: 2.0} if name == "bf16" else {}
        yield Comparison("encode", f"{len(sample)} documents, {system}, {name}", "document", name, seconds, target)
    if not whole:
        return
    baseline = 0.0
    for name, encoder in encoders.items():
        ndcg = _ndcg(settings, collection, models[name], encoder(texts), profile.collection.topic_field)
        yield Figure("encode", f"nDCG@10, {system}, {name}", ndcg)
        if name == PLAIN:
            baseline = ndcg
        else:
            yield Figure("encode", f"nDCG@10, {name} minus plain", ndcg - baseline, NDCG_WITHIN)


def _ndcg(settings: SystemSettings, collection: Collection, model: Any, vectors: np.ndarray, topic_field: Any) -> float:
    index = ExactIndex(settings.similarity)
    index.build(vectors)
    queries = encode_texts(model, [settings.query_prefix + t.text(topic_field) for t in collection.topics], "query")
    ids = [document.id for document in collection.documents]
    run = run_of([topic.id for topic in collection.topics], ids, *index.search(queries, 10))
    return mean(evaluate(run, collection.qrels, ["nDCG@10"])["nDCG@10"])


def exact(folder: CollectionFolder, system: str, scale: Scale) -> Iterator[Comparison]:
    """Search the 10 best exactly, with one and with 50 queries, in the collection's vectors and in simulated ones."""
    profile, topics = read_profile(str(folder.profile)), read_built_collection(folder).topics
    settings = find_settings(profile, system)
    real = np.array(load_vectors(folder, system)[0])
    queries = np.resize(topic_vectors(profile, settings, topics, folder), (50, real.shape[1]))
    for size in dict.fromkeys((len(real), max(len(real), scale.vectors))):
        vectors = real if size == len(real) else simulate(real, size, SEED)
        searches = searchers(vectors)
        for batch in (1, 50):
            repeats = 10 if batch == 1 else 1
            tasks = {name: _repeated(search, queries, batch, repeats) for name, search in searches.items()}
            found = shared(in_turns(tasks, scale.rounds, scale.seconds), batch * repeats)
            asked = "one query" if batch == 1 else f"{batch} at once"
            yield Comparison("exact", f"{asked}, {size:,} x {real.shape[1]}", "query", "RankScope", found)


def _repeated(
    search: Callable[[np.ndarray], Any], queries: np.ndarray, batch: int, repeats: int
) -> Callable[[], object]:
    """Return a task that searches `repeats` batches in sequence."""
    return lambda: [search(queries[i * batch : (i + 1) * batch]) for i in range(repeats)]


def searchers(vectors: np.ndarray) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """Return name -> function from queries to the positions of the 10 best by cosine, int64 [n_queries, 10].

    semantic_search scales all vectors to unit length in each call; "(unit rows)" follows its documentation's advice for
    speed: vectors scaled beforehand and dot product.
    """
    ours = ExactIndex("cosine")
    ours.build(vectors)
    unit = unit_rows(vectors)
    flat = faiss.IndexFlatIP(vectors.shape[1])
    flat.add(unit)
    as_given, as_unit = torch.from_numpy(vectors), torch.from_numpy(unit)

    def semantic(queries: np.ndarray, corpus: torch.Tensor, **options: Any) -> np.ndarray:
        hits = util.semantic_search(torch.from_numpy(queries), corpus, top_k=10, **options)
        return np.array([[hit["corpus_id"] for hit in of_query] for of_query in hits])

    return {
        "RankScope": lambda queries: ours.search(queries, 10)[0],
        "faiss flat": lambda queries: flat.search(unit_rows(queries), 10)[1],
        "semantic_search": lambda queries: semantic(queries, as_given),
        "semantic_search (unit rows)": lambda queries: semantic(
            unit_rows(queries), as_unit, score_function=util.dot_score
        ),
    }
