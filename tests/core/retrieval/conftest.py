"""A collection and its BM25, which re-rankers read."""

import random

import pytest

from core.formats.documents import Document
from core.retrieval.bm25 import Bm25Index
from core.retrieval.systems import Bm25System
from core.workspace.profile import AnalyzerSettings, Bm25Settings, SystemSettings


@pytest.fixture(scope="module")
def documents(words):
    generator = random.Random(5)
    return [Document(f"d{i}", "", " ".join(generator.sample(words, generator.randint(1, 40)))) for i in range(80)]


@pytest.fixture(scope="module")
def queries(words):
    generator = random.Random(6)
    return ["", "zzz", *(" ".join(generator.sample(words, generator.randint(1, 9))) for _ in range(8))]


@pytest.fixture(scope="module")
def bm25(documents):
    index = Bm25Index.build(documents, Bm25Settings(), AnalyzerSettings(stemmer="none", stop_words="none"))
    return Bm25System(SystemSettings(name="bm25", kind="bm25"), index)
