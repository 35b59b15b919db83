"""Profiles: every setting has a place, and a wrong one is named."""

import json

import pytest

from core.retrieval.kinds import KINDS
from core.workspace.errors import UserError
from core.workspace.profile import Profile, model_settings, names, read_profile

HEAD = '[collection]\nname = "tiny"\n'
BM25 = '[[system]]\nname = "a"\nkind = "bm25"\n'
OTHER = BM25.replace('"a"', '"b"')


def fusion(name, *of, weights="[]"):
    return f'[[system]]\nname = "{name}"\nkind = "fusion"\nof = {list(of)}\nfusion = {{ weights = {weights} }}\n'


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
    "a fusion of one": (HEAD + BM25 + fusion("f", "a"), "f: `of` must name at least 2 systems"),
    "a fusion of one, twice": (HEAD + BM25 + fusion("f", "a", "a"), "f: `of` names a twice"),
    "a fusion of itself": (HEAD + BM25 + fusion("f", "a", "f"), "`of` leads from f to f"),
    "a fusion of itself, through another": (
        HEAD + BM25 + fusion("f", "a", "g") + fusion("g", "f", "a"),
        "`of` leads from f to g to f",
    ),
    "a fusion of an unknown system": (HEAD + BM25 + fusion("f", "a", "b"), "f: `of` names 'b'; the profile's systems"),
    "a system of one kind that builds on others": (HEAD + BM25 + 'of = ["a"]\n', "a bm25 system has no setting `of`"),
    "too few weights": (HEAD + BM25 + fusion("f", "a", "g", weights="[1]"), "f: there are 1 weights for 2 systems"),
    "weights of 0": (HEAD + BM25 + fusion("f", "a", "g", weights="[0, 0]"), "all weights are 0"),
    "a weight below 0": (HEAD + BM25 + fusion("f", "a", "g", weights="[1, -1]"), "fusion.weights.1"),
    "a weight that is no number": (HEAD + BM25 + fusion("f", "a", "g", weights="[1, nan]"), "fusion.weights.1"),
    "a weight that none is beside": (HEAD + BM25 + fusion("f", "a", "g", weights="[1, 1e308]"), "fusion.weights.1"),
    "weights chosen on the same topics": (
        HEAD + BM25 + OTHER + fusion("f", "a", "b", weights='[1, 2], chosen_on = "TINY"'),
        "p.toml: the profile: f: its weights were chosen on the topics of tiny itself",
    ),
    "a depth that no fusion has": (HEAD + BM25 + fusion("f", "a", "g") + "depth = 9\n", "f: a fusion system has no"),
    "a fusion's settings elsewhere": (HEAD + BM25 + "fusion = { k = 9 }\n", "a: a bm25 system has no setting fusion"),
    "a model that is not used": (HEAD + BM25 + 'model = "m"\n', "a: a bm25 system has no model"),
    "no system": (HEAD, "system"),
    "no collection": (BM25, "collection"),
    "batches of no rows": (HEAD + BM25 + "[finetune]\nbatch = 0\n", "finetune.batch"),
    "a misspelt setting": ("dpeth = 9\n" + HEAD + BM25, "dpeth: there is no such setting; did you mean depth?"),
    "a misspelt setting of a system": (
        HEAD + BM25 + 'lable = "A"\n',
        "system.a.lable: there is no such setting; did you mean label?",
    ),
    "a setting outside of its section": (
        HEAD + BM25 + "k1 = 0.9\n",
        "system.a.k1: there is no such setting; did you mean bm25.k1?",
    ),
    "systems under another name": (HEAD + "[[systems]]\nname = 'a'\nkind = 'bm25'\n", "did you mean system?"),
    "one system without a list": (HEAD + BM25.replace("[[system]]", "[system]"), "each beginning with [[system]]"),
    "a value in place of a section": (
        'collection = "tiny"\n' + BM25,
        "collection: should be a section, [collection]",
    ),
    "names in place of systems": ('system = ["a"]\n' + HEAD, "system.0: should be a section"),
    "a number in quotes": ('depth = "9"\n' + HEAD + BM25, 'depth: should be a valid integer, but is "9"'),
    "a truth value in place of a number": ("depth = true\n" + HEAD + BM25, "but is true"),
    "an infinite parameter": (HEAD + BM25 + "bm25 = { k1 = inf }\n", "system.a.bm25.k1: should be a finite number"),
    "expansion without queries": (HEAD + BM25 + "expansion = { queries = 3 }\n", "expansion needs expanded = true"),
    "a setting of encoders": (HEAD + BM25 + "max_tokens = 9\n", "a bm25 system has no setting max_tokens"),
    "a similarity of terms": (HEAD + BM25 + 'similarity = "dot"\n', "a bm25 system has no setting similarity"),
    "two ways to fuse": (
        HEAD + BM25 + OTHER + fusion("f", "a", "b", weights='[], by = "min-max", k = 9'),
        'by = "min-max"; remove one',
    ),
    "a parameter of an index, in exact search": (
        HEAD + '[[system]]\nname = "a"\nkind = "dense"\nmodel = "m"\nbackend = { kind = "exact", ef = 40 }\n',
        "system.a: exact search has no ef",
    ),
    "a baseline that there is not": (
        'baseline = "b"\n' + HEAD + BM25,
        "baseline: there is no system 'b'; the systems are a",
    ),
    "no measure": ("measures = []\n" + HEAD + BM25, "measures: should name at least one"),
    "a list of no systems": ("system = []\n" + HEAD, "system: should name at least one"),
    "an index that looks at nothing": (
        HEAD + BM25 + '[[ann.index]]\nkind = "hnsw"\nvalues = [0]\n',
        "ann.index.0.values.0: should be greater than or equal to 1, but is 0",
    ),
    "no weights that were chosen": (
        HEAD + BM25 + OTHER + fusion("f", "a", "b", weights='[], chosen_on = "x"'),
        "there are no weights",
    ),
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


