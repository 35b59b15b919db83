"""The Summary page: answer, charts, tables, choices in the URL, what is computed only when asked for, exports."""

import html
import json
import re
import shutil
from pathlib import Path

import ir_measures
import pandas as pd
import pytest
from made_up import QRELS, Open, lists, warnings
from stages import make
from streamlit.testing.v1 import AppTest

from core import evaluate
from core.evaluation import comparison_tables, table_formats
from core.evaluation.comparison_tables import INDEX_SIZE
from core.evaluation.measures import mean
from core.evaluation.published import Published, exercise_table
from core.evaluation.significance import compare
from core.formats.runs import read_run
from core.import_runs import import_runs
from core.workspace.artifacts import file_digest, read_manifest, writing
from core.workspace.timing import OLDER_TIMING
from core.workspace.workspace import CollectionFolder
from dashboard.shared import data, results
from dashboard.views.summary import charts

SECTIONS = "measures,baseline,types,published,systems,conclusion,curve,unjudged,cost,checks"
A = {"1": 0.5, "2": 0.25, "3": 0.0}
B = {"3": 0.0, "2": 0.5, "1": 0.125}


def frame(app: AppTest, *columns: str) -> pd.DataFrame:
    """The first table of a page that has these columns."""
    return next(table.value for table in app.dataframe if set(columns) <= set(table.value.columns))


def main_table(app: AppTest) -> pd.DataFrame:
    """The table of all systems, by label."""
    return app.dataframe[0].value


def texts(app: AppTest) -> str:
    return "\n".join(str(e.value) for part in (app.markdown, app.caption, app.text, app.warning) for e in part)


def cards(app: AppTest) -> list[str]:
    return [html.unescape(markup) for markup in lists(app) if "rs-example" in markup]


def headline(app: AppTest) -> str:
    return app.header[0].value.replace("\\", "").replace("\u2060", "")


# The page


def test_the_chosen_measure_is_compared_with_the_chosen_baseline(open_page: Open, made_up: CollectionFolder) -> None:
    app = open_page("summary", measure="AP", b="expanded", open="baseline,types")
    table, means = frame(app, "difference", "MDE at 80 % power"), main_table(app)["AP"]
    bm25, expanded = "BM25", "BM25 + <b>queries</b>"
    assert pd.isna(table["difference"][expanded])
    assert table["difference"][bm25] == pytest.approx(means[bm25] - means[expanded])
    assert 0 < float(table["p, randomisation test (Holm-adjusted)"][bm25].split()[0]) <= 1
    assert dict(frame(app, "topics")["topics"]) == {"exact term": 2, "broad": 1}


def imported(folder: CollectionFolder, name: str, runs: dict[str, dict[str, list[str]]]) -> None:
    """Import runs, system -> topic -> ranking; the documents named "r..." are relevant."""
    place = folder.workspace.root / f"{name}-runs"
    place.mkdir()
    every = {topic: {d for run in runs.values() for d in run.get(topic, ())} for topic in next(iter(runs.values()))}
    lines = [f"{topic} 0 {d} {int(d[0] == 'r')}\n" for topic, documents in every.items() for d in sorted(documents)]
    (place / "qrels").write_text("".join(lines))
    paths = []
    for system, by_topic in runs.items():
        paths.append(place / f"{system}.run")
        hits = [(topic, d, rank) for topic, ranking in by_topic.items() for rank, d in enumerate(ranking, 1)]
        paths[-1].write_text("".join(f"{topic} Q0 {d} {rank} {100 - rank} x\n" for topic, d, rank in hits))
    import_runs(folder.workspace.collection(name), paths, place / "qrels")


GOOD = [f"{kind}{n}" for kind in "rn" for n in range(10)]
POOR = GOOD[::-1]


def test_the_headline_names_the_better_system_first(open_page: Open, made_up: CollectionFolder) -> None:
    topics = [str(n) for n in range(12)]
    imported(made_up, "clear", {"poor": dict.fromkeys(topics, POOR), "good": dict.fromkeys(topics, GOOD)})
    # Ranks 1 to 10 hold all ten relevant documents or none: nDCG@10 is 1 or 0 on each topic.
    for a, b in (("good", "poor"), ("poor", "good")):
        app = open_page("summary", collection="clear", a=a, b=b)
        assert headline(app) == "good beats poor by +1.0000 nDCG@10"
        assert "12 wins, 0 ties, 0 losses on 12 topics" in texts(app).replace("\\", "")
    assert "not robust: same winner under" in texts(app).lower(), "both have all relevant documents in the top 100"
    assert len(cards(app)) == 1
    imported(made_up, "alike", {"one": dict.fromkeys(topics, GOOD), "two": dict.fromkeys(topics, GOOD)})
    app = open_page("summary", collection="alike")
    assert headline(app) == "two and one have the same nDCG@10 on all 12 topics"
    assert not cards(app)
    assert "robust" not in texts(app).lower().split("robustness and")[0]


