"""Names of collections, systems and runs."""

import argparse

import pytest
from pydantic import ValidationError

from core.formats.sources import read_collection
from core.workspace.command_line import add_profile_options, profile_and_folder
from core.workspace.errors import UserError
from core.workspace.measure_names import parse_measure
from core.workspace.names import LONGEST_NAME, collection_name_problem, name_problem, safe_name, source_problem
from core.workspace.profile import CollectionSettings, Profile, SystemSettings

BAD = [
    *(
        "",
        ".",
        "..",
        ".hidden",
        "-x",
        "+x",
        "_x",
        "a/b",
        "a\\b",
        "../up",
        "/abs",
        "a b",
        "a\n",
        "\na",
        "a\r",
        "a\t",
        "a\0",
    ),
    *("a.", "é", "a\u2028", "٣", "<b>", "a:b", "CON", "con", "Nul.run", "com1", "LPT9.txt", "manifest.json"),
    *("Manifest.JSON", "profile.json", "queries.jsonl", "x" * (LONGEST_NAME + 1)),
]
GOOD = [
    "a",
    "0",
    "bm25",
    "r5.fusion1",
    "covidex.r5.d2q.2s",
    "a+b",
    "a-b_c.D",
    "final.qruir.txt",
    "console",
    "x" * LONGEST_NAME,
]


@pytest.mark.parametrize("name", BAD)
def test_a_name_that_cannot_be_a_folders_is_refused_wherever_one_is_given(name):
    assert name_problem(name)
    assert "\n" not in name_problem(name)
    assert collection_name_problem(name)
    for make in (
        lambda: SystemSettings(name=name, kind="bm25"),
        lambda: CollectionSettings(name=name),
        lambda: CollectionSettings(name="a", split=name),
        lambda: CollectionSettings(name="a", source=f"beir:{name}" if name != "a/b" else "beir:a/../b"),
    ):
        with pytest.raises(ValidationError):
            make()


@pytest.mark.parametrize("name", GOOD)
def test_other_names_may_be(name, tmp_path):
    assert name_problem(name) == collection_name_problem(name) == ""
    assert SystemSettings(name=name, kind="bm25").name == name
    for ending in (".lock", ".partial", ".old"):
        (tmp_path / f".{name}{ending}").touch()  # as `writing` names them; a file system allows 255 bytes


@pytest.mark.parametrize("name", ["models", "downloads", "Models", "growth"])
def test_a_collection_may_not_be_called_like_what_lies_beside_it(name):
    assert "is reserved for other artifacts" in collection_name_problem(name)
    assert not name_problem(name)


def test_systems_that_differ_in_case_alone_are_two_of_one_name():
    systems = [SystemSettings(name=name, kind="bm25") for name in ("bm25", "BM25")]
    with pytest.raises(ValidationError, match="two systems are named bm25 and BM25"):
        Profile(collection=CollectionSettings(name="a"), system=systems)


@pytest.mark.parametrize("text", [*BAD, *GOOD, "team one", "a" * 300, "..", "-", "x." * 90, "\u202e"])
def test_a_suggested_name_can_be_one(text):
    assert safe_name(text) == "" or not name_problem(safe_name(text))
    assert safe_name(text) == text or text not in GOOD


def test_parts_of_beir_data_sets_may_be_named():
    assert CollectionSettings(name="a", source="beir:cqadupstack/android").source == "beir:cqadupstack/android"


@pytest.mark.parametrize("name", ["/etc", "../..", "../x", "a//b", "a/", "", "a/b c", "a/../b", "a\n"])
@pytest.mark.parametrize("prefix", ["beir:", "ir_datasets:", "hub:"])
def test_the_name_of_a_data_set_is_no_path(prefix, name):
    with pytest.raises(ValidationError):
        CollectionSettings(name="a", source=prefix + name)


@pytest.mark.parametrize("source", ["ir_datasets:beir/scifact/test", "hub:BeIR/scifact", "hub:BeIR/scifact@v1.0"])
def test_data_sets_of_ir_datasets_and_of_the_hub_may_be_named(source):
    assert CollectionSettings(name="a", source=source).source == source


def test_every_id_of_ir_datasets_may_be_named():
    ir_datasets = pytest.importorskip("ir_datasets")
    assert not [name for name in ir_datasets.registry if source_problem(f"ir_datasets:{name}")]


@pytest.mark.parametrize("option", ["--collection", "--name"])
def test_an_option_with_a_bad_name_is_refused(option, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    parser = argparse.ArgumentParser()
    add_profile_options(parser)
    for given in ("CON", "a b", "manifest.json", "x\n", "x" * 101):
        (tmp_path / given).mkdir(exist_ok=True)
        with pytest.raises(UserError, match="cannot be a collection's name"):
            profile_and_folder(parser.parse_args([option, given]))


@pytest.mark.parametrize("name", ["/etc", "../..", "../x", "x\n"])
def test_a_beir_option_is_no_path(name):
    parser = argparse.ArgumentParser()
    add_profile_options(parser)
    for more in ([], ["--name", "mine"]):
        with pytest.raises(UserError, match="cannot be a"):
            profile_and_folder(parser.parse_args(["--collection", f"beir:{name}", *more]))


@pytest.mark.parametrize("file", ["corpus.jsonl", "queries.jsonl"])
def test_an_id_that_ends_with_a_line_break_is_refused(file, beir_folder):
    entry = '{"_id": "d1\\n", "title": "", "text": "x"}\n'
    folder = beir_folder({file: entry})
    with pytest.raises(UserError, match=rf'{file}, line 1: the id is "d1\\n", expected'):
        read_collection(folder, CollectionSettings(name="tiny", source=str(folder)))


def test_a_measures_name_has_no_line_behind_it():
    for name in ("nDCG@10\nx", "nDCG@10 x"):
        with pytest.raises(UserError):
            parse_measure(name)
