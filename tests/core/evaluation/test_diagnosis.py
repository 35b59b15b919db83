"""Why a figure differs: planted differences, of which the diagnosis names the cause."""

from dataclasses import replace

import pytest

from core import compare, diagnose
from core.evaluation.diagnosis import Case, parse_published
from core.evaluation.diagnosis import diagnose as diagnosed
from core.evaluation.diagnosis_bm25 import ANSERINI, Bm25Searcher, published_configuration
from core.evaluation.diagnosis_changes import Evaluated
from core.evaluation.diagnosis_tables import FILE, as_table, closing, diagnosis_table, read_diagnosis, write
from core.formats.collections import read_built_collection
from core.formats.runs import first_ranked, ranked
from core.workspace.artifacts import writing
from core.workspace.errors import UserError
from core.workspace.workspace import CHECKOUT, Workspace

MEASURES = ["nDCG@10", "R@100"]
DOCUMENTS = 240
SEARCHED = {}
"""Runs by configuration: the same ones are searched for every planted difference."""
AS_PUBLISHED = published_configuration(ANSERINI)


class Remembering(Bm25Searcher):
    """Searches with each configuration once."""

    def search(self, configuration):
        key = repr(sorted(configuration.items()))
        if key not in SEARCHED:
            SEARCHED[key] = super().search(configuration)
        return SEARCHED[key]


def means(scores, qrels, measures):
    return Evaluated(scores, qrels, {}).means(list(measures))


@pytest.fixture(scope="module")
def published():
    """Return a case whose run is that of the published configuration, on part of the embedded sample."""
    collection = read_built_collection(Workspace(CHECKOUT / "artifacts").collection("sample"))
    documents = list(collection.documents)[:DOCUMENTS]
    kept = {document.id for document in documents}
    qrels = {t: {d: grade for d, grade in by.items() if d in kept} for t, by in collection.qrels.items()}
    qrels = {t: by for t, by in qrels.items() if by and max(by.values()) > 0}
    topics = {topic.id: topic for topic in collection.topics if topic.id in qrels}
    searcher = Remembering(documents, topics, AS_PUBLISHED, AS_PUBLISHED, known=False)
    return Case(searcher.search(AS_PUBLISHED), qrels, searcher=searcher)


def searched(case, planted, known):
    """Return the case with a run of another configuration, which is known or not."""
    of = case.searcher
    start = planted if known else AS_PUBLISHED
    searcher = Remembering(of.documents, of.topics, start, AS_PUBLISHED, known)
    return replace(case, scores=of.search(planted), searcher=searcher)


SEARCHES = {
    "fields": "two",
    "k1 and b": (1.5, 0.75),
    "stop words": "long",
    "stemmer": "none",
    "indexed text": "title",
    "topic field": "query",
}
TOGETHER = [
    ("stemmer", "topic field"),
    ("topic field", "indexed text"),
    ("fields", "stop words"),
]
KNOWN = pytest.mark.parametrize("known", [False, True], ids=["a run of unknown origin", "a system built here"])


def named_first(case, goal):
    """Return the causes that are named first."""
    found = diagnosed(case, goal)
    table = as_table(found.trials)
    named = closing(table, max(abs(goal[name] - found.mine[name]) for name in goal))
    return set(named.index[0].split(" + ")) if len(named) else set()


@KNOWN
@pytest.mark.parametrize("cause", SEARCHES)
def test_a_planted_difference_of_the_search_is_named(cause, known, published):
    goal = means(published.scores, published.qrels, MEASURES)
    case = searched(published, {**AS_PUBLISHED, cause: SEARCHES[cause]}, known)
    assert named_first(case, goal) == {cause}


@KNOWN
@pytest.mark.parametrize("causes", TOGETHER, ids=" and ".join)
def test_two_planted_differences_of_the_search_are_named_together(causes, known, published):
    goal = means(published.scores, published.qrels, MEASURES)
    case = searched(published, AS_PUBLISHED | {cause: SEARCHES[cause] for cause in causes}, known)
    assert named_first(case, goal) == set(causes)


def test_two_differences_are_named_where_the_published_settings_are_not_known(published):
    goal = means(published.scores, published.qrels, MEASURES)
    case = searched(published, AS_PUBLISHED | {"indexed text": "title", "fields": "two"}, True)
    case.searcher.published = None
    assert named_first(case, goal) == {"indexed text", "fields"}


@KNOWN
def test_a_difference_of_the_search_and_one_of_the_evaluation_are_both_named(known, published):
    goal = means(published.scores, binary(published.qrels), MEASURES)
    case = searched(published, AS_PUBLISHED | {"indexed text": "title"}, known)
    found = diagnosed(case, goal)
    said = " ".join(diagnosis_table("BM25", "a paper", found.mine, goal, as_table(found.trials)).sentences)
    assert "indexed text" in said
    assert "gains" in said


def test_what_there_is_no_time_for_is_said(published):
    goal = means(published.scores, published.qrels, MEASURES)
    case = searched(published, AS_PUBLISHED | {"indexed text": "title", "fields": "two"}, True)
    case.searcher.published = None
    found = diagnosed(case, goal, seconds=0)
    said = diagnosis_table("BM25", "a paper", found.mine, goal, as_table(found.trials), found.not_tried).sentences
    assert "indexed text + fields" in " ".join(found.not_tried) or "fields + indexed text" in " ".join(found.not_tried)
    assert said[-1].startswith("Not tried, for lack of time (--minutes allows more): ")


