"""Artifacts read while they are replaced: always one version, and never one under the name of another."""

import hashlib
import json
import os
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from stages import folder_at

from core.formats.runs import built_run
from core.workspace import artifacts
from core.workspace.artifacts import MANIFEST, Replaced, file_digest, open_artifact, read_latest, read_whole, writing
from core.workspace.errors import UserError

FILES = [f"part-{number}" for number in range(4)]


def write(folder: Path, version: str) -> None:
    with writing(folder, "a stage", {}, {}, {"version": version}) as partial:
        for name in FILES:
            (partial / name).write_text(version)


def versions_in(folder: Path) -> list[Path]:
    """Write three versions of an artifact beside each other."""
    for number in range(3):
        write(folder / f"version-{number}", str(number))
    return [folder / f"version-{number}" for number in range(3)]


def contents(folder: Path) -> list[str]:
    return [(folder / name).read_text() for name in FILES]


# The cache of digests


def test_a_file_changed_with_its_size_and_modification_time_kept_has_another_digest(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for content in (b"nDCG 0.9296", b"nDCG 0.0548", b"nDCG 0.0549"):
        path.write_bytes(content)
        os.utime(path, ns=(10**18, 10**18))
        assert file_digest(path) == hashlib.sha256(content).hexdigest()


def test_a_file_exchanged_for_another_of_its_size_and_time_has_another_digest(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).write_text(name)
        os.utime(tmp_path / name, ns=(10**18, 10**18))
    first = file_digest(tmp_path / "one")
    (tmp_path / "two").replace(tmp_path / "one")
    assert file_digest(tmp_path / "one") != first


def test_an_old_file_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"abc")
    monkeypatch.setattr(artifacts, "TIMESTAMP_STEP_NS", 0)  # as if it had been written long ago
    before = artifacts._file_digest.cache_info().misses
    assert len({file_digest(path) for _ in range(3)}) == 1
    assert artifacts._file_digest.cache_info().misses == before + 1


def test_a_digest_is_not_kept_of_a_file_that_changes_while_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old content")
    monkeypatch.setattr(artifacts, "TIMESTAMP_STEP_NS", 0)
    sha256, exchanges = hashlib.sha256, []

    def exchanging(*given: bytes):
        if not exchanges:
            exchanges.append((tmp_path / "new").write_bytes(b"new content"))
            (tmp_path / "new").replace(path)
        return sha256(*given)

    monkeypatch.setattr(artifacts.hashlib, "sha256", exchanging)
    assert file_digest(path) == file_digest(path) == sha256(b"new content").hexdigest()


# Replaced while it is read


def swap(version: Path, folder: Path) -> None:
    """Put a version in the place of an artifact as `writing` does, without its waits for the disk."""
    old, partial = (folder.with_name(f".{folder.name}.{ending}") for ending in ("old", "partial"))
    shutil.copytree(version, partial)
    folder.rename(old)
    partial.rename(folder)
    shutil.rmtree(old)


