#!/usr/bin/env python3
"""A stand-in for the hub, and for the servers of BEIR and of the course's triples, to rehearse downloads without them.

    python scripts/campaigns/hub_stand_in.py --models models/ --files downloads/             # serve until Ctrl-C
    python scripts/campaigns/hub_stand_in.py --models models/ --files downloads/ -- --profile trec-covid    # and build

Every folder of --models or --datasets is a repository: `sentence-transformers/all-MiniLM-L12-v2` is the subfolder of
that path, or else of that last name. The files in --files are `trec-covid.zip` and `msmarco_triples.train.tiny.tsv`.
Arguments after `--` are those of scripts/build.py, which then runs against the stand-in: models are stored in a cache
of its own (HF_HOME, unless it is set), and the sizes and MD5 of the files are expected in place of the published ones.

Served is what huggingface_hub uses to download a repository over plain HTTP: a revision's commit, the list of its files
page by page, and its files, small ones at the hub and large ones (LFS) at another host, with ranges.
"""

import argparse
import fnmatch
import hashlib
import io
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import MappingProxyType
from urllib.parse import parse_qs, quote, unquote, urlsplit

ROOT = Path(__file__).resolve().parents[2]
LARGE = 10 << 20
"""Size in bytes from which the hub stores any file with LFS."""
LFS_ENDINGS = (".bin", ".gz", ".h5", ".parquet", ".safetensors", ".zip")
PAGE = 1000
"""Files per page of a listing."""
PIECE = 1 << 16
TRIPLES = "msmarco_triples.train.tiny.tsv"
TO_REPOSITORY = re.compile(r"/(datasets/)?([^/]+/[^/]+|[^/]+)/resolve/([^/]+)/(.+)")
TO_API = re.compile(r"/api/(models|datasets)/([^/]+/[^/]+|[^/]+)/(revision|tree)/([^/]+)")
TO_STORED = re.compile(r"/(api/resolve-cache|lfs)/(models|datasets)/([^/]+/[^/]+|[^/]+)/([0-9a-f]{40})/(.+)")
BUILD = """
import runpy, sys
from core.formats import sources, triples
sources.BEIR_BYTES, sources.BEIR_MD5, triples.MSMARCO_TINY_BYTES = {sizes!r}, {digests!r}, {triples!r}
sys.argv[0] = "scripts/build.py"
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@dataclass
class Fault:
    """A fault of the requests whose path fits a pattern.

    Attributes:
        path: the pattern, with wildcards.
        status: the status to respond with; 0 for the file itself.
        cut: the number of bytes of a file after which the connection is closed; -1 for none.
        seconds: the pause after each piece of 64 KiB.
        times: the number of requests to which this happens; -1 for all.
    """

    path: str
    status: int = 0
    cut: int = -1
    seconds: float = 0.0
    times: int = -1


@dataclass
class Repository:
    """A repository: a folder whose current files are its only commit.

    Attributes:
        gated: the token of the only user with access; "" if anyone has access.
        private: whether the hub denies that the repository exists.
    """

    folder: Path
    gated: str = ""
    private: bool = False

    def files(self) -> dict[str, Path]:
        """Return the files by their path in the repository."""
        paths = (path for path in sorted(self.folder.rglob("*")) if path.is_file())
        return {path.relative_to(self.folder).as_posix(): path for path in paths}

    def commit(self) -> str:
        """Return the commit, 40 hexadecimal digits that change with any file."""
        listed = "".join(f"{name} {content_id(path)}\n" for name, path in self.files().items())
        return hashlib.sha1(listed.encode(), usedforsecurity=False).hexdigest()


def content_id(path: Path) -> str:
    """Return the SHA-256 of an LFS file, or git's SHA-1 of any other, as the hub does in ETags."""
    status = path.stat()
    return _content_id(path, status.st_size, status.st_mtime_ns)


@cache
def _content_id(path: Path, size: int, changed: int) -> str:
    digest = hashlib.sha256() if is_lfs(path) else hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def is_lfs(path: Path) -> bool:
    """Return whether the hub stores a file with LFS."""
    return path.name.endswith(LFS_ENDINGS) or path.stat().st_size >= LARGE


@dataclass
class Request:
    """A request that was received."""

    method: str
    path: str
    range: str