def test_cards_name_win_loss_and_same_score_with_the_lists(open_page: Open, made_up: CollectionFolder) -> None:
    same = [f"r{n}" for n in (5, 6, 7, 8, 9, 0, 1, 2, 3, 4)] + GOOD[10:]
    a = {"w": GOOD, "l": POOR, "s": GOOD}
    b = {"w": POOR, "l": GOOD, "s": same}
    imported(made_up, "three", {"a": a, "b": b})
    win, loss, tie = cards(open_page("summary", collection="three", a="a", b="b"))
    assert "Largest win" in win
    assert "+1.0000 nDCG@10; largest contribution: “r0” (relevant) rises from rank 20 to 1" in win
    assert win.index("r0</span>") < win.index("n9</span>"), "system A's list stands first"
    assert "Largest loss" in loss
    assert "-1.0000 nDCG@10" in loss
    assert "Both have nDCG@10 1.0000, with 10 of the top 10 documents in common." in tie


def test_of_many_systems_charts_show_ten_and_the_table_all(open_page: Open, made_up: CollectionFolder) -> None:
    topics = [str(n) for n in range(4)]
    runs = {f"s{n:02}": dict.fromkeys(topics, GOOD[n % 10 :] + GOOD[: n % 10]) for n in range(30)}
    imported(made_up, "many", runs)
    app = open_page("summary", collection="many", a="s07")
    assert len(main_table(app)) == 30
    assert main_table(app)["nDCG@10"].is_monotonic_decreasing
    forest = next(element.proto.body for element in app.get("html") if '<div class="rs-dots' in element.proto.body)
    systems = re.findall('data-rs-open="(.*?)"', forest)
    assert len(systems) == 9
    assert {"s07"} < set(systems), "the chosen system is among them"
    assert "The best 10 of 30 systems" in texts(app)
    opened = open_page("summary", collection="many", open="cost,conclusion")
    assert "Cost is not available: the runs were not made here." in texts(opened)
    assert len(opened.get("plotly_chart")) == len(app.get("plotly_chart")), "no chart of unknown costs"
    assert "Here all 30 systems compete" in texts(opened)


def test_any_cutoff_and_threshold_is_what_ir_measures_computes(open_page: Open, made_up: CollectionFolder) -> None:
    run = read_run(made_up / "runs" / "bm25" / "run.trec").scores
    for measure in ("P(rel=2)@3", "nDCG@3", "RR(rel=2)"):
        table = frame(open_page("summary", measure=measure, open="baseline"), "mean", "difference")
        found = ir_measures.calc_aggregate([ir_measures.parse_measure(measure)], QRELS, run)
        assert table["mean"]["BM25"] == pytest.approx(next(iter(found.values())))


def test_measure_cutoff_and_threshold_are_one_parameter_of_the_url(open_page: Open, made_up: CollectionFolder) -> None:
    app = open_page("summary")
    app.selectbox(key="choice family").select("P").run()
    assert app.query_params["measure"] == "P@10"
    app.selectbox(key="choice cutoff").select("5").run()
    app.selectbox(key="choice relevance").select("2").run()
    assert app.query_params["measure"] == "P(rel=2)@5"
    app.selectbox(key="choice family").select("AP").run()
    assert app.query_params["measure"] == "AP(rel=2)"
    app.selectbox(key="choice family").select("nDCG").run()
    assert app.query_params["measure"].startswith("nDCG@")
    again = open_page("summary", measure="P(rel=2)@15")
    assert again.selectbox(key="choice cutoff").value == "15"
    assert again.selectbox(key="choice relevance").value == "2"


