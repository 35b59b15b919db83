"""Every topic of a real collection on every page that has a topic, in turn.

Its data is not committed and it takes minutes, so it runs when it is asked for, with the collection's name:

    RANKSCOPE_SWEEP=trec-covid-subset python -m pytest tests/dashboard/test_sweep.py
"""

import os

import pytest
from made_up import Open

from core.workspace.errors import UserError
from dashboard.shared import data

COLLECTION = os.environ.get("RANKSCOPE_SWEEP", "")
PAGES = {
    "topics": {},
    "topic, lists": {"view": "lists"},
    "topic, difference": {"view": "difference"},
    "topic, positions": {"view": "positions"},
    "topic, explained": {"document": "d1"},
    "search": {"fused": "on"},
    "documents": {},
    "expansion": {},
    "report": {},
}
pytestmark = [
    pytest.mark.slow,
    pytest.mark.data,
    pytest.mark.skipif(not COLLECTION, reason="RANKSCOPE_SWEEP names no collection"),
]


@pytest.mark.parametrize("page", PAGES)
def test_every_topic_opens(open_page: Open, page: str) -> None:
    opened = data.open_collection(COLLECTION)
    try:
        topics = data.judged_topics(opened).topics
    except UserError as error:
        pytest.skip(str(error))
    app = open_page(page.split(",")[0], collection=COLLECTION, **PAGES[page])
    for name, topic in topics.items():
        app.query_params["topic"] = app.query_params["topics"] = name
        app.query_params["query"] = topic.question
        app.run()
        assert not app.exception, f"topic {name}: {app.exception[0].message}"
        if page.startswith("topic,"):
            assert any(f">Topic {name}: " in element.proto.body for element in app.get("html"))
        if page == "search":
            assert f"This is topic {name} of" in app.info[0].value
