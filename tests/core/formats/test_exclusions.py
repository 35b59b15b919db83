"""Documents that are left out for a topic: by BEIR's rule, the topic's own; and by lists, as BRIGHT has them.

The right values are by hand, and by pytrec_eval after the five lines that BEIR's EvaluateRetrieval.evaluate drops
identical ids with.
"""

import copy
import json

import numpy as np
import pandas as pd
import pytest
import pytrec_eval
from hypothesis import given
from hypothesis import strategies as st

from core import collection as collection_stage
from core.build import run_build
from core.derive import derive
from core.evaluate import main as evaluate_main
from core.evaluation.ann_sweep import search_without
from core.formats.exclusions import built_exclusions, left_out, read_excluded, together, without
from core.formats.runs import built_run
from core.formats.sources import read_collection
from core.import_runs import import_runs
from core.indexes.exact import ExactIndex
from core.workspace.artifacts import read_manifest
from core.workspace.errors import UserError
from core.workspace.profile import Profile, read_profile
from core.workspace.stage import Build
from core.workspace.workspace import CHECKOUT, Workspace

# Two arguments and the counter-argument of each; every text is a topic, too, and its counter-argument is relevant.
ARGUMENTS = {"a1": "alpha beta gamma", "a2": "delta epsilon zeta"}
COUNTERS = {"c1": "alpha beta gamma not", "c2": "delta epsilon zeta not"}
CORPUS = ARGUMENTS | COUNTERS
QRELS = {"a1": {"c1": 1}, "a2": {"c2": 1}}


def by_beir(qrels, results, measure="ndcg_cut_10"):
    """Evaluate as beir.retrieval.evaluation.EvaluateRetrieval.evaluate(..., ignore_identical_ids=True) does."""
    results = copy.deepcopy(results)
    for qid, rels in results.items():
        for pid in list(rels):
            if qid == pid:
                results[qid].pop(pid)
    found = pytrec_eval.RelevanceEvaluator(qrels, {"ndcg_cut.10"}).evaluate({t: by for t, by in results.items() if by})
    return {topic: found[topic][measure] if topic in found else 0.0 for topic in qrels}


def write(folder, corpus=CORPUS, topics=ARGUMENTS, qrels=QRELS, more=None, excluded=None):
    (folder / "qrels").mkdir(parents=True, exist_ok=True)
    corpus = [{"_id": name, "text": text} for name, text in corpus.items()]
    queries = [{"_id": name, "text": text} | (more or {}).get(name, {}) for name, text in topics.items()]
    for file, entries in (("corpus", corpus), ("queries", queries)):
        (folder / f"{file}.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    lines = [f"{topic}\t{name}\t{grade}\n" for topic, by in qrels.items() for name, grade in by.items()]
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + "".join(lines))
    if excluded is not None:
        (folder / "excluded.tsv").write_text(excluded)
    return folder


def profile_of(source, encoder=None, depth=2, **settings):
    systems = [{"name": "bm25", "kind": "bm25"}]
    if encoder:
        systems += [{"name": "dense", "kind": "dense", "model": str(encoder)}]
    table = {"collection": {"name": "args", "source": str(source)} | settings, "system": systems, "depth": depth}
    return Profile.model_validate(table | {"ann": {"index": [{"kind": "hnsw", "values": [10]}], "repeats": 1}})


def built(profile, workspace):
    folder = workspace.collection(profile.collection.name)
    outcomes = run_build(Build(profile, folder, "cpu"), say=lambda line: None)
    return folder, {f"{o.step.stage.name} {o.step.artifact.name}": o.result for o in outcomes}


def values(folder, measure="nDCG@10"):
    table = pd.read_csv(folder / "measures" / "measures.csv", dtype={"topic": str})
    table = table[table["measure"] == measure]
    return {name: dict(zip(rows["topic"], rows["value"], strict=True)) for name, rows in table.groupby("system")}


