"""Models, losses, training data and training loop of the bi-encoder, based on Sentence Transformers."""

from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from datasets import Dataset, DatasetDict
from sentence_transformers import (
    SentenceTransformer,
    SentenceTransformerTrainer,
    SentenceTransformerTrainingArguments,
)
from sentence_transformers.base.sampler import DefaultBatchSampler, NoDuplicatesBatchSampler
from sentence_transformers.sentence_transformer.evaluation import InformationRetrievalEvaluator
from sentence_transformers.sentence_transformer.losses import (
    DistillKLDivLoss,
    MultipleNegativesRankingLoss,
)
from sentence_transformers.sentence_transformer.modules import Pooling, Router, Transformer
from sentence_transformers.util import cos_sim, dot_score, mine_hard_negatives, pairwise_cos_sim, pairwise_dot_score
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from core.formats.collections import read_built_collection
from core.formats.triples import Triple
from core.retrieval.encoder import CPU_BATCH
from core.training import trainer
from core.training.pseudo_labels import read_batches
from core.workspace.errors import UserError
from core.workspace.library_internals import embed_columns
from core.workspace.models import check_weights, limit_tokens, load_sentence_transformer, loading
from core.workspace.profile import FinetuneSettings
from core.workspace.workspace import CollectionFolder

CARD = {"task": "sentence-similarity", "title": "fine-tuned bi-encoder", "candidates": ""}
"""What the model card says of a bi-encoder (see `core.finetune`)."""

REPLAYED, KEPT = "replayed triples", "similarities of the base"
"""Sources of training data beside a training's own (see `replayed`)."""
SETTINGS_OF: dict[str, dict[str, Any]] = {
    REPLAYED: {"data": "triples", "teacher": ""},
    KEPT: {"data": "pseudo-labels", "teacher_temperature": 1.0},
}
"""The settings that make the losses of these sources (see `training_loss`)."""


# Models


def build_model(settings: FinetuneSettings, base: Path, device: str) -> SentenceTransformer:
    """Return a float32 model: the transformer in `base` with a new pooling layer, or two such towers.

    Raises:
        UserError: if the base model is incomplete, or its input limit is below `max_tokens`.
    """
    dropout = {}
    if settings.dropout is not None:
        dropout = {"hidden_dropout_prob": settings.dropout, "attention_probs_dropout_prob": settings.dropout}

    def tower() -> list[Any]:
        transformer = Transformer(
            str(base),
            max_seq_length=settings.max_tokens,
            model_kwargs={"use_safetensors": True, "dtype": torch.float32, "ignore_mismatched_sizes": True},
            config_kwargs=dropout,
        )
        return [transformer, Pooling(transformer.get_embedding_dimension(), pooling_mode=settings.pooling)]

    with loading(settings.base):
        modules = tower() if settings.towers == "one" else [Router.for_query_document(tower(), tower())]
    model = SentenceTransformer(modules=modules, device=device)
    check_weights(settings.base, base, model)
    limit_tokens(model, settings.max_tokens, "finetune.max_tokens")
    return model


@torch.no_grad()
def mix_weights(model: SentenceTransformer, base: SentenceTransformer, base_share: float) -> None:
    """Interpolate the model's weights in place: weights = (1 - base_share) * model + base_share * base (WiSE-FT).

    Interpolating between a model before and after fine-tuning keeps much of the abilities of both (Wortsman et al.,
    2022).
    """
    base_weights = base.state_dict()
    for name, weight in model.state_dict().items():
        if weight.is_floating_point():
            weight.lerp_(base_weights[name].to(weight.device), base_share)


# Losses


def embed_by_length(model: torch.nn.Module, features: dict[str, Any], chunk: int, recompute: bool) -> Tensor:
    """Return the embeddings of texts, float [n_texts, dimension], encoded in chunks of similar length.

    Each chunk is padded to its longest text. Embeddings and gradients are those of one forward pass, which takes
    longer on a CPU: it computes more padding, and its intermediate results do not fit the caches.

    Args:
        recompute: whether the backward pass computes a chunk's intermediate results again (Chen et al., 2016), so that
            only those of one chunk are in memory.
    """

    def embed(part: dict[str, Any]) -> Tensor:
        return cast(Tensor, model(part)["sentence_embedding"])

    lengths = features["attention_mask"].sum(1)
    order = lengths.argsort(stable=True)
    chunks = []
    for rows in order.split(chunk):
        longest = int(lengths[rows].max())
        part = {k: v[rows] if isinstance(v, Tensor) and v.ndim else v for k, v in features.items()}
        part = {k: v[:, :longest] if isinstance(v, Tensor) and v.ndim == 2 else v for k, v in part.items()}
        chunks.append(checkpoint(embed, part, use_reentrant=False) if recompute else embed(part))
    return torch.cat(chunks)[order.argsort()]


