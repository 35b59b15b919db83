"""Why the figure of a dense system differs: planted differences, of which the diagnosis names the causes."""

import json

import numpy as np
import pytest

from core import collection, diagnose, encode, search
from core.evaluation.diagnosis import built_case, costly_changes
from core.evaluation.diagnosis import diagnose as diagnosed
from core.evaluation.diagnosis_changes import Evaluated
from core.evaluation.diagnosis_tables import as_table, closing, diagnosis_table
from core.training.bi_encoder import build_model
from core.workspace.profile import FinetuneSettings, Profile, find_settings
from core.workspace.stage import Build
from core.workspace.workspace import VARIABLE, Workspace

DOCUMENTS, TOPICS = 60, 12
MEASURES = ["nDCG@10", "R@20"]
PLANTED = {
    "asked-otherwise": ({"query_prefix": "fas bon "}, {"query prompt"}),
    "cut-short": ({"max_tokens": 8}, {"input limit (tokens)"}),
    "not-normalised": ({"similarity": "dot"}, {"similarity"}),
    "first-token": ({"model": "cls"}, {"pooling"}),
    "two": ({"max_tokens": 8, "query_prefix": "fas bon "}, {"input limit (tokens)", "query prompt"}),
    "two-others": ({"document_prefix": "fas bon ", "similarity": "dot"}, {"document prompt", "similarity"}),
}
"""Systems with other settings than the model's own, and what is to be named."""


@pytest.fixture(scope="module")
def build(tmp_path_factory, tiny_bert, words):
    """Build a system with a model of a few kilobytes, and those with planted differences."""
    root, generator = tmp_path_factory.mktemp("dense"), np.random.default_rng(5)
    for pooling in ("mean", "cls"):
        model = build_model(FinetuneSettings(max_tokens=32, pooling=pooling), tiny_bert, "cpu")
        model.prompts |= {"query": f"{words[3]} {words[4]} ", "document": f"{words[90]} {words[91]} "}
        model.save(str(root / pooling))
    texts = [list(generator.choice(words, int(length))) for length in generator.integers(6, 30, DOCUMENTS)]
    corpus = [{"_id": f"d{n}", "title": " ".join(t[:2]), "text": " ".join(t[2:])} for n, t in enumerate(texts)]
    queries = [{"_id": str(n), "text": " ".join(text[:5])} for n, text in enumerate(texts[:TOPICS])]
    (root / "source" / "qrels").mkdir(parents=True)
    for name, entries in (("corpus", corpus), ("queries", queries)):
        (root / "source" / f"{name}.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    grades = generator.integers(0, 3, (TOPICS, DOCUMENTS))
    judged = "".join(f"{q} 0 d{d} {grades[q, d]}\n" for q in range(TOPICS) for d in range(DOCUMENTS))
    (root / "source" / "qrels" / "test.tsv").write_text(judged)

    def system(name, settings):
        model = root / settings.get("model", "mean")
        return {"name": name, "kind": "dense"} | settings | {"model": str(model)}

    systems = [system("own", {}), *(system(name, settings) for name, (settings, _) in PLANTED.items())]
    described = {"collection": {"name": "small", "source": str(root / "source")}, "system": systems}
    folder = Workspace(root / "artifacts", checkout=root).collection("small")
    made = Build(Profile.model_validate(described), folder, "cpu")
    for stage in (collection.STAGE, encode.STAGE, search.STAGE):
        stage.run_all(made)
    return made


def case_of(build, name):
    return built_case(build.profile, build.folder, find_settings(build.profile, name), {}, "cpu")


@pytest.fixture(scope="module")
def published(build):
    """Return the figures of the model's own configuration."""
    case = case_of(build, "own")
    return Evaluated(case.scores, case.qrels, case.excluded).means(MEASURES)


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_difference_of_a_dense_system_is_named(name, build, published):
    found = diagnosed(case_of(build, name), published)
    gap = max(abs(published[measure] - found.mine[measure]) for measure in MEASURES)
    assert gap > 0.002
    table = as_table(found.trials)
    assert set(closing(table, gap).index[0].split(" + ")) == PLANTED[name][1]
    said = diagnosis_table(name, "a paper", found.mine, published, table).sentences[1]
    assert ('query prompt ("fas bon " here, published: "' in said) == ("query_prefix" in PLANTED[name][0])


def test_the_search_of_a_diagnosis_is_that_of_the_system(build):
    case = case_of(build, "two")
    assert {t: list(by) for t, by in case.searcher.search(case.searcher.start).items()} == {
        t: list(by) for t, by in case.scores.items()
    }
    as_cls = case_of(build, "first-token").searcher
    mean = as_cls.search({**as_cls.start, "pooling": "mean"})
    assert {t: list(by) for t, by in mean.items()} == {t: list(by) for t, by in case_of(build, "own").scores.items()}


def test_without_time_no_documents_are_encoded_again(build, published):
    case = case_of(build, "cut-short")
    case.searcher.encoding = 5.0
    found = diagnosed(case, published, seconds=1)
    assert len(found.not_tried) >= costly_changes(case.searcher)
    assert not case.searcher._vectors
    assert "similarity" in {trial.cause for trial in found.trials}


def test_the_command_says_beforehand_how_long_it_takes(build, published, command, monkeypatch):
    monkeypatch.setenv(VARIABLE, str(build.folder.workspace.root))
    (build.folder.path / "p.json").write_text(build.profile.model_dump_json())
    given = ",".join(f"{name}={value}" for name, value in published.items())
    options = ["--profile", build.folder.path / "p.json", "--device", "cpu", "--published", given, "--minutes", "0"]
    outcome = command(diagnose.main, "--systems", "not-normalised", *options)
    assert outcome.status == 0, outcome.err
    assert "changes of not-normalised encode all documents again, about" in outcome.err
    assert "What closes the gap: similarity (dot here, published: cosine)" in outcome.out
    assert "Not tried, for lack of time" in outcome.out
    assert command(diagnose.main, "--systems", "own", "--minutes", "-1").status == 2
