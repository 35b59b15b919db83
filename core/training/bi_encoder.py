"""The bi-encoder's models, losses and training data, with sentence-transformers' trainer."""

from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from sentence_transformers import (
    SentenceTransformer,
    SentenceTransformerTrainer,
    SentenceTransformerTrainingArguments,
)
from sentence_transformers.base.sampler import DefaultBatchSampler
from sentence_transformers.sentence_transformer.evaluation import InformationRetrievalEvaluator
from sentence_transformers.sentence_transformer.losses import (
    CachedMultipleNegativesRankingLoss,
    DistillKLDivLoss,
    MultipleNegativesRankingLoss,
)
from sentence_transformers.sentence_transformer.modules import Pooling, Router, Transformer
from sentence_transformers.util import cos_sim, dot_score, mine_hard_negatives, pairwise_cos_sim, pairwise_dot_score
from torch import Tensor
from torch.utils.data import SequentialSampler

from core.formats.collections import read_built_collection
from core.formats.triples import Triple
from core.retrieval.encoder import CPU_BATCH
from core.training.pseudo_labels import read_batches
from core.training.trainer import early_stopping, last_checkpoint, trainer_arguments
from core.workspace.errors import UserError
from core.workspace.library_internals import embed_columns
from core.workspace.models import check_weights, limit_tokens, load_sentence_transformer, loading
from core.workspace.profile import FinetuneSettings
from core.workspace.workspace import CollectionFolder

MODEL_CARD = """---
license: other
library_name: sentence-transformers
pipeline_tag: sentence-similarity
---
# RankScope fine-tuned bi-encoder

{base} fine-tuned on {data}. Made by `python -m core.finetune`; the losses of the training are in `{history}`.

| setting | value |
|---|---|
{settings}

| held-out MS MARCO queries | MRR@10 among {passages:,} passages |
|---|---|
| before training | {before:.4f} |
| after training | {after:.4f} |

MS MARCO is for research that is not commercial; weights trained on it, or on queries written by a model that was
trained on it, inherit that.
"""


# Models


def build_model(settings: FinetuneSettings, base: Path, device: str) -> SentenceTransformer:
    """Return a model in float32: the transformer in `base` with a fresh pooling layer, or two such towers.

    Raises:
        UserError: if the base cannot be loaded whole, or reads fewer tokens than `max_tokens`.
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
    """Move the model's weights towards another's: weights = (1 - share) * own + share * base (WiSE-FT).

    Averages of a model before and after fine-tuning keep much of what either can do (Wortsman et al., 2022).
    """
    of_base = base.state_dict()
    for name, weight in model.state_dict().items():
        if weight.is_floating_point():
            weight.lerp_(of_base[name].to(weight.device), base_share)


# Losses


class InBatchDistillation(DistillKLDivLoss):
    """The library's Kullback-Leibler loss with all documents of the batch as every query's candidates.

    Rows are several queries and a document; a row's label is the teacher's score of each of its queries for each
    document of the batch, float32 [n_queries * n_documents]. Documents come the shortest first and go through the
    model in chunks, each as wide as its longest.
    """

    def __init__(self, model: SentenceTransformer, chunk: int, **settings: Any):
        """Take the number of documents in a chunk, and what `DistillKLDivLoss` takes."""
        super().__init__(model, **settings)
        self.chunk = chunk

    def forward(self, sentence_features: Any, labels: Tensor) -> Tensor:
        """Return the loss of one batch; the last column is the document's."""
        *of_queries, of_documents = sentence_features
        queries = torch.cat(embed_columns(self.model, of_queries))
        documents = self._embed(of_documents)
        rows, count = len(documents), len(of_queries)
        targets = labels.view(rows, count, rows).transpose(0, 1).reshape(count * rows, rows)
        candidates = [document.expand_as(queries) for document in documents]
        return self.compute_loss_from_embeddings([queries, *candidates], targets)

    def _embed(self, features: dict[str, Any]) -> Tensor:
        rows = len(features["attention_mask"])
        chunks = []
        for begin in range(0, rows, self.chunk):
            part = {
                k: v[begin : begin + self.chunk] if isinstance(v, Tensor) and v.ndim else v for k, v in features.items()
            }
            width = int(part["attention_mask"].sum(1).max())
            part = {k: v[:, :width] if isinstance(v, Tensor) and v.ndim == 2 else v for k, v in part.items()}
            chunks.append(self.model(part)["sentence_embedding"])
        return torch.cat(chunks)


def _loss(model: SentenceTransformer, settings: FinetuneSettings) -> torch.nn.Module:
    cosine = settings.similarity == "cosine"

    def scaled_cosine(a: Tensor, b: Tensor) -> Tensor:
        return settings.scale * pairwise_cos_sim(a, b)

    distillation: dict[str, Any] = {
        "similarity_fct": scaled_cosine if cosine else pairwise_dot_score,
        "student_temperature": 1.0,
        "teacher_temperature": settings.teacher_temperature,
    }
    if settings.data == "pseudo-labels":
        whole = settings.batch if model.device.type != "cpu" else CPU_BATCH
        return InBatchDistillation(model, settings.chunk or whole, **distillation)
    if settings.teacher:
        return DistillKLDivLoss(model, **distillation)
    similarity: dict[str, Any] = {
        "scale": settings.scale if cosine else 1.0,
        "similarity_fct": cos_sim if cosine else dot_score,
    }
    if settings.chunk:
        return CachedMultipleNegativesRankingLoss(model, mini_batch_size=settings.chunk, **similarity)
    return MultipleNegativesRankingLoss(model, **similarity)


