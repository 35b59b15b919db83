"""The cross-check with sentence-transformers' evaluator."""

from types import SimpleNamespace

import numpy as np
import torch

from core.evaluation import sentence_transformers_evaluator as module
from core.formats.collections import Collection
from core.formats.topics import Topic
from core.workspace.profile import Profile


def test_documents_vectors_are_on_the_device_of_the_encoder(monkeypatch, workspace):
    """The library multiplies them by vectors of queries, which are on the GPU where the encoder is."""
    seen = []

    def figures(self, encoder, corpus_embeddings):
        seen.append(corpus_embeddings.device.type)
        return {"cosine": {"map@k": {100: 0.5}, "mrr@k": {100: 0.5}}}

    monkeypatch.setattr(module.Evaluator, "compute_metrices", figures)
    monkeypatch.setattr(module, "load_vectors", lambda folder, system: (np.ones((2, 3), np.float32), ["a", "b"]))
    encoder = SimpleNamespace(device=torch.device("meta"))
    monkeypatch.setattr(module, "load_encoder_of", lambda folder, settings: encoder)
    profile = Profile.model_validate(
        {"depth": 100, "collection": {"name": "c"}, "system": [{"name": "s", "kind": "dense", "model": "m"}]}
    )
    collection = Collection("c", [], [Topic("1", "q", "", "")], {"1": {"a": 1}})
    module.evaluator_figures(profile, "s", collection, workspace.collection("c"))
    assert seen == ["meta"]