@pytest.mark.parametrize("measure", ["nonsense", "nDCG@0", "R@0", "P(rel=9)@10", "nDCG@99999999"])
def test_a_measure_that_there_is_not_falls_back(open_page: Open, made_up: CollectionFolder, measure: str) -> None:
    app = open_page("summary", collection="made-up", measure=measure)
    assert app.selectbox(key="choice family").value == ("P" if measure.startswith("P") else "nDCG")
    said = "No judgment has grade 9" if measure.startswith("P") else "unknown measure"
    assert said in warnings(app)
    assert len([w for w in app.warning if "Dense" not in w.value]) == 1, "else only the system that never ran is named"


def test_nothing_heavy_is_computed_before_it_is_asked_for(
    open_page: Open, made_up: CollectionFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object) -> None:
        raise AssertionError("read without need")

    data.st.cache_data.clear()
    for part in ("conclusion.draw_conclusion", "baseline.draw_baseline", "checks.draw_checks", "cost.draw_cost"):
        monkeypatch.setattr(f"dashboard.views.summary.{part}", refuse)
    assert set(main_table(open_page("summary")).index) == {"BM25 + <b>queries</b>", "BM25"}


def test_every_part_opens_by_the_url_and_every_chart_has_a_table(open_page: Open, made_up: CollectionFolder) -> None:
    app = open_page("summary", open=SECTIONS)
    costs = ("Index size (MB)", "Latency, median (ms)")
    for columns in (("varied", "winner"), ("condensed-list nDCG@10", "upper bound"), costs):
        assert len(frame(app, *columns))
    curve = next(t.value for t in app.dataframe if t.value.index.name == "recall")
    assert list(curve.columns) == ["BM25", "BM25 + <b>queries</b>"]
    assert len(curve) == 11
    assert open_page("summary", open="conclusion").query_params["open"] == "conclusion"


def test_topics_that_decide_the_winner_are_rows_of_the_table(open_page: Open, made_up: CollectionFolder) -> None:
    def rows(measure: str) -> pd.DataFrame:
        app = open_page("summary", open="conclusion", measure=measure)
        return frame(app, "varied", "same winner?").set_index("varied")

    values = results.values(data.open_collection("made-up"), "RR")
    table = rows("RR")
    for topic in QRELS:
        rest = {s: mean({t: v for t, v in by.items() if t != topic}) for s, by in values.items()}
        every = {s: mean(by) for s, by in values.items()}
        best = {system for system, value in rest.items() if value == pytest.approx(max(rest.values()))}
        assert (f"without topic {topic}" in table.index) == (
            best != {system for system, value in every.items() if value == pytest.approx(max(every.values()))}
        )
    closest = [name for name in rows("Judged@10").index if name.startswith("smallest margin: without topic")]
    assert len(closest) == 1


def test_a_system_alone_is_shown_without_a_comparison(open_page: Open, made_up: CollectionFolder) -> None:
    shutil.rmtree(made_up / "runs" / "expanded")
    make(evaluate.STAGE, data.open_collection("made-up").profile, made_up)
    app = open_page("summary", open=SECTIONS, cells="letters")
    assert headline(app).startswith("BM25 has nDCG@10 0.")
    assert "a comparison needs two" in texts(app).replace("\\", "")
    assert list(frame(app, "mean", "difference").index) == ["BM25"]


def test_the_second_library_is_asked_on_demand_and_agrees(open_page: Open, made_up: CollectionFolder) -> None:
    app = open_page("summary", open="checks")
    assert not any("reference" in table.value for table in app.dataframe)
    next(button for button in app.button if button.label == "Run cross-check").click().run()
    assert app.query_params["check"] == "yes"
    table = frame(app, "reference", "RankScope")
    assert set(table["library"]) == {"ir_measures", "scikit-learn"}
    assert table["largest per-topic difference"].max() < 1e-9
    assert "topics: identical within tolerance (1e-09)" in texts(app).replace("\\", "")


def test_a_disagreement_is_said(open_page: Open, made_up: CollectionFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "core.evaluation.cross_checks.sklearn_ndcg", lambda scores, qrels, k: dict.fromkeys(qrels, 0.123)
    )
    assert "not identical within tolerance" in texts(open_page("summary", open="checks", check="yes"))


def described_anew(path: Path) -> None:
    """Let the manifest beside a file say what the file now is."""
    manifest = json.loads((path.parent / "manifest.json").read_text())
    del manifest["sha256"]
    manifest["files"][path.name] = {"bytes": path.stat().st_size, "sha256": file_digest(path)}
    (path.parent / "manifest.json").write_text(json.dumps(manifest))


