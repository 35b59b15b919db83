"""Published figures: of which collections, and that the same systems built here are near them."""

import pytest

from core.evaluation.published import published_figures

SCIFACT = {"documents": 5183, "topics": 300, "judgments": 339}
TREC_COVID = {"documents": 171332, "topics": 50, "judgments": 66334}


def test_whole_collections_have_published_figures_each_with_its_source():
    for facts in (SCIFACT, TREC_COVID, TREC_COVID | {"documents": 0}):
        figures = published_figures(facts)
        assert {"all-MiniLM-L6-v2", "BM25, one field (Anserini)"} <= {figure.system for figure in figures}
        assert all(figure.source and 0 < figure.measures["nDCG@10"] < 1 for figure in figures)


@pytest.mark.parametrize(
    "facts",
    [
        SCIFACT | {"documents": 5000},
        TREC_COVID | {"topics": 49},
        TREC_COVID | {"judgments": 14427},
        {"documents": 777, "topics": 48, "judgments": 2450},
        {},
    ],
)
def test_a_cut_or_other_collection_has_none(facts):
    assert published_figures(facts) == []


def test_figures_differ_by_collection():
    by_name = {figure.system: figure.measures for figure in published_figures(SCIFACT)}
    assert by_name["all-MiniLM-L6-v2"] == {"nDCG@10": 0.6451, "R@100": 0.925}
