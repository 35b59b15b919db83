"""The page Fine-tuning: curves of the history that a training left, and the ablations on record."""

import shutil

import pytest
from made_up import LOG, Open, add_ablations, add_checks, add_model, add_overfitting

from core.evaluation.results import saved_profile
from core.evaluation.training_figures import all_trained
from core.training.histories import as_table
from core.workspace.workspace import CollectionFolder


def test_the_log_becomes_one_row_a_step():
    table = as_table(LOG).set_index("step")
    assert table.loc[10, "loss"] == 1.5
    assert tuple(table.loc[20]) == (1.25, 1.4, 0.5)
    assert table.loc[30].isna().all()


def test_the_page_shows_curves_settings_and_ablations(open_page: Open, made_up: CollectionFolder) -> None:
    add_model(made_up.workspace)
    add_ablations(made_up.workspace)
    page = open_page("training", collection="made-up")
    text = " ".join(element.value for element in page.markdown).replace("\\", "")
    assert "1,234 rows" in text and "0.4000 before" in text and "fine-tuning, 0.5000 after" in text
    frames = {tuple(frame.value.columns): frame.value for frame in page.dataframe}
    settings = frames["setting", "value"]
    assert dict(zip(settings["setting"], settings["value"], strict=True))["pooling"] == "<b>mean</b>"
    ablations = next(frame for columns, frame in frames.items() if "seeds" in columns)
    ablations = ablations.set_index("variant")
    assert ablations.loc["default configuration", "MRR@10"] == pytest.approx(0.7)
    assert ablations.loc["CLS", "nDCG@10"] == pytest.approx(0.15)
    notes = " ".join(info.value for info in page.info).replace("\\", "")
    assert "has no run of this model" in notes
    assert "of another base model, some-base, not of base, the base of tuned" in notes


def test_the_page_opens_with_the_recipe_and_the_gain(open_page: Open) -> None:
    page = open_page("training", collection="sample", measure="AP")
    recipe, gain = (element.value.replace("\\", "") for element in page.markdown[:2])
    assert recipe.startswith("Model fine-tuned: all-MiniLM-L6-v2, fine-tuned on ")
    (table,) = [frame.value for frame in page.dataframe if "difference" in frame.value]
    assert f"by {table['difference'].mean():+.4f} AP" in gain
    assert "4 M parameters" in " ".join(info.value for info in page.info)


def test_the_models_of_the_collection_come_first(made_up: CollectionFolder) -> None:
    first = add_model(made_up.workspace)
    shutil.copytree(first, first.parent / "a-model-of-another-collection")
    _, profile = saved_profile(made_up.workspace, "made-up")
    assert list(all_trained(made_up.workspace, profile)) == ["a-model-of-another-collection", "tuned"]
    system = profile.system[-1].model_copy(update={"model": "artifacts/models/tuned"})
    profile = profile.model_copy(update={"system": [system]})
    assert list(all_trained(made_up.workspace, profile)) == ["tuned", "a-model-of-another-collection"]


def test_without_a_model_or_with_a_damaged_one_the_page_says_so(open_page: Open, made_up: CollectionFolder) -> None:
    page = open_page("training", collection="made-up")
    assert "there is no fine-tuned model" in page.warning[0].value.replace("\\", "")
    assert "python -m core.ablations --profile ablations" in [code.value for code in page.code]
    assert len(page.warning) == 1, "that there are no ablations is no warning"
    folder = add_model(made_up.workspace)
    (folder / "history.json").write_text("[]")
    page = open_page("training", collection="made-up")
    assert "history.json is damaged" in page.warning[0].value.replace("\\", "")
    for lost in ("history.json", "manifest.json"):
        shutil.rmtree(folder)
        (add_model(made_up.workspace) / lost).unlink()
        page = open_page("training", collection="made-up")
        assert "is missing; rebuild it with `python -m core.finetune`" in page.warning[0].value.replace("\\", "")


def test_the_page_shows_the_checks_and_the_overfitting_test(open_page: Open, made_up: CollectionFolder) -> None:
    workspace = made_up.workspace
    folder = add_model(workspace)
    page = open_page("training", collection="made-up")
    commands = [code.value for code in page.code]
    assert "python -m core.finetune --check artifacts/models/tuned" in commands
    assert "python -m core.finetune --profile ablations --overfit" in commands
    (folder / "model.safetensors").write_bytes(b"weights")
    add_checks(workspace, folder)
    add_overfitting(workspace)
    page = open_page("training", collection="made-up")
    warned = " ".join(warning.value for warning in page.warning).replace("\\", "")
    assert "2 checks on 48 pairs (held-out triples) found 1 fault." in warned
    text = "\n".join(element.value for element in page.markdown).replace("\\", "")
    assert "- Vectors <b>collapsed</b>." in text and "These checks are of an older model" in text
    assert "some-base: Learned 10 pairs by heart: the loss went from 1.500 to 0.010 in 20 steps" in text
    frames = {tuple(frame.value.columns): frame.value for frame in page.dataframe}
    assert list(frames["check", "when", "measured", "fault"]["check"]) == ["padding", "spread"]
    assert list(frames["step", "loss", "MRR@10"]["MRR@10"]) == [0.4, 0.5, 1.0]
