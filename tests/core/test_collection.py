"""Collections in the BEIR layout: what is read, what is refused and how."""

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from beir_files import BEIR_FILES
from stages import folder_at, make

from core import collection
from core.build import run_build
from core.formats.collections import read_built_collection
from core.formats.sources import read_collection, source_digest
from core.formats.topics import Topic
from core.import_runs import import_runs
from core.workspace.errors import UserError
from core.workspace.profile import CollectionSettings, Profile, read_profile
from core.workspace.stage import Build

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = CollectionSettings(name="tiny")
DEEP = '{"_id": "d1", "text": ' + "[" * 200_000 + "]" * 200_000 + "}\n"
LONG_CORPUS = "".join(f'{{"_id": "d{i}", "title": "{i * i}", "text": "document {i} of many"}}\n' for i in range(500))


def flipped(compressed: bytes) -> bytes:
    """Return a gzip file whose deflate stream names a block type that there is not."""
    return compressed[:10] + bytes([compressed[10] | 0b110]) + compressed[11:]


BAD = {
    "a line that is not JSON": ({"corpus.jsonl": '{"_id": "d1", "text": "a"}\nd2 b\n'}, "corpus.jsonl, line 2"),
    "a line that is a list": ({"corpus.jsonl": '["d1", "a"]\n'}, "corpus.jsonl, line 1"),
    "a line nested without end": ({"corpus.jsonl": DEEP}, "corpus.jsonl, line 1"),
    "a document without _id": ({"corpus.jsonl": '{"_id": "d1"}\n\n{"text": "a"}\n'}, "corpus.jsonl, line 3"),
    "an empty _id": ({"corpus.jsonl": '{"_id": "", "text": "a"}\n'}, "corpus.jsonl, line 1"),
    "an _id that is true": ({"corpus.jsonl": '{"_id": true, "text": "a"}\n'}, "corpus.jsonl, line 1"),
    "an _id with a space": ({"corpus.jsonl": '{"_id": "d 1", "text": "a"}\n'}, 'line 1: the id is "d 1", expected'),
    "a duplicate id": ({"corpus.jsonl": '{"_id": "d1"}\n{"_id": "d2"}\n{"_id": "d1"}\n'}, "corpus.jsonl, line 3"),
    "a text that is a number": ({"corpus.jsonl": '{"_id": "d1", "text": 5}\n'}, "corpus.jsonl, line 1"),
    "half a surrogate pair": ({"corpus.jsonl": '{"_id": "d1", "text": "\\ud800"}\n'}, "corpus.jsonl, line 1"),
    "metadata that is a list": (
        {"queries.jsonl": '{"_id": "1", "text": "a", "metadata": ["b"]}\n'},
        "queries.jsonl, line 1",
    ),
    "a query that is a number": (
        {"queries.jsonl": '{"_id": "1", "text": "a", "metadata": {"query": 5}}\n'},
        "queries.jsonl, line 1",
    ),
    "an empty collection": ({"corpus.jsonl": ""}, "corpus.jsonl"),
    "a corpus of blank lines": ({"corpus.jsonl": "\n\n"}, "corpus.jsonl"),
    "no corpus": ({"corpus.jsonl": None}, "corpus.jsonl"),
    "bytes that are not UTF-8": ({"corpus.jsonl": b'{"_id": "d1", "text": "\xff"}\n'}, "corpus.jsonl, line 1"),
    "Latin-1 far down": (
        {
            "corpus.jsonl": b"".join(b'{"_id": "%d", "text": "%s"}\n' % (n, b"a" * n) for n in range(300))
            + b'{"_id": "\xfc"}'
        },
        "corpus.jsonl, line 301: damaged, or not UTF-8",
    ),
    "a gz cut short": (
        {"corpus.jsonl": None, "corpus.jsonl.gz": gzip.compress(LONG_CORPUS.encode())[:-300]},
        "corpus.jsonl.gz",
    ),
    "a gz with a wrong bit": (
        {"corpus.jsonl": None, "corpus.jsonl.gz": flipped(gzip.compress(LONG_CORPUS.encode()))},
        "corpus.jsonl.gz",
    ),
    "a gz that is none": ({"corpus.jsonl": None, "corpus.jsonl.gz": b"plain text"}, "corpus.jsonl.gz"),
    "a topic without judgments": (
        {"queries.jsonl": '{"_id": "1", "text": "a"}\n{"_id": "3", "text": "b"}\n'},
        "queries.jsonl, line 2: topic 3",
    ),
    "a topic without text": ({"queries.jsonl": '{"_id": "1", "text": " "}\n'}, "queries.jsonl, line 1"),
    "no topic": ({"queries.jsonl": ""}, "queries.jsonl: the file has no topics"),
    "qrels with three columns and no header": ({"qrels/test.tsv": "1\td1\t2\n"}, "test.tsv, line 1"),
    "qrels with two columns": ({"qrels/test.tsv": "query-id\tcorpus-id\tscore\n1\td1\n"}, "test.tsv, line 2"),
    "a grade that is not a number": (
        {"qrels/test.tsv": "query-id\tcorpus-id\tscore\n1\td1\t2\n1\td2\tgood\n"},
        "test.tsv, line 3",
    ),
    "a grade that is no whole number": ({"qrels/test.tsv": "1 0 d1 1.5\n"}, "test.tsv, line 1"),
    # trec_eval counts the documents of every grade up to the highest: 16 GB and 40 seconds for this one
    "a grade beyond trec_eval's": ({"qrels/test.tsv": "1 0 d1 1\n1 0 d2 2147483648\n"}, "test.tsv, line 2"),
    "two grades for one document": ({"qrels/test.tsv": "1 0 d1 1\n1 0 d2 1\n1 0 d1 2\n"}, "test.tsv, line 3"),
    "qrels without judgments": ({"qrels/test.tsv": "query-id\tcorpus-id\tscore\n"}, "test.tsv"),
    "no qrels": ({"qrels/test.tsv": None}, "test.tsv"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_collection_is_refused_in_one_sentence_that_names_file_and_line(name, beir_folder, workspace, command):
    replace, where = BAD[name]
    outcome = command(collection.main, "--collection", beir_folder(replace))
    assert outcome.refused_with(where), outcome
    left = [path.name for path in workspace.root.rglob("*") if path.is_file()]
    assert left in ([], [".collection.lock"]), "a refused collection leaves nothing behind"


def test_the_real_command_line_refuses_a_bad_collection_with_status_2(beir_folder, tmp_path):
    folder = beir_folder({"corpus.jsonl": '{"_id": "d1"}\n{"title": "no id"}\n'}, name="refused-by-a-test")
    ended = subprocess.run(
        [sys.executable, "-m", "core.collection", "--collection", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT), "RANKSCOPE_ARTIFACTS": str(tmp_path / "artifacts")},
    )
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert ended.stderr.count("\n") == 1
    assert ended.stderr.startswith("error: corpus.jsonl, line 2")
    assert not (tmp_path / "artifacts" / folder.name / "collection").exists()


def test_a_folder_that_is_not_there_is_named(tmp_path, workspace, command):
    assert command(collection.main, "--collection", tmp_path / "nowhere").refused_with("nowhere")


def test_a_good_collection_is_read_as_written(beir_folder):
    read = read_collection(beir_folder(), SETTINGS)
    assert [(d.id, d.title, d.text) for d in read.documents] == [
        ("d1", "Masks", "Masks slow the spread."),
        ("d2", "", "Vaccines protect the old."),
        ("d3", "Bats", ""),
    ]
    assert [d.full_text for d in read.documents] == [
        "Masks Masks slow the spread.",
        "Vaccines protect the old.",
        "Bats",
    ]
    assert read.documents[0].metadata == {"doi": "10.1/1"}
    assert read.topics == [
        Topic("1", "masks", "do masks help?", "Studies of masks."),
        Topic("2", "who needs vaccines?", "who needs vaccines?"),
    ]
    assert read.qrels == {"1": {"d1": 2, "d2": 0}, "2": {"d2": 1}}


def test_a_topic_without_the_wanted_field_falls_back_on_its_question():
    assert Topic("1", "", "what?").text("narrative") == "what?"
    assert Topic("1", "q", "what?", "n").text("query") == "q"


def test_plain_and_gz_files_read_the_same(beir_folder):
    plain = beir_folder()
    packed = beir_folder(name="packed")
    for file in [path for path in packed.rglob("*") if path.is_file()]:
        file.with_name(file.name + ".gz").write_bytes(gzip.compress(file.read_bytes()))
        file.unlink()
    assert read_collection(packed, SETTINGS) == read_collection(plain, SETTINGS)


def test_windows_line_ends_and_blank_lines_read_the_same(beir_folder):
    plain = beir_folder()
    windows = beir_folder(name="windows")
    for file in [path for path in windows.rglob("*") if path.is_file()]:
        file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n") + b"\r\n")
    assert read_collection(windows, SETTINGS) == read_collection(plain, SETTINGS)


def test_a_line_separator_inside_a_text_does_not_end_the_line(beir_folder):
    corpus = json.dumps({"_id": "d1", "text": "one\u2028two\x85three"}, ensure_ascii=False) + "\n"
    read = read_collection(beir_folder({"corpus.jsonl": corpus}), SETTINGS)
    assert read.documents[0].text == "one\u2028two\x85three"


def test_unjudged_topics_are_left_out_where_the_profile_says_so(beir_folder):
    queries = '{"_id": "1", "text": "a"}\n{"_id": "3", "text": "b"}\n'
    folder = beir_folder({"queries.jsonl": queries})
    read = read_collection(folder, CollectionSettings(name="tiny", unjudged_topics="drop"))
    assert [topic.id for topic in read.topics] == ["1"]
    assert set(read.qrels) == {"1"}


def test_topics_of_another_split_are_no_error(beir_folder):
    train = "query-id\tcorpus-id\tscore\n2\td2\t1\n"
    test = "query-id\tcorpus-id\tscore\n1\td1\t1\n"
    folder = beir_folder({"qrels/train.tsv": train, "qrels/test.tsv": test})
    assert [topic.id for topic in read_collection(folder, SETTINGS).topics] == ["1"]
    assert [topic.id for topic in read_collection(folder, CollectionSettings(name="t", split="train")).topics] == ["2"]


CLUTTER = {
    "corpus": {
        "._corpus.jsonl": b"\0\5\x16\7",
        ".DS_Store": b"\0\0\0\1Bud1",
        "corpus.jsonl.md5": "0 corpus.jsonl",
        "README": "x",
    },
    "topics": {"._queries.jsonl": b"\0\5\x16\7", "queries.jsonl.sha256": "0", "SHA256SUMS": "0  queries.jsonl\n"},
    "judgments": {
        "qrels/._test.tsv": b"\0\5\x16\7",
        "qrels/.DS_Store": b"\0",
        "qrels/test.tsv.md5": "0  test.tsv",
        "qrels/test.tsv.gz.sha256": "0",
        "qrels/test.tsv~": "1\t",
        "qrels/notes.txt": "by hand",
    },
    "another split": {"qrels/train.tsv": "9\td1\t2\n8 d2\n", "qrels/dev.tsv.gz": b"cut short"},
    "a whole folder": {"__MACOSX/corpus.jsonl": b"\0", "__MACOSX/qrels/._test.tsv": b"\0", "old/corpus.jsonl": "{"},
}


@pytest.mark.parametrize("name", CLUTTER)
def test_what_lies_beside_a_collection_changes_nothing(name, beir_folder):
    clean = read_collection(beir_folder(name="clean"), SETTINGS)
    folder = beir_folder(CLUTTER[name])
    assert read_collection(folder, SETTINGS) == clean
    if name != "another split":
        assert source_digest(folder) == source_digest(beir_folder(name="clean")), "nor does it make anything stale"


def test_hidden_files_in_a_folder_of_parts_are_left_out(beir_folder):
    parts = {"corpus/0.jsonl": BEIR_FILES["corpus.jsonl"], "corpus/._0.jsonl": b"\0\5\x16\7"}
    folder = beir_folder({"corpus.jsonl": None} | parts)
    assert read_collection(folder, SETTINGS) == read_collection(beir_folder(name="one"), SETTINGS)


def test_topics_of_a_split_without_a_header_are_no_error(beir_folder, capsys):
    qrels = {"qrels/test.tsv": "1 0 d1 2\n", "qrels/train.tsv": "2\td2\t1\n", "qrels/dev.tsv.gz": b"cut short"}
    assert [topic.id for topic in read_collection(beir_folder(qrels), SETTINGS).topics] == ["1"]
    assert "the topics of the split dev are unknown" in capsys.readouterr().err


def test_the_splits_that_are_there_are_named(beir_folder, workspace, command):
    train = {"qrels/test.tsv": None, "qrels/train.tsv": "1 0 d1 1\n", "qrels/dev.tsv.gz": gzip.compress(b"2 0 d2 1\n")}
    folder = beir_folder(train)
    assert command(collection.main, "--collection", folder).refused_with("dev, train", "--split dev")
    assert command(collection.main, "--collection", folder, "--split", "dev", "--unjudged", "drop").status == 0
    built = read_built_collection(workspace.collection("tiny"))
    assert built.qrels == {"2": {"d2": 1}}
    for split in ("../test", "a/b", ""):
        outcome = command(collection.main, "--collection", folder, f"--split={split}")
        assert outcome.refused_with("--split") or not split, outcome


def test_topics_may_be_tab_separated(beir_folder):
    folder = beir_folder({"queries.jsonl": None, "queries.tsv": "1\tdo masks help?\n2\twho needs vaccines?\n"})
    read = read_collection(folder, SETTINGS)
    assert [(topic.id, topic.question) for topic in read.topics] == [
        ("1", "do masks help?"),
        ("2", "who needs vaccines?"),
    ]
    before = source_digest(folder)
    (folder / "queries.tsv").write_text("1\ta\n2\tb\n")
    assert source_digest(folder) != before


def test_documents_under_other_field_names_read_the_same(beir_folder):
    other = BEIR_FILES["corpus.jsonl"].replace('"_id"', '"docid"').replace('"text"', '"contents"')
    topics = BEIR_FILES["queries.jsonl"].replace('"_id"', '"query_id"')
    read = read_collection(beir_folder({"corpus.jsonl": other, "queries.jsonl": topics}), SETTINGS)
    assert read == read_collection(beir_folder(name="plain"), SETTINGS)


def test_documents_whose_text_is_under_an_unknown_name_are_not_taken_for_empty(beir_folder):
    folder = beir_folder({"corpus.jsonl": '{"_id": "d1", "abstract": "Masks."}\n'})
    with pytest.raises(
        UserError, match="line 1: neither \"text\" nor \"title\" in this object, which has '_id', 'abstract'"
    ):
        read_collection(folder, SETTINGS)


def test_judged_topics_without_a_text_are_told(beir_folder, capsys):
    read_collection(beir_folder({"qrels/test.tsv": "1 0 d1 1\n2 0 d2 1\n7 0 d1 1\n9 0 d1 1\n"}), SETTINGS)
    assert "2 judged topics have no text and are left out: 7, 9" in capsys.readouterr().err


def test_a_folder_of_collections_names_them(beir_folder, tmp_path, workspace, command):
    for name in ("english", "android"):
        beir_folder(name=f"forums/{name}")
    outcome = command(collection.main, "--collection", tmp_path / "forums")
    assert outcome.refused_with("in android, english inside it"), outcome


# A name that is taken


def test_another_source_does_not_take_the_place_of_a_collection_unasked(beir_folder, workspace, command):
    first, second = (
        beir_folder(name="a/news"),
        beir_folder({"corpus.jsonl": '{"_id": "d1", "text": "x"}\n'}, name="b/news"),
    )
    assert command(collection.main, "--collection", first).status == 0
    outcome = command(collection.main, "--collection", second)
    assert outcome.refused_with("a/news", "--name", "--replace"), outcome
    built = workspace.collection("news")
    assert len(read_built_collection(built).documents) == 3
    assert command(collection.main, "--collection", second, "--name", "other-news").status == 0
    assert len(read_built_collection(workspace.collection("other-news")).documents) == 1
    assert command(collection.main, "--collection", second, "--replace").status == 0
    assert len(read_built_collection(built).documents) == 1


def test_a_changed_or_moved_source_is_the_same_collection(beir_folder, tmp_path, workspace, command):
    folder = beir_folder(name="a/news")
    command(collection.main, "--collection", folder)
    moved = folder.rename(tmp_path / "news")
    assert command(collection.main, "--collection", moved).status == 0, "the same files at another place"
    with (moved / "corpus.jsonl").open("a") as file:
        file.write('{"_id": "d4", "text": "more"}\n')
    assert command(collection.main, "--collection", moved).status == 0, "other files at the same place"
    assert len(read_built_collection(workspace.collection("news")).documents) == 4


def test_a_build_refuses_before_it_changes_anything_and_keeps_no_run_of_what_it_replaced(
    beir_folder, tmp_path, workspace
):
    run = tmp_path / "mine.run"
    run.write_text("1 Q0 d1 1 1.0 t\n")
    folder = workspace.collection("tiny")
    import_runs(folder, [run], qrels=beir_folder(name="judged") / "qrels" / "test.tsv")
    profile = Profile(collection={"name": "tiny", "source": str(beir_folder())}, system=[], baseline="")
    before = {path: path.read_bytes() for path in folder.path.rglob("*") if path.is_file()}
    with pytest.raises(UserError, match=r"another source \(imported\).*--name"):
        run_build(Build(profile, folder), say=lambda _: None)
    assert {path: path.read_bytes() for path in folder.path.rglob("*") if path.is_file()} == before
    run_build(Build(profile, folder), say=lambda _: None, replace_source=True)
    assert read_profile(str(folder / "profile.json")).system == []
    assert len(read_built_collection(folder).documents) == 3


def test_a_collection_that_cannot_be_built_changes_no_profile_and_leaves_none(beir_folder, workspace):
    folder = workspace.collection("tiny")
    profile = Profile(collection={"name": "tiny", "source": str(beir_folder())}, system=[], baseline="")
    wrong = Profile(collection={"name": "tiny", "source": str(beir_folder()), "split": "dev"}, system=[], baseline="")
    with pytest.raises(UserError, match="--split test"):
        run_build(Build(wrong, folder), say=lambda _: None)
    assert not (folder / "profile.json").exists()
    run_build(Build(profile, folder), say=lambda _: None)
    before = (folder / "profile.json").read_bytes()
    with pytest.raises(UserError, match="--split test"):
        run_build(Build(wrong, folder), say=lambda _: None)
    assert (folder / "profile.json").read_bytes() == before


@pytest.mark.parametrize("name", ["a/b", "..", "models", "sample"])
def test_a_name_must_be_one_that_a_collection_can_have(name, beir_folder, workspace, command):
    outcome = command(collection.main, "--collection", beir_folder(), f"--name={name}")
    assert outcome.refused_with("--name"), outcome


def test_judged_only_keeps_judged_documents_in_their_order(beir_folder):
    read = read_collection(beir_folder(), CollectionSettings(name="tiny", judged_only=True))
    assert [document.id for document in read.documents] == ["d1", "d2"]


def test_judged_only_of_a_foreign_corpus_is_refused(beir_folder):
    folder = beir_folder({"qrels/test.tsv": "1 0 x 1\n2 0 y 1\n"})
    with pytest.raises(UserError, match="judge no document"):
        read_collection(folder, CollectionSettings(name="tiny", judged_only=True))


def test_a_built_collection_is_the_one_that_was_read(beir_folder, tmp_path):
    folder = beir_folder()
    profile = Profile(collection={"name": "tiny", "source": str(folder)}, system=[])
    make(collection.STAGE, profile, folder_at(tmp_path / "tiny-built"))
    built = read_built_collection(folder_at(tmp_path / "tiny-built"))
    source = read_collection(folder, profile.collection)
    assert (list(built.documents), built.topics, built.qrels) == (source.documents, source.topics, source.qrels)


def test_a_built_collection_that_was_cut_is_refused(beir_folder, tmp_path):
    profile = Profile(collection={"name": "tiny", "source": str(beir_folder())}, system=[])
    corpus = make(collection.STAGE, profile, folder_at(tmp_path / "tiny-built")) / "corpus.jsonl"
    corpus.write_bytes(corpus.read_bytes()[:-1])
    with pytest.raises(UserError, match="corpus.jsonl"):
        read_built_collection(folder_at(tmp_path / "tiny-built"))


def test_judgments_on_documents_that_are_not_there_are_told(beir_folder, workspace, command):
    folder = beir_folder({"qrels/test.tsv": "1 0 d1 1\n1 0 gone 1\n2 0 d2 0\n"})
    outcome = command(collection.main, "--collection", folder)
    assert outcome.status == 0
    assert "1 of 3 judgments" in outcome.err


@pytest.mark.data
def test_scifact_has_its_published_size(data_folder):
    # Thakur et al. (2021), table 1: 5,183 documents, 300 test queries
    scifact = read_collection(data_folder / "scifact", CollectionSettings(name="scifact"))
    assert (len(scifact.documents), len(scifact.topics), sum(map(len, scifact.qrels.values()))) == (5183, 300, 339)


@pytest.mark.data
def test_the_trec_covid_subset_has_the_size_of_its_readme(data_folder):
    subset = read_collection(data_folder / "trec-covid-subset", CollectionSettings(name="trec-covid-subset"))
    assert (len(subset.documents), len(subset.topics), sum(map(len, subset.qrels.values()))) == (11392, 50, 14427)
    assert sum(document.title == "" for document in subset.documents) == 890
    assert all(topic.narrative and topic.query != topic.question for topic in subset.topics)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("cut.zip", b"PK\x03\x04 and no more", "cut.zip: not a whole zip file; copy or download it again"),
        ("corpus.jsonl", b"{}\n", "corpus.jsonl: a file of a collection; use the folder that it is in"),
        ("data.tar", b"ustar", "data.tar: expected a folder or zip file in the BEIR layout; unpack this file first"),
    ],
)
def test_a_file_that_is_no_archive_is_refused_with_what_to_do(name, content, sentence, tmp_path, command):
    (tmp_path / name).write_bytes(content)
    outcome = command(collection.main, "--collection", tmp_path / name)
    assert outcome.refused_with(sentence), outcome
