"""The curve of a fusion over its weights, on the Summary page."""

import json

import pytest
from made_up import Open
from stages import make
from test_search import with_fusion
from test_summary import frame, main_table, texts

from core import evaluate, tune
from core.workspace.profile import find_settings, read_profile
from core.workspace.workspace import CollectionFolder


def test_weights_are_drawn_once_measured_and_before_that_the_command(
    open_page: Open, made_up: CollectionFolder
) -> None:
    with_fusion(made_up, "expanded", "bm25")
    profile = read_profile(str(made_up.profile))
    make(evaluate.STAGE, profile, made_up)
    app = open_page("summary", open="weights")
    assert "Hybrid has not been measured by weights on these topics" in texts(app)
    command = "python -m core.tune --profile artifacts/made-up/profile.json --systems hybrid"
    assert command in [code.value for code in app.code]
    assert not app.get("plotly_chart")

    make(tune.STAGE, profile, made_up, find_settings(profile, "hybrid"))
    app = open_page("summary", open="weights")
    table = frame(app, "nDCG@10", "CI low", "CI high")
    weight = "weight of BM25 + <b>queries</b>"
    assert list(table[weight]) == pytest.approx([step / 20 for step in range(21)])
    assert list(table["weight of BM25"]) == pytest.approx([1 - step / 20 for step in range(21)])
    equal = table.loc[table[weight] == 0.5, "nDCG@10"].item()
    assert equal == pytest.approx(main_table(app)["nDCG@10"]["Hybrid"]), "its run has equal weights"
    assert f"Highest mean nDCG@10 on these 3 topics: {table['nDCG@10'].max():.4f}" in texts(app).replace(
        "\\", ""
    ).replace("\u2060", "")
    spec = json.loads(app.get("plotly_chart")[0].proto.spec)
    assert spec["layout"]["xaxis"]["title"]["text"] == "weight of BM25 + &lt;b&gt;queries&lt;/b&gt;"
