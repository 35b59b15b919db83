"""Model, losses, training data and training loop of the cross-encoder, based on Sentence Transformers."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from sentence_transformers import CrossEncoder
from sentence_transformers.cross_encoder import CrossEncoderTrainer, CrossEncoderTrainingArguments
from sentence_transformers.cross_encoder.evaluation import CrossEncoderRerankingEvaluator
from sentence_transformers.cross_encoder.losses import ListNetLoss, MultipleNegativesRankingLoss

from core.formats.collections import read_built_collection
from core.formats.documents import Document
from core.formats.triples import Triple
from core.retrieval.bm25 import Bm25Index
from core.retrieval.encoder import CPU_BATCH
from core.training import trainer
from core.training.bi_encoder import mined_rows, triple_rows, with_teacher_scores
from core.training.pseudo_labels import Batch, read_batches
from core.workspace.errors import UserError
from core.workspace.models import check_weights, limit_tokens, load_sentence_transformer, loading
from core.workspace.profile import AnalyzerSettings, Bm25Settings, FinetuneSettings
from core.workspace.workspace import CollectionFolder

CARD = {"task": "text-ranking", "title": "cross-encoder", "candidates": ", the first of BM25 for each query"}
"""What the model card says of a cross-encoder (see `core.finetune`)."""


NEW_PARTS = ("classifier", "pre_classifier", "pooler", "score")
"""Names that transformers gives to the parts that turn a model's output into a score; a base model lacks them."""


def build_model(settings: FinetuneSettings, base: Path, device: str) -> CrossEncoder:
    """Return a float32 cross-encoder: the first layers of the transformer in `base`, and a new layer for the score.

    Raises:
        UserError: if the base model is incomplete, has fewer layers than `layers`, or its input limit is below
            `max_tokens`.
    """
    changed: dict[str, Any] = {}
    if settings.dropout is not None:
        changed = {"hidden_dropout_prob": settings.dropout, "attention_probs_dropout_prob": settings.dropout}
    with loading(settings.base):
        model: CrossEncoder = CrossEncoder(
            str(base),
            num_labels=1,
            device=device,
            activation_fn=torch.nn.Identity(),
            model_kwargs={"use_safetensors": True, "dtype": torch.float32, "ignore_mismatched_sizes": True},
            config_kwargs=changed | ({"num_hidden_layers": settings.layers} if settings.layers else {}),
        )
    check_weights(settings.base, base, model, NEW_PARTS)
    limit_tokens(model, settings.max_tokens, "finetune.max_tokens")
    return model


def training_loss(model: CrossEncoder, settings: FinetuneSettings) -> torch.nn.Module:
    """Return the loss: cross-entropy over a query's passages, or ListNet (Cao et al., 2007) on a teacher's scores."""
    identity = torch.nn.Identity()
    if settings.data == "pseudo-labels" or settings.teacher:
        return ListNetLoss(model, activation_fn=identity)
    return MultipleNegativesRankingLoss(
        model, num_negatives=settings.candidates - 1 - settings.use_negative, scale=1, activation_fn=identity
    )


# Data


def listed(rows: Dataset, temperature: float) -> Dataset:
    """Return rows with a query, passages and a "label" of their scores in the form that ListNet takes.

    Args:
        temperature: of the softmax over the scores, which ListNet takes of labels as they are.
    """
    query, *passages = [name for name in rows.column_names if name != "label"]
    return Dataset.from_dict(
        {
            "query": list(rows[query]),
            "passages": [list(texts) for texts in zip(*(rows[name] for name in passages), strict=True)],
            "label": [[score / temperature for score in scores] for scores in rows["label"]],
        }
    )


def pseudo_label_rows(folder: CollectionFolder, settings: FinetuneSettings) -> tuple[Dataset, Dataset]:
    """Return the training and the held-out rows of a collection's pseudo-labels: a query, documents and their scores.

    Raises:
        UserError: if the pseudo-labels are missing or damaged.
    """
    texts = {document.id: document.full_text for document in read_built_collection(folder).documents}
    generator = random.Random(settings.seed)
    found: dict[bool, list[dict[str, Any]]] = {False: [], True: []}
    for batch in read_batches(folder):
        for query, candidates, scores in _queries_of(batch, settings.candidates, generator):
            label = [score / settings.teacher_temperature for score in scores]
            row = {"query": query, "passages": [texts[name] for name in candidates], "label": label}
            found[batch.held_out].append(row)
    return Dataset.from_list(found[False]), Dataset.from_list(found[True])


