"""A second opinion on the measures: ir_measures on the same runs and qrels, and scikit-learn's nDCG.

ir_measures asks trec_eval for what we ask it for, so it checks how a run and its missing topics are counted and how a
measure is named; scikit-learn's nDCG is a formula of its own.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sentence_transformers.sentence_transformer.evaluation import InformationRetrievalEvaluator
from sentence_transformers.util import cos_sim, dot_score

from core.evaluation.measures import PerTopic
from core.formats.collections import Collection
from core.formats.exclusions import Exclusions
from core.formats.qrels import Qrels
from core.formats.runs import Scores, ranked
from core.retrieval.encoder import load_encoder_of, load_vectors
from core.retrieval.systems import find_settings
from core.workspace.errors import UserError
from core.workspace.measure_names import parse_measure
from core.workspace.profile import Profile


def checkable(measures: Iterable[str]) -> list[str]:
    """Return the measures that ir_measures defines as we do: all but Judged@k.

    Its Judged@k divides by the documents retrieved where they are fewer than k, ours by k.
    """
    return [name for name in measures if parse_measure(name).name != "Judged"]


def ir_measures_values(scores: Scores, qrels: Qrels, measures: Iterable[str]) -> PerTopic:
    """Return each measure's value for every judged topic by ir_measures (MacAvaney, Macdonald & Ounis, 2022).

    It leaves out a topic that the run has nothing for; as in our own figures such a topic counts 0.

    Raises:
        UserError: ir_measures is not installed.
    """
    try:
        import ir_measures
    except ImportError:
        raise UserError("ir_measures is not installed; pip install -r requirements.txt brings it") from None
    names = {ir_measures.parse_measure(name): name for name in measures}
    values: PerTopic = {name: dict.fromkeys(qrels, 0.0) for name in names.values()}
    # Topics with nothing to find, or for which nothing was found, can end Python in pytrec_eval.
    judged = {topic: by for topic, by in qrels.items() if max(by.values()) >= 0}
    answered = {topic: by for topic, by in scores.items() if by}
    for found in ir_measures.iter_calc(list(names), judged, answered):
        values[names[found.measure]][found.query_id] = float(found.value)
    return values


def sklearn_ndcg(scores: Scores, qrels: Qrels, k: int) -> dict[str, float]:
    """Return nDCG@k of every judged topic by `sklearn.metrics.ndcg_score`, over retrieved and judged documents.

    It averages over the orders of tied documents, so it is given the ranks that trec_eval puts them in.
    """
    from sklearn.metrics import ndcg_score

    values = {}
    for topic, judgments in qrels.items():
        found = [document for document, _ in ranked(scores.get(topic, {}))]
        missed = judgments.keys() - set(found)
        gains = [judgments.get(document, 0) for document in found]
        gains += [0] * max(k - len(found), 0)  # a list shorter than k does not go on with what it missed
        gains += [judgments[document] for document in missed]
        true = np.maximum(np.array([gains], dtype=float), 0)
        values[topic] = float(ndcg_score(true, -np.arange(len(gains))[None], k=k)) if found and true.any() else 0.0
    return values


class Evaluator(InformationRetrievalEvaluator):
    """sentence-transformers' evaluator, which knows nothing of excluded documents, without them."""

    def __init__(self, excluded: Exclusions, **settings: Any):
        """Take what is excluded for each query, and the evaluator's own settings."""
        # The longest list that it looks at has room for what is dropped; hits at that cut-off are not used.
        most = max(map(len, excluded.values()), default=0)
        deepest = max(settings["map_at_k"])
        settings["accuracy_at_k"] = [*settings["accuracy_at_k"], deepest + most]
        super().__init__(**settings)
        self.excluded = excluded

    def compute_metrics(self, queries_result_list: list[Any]) -> Any:
        """Compute as the evaluator does, after dropping hits."""
        kept: list[Any] = [
            [hit for hit in hits if hit["corpus_id"] not in self.excluded.get(query, ())]
            for query, hits in zip(self.queries_ids, queries_result_list, strict=True)
        ]
        return super().compute_metrics(kept)


def evaluator_figures(profile: Profile, system: str, collection: Collection, folder: Path) -> dict[str, float]:
    """Return the evaluator's figures, such as "ndcg@10", for a dense system over its stored vectors.

    "map" and "mrr" are to the depth of the profile's runs. Its map divides by min(depth, relevant documents), so a run
    must be as deep as the topic with the most relevant documents for both to agree.

    Raises:
        UserError: the model or the vectors are unavailable.
    """
    settings = find_settings(profile, system)
    vectors, document_ids = load_vectors(folder, system)
    encoder = load_encoder_of(folder, settings)
    relevant = {
        topic: {document for document, grade in judgments.items() if grade > 0}
        for topic, judgments in collection.qrels.items()
    }
    evaluator = Evaluator(
        collection.excluded,
        queries={t.id: settings.query_prefix + t.text(profile.collection.topic_field) for t in collection.topics},
        corpus=dict.fromkeys(document_ids, ""),  # their vectors are given
        relevant_docs=relevant,
        mrr_at_k=[profile.depth],
        ndcg_at_k=[10],
        accuracy_at_k=[10],
        precision_recall_at_k=[10, 100],
        map_at_k=[profile.depth],
        score_functions={settings.similarity: dot_score if settings.similarity == "dot" else cos_sim},
        write_csv=False,
    )
    found: dict[str, Any] = evaluator.compute_metrices(encoder, corpus_embeddings=torch.from_numpy(np.array(vectors)))
    figures = {
        f"{measure.removesuffix('@k')}@{k}": float(value)
        for measure, by_k in found[settings.similarity].items()
        for k, value in by_k.items()
    }
    return figures | {name: figures[f"{name}@{profile.depth}"] for name in ("map", "mrr")}