def test_a_topic_that_a_run_lacks_is_said_and_counts_0(open_page: Open, made_up: CollectionFolder) -> None:
    path = made_up / "runs" / "bm25" / "run.trec"
    kept = [line for line in path.read_text().splitlines(keepends=True) if not line.startswith("02 ")]
    path.write_text("".join(kept))
    described_anew(path)
    make(evaluate.STAGE, data.open_collection("made-up").profile, made_up)
    app = open_page("summary", open="checks,baseline", check="yes", measure="RR")
    assert "BM25 retrieved no documents for 1 of 3 topics, which count as 0" in texts(app)
    assert "topics: identical within tolerance (1e-09)" in texts(app).replace("\\", "")
    values = results.values(data.open_collection("made-up"), "RR")
    assert values["bm25"]["02"] == 0
    assert frame(app, "mean", "difference")["mean"]["BM25"] == pytest.approx(mean(values["bm25"]))


def test_of_a_system_without_measures_the_run_says_which_topics_it_lacks(made_up: CollectionFolder) -> None:
    opened = data.open_collection("made-up")
    shutil.copytree(made_up / "runs" / "bm25", made_up / "runs" / "new")
    path = made_up / "runs" / "new" / "run.trec"
    path.write_text("".join(line for line in path.read_text().splitlines(True) if not line.startswith("02 ")))
    described_anew(path)
    assert results.missing_topics(opened, "new") == 1


def test_the_command_of_a_figures_provenance_names_what_is_looked_at(
    open_page: Open, made_up: CollectionFolder
) -> None:
    app = open_page("summary", measure="P(rel=2)@3", b="bm25", open="baseline")
    line = "python -m core.compare table made-up --measures 'P(rel=2)@3' --baseline bm25"
    assert line in [code.value for code in app.code]


