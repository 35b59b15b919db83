"""The curve over the number of predicted queries, against BM25 by its formula, pytrec_eval and scipy."""

import json
import math
import random
from collections import Counter

import pytest
import pytrec_eval
from scipy import stats
from stages import make

from core import collection, doc2query
from core.artifact_list import inventory
from core.evaluation import expansion_curve
from core.evaluation.expansion_curve import curve_figures, curve_table, label, read_curve, variants
from core.evaluation.freshness import changes
from core.formats.predicted_queries import SCORES_FILE, write_by_document, write_expansions
from core.retrieval.analyzer import Analyzer
from core.workspace.artifacts import read_manifest, writing
from core.workspace.errors import UserError
from core.workspace.profile import Profile

TOPICS = {str(number): f"topic{number} shared" for number in range(4)}


def made_up(words):
    """Return documents, four queries for most of them with scores, and judgments."""
    chance = random.Random(11)
    documents = {f"d{number}": " ".join(chance.choices(words[:30], k=6)) for number in range(24)}
    terms = [*["topic0", "topic1", "topic2", "topic3", "shared"], *words[:10]]
    queries = {name: [" ".join(chance.choices(terms, k=3)) for _ in range(4)] for name in documents}
    queries["d3"], queries["d5"] = [], queries["d5"][:1]
    scores = {name: [round(chance.random(), 5) for _ in own] for name, own in queries.items()}
    qrels = {topic: {name: chance.randint(0, 2) for name in chance.sample(list(documents), 9)} for topic in TOPICS}
    return documents, queries, scores, qrels


@pytest.fixture
def built(words, beir_folder, workspace):
    documents, queries, scores, qrels = made_up(words)
    documents["d0"] += " topic0 shared"
    lines = [f"{t}\t{name}\t{grade}" for t, by in qrels.items() for name, grade in by.items()]
    source = beir_folder(
        {
            "corpus.jsonl": "".join(json.dumps({"_id": n, "text": t}) + "\n" for n, t in documents.items()),
            "queries.jsonl": "".join(json.dumps({"_id": n, "text": t}) + "\n" for n, t in TOPICS.items()),
            "qrels/test.tsv": "query-id\tcorpus-id\tscore\n" + "\n".join(lines) + "\n",
        }
    )
    expansion = {"queries": 2, "keep": 0.5}
    profile = Profile(
        collection={"name": "tiny", "source": str(source)},
        bm25={"k1": 1.2, "b": 0.7},
        system=[
            {"name": "bm25", "kind": "bm25"},
            {"name": "expanded", "kind": "bm25", "expanded": True, "expansion": expansion},
        ],
    )
    folder = workspace.collection("tiny")
    make(collection.STAGE, profile, folder)
    predict(folder, queries)
    return profile, folder, documents, queries, scores, qrels


def predict(folder, queries):
    with writing(folder.predicted_queries, "doc2query generate", {"queries": 4}, {}) as partial:
        write_expansions(partial, queries)


def score(folder, scores):
    inputs = {"doc2query": read_manifest(folder.predicted_queries).digest}
    with writing(folder.query_scores, "doc2query score", {"scorer": "dense"}, inputs) as partial:
        write_by_document(partial / SCORES_FILE, "scores", scores)


def by_formula(profile, documents, qrels):
    """Return nDCG@10 and R@100 by topic of BM25 over texts, by the formula in core/retrieval/bm25.py."""
    tokens = Analyzer(profile.analyzer).tokens
    texts = {name: Counter(tokens(text)) for name, text in documents.items()}
    lengths = {name: sum(counts.values()) for name, counts in texts.items()}
    average = sum(lengths.values()) / len(lengths)
    k1, b = profile.bm25.k1, profile.bm25.b
    run = {}
    for topic, question in TOPICS.items():
        run[topic] = {}
        for name, counts in texts.items():
            total = 0.0
            for term in tokens(question):
                n = sum(term in other for other in texts.values())
                idf = math.log(1 + (len(texts) - n + 0.5) / (n + 0.5))
                total += idf * counts[term] / (counts[term] + k1 * (1 - b + b * lengths[name] / average))
            if total > 0:
                run[topic][name] = total
    # In the order of the collection where scores are equal, as in the runs of a build.
    order = {name: place for place, name in enumerate(documents)}
    ranked = {t: sorted(by, key=lambda name: (-round(by[name], 6), order[name])) for t, by in run.items()}
    scored = {t: {name: float(-rank) for rank, name in enumerate(names)} for t, names in ranked.items()}
    found = pytrec_eval.RelevanceEvaluator(qrels, {"ndcg_cut.10", "recall.100"}).evaluate(
        {t: by for t, by in scored.items() if by}
    )
    return {
        name: {topic: found[topic][key] if topic in found else 0.0 for topic in TOPICS}
        for name, key in (("nDCG@10", "ndcg_cut_10"), ("R@100", "recall_100"))
    }


