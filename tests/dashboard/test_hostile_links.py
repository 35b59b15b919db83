"""Whatever a link holds, a page is drawn: what is not there falls back to what is."""

import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_up import Open

from core.workspace.workspace import CHECKOUT, CollectionFolder

PAGES = sorted(path.parent.name for path in (CHECKOUT / "dashboard" / "views").glob("*/page.py"))
NAMES = [
    "topic",
    "topics",
    "systems",
    "baseline",
    "measure",
    "document",
    "query",
    "hits",
    "fused",
    "judge",
    "model",
    "index",
    "setting",
    "relevance",
]
VALUES = [
    "",
    "0",
    "-1",
    "9" * 30,
    "NA",
    "02",
    "d1",
    "bm25",
    "bm25,expanded,bm25",
    "nDCG@10",
    "nDCG@0",
    "yes",
    "../../x",
]
parameters = st.dictionaries(st.sampled_from(NAMES), st.sampled_from(VALUES) | st.text(max_size=60), max_size=8)


@pytest.mark.parametrize("page", PAGES)
@settings(
    max_examples=int(os.environ.get("RANKSCOPE_EXAMPLES", "2")),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(chosen=parameters)
def test_any_link_opens_a_page(open_page: Open, made_up: CollectionFolder, page: str, chosen: dict[str, str]) -> None:
    open_page(page, **({"collection": "made-up"} | chosen))
