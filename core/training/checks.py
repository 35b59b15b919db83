"""Checks of a fine-tuning for the mistakes that cost most, before and after it: `checks.csv`.

A check measures something on pairs of queries and passages, and finds a fault or none. A fault says what is wrong, how
it is known, and what to do. Thresholds are wide, so that there are hardly any false alarms: a training can be poor
although no check finds anything.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import exp, log
from statistics import median
from typing import Any

import numpy as np
import pandas as pd
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.util import batch_to_device

from core.formats.collections import read_built_collection
from core.formats.predicted_queries import read_expansions
from core.formats.triples import Triple, training_and_held_out
from core.indexes.base import unit_rows
from core.training.bi_encoder import training_loss, triple_rows
from core.workspace.errors import UserError
from core.workspace.model_configuration import describe_model
from core.workspace.models import find_model, locate_model
from core.workspace.profile import FinetuneSettings, Profile
from core.workspace.stage import Build
from core.workspace.workspace import Workspace

PAIRS = 48
"""Number of pairs that checks of a model measure."""
FEWEST = 8
"""Number of pairs below which rankings of the pairs are not judged."""
BEFORE, AFTER = "before training", "after training"
GOOD_MRR = 0.8
"""MRR@10 among the pairs from which a model counts as trained for retrieval."""


@dataclass(frozen=True)
class Finding:
    """The result of a check.

    Attributes:
        when: `BEFORE` or `AFTER`.
        check: the name of the check.
        measured: what was measured, in a few words.
        fault: the sentence on what is wrong; "" if nothing is.
    """

    when: str
    check: str
    measured: str
    fault: str = ""


@dataclass(frozen=True)
class Pairs:
    """Queries with their passages; all queries and all relevant passages differ.

    Attributes:
        triples: the pairs; without other negatives, the passage that is not relevant is "".
        source: where they come from, in words.
    """

    triples: list[Triple]
    source: str

    @property
    def queries(self) -> list[str]:
        """The queries."""
        return [triple.query for triple in self.triples]

    @property
    def passages(self) -> list[str]:
        """The relevant passages, in the order of the queries."""
        return [triple.relevant for triple in self.triples]

    @property
    def negatives(self) -> list[str]:
        """The passages that are not relevant, in the order of the queries; empty if there are none."""
        return [triple.not_relevant for triple in self.triples if triple.not_relevant]


def distinct(triples: Sequence[Triple], most: int) -> list[Triple]:
    """Return the first triples of which no text occurs in another one."""
    known: set[str] = set()
    chosen: list[Triple] = []
    for triple in triples:
        texts = {triple.query, triple.relevant, triple.not_relevant} - {""}
        if len(chosen) < most and not texts & known:
            chosen.append(triple)
            known |= texts
    return chosen


def pairs_of(training: Sequence[Triple], held_out: Sequence[Triple]) -> Pairs:
    """Return held-out pairs, or pairs of the training if there are too few."""
    chosen = distinct(held_out, PAIRS)
    if len(chosen) >= FEWEST:
        return Pairs(chosen, "held-out triples")
    return Pairs(distinct(training, PAIRS), "training triples")


def predicted_pairs(build: Build) -> Pairs:
    """Return documents of the build's collection with their first predicted queries.

    Raises:
        UserError: if the collection or its predicted queries are missing.
    """
    queries = read_expansions(build.folder)
    documents = read_built_collection(build.folder).documents
    pairs = (Triple(queries[d.id][0], d.full_text, "") for d in documents if queries.get(d.id) and d.full_text)
    return Pairs(distinct(list(pairs), PAIRS), f"predicted queries of {build.folder.name}")


# Vectors


@dataclass(frozen=True)
class Encoded:
    """Texts as a model encodes them, float32 [n_texts, dimension] each.

    Attributes:
        vectors: the model's own vectors.
        poolings: other ways to make a vector of the same token vectors, by name.
    """

    vectors: np.ndarray
    poolings: dict[str, np.ndarray]


def encode(model: Any, texts: list[str], role: str) -> Encoded:
    """Encode texts, and pool their token vectors by [CLS] and by the mean.

    Args:
        role: "query" or "document", for models with two towers.
    """
    method = getattr(model, f"encode_{role}")
    with torch.inference_mode():
        outputs = method(texts, batch_size=16, show_progress_bar=False, output_value=None)
    vectors = torch.stack([one["sentence_embedding"].float().cpu() for one in outputs]).numpy()
    if "token_embeddings" not in outputs[0] or outputs[0]["token_embeddings"].ndim != 2:
        return Encoded(vectors, {})
    pooled: dict[str, list[torch.Tensor]] = {"cls": [], "mean": []}
    for one in outputs:
        tokens, mask = one["token_embeddings"].float().cpu(), one["attention_mask"].cpu().bool()
        pooled["cls"].append(tokens[mask][0])
        pooled["mean"].append(tokens[mask].mean(0))
    return Encoded(vectors, {name: torch.stack(rows).numpy() for name, rows in pooled.items()})


def similarities(queries: np.ndarray, passages: np.ndarray, similarity: str) -> np.ndarray:
    """Return the similarities of all queries and passages, float32 [n_queries, n_passages]."""
    if similarity == "cosine":
        queries, passages = unit_rows(queries), unit_rows(passages)
    return np.asarray(queries @ passages.T)


def mrr(scores: np.ndarray) -> float:
    """Return MRR@10 where passage i is relevant for query i; ties count against it. Extra passages follow."""
    own = np.diag(scores)[:, None]
    ranks = (scores >= own).sum(1)  # the passage itself is one of them
    return float(np.where(ranks <= 10, 1 / ranks, 0).mean())


def ordered(scores: np.ndarray) -> float:
    """Return the share of (query, other passage) whose own passage scores higher; a tie counts half. Guessing: 0.5."""
    own = np.diag(scores)[:, None]
    others = np.eye(*scores.shape) == 0
    return float(((own > scores) + 0.5 * (own == scores))[others].mean())


def standing_out(scores: np.ndarray) -> np.ndarray:
    """Return by how many standard deviations a query's own passage scores above the mean of the others, [n_queries]."""
    others = np.ma.masked_array(scores, mask=np.eye(*scores.shape) == 1)
    spread = np.maximum(others.std(1).filled(0), 1e-9)
    return np.asarray((np.diag(scores) - others.mean(1).filled(0)) / spread)