class InBatchNegatives(MultipleNegativesRankingLoss):
    """Cross-entropy in which every passage of the batch is a candidate for every query.

    It is the library's loss; only passages are encoded in chunks (see `embed_by_length`).
    """

    def __init__(self, model: SentenceTransformer, chunk: int, recompute: bool = False, **settings: Any):
        """Take the arguments of `embed_by_length` and those of `MultipleNegativesRankingLoss`."""
        super().__init__(model, **settings)
        self.chunk, self.recompute = chunk, recompute

    def forward(self, sentence_features: Any, labels: Tensor) -> Tensor:
        """Return the loss of a batch, whose first column holds the queries."""
        queries, *passages = sentence_features
        columns = [self.model(queries)["sentence_embedding"]]
        columns += [embed_by_length(self.model, of_column, self.chunk, self.recompute) for of_column in passages]
        return self.compute_loss_from_embeddings(columns, labels)


class InBatchDistillation(DistillKLDivLoss):
    """Kullback-Leibler distillation loss in which every document of the batch is a candidate for every query.

    A row holds several queries and one document; its label is the teacher's scores of its queries for all documents of
    the batch, float32 [n_queries * n_documents]. Documents are encoded in chunks (see `embed_by_length`).
    """

    def __init__(self, model: SentenceTransformer, chunk: int, recompute: bool = False, **settings: Any):
        """Take the arguments of `embed_by_length` and those of `DistillKLDivLoss`."""
        super().__init__(model, **settings)
        self.chunk, self.recompute = chunk, recompute

    def forward(self, sentence_features: Any, labels: Tensor) -> Tensor:
        """Return the loss of a batch, whose last column holds the documents."""
        *of_queries, of_documents = sentence_features
        queries = torch.cat(embed_columns(self.model, of_queries))
        documents = embed_by_length(self.model, of_documents, self.chunk, self.recompute)
        rows, count = len(documents), len(of_queries)
        targets = labels.view(rows, count, rows).transpose(0, 1).reshape(count * rows, rows)
        candidates = [document.expand_as(queries) for document in documents]
        return self.compute_loss_from_embeddings([queries, *candidates], targets)


def training_loss(model: SentenceTransformer, settings: FinetuneSettings) -> torch.nn.Module:
    """Return the loss of a model's training: cross-entropy over in-batch negatives, or distillation."""
    cosine = settings.similarity == "cosine"

    def scaled_cosine(a: Tensor, b: Tensor) -> Tensor:
        return settings.scale * pairwise_cos_sim(a, b)

    distillation: dict[str, Any] = {
        "similarity_fct": scaled_cosine if cosine else pairwise_dot_score,
        "student_temperature": 1.0,
        "teacher_temperature": settings.teacher_temperature,
    }
    on_cpu = model.device.type == "cpu"
    chunks: dict[str, Any] = {"chunk": settings.batch}
    if on_cpu:
        chunks = {"chunk": settings.chunk or CPU_BATCH, "recompute": settings.chunk > 0}
    if settings.data == "pseudo-labels":
        return InBatchDistillation(model, **chunks, **distillation)
    if settings.teacher:
        return DistillKLDivLoss(model, **distillation)
    similarity: dict[str, Any] = {
        "scale": settings.scale if cosine else 1.0,
        "similarity_fct": cos_sim if cosine else dot_score,
    }
    if on_cpu:
        return InBatchNegatives(model, **chunks, **similarity)
    return MultipleNegativesRankingLoss(model, **similarity)


# Data


def triple_rows(triples: list[Triple], use_negative: bool = True) -> Dataset:
    """Return triples as a data set with columns query, relevant and, with `use_negative`, not_relevant."""
    columns = {"query": [t.query for t in triples], "relevant": [t.relevant for t in triples]}
    if use_negative:
        columns["not_relevant"] = [t.not_relevant for t in triples]
    return Dataset.from_dict(columns)


def mined_rows(triples: list[Triple], miner: SentenceTransformer, negatives: int) -> Dataset:
    """Return triples with hard negatives: for each query, the relevant passage and the miner's nearest other passages.

    Passages that score above 95 % of the relevant passage's score are left out, since many of them are unjudged but
    relevant (Moreira et al., 2024), and so are queries with too few other passages.
    """
    pairs = Dataset.from_list(
        [{"query": q, "relevant": p} for q, p in sorted({(t.query, t.relevant) for t in triples})]
    )
    passages = sorted({passage for t in triples for passage in (t.relevant, t.not_relevant)})
    return mine_hard_negatives(
        pairs,
        miner,
        corpus=passages,
        range_max=100,
        relative_margin=0.05,
        num_negatives=negatives,
        output_format="n-tuple",
        batch_size=CPU_BATCH,
        verbose=False,
    )


