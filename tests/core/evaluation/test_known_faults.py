"""What goes wrong in other tools that compare runs, each fault as a test that ours does not have it."""

import random

import numpy as np
import pytest
from scipy import stats
from stages import make

from core import collection
from core import evaluate as evaluate_command
from core.evaluation.cross_checks import ir_measures_values
from core.evaluation.measures import evaluate, interpolated_precision, mean
from core.evaluation.robustness import winner
from core.evaluation.significance import beaten, bootstrap_intervals, compare
from core.evaluation.unjudged import figures
from core.formats.runs import ranked, read_run
from core.workspace.artifacts import writing
from core.workspace.errors import UserError
from core.workspace.profile import CollectionSettings, Profile, SystemSettings

QRELS = {str(topic): {f"d{i}": (topic + i) % 3 for i in range(8)} for topic in range(1, 13)}
MEASURES = ["nDCG@5", "P@5", "R@5", "AP", "Bpref", "RR", "P(rel=2)@5"]


def make_run(seed):
    generator = np.random.default_rng(seed)
    return {topic: {f"d{i}": float(generator.random()) for i in range(8)} for topic in QRELS}


def shuffled(table, seed=1):
    items = list(table.items())
    random.Random(seed).shuffle(items)
    return dict(items)


def test_topics_are_paired_by_id_when_one_run_has_them_in_another_order():
    a, b = (evaluate(make_run(seed), QRELS, ["AP"])["AP"] for seed in (1, 2))
    turned = evaluate(shuffled(make_run(2)), shuffled(QRELS), ["AP"])["AP"]
    assert list(turned) != list(a)
    assert compare(a, turned) == compare(a, b)
    assert bootstrap_intervals({"a": a, "b": turned}) == bootstrap_intervals({"a": a, "b": b})
    by_place = stats.ttest_rel(list(a.values()), list(turned.values())).pvalue
    assert compare(a, turned).p_t_test != pytest.approx(by_place), "pairing by place would give another p"


def test_ties_follow_trec_evals_rule_wherever_ranks_are_used():
    run, qrels = {"1": {"a": 1.0, "c": 1.0, "b": 1.0}}, {"1": {"c": 1, "a": 0}}
    assert [document for document, _ in ranked(run["1"])] == ["c", "b", "a"]
    assert evaluate(run, qrels, ["RR", "P@1", "Judged@2"]) == {"RR": {"1": 1}, "P@1": {"1": 1}, "Judged@2": {"1": 0.5}}
    assert figures(["run"], lambda _: run, "run", qrels, 1)["run"]["nDCG"] == 1


def test_a_document_retrieved_twice_is_refused_with_its_line(tmp_path):
    path = tmp_path / "twice.run"
    path.write_text("1 Q0 d1 1 2.0 t\n1 Q0 d2 2 1.5 t\n1 Q0 d1 3 1.0 t\n")
    with pytest.raises(UserError, match="twice.run, line 3: document d1"):
        read_run(path)


def test_the_rank_is_that_of_the_score_and_a_rank_column_that_disagrees_is_said(tmp_path):
    path = tmp_path / "upside-down.run"
    path.write_text("1 Q0 d1 1 0.1 t\n1 Q0 d2 2 0.5 t\n1 Q0 d3 3 0.9 t\n")
    run = read_run(path)
    assert [document for document, _ in ranked(run.scores["1"])] == ["d3", "d2", "d1"]
    assert evaluate(run.scores, {"1": {"d3": 1}}, ["RR"])["RR"]["1"] == 1
    assert "rank column disagrees" in run.notices[0]


def test_a_topic_missing_in_one_run_counts_0_everywhere():
    whole, lacking = make_run(1), {topic: by for topic, by in make_run(1).items() if topic != "7"}
    full, found = evaluate(whole, QRELS, MEASURES), evaluate(lacking, QRELS, MEASURES)
    assert ir_measures_values(lacking, QRELS, MEASURES) == {m: pytest.approx(by) for m, by in found.items()}
    for measure in MEASURES:
        assert found[measure]["7"] == 0
        assert mean(found[measure]) == pytest.approx(mean(full[measure]) - full[measure]["7"] / len(QRELS))
    assert compare(full["AP"], found["AP"]).topics == len(QRELS)
    assert interpolated_precision(lacking, QRELS)["0.0"]["7"] == 0
    runs = {"lacking": lacking, "whole": whole}
    rows = figures(["lacking"], runs.__getitem__, "whole", QRELS, 5)
    assert rows["lacking"]["nDCG"] == pytest.approx(mean(found["nDCG@5"]))
    assert winner({"lacking": found["AP"], "whole": full["AP"]}).systems == ("whole",)


def test_a_system_that_never_ran_is_absent_and_not_0(workspace, beir_folder):

    systems = [SystemSettings(name=name, kind="run") for name in ("ran", "never-ran")]
    folder = workspace.collection("tiny")
    profile = Profile(collection=CollectionSettings(name="tiny", source=str(beir_folder())), system=systems)
    make(collection.STAGE, profile, folder)
    with writing(folder / "runs" / "ran", "import_runs", {}, {}) as partial:
        (partial / "run.trec").write_text("1 Q0 d2 1 1.0 t\n2 Q0 d2 1 1.0 t\n")
    text = (make(evaluate_command.STAGE, profile, folder) / "measures.csv").read_text()
    assert "never-ran" not in text
    assert ",ran,1,RR,0.0" in text, "one that ran and found nothing is 0"


def test_p_is_the_same_on_every_call_and_never_0():
    a = {topic: 0.9 + int(topic) / 1000 for topic in QRELS} | {f"x{i}": 0.95 for i in range(50)}
    b = {topic: 0.1 for topic in a}
    again = compare(a, b).p_randomisation
    found = {compare(a, b).p_randomisation for _ in range(3)} | {again}
    assert len(found) == 1
    assert found.pop() == pytest.approx(2 / 2**62), "all 62 signs, or none, turned"
    np.random.default_rng(5)
    np.random.seed(5)  # whatever else draws random numbers
    assert compare(a, b).p_randomisation == again
    assert beaten({"a": a, "b": b}, "randomisation") == {"a": ["b"], "b": []}


def test_nothing_is_rounded_before_a_test():
    # every difference is below four decimals: rounded, the systems were equal
    a = {topic: 0.5 + 4e-5 + int(topic) * 1e-7 for topic in QRELS}
    b = {topic: 0.5 for topic in QRELS}
    assert {round(value, 4) for value in a.values()} == {0.5}
    found = compare(a, b)
    assert (found.wins, found.ties) == (12, 0)
    assert found.p_t_test < 1e-9
    assert found.p_randomisation == 2 / 2**12


def test_ndcg_is_at_most_1_and_sees_the_order():
    qrels = {"1": {"a": 2, "b": 1, "c": 0, "not retrieved": 1}}
    orders = [("a", "b", "c"), ("b", "a", "c"), ("c", "b", "a")]
    runs = [{"1": {document: -float(rank) for rank, document in enumerate(order)}} for order in orders]
    values = [evaluate(run, qrels, ["nDCG@2"])["nDCG@2"]["1"] for run in runs]
    assert values == sorted(values, reverse=True)
    assert values[0] == 1
    assert len(set(values)) == 3
    for seed in range(20):
        assert max(evaluate(make_run(seed), QRELS, ["nDCG@10"])["nDCG@10"].values()) <= 1 + 1e-12
