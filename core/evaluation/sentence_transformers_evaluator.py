"""Measures of a dense system by sentence-transformers' evaluator, as an independent check."""

from typing import Any

import numpy as np
import torch
from sentence_transformers.sentence_transformer.evaluation import InformationRetrievalEvaluator
from sentence_transformers.util import cos_sim, dot_score

from core.formats.collections import Collection
from core.formats.exclusions import Exclusions
from core.retrieval.encoder import load_encoder_of, load_vectors
from core.workspace.profile import Profile, find_settings
from core.workspace.workspace import CollectionFolder


class Evaluator(InformationRetrievalEvaluator):
    """sentence-transformers' evaluator, extended to leave out excluded documents."""

    def __init__(self, excluded: Exclusions, **settings: Any):
        """Take the documents excluded for each query, and the evaluator's own arguments."""
        # Retrieve enough documents to replace the dropped ones; the figures at this extra cut-off are not used.
        most = max(map(len, excluded.values()), default=0)
        deepest = max(settings["map_at_k"])
        settings["accuracy_at_k"] = [*settings["accuracy_at_k"], deepest + most]
        super().__init__(**settings)
        self.excluded = excluded

    def compute_metrics(self, queries_result_list: list[Any]) -> Any:
        """Compute the evaluator's measures after dropping the excluded documents."""
        kept: list[Any] = [
            [hit for hit in hits if hit["corpus_id"] not in self.excluded.get(query, ())]
            for query, hits in zip(self.queries_ids, queries_result_list, strict=True)
        ]
        return super().compute_metrics(kept)


def evaluator_figures(
    profile: Profile, system: str, collection: Collection, folder: CollectionFolder
) -> dict[str, float]:
    """Return the evaluator's figures, such as "ndcg@10", for a dense system with its stored vectors.

    "map" and "mrr" use the depth of the profile's runs. The evaluator's MAP divides by min(depth, relevant documents),
    so it agrees only if runs are at least as deep as the largest number of relevant documents of a topic.

    Raises:
        UserError: if the model or the vectors are unavailable.
    """
    settings = find_settings(profile, system)
    vectors, document_ids = load_vectors(folder, settings.vectors_name)
    encoder = load_encoder_of(folder, settings)
    relevant = {
        topic: {document for document, grade in judgments.items() if grade > 0}
        for topic, judgments in collection.qrels.items()
    }
    evaluator = Evaluator(
        collection.excluded,
        queries={t.id: settings.query_prefix + t.text(profile.collection.topic_field) for t in collection.topics},
        corpus=dict.fromkeys(document_ids, ""),  # the texts are not needed, since the vectors are given
        relevant_docs=relevant,
        mrr_at_k=[profile.depth],
        ndcg_at_k=[10],
        accuracy_at_k=[10],
        precision_recall_at_k=[10, 100],
        map_at_k=[profile.depth],
        score_functions={settings.similarity: dot_score if settings.similarity == "dot" else cos_sim},
        write_csv=False,
    )
    on_device = torch.from_numpy(np.array(vectors)).to(encoder.device)  # where the evaluator's queries are encoded
    found: dict[str, Any] = evaluator.compute_metrices(encoder, corpus_embeddings=on_device)
    figures = {
        f"{measure.removesuffix('@k')}@{k}": float(value)
        for measure, by_k in found[settings.similarity].items()
        for k, value in by_k.items()
    }
    return figures | {name: figures[f"{name}@{profile.depth}"] for name in ("map", "mrr")}
