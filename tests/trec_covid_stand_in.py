"""What the profile trec-covid downloads, in small: models with random weights, and made-up texts of their words."""

import gzip
import json
import random
import shutil
import zipfile
from pathlib import Path

from hub import write_files
from tiny_models import WORDS, make_bert

DOCUMENTS, TOPICS, TRIPLES = 300, 5, 120


def make(folder: Path) -> None:
    """Write the folders models, datasets and files for `scripts.campaigns.hub_stand_in`."""
    generator = random.Random(20)

    def text(shortest: int, longest: int) -> str:
        return " ".join(generator.choices(WORDS, k=generator.randint(shortest, longest)))

    names = [f"doc{number}" for number in range(DOCUMENTS)]
    corpus = [{"_id": name, "title": text(4, 12), "text": text(20, 300), "metadata": {}} for name in names]
    queries = [{"_id": str(n), "text": text(5, 9), "metadata": {"query": text(2, 3)}} for n in range(1, TOPICS + 1)]
    qrels = [(query["_id"], name, n % 3) for query in queries for n, name in enumerate(generator.sample(names, 60))]
    (folder / "files").mkdir(parents=True)
    with zipfile.ZipFile(folder / "files" / "trec-covid.zip", "w") as archive:
        archive.writestr("trec-covid/corpus.jsonl", json_lines(corpus))
        archive.writestr("trec-covid/queries.jsonl", json_lines(queries))
        rows = "".join(f"{topic}\t{name}\t{grade}\n" for topic, name, grade in qrels)
        archive.writestr("trec-covid/qrels/test.tsv", f"query-id\tcorpus-id\tscore\n{rows}")
    triples = "".join(f"{text(4, 8)}\t{text(20, 60)}\t{text(20, 60)}\n" for _ in range(TRIPLES))
    (folder / "files" / "msmarco_triples.train.tiny.tsv").write_text(triples)
    predicted = [{"id": document["_id"], "queries": [text(4, 8) for _ in range(20)]} for document in corpus]
    published = {"train.jsonl.gz": gzip.compress(json_lines(predicted).encode()), "README.md": "a card"}
    write_files(folder / "datasets" / "income" / "trec-covid-top-20-gen-queries", published)
    make_base(folder / "models" / "microsoft" / "MiniLM-L12-H384-uncased")
    ours = folder / "models" / "sentence-transformers"
    make_sentence_transformer(ours / "all-MiniLM-L12-v2", make_bert(folder / "bert"), 128)
    make_sentence_transformer(ours / "all-mpnet-base-v2", make_mpnet(folder / "mpnet"), 384)


def json_lines(entries: list[dict]) -> str:
    """Return objects as JSON Lines."""
    return "".join(json.dumps(entry) + "\n" for entry in entries)


def make_base(folder: Path) -> None:
    """Write a BERT as MiniLM-L12-H384-uncased is published: a vocabulary, an empty tokenizer_config.json, a pickle."""
    import torch
    from transformers import BertModel

    folder.parent.mkdir(parents=True)
    make_bert(folder)
    torch.save(BertModel.from_pretrained(folder).state_dict(), folder / "pytorch_model.bin")
    for name in ("model.safetensors", "tokenizer.json"):
        (folder / name).unlink()
    (folder / "tokenizer_config.json").write_text("{}")


def make_mpnet(folder: Path) -> Path:
    """Write an MPNet of two layers that knows WORDS, and return its folder."""
    import torch
    from transformers import MPNetConfig, MPNetModel, MPNetTokenizerFast

    folder.mkdir()
    vocabulary = ["<s>", "<pad>", "</s>", "<unk>", *WORDS, "[UNK]", "<mask>"]
    (folder / "vocab.txt").write_text("\n".join(vocabulary))
    MPNetTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    torch.manual_seed(1)
    sizes = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128}
    MPNetModel(MPNetConfig(vocab_size=len(vocabulary), max_position_embeddings=514, **sizes)).save_pretrained(folder)
    return folder


def make_sentence_transformer(folder: Path, transformer: Path, max_tokens: int) -> None:
    """Write a bi-encoder with mean pooling and normalised vectors, as all-MiniLM-L12-v2 and all-mpnet-base-v2 are."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer

    encoder = Transformer(str(transformer), max_seq_length=max_tokens)
    parts = [encoder, Pooling(encoder.get_embedding_dimension(), pooling_mode="mean"), Normalize()]
    SentenceTransformer(modules=parts, device="cpu").save(str(folder), create_model_card=False)
    shutil.rmtree(transformer)
