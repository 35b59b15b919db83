"""The dashboard's web server: Streamlit's, behind a check of the Host and Origin headers.

python -m streamlit run dashboard/server.py
"""

import os
import sys
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from threading import Thread

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # `dashboard` is found however this was started

import streamlit as st
from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from dashboard.shared.links import PAGES
from dashboard.streamlit_internals import is_host_allowed

FIRST_PAGE = (PAGES[0].name, "overview")
"""Addresses of the first page, in use and in older links, that Streamlit does not know: it is at the root."""


EARLY = (
    "core.evaluation.results",
    "core.evaluation.comparison_tables",
    "plotly.graph_objects",
)
"""What the first page imports, which takes a second."""


def import_early() -> None:
    """Import what the first page needs, while a browser still loads the dashboard's scripts."""
    with suppress(ImportError):  # the page says what is wrong
        for name in EARLY:
            import_module(name)


class SameOrigin:
    """Rejects cross-origin requests, including WebSockets.

    Streamlit checks only the Host of WebSockets, and lets pages served from any port of this machine open them. Here
    the Host of every request must be in `server.allowedHosts`. The Origin, which a browser sends with every WebSocket
    and every request that may change state, must be the dashboard's own or in `server.corsAllowedOrigins`. Requests
    without an Origin, as sent by command-line clients, are accepted.
    """

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer 403."""
        if scope["type"] not in ("http", "websocket") or is_allowed(Headers(scope=scope)):
            await self.app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})  # before it is accepted, so the response is 403
        else:
            await PlainTextResponse("Forbidden: host or origin not allowed\n", 403)(scope, receive, send)


def is_allowed(headers: Headers) -> bool:
    """Tell whether a request's Host is allowed, and its Origin is the same host or allowed as well."""
    host = headers.get("host", "").lower()
    allowed = {f"http://{host}", f"https://{host}", *st.get_option("server.corsAllowedOrigins")}
    return is_host_allowed(host) and allowed.issuperset(headers.getlist("origin"))


async def process_id(_request: Request) -> Response:
    """Return the server's process id, so that the program that started it can tell it from another server."""
    return PlainTextResponse(str(os.getpid()))


async def first_page(request: Request) -> Response:
    """Redirect to the root, with the query parameters."""
    return RedirectResponse(f".{'?' if request.url.query else ''}{request.url.query}")


app = st.App(
    Path(__file__).with_name("app.py"),
    routes=[Route("/process-id", process_id), *(Route(f"/{name}", first_page) for name in FIRST_PAGE)],
    middleware=[Middleware(SameOrigin)],
)

Thread(target=import_early, daemon=True).start()
