"""The dashboard while a build goes on: after each run and its measures, that system is on the pages."""

import pandas as pd
import pytest
from beir_files import of_words
from made_up import warnings
from stages import fail_stage

from core.build import run_build
from core.workspace.profile import Profile
from core.workspace.stage import Build
from core.workspace.workspace import VARIABLE


@pytest.mark.slow
def test_the_overview_fills_system_by_system(encoder, words, beir_folder, workspace, open_page, monkeypatch):
    monkeypatch.setenv(VARIABLE, str(workspace.root))
    profile = Profile(
        collection={"name": "tiny", "source": str(beir_folder(of_words(words)))},
        system=[
            {"name": "dense", "kind": "dense", "label": "Dense", "model": str(encoder)},
            {"name": "bm25", "kind": "bm25", "label": "BM25"},
        ],
        ann={"index": [{"kind": "faiss-sq8"}], "repeats": 1},
    )
    folder = workspace.collection("tiny")
    for stage, systems in (("encode", ["BM25"]), ("ann", ["Dense", "BM25"])):
        with monkeypatch.context() as patched:
            fail_stage(patched, stage, "dense", KeyboardInterrupt())
            with pytest.raises(KeyboardInterrupt):
                run_build(Build(profile, folder, "cpu"), say=lambda line: None)
        app = open_page("summary", collection="tiny")
        table = app.dataframe[0].value
        assert sorted(table.index) == sorted(systems)
        stored = (
            pd.read_csv(folder.measures / "measures.csv").query("measure == 'nDCG@10'").groupby("system").value.mean()
        )
        assert table["nDCG@10"]["BM25"] == pytest.approx(stored["bm25"])
        assert "older" not in warnings(app)
