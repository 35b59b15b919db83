"""The server as it is started: for this machine alone, and for pages of its own alone."""

import socket
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from dashboard.streamlit_internals import messages

pytestmark = pytest.mark.slow
BackMsg, ForwardMsg = messages()


def status_of(url: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str]]:
    """Return the status and the headers that a request is answered with."""
    request = urllib.request.Request(url, method=method, headers={k.replace("_", "-"): v for k, v in headers.items()})
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, {k.lower(): v for k, v in answer.headers.items()}
    except urllib.error.HTTPError as error:
        return error.code, {k.lower(): v for k, v in error.headers.items()}


def test_it_listens_on_this_machine_alone(address: str) -> None:
    port = int(address.rsplit(":", 1)[1])
    if not Path("/proc/net/tcp").exists():
        pytest.skip("only Linux tells where a server listens")
    listening = set()
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        for line in table.read_text().splitlines()[1:] if table.exists() else []:
            _, local, _, state = line.split()[:4]
            host, of_port = local.split(":")
            if state == "0A" and int(of_port, 16) == port:
                listening.add(host)
    local = {f"{int.from_bytes(socket.inet_aton('127.0.0.1'), 'little'):08X}", "0" * 24 + "01000000"}
    assert listening
    assert listening <= local


def stream(address: str, **options: object):
    return connect(f"ws{address.removeprefix('http')}/_stcore/stream", subprotocols=["streamlit"], **options)


def test_a_page_of_another_site_cannot_open_a_session(address: str) -> None:
    port = address.rsplit(":", 1)[1]
    with stream(address, origin=address):
        pass
    with pytest.raises(InvalidStatus):
        stream(address, origin="http://evil.example")
    # A name of that site that leads to this machine: its pages are then of the same origin as the server.
    rebound = socket.create_connection(("localhost", int(port)))
    with pytest.raises(InvalidStatus):
        connect(f"ws://evil.example:{port}/_stcore/stream", sock=rebound, origin=f"http://evil.example:{port}")


FOREIGN = ["http://localhost:9999", "http://127.0.0.1:9999", "http://localhost", "http://evil.example", "null", "x", ""]


@pytest.mark.parametrize("origin", FOREIGN)
def test_a_page_of_another_port_cannot_open_a_session_nor_ask_anything(address: str, origin: str) -> None:
    with pytest.raises(InvalidStatus):
        stream(address, additional_headers={"Origin": origin})
    for path in ("/", "/_stcore/health", "/_stcore/host-config", "/process-id"):
        status, headers = status_of(address + path, Origin=origin)
        assert status == 403
        assert "access-control-allow-origin" not in headers


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "localhost.evil.example", "localhost@evil.example"]
)
def test_another_name_of_this_machine_is_refused(address: str, host: str) -> None:
    host = host.format(port=address.rsplit(":", 1)[1])
    for path in ("/", "/_stcore/health", "/_stcore/host-config"):
        assert status_of(address + path, Host=host)[0] == 403
        assert status_of(address + path, Host=host, Origin=f"http://{host}")[0] == 403


def test_its_own_pages_and_programs_are_answered(address: str) -> None:
    port = address.rsplit(":", 1)[1]
    for host in (f"localhost:{port}", f"127.0.0.1:{port}"):
        assert status_of(f"{address}/", Host=host)[0] == 200
        assert status_of(f"{address}/", Host=host, Origin=f"http://{host}")[0] == 200
    with stream(address):
        pass


def test_an_upload_needs_the_token_of_a_page(address: str) -> None:
    status, _ = status_of(f"{address}/_stcore/upload_file/session/file", "PUT")
    assert status == 403


def test_the_interface_for_programs_is_off(address: str) -> None:
    status, _ = status_of(f"{address}/_stcore/agent/interact", "POST")
    assert status >= 400


@pytest.mark.parametrize("path", ["/../README.md", "/app/static/../../README.md", "/%2e%2e/%2e%2e/etc/passwd"])
def test_files_of_the_project_are_not_served(address: str, path: str) -> None:
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as raw:
        raw.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\n\r\n".encode())
        answer = b""
        while piece := raw.recv(65536):
            answer += piece
    assert b"RankScope answers" not in answer
    assert b"root:" not in answer


def test_no_usage_is_told_to_anyone(address: str) -> None:
    with stream(address) as tab:
        ask = BackMsg()
        ask.rerun_script.query_string = ""
        tab.send(ask.SerializeToString())
        message = ForwardMsg()
        while message.WhichOneof("type") != "new_session":
            content = tab.recv(timeout=30)
            message.ParseFromString(content)
    assert message.new_session.config.gather_usage_stats is False


@pytest.mark.parametrize("name", ["summary", "overview"])
def test_the_names_of_the_first_page_lead_to_the_root_with_their_parameters(address: str, name: str) -> None:
    with urllib.request.urlopen(f"{address}/{name}?collection=a%20b&measure=P%4010", timeout=20) as answer:
        assert answer.url == f"{address}/?collection=a%20b&measure=P%4010"
