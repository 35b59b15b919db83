"""The Artifacts page."""

import pytest
from made_up import Open, last_line_of

from core.workspace.workspace import CollectionFolder


def test_every_artifact_stands_there_with_its_state_and_command(open_page: Open, made_up: CollectionFolder) -> None:
    path = made_up / "runs" / "bm25" / "run.trec"
    path.write_text(path.read_text()[:-5])
    app = open_page("artifacts", artifact="runs/bm25")
    table = app.dataframe[0].value.set_index("artifact")
    assert table["state"]["collection"] == "● up to date"
    assert table["state"]["runs/bm25"] == "◐ stale"
    assert "run.trec is damaged" in table["reason"]["runs/bm25"]
    assert table["state"]["vectors/dense"] == "○ missing"
    assert "stale" in app.text[0].value
    assert app.code[0].value == "python scripts/build.py --profile artifacts/made-up/profile.json"
    assert list(app.dataframe[1].value["file"]) == ["run.trec"]


def test_a_missing_artifact_has_no_manifest_to_show(open_page: Open, made_up: CollectionFolder) -> None:
    app = open_page("artifacts", artifact="vectors/dense")
    assert "no manifest" in app.info[0].value
    app.selectbox(key="choice artifact").select("measures").run()
    assert app.query_params["artifact"] == "measures"
    assert "measures.csv" in list(app.dataframe[1].value["file"])


@pytest.mark.slow
def test_the_page_needs_no_library_of_training(made_up: CollectionFolder) -> None:
    program = (
        "import sys; from core.artifact_list import inventory; from dashboard.shared import data; "
        "opened = data.open_collection('made-up'); assert inventory(opened.profile, opened.folder); "
        "print(sorted({'torch', 'transformers', 'datasets', 'sentence_transformers'} & set(sys.modules)))"
    )
    assert last_line_of(program, made_up) == "[]"
