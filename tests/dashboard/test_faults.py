"""A fault that nobody foresaw: the page says so in a sentence, the log has the traceback, the other pages work."""

import logging

import pytest
from made_up import PAGES, Open
from streamlit.testing.v1 import AppTest

from core.workspace.workspace import CHECKOUT, CollectionFolder
from dashboard.streamlit_internals import go_to

MESSAGE = "<b>no</b> such *key*"


@pytest.mark.parametrize("page", ["summary", "topics"])
def test_a_fault_is_a_sentence_and_the_other_pages_work(
    page: str,
    open_page: Open,
    made_up: CollectionFolder,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def planted(*arguments: object) -> None:
        raise KeyError(MESSAGE)

    open_page("runs")  # imports what the frame imports
    monkeypatch.setattr("dashboard.shared.comparison.View.systems", property(planted))
    monkeypatch.setattr("dashboard.shared.comparison.View.labels", property(planted))
    app = AppTest.from_file(str(CHECKOUT / "dashboard" / "app.py"), default_timeout=600)
    app.query_params["b"] = "bm25"
    with caplog.at_level(logging.ERROR):
        go_to(app, page).run()
    assert [error.value for error in app.error] == [
        f"{PAGES[page]} cannot be drawn completely because of a fault in RankScope: reload the page, and if it stays, "
        "report it with its details; the other pages work."
    ]
    assert [(one.message, list(one.stack_trace)) for one in app.exception] == [(repr(MESSAGE), [])]
    details = next(box for box in app.expander if box.label == "Details for a report")
    assert not details.proto.expanded
    assert "b: bm25" in details.code[0].value
    assert details.exception, "it is folded, too"
    assert app.sidebar.selectbox(key="choice collection").value == "made-up", "the frame stands"
    logged = [record for record in caplog.records if record.exc_info]
    assert len(logged) == 1
    assert "planted" in caplog.text, "the traceback is in the server's output"
    open_page("runs")
