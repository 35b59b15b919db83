"""Pseudo-labels: the teacher's scores are its systems' own, and batches are made as they are said to be."""

import random
import shutil

import numpy as np
import pytest
from stages import make

from core import finetune, pseudo_labels
from core.build import run_build
from core.formats.collections import read_built_collection
from core.formats.predicted_queries import write_expansions
from core.retrieval.kinds import open_system
from core.training.bi_encoder import pseudo_label_rows
from core.training.histories import read_training
from core.training.pseudo_labels import _neighbour_groups, read_batches
from core.workspace.artifacts import read_manifest, writing
from core.workspace.errors import UserError
from core.workspace.profile import Profile, ReplaySettings, find_settings
from core.workspace.stage import Build

pytestmark = pytest.mark.slow


@pytest.fixture
def profile(encoder, tiny_bert, words, beir_folder, workspace, tmp_path):
    import json

    generator = random.Random(11)

    def text(length):
        return " ".join(generator.sample(words, length))

    names = [f"d{number}" for number in range(60)]
    corpus = [{"_id": name, "title": "", "text": text(generator.randint(3, 12))} for name in names]
    files = {"corpus.jsonl": "".join(json.dumps(document) + "\n" for document in corpus)}
    files |= {"queries.jsonl": '{"_id": "1", "text": "ban"}\n', "qrels/test.tsv": "1 0 d3 1\n"}
    triples = tmp_path / "triples.tsv"
    triples.write_text("".join(f"{text(3)}\t{text(6)}\t{text(6)}\n" for _ in range(40)))
    profile = Profile(
        collection={"name": "tiny", "source": str(beir_folder(files))},
        triples={"source": str(triples), "held_out": 0.3},
        pseudo_labels={
            "teachers": {"bm25": 0.5, "dense": 20.0, "dot": 0.25},
            "queries": 2,
            "batch": 8,
            "neighbours": 4,
            "held_out": 0.4,
        },
        finetune={
            "base": str(tiny_bert),
            "model": "artifacts/models/tiny",
            "data": "pseudo-labels",
            "batch": 8,
            "epochs": 1,
            "max_tokens": 16,
            "learning_rate": 1e-3,
        },
        system=[
            {"name": "bm25", "kind": "bm25"},
            {"name": "dense", "kind": "dense", "model": str(encoder)},
            {"name": "dot", "kind": "dense", "model": str(encoder), "similarity": "dot"},
        ],
    )
    folder = workspace.collection("tiny")
    for stage in ("collection", "bm25", "encode"):
        run_build(Build(profile, folder, "cpu"), only=stage, say=lambda _: None)
    written = {name: [text(3), text(2), text(3)] for name in names}
    written["d0"], written["d1"] = [], ["ban", "", "ban"]
    with writing(folder / "doc2query", "doc2query generate", {}, {}) as partial:
        write_expansions(partial, written)
    return profile


@pytest.fixture
def folder(workspace):
    return workspace.collection("tiny")


def test_scores_are_the_weighted_sum_of_what_the_systems_say(profile, folder):
    make(pseudo_labels.STAGE, profile, folder)
    weights = profile.pseudo_labels.teachers
    systems = {name: open_system(profile, find_settings(profile, name), folder) for name in weights}
    batch = read_batches(folder)[-1]
    for row, column in ((0, 1), (5, 0)):
        query = batch.queries[row][column]
        found = {name: dict(system.search([query], 60)[0].hits) for name, system in systems.items()}
        expected = [sum(weights[s] * found[s].get(name, 0.0) for s in weights) for name in batch.documents]
        assert batch.scores[row, column] == pytest.approx(np.array(expected), rel=1e-4, abs=1e-3)


