"""Downloads, against a server on this machine that behaves well and badly."""

import errno
import hashlib
import os
import random
import socket
import threading
import time
import zipfile
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from core import collection
from core.formats import sources
from core.formats.collections import read_built_collection
from core.formats.sources import unpack
from core.workspace.downloads import fetch
from core.workspace.errors import UserError

CONTENT = random.Random(1).randbytes(300_000)
MD5 = hashlib.md5(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """A server of files whose faults a test sets; `ranges` is what each request asked for."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.ranges = {"/file": CONTENT}, []
        self.honours_range, self.piece, self.pause = True, 1 << 16, 0.0
        self.cuts, self.statuses, self.hangs = [], [], threading.Event()
        self.hang_after = None

    def url(self, path="/file"):
        return f"http://127.0.0.1:{self.server_port}{path}"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        asked = self.headers.get("Range")
        server.ranges.append(asked)
        content = server.files.get(self.path)
        status = server.statuses.pop(0) if server.statuses else 200
        begin = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and server.honours_range else 0
        if content is None:
            status = 404
        elif begin >= len(content) > 0:
            status = 416
        if status != 200:
            self.send_error(status)
            return
        self.send_response(206 if begin else 200)
        self.send_header("Content-Length", str(len(content) - begin))
        if begin:
            self.send_header("Content-Range", f"bytes {begin}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        end = begin + server.cuts.pop(0) if server.cuts else len(content)
        for position in range(begin, min(end, len(content)), server.piece):
            self.wfile.write(content[position : min(position + server.piece, end)])
            time.sleep(server.pause)
            if server.hang_after is not None and position - begin >= server.hang_after:
                server.hang_after = None
                server.hangs.wait(10)
                return

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.hangs.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def target(tmp_path):
    return tmp_path / "downloads" / "file"


def assert_whole(target):
    assert target.read_bytes() == CONTENT
    assert [path.name for path in target.parent.iterdir()] == ["file"], "no .part is left"


def assert_went_on(server):
    """Check that the second request asked for the rest alone; the block that was cut may be fetched again."""
    first, second = server.ranges
    assert first is None
    assert 30_000 < int(second.removeprefix("bytes=").removesuffix("-")) <= 100_000


def test_a_good_server(server, target):
    assert fetch(server.url(), target, len(CONTENT), MD5) == target
    assert_whole(target)


def test_a_file_that_is_there_is_not_fetched_again(server, target):
    fetch(server.url(), target, len(CONTENT), MD5)
    fetch(server.url(), target, len(CONTENT), MD5)
    assert len(server.ranges) == 1


def test_a_slow_server(server, target):
    server.piece, server.pause = 30_000, 0.03
    fetch(server.url(), target, len(CONTENT), MD5)
    assert_whole(target)


def test_a_download_that_is_cut_off_goes_on_where_it_was(server, target):
    server.cuts = [100_000]
    fetch(server.url(), target, len(CONTENT), MD5)
    assert_whole(target)
    assert_went_on(server)


def test_a_download_that_was_given_up_goes_on_in_the_next_call(server, target):
    server.cuts = [100_000]
    with pytest.raises(UserError, match="run the command again to resume"):
        fetch(server.url(), target, len(CONTENT), MD5, tries=1)
    assert not target.exists()
    assert target.with_name("file.part").is_file()
    fetch(server.url(), target, len(CONTENT), MD5, tries=1)
    assert_whole(target)
    assert_went_on(server)


def test_a_server_that_knows_no_ranges_sends_it_all_again(server, target):
    server.honours_range, server.cuts = False, [100_000]
    fetch(server.url(), target, len(CONTENT), MD5)
    assert_whole(target)


def test_a_server_that_hangs_is_asked_again(server, target, monkeypatch):
    monkeypatch.setattr("core.workspace.downloads.TIMEOUT_SECONDS", (1, 0.3))
    server.piece, server.hang_after = 50_000, 60_000
    fetch(server.url(), target, len(CONTENT), MD5)
    assert_whole(target)
    assert len(server.ranges) == 2


def test_a_server_in_trouble_is_asked_again(server, target):
    server.statuses = [503]
    fetch(server.url(), target, len(CONTENT), MD5)
    assert_whole(target)


def test_a_part_of_another_longer_file_is_thrown_away(server, target):
    target.parent.mkdir()
    target.with_name("file.part").write_bytes(b"x" * (len(CONTENT) + 5))
    fetch(server.url(), target, len(CONTENT), MD5)
    assert_whole(target)


def test_a_whole_part_is_not_fetched_again(server, target):
    target.parent.mkdir()
    target.with_name("file.part").write_bytes(CONTENT)
    fetch(server.url(), target, len(CONTENT), MD5)
    assert_whole(target)
    assert server.ranges == []


def test_without_a_known_size_and_checksum_what_came_whole_is_taken(server, target):
    server.cuts = [100_000]
    fetch(server.url(), target)
    assert_whole(target)


def test_a_mirror_is_asked_in_place_of_the_publisher_and_its_files_are_checked(server, target, monkeypatch):
    monkeypatch.setenv("RANKSCOPE_MIRROR", server.url("/mirror/"))
    server.files["/mirror/file"] = CONTENT
    fetch("http://127.0.0.1:9/somewhere/file", target, len(CONTENT), MD5)
    assert_whole(target)
    target.unlink()
    server.files["/mirror/file"] = CONTENT[::-1]
    assert server.url("/mirror/file") in refused("http://127.0.0.1:9/somewhere/file", target, len(CONTENT), MD5)


def test_a_full_disk_is_told_and_the_download_goes_on_when_there_is_space(server, target, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr("core.workspace.downloads._fetch_rest", full)
        message = refused(server.url(), target, len(CONTENT))
    assert f"the disk of {target.parent} is full: free some space and run the command again" in message
    fetch(server.url(), target, len(CONTENT))
    assert_whole(target)


def refused(*arguments, **options):
    with pytest.raises(UserError) as caught:
        fetch(*arguments, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_wrong_checksum_is_refused_and_can_be_mended(server, target):
    server.files["/file"] = b"y" + CONTENT[1:]
    message = refused(server.url(), target, len(CONTENT), MD5)
    assert MD5 in message
    assert str(target) in message
    assert list(target.parent.iterdir()) == []
    server.files["/file"] = CONTENT
    fetch(server.url(), target, len(CONTENT), MD5)
    assert_whole(target)


@pytest.mark.parametrize("content", [CONTENT[:-1], CONTENT + b"z", b""])
def test_a_wrong_size_is_refused(content, server, target):
    server.files["/file"] = content
    message = refused(server.url(), target, len(CONTENT))
    assert f"received {len(content)} bytes, expected {len(CONTENT)}" in message
    assert str(target) in message
    assert list(target.parent.iterdir()) == []


def test_a_part_whose_beginning_is_of_another_file_is_found_out_by_the_checksum(server, target):
    target.parent.mkdir()
    target.with_name("file.part").write_bytes(b"x" * 1000)
    assert MD5 in refused(server.url(), target, len(CONTENT), MD5)
    assert list(target.parent.iterdir()) == []


def test_a_missing_file_is_refused_at_once(server, target):
    message = refused(server.url("/none"), target)
    assert "404" in message
    assert str(target) in message
    assert len(server.ranges) == 1


def test_a_server_that_is_down_is_told_with_the_file_to_provide(target):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: every connection is refused
        message = refused(f"http://127.0.0.1:{taken.getsockname()[1]}/file", target, tries=2)
    assert "2 attempts" in message
    assert f"put the file at {target}" in message


# BEIR archives

MEMBERS = {
    "tiny/corpus.jsonl": '{"_id": "d1", "text": "a text"}\n' * 99,
    "tiny/queries.jsonl": '{"_id": "1", "text": "a question"}\n',
    "tiny/qrels/test.tsv": "query-id\tcorpus-id\tscore\n1\td1\t1\n",
}


def archive(path, members=MEMBERS):
    path.parent.mkdir(exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


def files_under(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_an_archive_is_unpacked(tmp_path):
    packed = archive(tmp_path / "tiny.zip", {"tiny/": "", "tiny/qrels/": ""} | MEMBERS)
    unpack(packed, tmp_path / "out", "tiny")
    assert files_under(tmp_path / "out") == sorted(MEMBERS)
    assert {name: (tmp_path / "out" / name).read_text() for name in MEMBERS} == MEMBERS


def test_names_that_lead_out_of_the_folder_are_not_followed(tmp_path):
    evil = [
        "../evil.tsv",
        "tiny/../../evil.tsv",
        "tiny/qrels/../../../evil.tsv",
        "/evil.tsv",
        "tiny/qrels//evil/../../x.tsv",
    ]
    unpack(archive(tmp_path / "tiny.zip", MEMBERS | dict.fromkeys(evil, "evil")), tmp_path / "deep" / "out", "tiny")
    assert files_under(tmp_path) == sorted(["tiny.zip", *(f"deep/out/{name}" for name in MEMBERS)])


@pytest.mark.parametrize("missing", ["tiny/corpus.jsonl", "tiny/queries.jsonl"])
def test_an_archive_that_lacks_a_file_is_refused_and_leaves_nothing(missing, tmp_path):
    packed = archive(tmp_path / "tiny.zip", {name: text for name, text in MEMBERS.items() if name != missing})
    with pytest.raises(UserError, match="tiny.zip"):
        unpack(packed, tmp_path / "out", "tiny")
    assert files_under(tmp_path) == ["tiny.zip"]


def without_folder(prefix):
    return {prefix + name.removeprefix("tiny/"): text for name, text in MEMBERS.items()}


@pytest.mark.parametrize("prefix", ["", "tiny-v2/", "data/sets/tiny/"])
def test_a_data_set_is_found_wherever_it_lies_in_the_archive(prefix, tmp_path):
    clutter = {f"__MACOSX/{prefix}._corpus.jsonl": "x", f"{prefix}.DS_Store": "x", f"{prefix}qrels/._test.tsv": "x"}
    unpack(archive(tmp_path / "tiny.zip", without_folder(prefix) | clutter), tmp_path / "out", "tiny")
    assert files_under(tmp_path / "out") == sorted(MEMBERS)


def test_parts_and_packed_files_of_an_archive_are_unpacked(tmp_path):
    members = {
        "tiny/corpus/0.jsonl": "a",
        "tiny/corpus-1.jsonl.gz": "b",
        "tiny/queries.tsv": "c",
        "tiny/qrels/dev.tsv.gz": "d",
    }
    unpack(archive(tmp_path / "tiny.zip", members), tmp_path / "out", "tiny")
    assert files_under(tmp_path / "out") == sorted(members)


FORUMS = without_folder("cqadupstack/android/") | without_folder("cqadupstack/english/")


def test_an_archive_of_several_data_sets_names_them(server, tmp_path, workspace, monkeypatch, command):
    english = {"cqadupstack/english/corpus.jsonl": '{"_id": "d1", "title": "English", "text": "a text"}\n'}
    server.files["/cqadupstack.zip"] = archive(tmp_path / "cqadupstack.zip", FORUMS | english).read_bytes()
    monkeypatch.setattr(sources, "BEIR_URL", server.url("/{name}.zip"))
    outcome = command(collection.main, "--collection", "cqadupstack")
    assert outcome.refused_with("android, english", "beir:cqadupstack/android"), outcome
    outcome = command(collection.main, "--collection", "beir:cqadupstack/gis")
    assert outcome.refused_with("no data set gis", "android, english"), outcome
    assert command(collection.main, "--collection", "beir:cqadupstack/english").status == 0
    built = read_built_collection(workspace.collection("cqadupstack-english"))
    assert [document.title for document in built.documents] == ["English"]
    assert len(server.ranges) == 1, "the archive is fetched once for all of them"


def test_a_zip_on_disk_is_a_collection_and_so_is_a_folder_of_it(tmp_path, workspace, command):
    corpus = {"corpus.jsonl": '{"_id": "d1", "title": "T", "text": "a text"}\n'}
    packed = archive(tmp_path / "mine.zip", without_folder("") | corpus)
    assert command(collection.main, "--collection", packed).status == 0
    built = workspace.collection("mine")
    assert [document.title for document in read_built_collection(built).documents] == ["T"]
    archive(packed, without_folder("") | {"corpus.jsonl": corpus["corpus.jsonl"].replace("T", "U")})
    assert command(collection.main, "--collection", packed).status == 0
    assert [document.title for document in read_built_collection(built).documents] == ["U"], "it changed"
    english = {"cqadupstack/english/corpus.jsonl": corpus["corpus.jsonl"]}
    forums = archive(tmp_path / "forums.zip", FORUMS | english)
    assert command(collection.main, "--collection", forums).refused_with("android, english", "forums.zip/android")
    assert command(collection.main, "--collection", forums / "english").status == 0
    assert (workspace.collection("forums-english") / "collection").is_dir()


def test_a_file_that_is_no_zip_and_an_archive_of_archives_are_refused_with_what_to_do(tmp_path, workspace, command):
    (tmp_path / "mine.tar.gz").write_bytes(b"\x1f\x8b")
    assert command(collection.main, "--collection", tmp_path / "mine.tar.gz").refused_with("unpack this file first")
    nested = archive(tmp_path / "nested.zip", {"android.zip": "x", "english.zip": "x"})
    assert command(collection.main, "--collection", nested).refused_with("unpack android.zip, english.zip")


def test_an_archive_cut_short_or_changed_anywhere_is_refused_or_read_right(tmp_path):
    whole = archive(tmp_path / "whole.zip").read_bytes()
    changed = [whole[:length] for length in range(0, len(whole), 60)]
    for position in range(0, len(whole), 3):
        changed.append(whole[:position] + bytes([whole[position] ^ 0xFF]) + whole[position + 1 :])
    for number, content in enumerate(changed):
        packed, out = tmp_path / "changed.zip", tmp_path / str(number)
        packed.write_bytes(content)
        try:
            unpack(packed, out, "tiny")
        except UserError as error:
            assert "\n" not in str(error)
            assert not (out / "tiny").exists()
        else:
            assert all((out / name).read_text() == MEMBERS[name] for name in files_under(out))


def test_a_damaged_deflate_stream_is_refused(tmp_path):
    packed = archive(tmp_path / "tiny.zip")
    content = bytearray(packed.read_bytes())
    begin = 30 + len("tiny/corpus.jsonl")
    content[begin] |= 0b110  # a block type that there is not
    with pytest.raises(zlib.error):
        zlib.decompress(bytes(content[begin : begin + 40]), -15)
    packed.write_bytes(content)
    with pytest.raises(UserError, match="tiny.zip"):
        unpack(packed, tmp_path / "out", "tiny")


def test_a_beir_name_is_downloaded_unpacked_and_built(server, tmp_path, workspace, monkeypatch, command):
    corpus = {"tiny/corpus.jsonl": '{"_id": "d1", "title": "T", "text": "a text"}\n'}
    server.files["/tiny.zip"] = archive(tmp_path / "tiny.zip", MEMBERS | corpus).read_bytes()
    server.cuts = [100]
    monkeypatch.setattr(sources, "BEIR_URL", server.url("/{name}.zip"))
    monkeypatch.setattr(sources, "BEIR_MD5", {"tiny": hashlib.md5(server.files["/tiny.zip"]).hexdigest()})
    outcome = command(collection.main, "--collection", "tiny")
    assert outcome.status == 0, outcome
    built = read_built_collection(workspace.collection("tiny"))
    assert [document.title for document in built.documents] == ["T"]
    command(collection.main, "--collection", "tiny")
    assert len(server.ranges) == 2, "one cut off, one that goes on, and none for what is here"


def test_a_beir_name_that_the_server_lacks_is_refused_in_one_sentence(server, workspace, monkeypatch, command):
    monkeypatch.setattr(sources, "BEIR_URL", server.url("/{name}.zip"))
    assert command(collection.main, "--collection", "nothing").refused_with("404", "nothing.zip")
