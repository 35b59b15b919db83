"""Parts of Streamlit outside its public API: each is there, and the host check has a fallback that is as strict."""

import sys

import pytest
import streamlit as st
from hypothesis import example, given
from hypothesis import strategies as st_data

from dashboard import streamlit_internals
from dashboard.streamlit_internals import equals_allowed_host, is_host_allowed, messages, page_hash

MODULE = "streamlit.web.server.starlette.starlette_websocket"
ALLOWED = ["localhost", "127.0.0.1", "::1", "*.example.org"]


def allow(hosts: list[str], patch: pytest.MonkeyPatch) -> None:
    for module in ("streamlit", "streamlit.config"):
        patch.setattr(f"{module}.get_option", {"server.allowedHosts": hosts}.get)


@pytest.fixture(params=["the library's", "the fallback"])
def check(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch):
    allow(ALLOWED, monkeypatch)
    if request.param == "the fallback":
        monkeypatch.setitem(sys.modules, MODULE, None)
        monkeypatch.delattr("streamlit.web.server.starlette.starlette_websocket", raising=False)
    return is_host_allowed


@pytest.mark.parametrize("host", ["localhost", "localhost:8501", "LOCALHOST:8501", "127.0.0.1:80", "[::1]:8501"])
def test_a_host_of_the_list_is_allowed_with_any_port(host, check):
    assert check(host)


@pytest.mark.parametrize(
    "host", ["", "evil.example", "localhost.evil.example:8501", "evil.example/localhost", "[::1", "[localhost]:1"]
)
def test_another_host_is_refused(host, check):
    assert not check(host)


def test_contract_patterns_are_applied_by_streamlit_alone(monkeypatch):
    allow(ALLOWED, monkeypatch)
    assert is_host_allowed("a.example.org")
    assert not equals_allowed_host("a.example.org")


PARTS = [
    "localhost",
    "127.0.0.1",
    "[::1]",
    "::1",
    "*.example.org",
    ":",
    "8501",
    "99999",
    "0",
    "@",
    "/",
    "?",
    "a",
    ".",
    " ",
]


@given(st_data.lists(st_data.sampled_from(PARTS), max_size=4).map("".join))
@example("a@localhost")
@example("localhost:99999")
def test_the_fallback_allows_nothing_that_streamlit_refuses(host):
    with pytest.MonkeyPatch.context() as patch:
        allow(ALLOWED, patch)
        assert is_host_allowed(host) or not equals_allowed_host(host)


@pytest.mark.parametrize("hosts", [[], ["*"]])
def test_an_empty_list_and_a_star_allow_every_host(hosts, monkeypatch):
    allow(hosts, monkeypatch)
    assert is_host_allowed("evil.example")
    assert equals_allowed_host("evil.example")


def test_contract_messages_have_the_fields_of_a_session():
    to_server, from_server = messages()
    ask = to_server()
    ask.rerun_script.query_string, ask.rerun_script.page_script_hash = "collection=sample", page_hash("topic")
    again = to_server()
    again.ParseFromString(ask.SerializeToString())
    assert again.rerun_script.query_string == "collection=sample"
    kinds = {"navigation", "delta", "script_finished", "new_session"}
    assert kinds <= {field.name for field in from_server.DESCRIPTOR.oneofs_by_name["type"].fields}
    assert from_server.FINISHED_WITH_COMPILE_ERROR != from_server.FINISHED_EARLY_FOR_RERUN


def test_contract_an_app_test_draws_the_page_of_a_hash():
    def script():
        import streamlit as st

        pages = [
            st.Page(lambda: st.text("first"), url_path="first"),
            st.Page(lambda: st.text("other"), url_path="other"),
        ]
        st.navigation(pages).run()

    app = streamlit_internals.go_to(st.testing.v1.AppTest.from_function(script), "other").run()
    assert [text.value for text in app.text] == ["other"]
