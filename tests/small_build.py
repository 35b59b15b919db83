"""A small made-up collection and tiny models that every stage runs on in seconds; nothing of it means anything."""

import json
import random
from pathlib import Path

from tiny_models import WORDS, make_bert, make_cross_encoder, make_encoder, make_splade, make_t5

from core.workspace.profile import Profile

KNOWN = WORDS[:60]
NAME = "small"


def prepare(source: Path, artifacts: Path, documents: int = 60) -> Profile:
    """Write a collection, triples and base models under `source`, and return the profile of a build into `artifacts`.

    Its models are trained into `artifacts/models`: "fine-tuned" and "doc2query".
    """
    generator = random.Random(7)

    def text(shortest: int, longest: int) -> str:
        return " ".join(generator.sample(KNOWN, generator.randint(shortest, longest)))

    names = [f"d{number}" for number in range(documents)]
    topics = [str(number) for number in range(6)]
    corpus = [{"_id": name, "title": text(1, 2), "text": text(1, 12)} for name in names]
    queries = [{"_id": topic, "text": text(3, 4)} for topic in topics]
    judged = [(t, name, generator.choice([0, 1, 2])) for t in topics for name in generator.sample(names, 12)]
    (source / "collection" / "qrels").mkdir(parents=True)
    for file, entries in (("corpus", corpus), ("queries", queries)):
        lines = "".join(json.dumps(entry) + "\n" for entry in entries)
        (source / "collection" / f"{file}.jsonl").write_text(lines)
    lines = "".join(f"{topic} 0 {name} {grade}\n" for topic, name, grade in judged)
    (source / "collection" / "qrels" / "test.tsv").write_text(lines)
    pairs = [generator.sample(KNOWN, 3) for _ in range(60)]
    (source / "triples.tsv").write_text("".join("\t".join(pair) + "\n" for pair in pairs))
    bert = make_bert(source / "tiny-bert")
    trained, reads_pairs = artifacts / "models" / "fine-tuned", make_cross_encoder(source / "tiny-pairs", bert)
    return Profile.model_validate(
        {
            "collection": {"name": NAME, "source": str(source / "collection")},
            "triples": {"source": str(source / "triples.tsv"), "held_out": 0.2},
            "doc2query": {
                "base": str(make_t5(source / "tiny-t5", KNOWN)),
                "model": str(artifacts / "models" / "doc2query"),
                "epochs": 4,
                "evaluate_every": 4,
                "max_query_tokens": 6,
                "queries": 3,
                "scorer": "tiny",
            },
            "pseudo_labels": {"teachers": {"bm25": 1.0, "tiny": 20.0}, "batch": 8, "neighbours": 4, "held_out": 0.2},
            "finetune": {
                "base": str(bert),
                "model": str(trained),
                "epochs": 6,
                "batch": 5,
                "learning_rate": 1e-3,
                "max_tokens": 16,
                "evaluate_every": 6,
            },
            "system": [
                {"name": "bm25", "kind": "bm25"},
                {"name": "expanded", "kind": "bm25", "expanded": True, "expansion": {"keep": 0.7}},
                {"name": "tiny", "kind": "dense", "model": str(make_encoder(source / "tiny-encoder", bert))},
                {"name": "fine-tuned", "kind": "dense", "model": str(trained)},
                {"name": "hnsw", "kind": "dense", "vectors_of": "tiny", "backend": {"kind": "hnsw", "ef": 20}},
                {"name": "splade", "kind": "sparse", "model": str(make_splade(source / "tiny-splade"))},
                {"name": "hybrid", "kind": "fusion", "of": ["bm25", "hnsw", "splade"]},
                {"name": "reranked", "kind": "rerank", "of": ["hybrid"], "model": str(reads_pairs), "depth": 10},
            ],
            "ann": {
                "index": [
                    {"kind": "hnsw", "values": [10, 60]},
                    {"kind": "hnswlib", "values": [10, 60]},
                    {"kind": "faiss-sq8"},
                ],
                "repeats": 1,
            },
        }
    )
