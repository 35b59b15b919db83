"""The Search page: live answers, fusion, judgments by hand, hostile queries."""

import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from html import escape
from pathlib import Path

import ir_measures
import pytest
from made_up import EXPANSIONS, HOSTILE_QUERY, HOSTILE_TEXT, HOSTILE_TITLE, Open, lists, warnings
from stages import make
from streamlit.testing.v1 import AppTest

from core import search
from core.formats.qrels import read_qrels
from core.formats.runs import ranked, read_run
from core.retrieval.answer import Answer
from core.retrieval.fusion import reciprocal_rank_fusion
from core.workspace.artifacts import writing
from core.workspace.command_line import save_profile
from core.workspace.profile import SystemSettings, read_profile
from core.workspace.timing import repeated
from core.workspace.workspace import CollectionFolder
from dashboard.shared import data, live
from dashboard.shared.ranked_lists import Hit, grade_badge, ranked_list
from dashboard.views.search import answers, judging
from dashboard.views.search.answer_columns import latency_text, measured_text
from dashboard.views.search.answers import DEPTH, Latency, in_batches, measure_latency


def unmarked(app: AppTest) -> list[str]:
    """The HTML of each column's list, without the marks of the query's terms."""
    return [re.sub("</?mark>", "", html) for html in lists(app)]


def documents(html: str) -> list[str]:
    return re.findall(r">document ([^<]*)<", html)


def chips(html: str) -> list[list[str]]:
    """The chips of each row."""
    return [
        re.findall(r'class="rs-chip(?: [^"]*)?"[^>]*>([^<]*)<', row)
        for row in re.findall('<summary><span class="rs-lead">.*?</summary>', html)
    ]


def texts(app: AppTest) -> str:
    parts = [app.markdown, app.caption, app.info, app.warning, app.text]
    return "\n".join([*unmarked(app), *(str(element.value) for elements in parts for element in elements)])


def ranking(folder: CollectionFolder, system: str, topic: str) -> list[str]:
    return [name for name, _ in ranked(read_run(folder / "runs" / system / "run.trec").scores[topic])]


def test_search_answers_as_the_run_does(open_page: Open, made_up: CollectionFolder) -> None:
    app = open_page("search", query="Do masks help in SCHOOLS?", systems="bm25")
    assert documents(unmarked(app)[0]) == ranking(made_up, "bm25", "02")
    assert "This query is topic 02." in texts(app)
    assert re.search(r"score [\d.]+ = [\d.]+ \(", texts(app))
    link = next(link.proto for link in app.get("page_link") if link.proto.label == "Open the topic")
    assert "topic=02" in link.query_string


def with_fusion(folder: CollectionFolder, *of: str) -> None:
    """Add a fusion to a collection, with its run."""
    profile = read_profile(str(folder.profile))
    hybrid = SystemSettings(name="hybrid", kind="fusion", label="Hybrid", of=list(of))
    profile = profile.model_copy(update={"system": [*profile.system, hybrid]})
    save_profile(profile, folder)
    if "dense" not in of:
        make(search.STAGE, profile, folder, hybrid)


def test_a_fusion_answers_as_its_run_does_and_says_what_each_system_adds(
    open_page: Open, made_up: CollectionFolder
) -> None:
    with_fusion(made_up, "expanded", "bm25")
    app = open_page("search", query="Do masks help in SCHOOLS?", systems="hybrid")
    assert documents(unmarked(app)[0]) == ranking(made_up, "hybrid", "02")
    assert "score 0.0325 = 0.0164 (BM25 + &lt;b&gt;queries&lt;/b&gt;, rank 1) + 0.0161 (BM25, rank 2)" in texts(app)


def test_a_fusion_waits_for_the_systems_that_it_is_made_of(open_page: Open, made_up: CollectionFolder) -> None:
    with_fusion(made_up, "dense", "bm25")
    app = open_page("search", query="masks")
    assert re.search("Hybrid: .*vectors/dense is missing", warnings(app))
    assert "document d4" in texts(app)


def test_search_shows_why_a_system_cannot_answer_and_the_others_do(open_page: Open, made_up: CollectionFolder) -> None:
    app = open_page("search", query="masks")
    assert "vectors/dense is missing" in warnings(app)
    assert "document d4" in texts(app)
    assert escape(EXPANSIONS["d5"][1]) in texts(app)