def swapped_meanwhile(read: Callable[[], object], versions: list[Path], folder: Path, swaps: int = 60) -> Counter:
    """Let three threads read an artifact while this one swaps versions; return what they got and how often.

    After each swap one of the threads must have read the artifact, while the others are at it: on a busy machine they
    would otherwise hardly read between two swaps.
    """
    shutil.copytree(versions[0], folder)
    found: Counter = Counter()
    done = threading.Event()

    def reading() -> None:
        while not done.is_set():
            try:
                found[read()] += 1
            except Exception as error:
                found[f"{type(error).__name__}: {error}"] += 1

    threads = [threading.Thread(target=reading) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for number in range(swaps):
            before = sum(found.values())
            swap(versions[number % len(versions)], folder)
            while sum(found.values()) == before:
                time.sleep(0.001)
    finally:
        done.set()
        for thread in threads:
            thread.join()
    return found


def test_readers_see_one_version_whole_while_a_thread_swaps_versions(tmp_path: Path) -> None:
    folder, versions = tmp_path / "a", versions_in(tmp_path)

    def read() -> bool:
        manifest, texts = read_whole(folder, lambda manifest: (manifest, contents(folder)))
        return {*texts} == {manifest.facts["version"]}

    found = swapped_meanwhile(read, versions, folder)
    assert set(found) == {True}, found


def test_without_it_versions_are_mixed_so_the_test_above_can_fail(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    write(folder, "0")

    def load(_: object) -> list[str]:
        first = (folder / FILES[0]).read_text()
        if first == "0":
            write(folder, "1")
        return [first, (folder / FILES[1]).read_text()]

    assert load(None) == ["0", "1"]
    write(folder, "0")
    assert read_whole(folder, load) == ["1", "1"]


def test_a_loader_of_the_pipeline_reads_one_version(tmp_path: Path) -> None:
    folder = folder_at(tmp_path)
    versions = [tmp_path / f"version-{number}" for number in range(3)]
    for number, version in enumerate(versions):
        with writing(version, "search", {}, {}) as partial:
            lines = [f"{topic} Q0 d{number} 1 1.0 bm25\n" for topic in range(200)]
            (partial / "run.trec").write_text("".join(lines))

    def read() -> int:
        return len({document for by in built_run(folder, "bm25").scores.values() for document in by})

    assert set(swapped_meanwhile(read, versions, folder.run("bm25").path)) == {1}


def test_open_artifact_is_not_misled_by_a_swap(tmp_path: Path) -> None:
    folder, versions = tmp_path / "a", versions_in(tmp_path)
    found = swapped_meanwhile(lambda: open_artifact(folder).facts["version"] in "012", versions, folder)
    assert set(found) == {True}, found


# Of the version that was asked for


def test_a_value_is_never_kept_under_the_digest_of_another_version(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    write(folder, "old")
    kept: dict[str, list[str]] = {}
    asked = []

    def digest() -> str:
        now = open_artifact(folder).digest
        asked.append(now)
        if len(asked) == 1:
            write(folder, "new")  # between the question and the load
        return now

    def load(of: str) -> list[str]:
        if of not in kept:
            kept[of] = read_whole(folder, lambda _: contents(folder), digest=of)
        return kept[of]

    assert read_latest(digest, load) == ["new"] * 4
    assert list(kept) == [asked[1]]
    assert asked[1] != asked[0]


def test_another_version_than_was_asked_for_is_said(tmp_path: Path) -> None:
    write(tmp_path / "a", "one")
    digest = open_artifact(tmp_path / "a").digest
    assert read_whole(tmp_path / "a", lambda _: 1, digest=digest) == 1
    write(tmp_path / "a", "two")
    with pytest.raises(Replaced, match="was replaced while it was in use; try again"):
        read_whole(tmp_path / "a", lambda _: 1, digest=digest)


def test_the_moment_between_the_two_renames_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, old = tmp_path / "a", tmp_path / ".a.old"
    write(folder, "one")
    folder.rename(old)
    monkeypatch.setattr(artifacts.time, "sleep", lambda _: old.rename(folder))
    assert open_artifact(folder).facts["version"] == "one"


def test_a_replacement_may_end_while_it_is_looked_whether_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, old = tmp_path / "a", tmp_path / ".a.old"
    write(folder, "one")
    folder.rename(old)
    version, looks = artifacts._version, []

    def ends_after_the_second_look(path: Path) -> object:
        looks.append(version(path))
        if len(looks) == 2:
            old.rename(folder)
        return looks[-1]

    monkeypatch.setattr(artifacts, "_version", ends_after_the_second_look)
    assert open_artifact(folder).facts["version"] == "one"


def test_what_is_missing_or_damaged_is_still_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is missing"):
        open_artifact(tmp_path / "none")
    write(tmp_path / "a", "one")
    shutil.copytree(tmp_path / "a", tmp_path / ".b.old")  # a process was killed between its two renames
    with pytest.raises(UserError, match="is missing"):
        open_artifact(tmp_path / "b")
    (tmp_path / "a" / FILES[0]).write_text("two")
    with pytest.raises(UserError, match="is damaged"):
        read_whole(tmp_path / "a", lambda _: 1)


def test_an_error_of_the_loader_comes_through(tmp_path: Path) -> None:
    write(tmp_path / "a", "one")
    with pytest.raises(ZeroDivisionError):
        read_whole(tmp_path / "a", lambda _: 1 / 0)


def test_a_file_damaged_while_it_is_loaded_is_noticed(tmp_path: Path) -> None:
    write(tmp_path / "a", "one")
    with pytest.raises(UserError, match="is damaged"):
        read_whole(tmp_path / "a", lambda _: (tmp_path / "a" / FILES[3]).write_text("two"))


def test_a_manifest_changed_in_its_place_is_read_again(tmp_path: Path) -> None:
    write(tmp_path / "a", "one")
    path = tmp_path / "a" / MANIFEST
    assert open_artifact(tmp_path / "a").stage == "a stage"
    status = path.stat()
    path.write_text(path.read_text().replace('"a stage"', '"b stage"'))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    with pytest.raises(UserError, match="damaged"):
        open_artifact(tmp_path / "a")
    assert json.loads(path.read_text())["stage"] == "b stage"