def test_the_own_document_of_a_topic_is_left_out_everywhere(workspace, encoder, tmp_path, command, capfd):
    source = write(tmp_path / "args")
    folder, results = built(profile_of(source, encoder, depth=3), workspace)
    assert set(results.values()) == {"made"}, results
    assert "2 topics have the id of a document (2 also have its text)" in capfd.readouterr().err
    # By hand: the counter-argument is first, 1 / log2(2) of an ideal of 1; with the argument kept it is second, 0.6309.
    assert values(folder)["bm25"] == {"a1": 1.0, "a2": 1.0}
    whole = {"a1": {"a1": 2.0, "c1": 1.0}, "a2": {"a2": 2.0, "c2": 1.0}}
    assert by_beir(QRELS, whole) == values(folder)["bm25"]
    run = built_run(folder, "dense")
    for topic, found in run.scores.items():
        assert topic not in found
        assert len(found) == 3, "as deep as the profile says"
    assert values(folder)["dense"] == pytest.approx(by_beir(QRELS, run.scores))
    agreement = pd.read_csv(folder / "measures" / "sentence_transformers.csv")
    assert len(agreement)
    assert agreement["ours"].to_numpy() == pytest.approx(agreement["sentence_transformers"].to_numpy(), abs=1e-9)
    sweep = pd.read_csv(folder / "ann" / "dense" / "sweep.csv")
    assert sweep["nDCG@10"].tolist() == pytest.approx([np.mean(list(values(folder)["dense"].values()))] * 2)
    assert sweep["recall@10"].tolist() == [1.0, 1.0]


def test_the_setting_keeps_it_and_a_change_makes_runs_and_measures_anew(workspace, tmp_path):
    source = write(tmp_path / "args")
    folder, _ = built(profile_of(source, ignore_identical_ids=False), workspace)
    assert values(folder)["bm25"] == pytest.approx(dict.fromkeys(QRELS, 1 / np.log2(3)))
    assert not (folder / "collection" / "excluded.tsv").exists()
    folder, results = built(profile_of(source), workspace)
    assert results == {"collection collection": "made", "bm25 bm25": "up to date", "search bm25": "made"} | {
        "evaluate measures": "made"
    }
    assert values(folder)["bm25"] == {"a1": 1.0, "a2": 1.0}
    assert set(built(profile_of(source), workspace)[1].values()) == {"up to date"}


LISTS = {
    "a file": {"excluded": "query-id\tcorpus-id\na1\tc2\na1\ta2\n"},
    "a file without its header": {"excluded": "a1 c2\na1 a2\n"},
    "BRIGHT's list": {"more": {"a1": {"excluded_ids": ["c2", "a2"]}, "a2": {"excluded_ids": ["N/A"]}}},
    "a list in the metadata": {"more": {"a1": {"metadata": {"excluded_ids": ["c2", "a2"]}}}},
    "a list and a file": {"more": {"a1": {"excluded_ids": ["c2"]}}, "excluded": "a1\ta2\n"},
}


@pytest.mark.parametrize("name", LISTS)
def test_lists_of_excluded_documents_are_part_of_the_collection(name, workspace, tmp_path):
    topics = {"a1": "alpha delta", "a2": "delta epsilon"}
    source = write(tmp_path / "args", topics=topics, **LISTS[name])
    folder, _ = built(profile_of(source, ignore_identical_ids=False), workspace)
    assert built_exclusions(folder) == {"a1": {"c2", "a2"}}
    assert read_collection(source, profile_of(source, ignore_identical_ids=False).collection).excluded == {
        "a1": {"c2", "a2"}
    }
    found = built_run(folder, "bm25").scores
    assert set(found["a1"]) == {"a1", "c1"}
    assert set(found["a2"]) == {"a2", "c2"}
    assert (folder / "collection" / "excluded.tsv").read_text() == "query-id\tcorpus-id\na1\ta2\na1\tc2\n"


def test_another_list_makes_the_runs_anew(workspace, tmp_path):
    source = write(tmp_path / "args", excluded="a1\tc2\n")
    built(profile_of(source), workspace)
    (source / "excluded.tsv").write_text("a1\tc1\n")
    folder, results = built(profile_of(source), workspace)
    assert (results["search bm25"], results["evaluate measures"], results["bm25 bm25"]) == (
        "made",
        "made",
        "up to date",
    )
    assert values(folder)["bm25"] == {"a1": 0.0, "a2": 1.0}, "c1 stays in the ideal list"