def with_teacher_scores(rows: Dataset, teacher: SentenceTransformer, scale: float) -> Dataset:
    """Add the column "label": the teacher's cosine similarity of the query and each passage, times `scale`."""
    first, *others = rows.column_names
    texts = sorted({text for column in rows.column_names for text in rows[column]})
    vectors = teacher.encode(texts, batch_size=CPU_BATCH, normalize_embeddings=True, convert_to_tensor=True).cpu()
    place = {text: i for i, text in enumerate(texts)}
    queries = vectors[[place[text] for text in rows[first]]]
    scores = [(queries * vectors[[place[text] for text in rows[column]]]).sum(1) for column in others]
    return rows.add_column("label", (scale * torch.stack(scores, 1)).tolist())


def pseudo_label_rows(folder: CollectionFolder) -> tuple[Dataset, Dataset]:
    """Return the training and the held-out batches of a collection's pseudo-labels, in order, one document per row.

    Raises:
        UserError: if the pseudo-labels are missing or damaged.
    """
    texts = {document.id: document.full_text for document in read_built_collection(folder).documents}
    batches = read_batches(folder)

    def rows(held_out: bool) -> Dataset:
        selected = [batch for batch in batches if batch.held_out == held_out]
        columns: dict[str, list[Any]] = {
            f"query_{n + 1}": [queries[n] for batch in selected for queries in batch.queries]
            for n in range(len(batches[0].queries[0]))
        }
        columns["document"] = [texts[name] for batch in selected for name in batch.documents]
        columns["label"] = [scores.ravel() for batch in selected for scores in batch.scores]
        return Dataset.from_dict(columns)

    return rows(False), rows(True)


def _scored_batches(settings: FinetuneSettings, folder: CollectionFolder) -> tuple[Dataset, Dataset]:
    """Return a collection's `pseudo_label_rows`; a UserError if their batches are not those of the settings."""
    training, validation = pseudo_label_rows(folder)
    if len(training["label"][0]) != settings.batch * (len(training.column_names) - 2):
        raise UserError(
            f"finetune.batch is {settings.batch}, but the pseudo-labels of {folder.name} were made for another batch "
            "size; restore it or rebuild the pseudo-labels"
        )
    return training, validation