# Data


def triple_rows(triples: list[Triple], use_negative: bool = True) -> Dataset:
    """Return triples as a data set of query, relevant and, with `use_negative`, not_relevant."""
    columns = {"query": [t.query for t in triples], "relevant": [t.relevant for t in triples]}
    if use_negative:
        columns["not_relevant"] = [t.not_relevant for t in triples]
    return Dataset.from_dict(columns)


def mined_rows(triples: list[Triple], miner: SentenceTransformer, negatives: int) -> Dataset:
    """Return rows of query, relevant and the passages that the miner finds most alike, the relevant one's near.

    Passages that score above 95 % of the relevant one are left out: many of those are relevant and not judged
    (Moreira et al., 2024). Queries with too few others are left out as well.
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
    """Add the column "label": the teacher's cosine of the query and each passage, times `scale`."""
    first, *others = rows.column_names
    texts = sorted({text for column in rows.column_names for text in rows[column]})
    vectors = teacher.encode(texts, batch_size=CPU_BATCH, normalize_embeddings=True, convert_to_tensor=True).cpu()
    place = {text: i for i, text in enumerate(texts)}
    queries = vectors[[place[text] for text in rows[first]]]
    scores = [(queries * vectors[[place[text] for text in rows[column]]]).sum(1) for column in others]
    return rows.add_column("label", (scale * torch.stack(scores, 1)).tolist())


def pseudo_label_rows(folder: CollectionFolder) -> tuple[Dataset, Dataset]:
    """Return the training and the held-out batches of a collection's pseudo-labels, a document a row, in their order.

    Raises:
        UserError: if they are missing or damaged.
    """
    texts = {document.id: document.full_text for document in read_built_collection(folder).documents}
    batches = read_batches(folder)

    def rows(held_out: bool) -> Dataset:
        of_part = [batch for batch in batches if batch.held_out == held_out]
        columns: dict[str, list[Any]] = {
            f"query_{n + 1}": [own[n] for batch in of_part for own in batch.queries]
            for n in range(len(batches[0].queries[0]))
        }
        columns["document"] = [texts[name] for batch in of_part for name in batch.documents]
        columns["label"] = [scores.ravel() for batch in of_part for scores in batch.scores]
        return Dataset.from_dict(columns)

    return rows(False), rows(True)


def data_in_words(settings: FinetuneSettings, rows: int, folder: CollectionFolder) -> str:
    """Say what a model is trained on, for its card."""
    if settings.data == "pseudo-labels":
        return f"predicted queries of the collection {folder.name}, scored by a teacher ({rows:,} documents)"
    return f"{rows:,} MS MARCO triples"


def training_rows(
    settings: FinetuneSettings,
    folder: CollectionFolder,
    triples: list[Triple],
    held_out: list[Triple],
    model: SentenceTransformer,
) -> tuple[Dataset, Dataset]:
    """Return the rows to train on and those to validate with.

    Raises:
        UserError: if a teacher has nothing to tell apart, or the pseudo-labels do not fit the settings.
    """
    if settings.data == "pseudo-labels":
        training, validation = pseudo_label_rows(folder)
        if len(training["label"][0]) != settings.batch * (len(training.column_names) - 2):
            raise UserError(f"finetune.batch is {settings.batch}, not the batch that the pseudo-labels were made for")
        return training, validation
    if settings.teacher and not (settings.use_negative or settings.hard_negatives):
        raise UserError("finetune.teacher needs passages to tell apart: set use_negative or hard_negatives")
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


def fit(
    model: SentenceTransformer,
    training: Dataset,
    validation: Dataset | None,
    settings: FinetuneSettings,
    checkpoints: Path,
    evaluator: InformationRetrievalEvaluator | None = None,
) -> list[dict[str, Any]]:
    """Train the model in place and return the trainer's log: step, loss, held-out loss and MRR@10.

    With `validation`, the model ends as its best checkpoint.
    """
    best_by = "eval_loss" if validation else None
    if validation and evaluator and settings.best_by == "mrr":
        best_by = f"eval_{evaluator.primary_metric}"
    columns = [name for name in training.column_names if name != "label"]
    arguments = SentenceTransformerTrainingArguments(
        **trainer_arguments(settings, len(training), checkpoints, model.device.type == "cpu", best_by),
        batch_sampler=_in_order if settings.data == "pseudo-labels" else "no_duplicates",
        router_mapping={name: "query" if name.startswith("query") else "document" for name in columns}
        if settings.towers == "two"
        else {},
    )
    trainer = SentenceTransformerTrainer(
        model=model,
        args=arguments,
        train_dataset=training,
        eval_dataset=validation,
        loss=_loss(model, settings),
        evaluator=evaluator if validation else None,
        callbacks=early_stopping(settings.patience if validation else 0),
    )
    trainer.train(resume_from_checkpoint=last_checkpoint(checkpoints))
    return trainer.state.log_history


def _in_order(dataset: Dataset, **settings: Any) -> DefaultBatchSampler:
    return DefaultBatchSampler(SequentialSampler(dataset), **settings)


def held_out_evaluator(
    held_out: list[Triple], similarity: str, others: list[Triple] | None = None
) -> InformationRetrievalEvaluator:
    """Return an evaluator that ranks passages for every held-out query (MRR@10).

    The passages are those of the held-out triples, relevant and not, and of the `others`.
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
    evaluator.primary_metric = f"held-out_{similarity}_mrr@10"  # the library's own choice is nDCG
    return evaluator
