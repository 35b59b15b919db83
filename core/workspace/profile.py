"""Profiles: one TOML file holds every setting of a build, from the collection to the list of systems."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import Stemmer
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from core.workspace.artifacts import OWN_DIGEST, fits_own_digest
from core.workspace.errors import UserError
from core.workspace.measure_names import parse_measure
from core.workspace.names import beir_name_problem, collection_name_problem, name_problem

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


PROFILES = Path(__file__).parent / "profiles"


STOP_WORD_LANGUAGES = (
    *("danish", "dutch", "french", "german", "italian"),
    *("norwegian", "portuguese", "russian", "spanish", "swedish", "turkish"),
)
"""Languages whose stop words bm25s has; its Chinese and Korean lists are of words, where the analyzer makes bigrams."""


def _checked_by(problem_of: Callable[[str], str]) -> AfterValidator:
    def check(name: str) -> str:
        if problem := problem_of(name):
            raise ValueError(problem)
        return name

    return AfterValidator(check)


Name = Annotated[str, _checked_by(name_problem)]


class Section(BaseModel):
    """A table of the profile; a key that it does not know is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class CollectionSettings(Section):
    """Where documents, topics and qrels come from."""

    name: Annotated[str, _checked_by(collection_name_problem)]
    source: str = "embedded"
    """"embedded", a BEIR data set as "beir:trec-covid", or a folder in the BEIR layout."""
    split: Annotated[str, _checked_by(lambda name: name_problem(name, "split"))] = "test"
    judged_only: bool = False
    unjudged_topics: Literal["error", "drop"] = "error"
    topic_field: Literal["query", "question", "narrative"] = "question"
    ignore_identical_ids: bool = True
    """Leave out a hit whose document id is the topic's, as BEIR's evaluation does (see core/formats/exclusions.py)."""

    @field_validator("source")
    @classmethod
    def _no_path(cls, source: str) -> str:
        if source.startswith("beir:") and (problem := beir_name_problem(source.removeprefix("beir:"))):
            raise ValueError(problem)
        return source


class AnalyzerSettings(Section):
    """How text becomes tokens for BM25."""

    stop_words: str = "long"
    """"none"; for English "short" (Lucene's 33 words), "long" (NLTK's, see `core.retrieval.analyzer.stop_words`) or
    "glasgow" (scikit-learn's 318); or NLTK's list for another language, one of `STOP_WORD_LANGUAGES`."""
    stemmer: str = "english"
    """"none", or an algorithm of PyStemmer: "english", "porter", "german", "french" and others."""
    unify_names: bool = True
    """Write the many spellings of the virus and the disease in one way (see core/retrieval/analyzer.py)."""

    @field_validator("stop_words")
    @classmethod
    def _listed(cls, name: str) -> str:
        if name not in (known := ("none", "short", "long", "glasgow", *STOP_WORD_LANGUAGES)):
            raise ValueError(f"there is no list {name!r} of stop words; there are {', '.join(known)}")
        return name

    @field_validator("stemmer")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in (known := ("none", *Stemmer.algorithms())):
            raise ValueError(f"PyStemmer has no stemmer {name!r}; it has {', '.join(known)}")
        return name


class Bm25Settings(Section):
    """BM25's parameters (Robertson & Zaragoza, 2009); k1 and b were chosen on SciFact's training topics."""

    engine: Literal["bm25s", "rank_bm25"] = "bm25s"
    k1: float = Field(1.5, ge=0)
    b: float = Field(0.4, ge=0, le=1)
    fields: Literal["one", "two"] = "one"


class TriplesSettings(Section):
    """The MS MARCO triples that models are trained on."""

    source: str = "msmarco-tiny"
    """"msmarco-tiny" is downloaded; anything else is a file, plain or .gz."""
    held_out: float = Field(0.05, gt=0, lt=1)
    """Share of the queries that no model is trained on."""
    distractors: int = Field(1000, ge=0)
    """Training triples whose passages stand beside the held-out ones when held-out queries are answered."""


