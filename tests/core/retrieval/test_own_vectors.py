"""Vectors made elsewhere: the run is that of the model that made them, and what does not fit is refused."""

import json
import pickle

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer

from core import encode
from core.build import run_build
from core.formats.runs import read_run
from core.retrieval.kinds import cannot_answer, open_system
from core.retrieval.own_vectors import TOPIC_VECTORS
from core.workspace.artifacts import read_manifest
from core.workspace.errors import UserError
from core.workspace.profile import Profile, read_profile
from core.workspace.stage import Build
from tests.beir_files import of_words

WIDTH = 8


def written(path, ids, vectors, ending="json"):
    np.save(path, vectors)
    text = json.dumps(ids) if ending == "json" else "".join(f"{name}\n" for name in ids)
    path.with_suffix(f".{ending}").write_text(text)
    return path


@pytest.fixture
def source(beir_folder, words):
    return beir_folder(of_words(words))


@pytest.fixture
def files(tmp_path):
    """Vectors of the 20 documents, in another order and with one that is not in the collection, and of the topics."""
    generator = np.random.default_rng(4)
    ids = [f"d{n}" for n in reversed(range(21))]
    documents = written(tmp_path / "documents.npy", ids, generator.normal(size=(21, WIDTH)))
    topics = written(tmp_path / "topics.npy", ["2", "0", "1"], generator.normal(size=(3, WIDTH)).astype("f2"), "txt")
    return documents, topics


def profile_of(source, *systems):
    collection = {"name": "tiny", "source": str(source)}
    return Profile(collection=collection, baseline=systems[0]["name"], system=list(systems))


def own(files, **settings):
    return {"name": "own", "kind": "dense", "vectors": str(files[0]), "topic_vectors": str(files[1]), **settings}


def built(profile, workspace):
    folder = workspace.collection("tiny")
    outcomes = run_build(Build(profile, folder, "cpu"), say=lambda line: None)
    assert [(one.step.artifact.shown, one.reason) for one in outcomes if one.result in ("failed", "skipped")] == []
    return folder


@pytest.mark.slow
def test_vectors_of_a_model_give_the_run_of_the_model(source, encoder, words, workspace, tmp_path):
    model = SentenceTransformer(str(encoder), device="cpu")
    texts = {f"d{n}": " ".join(words[n : n + 5]) for n in reversed(range(20))}
    topics = {str(n): words[n] for n in range(3)}
    files = [
        written(tmp_path / f"{name}.npy", list(table), model.encode(list(table.values())))
        for name, table in (("documents", texts), ("topics", topics))
    ]
    by_model = {"name": "by-model", "kind": "dense", "model": str(encoder)}
    profile = profile_of(source, by_model, own(files, model=str(encoder)))
    folder = built(profile, workspace)
    expected, run = (read_run(folder / "runs" / name / "run.trec").scores for name in ("by-model", "own"))
    assert run == {topic: pytest.approx(hits, abs=1e-5) for topic, hits in expected.items()}
    expected, live = (open_system(profile, system, folder, "cpu") for system in profile.system)
    for query in (topics["1"], f"{words[3]} {words[9]}"):  # one whose vector is given, one that the model encodes
        assert live.search([query], 20)[0].ranking == expected.search([query], 20)[0].ranking
    assert dict(live.search([topics["1"]], 20)[0].hits) == pytest.approx(run["1"], abs=1e-6), "live as in the batch"
    assert all(one.result == "up to date" for one in run_build(Build(profile, folder, "cpu"), say=lambda line: None))


def test_without_a_model_the_topics_are_searched_and_nothing_else(source, files, words, workspace):
    profile = profile_of(source, own(files), {"name": "short", "kind": "dense", "vectors_of": "own", "dimensions": 3})
    folder = built(profile, workspace)
    rows = dict(zip(json.loads(files[0].with_suffix(".json").read_text()), np.load(files[0]), strict=True))
    topic = np.load(files[1])[2].astype(np.float64)  # that of topic 1
    for name, width in (("own", WIDTH), ("short", 3)):
        cosines = {
            d: v[:width] @ topic[:width] / np.linalg.norm(v[:width]) / np.linalg.norm(topic[:width])
            for d, v in rows.items()
            if d != "d20"
        }
        assert read_run(folder / "runs" / name / "run.trec").scores["1"] == pytest.approx(cosines, abs=1e-5)
    assert read_manifest(folder.vectors("own")).facts["vectors_left_out"] == 1
    assert np.load(folder.vectors("own") / TOPIC_VECTORS).dtype == np.float32
    with pytest.raises(UserError, match="own has the vectors of the topics alone; to answer other queries, name the"):
        open_system(profile, profile.system[0], folder, "cpu").search([words[0], "something else"], 5)
    assert "no model" in str(cannot_answer(profile, profile.system[0]))
    build = Build(read_profile(str(folder.profile)), folder, "cpu")
    (target,) = encode.STAGE.targets(build)
    assert encode.STAGE.stale(build, target) is None
    np.save(files[0], np.load(files[0]) + 1)
    assert encode.STAGE.stale(build, target) == "its input file of vectors changed"
    files[0].unlink()
    assert encode.STAGE.stale(build, target) is None, "like a model that is not on this machine"