def _queries_of(
    batch: Batch, candidates: int, generator: random.Random
) -> Iterator[tuple[str, list[str], list[float]]]:
    """Yield each query of a batch with some of the batch's documents and the teacher's scores of them.

    They are the query's own document, those with the highest scores of the others, and as many random ones.
    """
    for own, queries in enumerate(batch.queries):
        for number, query in enumerate(queries):
            scores = batch.scores[own, number]
            others = [int(i) for i in (-scores).argsort(kind="stable") if i != own][: len(scores)]
            hard = others[: candidates // 2]
            drawn = generator.sample(others[len(hard) :], min(candidates - 1 - len(hard), len(others) - len(hard)))
            chosen = [own, *hard, *drawn]
            yield query, [batch.documents[i] for i in chosen], [float(scores[i]) for i in chosen]


def training_rows(
    settings: FinetuneSettings,
    folder: CollectionFolder,
    triples: list[Triple],
    held_out: list[Triple],
    model: CrossEncoder,
) -> tuple[Dataset, Dataset]:
    """Return the training rows and the validation rows.

    Raises:
        UserError: if negatives are to be mined without a teacher, or the pseudo-labels are missing or damaged.
    """
    if settings.data == "pseudo-labels":
        return pseudo_label_rows(folder, settings)
    if not settings.teacher:
        if settings.hard_negatives:
            raise UserError("finetune.hard_negatives of a cross-encoder are mined by a teacher; set finetune.teacher")
        return triple_rows(triples, settings.use_negative), triple_rows(held_out, settings.use_negative)
    teacher = load_sentence_transformer(folder.workspace, settings.teacher, str(model.device))
    limit_tokens(teacher, 0, "")
    training = triple_rows(triples, settings.use_negative)
    if settings.hard_negatives:
        training = mined_rows(triples, teacher, settings.hard_negatives)
    training, validation = (
        listed(with_teacher_scores(rows, teacher, settings.scale), settings.teacher_temperature)
        for rows in (training, triple_rows(held_out, settings.use_negative))
    )
    return training, validation


# Training and validation


def fit(
    model: CrossEncoder,
    training: Dataset,
    validation: Dataset | None,
    settings: FinetuneSettings,
    checkpoints: Path,
    evaluator: CrossEncoderRerankingEvaluator | None = None,
) -> list[dict[str, Any]]:
    """Train the model in place and return the trainer's log; see `core.training.bi_encoder.fit`."""
    loss, classes = training_loss(model, settings), (CrossEncoderTrainer, CrossEncoderTrainingArguments)
    return trainer.fit(*classes, model, loss, training, validation, settings, checkpoints, evaluator)


def held_out_evaluator(
    held_out: list[Triple], candidates: int, others: list[Triple] | None = None
) -> CrossEncoderRerankingEvaluator:
    """Return an evaluator that re-ranks passages for every held-out query (MRR@10).

    A query's candidates are the first `candidates` passages of BM25, among the passages of the held-out triples and of
    `others`, and its relevant ones.
    """
    passages = sorted({p for triple in [*held_out, *(others or [])] for p in (triple.relevant, triple.not_relevant)})
    documents = [Document(str(number), "", passage) for number, passage in enumerate(passages)]
    index = Bm25Index.build(documents, Bm25Settings(), AnalyzerSettings())
    relevant: dict[str, list[str]] = {}
    for triple in held_out:
        if triple.relevant not in (known := relevant.setdefault(triple.query, [])):
            known.append(triple.relevant)

    def first(query: str) -> list[str]:
        found = [passages[int(name)] for name, _ in index.search(query, candidates)]
        return list(dict.fromkeys([*found, *passages[:candidates]]))[:candidates]  # filled up: nDCG needs two

    evaluator = CrossEncoderRerankingEvaluator(
        [{"query": query, "positive": known, "documents": first(query)} for query, known in relevant.items()],
        batch_size=CPU_BATCH,
        write_csv=False,
        name="held-out",
    )
    evaluator.primary_metric = "held-out_mrr@10"  # the library would use nDCG
    return evaluator