def test_every_document_is_used_once_a_round_and_held_out_ones_never(profile, folder):
    make(pseudo_labels.STAGE, profile, folder)
    batches = read_batches(folder)
    held_out = {name for batch in batches if batch.held_out for name in batch.documents}
    training = [name for batch in batches if not batch.held_out for name in batch.documents]
    assert held_out and training and not held_out & set(training)
    assert "d0" not in training and "d0" not in held_out, "no query was predicted for it"
    half = len(training) // 2
    for of_round in (training[:half], training[half:]):
        assert len(set(of_round)) == len(of_round)
    lengths = {document.id: len(document.full_text) for document in read_built_collection(folder).documents}
    for batch in batches:
        assert [lengths[name] for name in batch.documents] == sorted(lengths[name] for name in batch.documents)
    of_d1 = {tuple(q) for b in batches for name, q in zip(b.documents, b.queries, strict=True) if name == "d1"}
    assert of_d1 <= {("ban", "ban")}


def test_groups_are_a_partition_into_nearest_neighbours():
    generator = np.random.default_rng(5)
    angles = np.concatenate([generator.normal(centre, 0.01, 4) for centre in (0, 1, 2, 3)])
    vectors = np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32)
    groups = _neighbour_groups(list(range(16)), vectors, 4, generator)
    assert sorted(sorted(group) for group in groups) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11], [12, 13, 14, 15]]
    uneven = _neighbour_groups(list(range(16)), vectors, 5, generator)
    assert sorted(i for group in uneven for i in group) == list(range(16))


def test_rows_carry_the_scores_of_their_own_queries(profile, folder):
    make(pseudo_labels.STAGE, profile, folder)
    batches = [batch for batch in read_batches(folder) if not batch.held_out]
    rows, _ = pseudo_label_rows(folder)
    row, batch = rows[8 + 3], batches[1]
    assert [row["query_1"], row["query_2"]] == batch.queries[3]
    assert np.array(row["label"]).reshape(2, 8) == pytest.approx(batch.scores[3])


def test_a_model_is_trained_on_them_and_its_card_says_so(profile, folder):
    make(pseudo_labels.STAGE, profile, folder)
    target = make(finetune.STAGE, profile, folder)
    card = (target / "README.md").read_text()
    assert "predicted queries of the collection tiny" in card and "| learning_rate | 0.001 |" in card
    other = profile.model_copy(update={"finetune": profile.finetune.model_copy(update={"batch": 4})})
    with pytest.raises(UserError, match="made for another batch size"):
        make(finetune.STAGE, other, folder)


def test_other_collections_and_the_base_are_replayed_beside_them(profile, folder, workspace):
    other = workspace.collection("other")
    shutil.copytree(folder.path, other.path)  # a collection with the same teachers and queries
    make(pseudo_labels.STAGE, profile, folder)
    replay = ReplaySettings(base=1.0, triples=0.5, collections=["other"])
    changed = profile.finetune.model_copy(update={"replay": replay, "batch": 8, "best_by": "loss"})
    replaying = profile.model_copy(update={"finetune": changed})
    with pytest.raises(UserError, match="other/pseudo-labels"):
        make(finetune.STAGE, replaying, folder)
    make(pseudo_labels.STAGE, profile, other)
    target = make(finetune.STAGE, replaying, folder)
    manifest, rows = read_manifest(target), len(pseudo_label_rows(folder)[0])
    assert manifest.settings["replay"] == replay.model_dump()
    assert manifest.inputs["pseudo-labels/other"] == read_manifest(other.pseudo_labels).digest
    assert manifest.facts["rows"] == 2 * rows + round(rows / 8) * 8 + round(rows / 8 / 2) * 8
    card = (target / "README.md").read_text()
    assert f"({rows} documents), pseudo-labels of other ({rows} rows), replayed triples (" in card
    assert read_training(target).history["held-out loss"].notna().any()


def test_a_teacher_without_a_dense_system_is_refused(profile, folder):
    teachers = profile.pseudo_labels.model_copy(update={"teachers": {"bm25": 1.0}})
    with pytest.raises(UserError, match="at least one of them dense"):
        make(pseudo_labels.STAGE, profile.model_copy(update={"pseudo_labels": teachers}), folder)
