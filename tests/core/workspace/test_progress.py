"""The progress log: whatever interrupts a stage, and whatever that leaves, the artifact ends the same."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_build import NAME, prepare
from stages import make as run_one

from core import ablations, ann, doc2query, encode, pseudo_labels
from core.build import run_build
from core.retrieval import encoder
from core.retrieval.encoder import encode_to_file
from core.training import query_scores
from core.workspace.artifacts import MANIFEST
from core.workspace.profile import Profile, find_settings
from core.workspace.progress import FILE, LoggedArray, ProgressLog, new_array
from core.workspace.stage import Build
from core.workspace.workspace import Workspace

pytestmark = pytest.mark.slow


class Interrupted(BaseException):
    """What ends a stage, as a key press or a kill does."""


# The log itself

SHARDS = st.lists(
    st.dictionaries(st.text(max_size=4), st.one_of(st.floats(allow_nan=False), st.lists(st.text(max_size=5)))),
    max_size=6,
)


def write_and_stop(folder, shards):
    with pytest.raises(Interrupted), ProgressLog(folder) as log:
        for shard in shards:
            log.add(shard)
        raise Interrupted


def merged(shards):
    return {name: result for shard in shards for name, result in shard.items()}


@given(shards=SHARDS, data=st.data())
def test_a_log_that_is_cut_anywhere_holds_whole_shards_and_continues(shards, data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("log")
    write_and_stop(folder, shards)
    content = (folder / FILE).read_bytes()
    cut = data.draw(st.integers(0, len(content)))
    (folder / FILE).write_bytes(content[:cut])
    with pytest.raises(Interrupted), ProgressLog(folder) as log:
        assert any(log.done == merged(shards[:count]) for count in range(len(shards) + 1))
        whole = content[:cut].count(b"\n")
        assert log.done in (merged(shards[:whole]), merged(shards[: whole + 1]))
        log.add({"the next": 1})
        raise Interrupted
    with ProgressLog(folder) as log:
        assert log.done["the next"] == 1, "it is not glued to the line that was cut"
    assert not (folder / FILE).exists()


@given(shards=SHARDS.filter(merged), data=st.data())
def test_a_damaged_line_costs_its_shard_and_no_other(shards, data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("log")
    write_and_stop(folder, [{"first": 1}, *shards, {"last": 2}])
    lines = (folder / FILE).read_bytes().splitlines(keepends=True)
    damaged = data.draw(st.integers(1, len(shards)))
    line = bytearray(lines[damaged])
    line[data.draw(st.integers(0, len(line) - 2))] ^= data.draw(st.integers(1, 255))
    lines[damaged] = bytes(line)
    (folder / FILE).write_bytes(b"".join(lines))
    left = [{"first": 1}, *shards[: damaged - 1], *shards[damaged:], {"last": 2}]
    with ProgressLog(folder) as log:
        assert log.done == merged(left)


@pytest.mark.parametrize("content", [b"0\n1\n2\n", b'{"d1": ["which masks"]}\n', b"00000000 \n", bytes(50), b"\xff\n"])
def test_a_file_in_another_format_is_ignored(content, tmp_path):
    (tmp_path / FILE).write_bytes(content)
    with ProgressLog(tmp_path) as log:
        assert log.done == {}


def test_results_are_the_same_before_and_after_they_are_read_back(tmp_path):
    with pytest.raises(Interrupted), ProgressLog(tmp_path) as log:
        log.add({"a": (1, 0.1 + 0.2), "b": {"é\n\ud800": None}})
        added = log.done
        raise Interrupted
    with ProgressLog(tmp_path) as log:
        assert log.done == added == {"a": [1, 0.1 + 0.2], "b": {"é\n\ud800": None}}
        assert isinstance(added["a"], list)


# Arrays


class Lengths:
    """Stands for an encoder: a text's vector is its length and its characters."""

    encoded: list[list[str]]
    about = {"device": "cpu"}
    stop_at = -1

    def __call__(self, texts):
        if len(self.encoded) == self.stop_at:
            raise Interrupted
        self.encoded.append(texts)
        return np.array([[len(t), *map(ord, t)] for t in texts], np.float32), self.about


def texts_of(count):
    return [f"{number:05}" for number in range(count)]


def encode_texts_to(folder, texts, stop_at=-1):
    """Encode, and return the texts that went through the model; with `stop_at`, until that shard."""
    stub = Lengths()
    stub.encoded, stub.stop_at = [], stop_at
    try:
        with ProgressLog(folder) as log:
            encode_to_file(lambda: stub, texts, str, folder / "a.npy", log, "a")
    except Interrupted:
        pass
    return [text for shard in stub.encoded for text in shard]