# Checks of the settings and the data


def check_pooling(workspace: Workspace, settings: FinetuneSettings) -> Iterator[Finding]:
    """Compare the pooling with that of the base model's own configuration, if it is a bi-encoder."""
    folder = find_model(workspace, settings.base)
    if folder is None or not (folder / "modules.json").is_file():
        return
    own = describe_model(folder).get("pooling", "")
    fault = ""
    if own in ("mean", "cls") and own != settings.pooling:
        fault = (
            f'The base model pools by "{own}" (its 1_Pooling/config.json), but finetune.pooling is '
            f'"{settings.pooling}", which reads vectors that were never trained to stand for a text: set it to "{own}".'
        )
    yield Finding(BEFORE, "pooling", f"base {own}, setting {settings.pooling}", fault)


def check_columns(pairs: Pairs) -> Iterator[Finding]:
    """Compare the lengths of queries and passages."""
    of_queries = median(len(text.split()) for text in pairs.queries)
    of_passages = median(len(text.split()) for text in pairs.passages)
    fault = ""
    if of_queries > of_passages:
        fault = (
            f"Queries have {of_queries:g} words (median) and passages {of_passages:g}, so that queries and documents "
            "seem to be swapped: a row is query, relevant passage, other passage."
        )
    yield Finding(BEFORE, "columns", f"{of_queries:g} and {of_passages:g} words", fault)