@dataclass
class Content:
    """What the stand-in has, and how it misbehaves.

    Attributes:
        models, datasets: folders of repositories.
        files: a folder of files.
        repositories: repositories at other places or with access control, by "models/<id>" or "datasets/<id>".
        faults: the faults, of which the first that fits a request applies.
        listed: called with the id of a repository after its files were listed.
        requests: all requests received.
    """

    models: Path | None = None
    datasets: Path | None = None
    files: Path | None = None
    repositories: dict[str, Repository] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    listed: Callable[[str], None] = lambda name: None
    requests: list[Request] = field(default_factory=list)

    def repository(self, kind: str, name: str) -> Repository | None:
        """Return a repository of "models" or "datasets", None if there is none."""
        if known := self.repositories.get(f"{kind}/{name}"):
            return known
        folder = self.models if kind == "models" else self.datasets
        if folder is None or ".." in name:
            return None
        places = (folder / name, folder / name.split("/")[-1])
        return next((Repository(place) for place in places if place.is_dir()), None)

    def fault(self, method: str, path: str) -> Fault:
        """Return the fault of a request, and count it."""
        for fault in self.faults:
            if fault.times and fnmatch.fnmatch(path, fault.path) and (fault.status or method == "GET"):
                fault.times -= fault.times > 0
                return fault
        return Fault("*")


class HubStandIn(ThreadingHTTPServer):
    """The server; `url` is its address and `lfs_url` that of LFS files, which the hub has on another host."""

    daemon_threads = True

    def __init__(self, content: Content, port: int = 0):
        super().__init__(("127.0.0.1", port), _Handler)
        self.content = content
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.lfs_url = f"http://localhost:{self.server_port}"

    def handle_error(self, request: object, client_address: object) -> None:
        """Stay silent when a client hangs up; any other exception is printed."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


@contextmanager
def serving(content: Content, port: int = 0) -> Iterator[HubStandIn]:
    """Serve in the background."""
    with HubStandIn(content, port) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def environment(server: HubStandIn, home: Path) -> dict[str, str]:
    """Return the environment variables of processes that use the stand-in, with the hub's cache in `home`."""
    return {
        "HF_ENDPOINT": server.url,
        "HF_HOME": str(home),
        "HF_HUB_DISABLE_XET": "1",
        "RANKSCOPE_MIRROR": f"{server.url}/files",
        "no_proxy": "127.0.0.1,localhost",
    }


def build_command(files: Path | None, arguments: list[str]) -> list[str]:
    """Return the command of scripts/build.py with the sizes and MD5 of the stand-in's files, to be run in `ROOT`."""
    archives = {path.stem: path for path in (files.glob("*.zip") if files else ())}
    sizes = {name: path.stat().st_size for name, path in archives.items()}
    digests = {
        name: hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest() for name, path in archives.items()
    }
    triples = (files / TRIPLES) if files else Path()
    size = triples.stat().st_size if triples.is_file() else None
    return [sys.executable, "-c", BUILD.format(sizes=sizes, digests=digests, triples=size), *arguments]