def test_a_model_of_another_dimension_is_refused_when_a_query_needs_it(source, files, words, encoder, workspace):
    profile = profile_of(source, own(files, model=str(encoder)))
    system = open_system(profile, profile.system[0], built(profile, workspace), "cpu")
    assert len(system.search([words[0]], 5)[0].hits) == 5
    with pytest.raises(UserError, match=r"own: the vectors of .* have \d+ dimensions, but those of the documents 8"):
        system.search(["something else"], 5)


def change(files, which=0, ids=lambda ids: ids, vectors=lambda vectors: vectors):
    path = files[which]
    names = json.loads(path.with_suffix(".json").read_text()) if which == 0 else ["2", "0", "1"]
    written(path, ids(names), vectors(np.load(path)), "json" if which == 0 else "txt")


def with_value(row, value):
    def changed(vectors):
        vectors[row] = value
        return vectors

    return changed


CHANGES = {
    "fewer ids": (dict(ids=lambda ids: ids[1:]), r"documents\.npy has 21 vectors, but documents\.json has 20 ids"),
    "an id twice": (dict(ids=lambda ids: [*ids[:-1], ids[3]]), r"documents\.json: id 21 is d17, as an earlier one is"),
    "an empty id": (dict(ids=lambda ids: ["", *ids[1:]]), r"documents\.json: id 1 is empty"),
    "numbers": (dict(ids=lambda ids: list(range(21))), r"documents\.json: expected a list of ids, each a string"),
    "other ids": (
        dict(ids=lambda ids: [f"x{name}" for name in ids]),
        r"documents\.npy has no vector for 20 of 20 documents, such as d0",
    ),
    "a topic too few": (
        dict(which=1, ids=lambda ids: ids[1:], vectors=lambda vectors: vectors[1:]),
        r"topics\.npy has no vector for 1 of 3 topics, such as 2",
    ),
    "NaN": (dict(vectors=with_value(4, np.nan)), r"documents\.npy: the vector of d16 has NaN or infinite values"),
    "too large": (dict(vectors=with_value(4, 1e300)), r"documents\.npy: the vector of d16 has NaN or infinite values"),
    "zero": (dict(vectors=with_value(4, 0)), r"documents\.npy: the vector of d16 has only zeros, and so no cosine"),
    "too long": (dict(vectors=with_value(4, 3e38)), r"the vector of d16 has a length that is no float32, and so no"),
    "too short": (dict(vectors=with_value(4, 1e-30)), r"the vector of d16 has a length that is no float32, and so no"),
    "integers": (
        dict(vectors=lambda vectors: (9 * vectors).astype(np.int64)),
        r"documents\.npy: int64 \[21, 8\], expected one vector per row, float \[n, dimension\]",
    ),
    "one axis": (dict(vectors=lambda vectors: vectors[:, 0]), r"documents\.npy: float64 \[21\], expected one vector"),
    "another dimension": (
        dict(which=1, vectors=lambda vectors: vectors[:, 1:]),
        r"topics\.npy has 7 dimensions, but documents\.npy has 8",
    ),
}


def made(source, files, workspace):
    build = Build(profile_of(source, own(files)), workspace.collection("tiny"), "cpu")
    if not build.folder.collection.path.exists():
        from core import collection

        collection.STAGE.run_all(build)
    return encode.STAGE.run_all(build)


@pytest.mark.parametrize("name", CHANGES)
def test_vectors_that_do_not_fit_are_refused_in_one_sentence(name, source, files, workspace):
    changed, sentence = CHANGES[name]
    change(files, **changed)
    with pytest.raises(UserError, match=sentence) as caught:
        made(source, files, workspace)
    assert "\n" not in str(caught.value)
    assert not workspace.collection("tiny").vectors("own").path.exists()


def test_no_object_is_unpickled_and_no_truncated_file_is_read(source, files, workspace):
    np.save(files[0], np.array([[print, 1]], dtype=object), allow_pickle=True)
    with pytest.raises(UserError, match=r"documents\.npy: not a \.npy file .* \(Python objects are not read\)"):
        made(source, files, workspace)
    files[0].write_bytes(pickle.dumps([1.0]))
    with pytest.raises(UserError, match=r"documents\.npy: not a \.npy file .* \(Python objects are not read\)"):
        made(source, files, workspace)
    np.save(files[0], np.ones((21, WIDTH)))
    files[0].write_bytes(files[0].read_bytes()[:-5])
    with pytest.raises(UserError, match=r"documents\.npy: not a \.npy file of numbers, or cut short"):
        made(source, files, workspace)
    files[0].with_suffix(".json").unlink()
    np.save(files[0], np.ones((21, WIDTH)))
    with pytest.raises(UserError, match=r"expected documents\.json or documents\.txt beside it"):
        made(source, files, workspace)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"vectors": "a.npy"}, "needs topic_vectors, or the model that made them"),
        ({"model": "m", "topic_vectors": "a.npy"}, "topic_vectors belong to vectors"),
    ],
)
def test_incomplete_settings_are_refused(settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        profile_of("nowhere", {"name": "own", "kind": "dense", **settings})