def binary(qrels):
    return {t: {d: int(grade > 0) for d, grade in by.items()} for t, by in qrels.items()}


def test_a_planted_difference_of_the_evaluation_is_named(published):
    run, qrels = published.scores, published.qrels
    topics = list(qrels)
    fewer = {t: by for t, by in run.items() if t in topics[: len(topics) // 2]}
    tied = {t: {d: float(round(score / 4)) for d, score in by.items()} for t, by in run.items()}
    ascending = {t: {d: score - 1e-4 * i for i, (d, score) in enumerate(sorted(by.items()))} for t, by in tied.items()}
    with_own = {t: {t: 1e6} | by for t, by in run.items()}
    kept = {t: {d: grade for d, grade in by.items() if d in first_ranked(run[t], 10)} for t, by in qrels.items()}
    half = {t: by for number, (t, by) in enumerate(qrels.items()) if number % 2}
    plain = replace(published, searcher=None)
    planted = {
        "gains": (plain, means(run, binary(qrels), MEASURES)),
        "ideal ranking": (plain, means(run, {t: by or {"": 0} for t, by in kept.items()}, ["nDCG@10"])),
        "missing topics": (replace(plain, scores=fewer), means(fewer, {t: qrels[t] for t in fewer}, MEASURES)),
        "ties and order": (replace(plain, scores=tied), means(ascending, qrels, MEASURES)),
        "own documents of topics": (
            replace(plain, scores=with_own, own={t: {t} for t in run}),
            means(run, qrels, MEASURES),
        ),
        "judgments": (replace(plain, other_qrels={"dev": half}), means(run, half, MEASURES)),
        "depth": (plain, means({t: dict(ranked(by)[:20]) for t, by in run.items()}, qrels, ["AP", "R@100"])),
    }
    assert {cause: named_first(case, goal) for cause, (case, goal) in planted.items()} == {
        cause: {cause} for cause in planted
    }


def test_a_figure_that_agrees_and_one_that_nothing_explains_are_said(published):
    plain = replace(published, searcher=None)
    found = diagnosed(plain, {"nDCG@10": 0.99})
    mine, trials = found.mine, found.trials
    said = diagnosis_table("BM25", "a paper", mine, {"nDCG@10": 0.99}, as_table(trials)).sentences[1]
    assert said.startswith("Nothing that was tried closes the gap. The least is left")
    agreeing = diagnosis_table("BM25", "a paper", mine, {"nDCG@10": mine["nDCG@10"] + 0.001}, as_table(trials))
    assert agreeing.sentences[1] == "It agrees within 0.002."


@pytest.mark.parametrize("text", ["0.59", "nDCG@10", "nDCG@10=59", "nDCG@10=x", "nonsense=0.5"])
def test_a_published_figure_in_another_form_is_refused(text):
    with pytest.raises(UserError, match="published figure|unknown measure"):
        parse_published(text)
    assert parse_published("nDCG@10=0.5947, R@100=0.1091") == {"nDCG@10": 0.5947, "R@100": 0.1091}


def test_the_command_names_the_cause_for_a_run_file(command, tmp_path, workspace):
    (tmp_path / "mine.run").write_text("1 Q0 a 1 2.0 t\n1 Q0 b 2 1.0 t\n2 Q0 c 1 1.0 t\n")
    (tmp_path / "qrels.txt").write_text("1 0 a 1\n2 0 x 1\n3 0 y 1\n")
    files = [tmp_path / "mine.run", "--qrels", tmp_path / "qrels.txt"]
    outcome = command(diagnose.main, *files, "--published", "AP=0.5")
    assert outcome.status == 0, outcome.err
    assert "mine: AP 0.3333, published 0.5000 (-0.1667)." in outcome.out
    assert "What closes the gap: missing topics (count as 0 here, tried: left out) (leaves 0.0000)." in outcome.out
    assert command(diagnose.main, *files).status == 2


def test_a_run_of_other_documents_is_not_searched_in_the_sample(command, tmp_path):
    (tmp_path / "mine.run").write_text("1 Q0 elsewhere 1 2.0 t\n")
    (tmp_path / "qrels.txt").write_text("1 0 elsewhere 2\n1 0 other 1\n")
    outcome = command(diagnose.main, tmp_path / "mine.run", "--qrels", tmp_path / "qrels.txt", "--published", "AP=1")
    assert "only the evaluation of the run is diagnosed" in outcome.err
    assert "relevance threshold (grade >= 1 here, tried: grade >= 2)" in outcome.out


def test_a_collection_without_published_figures_or_diagnosis_says_so(command):
    assert "no published figure of bm25 on sample is known" in command(diagnose.main, "--systems", "bm25").err
    assert "has no diagnosis" in command(compare.main, "diagnosis", "sample").err


def test_a_stored_diagnosis_is_read_as_it_was_written(published, workspace):
    folder, goal = workspace.collection("mine"), {"nDCG@10": 0.99, "R@100": 0.5}
    found = diagnosed(replace(published, searcher=None), goal)
    mine, trials = found.mine, found.trials
    facts = {"measured": mine, "not_tried": ["pooling (cls)"]}
    with writing(folder.diagnosis("bm25"), "diagnose", {"published": goal, "source": "a paper"}, {}, facts) as draft:
        write(draft / FILE, trials)
    expected = diagnosis_table("BM25", "a paper", mine, goal, as_table(trials), ["pooling (cls)"])
    read = read_diagnosis(folder, "bm25", "BM25")
    assert read.sentences == expected.sentences
    assert read.shown.to_csv() == expected.shown.to_csv()