def test_each_variant_is_bm25_over_documents_with_these_queries_appended(built):
    profile, folder, documents, queries, scores, qrels = built
    score(folder, scores)
    make(doc2query.CURVE, profile, folder)
    values = read_curve(folder)
    assert list(values) == [(0, 1.0), (1, 1.0), (2, 1.0), (4, 1.0), (1, 0.5), (2, 0.5), (4, 0.5)]
    for (number, keep), found in values.items():
        first = [value for own in scores.values() for value in own[:number]]
        median = sorted(first)[len(first) // 2] if first else 0.0  # an even number of candidates
        texts = {}
        for name, text in documents.items():
            pairs = list(zip(queries[name], scores[name], strict=True))[:number]
            kept = [query for query, value in pairs if keep == 1 or value >= median]
            texts[name] = " ".join([text, *kept])
        expected = by_formula(profile, texts, qrels)
        for measure in expected:
            assert found[measure] == pytest.approx(expected[measure], abs=1e-9), (number, keep, measure)
    assert values[2, 1.0]["nDCG@10"] != values[0, 1.0]["nDCG@10"]


def test_the_table_compares_each_variant_with_no_queries(built):
    profile, folder, *_ = built
    make(doc2query.CURVE, profile, folder)
    values = read_curve(folder)
    assert [label(variant) for variant in values] == ["0", "1", "2", "4"], "without scores nothing is filtered"
    table = curve_table(values, "nDCG@10", "tiny")
    assert list(table.shown.columns) == [
        "nDCG@10",
        "difference",
        "95 % CI of difference",
        "p, randomisation test (Holm-adjusted)",
        "R@100",
        "Judged@10",
    ]
    topics = list(TOPICS)
    none, four = ([values[n, 1.0]["nDCG@10"][topic] for topic in topics] for n in (0, 4))
    low, high = stats.ttest_rel(four, none).confidence_interval(0.95)
    row = curve_figures(values, "nDCG@10").loc["4"]
    assert (row["difference low"], row["difference high"]) == pytest.approx((low, high))
    exact = stats.permutation_test((four, none), lambda x, y, axis: (x - y).mean(axis), permutation_type="samples")
    assert row["p randomisation"] == pytest.approx(exact.pvalue)
    assert "nDCG@10" in table.sentences[0]
    with pytest.raises(UserError, match=r"the curve has no AP; use one of nDCG@10, R@100, Judged@10"):
        curve_figures(values, "AP")


def test_other_queries_or_new_scores_make_it_stale(built):
    profile, folder, _, queries, scores, _ = built
    assert "doc2query-curve" not in [entry.stage for entry in inventory(profile, folder)], "no build makes it"
    make(doc2query.CURVE, profile, folder)

    def entry():
        return next(entry for entry in inventory(profile, folder) if entry.stage == "doc2query-curve")

    assert entry().state == "up to date"
    assert entry().command == "python -m core.doc2query curve --profile artifacts/tiny/profile.json"
    score(folder, scores)
    assert "its input doc2query-scores changed" in entry().reason
    predict(folder, queries | {"d3": ["topic3"]})
    assert entry().reason == "its input doc2query changed"
    assert changes(folder, "doc2query-curve") == ["predicted queries"]
    make(doc2query.CURVE, profile, folder)
    assert len(read_curve(folder)) == 4, "scores of other queries filter nothing"


def test_an_interrupted_measurement_resumes_after_the_finished_variants(built, monkeypatch):
    profile, folder, *_ = built
    made = make(doc2query.CURVE, profile, folder)
    expected = (made / "curve.csv").read_bytes()
    measure, numbers = expansion_curve.bm25_values, []

    def interrupted(*arguments):
        expansion = arguments[-1]
        numbers.append(expansion.queries if expansion else 0)
        if len(numbers) == 3:
            raise KeyboardInterrupt
        return measure(*arguments)

    monkeypatch.setattr(expansion_curve, "bm25_values", interrupted)
    with pytest.raises(KeyboardInterrupt):
        make(doc2query.CURVE, profile, folder)
    make(doc2query.CURVE, profile, folder)
    assert numbers == [0, 1, 2, 2, 4]
    assert (folder.expansion_curve / "curve.csv").read_bytes() == expected


def test_it_says_beforehand_how_long_it_takes(built, capsys):
    profile, folder, *_ = built
    make(doc2query.CURVE, profile, folder)
    assert "BM25 indexes" not in capsys.readouterr().err, "no index was timed yet"
    with writing(folder.bm25("expanded"), "bm25", {}, {}):
        pass
    manifest = json.loads((folder.bm25("expanded") / "manifest.json").read_text())
    del manifest["sha256"]
    (folder.bm25("expanded") / "manifest.json").write_text(json.dumps(manifest | {"seconds": 90}))
    make(doc2query.CURVE, profile, folder)
    assert "4 BM25 indexes, each as expanded's: about 6.0 minutes" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("most", "scored", "expected"),
    [
        (0, False, [(0, 1.0)]),
        (3, False, [(0, 1.0), (1, 1.0), (2, 1.0), (3, 1.0)]),
        (5, True, [(0, 1.0), (1, 1.0), (2, 1.0), (5, 1.0), (1, 0.5), (2, 0.5), (5, 0.5)]),
        (40, False, [(number, 1.0) for number in (0, 1, 2, 5, 10, 20, 40)]),
    ],
)
def test_the_numbers_end_with_that_of_all_queries(most, scored, expected):
    assert variants(most, scored) == expected