class _Handler(BaseHTTPRequestHandler):
    server: HubStandIn
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        content, place = self.server.content, unquote(urlsplit(self.path).path)
        content.requests.append(Request(self.command, place, self.headers.get("Range", "")))
        fault = content.fault(self.command, place)
        response = Response(fault.status) if fault.status else self._response(place)
        self._send(response, fault)

    def _response(self, place: str) -> "Response":
        content = self.server.content
        if found := TO_API.fullmatch(place):
            return self._api(*found.groups())
        if found := TO_REPOSITORY.fullmatch(place):
            return self._resolve("datasets" if found[1] else "models", *found.groups()[1:])
        if found := TO_STORED.fullmatch(place):
            _, kind, name, commit, inside = found.groups()
            repository = content.repository(kind, name)
            file = repository.files().get(inside) if repository else None
            if file is None:
                return Response(404)
            return Response(200, {"X-Repo-Commit": commit, "ETag": f'"{content_id(file)}"'}, file)
        if place.startswith("/files/") and content.files and (path := content.files / Path(place).name).is_file():
            return Response(200, {}, path)
        return Response(404)

    def _api(self, kind: str, name: str, what: str, revision: str) -> "Response":
        repository = self.server.content.repository(kind, name)
        if repository is None or repository.private:
            return self._not_found()
        commit, files = repository.commit(), repository.files()
        if revision not in ("main", commit):
            return _refusal(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        if what == "revision":
            facts = {"id": name, "sha": commit, "private": False, "gated": "manual" if repository.gated else False}
            return _json(facts | {"siblings": [{"rfilename": path} for path in files], "tags": []})
        begin = int(parse_qs(urlsplit(self.path).query).get("cursor", ["0"])[0])
        entries = [_tree_entry(path, file) for path, file in list(files.items())[begin : begin + PAGE]]
        following = f"{self.server.url}/api/{kind}/{name}/tree/{revision}?recursive=True&cursor={begin + PAGE}"
        self.server.content.listed(name)
        return _json(entries, {"Link": f'<{following}>; rel="next"'} if begin + PAGE < len(files) else {})

    def _resolve(self, kind: str, name: str, revision: str, path: str) -> "Response":
        repository = self.server.content.repository(kind, name)
        if repository is None or repository.private:
            return self._not_found()
        commit, file = repository.commit(), repository.files().get(path)
        if revision not in ("main", commit):
            return _refusal(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        if file is None:
            return _refusal(404, "EntryNotFound", "Entry not found")
        if repository.gated and self._token() != repository.gated:
            restricted = f"Access to model {name} is restricted"
            if self._token():
                return _refusal(403, "GatedRepo", f"{restricted} and you are not in the authorized list.")
            return _refusal(401, "GatedRepo", f"{restricted}. You must have access to it and be authenticated.")
        headers, stored = {"X-Repo-Commit": commit}, f"{kind}/{name}/{commit}/{quote(path)}"
        if not is_lfs(file):
            return Response(307, headers | {"Location": f"/api/resolve-cache/{stored}"})
        headers |= {"X-Linked-Etag": f'"{content_id(file)}"', "X-Linked-Size": str(file.stat().st_size)}
        return Response(302, headers | {"Location": f"{self.server.lfs_url}/lfs/{stored}"})

    def _not_found(self) -> "Response":
        """Refuse a repository that does not exist or is private; the hub does not say which."""
        return _refusal(404 if self._token() else 401, "RepoNotFound", "Repository not found")

    def _token(self) -> str:
        return str(self.headers.get("Authorization", "")).removeprefix("Bearer ")

    def _send(self, response: "Response", fault: Fault) -> None:
        headers, body, begin = dict(response.headers), response.body, 0
        size = body.stat().st_size if isinstance(body, Path) else len(body)
        status = response.status
        if (asked := re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))) and isinstance(body, Path):
            begin = min(int(asked[1]), size)
            status = 206 if begin < size else 416
            headers["Content-Range"] = f"bytes {begin}-{size - 1}/{size}" if begin < size else f"bytes */{size}"
        self.send_response(status)
        for key, value in (headers | {"Content-Length": str(size - begin)}).items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        with body.open("rb") if isinstance(body, Path) else io.BytesIO(body) as file:
            file.seek(begin)
            left = size - begin
            if isinstance(body, Path) and 0 <= fault.cut < left:
                left, self.close_connection = fault.cut, True
            while left and (piece := file.read(min(PIECE, left))):
                self.wfile.write(piece)
                left -= len(piece)
                time.sleep(fault.seconds)

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@dataclass
class Response:
    """A response, whose body may be a file."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | Path = b""


def _json(value: object, headers: Mapping[str, str] = MappingProxyType({})) -> Response:
    return Response(200, {"Content-Type": "application/json", **headers}, json.dumps(value).encode())


def _refusal(status: int, code: str, message: str) -> Response:
    return Response(status, {"X-Error-Code": code, "X-Error-Message": message}, json.dumps({"error": message}).encode())


def _tree_entry(path: str, file: Path) -> dict[str, object]:
    size, identity = file.stat().st_size, content_id(file)
    entry: dict[str, object] = {"type": "file", "path": path, "size": size, "oid": identity[:40]}
    return entry | ({"lfs": {"oid": identity, "size": size, "pointerSize": 134}} if is_lfs(file) else {})


def main() -> None:
    """Serve until interrupted, or run a build against the stand-in and exit with its status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, metavar="DIR", help="folder of model repositories")
    parser.add_argument("--datasets", type=Path, metavar="DIR", help="folder of data set repositories")
    parser.add_argument("--files", type=Path, metavar="DIR", help="folder of the files of BEIR and of the course")
    parser.add_argument("--port", type=int, default=0, help="port (default: a free one)")
    parser.add_argument("build", nargs="*", metavar="-- ARGUMENT", help="arguments of scripts/build.py")
    options = parser.parse_args()
    for folder in (options.models, options.datasets, options.files):
        if folder and not folder.is_dir():
            parser.error(f"{folder}: no such folder")
    content = Content(options.models, options.datasets, options.files)
    with serving(content, options.port) as server, tempfile.TemporaryDirectory() as home:
        variables = environment(server, Path(os.environ.get("HF_HOME", home)))
        if options.build:
            command = build_command(options.files, options.build)
            sys.exit(subprocess.run(command, cwd=ROOT, env=os.environ | variables, check=False).returncode)
        print(*(f"export {name}={value}" for name, value in variables.items()), sep="\n", flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
