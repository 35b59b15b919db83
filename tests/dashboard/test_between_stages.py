"""Every page in the states between the stages of a rebuild: figures of what is there, and a word on what is older.

The right figures come from pytrec_eval, called directly on the files of runs and qrels.
"""

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import pytrec_eval
from made_up import PAGES, Open, warnings
from streamlit.testing.v1 import AppTest

from core.build import run_build
from core.formats.collections import collection_digests
from core.formats.predicted_queries import write_expansions
from core.import_runs import import_runs
from core.workspace import artifacts
from core.workspace.artifacts import writing
from core.workspace.command_line import save_profile
from core.workspace.profile import Profile
from core.workspace.stage import Build
from core.workspace.workspace import VARIABLE, CollectionFolder, Workspace
from dashboard.streamlit_internals import go_to

MEASURES = {"nDCG@10": "ndcg_cut_10", "AP": "map", "P@10": "P_10", "RR": "recip_rank"}
OF_FIGURES = ("summary", "topics", "topic", "report", "expansion")
DOCUMENTS = 24


def write_source(
    source: Path, words: list[str], documents: range, topics: range, grade: Callable[[int, int], int]
) -> None:
    """Write a collection in the BEIR layout; a document and a topic share words by their numbers."""
    (source / "qrels").mkdir(parents=True, exist_ok=True)

    def text(number: int, count: int) -> str:
        return " ".join(words[(number * step) % 40] for step in range(1, count + 1))

    corpus = [{"_id": f"d{n}", "title": f"title {n}", "text": text(n + 1, 6)} for n in documents]
    queries = [{"_id": str(n), "text": text(n + 2, 3)} for n in topics]
    for name, entries in (("corpus", corpus), ("queries", queries)):
        (source / f"{name}.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    lines = [f"{t} 0 d{n} {grade(t, n)}\n" for t in topics for n in range(DOCUMENTS) if (t + n) % 2]
    (source / "qrels" / "test.tsv").write_text("".join(lines))


def first_grades(topic: int, document: int) -> int:
    return (topic * document) % 3


def other_grades(topic: int, document: int) -> int:
    return (topic + 2 * document) % 4


def write_predicted(folder: CollectionFolder, words: list[str]) -> None:
    """Write predicted queries as made of the documents that are there."""
    inputs = collection_digests(folder, "corpus.jsonl")
    with writing(folder.predicted_queries, "doc2query", {"queries": 1}, inputs) as partial:
        write_expansions(partial, {f"d{n}": [words[(7 * n) % 40]] for n in range(DOCUMENTS)})


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, encoder: Path, words: list[str]) -> Path:
    """The folder of all artifacts with a whole build; not to be changed."""
    root = tmp_path_factory.mktemp("between")
    write_source(root / "source", words, range(DOCUMENTS), range(1, 6), first_grades)
    profile = Profile(
        collection={"name": "tiny", "source": str(root / "source")},
        system=[
            {"name": "bm25", "kind": "bm25", "label": "BM25"},
            {"name": "expanded", "kind": "bm25", "label": "BM25 expanded", "expanded": True},
            {"name": "dense", "kind": "dense", "label": "Dense", "model": str(encoder)},
        ],
        ann={"index": [{"kind": "hnsw", "values": [10]}], "repeats": 1},
        measures=[*MEASURES, "Judged@10"],
        depth=12,
    )
    folder = Workspace(root / "artifacts").collection("tiny")
    for stage in ("collection", "encode", "doc2query", "bm25", "search", "evaluate", "ann"):
        if stage == "doc2query":
            write_predicted(folder, words)
        else:
            outcomes = run_build(Build(profile, folder, "cpu"), only=stage, say=lambda _: None)
            assert {outcome.result for outcome in outcomes} == {"made"}, stage
    return root


@dataclass
class Here:
    """A copy of the build that a test may change."""

    root: Path
    words: list[str]
    profile: Profile = field(init=False)

    def __post_init__(self) -> None:
        saved = json.loads((self.folder / "profile.json").read_text())
        saved.pop(artifacts.OWN_DIGEST)
        saved["collection"]["source"] = str(self.root / "source")
        self.profile = Profile.model_validate(saved)
        save_profile(self.profile, self.folder)

    @property
    def folder(self) -> CollectionFolder:
        return Workspace(self.root / "artifacts").collection("tiny")

    def stage(self, name: str) -> None:
        build = Build(self.profile, self.folder, "cpu")
        outcomes = run_build(build, only=name, say=lambda _: None, replace_source=True)
        assert {outcome.result for outcome in outcomes} == {"made"}

    def source(self, documents: range = range(DOCUMENTS), topics: range = range(1, 6), other: bool = False) -> None:
        write_source(self.root / "source", self.words, documents, topics, other_grades if other else first_grades)


