"""The page Build and provenance."""

import pandas as pd
import pytest
from made_up import Open, last_line_of
from streamlit.testing.v1 import AppTest

from core.workspace.workspace import CollectionFolder

PLAN = ["artifact", "state", "reason"]


def frame_with(app: AppTest, column: str) -> pd.DataFrame:
    return next(frame.value for frame in app.dataframe if column in frame.value)


def test_the_page_opens_with_what_there_is_and_whether_it_is_up_to_date(open_page: Open) -> None:
    app = open_page("artifacts", collection="sample")
    said = app.markdown[0].value.replace("\\", "")
    count = len(frame_with(app, "command"))
    assert f"**Up to date: {count} artifacts, nothing to build.**" in said
    assert "MB on disk; built 2026-" in said
    assert not [frame for frame in app.dataframe if list(frame.value) == PLAN]


def test_what_is_stale_or_missing_is_a_plan_with_its_command(open_page: Open, made_up: CollectionFolder) -> None:
    path = made_up / "runs" / "bm25" / "run.trec"
    path.write_text(path.read_text()[:-5])
    app = open_page("artifacts")
    every = frame_with(app, "command").set_index("artifact")["state"]
    plan = next(frame.value for frame in app.dataframe if list(frame.value) == PLAN).set_index("artifact")
    assert list(plan.index) == [name for name, state in every.items() if state[2:] in ("stale", "missing")]
    assert "run.trec is damaged" in plan["reason"]["runs/bm25"]
    kinds = [sum(every == sign) for sign in ("◐ stale", "○ missing")]
    said = app.markdown[0].value.replace("\\", "")
    assert (plan["state"]["vectors/dense"], plan["reason"]["vectors/dense"]) == ("○ missing", "")
    assert f"**To build: {sum(kinds)} of {len(every)} artifacts ({kinds[0]} stale, {kinds[1]} missing).**" in said
    assert app.code[0].value == "python scripts/build.py --profile artifacts/made-up/profile.json"


def test_every_artifact_stands_there_with_its_state_and_command(open_page: Open, made_up: CollectionFolder) -> None:
    path = made_up / "runs" / "bm25" / "run.trec"
    path.write_text(path.read_text()[:-5])
    app = open_page("artifacts", artifact="runs/bm25")
    table = frame_with(app, "command").set_index("artifact")
    assert table["state"]["collection"] == "● up to date"
    assert table["state"]["runs/bm25"] == "◐ stale"
    assert "run.trec is damaged" in table["reason"]["runs/bm25"]
    assert table["state"]["vectors/dense"] == "○ missing"
    assert "stale" in app.text[0].value
    assert app.code[0].value == "python scripts/build.py --profile artifacts/made-up/profile.json"
    assert list(frame_with(app, "file")["file"]) == ["run.trec"]


def test_a_missing_artifact_has_no_manifest_to_show(open_page: Open, made_up: CollectionFolder) -> None:
    app = open_page("artifacts", artifact="vectors/dense")
    assert "no manifest" in app.info[0].value
    app.selectbox(key="choice artifact").select("measures").run()
    assert app.query_params["artifact"] == "measures"
    assert "measures.csv" in list(frame_with(app, "file")["file"])


@pytest.mark.slow
def test_the_page_needs_no_library_of_training(made_up: CollectionFolder) -> None:
    program = (
        "import sys; from core.artifact_list import inventory; from dashboard.shared import data; "
        "opened = data.open_collection('made-up'); assert inventory(opened.profile, opened.folder); "
        "print(sorted({'torch', 'transformers', 'datasets', 'sentence_transformers'} & set(sys.modules)))"
    )
    assert last_line_of(program, made_up) == "[]"