def replayed(
    settings: FinetuneSettings, folder: CollectionFolder, triples: list[Triple], base: SentenceTransformer, batches: int
) -> dict[str, Dataset]:
    """Return what is trained on beside `batches` batches of the data itself, by name (see `ReplaySettings`).

    Raises:
        UserError: if the pseudo-labels of another collection are missing or damaged, or have another batch size.
    """
    replay, sources = settings.replay, {}
    for name in replay.collections:
        sources[f"pseudo-labels of {name}"] = _scored_batches(settings, folder.workspace.collection(name))[0]
    generator = np.random.default_rng(settings.seed)

    def drawn(count: int) -> list[Triple]:
        passes = range(-(-count // len(triples)))
        return [triples[i] for _ in passes for i in generator.permutation(len(triples))][:count]

    if wanted := round(batches * replay.triples):
        sources[REPLAYED] = triple_rows(drawn(wanted * settings.batch), settings.use_negative)
    if wanted := round(batches * replay.base):
        sources[KEPT] = similarities_of(base, drawn(wanted * -(-settings.batch // 2)), settings)
    return sources


def similarities_of(base: SentenceTransformer, triples: list[Triple], settings: FinetuneSettings) -> Dataset:
    """Return the base model's similarities of queries and passages as batches of the form of `pseudo_label_rows`.

    A row is a query with a passage of its triple, relevant or not; half a batch of triples makes a batch.
    """
    half = -(-settings.batch // 2)
    columns: dict[str, list[Any]] = {"query_1": [], "document": [], "label": []}
    for begin in range(0, len(triples), half):
        pairs = [(t.query, passage) for t in triples[begin : begin + half] for passage in (t.relevant, t.not_relevant)]
        queries, documents = (list(texts) for texts in zip(*pairs[: settings.batch], strict=True))
        unit: dict[str, Any] = {"normalize_embeddings": settings.similarity == "cosine", "show_progress_bar": False}
        scores = base.encode_query(queries, **unit) @ base.encode_document(documents, **unit).T
        scale = settings.scale if settings.similarity == "cosine" else 1.0
        columns["query_1"] += queries
        columns["document"] += documents
        columns["label"] += list(np.asarray(scale * scores, dtype=np.float32))
    return Dataset.from_dict(columns)


def data_in_words(settings: FinetuneSettings, training: Dataset | DatasetDict, folder: CollectionFolder) -> str:
    """Describe the training data of a model for its model card."""
    sources = dict(training) if isinstance(training, DatasetDict) else {settings.data: training}
    rows = len(sources.pop(settings.data))
    words = f"{rows:,} MS MARCO triples"
    if settings.data == "pseudo-labels":
        words = f"predicted queries of the collection {folder.name}, scored by a teacher ({rows:,} documents)"
    return ", ".join([words, *(f"{name} ({len(source):,} rows)" for name, source in sources.items())])


def training_rows(
    settings: FinetuneSettings,
    folder: CollectionFolder,
    triples: list[Triple],
    held_out: list[Triple],
    model: SentenceTransformer,
) -> tuple[Dataset | DatasetDict, Dataset]:
    """Return the training rows, of several sources with `settings.replay`, and the validation rows.

    Args:
        model: the model before training.

    Raises:
        UserError: if a teacher is set without negatives, or pseudo-labels are missing or have another batch size.
    """
    training, validation = _own_rows(settings, folder, triples, held_out, model)
    batches = -(-len(training) // settings.batch)
    others = replayed(settings, folder, triples, model, batches)
    return (DatasetDict({settings.data: training} | others) if others else training), validation


def _own_rows(
    settings: FinetuneSettings,
    folder: CollectionFolder,
    triples: list[Triple],
    held_out: list[Triple],
    model: SentenceTransformer,
) -> tuple[Dataset, Dataset]:
    if settings.data == "pseudo-labels":
        return _scored_batches(settings, folder)
    if settings.teacher and not (settings.use_negative or settings.hard_negatives):
        raise UserError("finetune.teacher needs negative passages to score; set use_negative or hard_negatives")
    teacher = None
    if settings.teacher:
        teacher = load_sentence_transformer(folder.workspace, settings.teacher, str(model.device))
        limit_tokens(teacher, 0, "")
    training = triple_rows(triples, settings.use_negative)
    if settings.hard_negatives:
        training = mined_rows(triples, teacher or model, settings.hard_negatives)
    validation = triple_rows(held_out, settings.use_negative)
    if teacher is None:
        return training, validation
    scored = (with_teacher_scores(rows, teacher, settings.scale) for rows in (training, validation))
    return next(scored), next(scored)


def batches_of(rows: Dataset, **sampling: Any) -> DefaultBatchSampler:
    """Return a sampler of batches: those that were scored as they are, others at random, without a text twice."""
    if "document" in rows.column_names:
        return trainer.in_order(rows, **sampling)
    return NoDuplicatesBatchSampler(rows, **sampling)


def fit(
    model: SentenceTransformer,
    training: Dataset | DatasetDict,
    validation: Dataset | None,
    settings: FinetuneSettings,
    checkpoints: Path | None,
    evaluator: InformationRetrievalEvaluator | None = None,
) -> list[dict[str, Any]]:
    """Train the model in place and return the trainer's log: step, loss, held-out loss and MRR@10.

    See `core.training.trainer.fit`.
    """
    sources = training if isinstance(training, DatasetDict) else {"": training}
    losses = {name: training_loss(model, settings.model_copy(update=SETTINGS_OF.get(name, {}))) for name in sources}
    columns = {name for rows in sources.values() for name in rows.column_names if name != "label"}
    return trainer.fit(
        SentenceTransformerTrainer,
        SentenceTransformerTrainingArguments,
        model,
        losses if training is sources else losses[""],
        training,
        validation,
        settings,
        checkpoints,
        evaluator,
        batch_sampler=batches_of,
        router_mapping={name: "query" if name.startswith("query") else "document" for name in sorted(columns)}
        if settings.towers == "two"
        else {},
    )


def held_out_evaluator(
    held_out: list[Triple], similarity: str, others: list[Triple] | None = None
) -> InformationRetrievalEvaluator:
    """Return an evaluator that ranks passages for every held-out query (MRR@10).

    The candidates are all passages, relevant or not, of the held-out triples and of `others`.
    """
    passages = sorted({p for triple in [*held_out, *(others or [])] for p in (triple.relevant, triple.not_relevant)})
    ids = {passage: str(number) for number, passage in enumerate(passages)}
    relevant: dict[str, set[str]] = {}
    for triple in held_out:
        relevant.setdefault(triple.query, set()).add(ids[triple.relevant])
    evaluator = InformationRetrievalEvaluator(
        queries={query: query for query in relevant},
        corpus={number: passage for passage, number in ids.items()},
        relevant_docs=relevant,
        mrr_at_k=[10],
        score_functions={similarity: dot_score if similarity == "dot" else cos_sim},
        main_score_function=similarity,
        batch_size=CPU_BATCH,
        write_csv=False,
        name="held-out",
    )
    evaluator.primary_metric = f"held-out_{similarity}_mrr@10"  # the library would use nDCG
    return evaluator