@pytest.fixture
def here(whole: Path, tmp_path: Path, words: list[str], monkeypatch: pytest.MonkeyPatch) -> Here:
    shutil.copytree(whole, tmp_path / "root")
    monkeypatch.setenv(VARIABLE, str(tmp_path / "root" / "artifacts"))
    return Here(tmp_path / "root", words)


def right_values(folder: CollectionFolder) -> dict[str, dict[str, dict[str, float]]]:
    """system -> topic -> measure -> value, by pytrec_eval on the files that are there; a topic not retrieved has 0."""
    qrels: dict[str, dict[str, int]] = {}
    for line in (folder / "collection" / "qrels" / "test.tsv").read_text().splitlines()[1:]:
        topic, document, grade = line.split("\t")
        qrels.setdefault(topic, {})[document] = int(grade)
    found = {}
    for path in sorted(folder.path.glob("runs/*/run.trec")):
        run: dict[str, dict[str, float]] = {}
        for line in path.read_text().splitlines():
            if line != "damaged":
                topic, _, document, _, score, _ = line.split()
                run.setdefault(topic, {})[document] = float(score)
        values = pytrec_eval.RelevanceEvaluator(qrels, set(MEASURES.values())).evaluate(run)
        found[path.parent.name] = {
            topic: {name: values.get(topic, {}).get(key, 0.0) for name, key in MEASURES.items()} for topic in qrels
        }
    return found


LABELS = {"bm25": "BM25", "expanded": "BM25 expanded", "dense": "Dense", "theirs": "theirs"}


def check_figures(app: AppTest, page: str, right: dict[str, dict[str, dict[str, float]]]) -> None:
    """Compare what a page shows with the right values."""
    frames = [frame.value for frame in app.dataframe]
    if page == "summary":
        table = frames[0]
        assert set(table.index) == {LABELS[system] for system in right}
        for system, by_topic in right.items():
            for measure in MEASURES:
                mean = sum(values[measure] for values in by_topic.values()) / len(by_topic)
                assert table[measure][LABELS[system]] == pytest.approx(mean), (system, measure)
    if page == "topics":
        table = next(frame for frame in frames if {"topic", "BM25", "Dense"} <= set(frame.columns)).set_index("topic")
        for system in ("bm25", "dense"):
            expected = {topic: values["nDCG@10"] for topic, values in right[system].items()}
            assert table[LABELS[system]].to_dict() == pytest.approx(expected)
    if page == "topic":
        shown = " ".join(element.proto.body for element in app.get("html"))
        for system in ("bm25", "dense"):
            assert f"nDCG@10 {right[system]['3']['nDCG@10']:.4f}" in shown
    if page == "expansion":
        table = next(frame for frame in frames if "nDCG@10 difference" in frame.columns).set_index("topic")
        expected = {t: right["expanded"][t]["nDCG@10"] - right["bm25"][t]["nDCG@10"] for t in right["bm25"]}
        assert table["nDCG@10 difference"].to_dict() == pytest.approx(expected)


made_report = ""
"""What the button of the Report page makes."""