def test_a_profile_with_a_byte_order_mark_is_read(tmp_path):
    path = tmp_path / "p.toml"
    path.write_text(HEAD + BM25, encoding="utf-8-sig")
    assert read_profile(str(path)).collection.name == "tiny"


def test_a_saved_profile_of_an_older_version_may_have_settings_without_effect(tmp_path):
    path = tmp_path / "profile.json"
    system = {"name": "a", "kind": "bm25", "max_tokens": 9, "similarity": "dot"}
    path.write_text(json.dumps({"collection": {"name": "tiny"}, "system": [system], "depth": "9"}))
    assert read_profile(str(path)).depth == 9


def test_a_profile_that_is_not_there_is_told_with_those_that_are():
    with pytest.raises(UserError, match="sample, .*trec-covid"):
        read_profile("nothing")


@pytest.mark.parametrize("name", names())
def test_every_profile_of_the_project_can_be_read_and_has_its_baseline(name):
    profile = read_profile(name)
    assert profile.baseline in {system.name for system in profile.system}
    assert {system.kind for system in profile.system} <= KINDS.keys()


def test_a_profile_without_more_has_the_missions_base_and_depth(tmp_path):
    path = tmp_path / "p.toml"
    path.write_text(HEAD + BM25)
    profile = read_profile(str(path))
    assert profile.finetune.base == "microsoft/MiniLM-L12-H384-uncased"
    assert profile.depth == 1000
    assert (profile.bm25.engine, profile.collection.topic_field) == ("bm25s", "question")


OWN = BM25 + "bm25 = { k1 = 0.9 }\nanalyzer = { stemmer = 'porter' }\n"


def test_a_systems_own_sections_are_completed_by_those_of_the_profile(tmp_path):
    path = tmp_path / "p.toml"
    path.write_text(HEAD + '[bm25]\nb = 0.7\nfields = "two"\n[analyzer]\nstop_words = "short"\n' + OWN)
    profile = read_profile(str(path))
    (system,) = profile.system
    assert (profile.bm25.k1, profile.bm25.b) == (1.5, 0.7)
    assert profile.bm25_of(system).model_dump() == profile.bm25.model_dump() | {"k1": 0.9}
    assert profile.analyzer_of(system).model_dump() == profile.analyzer.model_dump() | {"stemmer": "porter"}
    assert Profile.model_validate_json(profile.model_dump_json()) == profile


def test_only_a_bm25_system_has_an_analyzer_of_its_own(tmp_path):
    path = tmp_path / "p.toml"
    path.write_text(HEAD + '[[system]]\nname = "a"\nkind = "dense"\nmodel = "m"\nanalyzer = { stemmer = "porter" }\n')
    with pytest.raises(UserError, match="a dense system has no section analyzer or bm25"):
        read_profile(str(path))


def test_what_a_system_builds_on_is_found_through_others_and_once(tmp_path):
    names = ["f", "g", "h", "a", "b"]
    of = {"f": ["g", "h"], "g": ["b", "a"], "h": ["g", "b"]}
    systems = [{"name": name, "kind": "fusion" if name in of else "bm25", "of": of.get(name, [])} for name in names]
    profile = Profile(collection={"name": "tiny"}, system=systems)
    assert [one.name for one in profile.built_on(profile.system[0])] == ["b", "a", "g", "h"]
    assert [one.name for one in profile.built_on(profile.system[1])] == ["b", "a"]
    assert profile.built_on(profile.system[3]) == []


def test_every_setting_that_names_a_model_is_listed():
    table = read_profile("fine-tuned").model_dump()
    sections = {name: section for name, section in table.items() if isinstance(section, dict)}
    keys = {(name, key) for name, section in sections.items() for key in ("base", "model", "teacher") if key in section}
    listed = list(model_settings(table))
    assert {where for where, _, _ in listed if "." in where} == {f"{name}.{key}" for name, key in keys}
    assert [section for _, section, _ in listed if "name" in section] == table["system"]