class Doc2querySettings(Section):
    """Document expansion with predicted queries (Nogueira & Lin, 2019)."""

    base: str = "google/flan-t5-small"
    model: str = "artifacts/models/doc2query"
    epochs: float = Field(1, gt=0)
    batch: int = Field(16, ge=1)
    learning_rate: float = Field(5e-4, gt=0)
    schedule: Literal["linear", "cosine", "constant_with_warmup"] = "linear"
    warmup: float = Field(0.05, ge=0, lt=1)
    evaluate_every: int = Field(100, ge=1)
    """Steps between losses on held-out pairs, each of which writes a checkpoint; the best one is kept."""
    patience: int = Field(0, ge=0)
    """Held-out losses without a better one that end the training; 0 trains to the end."""
    max_document_tokens: int = Field(192, ge=2)
    max_query_tokens: int = Field(24, ge=2)
    queries: int = Field(5, ge=1)
    """Queries predicted for each document; a system may use fewer (see `ExpansionSettings`)."""
    top_k: int = Field(10, ge=1)
    temperature: float = Field(1.0, gt=0)
    precision: Literal["fp32", "bf16"] = "fp32"
    """Of training and of generation. bf16 is faster on processors that compute in it; its rounding depends on the
    batch, so that one query in ten is another one where documents are batched otherwise. fp32's are the same."""
    scorer: str = "all-MiniLM-L6-v2"
    """The dense system of the profile that scores predicted queries against their documents."""
    score_by: Literal["similarity", "margin"] = "similarity"
    """A query's similarity to its document; or how far that is above the one to the nearest other document, so that
    what fits many documents alike scores low (after the round-trip filter of Alberti et al., 2019)."""
    seed: int = 13


class PseudoLabelSettings(Section):
    """Predicted queries scored by stronger systems, to fine-tune on (GPL, Wang et al., 2022)."""

    teachers: dict[str, Annotated[float, Field(gt=0)]] = {"bm25": 1.0, "all-mpnet-base-v2": 20.0}
    """Systems of the profile, at least one of them dense, and the weight of each one's score in the teacher's."""
    queries: int = Field(3, ge=1)
    """Queries of each document."""
    batch: int = Field(64, ge=2)
    """Documents of a batch: every query of the batch is scored against each of them."""
    neighbours: int = Field(8, ge=1)
    """Documents of a group of near neighbours; a batch is made of such groups."""
    rounds: int = Field(2, ge=1)
    """Times that each document is used, in another batch each time."""
    held_out: float = Field(0.05, gt=0, lt=1)
    seed: int = 13


class FinetuneSettings(Section):
    """Fine-tuning of the bi-encoder."""

    base: str = "microsoft/MiniLM-L12-H384-uncased"
    model: str = "artifacts/models/fine-tuned"
    data: Literal["triples", "pseudo-labels"] = "triples"
    """MS MARCO triples, or the collection's pseudo-labelled queries (see `PseudoLabelSettings`)."""
    pooling: Literal["mean", "cls"] = "mean"
    towers: Literal["one", "two"] = "one"
    """One encoder for queries and documents, or one for each."""
    similarity: Literal["cosine", "dot"] = "cosine"
    scale: float = Field(20.0, gt=0)
    """Factor of the cosine in the softmax, the inverse of the temperature; dot products are taken as they are."""
    use_negative: bool = True
    hard_negatives: int = Field(0, ge=0)
    """Passages mined with the base model for each query, in place of the triple's own."""
    teacher: str = ""
    """A stronger bi-encoder: its scores of a row's passages are learned in place of which one is relevant."""
    teacher_temperature: float = Field(1.0, gt=0)
    """Divides a teacher's scores before their softmax: the higher, the softer."""
    epochs: float = Field(1, gt=0)
    batch: int = Field(32, ge=1)
    chunk: int = Field(0, ge=0)
    """Texts in memory at a time, where a batch is larger than memory (gradient caching); 0 for the whole batch."""
    accumulate: int = Field(1, ge=1)
    """Batches of one step."""
    learning_rate: float = Field(2e-5, gt=0)
    schedule: Literal["linear", "cosine", "constant_with_warmup"] = "linear"
    warmup: float = Field(0.1, ge=0, lt=1)
    max_tokens: int = Field(128, ge=2)
    dropout: float | None = Field(None, ge=0, lt=1)
    """In place of the base's own; drawing it takes a third of a step's time on a CPU."""
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    device: str = "auto"
    evaluate_every: int = Field(80, ge=1)
    """Steps between validations by the held-out queries, each of which writes a checkpoint."""
    best_by: Literal["mrr", "loss"] = "loss"
    """The checkpoint that is kept: the one of the highest MRR@10 or of the lowest loss on held-out queries."""
    patience: int = Field(0, ge=0)
    """Validations without a better one that end the training; 0 trains to the end."""
    base_share: float = Field(0.0, ge=0, lt=1)
    """Share of the base's weights in the average with the trained ones (WiSE-FT, Wortsman et al., 2022)."""
    seed: int = 13


class AblationSettings(Section):
    """What `python -m core.ablations` tries: the recipe of `finetune` with other settings."""

    variants: dict[str, dict[str, Any]] = {}
    """Name -> the settings of `finetune` that differ."""
    seeds: list[int] = [13, 14, 15]
    rows: int = Field(0, ge=0)
    """Training triples; 0 for all."""