def test_a_dense_system_answers_with_its_latency_split(
    open_page: Open, made_up: CollectionFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    class Dense:
        def search(self, queries: list[str], k: int | list[int]) -> list[Answer]:
            depth = k if isinstance(k, int) else k[0]
            asked.append((queries[0], depth))
            return [Answer([("d4", 0.75), ("d1", 0.5)][:depth], {"encode": 0.012, "search": 0.0005})]

    with writing(made_up.vectors("dense"), "encode", {}, {}):
        pass
    monkeypatch.setattr("core.workspace.models.find_model", lambda workspace, name: made_up.path)
    monkeypatch.setattr("core.retrieval.kinds.open_system", lambda *arguments, **opened: Dense())
    app = open_page("search", query="do masks help in schools?", systems="dense", hits="5")
    assert asked[-1] == ("do masks help in schools?", DEPTH)
    assert "12.5 ms (encoding 12.0 ms)" in texts(app)
    assert "score 0.750" in texts(app)
    open_page("search", query="masks", systems="dense")
    assert [query for query, _ in asked].count("the first query waits for what loads late") == 1, "it is opened once"


def test_a_page_never_downloads_a_model(
    open_page: Open, made_up: CollectionFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    with writing(made_up.vectors("dense"), "encode", {}, {}):
        pass
    monkeypatch.setattr("core.workspace.models.find_model", lambda workspace, name: None)
    app = open_page("search", query="masks", systems="dense")
    assert "such-a-model is not on this machine" in warnings(app)


def test_typing_a_query_writes_it_to_the_url(open_page: Open, made_up: CollectionFolder) -> None:
    app = open_page("search")
    assert "Type a query" in app.info[0].value
    app.text_input[0].input("fever   cough")
    app.button[0].click().run()
    assert app.query_params["query"] == "fever cough"
    assert "document d3" in texts(app)
    app.text_input[0].input("   ")
    app.button[0].click().run()
    assert "query" not in app.query_params
    assert "Type a query" in app.info[0].value


def test_an_example_is_searched(open_page: Open, made_up: CollectionFolder) -> None:
    app = open_page("search", systems="bm25")
    app.button(key="example 02").click().run()
    assert app.query_params["query"] == "Do masks help in schools?", "the text that the runs searched"
    assert documents(unmarked(app)[0]) == ranking(made_up, "bm25", "02")
    assert not [button for button in app.button if button.key == "example 02"]


def test_no_hits_and_an_endless_query(open_page: Open, made_up: CollectionFolder) -> None:
    assert "No query term occurs in the index" in texts(open_page("search", query="zzz", systems="bm25"))
    app = open_page("search", systems="bm25")
    app.text_input[0].input("fever 熱 " * 1500)
    app.button[0].click().run()
    assert not app.exception
    assert "too long for a URL" in texts(app)
    assert "Only the first 10,000 of 11,999 characters" in texts(app)
    assert "document d3" in texts(app)


# All at once


class Fake:
    """A system that answers when `ready` says so, and says when it was asked."""

    def __init__(self, ready: threading.Event):
        self.ready, self.asked = ready, threading.Event()

    def search(self, queries: list[str], k: int | list[int]) -> list[Answer]:
        self.asked.set()
        assert self.ready.wait(10)
        return [Answer([("d1", 1.0)], {"search": 0.001})]


def test_a_fast_system_does_not_wait_for_a_slow_one(monkeypatch: pytest.MonkeyPatch) -> None:
    slow, fast = Fake(threading.Event()), Fake(threading.Event())
    ready = {"slow": live.Ready(slow, threading.Lock()), "fast": live.Ready(fast, threading.Lock())}
    monkeypatch.setattr(live, "ready_system", lambda opened, settings: ready[settings.name])
    systems = [SystemSettings(name=name, kind="dense", model="m") for name in ready]
    coming = in_batches(None, systems, "q", 0)
    threading.Thread(target=lambda: slow.asked.wait(10) and fast.ready.set()).start()  # both must have been asked
    assert set(next(coming)) == {"fast"}
    slow.ready.set()
    assert set(next(coming)) == {"slow"}
    assert next(coming, None) is None


def test_systems_that_answer_at_once_are_drawn_together(monkeypatch: pytest.MonkeyPatch) -> None:
    at_once = threading.Event()
    at_once.set()
    monkeypatch.setattr(live, "ready_system", lambda opened, settings: live.Ready(Fake(at_once), threading.Lock()))
    systems = [SystemSettings(name=name, kind="dense", model="m") for name in ("one", "two", "three")]
    assert [set(batch) for batch in in_batches(None, systems, "q", 0)] == [{"one", "two", "three"}]


class Slow:
    """A system that notes when it is asked beside another one, and takes longer then."""

    at_work: list[str] = []

    def __init__(self, name: str, seconds: list[float]):
        self.name, self.seconds = name, iter(seconds)
        self.times: list[float] = []

    def search(self, queries: list[str], k: int | list[int]) -> list[Answer]:
        beside = bool(Slow.at_work)
        Slow.at_work.append(self.name)
        time.sleep(0.005)
        Slow.at_work.remove(self.name)
        self.times.append(9.0 if beside else next(self.seconds))
        return [Answer([("d1", 1.0)], {"encode": self.times[-1], "search": 0.0})]


def test_latencies_are_measured_one_system_at_a_time_and_are_medians(monkeypatch: pytest.MonkeyPatch) -> None:
    """In sessions that ask at the same time, too; each system's median is known: (1, 2, 3, 4, 5) after a warm-up."""
    systems = [SystemSettings(name=name, kind="dense", model="m") for name in ("one", "two", "three")]
    ready = {s.name: live.Ready(Slow(s.name, [50, 1, 5, 2, 4, 3] * 2), threading.Lock()) for s in systems}
    monkeypatch.setattr(live, "ready_system", lambda opened, settings: ready[settings.name])
    with ThreadPoolExecutor(6) as pool:
        measured = list(pool.map(lambda s: measure_latency(None, s, "q"), systems * 2))
    assert [latency and (latency.seconds, latency.times) for latency in measured] == [
        ({"encode": 3, "search": 0.0}, 5)
    ] * 6


def test_a_slow_system_is_measured_once_more_and_a_busy_one_not_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = SystemSettings(name="one", kind="dense", model="m")
    system = Slow("one", [7.0])
    monkeypatch.setattr(live, "ready_system", lambda opened, settings: live.Ready(system, threading.Lock()))
    monkeypatch.setattr("dashboard.views.search.answers.repeated", partial(repeated, budget=0.001))
    latency = measure_latency(None, settings, "q")
    assert latency == Latency({"encode": 7.0, "search": 0.0}, 1)
    assert latency_text(latency) == "7,000 ms (encoding 7,000 ms)"
    assert measured_text(latency).startswith("One search of the top 100")
    assert latency_text(Latency({"search": 0.1, "rerank": 0.4}, 5)) == "500 ms (re-ranking 400 ms)"
    latency = Latency({"search": 0.000052}, 5)
    assert latency_text(latency) == "0.052 ms"
    assert measured_text(latency).startswith("Median of 5 searches")
    monkeypatch.setattr("dashboard.views.search.answers.PATIENCE_SECONDS", 0.01)
    with live.TIMING:
        assert measure_latency(None, settings, "q") is None


def test_lists_are_there_before_a_latency_is_measured(
    open_page: Open, made_up: CollectionFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = []
    monkeypatch.setattr(
        "dashboard.views.search.answer_columns.compact_list", lambda *a, **k: events.append("list") or "<p>list</p>"
    )
    monkeypatch.setattr(
        "dashboard.views.search.answer_columns.measure_latency",
        lambda *arguments: events.append("latency") or Latency({}, 1),
    )
    monkeypatch.setattr(judging, "draw_pool", lambda *arguments: events.append("judging"))
    open_page("search", query="masks fever", systems="bm25,expanded", fused="on", judge="on")
    assert events == ["list", "list", "list", "judging", "latency", "latency"]


def test_the_fused_column_is_the_fusion_of_the_others(open_page: Open, made_up: CollectionFolder) -> None:
    app = open_page("search", query="masks fever", systems="bm25,expanded", fused="on")
    one, other, fused = map(documents, unmarked(app))
    assert fused == [document for document, _ in reciprocal_rank_fusion([one, other])]
    ranks = (f"A\u00a0{one.index(fused[0]) + 1}", f"B\u00a0{other.index(fused[0]) + 1}")
    assert all(chip.startswith(rank) for chip, rank in zip(chips(unmarked(app)[2])[0], ranks, strict=True))
    next(toggle for toggle in app.toggle if toggle.label == "Fuse (RRF)").set_value(False).run()
    assert len(unmarked(app)) == 2
    assert "fused" not in app.query_params


def test_fusion_goes_deeper_than_what_is_shown(open_page: Open, made_up: CollectionFolder) -> None:
    every = open_page("search", query="masks fever cough", systems="bm25,expanded", fused="on", hits="50")
    few = open_page("search", query="masks fever cough", systems="bm25,expanded", fused="on", hits="5")
    scores = [re.findall(r"score ([\d.]+)", unmarked(app)[2])[:5] for app in (every, few)]
    assert scores[0] == scores[1]


def test_earlier_queries_of_the_session_are_asked_again(open_page: Open, made_up: CollectionFolder) -> None:
    app = open_page("search", query="masks")
    assert not [box for box in app.selectbox if box.key == "earlier query"]
    for query in ("fever", "cough", "fever"):
        app.text_input[0].input(query)
        app.button[0].click().run()
    box = app.selectbox(key="earlier query")
    assert box.options == ["cough", "masks"]
    box.select("masks").run()
    assert app.query_params["query"] == "masks"
    assert app.selectbox(key="earlier query").options == ["fever", "cough"]


def test_imported_runs_are_not_asked(open_page: Open, made_up: CollectionFolder) -> None:
    profile = read_profile(str(made_up / "profile.json"))
    foreign = SystemSettings(name="foreign", kind="run")
    save_profile(profile.model_copy(update={"system": [foreign, *profile.system]}), made_up)
    app = open_page("search", query="masks")
    assert set(app.multiselect[0].options) == {"BM25", "BM25 + <b>queries</b>"}
    assert "foreign: an imported run, which has no index" in warnings(app)


# Compared


def test_rows_have_the_rank_in_the_other_lists(open_page: Open, made_up: CollectionFolder) -> None:
    app = open_page("search", query="fever in schools", systems="bm25,expanded", hits="5", a="bm25")
    one, other = map(documents, unmarked(app))
    assert one != other
    for rank, (document, row) in enumerate(zip(other, chips(unmarked(app)[1]), strict=True), 1):
        if document not in one:
            assert row == ["new", "A\u00a0–"]
            continue
        places = one.index(document) + 1 - rank
        change = f"\u00a0({places:+})".replace("-", "−") if places else ""
        assert row == [f"A\u00a0{one.index(document) + 1}{change}"]
    assert f"**{len(set(one) & set(other))} of {max(len(one), len(other))}** shared by all" in texts(app)


def test_a_document_that_others_have_further_down_is_new() -> None:
    others = {"b": ("B", "BM25", {"d1": 1, "d2": 11}), "c": ("C", "Dense", {"d2": 40})}
    assert [chip.text for chip in answers.chips("d2", 3, others, 10)] == [
        "new",
        "B\u00a011\u00a0(+8)",
        "C\u00a040\u00a0(+37)",
    ]
    assert [chip.text for chip in answers.chips("d1", 2, others, 10)] == ["B\u00a01\u00a0(−1)", "C\u00a0–"]
    assert answers.chips("d1", 2, {}, 10) == []


def test_only_differences_folds_what_all_lists_have(open_page: Open, made_up: CollectionFolder) -> None:
    app = open_page("search", query="fever in schools", systems="bm25,expanded")
    lists_before = list(map(documents, unmarked(app)))
    shared = set.intersection(*map(set, lists_before))
    assert "rs-shared" not in "".join(unmarked(app))
    next(toggle for toggle in app.toggle if toggle.label == "Only differences").set_value(True).run()
    assert app.query_params["differences"] == "on"
    for html, before in zip(unmarked(app), lists_before, strict=True):
        assert documents(html) == before
        folds = re.findall(r'<li class="rs-shared">.*?</ol></div></details></li>', html, re.DOTALL)
        assert {document for fold in folds for document in documents(fold)} == shared


def test_the_columns_of_a_topic_have_the_value_of_its_run(open_page: Open, made_up: CollectionFolder) -> None:
    app = open_page("search", query="Do masks help in schools?", systems="bm25,expanded", a="bm25")
    qrels = read_qrels(made_up / "collection" / "qrels" / "test.tsv")
    for system in ("bm25", "expanded"):
        run = read_run(made_up / "runs" / system / "run.trec").scores
        measured = list(ir_measures.iter_calc([ir_measures.nDCG @ 10], qrels, run))
        value = next(one.value for one in measured if one.query_id == "02")
        assert f"nDCG@10 **{value:.4f}**" in texts(app)
    assert "nDCG@10" not in texts(open_page("search", query="masks help", systems="bm25"))


def test_for_the_title_of_a_topic_the_question_is_offered(open_page: Open, made_up: CollectionFolder) -> None:
    app = open_page("search", query="masks", systems="bm25")
    assert "This query is topic 02’s title; the runs searched its question:" in texts(app)
    assert documents(unmarked(app)[0]) != ranking(made_up, "bm25", "02")
    app.button(key="text of the runs").click().run()
    assert app.query_params["query"] == "Do masks help in schools?"
    assert documents(unmarked(app)[0]) == ranking(made_up, "bm25", "02")
    assert "This query is topic 02." in texts(app)


def test_systems_a_and_b_have_the_first_columns(open_page: Open, made_up: CollectionFolder) -> None:
    def columns(**parameters: str) -> list[str]:
        app = open_page("search", query="masks", **parameters)
        return [mark.value for mark in app.markdown if re.match(r"\*\*[A-Z] ", mark.value)]

    assert columns() == ["**A BM25 \\+ \\<b\\>queries\\<\\/b\\>**", "**B BM25**"]
    assert columns(a="bm25", b="expanded") == ["**A BM25**", "**B BM25 \\+ \\<b\\>queries\\<\\/b\\>**"]


def test_more_systems_than_columns_are_left_to_choose(
    open_page: Open, made_up: CollectionFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dashboard.views.search.page.COLUMNS", 1)
    app = open_page("search", query="masks")
    assert len(lists(app)) == 1
    app.multiselect[0].set_value(["bm25", "expanded"]).run()
    assert len(lists(app)) == 2
    assert app.query_params["systems"] == "bm25,expanded"


# What may be wrong with the query


def test_words_in_no_index_are_named_with_a_similar_one(open_page: Open, made_up: CollectionFolder) -> None:
    app = open_page("search", query="Feverr in schools: zzz", systems="bm25,expanded")
    assert "Not in any BM25 index: “Feverr”, “zzz”." in texts(app).replace("\\", "")
    app.button(key="corrected query").click().run()
    assert app.query_params["query"] == "fever in schools: zzz"
    assert "Not in any BM25 index: “zzz”." in texts(app).replace("\\", "")
    assert "Not in any BM25 index" not in texts(open_page("search", query="fever pupils", systems="bm25,expanded"))
    assert "Not in any BM25 index: “pupils”." in texts(open_page("search", query="fever pupils", systems="bm25"))


def test_text_that_an_english_model_does_not_know_is_said(
    open_page: Open, made_up: CollectionFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready = threading.Event()
    ready.set()
    dense = live.Ready(Fake(ready), threading.Lock())
    original = live.ready_system
    monkeypatch.setattr(live, "why_unavailable", lambda opened, settings: None)
    monkeypatch.setattr(live, "ready_system", lambda o, s: dense if s.kind == "dense" else original(o, s))
    said = "Models with an English vocabulary hardly know such text: Dense."
    app = open_page("search", query="covid 疫苗", systems="bm25,dense")
    assert f"“疫苗” is not English. {said}" in texts(app).replace("\\", "")
    app = open_page("search", query="helfen Masken in der Schule", systems="bm25,dense")
    assert f"This query does not seem to be English. {said}" in texts(app).replace("\\", "")
    assert not [button for button in app.button if button.key == "corrected query"]
    for query, systems in (("do masks help in schools", "bm25,dense"), ("covid 疫苗", "bm25")):
        assert "hardly know" not in texts(open_page("search", query=query, systems=systems))


# Judgments by hand


def test_judgments_are_exported_as_qrels_and_read_back(
    open_page: Open, made_up: CollectionFolder, tmp_path: Path
) -> None:
    app = open_page("search", query="Do masks help in schools?", systems="bm25,expanded", judge="on")
    first, second = (document for document, _ in reciprocal_rank_fusion(list(map(documents, unmarked(app))))[:2])
    app.button(key="grade 2").click().run()
    app.button(key="grade 0").click().run()
    assert "judged by you" in unmarked(app)[0]
    text = judgments_of(app)
    assert text == f"02 0 {first} 2\n02 0 {second} 0\n"
    (tmp_path / "mine.qrels").write_text(text)
    assert read_qrels(tmp_path / "mine.qrels") == {"02": {first: 2, second: 0}}

    app.button(key="forget").click().run()
    assert "judged by you" not in unmarked(app)[0]
    app.file_uploader[0].set_value(("mine.qrels", text.encode(), "text/plain")).run()
    assert judgments_of(app) == text
    assert "judged by you" in unmarked(app)[0]


def judgments_of(app: AppTest) -> str:
    from core.formats.qrels import trec_qrels

    return trec_qrels(app.session_state["judgments"]["made-up"])


def test_a_query_that_is_no_topic_is_judged_under_its_words(open_page: Open, made_up: CollectionFolder) -> None:
    app = open_page("search", query="Masks & <b>buses</b>", systems="bm25", judge="on")
    assert app.button(key="judge back").disabled
    app.button(key="judge on").click().run()
    app.button(key="grade 1").click().run()
    assert re.fullmatch(r"query-masks-b-buses-b 0 d\d 1\n", judgments_of(app))


def test_a_file_that_is_no_qrels_is_a_sentence_with_its_line(open_page: Open, made_up: CollectionFolder) -> None:
    app = open_page("search", query="masks", systems="bm25", judge="on")
    app.file_uploader[0].set_value(("my <b>.txt", b"02 0 d4 2\n02 0 d4\n", "text/plain")).run()
    assert "line 2: 3 columns, expected topic, iteration, document, grade" in warnings(app)


@pytest.mark.parametrize("query", ["", "???", "\U0001f637 \u200d", "x" * 10_000, "熱が ある"])
def test_the_name_of_a_judged_query_is_one_column_and_always_the_same(query: str) -> None:
    name = judging.topic_id(query, None)
    assert len(name.split()) == 1
    assert len(name) < 100
    assert name == judging.topic_id(query, None) != judging.topic_id(query + " y", None)


# Hostile queries and texts

HOSTILE = {
    "long": "x" * 10_000,
    "many words": "fever " * 2_000,
    "emoji": "fever \U0001f9d1\u200d\U0001f52c\U0001f637",
    "control characters": "fever\x00\x07\x1b[31m\u202e\ufeff\r\n",
    "html": '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script> fever',
    "markdown": "**fever** [x](javascript:alert(1)) `code` :smile: :red[red] # h",
    "latex": "$$\\frac{1}{0}$$ fever $x$",
    "surrogate-like": "fever \\ud800 %00 %F0%9F",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_queries_do_no_harm(open_page: Open, made_up: CollectionFolder, name: str) -> None:
    app = open_page("search", systems="bm25,expanded", fused="on", judge="on")
    app.text_input[0].input(HOSTILE[name])
    app.button[0].click().run()
    assert not app.exception
    assert name == "long" or "document d2" in texts(app)
    app.text_input[0].input("cough")
    app.button[0].click().run()
    assert not app.exception
    (earlier,) = app.selectbox(key="earlier query").options
    assert not re.search(r"[\x00-\x1f]", earlier)


def test_hostile_texts_are_escaped_in_every_part_of_a_hit(open_page: Open, made_up: CollectionFolder) -> None:
    app = open_page("search", query=HOSTILE_QUERY)
    assert escape(HOSTILE_TITLE) in texts(app)
    assert escape(HOSTILE_TEXT) in texts(app)
    assert "<mark>fever</mark>" in lists(app)[0]
    evil = '"><script>x</script>&'
    document = data.Document(evil, evil, evil)
    badge = grade_badge(2, 2)
    hits = [Hit(evil, document, 1, badge, 1.0, evil, [(evil, 1.0)], [evil]), Hit(evil, None, 2, badge, 1.0, evil)]
    html = ranked_list(hits, lambda text: [(0, 2)] if text else [], evil, evil, snippets=True)
    assert "<script" not in html
    plain = re.sub("</?mark>", "", html)
    assert plain.count(escape(evil)) == 11, "name, facts; title, snippet, note, terms, text, id, query; id, note"
