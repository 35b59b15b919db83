"""The Search page ranks a topic's text as the batch run does, whatever the kind of the system."""

import pytest
import streamlit as st
from small_build import NAME, prepare
from tiny_models import make_multi_vector_encoder

from core.build import run_build
from core.formats.collections import built_documents, read_built_topics
from core.formats.runs import built_run
from core.workspace.command_line import save_profile
from core.workspace.profile import Profile, find_settings
from core.workspace.stage import Build
from core.workspace.workspace import VARIABLE, CollectionFolder, Workspace
from dashboard.shared import data, live
from dashboard.views.search.answers import answer_query
from dashboard.views.topic.explanation import _reranked

pytestmark = pytest.mark.slow

DEPTH = 20
MIN_MAX = {"by": "min-max", "weights": [0.3, 0.7]}
SYSTEMS = ["bm25", "tiny", "hnsw", "splade", "hybrid", "reranked", "late", "weighted"]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Profile, CollectionFolder]:
    """A collection of 60 documents, of which systems retrieve 20, with a system of each kind."""
    place = tmp_path_factory.mktemp("small")
    table = prepare(place / "source", place / "artifacts").model_dump()
    model = make_multi_vector_encoder(place / "source" / "tiny-tokens", place / "source" / "tiny-bert")
    late = {"kind": "rerank", "architecture": "multi-vector", "of": ["hybrid"], "model": str(model), "depth": 10}
    made = [system for system in table["system"] if system["name"] in SYSTEMS]
    made += [{"name": "late", **late}]
    made += [{"name": "weighted", "kind": "fusion", "of": ["reranked", "tiny"], "fusion": MIN_MAX}]
    profile = Profile.model_validate(table | {"system": made, "depth": DEPTH})
    folder = Workspace(place / "artifacts").collection(NAME)
    save_profile(profile, folder)
    outcomes = run_build(Build(profile, folder, "cpu"), without=("ann",), say=lambda _: None)
    assert {outcome.result for outcome in outcomes} == {"made"}
    return profile, folder


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_topic_is_ranked_live_as_in_the_batch(
    name: str, built: tuple[Profile, CollectionFolder], monkeypatch: pytest.MonkeyPatch
) -> None:
    profile, folder = built
    monkeypatch.setenv(VARIABLE, str(folder.workspace.root))
    st.cache_resource.clear()
    opened, run = data.open_collection(folder.name), built_run(folder, name).scores
    for topic in read_built_topics(folder)[0]:
        answer = answer_query(opened, find_settings(profile, name), topic.text("question"), 3)
        assert answer.ranking[:DEPTH] == list(run[topic.id])
        assert dict(answer.hits[:DEPTH]) == pytest.approx(run[topic.id], abs=1e-5)
        for document in answer.ranking[:3]:
            total = sum(value for _, value in answer.parts[document])
            assert total == pytest.approx(dict(answer.hits)[document], abs=1e-4)


@pytest.mark.parametrize(("name", "parts"), [("reranked", ["what the score loses"]), ("late", [" → ", "rank 1 in "])])
def test_a_re_ranked_score_is_explained_with_its_sum(
    name: str, parts: list[str], built: tuple[Profile, CollectionFolder], monkeypatch: pytest.MonkeyPatch
) -> None:
    profile, folder = built
    monkeypatch.setenv(VARIABLE, str(folder.workspace.root))
    opened, topic = data.open_collection(folder.name), read_built_topics(folder)[0][0]
    ready = live.ready_system(opened, find_settings(profile, name))
    (before,) = ready.system.first.search([topic.text("question")], 1)
    (answer,) = ready.system.search([topic.text("question")], DEPTH)
    first = before.ranking[0]
    document = built_documents(folder)[first]
    html = _reranked(ready.system, ready.lock, topic.text("question"), document, "Re-ranked")
    assert all(part in html for part in [*parts, f"Sum: {dict(answer.hits)[first]:.4f} (= score)"])
