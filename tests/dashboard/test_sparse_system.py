"""A learned sparse system on the pages, and in an archive that is opened elsewhere."""

import re

import pytest
from made_up import Open, build, lists
from stages import make
from tiny_models import make_splade

from core import evaluate, pack, search, sparse
from core.evaluation.comparison_tables import INDEX_SIZE
from core.plan import steps
from core.retrieval.kinds import open_system
from core.workspace.command_line import save_profile
from core.workspace.opening import open_archive, opened
from core.workspace.profile import SystemSettings, find_settings, read_profile
from core.workspace.stage import Build
from core.workspace.workspace import VARIABLE, CollectionFolder, Workspace

QUERY = "Do masks help in schools?"
WORDS = ["do", "masks", "help", "in", "schools", "fever", "cough", "children", "<b>", "##s"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> CollectionFolder:
    """The made-up collection with a sparse system, not to be changed."""
    root = tmp_path_factory.mktemp("artifacts")
    folder = build(root)
    model = make_splade(tmp_path_factory.mktemp("models") / "tiny-splade", WORDS, bias=0.0)
    system = SystemSettings(name="splade", kind="sparse", label="SPLADE <i>", model=str(model))
    profile = read_profile(str(folder.profile)).model_copy(update={"system": [*_lexical(folder), system]})
    save_profile(profile, folder)
    for stage in (sparse.STAGE, search.STAGE):
        make(stage, profile, folder, system)
    make(evaluate.STAGE, profile, folder)
    return folder


def _lexical(folder: CollectionFolder) -> list[SystemSettings]:
    return [find_settings(read_profile(str(folder.profile)), "bm25")]


@pytest.fixture
def shown(made: CollectionFolder, monkeypatch: pytest.MonkeyPatch) -> CollectionFolder:
    monkeypatch.setenv(VARIABLE, str(made.workspace.root))
    return made


def test_search_shows_the_terms_of_each_score(open_page: Open, shown: CollectionFolder) -> None:
    app = open_page("search", query=QUERY, systems="splade")
    profile = read_profile(str(shown.profile))
    system = open_system(profile, find_settings(profile, "splade"), shown, "cpu")
    (answer,) = system.search([QUERY], 5)
    (html,) = lists(app)
    assert re.findall(r">document ([^<]*)<", html) == answer.ranking
    term, weight = system.explain(QUERY, answer.ranking[0])[0]
    assert f"= {weight:.2f} ({term.replace('<', '&lt;').replace('>', '&gt;')})" in html


def test_the_score_explanation_has_both_weights_of_each_term(open_page: Open, shown: CollectionFolder) -> None:
    profile = read_profile(str(shown.profile))
    system = open_system(profile, find_settings(profile, "splade"), shown, "cpu")
    (answer,) = system.search([QUERY], 5)
    document, score = answer.hits[0]
    app = open_page("topic", topic="02", a="splade", b="bm25", document=document)
    html = "\n".join(element.proto.body for element in app.get("html") if "rs-why" in element.proto.body)
    for _, of_query, of_document in system.explain_terms(QUERY, document)[:10]:
        assert f"{of_query * of_document:.4f}" in html
        assert f"{of_query:.2f} × {of_document:.2f}" in html
    assert f"Sum: {score:.4f} (= score)" in html
    assert "SPLADE &lt;i&gt;" in html
    assert "<b>" not in html


def test_costs_and_configuration_are_on_the_summary_page(open_page: Open, shown: CollectionFolder) -> None:
    app = open_page("summary", a="splade", b="bm25", open="cost,systems")
    tables = [table.value for table in app.dataframe]
    size = sum(path.stat().st_size for path in shown.sparse("splade").path.iterdir() if path.name != "manifest.json")
    costs = next(table for table in tables if INDEX_SIZE in table.columns)
    assert costs.loc["SPLADE <i>", INDEX_SIZE] == pytest.approx(size / 1e6)
    configured = next(table for table in tables if "terms per document" in table.columns)
    assert configured.loc["SPLADE <i>", "model"] == "tiny-splade"


def test_the_build_plan_makes_the_index_before_the_run_and_finds_all_up_to_date(made: CollectionFolder) -> None:
    planned = steps(Build(read_profile(str(made.profile)), made, systems=("splade",)))
    names = [step.stage.name for step in planned]
    assert names.index("sparse") < names.index("search")
    assert [step.artifact.shown for step in planned if step.stale()] == []


def test_a_packed_sparse_system_answers_elsewhere(
    made: CollectionFolder, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, str(made.workspace.root))
    pack.main([made.name, "--to", str(tmp_path / "archive.zip"), "--with", "hub-models"])
    other = Workspace(tmp_path / "elsewhere" / "artifacts")
    with opened(tmp_path / "archive.zip") as checked:
        folder = open_archive(other, checked, "carried").folder
    answers = []
    for at in (made, folder):
        profile = read_profile(str(at.profile))
        answers.append(open_system(profile, find_settings(profile, "splade"), at, "cpu").search([QUERY], 5)[0].hits)
    assert answers[0] == answers[1] != []
