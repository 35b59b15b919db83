"""Every page while a first build fills the collection, system by system, in one session that stays open.

The right figures are by pytrec_eval, see test_between_stages.
"""

import re
import shutil

import pytest
from made_up import PAGES, Open, warnings
from streamlit.testing.v1 import AppTest
from test_between_stages import LABELS, MEASURES, Here, here, right_values, whole  # noqa: F401
from test_pages import texts

from dashboard.streamlit_internals import go_to

STEPS = {
    "the collection": (),
    "an index": ("bm25/bm25",),
    "its run": ("runs/bm25",),
    "its measures": ("measures",),
    "predicted queries": ("doc2query",),
    "the expanded index": ("bm25/expanded",),
    "the expanded run": ("runs/expanded", "measures"),
    "vectors": ("vectors/dense",),
    "their run": ("runs/dense", "measures"),
    "the sweep": ("ann/dense",),
}
"""What the build has made last, and its artifacts; measures are made again with each run."""
INDEXES = {"bm25": "bm25/bm25", "expanded": "bm25/expanded", "dense": "vectors/dense"}
COMMAND = "`python scripts/build.py --profile artifacts/tiny/profile.json`"


def check_means(app: AppTest, right: dict[str, dict[str, dict[str, float]]]) -> None:
    """Compare the table of the Summary page with the right values."""
    table = app.dataframe[0].value
    assert set(table.index) == {LABELS[system] for system in right}
    for system, by_topic in right.items():
        for measure in MEASURES:
            mean = sum(values[measure] for values in by_topic.values()) / len(by_topic)
            assert table[measure][LABELS[system]] == pytest.approx(mean), (system, measure)


def needed_by(page: str, here: Here) -> list[str]:  # noqa: F811
    """Return the artifacts that a page shows for the three systems."""
    if page in ("summary", "topics", "topic", "report"):
        return [f"runs/{system}" for system in INDEXES]
    places = {"search": list(INDEXES.values()), "documents": ["vectors/dense"], "ann": ["ann/dense"]}
    if page == "expansion":
        return [place for place in ("doc2query", "runs/expanded") if not (here.folder / place).exists()][:1]
    return places.get(page, [])


def test_every_page_shows_what_is_there_and_how_to_make_the_rest(open_page: Open, here: Here) -> None:  # noqa: F811
    later = here.root / "later"
    for place in {place for places in STEPS.values() for place in places}:
        (later / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.move(here.folder / place, later / place)
    app = None
    for step, places in STEPS.items():
        for place in places:
            if place == "measures":
                here.stage("evaluate")
                continue
            (here.folder / place).parent.mkdir(parents=True, exist_ok=True)
            shutil.move(later / place, here.folder / place)
        right = right_values(here.folder)
        app = app or open_page("summary", collection="tiny", topic="3", query=here.words[3])
        for page, title in PAGES.items():
            go_to(app, page).run()
            assert not app.exception, (step, page, app.exception[0].message)
            assert not app.error, (step, page, app.error[0].value)
            assert app.title[0].value == title
            said = warnings(app) + (texts(app).replace("\\", "") if page == "ann" else "")  # references stand in
            for place in needed_by(page, here):
                missing = not (here.folder / place).exists()
                assert (f"artifacts/tiny/{place} is missing; rebuild it with {COMMAND}" in said) == missing, (
                    step,
                    page,
                )
            if page in ("summary", "topics", "topic", "report"):
                assert (f"no system of tiny is evaluated yet; run {COMMAND}" in said) == (not right), (step, page)
                assert ("the figures of BM25 are computed" in said) == (step == "its run"), (step, page)
            if page == "summary" and right:
                check_means(app, right)
            if page == "search":
                answered = sum((here.folder / place).exists() for place in INDEXES.values())
                assert len(re.findall(r"\d ms\b(?! \()", texts(app))) == answered, step