def test_published_figures_stand_apart_with_what_was_measured(
    open_page: Open, made_up: CollectionFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = "this collection is compared with none"
    assert alone in texts(open_page("summary", open="published")).replace("\\", "")
    settings = read_manifest(made_up.bm25("bm25")).settings
    same = {name: settings[name] for name in ("k1", "b", "stop_words")} | {"lengths": "exact"}
    published = [
        Published("<b>ours</b>", "Anserini", {"nDCG@10": 0.5, "AP": 0.25}, bm25=same),
        Published("SPLADE++", "Pyserini", {"nDCG@10": 0.7109}),
    ]
    monkeypatch.setattr("dashboard.views.summary.configurations.published_figures", lambda facts: published)
    covid = {"documents": 171332, "topics": 50, "judgments": 66334}
    others = exercise_table(covid, "covid")
    monkeypatch.setattr("dashboard.views.summary.configurations.exercise_table", lambda facts, name: others)
    app = open_page("summary", open="published")
    assert alone not in texts(app)
    assert "The exercise by others" in texts(app)
    assert len(frame(app, "source", "nDCG@10")) == len(others.figures)
    table = frame(app, "measured", "published")
    assert list(table.index) == ["BM25", "BM25"]  # the expanded system has another configuration
    assert list(table["published"]) == [0.5, 0.25]
    assert list(table["difference"]) == pytest.approx(list(table["measured"] - table["published"]))
    context = next(one.value for one in app.dataframe if "published: SPLADE++" in one.value.index)
    assert context.loc["published: SPLADE++", "nDCG@10"] == 0.7109
    assert pd.isna(context.loc["published: SPLADE++", "AP"])
    assert "SPLADE++: Pyserini" in texts(app).replace("\\", "")
    assert "SPLADE++" not in str(main_table(app).index)


def test_a_bm25_far_from_the_published_one_is_warned_of(
    open_page: Open, made_up: CollectionFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = mean(results.values(data.open_collection("made-up"), "nDCG@10")["bm25"])
    for published, far in ((measured * 1.1, False), (measured * 2, True), (measured / 2, True)):
        known = [Published("bm25s", "somewhere", {"nDCG@10": published})]
        monkeypatch.setattr("dashboard.views.summary.page.published_figures", lambda facts, known=known: known)
        said = warnings(open_page("summary")).replace("\u2060", "")
        assert (f"BM25 has nDCG@10 {measured:.4f}, far from the published {published:.4f}" in said) == far


def test_the_configuration_of_the_systems_is_shown(open_page: Open, made_up: CollectionFolder) -> None:
    table = frame(open_page("summary", open="systems"), "k1", "stemmer")
    assert list(table["k1"]) == ["1.5", "1.5"]
    assert list(table["predicted queries"].fillna(0)) == [0, 3]


# Tables


def test_the_comparison_table_holds_what_the_comparison_found() -> None:
    table, found = comparison_tables.against_baseline({"a": A, "b": B}, "b")
    expected = compare(A, B)
    assert found == {"a": expected}
    assert table.loc["a", "difference"] == expected.difference
    assert table.loc["a", "Holm t-test"] == pytest.approx(expected.p_t_test), "one comparison needs no correction"
    assert table.loc["b"].isna()["difference":].all()
    readable = comparison_tables.readable(table)
    assert readable.loc["a", "wins/ties/losses"] == "1/1/1"
    assert readable.loc["b", "wins/ties/losses"] == table_formats.MISSING


def test_letters_stand_at_what_is_significantly_better() -> None:
    low = {str(i): i / 100 for i in range(12)}
    high = {topic: value + 0.5 + i / 1000 for i, (topic, value) in enumerate(low.items())}
    table = comparison_tables.with_letters({"AP": {"low": low, "high": high, "again": dict(high)}}, "randomisation")
    assert list(table["letter"]) == ["a", "b", "c"]
    assert list(table["AP"]) == ["0.0550", "0.5605ᵃ", "0.5605ᵃ"]


def many_systems(count: int) -> dict[str, dict[str, float]]:
    """Systems of which each is far better than the one before on each of 12 topics."""
    return {f"s{n}": {str(i): n / count + i * n * 37 % 101 / 100_000 for i in range(12)} for n in range(count)}


@pytest.mark.parametrize("count", [25, 26, 33])
def test_more_systems_than_letters_are_counted(count: int) -> None:
    table = comparison_tables.with_letters({"AP": many_systems(count)}, "t-test")
    assert ("letter" in table) == (count <= 25)
    if count > 25:
        assert [int(cell.split("(")[1].rstrip(")")) for cell in table["AP"]] == list(range(count))
    else:
        assert table["AP"].str.len().tolist() == [6 + n for n in range(count)]


def test_the_caption_says_what_stands_in_the_cells(
    open_page: Open, made_up: CollectionFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    captions = []
    monkeypatch.setattr("dashboard.shared.export.downloads", lambda table, *rest: captions.append(table.caption))
    shown = texts(open_page("summary", cells="letters"))
    assert "Superscript letters" in shown
    assert "With 3 topics, the smallest p that the randomisation test can give is 0.25" in shown
    monkeypatch.setattr("core.evaluation.comparison_tables.LETTERS", "a")
    app = open_page("summary", cells="letters")
    assert "letter" not in texts(app).lower().split("p:")[0].replace("letters", "")
    explained = "In parentheses: the number of the other 1 systems that it is significantly better than (paired t-test"
    assert explained in texts(app)
    assert main_table(app)["AP"].str.fullmatch(r"[01]\.\d{4} \([01]\)").all()
    assert any("In parentheses" in caption for caption in captions), "so does the table for a paper"


@pytest.mark.parametrize("topics", [1, 2])
def test_one_topic_or_two_leave_the_page_standing(
    open_page: Open, made_up: CollectionFolder, tmp_path: Path, topics: int
) -> None:
    numbers = range(1, topics + 1)
    (tmp_path / "qrels").write_text("".join(f"{topic} 0 d{topic} 1\n" for topic in numbers))
    for name, first in (("x", "d1"), ("y", "d2")):
        lines = [f"{topic} Q0 {first} 1 1.0 t\n" for topic in numbers]
        (tmp_path / f"{name}.run").write_text("".join(lines))
    import_runs(made_up.workspace.collection("few"), [tmp_path / "x.run", tmp_path / "y.run"], tmp_path / "qrels")
    for cells in ("means", "intervals", "letters"):
        app = open_page("summary", collection="few", cells=cells, open="measures,conclusion,cost,curve")
        assert list(main_table(app).index) == ["x", "y"]
        assert frame(app, "RR")["RR"].astype(str).str.startswith(("1", "0")).all()
    if topics == 2:
        assert not app.warning
        assert headline(app) == "y vs x: +0.0000 AP, not significant", "their lists are shorter than nDCG's cut-off"
        assert "x and y are tied for the highest mean AP" in texts(app).replace("\\", "").replace("\u2060", "")


# Exports


HOSTILE = pd.DataFrame(
    {"nDCG@10": ["0.5258ᵇᶜ", "0.6000"], "95 % CI of difference": ["-0.016 to +0.033", "–"]},
    index=pd.Index(["a_b & 50 % $y$ \\input{/etc/passwd} #^~", "x|<b>\nnext"], name="system"),
)


def test_latex_is_booktabs_and_escapes_what_is_foreign() -> None:
    text = table_formats.latex(HOSTILE, "a_b & \\input{x}")
    for part in ("\\toprule", "\\midrule", "\\bottomrule", "\\begin{tabular}{lrr}", "% \\usepackage{booktabs}"):
        assert part in text
    assert (
        "a\\_b \\& 50 \\% \\$y\\$ \\textbackslash{}input\\{/etc/passwd\\} \\#\\textasciicircum{}\\textasciitilde{}"
        in text
    )
    assert "\\caption{a\\_b \\& \\textbackslash{}input\\{x\\}}" in text
    assert "\nsystem & nDCG@10 & 95 \\% CI of difference \\\\\n" in text, "the corner names the rows"
    assert "0.5258$^{\\mathrm{bc}}$ & $-$0.016 to +0.033" in text
    assert not re.search(r"\\input|–", text)


def test_markdown_keeps_its_columns_whatever_the_names() -> None:
    lines = table_formats.markdown(HOSTILE).splitlines()
    assert lines[0] == "| system | nDCG@10 | 95 % CI of difference |"
    assert all(len(re.findall(r"(?<!\\)\|", line)) == 4 for line in lines)
    assert len(lines) == 4


def test_a_picture_is_vector_graphics_or_pixels(open_page: Open, made_up: CollectionFolder) -> None:
    for form in ("svg", "png"):
        configs = [
            json.loads(chart.proto.config)
            for chart in open_page("summary", picture=form, open="types").get("plotly_chart")
        ]
        assert {config["toImageButtonOptions"]["format"] for config in configs} == {form}


# Charts


def test_latencies_of_an_older_procedure_say_so_with_the_command(open_page: Open, made_up: CollectionFolder) -> None:
    assert OLDER_TIMING not in texts(open_page("summary", open="cost"))
    run = (made_up / "runs" / "bm25" / "run.trec").read_text()
    inputs = read_manifest(made_up.run("bm25")).inputs
    with writing(made_up.run("bm25"), "search", {}, inputs, {"median_milliseconds": 33.0}) as partial:
        (partial / "run.trec").write_text(run)
    said = texts(open_page("summary", open="cost")).replace("\\", "")
    command = "measure it again with `python scripts/build.py --profile artifacts/made-up/profile.json`"
    assert said.count(f"Latency of BM25: {OLDER_TIMING}; {command}") == 2, "below the table and below the costs"


def test_the_cost_chart_leaves_out_what_is_unknown() -> None:
    table = pd.DataFrame(
        {"mean": 0.5, "low": 0.4, "high": 0.6, charts.LATENCY: [1.0, None], INDEX_SIZE: [2.0, 3.0]}, ["a", "b"]
    )
    latency, size = (charts.cost(table, {"a": "<b>A</b>"}, "AP", cost) for cost in (charts.LATENCY, INDEX_SIZE))
    assert [(trace.name, list(trace.x)) for trace in latency.data] == [("&lt;b&gt;A&lt;/b&gt;", [1.0])]
    assert [(trace.name, list(trace.x)) for trace in size.data] == [("&lt;b&gt;A&lt;/b&gt;", [2.0]), ("b", [3.0])]


def test_many_systems_still_look_different() -> None:
    curves = pd.DataFrame({str(i): [0.5] for i in range(20)}, index=["0.0"])
    looks = [(t.line.color, t.line.dash, t.marker.symbol) for t in charts.precision_recall(curves, {}).data]
    assert len(set(looks)) == 20


def test_costs_of_different_orders_of_magnitude_have_a_logarithmic_axis() -> None:
    assert charts.cost_axis(pd.Series([0.07, 12.0]))["type"] == "log"
    for costs in ([1.0, 9.0], [0.0, 12.0], [float("nan")], []):
        assert charts.cost_axis(pd.Series(costs, dtype=float)) == {"rangemode": "tozero"}
