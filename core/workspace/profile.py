"""Profiles: TOML files with all settings of a build, from the collection to the list of systems."""

import json
import sys
from collections.abc import Callable, Iterator
from difflib import get_close_matches
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import Stemmer
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from core.workspace.artifacts import OWN_DIGEST, fits_own_digest
from core.workspace.errors import UserError
from core.workspace.measure_names import parse_measure
from core.workspace.names import collection_name_problem, hub_source_problem, name_problem, source_problem

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


PROFILES = Path(__file__).parent / "profiles"


OWN_MESSAGE = "Value error, "
"""What pydantic puts before the message of a validator."""


STOP_WORD_LANGUAGES = (
    *("danish", "dutch", "french", "german", "italian"),
    *("norwegian", "portuguese", "russian", "spanish", "swedish", "turkish"),
)
"""Languages with a stop word list in bm25s; its Chinese and Korean lists do not fit the analyzer's bigrams."""


def _checked_by(problem_of: Callable[[str], str]) -> AfterValidator:
    def check(name: str) -> str:
        if problem := problem_of(name):
            raise ValueError(problem)
        return name

    return AfterValidator(check)


Name = Annotated[str, _checked_by(name_problem)]


class Section(BaseModel):
    """A table of the profile; unknown keys, NaN and infinity are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class CollectionSettings(Section):
    """The source of documents, topics and qrels."""

    name: Annotated[str, _checked_by(collection_name_problem)]
    source: Annotated[str, _checked_by(source_problem)] = "embedded"
    """"embedded"; a BEIR data set as "beir:trec-covid"; a data set of the library ir_datasets as
    "ir_datasets:beir/scifact/test", or of the hub as "hub:BeIR/scifact"; or a folder or zip file in the BEIR layout."""
    split: Annotated[str, _checked_by(lambda name: name_problem(name, "split"))] = "test"
    judged_only: bool = False
    unjudged_topics: Literal["error", "drop"] = "error"
    topic_field: Literal["query", "question", "narrative"] = "question"
    ignore_identical_ids: bool = True
    """Whether to remove hits whose document id is the topic id, as BEIR does (see core/formats/exclusions.py)."""


class AnalyzerSettings(Section):
    """How text becomes tokens for BM25."""

    stop_words: str = "long"
    """"none"; for English "short" (Lucene's 33 words), "long" (NLTK's, see `core.retrieval.analyzer.stop_words`) or
    "glasgow" (scikit-learn's 318); or NLTK's list for another language, one of `STOP_WORD_LANGUAGES`."""
    stemmer: str = "english"
    """"none", or an algorithm of PyStemmer: "english", "porter", "german", "french" and others."""
    unify_names: bool = True
    """Whether to unify the many spellings of the virus and the disease (see core/retrieval/analyzer.py)."""
    tokenizer: Literal["rankscope", "lucene"] = "rankscope"
    """The rules for words: those of core/retrieval/analyzer.py, or those of Lucene's EnglishAnalyzer, which do not
    unify names (see core/retrieval/lucene_analyzer.py)."""

    @model_validator(mode="after")
    def _unified_by_own_rules(self) -> "AnalyzerSettings":
        if self.tokenizer == "lucene" and self.unify_names:
            raise ValueError('tokenizer = "lucene" does not unify names; add unify_names = false')
        return self

    @field_validator("stop_words")
    @classmethod
    def _listed(cls, name: str) -> str:
        if name not in (known := ("none", "short", "long", "glasgow", *STOP_WORD_LANGUAGES)):
            raise ValueError(f"unknown stop word list {name!r}; use one of {', '.join(known)}")
        return name

    @field_validator("stemmer")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in (known := ("none", *Stemmer.algorithms())):
            raise ValueError(f"unknown stemmer {name!r}; use one of {', '.join(known)}")
        return name


class Bm25Settings(Section):
    """Parameters of BM25 (Robertson & Zaragoza, 2009); k1 and b were tuned on SciFact's training topics."""

    engine: Literal["bm25s", "rank_bm25"] = "bm25s"
    k1: float = Field(1.5, ge=0)
    b: float = Field(0.4, ge=0, le=1)
    fields: Literal["one", "two"] = "one"
    lengths: Literal["exact", "lucene"] = "exact"
    """Lengths of documents: exact, or as in Lucene, which stores a length in one byte (see `core.retrieval.lucene`)
    and does not count empty documents."""


class TriplesSettings(Section):
    """The MS MARCO triples that models are trained on."""

    source: str = "msmarco-tiny"
    """"msmarco-tiny" is downloaded; anything else is a file, plain or .gz."""
    held_out: float = Field(0.05, gt=0, lt=1)
    """Share of the queries held out from training."""
    distractors: int = Field(1000, ge=0)
    """Number of training triples whose passages are added to the passages that held-out queries search."""
    fix_text: bool = False
    """Whether to repair wrongly decoded text with the library ftfy (Speer, 2019), which must be installed."""


MODEL = "model"


class Doc2querySettings(Section):
    """Document expansion with predicted queries (Nogueira & Lin, 2019)."""

    source: str = MODEL
    """Where predicted queries come from: "model", the T5 below; a data set of the hub, as
    "hub:income/trec-covid-top-20-gen-queries" or "hub:OWNER/NAME@REVISION"; or a file or folder, in one of the forms of
    `core.formats.published_queries`. With another source than the model, only `scorer` and `score_by` below count."""
    base: str = "google/flan-t5-small"
    model: str = "artifacts/models/doc2query"
    """The T5: one that is trained here, a folder, or one of the hub, such as "doc2query/msmarco-t5-base-v1"."""
    epochs: float = Field(1, gt=0)
    batch: int = Field(16, ge=1)
    learning_rate: float = Field(5e-4, gt=0)
    schedule: Literal["linear", "cosine", "constant_with_warmup"] = "linear"
    warmup: float = Field(0.05, ge=0, lt=1)
    evaluate_every: int = Field(100, ge=1)
    """Steps between evaluations of the held-out loss, each with a checkpoint; the best one is kept."""
    patience: int = Field(0, ge=0)
    """Number of evaluations without improvement after which training stops; 0 disables early stopping."""
    max_document_tokens: int = Field(192, ge=2)
    max_query_tokens: int = Field(24, ge=2)
    queries: int = Field(5, ge=1)
    """Queries predicted for each document; a system may use fewer (see `ExpansionSettings`)."""
    top_k: int = Field(10, ge=1)
    temperature: float = Field(1.0, gt=0)
    precision: Literal["fp32", "bf16", "auto"] = "fp32"
    """Precision of training and generation. bf16 is faster on hardware that supports it, but its rounding depends on
    the batch: with other batches, about one query in ten differs. Queries in fp32 do not depend on batches. "auto" is
    bf16 on hardware that computes in it, else fp32."""
    scorer: str = "all-MiniLM-L6-v2"
    """The dense system of the profile that scores predicted queries against their documents."""
    score_by: Literal["similarity", "margin"] = "similarity"
    """The similarity of a query to its document, or its margin over the most similar other document, so that queries
    that fit many documents score low (after the round-trip filter of Alberti et al., 2019)."""
    seed: int = 13

    @property
    def generates(self) -> bool:
        """Whether the T5 predicts the queries."""
        return self.source == MODEL

    @field_validator("source")
    @classmethod
    def _hub_name(cls, source: str) -> str:
        if source.startswith("hub:") and (problem := hub_source_problem(source)):
            raise ValueError(problem)
        return source


class PseudoLabelSettings(Section):
    """Predicted queries with scores of stronger systems, for fine-tuning (GPL, Wang et al., 2022)."""

    teachers: dict[str, Annotated[float, Field(gt=0)]] = {"bm25": 1.0, "all-mpnet-base-v2": 20.0}
    """Teacher systems of the profile, at least one of them dense, and the weight of each one's score."""
    queries: int = Field(3, ge=1)
    """Number of queries per document."""
    batch: int = Field(64, ge=2)
    """Documents per batch; every query of a batch is scored against all of its documents."""
    neighbours: int = Field(8, ge=1)
    """Documents per group of near neighbours; a batch consists of such groups."""
    rounds: int = Field(2, ge=1)
    """Number of batches that each document is in."""
    held_out: float = Field(0.05, gt=0, lt=1)
    seed: int = 13


class ReplaySettings(Section):
    """What a bi-encoder is trained on beside its own data, so that it unlearns nothing (rehearsal; Robins, 1995)."""

    triples: float = Field(0.0, ge=0)
    """Batches of MS MARCO triples for each batch of `finetune.data`."""
    base: float = Field(0.0, ge=0)
    """Batches for each of `finetune.data` in which the model keeps what the base model says: its similarities of the
    triples' queries and passages (learning without forgetting, Li & Hoiem, 2016)."""
    collections: list[Name] = []
    """Other collections of the workspace whose pseudo-labels are learned as well, all of them."""


OF_BI_ENCODERS = ("pooling", "towers", "similarity", "chunk", "base_share", "replay")
"""Settings of `FinetuneSettings` that a cross-encoder does not have."""
OF_CROSS_ENCODERS = ("layers", "candidates")
"""Settings of `FinetuneSettings` that a bi-encoder does not have."""
RECORDED_IF_SET = ("shuffle", "clip", "held_out_rows", "steps", "average_last", "replay", "fix_text")
"""Settings of training that are recorded only if they are not the default, as models older than them are up to date."""


class FinetuneSettings(Section):
    """Settings for fine-tuning a bi-encoder or a cross-encoder."""

    architecture: Literal["bi-encoder", "cross-encoder"] = "bi-encoder"
    """What is trained: the encoder of a dense system, or the model of a re-ranker."""
    layers: int = Field(0, ge=0)
    """The number of layers of the base model that a cross-encoder takes, the first ones; 0 for all."""
    candidates: int = Field(8, ge=3)
    """Passages per query that a cross-encoder is trained and validated on: on triples the negatives of other queries
    fill them up, on pseudo-labels half of them are those with the highest scores."""
    base: str = "microsoft/MiniLM-L12-H384-uncased"
    model: str = "artifacts/models/fine-tuned"
    data: Literal["triples", "pseudo-labels"] = "triples"
    """Training data: MS MARCO triples, or the collection's pseudo-labelled queries (see `PseudoLabelSettings`)."""
    pooling: Literal["mean", "cls"] = "mean"
    towers: Literal["one", "two"] = "one"
    """Whether queries and documents share one encoder or have one each."""
    similarity: Literal["cosine", "dot"] = "cosine"
    scale: float = Field(20.0, gt=0)
    """Scale of the cosine in the softmax (the inverse temperature); dot products are not scaled."""
    use_negative: bool = True
    hard_negatives: int = Field(0, ge=0)
    """Number of negatives per query mined with the base model, in place of the triple's own negative."""
    teacher: str = ""
    """A stronger bi-encoder whose scores of a row's passages replace the binary labels (distillation)."""
    teacher_temperature: float = Field(1.0, gt=0)
    """Temperature of the softmax over the teacher's scores; higher is softer."""
    epochs: float = Field(1, gt=0)
    batch: int = Field(32, ge=1)
    chunk: int = Field(0, ge=0)
    """Passages per forward pass on a CPU if a batch does not fit in memory: the backward pass computes them again,
    which makes a step about half as long again; 0 keeps the results of the whole batch. A GPU takes the whole batch: in
    chunks of 4 a step of a 12-layer MiniLM took 30 times as long, to save 1.3 GiB."""
    accumulate: int = Field(1, ge=1)
    """Batches per optimizer step (gradient accumulation)."""
    learning_rate: float = Field(2e-5, gt=0)
    schedule: Literal["linear", "cosine", "cosine_with_restarts", "constant_with_warmup"] = "linear"
    warmup: float = Field(0.1, ge=0, lt=1)
    clip: float = Field(1.0, ge=0)
    """Maximum norm of the gradients; 0 does not limit it."""
    shuffle: bool = True
    """Whether batches are drawn at random, without a text twice in a batch, or take the rows in the file's order."""
    steps: int = Field(0, ge=0)
    """Maximum number of optimizer steps; 0 for all of the epochs. `python -m core.finetune --dev` sets a few."""
    max_tokens: int = Field(128, ge=2)
    dropout: float | None = Field(None, ge=0, lt=1)
    """Dropout rate; None keeps the base model's. On a CPU, dropout takes a third of a step's time."""
    precision: Literal["fp32", "bf16", "fp16", "auto"] = "fp32"
    """Precision of training; "auto" is bf16 on hardware that computes in it, else fp32."""
    device: str = "auto"
    evaluate_every: int = Field(80, ge=1)
    """Steps between validations on the held-out queries, each with a checkpoint."""
    held_out_rows: int = Field(0, ge=0)
    """Number of triples to hold out, drawn at random by row, so that a query may be in both parts; 0 holds out queries
    (`triples.held_out`)."""
    best_by: Literal["mrr", "loss", "last"] = "loss"
    """Criterion for the checkpoint that is kept: highest MRR@10 or lowest loss on held-out queries, or the last one."""
    patience: int = Field(0, ge=0)
    """Number of validations without improvement after which training stops; 0 disables early stopping."""
    base_share: float = Field(0.0, ge=0, lt=1)
    """Weight of the base model in the average with the fine-tuned weights (WiSE-FT, Wortsman et al., 2022)."""
    average_last: int = Field(1, ge=1)
    """Number of last checkpoints whose weights are averaged (Izmailov et al., 2018); needs best_by = "last"."""
    replay: ReplaySettings = ReplaySettings()
    seed: int = 13

    @model_validator(mode="after")
    def _fits_architecture(self) -> "FinetuneSettings":
        others = OF_BI_ENCODERS if self.architecture == "cross-encoder" else OF_CROSS_ENCODERS
        if given := next((name for name in others if getattr(self, name) != type(self).model_fields[name].default), ""):
            raise ValueError(f"a {self.architecture} has no setting {given}")
        if self.average_last > 1 and self.best_by != "last":
            raise ValueError('average_last averages the last checkpoints; add best_by = "last"')
        if self.replay.collections and self.data != "pseudo-labels":
            raise ValueError('replay.collections are learned by their pseudo-labels; add data = "pseudo-labels"')
        if self.best_by == "last" and self.patience:
            raise ValueError('patience stops at a best checkpoint; with best_by = "last" set it to 0')
        return self


def recorded(settings: FinetuneSettings | TriplesSettings, exclude: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return settings of a training for a manifest, without those of `RECORDED_IF_SET` that have the default."""
    fields = type(settings).model_fields
    unset = [n for n in RECORDED_IF_SET if n in fields and getattr(settings, n) == fields[n].default]
    return settings.model_dump(exclude={*exclude, *unset})


class AblationSettings(Section):
    """Variants of the default configuration `finetune` that `python -m core.ablations` compares."""

    variants: dict[str, dict[str, Any]] = {}
    """Name of each variant -> the settings of `finetune` that it changes."""
    seeds: list[int] = [13, 14, 15]
    rows: int = Field(0, ge=0)
    """Number of training triples; 0 for all."""


class ExpansionSettings(Section):
    """Which predicted queries of a document BM25 indexes, and how."""

    queries: int = Field(0, ge=0)
    """Number of queries per document, the first ones; 0 for all that were predicted."""
    keep: float = Field(1.0, gt=0, le=1)
    """Share of the collection's predicted queries to keep, the highest-scored by `doc2query.scorer`; 1 keeps all
    (doc2query--, Gospodinov et al., 2023)."""
    field: Literal["appended", "own"] = "appended"
    """Whether the queries are appended to the document's text or indexed as a separate field."""
    weight: float = Field(1.0, gt=0)
    """Weight of the score of the separate field."""


class FusionSettings(Section):
    """How the rankings of several systems become one (see `core.retrieval.fusion`)."""

    by: Literal["reciprocal ranks", "min-max", "z-score", "theoretical"] = "reciprocal ranks"
    """Reciprocal ranks, or scores normalised by the lowest and highest retrieved, by mean and standard deviation, or by
    the lowest possible and the highest retrieved."""
    k: int = Field(60, ge=0)
    """Constant of reciprocal ranks; the larger it is, the less the top ranks dominate."""
    weights: list[Annotated[float, Field(ge=0, le=1e6)]] = []
    """Weight of each system in `of`; empty for equal weights."""
    chosen_on: str = ""
    """The collection on whose topics the weights were chosen (see core/tune.py); it must be another one."""
    depth: int = Field(0, ge=0)
    """Number of documents from each system; 0 for the profile's `depth`."""

    @field_validator("weights")
    @classmethod
    def _not_all_zero(cls, weights: list[float]) -> list[float]:
        if weights and not any(weights):
            raise ValueError("all weights are 0; at least one must be above 0")
        return weights


LEAST_OF = {"fusion": 2, "rerank": 1}
"""Kinds of systems that build on others (`SystemSettings.of`), and on how many at least."""


EXACT = "exact"


class BackendSettings(Section):
    """What searches a dense system's vectors; in a profile `backend = "hnsw"` or `{ kind = "hnsw", ef = 40 }`."""

    kind: str
    """"exact", or another index of `core.indexes.registry`."""
    depth: int = Field(0, ge=0)
    """Number of documents that an index is asked for in every search, since what approximate search finds depends on
    it; the run has no more. 0 for the profile's `depth`."""
    parameters: dict[str, Annotated[int, Field(strict=True, ge=0)]] = {}
    """Parameters of construction and search; others have the index's defaults."""

    @model_validator(mode="before")
    @classmethod
    def _written_inline(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"kind": value}
        if not isinstance(value, dict) or "parameters" in value:
            return value
        parameters = {name: number for name, number in value.items() if name not in cls.model_fields}
        return {name: value[name] for name in cls.model_fields if name in value} | {"parameters": parameters}


ENCODED_BY = ("model", "max_tokens", "precision", "document_prefix", "vectors", "topic_vectors")
"""Settings that determine the vectors of a dense system and of the topics."""


CROSS_ENCODER = "cross-encoder/ms-marco-MiniLM-L6-v2"
"""The model of a re-ranker that names none."""
MULTI_VECTOR_ENCODER = "lightonai/GTE-ModernColBERT-v1"
"""An example of a multi-vector encoder, for messages."""


SETTINGS_OF = {
    "dense": ("backend", "dimensions", "vectors", "topic_vectors", "vectors_of"),
    "fusion": ("fusion",),
    "rerank": ("architecture", "depth"),
    "sparse": ("max_document_terms", "max_query_terms"),
}
"""Kind of system -> settings that no other kind has."""


class SystemSettings(Section):
    """A retrieval system."""

    name: Name
    kind: Literal["bm25", "dense", "sparse", "run", "fusion", "rerank"]
    """Kind of system; "sparse" is a learned sparse encoder such as SPLADE (see core/retrieval/sparse.py), "run" an
    imported run, which is evaluated but cannot answer new queries."""
    label: str = ""
    of: list[str] = []
    """The systems that a fusion builds on, by name; the one system that a re-ranker does."""
    fusion: FusionSettings = FusionSettings()
    depth: int = Field(100, ge=1)
    """Number of documents of the other system that a re-ranker reads."""
    architecture: Literal["cross-encoder", "multi-vector"] = "cross-encoder"
    """What a re-ranker's model is: a cross-encoder, or a multi-vector encoder such as ColBERT (late interaction)."""
    expanded: bool = False
    expansion: ExpansionSettings = ExpansionSettings()
    analyzer: AnalyzerSettings | None = None
    """A BM25 system's own analyzer; keys that it lacks are those of the profile's section `analyzer`."""
    bm25: Bm25Settings | None = None
    """A BM25 system's own parameters; keys that it lacks are those of the profile's section `bm25`."""
    model: str = ""
    """The model of a dense or sparse system or a re-ranker ("" for `CROSS_ENCODER` if it is a cross-encoder)."""
    similarity: Literal["cosine", "dot"] = "cosine"
    vectors: str = ""
    """File of a dense system's document vectors, made elsewhere: .npy, with the ids beside it (see
    `core.formats.own_vectors`). The model, if one is named, encodes queries that have no vector."""
    topic_vectors: str = ""
    """File of the topics' vectors that belong to `vectors`, in the same form."""
    vectors_of: str = ""
    """The dense system whose vectors this one searches, with another backend or fewer dimensions. Its model, its
    similarity and its prefixes apply unless this system has its own similarity or query prefix."""
    backend: BackendSettings = BackendSettings(kind=EXACT)
    """What searches a dense system's vectors (see core/index.py)."""
    dimensions: int = Field(0, ge=0)
    """Number of leading dimensions of the vectors that are searched, for models trained so that prefixes are vectors,
    too (Kusupati et al., 2022, Matryoshka representation learning); 0 for all. Cosines are those of the prefixes."""
    max_tokens: int = Field(0, ge=0)
    """Maximum input in tokens; 0 keeps the model's own limit."""
    precision: Literal["fp32", "bf16", "int8", "auto"] = "fp32"
    """Precision of encoding. "auto": for documents the fastest that keeps cosines to fp32 above 0.9999 on this device,
    for queries fp32. "bf16" for both is slower than fp32 on processors without AMX. "int8" (requirements-int8.txt):
    documents by a model quantised on a sample of them, queries in fp32."""
    max_document_terms: int = Field(0, ge=0)
    max_query_terms: int = Field(0, ge=0)
    """Maximum numbers of terms with a weight that a sparse system keeps of a document and of a query, those with the
    largest weights; 0 keeps all."""
    query_prefix: str = ""
    """Prefix of every query before encoding, such as "query: " for E5. It replaces the query prompt in the model's
    config_sentence_transformers.json; without a prefix that prompt is used."""
    document_prefix: str = ""
    """Prefix of every document before encoding, such as "passage: "; it replaces the model's document prompt."""

    @model_validator(mode="before")
    @classmethod
    def _cross_encoder(cls, table: Any) -> Any:
        unnamed = isinstance(table, dict) and table.get("kind") == "rerank" and not table.get("model")
        default = unnamed and table.get("architecture", "cross-encoder") == "cross-encoder"
        return table | {"model": CROSS_ENCODER} if default else table

    @property
    def vectors_name(self) -> str:
        """The name of the dense system whose artifact `vectors/<system>` is searched."""
        return self.vectors_of or self.name

    @property
    def is_exact(self) -> bool:
        """Whether a dense system searches its vectors exactly, with all of their dimensions."""
        return self.backend.kind == EXACT and not self.dimensions

    @model_validator(mode="before")
    @classmethod
    def _no_engine(cls, table: Any) -> Any:
        if isinstance(table, dict) and "engine" in table:
            raise ValueError(f'the setting engine is now called backend: write backend = "{table["engine"]}"')
        return table

    @model_validator(mode="after")
    def _settings_only_of_their_kind(self) -> "SystemSettings":
        others = [name for kind, names in SETTINGS_OF.items() if kind != self.kind for name in names]
        if set_here := [name for name in others if getattr(self, name) != _default(name)]:
            raise ValueError(f"{self.name}: a {self.kind} system has no setting {set_here[0]}")
        return self

    @model_validator(mode="after")
    def _model_named(self) -> "SystemSettings":
        if self.kind == "dense" and not (self.model or self.vectors or self.vectors_of):
            raise ValueError("a dense system needs a model, vectors made elsewhere, or vectors_of another system")
        if self.vectors and not self.model and not self.topic_vectors:
            raise ValueError("a system with vectors made elsewhere needs topic_vectors, or the model that made them")
        if self.topic_vectors and not self.vectors and not self.vectors_of:
            raise ValueError("topic_vectors belong to vectors, the documents' file of vectors, which is missing")
        if self.kind == "rerank" and self.precision not in ("fp32", "bf16"):
            raise ValueError(f"{self.name}: a re-ranker has no precision {self.precision}; use fp32 or bf16")
        if self.kind == "rerank" and not self.model:
            raise ValueError(f"{self.name}: a multi-vector re-ranker needs a model, such as {MULTI_VECTOR_ENCODER}")
        if self.kind == "sparse" and not self.model:
            raise ValueError("a sparse system needs a model")
        if self.kind == "sparse" and self.precision not in ("fp32", "bf16"):
            raise ValueError('the precision of a sparse system is "fp32" or "bf16"')
        if self.kind in ("bm25", "fusion", "run") and self.model:
            raise ValueError(f"{self.name}: a {self.kind} system has no model")
        if self.kind != "bm25" and (self.analyzer or self.bm25):
            raise ValueError(f"a {self.kind} system has no section analyzer or bm25")
        return self

    @model_validator(mode="after")
    def _builds_on_enough(self) -> "SystemSettings":
        least = LEAST_OF.get(self.kind, 0)
        if self.of and not least:
            raise ValueError(f"{self.name}: a {self.kind} system has no setting `of`")
        if len(self.of) < least:
            raise ValueError(f"{self.name}: `of` must name at least {least} system{'s' if least > 1 else ''}")
        if self.kind == "rerank" and len(self.of) > 1:
            raise ValueError(
                f"{self.name}: a re-ranker reads the documents of one system; fuse {', '.join(self.of)} first"
            )
        if repeated := next((name for name in self.of if self.of.count(name) > 1), ""):
            raise ValueError(f"{self.name}: `of` names {repeated} twice")
        if (weights := len(self.fusion.weights)) not in (0, len(self.of)):
            raise ValueError(f"{self.name}: there are {weights} weights for {len(self.of)} systems in `of`")
        return self


def _default(name: str) -> Any:
    return SystemSettings.model_fields[name].default


class IndexSettings(Section):
    """An approximate index and the values of its search parameter to measure."""

    kind: str
    """Name of the index in `core.indexes.registry`."""
    build: dict[str, int] = {}
    """Build parameters of the index."""
    values: list[Annotated[int, Field(ge=1)]] = []


HNSW, WIDTHS = {"connections": 16, "ef_construction": 200}, [10, 20, 40, 80, 160, 320]


PROBES = [1, 2, 4, 8, 16, 32, 64, 128]


class AnnSettings(Section):
    """The approximate indexes to compare with exact search."""

    index: list[IndexSettings] = [
        IndexSettings(kind="hnsw", build=HNSW, values=WIDTHS),
        IndexSettings(kind="hnswlib", build=HNSW, values=WIDTHS),
        IndexSettings(kind="faiss-hnsw", build=HNSW, values=WIDTHS),
        IndexSettings(kind="faiss-ivf", values=PROBES),
        IndexSettings(kind="faiss-ivf-pq", values=PROBES),
        IndexSettings(kind="faiss-sq8"),
        IndexSettings(kind="faiss-binary", values=[1, 2, 5, 10, 20, 50]),
    ]
    repeats: int = Field(5, ge=1)
    seed: int = 13


class Profile(Section):
    """All settings of one build."""

    collection: CollectionSettings
    analyzer: AnalyzerSettings = AnalyzerSettings()
    bm25: Bm25Settings = Bm25Settings()
    triples: TriplesSettings = TriplesSettings()
    doc2query: Doc2querySettings = Doc2querySettings()
    pseudo_labels: PseudoLabelSettings = PseudoLabelSettings()
    finetune: FinetuneSettings = FinetuneSettings()
    ablations: AblationSettings = AblationSettings()
    system: list[SystemSettings]
    ann: AnnSettings = AnnSettings()
    depth: int = Field(1000, ge=1)
    """Number of documents retrieved per topic."""
    measures: list[str] = ["nDCG@10", "nDCG@20", "P@10", "P@20", "R@100", "AP", "Bpref", "RR", "Judged@10"]
    baseline: str = "bm25"
    price_per_hour: float = Field(0.0, ge=0)
    """Price of the machine that answers queries, per hour in any currency, for the cost of a million queries."""
    compared: str = ""
    """The system that is compared with the baseline unless another is chosen; "" for the one fine-tuned with this
    profile, or else the one with the highest mean."""

    @property
    def encoded(self) -> list[str]:
        """The names of the dense systems that have vectors of their own."""
        return [system.name for system in self.system if system.kind == "dense" and not system.vectors_of]

    def analyzer_of(self, system: SystemSettings) -> AnalyzerSettings:
        """Return the analyzer of a BM25 system."""
        return system.analyzer or self.analyzer

    def bm25_of(self, system: SystemSettings) -> Bm25Settings:
        """Return the parameters of a BM25 system."""
        return system.bm25 or self.bm25

    def built_on(self, system: SystemSettings) -> list[SystemSettings]:
        """Return the systems that one builds on, directly or through others, each after those that it builds on."""
        by_name = {one.name: one for one in self.system}
        graph: dict[str, list[str]] = {}
        waiting = list(system.of)
        while waiting:
            name = waiting.pop(0)
            if name not in graph:
                graph[name] = by_name[name].of
                waiting += graph[name]
        return [by_name[name] for name in TopologicalSorter(graph).static_order()]

    @model_validator(mode="after")
    def _weights_chosen_elsewhere(self) -> "Profile":
        for system in self.system:
            if system.fusion.weights and system.fusion.chosen_on.lower() == self.collection.name.lower():
                raise ValueError(
                    f"{system.name}: its weights were chosen on the topics of {self.collection.name} itself, so that "
                    "its measures would be no result; choose them on another collection or split"
                )
        return self

    @model_validator(mode="before")
    @classmethod
    def _own_sections_completed(cls, table: Any) -> Any:
        """Add the keys of the profile's sections `analyzer` and `bm25` that a system's own section lacks."""
        if not isinstance(table, dict) or not isinstance(table.get("system"), list):
            return table

        def completed(system: Any) -> Any:
            if not isinstance(system, dict):
                return system
            shared = {name: table.get(name) for name in ("analyzer", "bm25") if isinstance(system.get(name), dict)}
            own = {name: section | system[name] for name, section in shared.items() if isinstance(section, dict)}
            return system | own

        return table | {"system": list(map(completed, table["system"]))}

    @model_validator(mode="before")
    @classmethod
    def _settings_of_shared_vectors(cls, table: Any) -> Any:
        """Complete the systems with `vectors_of` by the settings of the system that it names."""
        if not isinstance(table, dict) or not isinstance(table.get("system"), list):
            return table
        systems = [system for system in table["system"] if isinstance(system, dict)]
        by_name = {system["name"]: system for system in systems if isinstance(system.get("name"), str)}

        def completed(system: Any) -> Any:
            if not isinstance(system, dict) or not isinstance(system.get("vectors_of"), str):
                return system
            other = by_name.get(system["vectors_of"], {})
            shared = (*ENCODED_BY, "similarity", "query_prefix")
            return {name: other[name] for name in shared if name in other} | system

        return table | {"system": list(map(completed, table["system"]))}

    @model_validator(mode="after")
    def _depths_retrieved(self) -> "Profile":
        for system in self.system:
            if system.kind == "rerank" and system.depth > self.depth:
                retrieved = f"the profile retrieves {self.depth} documents per topic"
                raise ValueError(f"{system.name}: depth is {system.depth}, but {retrieved}")
        return self

    @field_validator("measures")
    @classmethod
    def _measures_known(cls, measures: list[str]) -> list[str]:
        for measure in measures:
            try:
                parse_measure(measure)
            except UserError as error:
                raise ValueError(str(error)) from None
        return measures

    @model_validator(mode="after")
    def _variants_allowed(self) -> "Profile":
        for name, changed in self.ablations.variants.items():
            try:
                FinetuneSettings.model_validate(self.finetune.model_dump() | changed)
            except ValidationError as error:
                problem = first_problem(error, FinetuneSettings, changed)
                raise ValueError(f"ablations.variants.{name}: {problem}") from None
        return self

    @field_validator("system")
    @classmethod
    def _names_differ(cls, systems: list[SystemSettings]) -> list[SystemSettings]:
        names = [system.name.lower() for system in systems]  # some file systems are case-insensitive
        if repeated := [system.name for system in systems if names.count(system.name.lower()) > 1]:
            raise ValueError(f"two systems are named {' and '.join(dict.fromkeys(repeated[:2]))}")
        known = [system.name for system in systems]
        for system in systems:
            if unknown := next((name for name in system.of if name not in known), ""):
                raise ValueError(f"{system.name}: `of` names {unknown!r}; the profile's systems are {', '.join(known)}")
        try:
            TopologicalSorter({system.name: system.of for system in systems}).prepare()
        except CycleError as error:
            path = " to ".join(reversed(error.args[1]))
            raise ValueError(f"a system cannot build on itself, but `of` leads from {path}") from None
        return systems

    @field_validator("system")
    @classmethod
    def _vectors_of_an_encoded_system(cls, systems: list[SystemSettings]) -> list[SystemSettings]:
        by_name = {system.name: system for system in systems}
        for system in (system for system in systems if system.vectors_of):
            other = by_name.get(system.vectors_of)
            if other is None or other is system or other.kind != "dense" or other.vectors_of:
                raise ValueError(
                    f"{system.name}: vectors_of is {system.vectors_of!r}; expected another dense system of the profile "
                    "that has its own vectors"
                )
            for name in ENCODED_BY:
                if getattr(system, name) != getattr(other, name):
                    raise ValueError(
                        f"{system.name}: {name} is that of {other.name}, whose vectors it searches; remove it"
                    )
        return systems


def model_settings(table: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Yield every setting that names a model in a profile's table: where it is, in words, its section and its key."""
    named = [("doc2query", "base"), ("doc2query", "model"), ("finetune", "base"), ("finetune", "model")]
    for name, key in [*named, ("finetune", "teacher")]:
        if key in table.get(name, {}):
            yield f"{name}.{key}", table[name], key
    for system in table["system"]:
        if "model" in system:
            yield f"the model of {system['name']}", system, "model"


def parse_saved(table: Any) -> Profile:
    """Return the profile in a JSON file that a build of this version or an older one saved.

    Unknown settings are ignored, and the artifacts that they affect are stale.

    Raises:
        ValidationError: if it is not a profile.
    """

    def renamed(system: Any) -> Any:
        if not isinstance(system, dict) or "engine" not in system:
            return system
        others = {name: value for name, value in system.items() if name != "engine"}
        return {"backend": system["engine"]} | others

    if isinstance(table, dict) and isinstance(table.get("system"), list):
        table = table | {"system": list(map(renamed, table["system"]))}
    return Profile.model_validate(table, extra="ignore")


def names() -> list[str]:
    """Return the names of the profiles shipped with the project."""
    return sorted(path.stem for path in PROFILES.glob("*.toml"))


def first_problem(error: ValidationError, section: type[BaseModel], table: Any) -> str:
    """Return what is wrong in a section's table: the setting and what it should be; an unknown setting first."""
    first = min(error.errors(), key=lambda one: one["type"] != "extra_forbidden")
    kind, place, message = first["type"], first["loc"], first["msg"].removeprefix(OWN_MESSAGE)
    where, given = list(map(str, place)), first["input"]
    system = table["system"][place[1]] if place[:1] == ("system",) and len(place) > 1 else None
    if isinstance(system, dict) and isinstance(name := system.get("name"), str):
        where[1], message = name, message.removeprefix(f"{name}: ")
    if kind == "extra_forbidden":
        known = _settings_at(section, place[:-1])
        same = [name for name in known if name.endswith(f".{where[-1]}")]
        close = same or get_close_matches(where[-1], known, 1)
        message = "there is no such setting" + (f"; did you mean {close[0]}?" if close else "")
    elif kind == "missing":
        message = "this setting is missing"
    elif place == ("system",) and kind == "list_type":
        message = "should be a list of systems, each beginning with [[system]]"
    elif kind == "model_type":
        message = f"should be a section, [{where[-1]}]" if where else "should have settings"
    elif message.startswith("Input ") and isinstance(given, str | int | float):
        message = f"{message.removeprefix('Input ')}, but is {json.dumps(given, ensure_ascii=False)[:100]}"
    return f"{'.'.join(where) or 'the profile'}: {message.removeprefix('Input ')}"


def _settings_at(section: type[BaseModel], place: tuple[int | str, ...]) -> list[str]:
    """Return the names of the settings of the section at a place in another one; SECTION.NAME for those in sections."""
    for part in place:
        section = _section_of(section, part) if isinstance(part, str) else section
    inside = {name: _section_of(section, name).model_fields for name in section.model_fields}
    return [*inside, *(f"{name}.{other}" for name, others in inside.items() for other in others)]


def _section_of(section: type[BaseModel], name: str) -> type[BaseModel]:
    """Return the section that a setting is, or has a list of; an empty one if it is a value."""
    annotation = section.model_fields[name].annotation
    kinds = [kind for kind in (annotation, *get_args(annotation)) if isinstance(kind, type)]
    return next((kind for kind in kinds if issubclass(kind, Section)), Section)


def read_profile(name_or_path: str) -> Profile:
    """Read a profile: by name, from a TOML file, or from the JSON file that a build saves with its artifacts.

    Raises:
        UserError: if there is no such profile, it is not TOML or JSON, or a key or value in it is not allowed.
    """
    path = PROFILES / f"{name_or_path}.toml"
    if not path.is_file():
        path = Path(name_or_path)
    try:
        text = path.read_text(encoding="utf-8-sig")  # editors on Windows write a byte order mark
        table = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except (FileNotFoundError, IsADirectoryError):
        raise UserError(f"no profile {name_or_path!r}: use one of {', '.join(names())}, or a TOML file") from None
    except (ValueError, RecursionError) as error:  # invalid TOML, JSON or UTF-8; or too deeply nested
        raise UserError(f"{path.name}: not a profile ({error})") from None
    if path.suffix == ".json" and isinstance(table, dict) and not fits_own_digest(table):
        raise UserError(
            f'{path.name}: damaged, or edited since a build saved it; if you edited it, delete its "{OWN_DIGEST}" line'
        )
    try:
        profile = parse_saved(table) if path.suffix == ".json" else Profile.model_validate(table, strict=True)
    except ValidationError as error:
        raise UserError(f"{path.name}: {first_problem(error, Profile, table)}") from None
    if path.suffix != ".json":
        _refuse_without_effect(path, profile)
    return profile


def _refuse_without_effect(path: Path, profile: Profile) -> None:
    """Refuse a profile that a user wrote if it names no system or measure, or has settings without effect."""
    for name in ("system", "measures"):
        if not getattr(profile, name):
            raise UserError(f"{path.name}: {name}: should name at least one")
    names = [system.name for system in profile.system]
    for name in profile.model_fields_set & {"baseline", "compared"}:
        if (given := getattr(profile, name)) and given not in names:
            raise UserError(f"{path.name}: {name}: there is no system {given!r}; the systems are {', '.join(names)}")
    for system in profile.system:
        if problem := without_effect(system):
            raise UserError(f"{path.name}: system.{system.name}: {problem}")


def without_effect(system: SystemSettings) -> str:
    """Return which of its settings a system would ignore, as a sentence, or "" if it ignores none.

    Profiles that builds of older versions saved may have such settings, so that this is asked of new ones alone.
    """
    reads_text = system.kind in ("dense", "sparse", "rerank")
    ignored = {
        "expanded": system.kind != "bm25",
        "expansion": system.kind != "bm25",
        "similarity": system.kind != "dense",
    }
    ignored |= dict.fromkeys(("max_tokens", "precision", "query_prefix", "document_prefix"), not reads_text)
    for name in ignored:
        if ignored[name] and getattr(system, name) != _default(name):
            return f"a {system.kind} system has no setting {name}"
    if system.expansion != _default("expansion") and not system.expanded:
        return "expansion needs expanded = true"
    fusion, backend = system.fusion, system.backend
    if fusion.k != FusionSettings.model_fields["k"].default and fusion.by != "reciprocal ranks":
        return f'k is the constant of reciprocal ranks, but by = "{fusion.by}"; remove one of them'
    if fusion.chosen_on and not fusion.weights:
        return "chosen_on says where weights were chosen, but there are no weights"
    if backend.kind == EXACT and (backend.parameters or backend.depth):
        return f"exact search has no {next(iter(backend.parameters), 'depth')}; name the kind of an index"
    return ""


def find_settings(profile: Profile, name: str) -> SystemSettings:
    """Return the settings of a system by name.

    Raises:
        UserError: if the profile has no such system.
    """
    for settings in profile.system:
        if settings.name == name:
            return settings
    raise UserError(f"this profile has no system {name!r}; its systems are {', '.join(s.name for s in profile.system)}")
