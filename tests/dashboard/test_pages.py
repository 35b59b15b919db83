"""Every page, as a user meets it, on the made-up collection and on the sample."""

import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
from made_up import DOCUMENTS, HOSTILE_QUERY, PAGES, Open, warnings
from stages import make
from streamlit.testing.v1 import AppTest

from core import evaluate
from core.evaluation.measures import mean
from core.formats.runs import ranked, read_run
from core.import_runs import import_runs
from core.workspace.workspace import VARIABLE, CollectionFolder
from dashboard.shared import data


def texts(app: AppTest) -> str:
    """Everything that a page shows, in one text."""
    parts = [app.title, app.header, app.subheader, app.markdown, app.caption, app.text, app.info, app.warning]
    parts += [app.error]
    return "\n".join(str(element.value) for elements in parts for element in elements)


def ranking(folder: CollectionFolder, system: str, topic: str) -> list[str]:
    return [name for name, _ in ranked(read_run(folder / "runs" / system / "run.trec").scores[topic])]


@pytest.mark.parametrize("page", PAGES)
def test_every_page_opens_on_the_sample(open_page: Open, page: str) -> None:
    app = open_page(page, collection="sample", topic="1", query="coronavirus immunity", systems="bm25")
    assert app.title[0].value == PAGES[page]
    assert "written for demonstration, not medical evidence" in texts(app)


@pytest.mark.parametrize("page", PAGES)
def test_no_other_collection_has_the_samples_warning(open_page: Open, made_up: Path, page: str) -> None:
    assert "written for demonstration, not medical evidence" not in texts(open_page(page))


@pytest.mark.parametrize("page", PAGES)
def test_no_collection_at_all_is_a_sentence_with_the_command(
    open_page: Open, page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    assert "`python scripts/build.py --profile sample`" in open_page(page).warning[0].value


def test_unknown_collection_and_choices_in_a_link_fall_back(open_page: Open, made_up: CollectionFolder) -> None:
    app = open_page("topics", collection="gone", measure="nDCG@zero", a="nobody", b="bm25", topic="77", kind="odd")
    assert "gone is not built here; made" in warnings(app)
    assert "not built here" not in warnings(open_page("topics")), "nobody asked for the sample"
    (made_up.workspace.root / "lost").mkdir()
    shutil.copy(made_up / "profile.json", made_up.workspace.root / "lost")
    again = "rebuild it with `python scripts/build.py --profile artifacts/lost/profile.json`"
    assert again in warnings(open_page("topics", collection="lost"))
    assert (app.selectbox(key="choice family").value, app.selectbox(key="choice cutoff").value) == ("nDCG", "10")
    assert app.selectbox(key="choice a").value == "expanded"
    assert app.selectbox(key="choice b").value == "bm25"


def test_profile_variable_names_the_first_collection(
    open_page: Open, made_up: CollectionFolder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shutil.copytree(made_up, made_up.workspace.root / "another")
    path = tmp_path / "mine.toml"
    path.write_text('[collection]\nname = "made-up"\n[[system]]\nname = "a"\nkind = "bm25"\n')
    monkeypatch.setenv("RANKSCOPE_PROFILE", str(path))
    app = open_page("topics")
    assert app.selectbox(key="choice collection").value == "made-up"
    assert app.selectbox(key="choice collection").options == ["another", "made-up"]


# Summary


def test_overview_shows_means_and_leaves_out_what_never_ran(open_page: Open, made_up: CollectionFolder) -> None:
    app = open_page("summary")
    table = app.dataframe[0].value
    assert set(table.index) == {"BM25", "BM25 + <b>queries</b>"}
    assert list(table.columns) == ["nDCG@10", "P@10", "R@100", "AP", "Latency, median (ms)"]
    tidy = pd.read_csv(made_up / "measures" / "measures.csv", keep_default_na=False)
    values = tidy[(tidy.system == "bm25") & (tidy.measure == "nDCG@10")].value
    assert table["nDCG@10"]["BM25"] == pytest.approx(values.mean())
    assert table["Latency, median (ms)"].notna().all()
    reason = app.expander[0].warning[0].value
    assert "Dense" in reason
    assert "`python scripts/build.py" in reason


def test_an_artifact_that_was_built_again_is_seen(open_page: Open, made_up: CollectionFolder) -> None:
    before = open_page("summary").dataframe[0].value["AP"]["BM25"]
    assert before < 1
    (made_up / "runs" / "bm25").rename(made_up / "gone")
    shutil.copytree(made_up / "runs" / "expanded", made_up / "runs" / "bm25")
    make(evaluate.STAGE, data.open_collection("made-up").profile, made_up)
    table = open_page("summary").dataframe[0].value["AP"]
    assert table["BM25"] == table.iloc[1] != before


def test_a_damaged_artifact_is_a_sentence(open_page: Open, made_up: CollectionFolder) -> None:
    path = made_up / "measures" / "measures.csv"
    path.write_text(path.read_text()[:-20])
    assert "measures.csv is damaged" in warnings(open_page("summary"))


# Imported runs


def test_imported_runs_show_ids_and_say_why_there_is_no_search(open_page: Open, made_up: CollectionFolder) -> None:
    runs = [made_up / "runs" / name / "run.trec" for name in ("bm25", "expanded")]
    for run, name in zip(runs, ("one", "two"), strict=True):
        shutil.copy(run, made_up.workspace.root / f"{name}.run")
    qrels = made_up / "collection" / "qrels" / "test.tsv"
    import_runs(
        made_up.workspace.collection("foreign"),
        [made_up.workspace.root / "one.run", made_up.workspace.root / "two.run"],
        qrels,
        None,
    )
    app = open_page("topic", collection="foreign", topic="02")
    assert "Document texts are not available" in texts(app)
    assert any("document d4" in element.proto.body for element in app.get("html"))
    app = open_page("topic", collection="foreign", topic="02", document="d4")
    assert any("cannot be explained" in element.proto.body for element in app.get("html"))
    search = open_page("search", collection="foreign")
    assert "foreign consists of imported runs." in search.info[0].value
    assert any(link.proto.label == "Topics" for link in search.main.get("page_link"))


# Hostile texts


def test_hostile_texts_are_never_markdown(open_page: Open, made_up: CollectionFolder) -> None:
    pages = [open_page("topics"), open_page("topic", topic="1"), open_page("search", query=HOSTILE_QUERY)]
    for app in pages:
        assert not any(element.allow_html for element in [*app.markdown, *app.caption])
        for element in [*app.markdown, *app.caption, *app.info, *app.warning, *app.header, *app.subheader]:
            assert not re.search(r"(?<!\\)(<img|<script|<b>|\$x|\]\(|:smile)", element.value)


def test_the_made_up_means_are_what_its_runs_give(made_up: CollectionFolder) -> None:
    from core.evaluation.measures import evaluate
    from core.formats.qrels import read_qrels

    assert set(ranking(made_up, "bm25", "1")) <= set(DOCUMENTS)
    qrels = read_qrels(made_up / "collection" / "qrels" / "test.tsv")
    values = evaluate(read_run(made_up / "runs" / "bm25" / "run.trec").scores, qrels, ["AP"])["AP"]
    assert 0 < mean(values) < 1
