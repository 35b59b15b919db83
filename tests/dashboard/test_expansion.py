"""The doc2query page: what expansion did to each topic and document, on the made-up collection."""

import json
from urllib.parse import parse_qsl

import pytest
from made_up import EXPANSIONS, SYSTEMS, Open
from stages import make
from streamlit.testing.v1 import AppTest

from core import bm25, doc2query, evaluate, search
from core.formats.predicted_queries import SCORES_FILE, write_by_document, write_expansions
from core.formats.runs import ranked, read_run
from core.retrieval.bm25 import load_index
from core.workspace.artifacts import read_manifest, writing
from core.workspace.command_line import save_profile
from core.workspace.profile import Doc2querySettings, ExpansionSettings, read_profile
from core.workspace.workspace import CollectionFolder
from dashboard.shared.escaping import escape_markdown

SCORES = {"d5": [0.9, 0.2], "d4": [0.6]}


def texts(app: AppTest) -> str:
    parts = [app.title, app.header, app.subheader, app.markdown, app.caption, app.text, app.info, app.warning]
    return "\n".join(str(element.value) for elements in parts for element in elements).replace("\\", "")


def table_with(app: AppTest, column: str):
    (found,) = [frame.value for frame in app.dataframe if column in frame.value.columns]
    return found


@pytest.fixture
def filtered(made_up: CollectionFolder) -> CollectionFolder:
    """The made-up collection with scored queries, of which the system "expanded" keeps the better half."""
    inputs = {"doc2query": read_manifest(made_up.predicted_queries).digest}
    with writing(made_up.query_scores, "doc2query score", {"scorer": "dense"}, inputs) as partial:
        documents = json.loads((made_up / "bm25" / "expanded" / "document_ids.json").read_text())
        write_by_document(partial / SCORES_FILE, "scores", {name: SCORES.get(name, []) for name in documents})
    systems = [
        s.model_copy(update={"expansion": ExpansionSettings(keep=0.5, field="own")}) if s.expanded else s
        for s in SYSTEMS
    ]
    profile = read_profile(str(made_up / "profile.json")).model_copy(update={"system": systems})
    save_profile(profile, made_up)
    make(bm25.STAGE, profile, made_up, systems[1])
    make(search.STAGE, profile, made_up, systems[1])
    make(evaluate.STAGE, profile, made_up)
    return made_up


def test_the_topics_gain_what_the_measures_say(open_page: Open, made_up: CollectionFolder) -> None:
    app = open_page("expansion", collection="made-up", measure="nDCG@10", depth="10")
    table = table_with(app, "relevant gained").set_index("topic")
    values = (made_up / "measures" / "measures.csv").read_text().splitlines()
    ndcg = {(s, t): float(v) for _, s, t, m, v in (line.split(",") for line in values[1:]) if m == "nDCG@10"}
    for topic, row in table.iterrows():
        assert row["nDCG@10 difference"] == pytest.approx(ndcg["expanded", topic] - ndcg["bm25", topic])
        first = []
        for system in ("bm25", "expanded"):
            run = read_run(made_up / "runs" / system / "run.trec").scores.get(topic, {})
            first.append({name for name, _ in ranked(run)[:10]})
        come_in = row["relevant gained"] + row["not relevant gained"] + row["unjudged gained"]
        assert come_in == len(first[1] - first[0])
    assert "BM25 + <b>queries</b> vs BM25: " in texts(app)


def test_the_page_opens_with_a_document_and_its_decisive_query(open_page: Open) -> None:
    app = open_page("expansion", collection="sample")
    (queries,) = [element.value for element in app.markdown if "decisive:" in element.value]
    values = table_with(app, "share of score").set_index("predicted query")
    assert values["earned"].is_monotonic_decreasing
    assert f"**{escape_markdown(values.index[0])}** :blue-badge" in queries
    link = next(link.proto for link in app.get("page_link") if link.proto.label.startswith("Open topic "))
    linked = dict(parse_qsl(link.query_string))
    assert (linked["a"], linked["b"]) == ("bm25-doc2query", "bm25"), "the two systems, whichever were compared before"
    app = open_page("expansion", collection="sample", topic=linked["topic"])
    helped = next(frame.value for frame in app.dataframe if "rank with" in frame.value)
    assert linked["document"] in list(helped["document"])


def test_without_a_gain_the_page_says_so(open_page: Open, made_up: CollectionFolder) -> None:
    app = open_page("expansion", collection="made-up")
    assert "No relevant document gains nDCG@10 on a topic through a predicted query" in texts(app)
    assert len(app.get("plotly_chart")) == 1


def test_a_document_shows_what_was_predicted_and_what_that_earned(open_page: Open, made_up: CollectionFolder) -> None:
    question = "Do masks help in schools?"
    app = open_page("expansion", collection="made-up", topic="02", document="d5")
    if "Predicted queries of" in [box.label for box in app.selectbox]:
        moved = app.selectbox(key="choice document").options
        assert len(moved) > 1
    queries = table_with(app, "predicted query")
    assert sorted(queries["predicted query"]) == sorted(EXPANSIONS["d5"])
    assert queries["indexed"].all()
    earned = table_with(app, "matching queries").set_index("term")
    profile = read_profile(str(made_up / "profile.json"))
    score = dict(load_index(profile, SYSTEMS[1], made_up).search(question, 5))["d5"]
    assert (earned["document"] + earned["predicted"]).sum() == pytest.approx(score, rel=1e-4)
    assert earned.loc["school", "document"] == 0
    assert earned.loc["school", "matching queries"] == " · ".join(EXPANSIONS["d5"])
    assert earned.loc["mask", "document"] > 0
    assert "New terms:" in texts(app)
    assert "schools (2)" in texts(app)


