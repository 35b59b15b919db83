"""The parts of Streamlit outside its public API that the project uses; those of other libraries are in core.

| part | why | pinned | without it |
|---|---|---|---|
| `starlette_websocket.is_host_allowed` | checks hosts of all requests | 1.67.0 | `equals_allowed_host` |
| `proto.BackMsg_pb2`, `ForwardMsg_pb2` | sessions without a browser | 1.67.0 | none |
| `AppTest._page_hash`, `util.calc_hash` | opens pages that are functions in an AppTest | 1.67.0 | none |

tests/dashboard/test_streamlit_internals.py has a contract test for each. What the dashboard itself runs on has a
fallback; campaigns and tests stop.
"""

from typing import Any
from urllib.parse import urlsplit

import streamlit as st


def is_host_allowed(host: str) -> bool:
    """Say whether `server.allowedHosts` allows the Host header of a request, as Streamlit does for its WebSockets."""
    try:
        from streamlit.web.server.starlette import starlette_websocket

        return bool(starlette_websocket.is_host_allowed(host))
    except (ImportError, AttributeError):
        return equals_allowed_host(host)


def equals_allowed_host(host: str) -> bool:
    """Say whether a Host header is literally one of `server.allowedHosts`, with or without a port.

    Patterns such as "*.example.org" allow nothing; an empty list, or one with "*", allows every host.
    """
    allowed = [f"[{name}]" if ":" in name else name.lower() for name in st.get_option("server.allowedHosts")]
    try:
        port = urlsplit(f"//{host}").port
    except ValueError:
        return False
    return not allowed or "*" in allowed or host.lower().removesuffix(f":{port}") in allowed


def messages() -> tuple[type[Any], type[Any]]:
    """Return the classes of what a browser sends to the server (BackMsg) and of what it gets (ForwardMsg)."""
    from streamlit.proto.BackMsg_pb2 import BackMsg
    from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

    return BackMsg, ForwardMsg


def page_hash(page: str) -> str:
    """Return the hash by which Streamlit identifies a page, given its `url_path`."""
    from streamlit.util import calc_hash

    return str(calc_hash(page))


def go_to(app: Any, page: str) -> Any:
    """Let the next run of an AppTest draw a page; `AppTest.switch_page` finds only pages that are files."""
    app._page_hash = page_hash(page)
    return app