@pytest.fixture(autouse=True)
def kept_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the report with each drawing of its page: its button is not pressed here."""
    import streamlit as st

    button = st.download_button

    def pressed(label: str, data: object, *arguments: object, **options: object) -> bool:
        global made_report
        if label == "Download the report":
            made_report = data()
        return button(label, data, *arguments, **options)

    monkeypatch.setattr(st, "download_button", pressed)


def check_report(right: dict[str, dict[str, dict[str, float]]]) -> None:
    head, *rows = re.findall(r"<tr.*?</tr>", made_report[made_report.index("<table") :], re.DOTALL)[: len(right) + 1]
    column = re.findall("<th>(.*?)</th>", head).index("AP") - 1
    found = {re.findall("<th>(.*?)</th>", row)[0]: re.findall("<td>(.*?)</td>", row)[column] for row in rows}
    means = {LABELS[s]: sum(of["AP"] for of in by.values()) / len(by) for s, by in right.items()}
    assert found == {label: f"{mean:.4f}" for label, mean in means.items()}


def nothing(here: Here) -> None:
    """Change nothing."""


def other_judgments(here: Here) -> None:
    here.source(other=True)
    here.stage("collection")


def other_topics(here: Here) -> None:
    here.source(topics=range(3, 9))
    here.stage("collection")


def other_documents(here: Here) -> None:
    here.source(documents=range(5, DOCUMENTS + 5))
    here.stage("collection")


def other_documents_indexed(here: Here) -> None:
    other_documents(here)
    write_predicted(here.folder, here.words)
    for stage in ("encode", "bm25"):
        here.stage(stage)


def other_documents_searched(here: Here) -> None:
    other_documents_indexed(here)
    here.stage("search")


def measures_lost(here: Here) -> None:
    shutil.rmtree(here.folder / "measures")


COMPUTED = "the figures of BM25, BM25 expanded, Dense are computed from the current runs and judgments"
RUNS = "the run of BM25, the run of BM25 expanded, the run of Dense"
GONE = "(documents in it may no longer exist)"
STATES = {
    "a whole build": (nothing, {}),
    "other judgments": (
        other_judgments,
        dict.fromkeys(OF_FIGURES, f"the stored measures are older than the judgments: {COMPUTED}")
        | {"ann": "older than the judgments: the sweep ann/dense"},
    ),
    "other topics": (
        other_topics,
        dict.fromkeys(OF_FIGURES, f"older than the topics: {RUNS};")
        | {"ann": "older than the topics and the judgments"},
    ),
    "other documents": (
        other_documents,
        dict.fromkeys(OF_FIGURES, f"older than the documents: {RUNS} {GONE};")
        | {
            "ann": "older than the documents: the sweep ann/dense, the vectors of Dense",
            "search": "older than the documents: the index of BM25, the index of BM25 expanded, the vectors of Dense",
            "documents": "older than the documents: the vectors of Dense",
        },
    ),
    "other documents, indexed": (
        other_documents_indexed,
        dict.fromkeys(OF_FIGURES, "older than the index: the run of BM25")
        | {
            "ann": "older than the vectors: the sweep ann/dense",
            "documents": "older than the vectors: the run of Dense",
        },
    ),
    "other documents, searched": (
        other_documents_searched,
        dict.fromkeys(OF_FIGURES, f"the stored measures are older than the runs: {COMPUTED}")
        | {"ann": "older than the vectors: the sweep ann/dense"},
    ),
    "measures lost": (measures_lost, dict.fromkeys(OF_FIGURES, f"artifacts/tiny/measures is missing: {COMPUTED}")),
}


@pytest.mark.parametrize("state", STATES)
def test_every_page_shows_what_is_there_and_says_what_is_older(open_page: Open, here: Here, state: str) -> None:
    change, said = STATES[state]
    change(here)
    right = right_values(here.folder)
    app = open_page("summary", collection="tiny", topic="3", a="dense", b="bm25", query=here.words[3])
    for page in PAGES:
        if page != "summary":
            go_to(app, page).run()
        assert not app.exception, (page, app.exception[0].message)
        if page in said:
            assert said[page] in warnings(app), page
            assert "`python scripts/build.py --profile artifacts/tiny/profile.json`" in warnings(app)
        elif state in ("a whole build", "measures lost"):
            assert "older than" not in warnings(app), page
        check_figures(app, page, right)
        if page == "report":
            check_report(right)
            words = re.sub(r"\s+", " ", made_report)
            assert (said.get("report", "\0").replace("&", "&amp;") in words) == ("report" in said)


# Systems of the measures, the profile and the runs that are not the same


def saved(here: Here, **changed: object) -> None:
    save_profile(Profile.model_validate(here.profile.model_dump() | changed), here.folder)


def one_system_left(here: Here) -> None:
    new = {"name": "new", "kind": "bm25", "label": "New"}
    saved(here, system=[here.profile.system[0].model_dump(), new], baseline="new")


def no_system_left(here: Here) -> None:
    saved(here, system=[{"name": "new", "kind": "bm25"}, {"name": "newer", "kind": "dense", "model": "some/model"}])


def removal_interrupted(here: Here) -> None:
    shutil.copy(here.folder / "runs" / "bm25" / "run.trec", here.root / "theirs.run")
    import_runs(here.folder, [here.root / "theirs.run"])
    saved(here)


def removal_interrupted_later(here: Here) -> None:
    removal_interrupted(here)
    shutil.rmtree(here.folder / "runs" / "theirs")


def run_gone(here: Here) -> None:
    shutil.rmtree(here.folder / "runs" / "expanded")


def run_damaged_and_judged_anew(here: Here) -> None:
    other_judgments(here)
    with (here.folder / "runs" / "expanded" / "run.trec").open("a") as file:
        file.write("damaged")


def other_measures(here: Here) -> None:
    saved(here, measures=["RR", "P@10"])


ALL = ["BM25", "BM25 expanded", "Dense"]
MIXTURES = {
    "one system left": (one_system_left, ["BM25"], "the stored measures also hold expanded, dense: left out here"),
    "no system left": (no_system_left, [], "no system of tiny is evaluated yet"),
    "removal interrupted": (removal_interrupted, ALL, "the stored measures also hold theirs: left out here"),
    "removal interrupted later": (removal_interrupted_later, ALL, "the stored measures also hold theirs"),
    "run gone": (run_gone, ["BM25", "Dense"], "artifacts/tiny/runs/expanded is missing"),
    "run damaged": (run_damaged_and_judged_anew, ["BM25", "Dense"], "runs/expanded/run.trec is damaged"),
    "other measures": (other_measures, ALL, "the stored measures lack RR"),
}


@pytest.mark.parametrize("mixture", MIXTURES)
def test_systems_are_those_of_the_profile_that_have_runs(open_page: Open, here: Here, mixture: str) -> None:
    change, labels, said = MIXTURES[mixture]
    if mixture == "other measures":
        here.profile = here.profile.model_copy(update={"measures": ["nDCG@10"]})
        here.stage("evaluate")
    change(here)
    right = right_values(here.folder)
    app = open_page("summary", collection="tiny", topic="3", a="dense", query=here.words[3], open="measures,checks")
    for page in PAGES:
        if page != "summary":
            go_to(app, page).run()
        assert not app.exception, (page, app.exception[0].message)
        if page in ("summary", "topics", "topic", "report"):
            assert said in warnings(app), page
        if page == "summary" and labels:
            table = next(frame.value for frame in app.dataframe if "RR" in frame.value)
            assert set(table.index) == set(labels)
            for system, label in LABELS.items():
                values = [of["RR"] for of in right.get(system, {}).values()]
                if label in labels:
                    assert table["RR"][label] == pytest.approx(sum(values) / len(values))


def test_a_system_of_a_link_that_is_not_there_is_said(open_page: Open, here: Here) -> None:
    said = "gone is not available; {} is shown instead."
    asked = {
        "topics": {"a": "System A: " + said.format("Dense"), "b": "System B (baseline): " + said.format("BM25")},
        "topic": {"a": said.format("Dense"), "more": "Also show: gone is not available."},
        "summary": {"b": "System B (baseline): " + said.format("BM25")},
        "report": {"b": said.format("BM25"), "systems": "Systems: " + said.format("BM25, BM25 expanded, Dense")},
        "search": {"systems": said.format("all")},
        "documents": {"system": "Embedding model: " + said.format("Dense")},
        "ann": {"system": "Dense system: " + said.format("Dense")},
        "expansion": {"expanded": said.format("BM25 expanded"), "plain": said.format("BM25")},
    }
    app = open_page("summary", collection="tiny")
    for page, parameters in asked.items():
        app.query_params.clear()
        app.query_params.update({"collection": "tiny"} | dict.fromkeys(parameters, "gone"))
        if page != "summary":
            go_to(app, page)
        app.run()
        assert not app.exception
        for sentence in parameters.values():
            assert sentence in warnings(app), page
        app.query_params.clear()
        app.query_params["collection"] = "tiny"
        assert "gone" not in warnings(app.run()), page
        go_to(app, "summary").run()


def test_a_page_whose_artifacts_are_replaced_while_it_is_drawn_is_drawn_again(
    open_page: Open, here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dashboard.views.summary import main_table

    draw, drawn = main_table.draw_main, []

    def replaced_meanwhile(*arguments: object) -> object:
        drawn.append(1)
        if len(drawn) == 1:
            other_judgments(here)
            raise KeyError("a topic of the other version")
        return draw(*arguments)

    monkeypatch.setattr(main_table, "draw_main", replaced_meanwhile)
    app = open_page("summary", collection="tiny")
    assert len(drawn) == 2
    check_figures(app, "summary", right_values(here.folder))


def test_the_report_is_of_what_is_there_when_it_is_asked_for(
    open_page: Open, here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    import streamlit as st

    made: list[Callable[[], str]] = []
    monkeypatch.setattr(st, "download_button", lambda label, data, *_, **__: made.append(data))
    open_page("report", collection="tiny")
    other_judgments(here)  # the page stands open
    monkeypatch.setattr("test_between_stages.made_report", made[-1]())
    check_report(right_values(here.folder))