def test_dropped_queries_are_shown_with_their_scores(open_page: Open, filtered: CollectionFolder) -> None:
    app = open_page("expansion", collection="made-up", topic="02", document="d5", depth="100")
    queries = table_with(app, "predicted query")
    assert list(queries["predicted query"]) == EXPANSIONS["d5"], "what is indexed comes first"
    assert list(queries["score"]) == SCORES["d5"]
    assert list(queries["indexed"]) == [True, False]
    assert "1 of 2 are indexed: those with a score of at least 0.600, the top 50 %" in texts(app)
    assert "Score: similarity to the document (" in texts(app)


def test_scores_that_are_margins_are_said_to_be(open_page: Open, filtered: CollectionFolder) -> None:
    profile = read_profile(str(filtered / "profile.json"))
    save_profile(profile.model_copy(update={"doc2query": Doc2querySettings(score_by="margin")}), filtered)
    app = open_page("expansion", collection="made-up", topic="02", document="d5", depth="100")
    assert "the top 50 %" in texts(app)
    assert "minus the similarity to the nearest other document." in texts(app)


def test_without_an_expanded_system_the_page_says_what_to_do(open_page: Open, made_up: CollectionFolder) -> None:
    profile = read_profile(str(made_up / "profile.json"))
    save_profile(profile.model_copy(update={"system": [SYSTEMS[0]]}), made_up)
    app = open_page("expansion", collection="made-up")
    assert "set expanded = true for a BM25 system of its profile" in texts(app)


def test_queries_that_no_model_made_here_are_said_to_be_imported(open_page: Open, made_up: CollectionFolder) -> None:
    manifest = made_up.predicted_queries / "manifest.json"
    content = json.loads(manifest.read_text())
    assert "for each document, generated by a T5 model" in texts(open_page("expansion", collection="made-up"))
    content["settings"] = {"source": "hub:some/<b>queries</b>"}
    content["facts"] = {"documents": 5, "queries": 3, "documents_without_queries": 3, "repeated_queries": 0}
    content["facts"] |= {"commit": "0123abc", "licence": "cc-by-sa-4.0"}
    del content["sha256"]
    manifest.write_text(json.dumps(content))
    shown = texts(open_page("expansion", collection="made-up", topic="02", document="d5")).replace("\u2060", "")
    assert (
        "3 queries for 5 documents, imported from hub:some/<b>queries</b> (commit 0123abc, licence cc-by-sa-4.0). "
        "3 documents have none."
    ) in shown
    assert "generated by" not in shown.partition("imported from")[2].partition("Topic")[0]


def test_the_curve_is_drawn_or_the_command_that_measures_it(open_page: Open, made_up: CollectionFolder) -> None:
    command = "python -m core.doc2query curve --profile artifacts/made-up/profile.json"
    assert command in [code.value for code in open_page("expansion", collection="made-up").code]
    profile = read_profile(str(made_up / "profile.json"))
    make(doc2query.CURVE, profile, made_up)
    app = open_page("expansion", collection="made-up", measure="R@100")
    shown = table_with(app, "95 % CI of difference").set_index("queries")
    rows = (made_up / "doc2query-curve" / "curve.csv").read_text().splitlines()[1:]
    for queries in ("0", "1", "2"):
        values = [float(row.split(",")[-1]) for row in rows if row.startswith(f"{queries},1.0,R@100,")]
        assert shown.loc[queries, "R@100"] == pytest.approx(sum(values) / 3)
    assert len(app.get("plotly_chart")) == 2, "the topics and the curve"
    assert "older than" not in texts(app)

    with writing(made_up.predicted_queries, "doc2query", {}, {}) as partial:
        write_expansions(partial, {"d1": ["fever"]})
    app = open_page("expansion", collection="made-up")
    said = "\n".join(str(error.value) for error in app.error) + texts(app)
    assert "older than the predicted queries: BM25 by the number of queries" in said.replace("\\", "")
    assert command in said.replace("\\", "").replace("\u2060", "")


def test_a_damaged_curve_leaves_the_rest_of_the_page(open_page: Open, made_up: CollectionFolder) -> None:
    make(doc2query.CURVE, read_profile(str(made_up / "profile.json")), made_up)
    (made_up / "doc2query-curve" / "curve.csv").write_text("queries")
    app = open_page("expansion", collection="made-up", topic="02", document="d5")
    assert "doc2query-curve/curve.csv is damaged" in "\n".join(str(error.value) for error in app.error) + texts(app)
    assert sorted(table_with(app, "predicted query")["predicted query"]) == sorted(EXPANSIONS["d5"])


def test_an_index_of_an_older_version_is_named_with_the_command_that_mends_it(
    open_page: Open, made_up: CollectionFolder
) -> None:
    manifest = made_up / "bm25" / "expanded" / "manifest.json"
    content = json.loads(manifest.read_text())
    del content["files"]["predicted.jsonl"], content["sha256"]
    manifest.write_text(json.dumps(content))
    (made_up / "bm25" / "expanded" / "predicted.jsonl").unlink()
    app = open_page("expansion", collection="made-up", topic="02", document="d5")
    assert "holds no predicted queries; rebuild it with" in texts(app)
