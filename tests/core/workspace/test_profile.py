"""Profiles: every setting has a place, and a wrong one is named."""

import pytest

from core.workspace.errors import UserError
from core.workspace.profile import names, read_profile

HEAD = '[collection]\nname = "tiny"\n'
BM25 = '[[system]]\nname = "a"\nkind = "bm25"\n'
BAD = {
    "no TOML": ("this is not TOML", "p.toml"),
    "an unknown table": (HEAD + BM25 + "[turbo]\non = true\n", "turbo"),
    "an unknown key": (HEAD + BM25 + "[bm25]\nk3 = 1\n", "bm25.k3"),
    "a value out of range": (HEAD + BM25 + "[bm25]\nb = 1.5\n", "bm25.b"),
    "an unknown kind": (HEAD + '[[system]]\nname = "a"\nkind = "splade"\n', "kind"),
    "a dense system without a model": (HEAD + '[[system]]\nname = "a"\nkind = "dense"\n', "model"),
    "two systems of one name": (HEAD + BM25 + BM25, "two systems are named a"),
    "a name that leaves the folder": ('[collection]\nname = "../up"\n' + BM25, "collection.name"),
    "a name of what is no collection": (
        '[collection]\nname = "models"\n' + BM25,
        "artifacts/models is reserved for other artifacts",
    ),
    "no system": (HEAD, "system"),
    "no collection": (BM25, "collection"),
    "batches of no rows": (HEAD + BM25 + "[finetune]\nbatch = 0\n", "finetune.batch"),
    "a measure that there is not": ('measures = ["NDGC@10"]\n' + HEAD + BM25, "NDGC@10"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_wrong_profile_is_refused_with_file_and_key(name, tmp_path):
    content, where = BAD[name]
    path = tmp_path / "p.toml"
    path.write_text(content)
    with pytest.raises(UserError, match=r"p\.toml") as caught:
        read_profile(str(path))
    assert where in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_profile_that_is_not_there_is_told_with_those_that_are():
    with pytest.raises(UserError, match="sample, .*trec-covid"):
        read_profile("nothing")


@pytest.mark.parametrize("name", names())
def test_every_profile_of_the_project_can_be_read_and_has_its_baseline(name):
    profile = read_profile(name)
    assert profile.baseline in {system.name for system in profile.system}
    assert {system.kind for system in profile.system} <= {"bm25", "dense"}


def test_a_profile_without_more_has_the_missions_base_and_depth(tmp_path):
    path = tmp_path / "p.toml"
    path.write_text(HEAD + BM25)
    profile = read_profile(str(path))
    assert profile.finetune.base == "microsoft/MiniLM-L12-H384-uncased"
    assert profile.depth == 1000
    assert (profile.bm25.engine, profile.collection.topic_field) == ("bm25s", "question")
