"""Quality of predicted queries: worked by hand, and as an artifact."""

import json

import numpy as np
import pytest
from stages import make

from core import doc2query as doc2query_command
from core.formats.triples import read_triples, split_by_query
from core.retrieval.analyzer import Analyzer
from core.training.query_quality import measure
from core.workspace.artifacts import read_manifest
from core.workspace.profile import AnalyzerSettings, Profile


def longest_common_subsequence(a, b):
    lengths = np.zeros((len(a) + 1, len(b) + 1), dtype=int)
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            lengths[i + 1, j + 1] = lengths[i, j] + 1 if x == y else max(lengths[i, j + 1], lengths[i + 1, j])
    return int(lengths[-1, -1])


def rouge_l(query, written):
    a, b = query.split(), written.split()
    return 2 * longest_common_subsequence(a, b) / (len(a) + len(b))


def test_the_figures_by_hand():
    passages = ["masks slow the spread", "bats eat fruit"]
    real = ["do masks help", "what do bats eat"]
    predicted = [["do masks help", "why masks", "Why masks"], ["what do bats eat", "what bats eat at night", "fruit"]]
    analyzer = Analyzer(AnalyzerSettings(stop_words="short", stemmer="none"))
    figures, rouge = measure(passages, real, predicted, analyzer)
    expected = [[rouge_l(q, w.lower()) for w in own] for q, own in zip(real, predicted, strict=True)]
    assert [pytest.approx(own) for own in expected] == rouge
    assert rouge[1][1] == pytest.approx(2 * 3 / (4 + 5)), "what bats eat, in this order"
    assert figures.rouge_l == pytest.approx(np.mean(np.mean(expected, axis=1)))
    assert figures.best_rouge_l == 1.0
    assert figures.exact == 1.0
    assert figures.repeats == pytest.approx(1 / 6), "letter case aside"
    # do, help; why; why | what, do; what, night; none: of 3 + 2 + 2 + 4 + 4 + 1 terms ("at" is a stop word)
    assert figures.new_terms == pytest.approx(8 / 16)
    assert figures.words == pytest.approx((3 + 2 + 2 + 4 + 5 + 1) / 6)


def test_queries_of_held_out_passages_alone_are_measured(tiny_t5, tmp_path, workspace):
    path = tmp_path / "triples.tsv"
    path.write_text("".join(f"which fruit {n}\tbats and fruit {n}\tmasks\n" for n in range(60)))
    doc2query = {"model": str(tiny_t5), "queries": 3, "top_k": 5, "max_query_tokens": 8, "max_document_tokens": 16}
    profile = Profile(collection={"name": "tiny"}, triples={"held_out": 0.3}, doc2query=doc2query, system=[])
    folder = make(doc2query_command.QUALITY, profile, workspace.collection("tiny"), triples=path)
    lines = [json.loads(line) for line in (folder / "examples.jsonl").read_text().splitlines()]
    _, held_out = split_by_query(read_triples(path), 0.3)
    assert {line["query"] for line in lines} == {triple.query for triple in held_out}
    facts = read_manifest(folder).facts
    assert facts["passages"] == len(lines) == len(held_out)
    means = [np.mean(line["rouge_l"]) for line in lines]
    assert means == sorted(means, reverse=True)
    assert facts["rouge_l"] == pytest.approx(np.mean(means), abs=1e-3)
    assert all(len(line["predicted"]) == 3 for line in lines)