@given(stop_at=st.integers(0, 7), cut=st.integers(0, 60), other=st.integers(0, 29), row=st.integers(0, 29))
def test_encoding_ends_the_same_whatever_an_interruption_left(stop_at, cut, other, row, tmp_path_factory):
    folder = tmp_path_factory.mktemp("encode")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(encoder, "SHARD", 4)
        first = encode_texts_to(folder, texts_of(30), stop_at)
        assert len(first) == min(4 * stop_at, 30)
        log, path = folder / FILE, folder / "a.npy"
        content = log.read_bytes()
        log.write_bytes(content[: len(content) - cut])
        if path.exists():  # a row that never reached the disk
            rows = np.load(path, mmap_mode="r+")
            rows[row] = 0
            del rows
        texts = texts_of(30)
        texts[other] = "other"
        again = encode_texts_to(folder, texts)
    assert np.array_equal(np.load(path), [[len(t), *map(ord, t)] for t in texts])
    finished = stop_at - bool(cut > 1 and stop_at)  # a line without its end of line is whole
    expected = [shard for shard in range(8) if shard >= finished or shard in (row // 4, other // 4)]
    assert again == [text for shard in expected for text in texts[4 * shard : 4 * shard + 4]]
    assert not log.exists()


@pytest.mark.parametrize("left", ["cut short", "of other rows", "no array"])
def test_an_array_that_does_not_fit_is_made_again(left, tmp_path):
    path = tmp_path / "a.npy"
    with pytest.raises(Interrupted), ProgressLog(tmp_path) as log:
        LoggedArray(path, 3, log).write("0", [0, 2], "input", np.ones((2, 5), np.float32))
        raise Interrupted
    if left == "cut short":
        path.write_bytes(path.read_bytes()[:-4])
    elif left == "of other rows":
        new_array(path, (4, 5))
    else:
        path.write_bytes(b"nothing")
    with ProgressLog(tmp_path) as log:
        array = LoggedArray(path, 3, log)
        assert not array.holds("0", [0, 2], "input")
        array.write("0", [0, 2], "input", np.ones((2, 5), np.float32))
        assert array.holds("0", [0, 2], "input")
        assert not array.holds("0", [0, 2], "another input")
        assert not array.holds("1", [0, 2], "input")
    assert np.load(path)[[0, 2]].tolist() == np.ones((2, 5)).tolist()


# The stages: interrupted at every shard, before it is logged, in the middle of its line and after it


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Return a profile, and the folder of a small build with what the stages read."""
    place = tmp_path_factory.mktemp("stages")
    prepared = prepare(place / "source", place / "artifacts", documents=30).model_dump()
    prepared["doc2query"]["model"] = prepared["doc2query"]["base"]
    prepared["finetune"]["epochs"] = 0.5
    prepared["ablations"] = {"variants": {"first token": {"pooling": "cls"}}, "seeds": [1]}
    prepared["system"] = [s for s in prepared["system"] if s["name"] in ("bm25", "expanded", "tiny")]
    profile, folder = Profile.model_validate(prepared), Workspace(place / "artifacts").collection(NAME)
    for stage in ("collection", "encode", "doc2query", "bm25"):
        run_build(Build(profile, folder, "cpu"), only=stage, say=lambda _: None)
    return profile, folder


STAGES = {
    "encode": (encode.STAGE, "tiny", {}),
    "doc2query": (doc2query.GENERATE, None, {"batch": 4}),
    "scores": (doc2query.SCORE, None, {}),
    "pseudo-labels": (pseudo_labels.STAGE, None, {}),
    "ann": (ann.STAGE, "tiny", {}),
    "ablations": (ablations.STAGE, None, {}),
}


TIMES = ["queries_per_second", "build_seconds", "p50_ms", "p95_ms", "p99_ms", "seconds"]


def contents(target: Path):
    """Return an artifact's files, without the columns of times."""
    files = {path.name: path.read_bytes() for path in target.iterdir() if path.name != MANIFEST}
    for name in [name for name in files if name.endswith(".csv")]:
        table = pd.read_csv(target / name)
        files[name] = table.drop(columns=TIMES, errors="ignore").to_csv().encode()
    return files


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_that_is_interrupted_anywhere_ends_as_if_it_never_was(stage, made, monkeypatch):
    profile, folder = made
    monkeypatch.setattr(encoder, "SHARD", 8)
    monkeypatch.setattr(query_scores, "SHARD", 8)
    description, system, options = STAGES[stage]
    settings = find_settings(profile, system) if system else None
    (target,) = [
        t.artifact.path for t in description.targets(Build(profile, folder, systems=(system,) if system else ()))
    ]

    def make():
        run_one(description, profile, folder, settings, **options)

    add, calls = ProgressLog.add, []
    stop_at, when = -1, ""

    def stopping(log, results):
        calls.append(sorted(results))
        if len(calls) - 1 != stop_at:
            add(log, results)
            return
        if when != "before":
            add(log, results)
        if when == "within":
            log.path.write_bytes(log.path.read_bytes()[:-3])
        raise Interrupted

    monkeypatch.setattr(ProgressLog, "add", stopping)
    shutil.rmtree(target, ignore_errors=True)
    make()
    expected, shards = contents(target), list(calls)
    assert len(shards) >= 2
    assert FILE not in expected
    # Every shard is interrupted thrice, one after the other; then the last one, in a run that did all before it.
    interruptions = [(number, moment) for number in range(len(shards)) for moment in ("before", "within", "after")]
    for sequence in (interruptions, interruptions[-2:-1]):
        shutil.rmtree(target)
        finished = 0
        for number, when in sequence:
            stop_at = number - finished
            calls.clear()
            with pytest.raises(Interrupted):
                make()
            assert not target.exists()
            assert calls == shards[finished : number + 1], "what was finished is not done again"
            finished = number + (when == "after")
        stop_at = -1
        calls.clear()
        make()
        assert calls == shards[finished:], "what was finished is not done again"
        assert contents(target) == expected
