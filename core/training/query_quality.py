"""Quality of predicted queries: queries predicted for held-out passages, compared with the queries users asked.

The artifact `artifacts/quality/<model>` has the figures in the facts of its manifest, and a file `examples.jsonl` with
one passage per line: its real query, its predicted queries and their ROUGE-L, best passages first.
"""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from rouge_score.rouge_scorer import RougeScorer
from tqdm import tqdm

from core.formats.documents import Document
from core.formats.triples import read_training_triples, split_by_query, triples_file
from core.retrieval.analyzer import Analyzer, open_analyzer, recorded_settings
from core.training.t5 import CPU_SAMPLES, QueryPredictor, generate_settings, open_predictor
from core.workspace.artifacts import file_digest
from core.workspace.models import locate_model, model_digest
from core.workspace.profile import Doc2querySettings, recorded
from core.workspace.stage import Build, Draft

FILE = "examples.jsonl"


@dataclass(frozen=True)
class Figures:
    """Quality figures of predicted queries.

    Attributes:
        rouge_l: ROUGE-L (Lin, 2004; F1 of the longest common subsequence of words) of predicted and real query,
            averaged over a passage's queries and then over passages.
        best_rouge_l: ROUGE-L of a passage's best query, averaged over passages.
        exact: share of the passages whose real query was predicted, ignoring case.
        repeats: share of the predicted queries that duplicate an earlier one for the same passage.
        new_terms: share of the predicted queries' terms (as analysed for BM25, without stop words) that do not occur in
            the passage.
        words: mean number of words of a predicted query.
    """

    rouge_l: float
    best_rouge_l: float
    exact: float
    repeats: float
    new_terms: float
    words: float


def measure(
    passages: list[str], real: list[str], predicted: list[list[str]], analyzer: Analyzer
) -> tuple[Figures, list[list[float]]]:
    """Return the figures and the ROUGE-L of each passage's queries, [n_passages][n_queries]."""
    scorer = RougeScorer(["rougeL"])
    rouge = [
        [scorer.score(query, written)["rougeL"].fmeasure for written in own]
        for query, own in zip(real, predicted, strict=True)
    ]
    everything = [written for own in predicted for written in own]
    terms = [
        (term, set(analyzer.tokens(passage)))
        for passage, own in zip(passages, predicted, strict=True)
        for written in own
        for term in analyzer.tokens(written)
    ]
    figures = Figures(
        rouge_l=float(np.mean([np.mean(own) for own in rouge])),
        best_rouge_l=float(np.mean([max(own) for own in rouge])),
        exact=sum(q.casefold() in map(str.casefold, own) for q, own in zip(real, predicted, strict=True)) / len(real),
        repeats=sum(len(own) - len({q.casefold() for q in own}) for own in predicted) / len(everything),
        new_terms=sum(term not in known for term, known in terms) / max(1, len(terms)),
        words=float(np.mean([len(written.split()) for written in everything])),
    )
    return figures, rouge


def quality_settings(build: Build, settings: Doc2querySettings) -> dict[str, Any]:
    """Return the settings that determine the figures, for the manifest."""
    shaped = generate_settings(settings) | recorded(build.profile.triples, ("source", "distractors"))
    return shaped | recorded_settings(build.profile.analyzer)


def quality_inputs(build: Build, settings: Doc2querySettings) -> dict[str, str]:
    """Return the digests of the triples and of the T5."""
    model = locate_model(build.folder.workspace, settings.model)
    return {"triples": file_digest(triples_file(build)), "model": model_digest(model)}


def quality(build: Build, settings: Doc2querySettings, draft: Draft) -> None:
    """Predict queries for the held-out passages and measure them."""
    profile, workspace = build.profile, build.folder.workspace
    _, held_out = split_by_query(read_training_triples(build), profile.triples.held_out)
    pairs = sorted({(triple.relevant, triple.query) for triple in held_out})
    passages = [Document(str(number), "", passage) for number, (passage, _) in enumerate(pairs)]
    predicted = _predict(open_predictor(workspace, settings, build.device), passages)
    real = [query for _, query in pairs]
    figures, rouge = measure([p.text for p in passages], real, predicted, open_analyzer(profile.analyzer))
    draft.facts.update(model=workspace.shown_model(settings.model), passages=len(passages))
    draft.facts.update({name: round(value, 4) for name, value in vars(figures).items()})
    order = sorted(range(len(pairs)), key=lambda i: (-float(np.mean(rouge[i])), i))
    with (draft / FILE).open("w", encoding="utf-8", newline="\n") as file:
        for i in order:
            entry: dict[str, Any] = {"query": real[i], "passage": passages[i].text, "predicted": predicted[i]}
            entry["rouge_l"] = [round(value, 4) for value in rouge[i]]
            file.write(json.dumps(entry, ensure_ascii=False) + "\n")


def _predict(predictor: QueryPredictor, passages: list[Document]) -> list[list[str]]:
    tokens = predictor.tokens(passages)
    order = sorted(range(len(tokens)), key=lambda i: (len(tokens[i]), i))
    batch = max(1, CPU_SAMPLES // predictor.settings.queries)
    found: dict[int, list[str]] = {}
    for begin in tqdm(range(0, len(order), batch), desc="doc2query quality", unit="batch"):
        members = order[begin : begin + batch]
        names = [passages[i].id for i in members]
        found |= dict(zip(members, predictor.predict(names, [tokens[i] for i in members]), strict=True))
    return [found[i] for i in range(len(passages))]
