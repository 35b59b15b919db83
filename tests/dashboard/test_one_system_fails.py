"""On pages with live systems, whatever befalls one system takes no other's answer; and advice leads somewhere."""

import logging
import re
import shutil

import pytest
from made_up import Open, lists, warnings

from core.retrieval.systems import Bm25System
from core.workspace.artifacts import record_failure, writing
from core.workspace.errors import UserError
from core.workspace.models import MODELS_VARIABLE
from core.workspace.workspace import CollectionFolder
from dashboard.shared import data, live
from dashboard.shared.escaping import error_markdown

UNEXPECTED = [ZeroDivisionError("division by zero"), MemoryError(), RuntimeError("<b>one</b>\ntwo")]


def break_system(monkeypatch: pytest.MonkeyPatch, name: str, error: Exception, method: str) -> None:
    original = getattr(Bm25System, method)

    def broken(self: Bm25System, *arguments: object) -> object:
        if self.settings.name == name:
            raise error
        return original(self, *arguments)

    monkeypatch.setattr(Bm25System, method, broken)


@pytest.mark.parametrize("error", UNEXPECTED)
@pytest.mark.parametrize("method", ["search", "explain"])
def test_search_shows_the_other_systems_answers(
    error: Exception, method: str, open_page: Open, made_up: CollectionFolder, monkeypatch: pytest.MonkeyPatch, caplog
) -> None:
    expected = re.findall(">document [^<]*<", lists(open_page("search", query="masks", systems="bm25"))[0])
    break_system(monkeypatch, "expanded", error, method)
    with caplog.at_level(logging.ERROR):
        app = open_page("search", query="masks", systems="bm25,expanded", fused="on")
    assert expected
    assert re.findall(">document [^<]*<", lists(app)[0]) == expected
    assert error_markdown(f"unexpected {type(error).__name__}") in warnings(app)
    assert any(record.exc_info for record in caplog.records)  # the traceback is in the server's output


@pytest.mark.parametrize("error", UNEXPECTED)
def test_explanations_of_the_other_systems_are_drawn(
    error: Exception, open_page: Open, made_up: CollectionFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_system(monkeypatch, "bm25", error, "explain")
    app = open_page("topic", topic="02", document="d4")
    markup = "".join(lists(app))
    assert "(= score)" in markup
    assert f"unexpected {type(error).__name__}" in markup


def test_opening_one_system_may_fail_in_any_way(
    open_page: Open, made_up: CollectionFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = live.ready_system

    def broken(opened: data.Opened, settings: object) -> live.Ready:
        if settings.name == "expanded":  # type: ignore[attr-defined]
            raise KeyError("expanded")
        return original(opened, settings)  # type: ignore[arg-type]

    monkeypatch.setattr(live, "ready_system", broken)
    app = open_page("search", query="masks")
    assert "unexpected KeyError" in warnings(app)
    assert "document d4" in "".join(lists(app))


def test_pages_tell_the_cause_of_a_failed_build_and_what_to_provide(open_page: Open, made_up: CollectionFolder) -> None:
    """A T5 that is not here: the command that has just failed is no advice by itself."""
    shutil.rmtree(made_up / "doc2query")
    shutil.rmtree(made_up / "bm25" / "expanded")
    cause = "the model artifacts/models/doc2query is not there; provide it in a folder named doc2query"
    for place in ("doc2query", "bm25/expanded", "runs/expanded"):
        record_failure(made_up.artifact(place), cause)
    for page, parameters in {"search": {"query": "masks"}, "topic": {"topic": "02", "document": "d4"}}.items():
        app = open_page(page, **parameters)
        shown = "\n".join([warnings(app), *lists(app)])
        assert "the last build failed to make it" in shown, page
        assert "a folder named doc2query" in shown, page
    frames = [frame.value.to_string() for frame in open_page("artifacts").dataframe]
    assert "a folder named doc2query" in "\n".join(frames)


def test_a_live_model_that_is_not_here_is_told_with_what_to_provide(
    made_up: CollectionFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(MODELS_VARIABLE, raising=False)
    monkeypatch.setattr("core.workspace.models._cached_snapshot", lambda name: None)
    with writing(made_up.vectors("dense"), "encode", {}, {}) as partial:
        (partial / "vectors.npy").write_bytes(b"")
    opened = data.open_collection("made-up")
    settings = next(s for s in opened.profile.system if s.name == "dense")
    with pytest.raises(UserError) as caught:
        live.ready_system(opened, settings)
    sentence = str(caught.value)
    assert "hf download nobody/such-a-model" in sentence
    assert "a folder named such-a-model" in sentence
    assert MODELS_VARIABLE in sentence
    assert "scripts/build.py" not in sentence  # which would find the vectors fresh and fetch nothing
