"""The map of documents: clusters of well-separated vectors, their terms worked by hand, neighbours by brute force."""

import math

import numpy as np
import pytest

from core.evaluation.document_map import (
    clusters_table,
    distinctive_terms,
    document_clusters,
    document_neighbours,
    make_map,
    neighbours,
    points_table,
)
from core.evaluation.results import Results, saved_profile
from core.formats.documents import Document
from core.retrieval.analyzer import open_analyzer
from core.workspace.errors import UserError
from core.workspace.profile import AnalyzerSettings
from core.workspace.workspace import CHECKOUT, Workspace

ANALYZER = open_analyzer(AnalyzerSettings(stemmer="english"))


@pytest.fixture
def three() -> tuple[np.ndarray, list[str], dict[str, Document]]:
    """Vectors around three directions, 60, 40 and 20 of them in mixed order, with a text of each direction."""
    random = np.random.default_rng(3)
    kind = random.permutation([0] * 60 + [1] * 40 + [2] * 20)
    vectors = (10 * np.eye(8)[kind] + random.normal(size=(120, 8))).astype(np.float32)
    words = ["vaccines for children", "masks at school", "bats in caves"]
    texts = {f"{of}-{n}": Document(f"{of}-{n}", "", f"A study of {words[of]} no {n}") for n, of in enumerate(kind)}
    return vectors, list(texts), texts


@pytest.mark.parametrize("similarity", ["cosine", "dot"])
def test_separate_groups_of_vectors_are_clusters_largest_first(three, similarity: str, monkeypatch) -> None:
    monkeypatch.setattr("core.evaluation.document_map.SMALLEST_CLUSTER", 40)
    monkeypatch.setattr("core.evaluation.document_map.BLOCK", 50)
    vectors, names, texts = three
    mapped = make_map(vectors, names, similarity, texts, ANALYZER)
    assert [str(number) for number in mapped.clusters] == [name[0] for name in names]
    assert [set(name.split(", ")[:2]) for name in mapped.names] == [
        {"children", "vaccines"},
        {"masks", "school"},
        {"bats", "caves"},
    ]
    for number, central in enumerate(mapped.central):
        members = [place for place, name in enumerate(names) if name[0] == str(number)]
        rows = vectors[members] / (np.linalg.norm(vectors[members], axis=1)[:, None] if similarity == "cosine" else 1)
        away = np.linalg.norm(rows - rows.mean(axis=0), axis=1)
        assert central[0] == names[members[int(away.argmin())]]
    table = clusters_table(mapped, texts, "dense", "c").figures
    assert table["documents"].tolist() == [60, 40, 20]
    points = points_table(mapped, "dense", "c").figures
    assert points.groupby("cluster", sort=False)["PC 1"].mean().to_dict() == pytest.approx(
        dict(table["PC 1"]), abs=1e-5
    )


def test_few_or_equal_vectors_and_missing_texts_are_no_fault(three) -> None:
    vectors, names, texts = three
    few = make_map(vectors[:30], names[:30], "dot", texts, ANALYZER)
    assert few.names == [] and set(few.clusters) == {-1}
    assert clusters_table(few, texts, "dense", "c").sentences
    assert set(points_table(few, "dense", "c").figures["cluster"]) == {""}
    same = make_map(np.ones((200, 3), np.float32), [str(n) for n in range(200)], "dot", {}, ANALYZER)
    assert same.names == []
    without = make_map(vectors, names, "dot", {}, ANALYZER)
    assert without.names[0] == "cluster 1"
    empty = make_map(np.empty((0, 4), np.float32), [], "cosine", {}, ANALYZER)
    assert empty.points.shape == (0, 2)


def test_terms_that_distinguish_a_class_by_hand() -> None:
    classes = [["Vaccines and masks", "vaccine vaccine 2021", "vaccine doses"], ["masks in schools", "masks", "fever"]]
    weights = {
        "vaccine": 1 * math.log(1 / (3 / 6)),
        "dose": 1 / 3 * math.log((1 / 3) / (1 / 6)),
        "mask": 1 / 3 * math.log((1 / 3) / (3 / 6)),
    }
    assert sorted(weights, key=weights.__getitem__, reverse=True) == ["vaccine", "dose", "mask"]
    assert distinctive_terms(classes, ANALYZER, 5)[0] == ["vaccine", "doses", "masks"]
    assert distinctive_terms(classes, ANALYZER, 1)[1] == ["fever"], "ahead of masks, which are in both"
    assert distinctive_terms([[], []], ANALYZER) == [[], []]


@pytest.mark.parametrize("similarity", ["cosine", "dot"])
def test_neighbours_are_the_most_similar_documents_without_itself(three, similarity: str) -> None:
    vectors, _, _ = three
    rows = vectors / np.linalg.norm(vectors, axis=1, keepdims=True) if similarity == "cosine" else vectors
    expected = np.argsort(-(rows @ rows[7]), kind="stable")
    expected = expected[expected != 7][:5]
    found = neighbours(vectors, similarity, 7, 5)
    assert [place for place, _ in found] == expected.tolist()
    assert [value for _, value in found] == pytest.approx((rows @ rows[7])[expected].tolist(), rel=1e-5)
    assert len(neighbours(vectors[:3], similarity, 0, 10)) == 2


def test_a_query_that_is_a_documents_vector_has_the_documents_point(three) -> None:
    vectors, names, texts = three
    mapped = make_map(vectors, names, "cosine", texts, ANALYZER)
    assert mapped.projection.points(3 * vectors[7:8])[0] == pytest.approx(mapped.points[7], abs=1e-5)


def test_the_figures_of_the_sample() -> None:
    results = Results(*saved_profile(Workspace(CHECKOUT / "artifacts"), "sample"))
    table = document_clusters(results).figures
    assert table["documents"].sum() == results.facts["documents"]
    document = str(table["document"].iloc[0])
    assert document not in set(document_neighbours(results, document=document).figures["document"])
    for options in ({}, {"document": "x", "query": "y"}, {"document": "nobody"}, {"query": "y", "system": "bm25"}):
        with pytest.raises(UserError):
            document_neighbours(results, **options)