def check_duplicates(triples: Sequence[Triple], settings: FinetuneSettings) -> Iterator[Finding]:
    """Count the batches in which a text is relevant for one row and a negative for another."""
    if settings.shuffle or settings.data == "pseudo-labels":
        return
    batches = [triples[first : first + settings.batch] for first in range(0, len(triples), settings.batch)]
    mixed = sum(_has_false_negative(batch, settings.use_negative) for batch in batches)
    fault = ""
    if mixed > 0.01 * len(batches):
        fault = (
            f"In {mixed:,} of {len(batches):,} batches a passage is relevant for one row and a negative for another "
            "with the same query or the same passage: set shuffle = true, which keeps such rows apart."
        )
    yield Finding(BEFORE, "duplicates", f"{mixed:,} of {len(batches):,} batches", fault)


def _has_false_negative(batch: Sequence[Triple], use_negative: bool) -> bool:
    relevant = [triple.relevant for triple in batch]
    repeated = len(set(relevant)) < len(batch) or len({triple.query for triple in batch}) < len(batch)
    return repeated or (use_negative and bool(set(relevant) & {triple.not_relevant for triple in batch}))


# Checks of a model


def check_padding(model: Any, pairs: Pairs, when: str) -> Iterator[Finding]:
    """Compare the vector of a short passage encoded alone with that beside a long one."""
    short, long = min(pairs.passages, key=len), max(pairs.passages, key=len)
    alone = model.encode_document([short], batch_size=1, show_progress_bar=False)
    beside = model.encode_document([short, long], batch_size=2, show_progress_bar=False)[:1]
    cosine = float(similarities(alone, beside, "cosine")[0, 0])
    fault = ""
    if cosine < 0.999:
        fault = (
            f"A passage has another vector beside a longer one (cosine {cosine:.3f} to that of the passage alone): "
            "padding is part of it. Pool with the attention mask, and pass the mask to the transformer."
        )
    yield Finding(when, "padding", f"cosine {cosine:.4f}", fault)


def check_vectors(passages: np.ndarray, when: str) -> Iterator[Finding]:
    """Look at the lengths of vectors, and whether all are about the same."""
    lengths = np.linalg.norm(passages, axis=1)
    measured = f"{lengths.min():.2f} to {lengths.max():.2f}"
    if not np.isfinite(lengths).all() or not lengths.all():
        fault = (
            "Vectors have length 0 or values that are no numbers: the training diverged, or the weights are damaged."
        )
        yield Finding(when, "lengths", measured, f"{fault} Lower the learning rate, or train in fp32.")
        return
    yield Finding(when, "lengths", measured)
    cosines = similarities(passages, passages, "cosine")[np.eye(len(passages)) == 0]
    spread = float(cosines.std())
    fault = ""
    # The vectors of a base model that was never a retriever are close to one another, too.
    if spread < (0.01 if when == AFTER else 1e-3) or (when == AFTER and cosines.mean() > 0.98):
        fault = (
            f"All passages have nearly the same vector (cosines {cosines.mean():.3f} ± {spread:.3f}): the model is "
            "collapsed, and search returns the same documents for every query. Lower the learning rate, check that "
            "gradients reach the transformer, and look at the pooling."
        )
    yield Finding(when, "spread", f"cosines {cosines.mean():.2f} ± {spread:.2f}", fault)


def check_temperature(
    queries: np.ndarray, passages: np.ndarray, settings: FinetuneSettings, when: str
) -> Iterator[Finding]:
    """Compute the lowest loss that the range of scores allows, with negatives at right angles to the query."""
    if settings.data == "pseudo-labels" or settings.teacher:
        return
    lengths = np.median(np.linalg.norm(queries, axis=1)) * np.median(np.linalg.norm(passages, axis=1))
    reachable = settings.scale if settings.similarity == "cosine" else float(lengths)
    guessing = log(_candidates(settings))
    lowest = log(1 + (_candidates(settings) - 1) * exp(-reachable))
    fault = ""
    if lowest > 0.2 * guessing:
        what = f"scale {settings.scale:g}" if settings.similarity == "cosine" else "vectors this short"
        todo = (
            "set scale to 20 or more" if settings.similarity == "cosine" else 'set similarity = "cosine", with a scale'
        )
        fault = (
            f"With {what}, scores range over {reachable:.1f} only and the loss cannot fall below {lowest:.2f} "
            f"(guessing: {guessing:.2f}): the softmax stays flat. Divide similarities by a temperature: {todo}."
        )
    yield Finding(when, "temperature", f"range {reachable:.1f}, lowest loss {lowest:.2f}", fault)


