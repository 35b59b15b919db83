"""The Training page: curves of the history that a training left, and the ablations on record."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from made_up import Open

from core.training.histories import as_table
from core.workspace.artifacts import writing
from core.workspace.workspace import CollectionFolder, Workspace

LOG = [
    {"step": 10, "loss": 1.5, "epoch": 0.1},
    {"step": 20, "loss": 1.25, "epoch": 0.2},
    {"step": 20, "eval_loss": 1.4, "eval_held-out_cosine_mrr@10": 0.5, "epoch": 0.2},
    {"step": 30, "train_runtime": 9.0, "train_loss": 1.3},
]
FACTS = {"rows": 1234, "held_out_queries": 7, "held_out_passages": 70, "held_out_mrr@10": {"before": 0.4, "after": 0.5}}


def add_model(workspace: Workspace, base: str = "nobody/base") -> Path:
    model = workspace.model("artifacts/models/tuned")
    settings = {"base": base, "pooling": "<b>mean</b>"}
    with writing(model, "finetune", settings, {}, FACTS | {"device": "cpu"}) as partial:
        (partial / "history.json").write_text(json.dumps(LOG))
    return model.path


def add_ablations(workspace: Workspace) -> None:
    rows = pd.DataFrame(
        {
            "variant": ["recipe", "recipe", "CLS", "CLS"],
            "seed": [1, 2, 1, 2],
            "MRR@10 before": 0.1,
            "nDCG@10 before": 0.2,
            "MRR@10": [0.6, 0.8, 0.1, 0.3],
            "nDCG@10": [0.4, 0.5, 0.1, 0.2],
            "rows": 100,
            "seconds": 5.0,
        }
    )
    settings = {"collection": {"name": "small", "split": "train"}}
    with writing(workspace.ablations("some-base"), "ablations", settings, {}) as partial:
        rows.to_csv(partial / "ablations.csv", index=False)


def test_the_log_becomes_one_row_a_step():
    table = as_table(LOG).set_index("step")
    assert table.loc[10, "loss"] == 1.5
    assert tuple(table.loc[20]) == (1.25, 1.4, 0.5)
    assert table.loc[30].isna().all()


def test_the_page_shows_curves_settings_and_ablations(open_page: Open, made_up: CollectionFolder) -> None:
    add_model(made_up.workspace)
    add_ablations(made_up.workspace)
    page = open_page("training", collection="made-up")
    text = " ".join(element.value for element in page.markdown)
    assert "1,234 rows" in text and "0.4000 before" in text and "0.5000 after" in text
    frames = {tuple(frame.value.columns): frame.value for frame in page.dataframe}
    settings = frames["setting", "value"]
    assert dict(zip(settings["setting"], settings["value"], strict=True))["pooling"] == "<b>mean</b>"
    ablations = next(frame for columns, frame in frames.items() if "seeds" in columns)
    assert ablations.loc["recipe", "MRR@10"] == pytest.approx(0.7)
    assert ablations.loc["CLS", "nDCG@10"] == pytest.approx(0.15)
    assert "no runs of both this model and its base" in text


def test_without_a_model_or_with_a_damaged_one_the_page_says_so(open_page: Open, made_up: CollectionFolder) -> None:
    page = open_page("training", collection="made-up")
    assert "no model was trained here" in page.warning[0].value.replace("\\", "")
    folder = add_model(made_up.workspace)
    (folder / "history.json").write_text("[]")
    page = open_page("training", collection="made-up")
    assert "history.json is damaged" in page.warning[0].value.replace("\\", "")
    for lost in ("history.json", "manifest.json"):
        shutil.rmtree(folder)
        (add_model(made_up.workspace) / lost).unlink()
        page = open_page("training", collection="made-up")
        assert "is missing; rebuild it with `python -m core.finetune`" in page.warning[0].value.replace("\\", "")
