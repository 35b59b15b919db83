"""What all command lines share."""

import argparse

import pytest

from core.formats.sources import obtain_source
from core.workspace import command_line
from core.workspace.errors import UserError
from core.workspace.profile import read_profile


def options(*arguments):
    parser = argparse.ArgumentParser()
    command_line.add_profile_options(parser)
    return parser.parse_args([str(argument) for argument in arguments])


def test_a_users_mistake_is_one_sentence_and_status_2(command):
    def main(_):
        raise UserError("the file is not there")

    outcome = command(main)
    assert (outcome.status, outcome.out, outcome.err) == (2, "", "error: the file is not there\n")


def test_a_file_that_cannot_be_opened_is_named(command, tmp_path):
    outcome = command(lambda _: (tmp_path / "none").read_text())
    assert outcome.refused_with("No such file", "none")


def test_an_interruption_is_no_traceback(command):
    def main(_):
        raise KeyboardInterrupt

    outcome = command(main)
    assert outcome.status == 130
    assert outcome.err.count("\n") == 1


def test_a_fault_of_ours_keeps_its_traceback(command):
    with pytest.raises(ZeroDivisionError):
        command(lambda _: 1 / 0)


def test_a_folder_takes_the_place_of_the_profiles_collection(beir_folder, workspace):
    folder = beir_folder()
    profile, artifacts = command_line.profile_and_folder(options("--collection", folder))
    assert (profile.collection.name, profile.collection.source) == ("tiny", str(folder))
    assert artifacts.path == workspace.collection("tiny").path


def test_a_name_that_is_no_folder_is_beirs(workspace):
    profile, _ = command_line.profile_and_folder(options("--collection", "scifact"))
    assert (profile.collection.name, profile.collection.source) == ("scifact", "beir:scifact")


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("ir_datasets:beir/scifact/test", "beir-scifact-test"),
        ("hub:BeIR/scifact", "BeIR-scifact"),
        ("hub:BeIR/scifact@main", "BeIR-scifact"),
    ],
)
def test_a_data_set_with_a_prefix_keeps_it_and_is_named_after_all_its_parts(source, name, workspace):
    profile, _ = command_line.profile_and_folder(options("--collection", source))
    assert (profile.collection.name, profile.collection.source) == (name, source)


def test_a_folder_named_like_the_embedded_sample_is_refused(beir_folder, workspace):
    with pytest.raises(UserError, match="sample"):
        command_line.profile_and_folder(options("--collection", beir_folder(name="sample")))


def test_a_models_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(UserError, match="--models"):
        command_line.profile_and_folder(options("--models", tmp_path / "none"))


@pytest.mark.parametrize("name", ["tiny", "my collection", "café", "..."])
def test_what_is_kept_of_any_folder_can_be_read_again_or_the_folder_is_refused(name, beir_folder, workspace):
    try:
        profile, folder = command_line.profile_and_folder(options("--collection", beir_folder(name=name)))
    except UserError:
        return
    command_line.save_profile(profile, folder)
    assert read_profile(str(folder / "profile.json")).collection.name == profile.collection.name


def test_a_kept_profile_finds_its_collection_from_any_folder(beir_folder, workspace, tmp_path, monkeypatch):
    profile, folder = command_line.profile_and_folder(options("--collection", beir_folder()))
    command_line.save_profile(profile, folder)
    assert f'"{tmp_path}' not in (folder / "profile.json").read_text(), "no absolute path"
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert (
        obtain_source(folder.workspace, read_profile(str(folder / "profile.json")).collection) / "corpus.jsonl"
    ).is_file()