def _candidates(settings: FinetuneSettings) -> int:
    return settings.batch * (1 + settings.use_negative)


def check_other_pooling(
    queries: Encoded, passages: Encoded, settings: FinetuneSettings, when: str
) -> Iterator[Finding]:
    """Compare by how much a query's own passage stands out with the model's vectors and with another pooling's."""
    if not queries.poolings or len(queries.vectors) < FEWEST:
        return
    own = standing_out(similarities(queries.vectors, passages.vectors, settings.similarity))
    scores = {
        name: similarities(vectors, passages.poolings[name], settings.similarity)
        for name, vectors in queries.poolings.items()
    }
    by_name = {name: standing_out(found) for name, found in scores.items()}
    best = max(by_name, key=lambda name: float(np.median(by_name[name])))
    more, share = float(np.median(by_name[best]) / np.median(own)), float((by_name[best] > own).mean())
    fault = ""
    if (more > 1.2 or np.median(own) <= 0) and share >= 0.75 and mrr(scores[best]) >= GOOD_MRR:
        said = {"cls": "the vector of [CLS]", "mean": "the mean of the token vectors"}[best]
        fault = (
            f"A query's own passage stands {np.median(own):.1f} standard deviations above the others, but "
            f"{np.median(by_name[best]):.1f} with {said}, more on {share:.0%} of the pairs: the model was trained to "
            f'be read so. Set pooling = "{best}".'
        )
    measured = ", ".join(f"{name} {np.median(values):.1f}" for name, values in by_name.items())
    yield Finding(when, "[CLS] against mean", f"own passage stands out by {measured} standard deviations", fault)


def check_order(scores: np.ndarray, when: str, trained: bool) -> Iterator[Finding]:
    """Look whether a query's own passage scores above the others.

    Args:
        scores: of queries and their passages, [n, n].
        trained: whether the model was trained for retrieval, so that guessing is a fault, too.
    """
    if len(scores) < FEWEST:
        return
    share = ordered(scores)
    fault = ""
    if share < 0.4:
        fault = (
            f"A query's own passage scores above another one in {share:.0%} of the cases only, less than by guessing: "
            "the sign is wrong. Sort similarities in descending order, and distances in ascending order."
        )
    elif trained and share < 0.6:
        fault = (
            f"A query's own passage scores above another one in {share:.0%} of the cases, as by guessing: either "
            "queries and passages do not belong together (ids or rows are shifted), or nothing was learned."
        )
    yield Finding(when, "order", f"{share:.1%} above others, MRR@10 {mrr(scores):.3f}", fault)


def check_labels(
    queries: np.ndarray, passages: np.ndarray, negatives: np.ndarray, similarity: str, when: str
) -> Iterator[Finding]:
    """Look whether relevant passages score above those that are not relevant."""
    own = np.diag(similarities(queries, passages, similarity))
    share = float((own > np.diag(similarities(queries, negatives, similarity))).mean())
    fault = ""
    if share < 0.3 and len(own) >= FEWEST:
        fault = (
            f"The relevant passage scores above the other passage in {share:.0%} of the triples only: the columns of "
            "relevant and other passages are swapped. A row is query, relevant passage, other passage."
        )
    yield Finding(when, "labels", f"{share:.0%} of the relevant ones above the others", fault)


def check_towers(model: Any, pairs: Pairs, own: float, similarity: str, when: str) -> Iterator[Finding]:
    """Encode queries with the tower of documents, and documents with that of queries."""
    queries, passages = encode(model, pairs.queries, "document"), encode(model, pairs.passages, "query")
    other = mrr(similarities(queries.vectors, passages.vectors, similarity))
    fault = ""
    if other > own + 0.1:
        fault = (
            f"MRR@10 among {len(pairs.triples)} pairs is {own:.3f}, and {other:.3f} with queries and documents "
            "swapped: the towers are confused. Encode queries with the query tower, in training and at search."
        )
    yield Finding(when, "towers", f"MRR@10: own {own:.3f}, swapped {other:.3f}", fault)