BAD = {
    "three columns": ({"excluded": "a1\tc1\t1\n"}, "excluded.tsv, line 1: 3 columns"),
    "a topic that is not there": ({"excluded": "a1\tc1\nx\tc1\n"}, "excluded.tsv: queries.jsonl has no topic x"),
    "a list that is a text": ({"more": {"a2": {"excluded_ids": "c1"}}}, 'queries.jsonl, line 2: "excluded_ids"'),
    "an id that is no id": ({"more": {"a2": {"excluded_ids": ["c 1"]}}}, 'queries.jsonl, line 2: "excluded_ids"'),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_list_is_refused_with_file_and_line(name, tmp_path, workspace, command):
    options, where = BAD[name]
    outcome = command(collection_stage.main, "--collection", write(tmp_path / "args", **options))
    assert outcome.refused_with(where), outcome


def test_topics_without_a_document_of_their_id_are_as_before(beir_folder, workspace, capfd):
    profile = Profile(collection={"name": "tiny", "source": str(beir_folder())}, system=[{"name": "b", "kind": "bm25"}])
    folder, _ = built(profile, workspace)
    assert "excluded.tsv" not in read_manifest(folder / "collection").files
    assert set(read_manifest(folder / "runs" / "b").inputs) == {"queries.jsonl", "bm25"}
    assert "id of a document" not in capfd.readouterr().err


def test_ids_that_are_equal_by_chance_and_judged_are_told(tmp_path, workspace, command):
    numbers = {"1": "alpha", "2": "beta", "3": "gamma"}
    source = write(tmp_path / "n", corpus=numbers, topics={"1": "beta"}, qrels={"1": {"1": 1, "2": 2}})
    outcome = command(collection_stage.main, "--collection", source)
    assert "1 topics have the id of a document (0 also have its text)" in outcome.err
    assert "ignore_identical_ids = false" in outcome.err
    assert "1 of the excluded documents are judged relevant" in outcome.err


RUN = "a1 Q0 a1 1 3.0 t\na1 Q0 c1 2 2.0 t\na2 Q0 a2 1 3.0 t\na2 Q0 c2 2 2.0 t\n"


def test_an_imported_run_is_kept_whole_and_evaluated_without(workspace, tmp_path, command):
    (tmp_path / "team.run").write_text(RUN)
    folder, _ = built(profile_of(write(tmp_path / "args")), workspace)
    import_runs(workspace.collection("args"), [tmp_path / "team.run"])
    assert values(folder)["team"] == {"a1": 1.0, "a2": 1.0}
    assert "team Q0" not in (folder / "runs" / "team" / "run.trec").read_text()
    assert "a1 Q0 a1 1" in (folder / "runs" / "team" / "run.trec").read_text()
    run = built_run(folder, "team")
    assert (run.scores, run.left_out) == ({"a1": {"c1": 2.0}, "a2": {"c2": 2.0}}, {"a1": {"a1"}, "a2": {"a2"}})
    assert "hits excluded from the evaluation: 2" in read_manifest(folder / "runs" / "team").facts["notices"][0]
    folder, _ = built(profile_of(tmp_path / "args", ignore_identical_ids=False), workspace)
    assert values(folder)["team"] == pytest.approx(dict.fromkeys(QRELS, 1 / np.log2(3)))


def test_runs_alone_with_their_judgments(workspace, tmp_path, command):
    (tmp_path / "team.run").write_text(RUN)
    (tmp_path / "q.txt").write_text("a1 0 c1 1\na2 0 c2 1\n")
    folder = workspace.collection("alone")
    import_runs(folder, [tmp_path / "team.run"], tmp_path / "q.txt")
    assert values(folder)["team"] == {"a1": 1.0, "a2": 1.0}
    derived = derive(workspace, "alone", "again", tmp_path / "q.txt")
    assert values(derived)["team"] == {"a1": 1.0, "a2": 1.0}
    assert built_exclusions(derived) == built_exclusions(folder)
    kept = workspace.collection("kept")
    import_runs(kept, [tmp_path / "team.run"], tmp_path / "q.txt", ignore_identical_ids=False)
    assert values(kept)["team"] == pytest.approx(dict.fromkeys(QRELS, 1 / np.log2(3)))


def test_the_command_line_leaves_out_what_the_page_does(workspace, tmp_path, command):
    (tmp_path / "team.run").write_text(RUN)
    (tmp_path / "q.txt").write_text("a1 0 c1 1\na2 0 c2 1\n")
    (tmp_path / "x.tsv").write_text("a1\tc1\n")
    arguments = (tmp_path / "team.run", "--qrels", tmp_path / "q.txt", "--measures", "nDCG@10", "--json")

    def ndcg(*more):
        outcome = command(evaluate_main, *arguments, *more)
        return json.loads(outcome.out)["team"]["nDCG@10"], outcome.err

    found, said = ndcg()
    assert found == 1.0
    assert "team: hits excluded from the evaluation: 2, in 2 topics" in said
    assert ndcg("--keep-identical-ids")[0] == pytest.approx(1 / np.log2(3))
    assert ndcg("--excluded", tmp_path / "x.tsv")[0] == 0.5


ids = st.sampled_from(["1", "2", "3", "d"])
runs = st.dictionaries(ids, st.dictionaries(ids, st.integers(0, 3).map(float), min_size=1), max_size=3)


@given(run=runs, qrels=st.dictionaries(ids, st.dictionaries(ids, st.integers(0, 2), min_size=1), min_size=1))
def test_any_run_is_measured_as_by_beir(run, qrels):
    from core.evaluation.measures import evaluate

    found = left_out(run, {topic: {topic} for topic in qrels})
    assert evaluate(without(run, found), qrels, ["nDCG@10"])["nDCG@10"] == pytest.approx(by_beir(qrels, run))


@given(st.integers(0, 10**6), st.lists(st.sets(st.integers(0, 11)), min_size=3, max_size=3), st.integers(1, 12))
def test_exact_search_without_some_documents_is_a_search_of_the_others(seed, excluded, k):
    generator = np.random.default_rng(seed)
    vectors, queries = generator.normal(size=(12, 4)).astype(np.float32), generator.normal(size=(3, 4))
    index = ExactIndex("dot")
    index.build(vectors)
    positions, similarities = search_without(index, queries.astype(np.float32), k, excluded)
    for row, own in enumerate(excluded):
        scores = vectors @ queries[row].astype(np.float32)
        right = [i for i in np.argsort(-scores, kind="stable").tolist() if i not in own][:k]
        assert positions[row].tolist() == right + [-1] * (k - len(right))
        assert similarities[row, : len(right)] == pytest.approx(scores[right], abs=1e-5)


def test_a_run_of_excluded_documents_alone_retrieved_nothing():
    assert without({"1": {"1": 2.0}, "2": {}}, {"1": {"1"}}) == {"2": {}}
    assert together({"1": {"a"}}, {"1": {"b"}, "2": {"c"}}) == {"1": {"a", "b"}, "2": {"c"}}


def test_an_old_profile_without_the_setting_is_read_and_the_sample_stays_fresh(tmp_path):
    old = {"collection": {"name": "x", "source": "embedded"}, "system": []}
    (tmp_path / "profile.json").write_text(json.dumps(old))
    assert read_profile(str(tmp_path / "profile.json")).collection.ignore_identical_ids
    profile, folder = read_profile("sample"), Workspace(CHECKOUT / "artifacts").collection("sample")
    build = Build(profile, folder)
    assert collection_stage.settings(build, profile.collection) == read_manifest(folder.collection).settings


def test_a_file_of_excluded_documents_is_read_plain(tmp_path):
    (tmp_path / "x.tsv").write_text("query-id\tcorpus-id\n1\ta\n\n1\tb\n")
    assert read_excluded(tmp_path / "x.tsv") == {"1": {"a", "b"}}
    with pytest.raises(UserError, match="no such file"):
        read_excluded(tmp_path / "y.tsv")