class ExpansionSettings(Section):
    """Which of a document's predicted queries BM25 searches, and how."""

    queries: int = Field(0, ge=0)
    """The first so many of each document; 0 for all that were predicted."""
    keep: float = Field(1.0, gt=0, le=1)
    """Share of the collection's predicted queries that is kept, the best by `doc2query.scorer`; 1 filters nothing
    (doc2query--, Gospodinov et al., 2023)."""
    field: Literal["appended", "own"] = "appended"
    """Appended to the document's text, or a field of their own."""
    weight: float = Field(1.0, gt=0)
    """Factor of the score of the field of their own."""


class SystemSettings(Section):
    """One way to answer a query."""

    name: Name
    kind: Literal["bm25", "dense", "run"]
    """"run" is a run made elsewhere: it is evaluated, and answers no new query."""
    label: str = ""
    expanded: bool = False
    expansion: ExpansionSettings = ExpansionSettings()
    model: str = ""
    similarity: Literal["cosine", "dot"] = "cosine"
    engine: Literal["exact", "milvus"] = "exact"
    """What searches a dense system's vectors: exact search, or the HNSW graph of Milvus (see core/milvus_index.py)."""
    max_tokens: int = Field(0, ge=0)
    """Longest input in tokens; 0 leaves the model's own limit."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """Of encoding. bf16 is three times as fast on processors that compute in it, and slower on others; cosines differ
    from those of fp32 by some 0.0001."""
    query_prefix: str = ""
    """What stands before every query that is encoded, such as "query: " for E5. It replaces the prompt for queries in
    the model's own config_sentence_transformers.json; without a prefix that prompt is used."""
    document_prefix: str = ""
    """The same for documents, such as "passage: "; it replaces the model's own prompt for documents."""

    @model_validator(mode="after")
    def _model_named(self) -> "SystemSettings":
        if self.kind == "dense" and not self.model:
            raise ValueError("a dense system needs a model")
        return self


class IndexSettings(Section):
    """An approximate index, and the values of its search parameter that are measured."""

    kind: str
    """A name of `core.indexes.registry`."""
    build: dict[str, int] = {}
    """Parameters of the index that are fixed when it is built."""
    values: list[int] = []


HNSW, WIDTHS = {"connections": 16, "ef_construction": 200}, [10, 20, 40, 80, 160, 320]


PROBES = [1, 2, 4, 8, 16, 32, 64, 128]


class AnnSettings(Section):
    """The approximate indexes that are measured against exact search."""

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
    """Documents retrieved per topic."""
    measures: list[str] = ["nDCG@10", "nDCG@20", "P@10", "P@20", "R@100", "AP", "Bpref", "RR", "Judged@10"]
    baseline: str = "bm25"

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
                first = error.errors()[0]
                where = ".".join(str(part) for part in first["loc"])
                raise ValueError(f"ablations.variants.{name}: {where}: {first['msg']}") from None
        return self

    @field_validator("system")
    @classmethod
    def _names_differ(cls, systems: list[SystemSettings]) -> list[SystemSettings]:
        names = [system.name.lower() for system in systems]  # some file systems do not tell A from a
        if repeated := [system.name for system in systems if names.count(system.name.lower()) > 1]:
            raise ValueError(f"two systems are named {' and '.join(dict.fromkeys(repeated[:2]))}")
        return systems


def names() -> list[str]:
    """Return the names of the profiles that come with the project."""
    return sorted(path.stem for path in PROFILES.glob("*.toml"))


def read_profile(name_or_path: str) -> Profile:
    """Read a profile by its name, from a TOML file, or from the JSON that a build leaves beside its artifacts.

    Raises:
        UserError: there is no such profile, it is not TOML or JSON, or a key or value in it is not allowed.
    """
    path = PROFILES / f"{name_or_path}.toml"
    if not path.is_file():
        path = Path(name_or_path)
    try:
        text = path.read_text(encoding="utf-8")
        table = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except (FileNotFoundError, IsADirectoryError):
        raise UserError(f"no profile {name_or_path!r}: give one of {', '.join(names())}, or a TOML file") from None
    except (ValueError, RecursionError) as error:  # of TOML, of JSON, of UTF-8; or brackets in a thousand brackets
        raise UserError(f"{path.name}: not a profile ({error})") from None
    if path.suffix == ".json" and isinstance(table, dict) and not fits_own_digest(table):
        raise UserError(
            f'{path.name}: damaged, or changed by hand since a build saved it (then take its line "{OWN_DIGEST}" out)'
        )
    try:
        # A saved profile may be of an older version: what it does not share with this one shows as stale artifacts.
        return Profile.model_validate(table, extra="ignore" if path.suffix == ".json" else "forbid")
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the profile"
        raise UserError(f"{path.name}: {where}: {first['msg']}") from None