def check_first_loss(loss: float, candidates: int) -> Iterator[Finding]:
    """Compare the loss of the first batch with guessing.

    Args:
        candidates: number of passages for each query.
    """
    guessing = log(candidates)
    fault = ""
    if loss < 0.01 * guessing:
        fault = (
            f"The loss of the first batch is {loss:.4f} before any training (guessing: {guessing:.2f}), so that there "
            "is nothing to learn: the base model tells these passages apart already, or they contain their queries. "
            "Take harder negatives, a larger batch or other data."
        )
    elif not loss < 3 * guessing:
        fault = (
            f"The loss of the first batch is {loss:.1f}, where guessing gives {guessing:.2f}: the loss is summed over "
            "the batch in place of averaged, or scores range too widely for the softmax. Take the mean, or "
            'similarity = "cosine" with a scale.'
        )
    yield Finding(BEFORE, "first loss", f"{loss:.3f}, guessing {guessing:.2f}", fault)


# Checks of a training that has ended


def check_history(history: pd.DataFrame, settings: FinetuneSettings) -> Iterator[Finding]:
    """Look at the training loss from the first to the last logged step."""
    losses = history["loss"].dropna()
    if len(losses) < 2:
        return
    part = max(1, len(losses) // 10)
    first, last = float(losses.iloc[:part].mean()), float(losses.iloc[-part:].mean())
    guessing = log(_candidates(settings))
    fault = ""
    cross_entropy = settings.data == "triples" and not settings.teacher
    if not np.isfinite(last) or last > 1.1 * first + 0.05:
        fault = f"The loss rises from {first:.3f} to {last:.3f}: lower the learning rate, or lengthen the warm-up."
    elif cross_entropy and first > 3 * guessing:
        fault = (
            f"The loss begins at {first:.1f}, where guessing gives {guessing:.2f}: it is summed over the batch in "
            'place of averaged, or scores range too widely. Take the mean, or similarity = "cosine" with a scale.'
        )
    elif cross_entropy and first < 0.01 * guessing:
        fault = (
            f"The loss is {first:.4f} from the first steps on (guessing: {guessing:.2f}), so that nothing was learned: "
            "take harder negatives, a larger batch or other data."
        )
    elif last > 0.98 * first:
        fault = (
            f"The loss does not fall ({first:.3f} to {last:.3f}): the learning rate is too low, gradients do not reach "
            "the transformer, or the temperature is too high. The overfitting test (--overfit) tells which."
        )
    yield Finding(AFTER, "loss", f"{first:.3f} to {last:.3f}", fault)


def check_gain(before: float, after: float) -> Iterator[Finding]:
    """Compare MRR@10 on the held-out queries before and after training."""
    fault = ""
    if after < before - 0.05:
        fault = (
            f"MRR@10 on held-out queries fell from {before:.3f} to {after:.3f}: the training unlearned. Look at the "
            "pooling, lower the learning rate, or average with the base model (base_share = 0.5)."
        )
    yield Finding(AFTER, "held-out MRR@10", f"{before:.3f} to {after:.3f}", fault)


def check_systems(passages: np.ndarray, profile: Profile) -> Iterator[Finding]:
    """Compare the similarity of the systems that search the model's vectors with that of the training."""
    settings, lengths = profile.finetune, np.linalg.norm(passages, axis=1)
    for system in profile.system:
        if system.kind != "dense" or system.model != settings.model:
            continue
        fault = ""
        if system.similarity != settings.similarity and lengths.max() > 1.02 * lengths.min():
            fault = (
                f"{system.name} searches by {_in_words(system.similarity)}, but the model was trained with "
                f"{_in_words(settings.similarity)} and its vectors have lengths of {lengths.min():.2f} to "
                f'{lengths.max():.2f}, so that the rankings differ. Set similarity = "{settings.similarity}".'
            )
        measured = f"trained {settings.similarity}, {system.name} {system.similarity}"
        yield Finding(AFTER, "similarity", measured, fault)


def _in_words(similarity: str) -> str:
    return "the dot product" if similarity == "dot" else "cosine"


# All of them


def before_training(
    workspace: Workspace,
    settings: FinetuneSettings,
    model: SentenceTransformer,
    pairs: Pairs,
    triples: Sequence[Triple],
) -> list[Finding]:
    """Check the settings, the data and the untrained model.

    Args:
        triples: those of the training, for the loss of the first batch and for duplicates; empty if unknown.
    """
    base = locate_model(workspace, settings.base)
    found = [*check_pooling(workspace, settings), *check_columns(pairs), *check_duplicates(triples, settings)]
    found += check_model(model, settings, pairs, BEFORE, (base / "modules.json").is_file())
    if triples and settings.data == "triples" and not settings.teacher:
        found += check_first_loss(*first_loss(model, settings, triples))
    return found


def first_loss(model: SentenceTransformer, settings: FinetuneSettings, triples: Sequence[Triple]) -> tuple[float, int]:
    """Return the loss of the first batch, without dropout, and the number of passages for each query."""
    rows = triple_rows(distinct(triples, settings.batch), settings.use_negative)
    roles = ["query", *["document"] * (len(rows.column_names) - 1)]
    model.eval()
    with torch.no_grad():
        features = [
            batch_to_device(model.preprocess(rows[column][:], task=role), model.device)
            for column, role in zip(rows.column_names, roles, strict=True)
        ]
        loss = training_loss(model, settings)(features, None)
    return float(loss), len(rows) * (len(rows.column_names) - 1)


def check_model(
    model: Any, settings: FinetuneSettings, pairs: Pairs, when: str = AFTER, trained: bool = True
) -> list[Finding]:
    """Check a model on pairs.

    Args:
        trained: whether it was trained for retrieval.
    """
    similarity = settings.similarity
    queries, passages = encode(model, pairs.queries, "query"), encode(model, pairs.passages, "document")
    found = [*check_vectors(passages.vectors, when)]
    if found[0].fault:
        return found
    scores = similarities(queries.vectors, passages.vectors, similarity)
    found += check_padding(model, pairs, when)
    found += check_temperature(queries.vectors, passages.vectors, settings, when)
    found += check_order(scores, when, trained)
    found += check_other_pooling(queries, passages, settings, when)
    if len(pairs.negatives) == len(pairs.triples):
        negatives = encode(model, pairs.negatives, "document").vectors
        found += check_labels(queries.vectors, passages.vectors, negatives, similarity, when)
    if settings.towers == "two":
        found += check_towers(model, pairs, mrr(scores), similarity, when)
    return found


def after_training(
    model: Any, profile: Profile, pairs: Pairs, history: pd.DataFrame | None = None, held_out: Mapping[str, float] = {}
) -> list[Finding]:
    """Check a trained model, its history and the systems of the profile that use it.

    Args:
        history: as `core.training.histories.as_table` makes it; None if it is unknown.
        held_out: MRR@10 on the held-out queries "before" and "after" training; empty if it is unknown.
    """
    found = check_model(model, profile.finetune, pairs)
    found += check_systems(encode(model, pairs.passages[:FEWEST], "document").vectors, profile)
    if history is not None:
        found += check_history(history, profile.finetune)
    if held_out:
        found += check_gain(held_out["before"], held_out["after"])
    return found


def as_table(findings: list[Finding]) -> pd.DataFrame:
    """Return findings as a table with the columns when, check, measured and fault."""
    return pd.DataFrame([asdict(finding) for finding in findings], columns=["when", "check", "measured", "fault"])


def checked_pairs(build: Build) -> tuple[Pairs, list[Triple]]:
    """Return the pairs that checks use, and the training triples.

    Pairs are held-out triples, or documents with predicted queries where the triples are not on this machine.

    Raises:
        UserError: if there are neither.
    """
    try:
        training, held_out = training_and_held_out(build, build.profile.finetune)
    except UserError as error:
        try:
            return predicted_pairs(build), []
        except UserError:
            raise error from None
    return pairs_of(training, held_out), training
