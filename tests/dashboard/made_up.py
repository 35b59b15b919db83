"""What the page tests look at: every page, and a small made-up collection with hostile texts, built by real stages."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
from stages import make
from streamlit.testing.v1 import AppTest

from core import bm25, collection, evaluate, search
from core.formats.predicted_queries import write_expansions
from core.workspace.artifacts import writing
from core.workspace.command_line import save_profile
from core.workspace.profile import CollectionSettings, Profile, SystemSettings, find_settings
from core.workspace.timing import PROCEDURE, TIMING_PROCEDURE
from core.workspace.workspace import CHECKOUT, VARIABLE, CollectionFolder, Workspace
from dashboard.shared import links

PAGES = {entry.name: entry.title for entry in links.PAGES}
"""Every page of the dashboard, by its name, and its title; the address of the first is the root."""
Open = Callable[..., AppTest]
"""The fixture `open_page`: name of the page, parameters of the URL."""

HOSTILE_TITLE = (
    '<img src=x onerror="window.hacked=1"> **bold** $x^2$ [link](javascript:alert(1)) `code` :smile: :red[red]'
)
HOSTILE_TEXT = "<script>window.hacked=1</script>\n# heading\n- www.example.org -> $$E=mc^2$$ fever " + "x" * 400
HOSTILE_QUERY = "fever <b>bold</b> $a$ :tada: [x](y)"
DOCUMENTS = {
    "d1": (HOSTILE_TITLE, HOSTILE_TEXT),
    "d2": ("Fever in children", "Fever and cough in children of all ages."),
    "d3": ("Cough", "Cough without fever, fever, fever, in the cold season."),
    "d4": ("", "Masks in schools."),
    "d5": ("Masks", "Masks on buses; nobody had a fever."),
}
TOPICS = {
    "1": (HOSTILE_QUERY, "Who has a <i>fever</i>?", "exact"),
    "02": ("masks", "Do masks help in schools?", "broad"),
    "NA": ("cough", "Which cough is it?", "exact"),
}
QRELS = {"1": {"d1": 2, "d2": 1, "d3": 0}, "02": {"d4": 2}, "NA": {"d3": 1, "d2": 0}}
EXPANSIONS = {"d5": ["do masks help in schools", "<u>masks</u> and schools"], "d4": ["masks for pupils"]}
SYSTEMS = [
    SystemSettings(name="bm25", kind="bm25", label="BM25"),
    SystemSettings(name="expanded", kind="bm25", label="BM25 + <b>queries</b>", expanded=True),
    SystemSettings(name="dense", kind="dense", label="Dense", model="nobody/such-a-model"),
]


LOG = [
    {"step": 10, "loss": 1.5, "epoch": 0.1},
    {"step": 20, "loss": 1.25, "epoch": 0.2},
    {"step": 20, "eval_loss": 1.4, "eval_held-out_cosine_mrr@10": 0.5, "epoch": 0.2},
    {"step": 30, "train_runtime": 9.0, "train_loss": 1.3},
]
FACTS = {"rows": 1234, "held_out_queries": 7, "held_out_passages": 70, "held_out_mrr@10": {"before": 0.4, "after": 0.5}}


def build(artifacts: Path) -> CollectionFolder:
    """Build the collection `made-up` under the folder of all artifacts; the dense system never runs."""
    source = artifacts / "source"
    (source / "qrels").mkdir(parents=True)
    corpus = [{"_id": name, "title": title, "text": text} for name, (title, text) in DOCUMENTS.items()]
    topics = [
        {"_id": name, "text": question, "metadata": {"query": query, "kind": kind, "narrative": "*n* & <n>"}}
        for name, (query, question, kind) in TOPICS.items()
    ]
    for name, entries in (("corpus", corpus), ("queries", topics)):
        (source / f"{name}.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    lines = [f"{topic}\t{document}\t{grade}" for topic, by in QRELS.items() for document, grade in by.items()]
    (source / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + "\n".join(lines) + "\n")

    profile = Profile(collection=CollectionSettings(name="made-up", source=str(source)), system=SYSTEMS)
    folder = Workspace(artifacts).collection("made-up")
    save_profile(profile, folder)
    make(collection.STAGE, profile, folder)
    with writing(folder.predicted_queries, "doc2query", {}, {}) as partial:
        write_expansions(partial, {name: EXPANSIONS.get(name, []) for name in DOCUMENTS})
    for name in ("bm25", "expanded"):
        make(bm25.STAGE, profile, folder, find_settings(profile, name))
        make(search.STAGE, profile, folder, find_settings(profile, name))
    make(evaluate.STAGE, profile, folder)
    return folder


def add_sweep(folder: CollectionFolder, procedure: int = TIMING_PROCEDURE, **more: float) -> None:
    """Add the sweep of the system "dense" and one of a hundred times the size, with figures made up here.

    Args:
        procedure: of timing.
        more: facts of the manifests; None takes one away.
    """
    rows = [
        ("exact", None, None, 1.0, 1.0, 0.50, 2.0, "{}"),
        ("hnsw", "ef", 10, 0.9, 0.8, 0.45, 0.5, '{"02": ["d4"], "1": ["d1", "d2"]}'),
        ("hnsw", "ef", 20, 0.96, 0.9, 0.5, 0.8, '{"02": ["d4"]}'),
    ]
    columns = ["index", "dial", "value", "recall@10", "recall@100", "nDCG@10", "p50_ms", "lost"]
    table = pd.DataFrame(rows, columns=columns).assign(parameters="{}", p95_ms=3.0, p99_ms=4.0, build_seconds=1.5)
    table = table.assign(queries_per_second=1000 / table["p50_ms"], bytes=1000, disk_bytes=500)
    facts = {"documents": 5, "dimension": 8, "queries": 3, "intrinsic_dimension": 4.2}
    facts["similarities"] = {"nDCG@10 by cosine": 0.5, "nDCG@10 by dot": 0.25}
    facts = {name: value for name, value in (facts | more).items() if value is not None}
    timed = {PROCEDURE: procedure}
    with writing(folder.sweep("dense"), "ann", timed, {}, facts) as partial:
        table.to_csv(partial / "sweep.csv", index=False)
    larger = table.drop(columns=["nDCG@10", "lost"]).assign(p50_ms=[200.0, 0.6, 1.0])
    with writing(folder.sweep("dense", 500), "ann", timed, {}, facts | {"documents": 500}) as partial:
        larger.to_csv(partial / "sweep.csv", index=False)


def add_model(workspace: Workspace, base: str = "nobody/base") -> Path:
    """Add a fine-tuned model without weights, with its history; return its folder."""
    model = workspace.model("artifacts/models/tuned")
    settings = {"base": base, "pooling": "<b>mean</b>"}
    with writing(model, "finetune", settings, {}, FACTS | {"device": "cpu"}) as partial:
        (partial / "history.json").write_text(json.dumps(LOG))
    return model.path


def add_checks(workspace: Workspace, model: Path) -> None:
    """Add the checks of an earlier version of a model, one of which found a fault."""
    rows = pd.DataFrame(
        [("after training", "padding", "cosine 1", ""), ("after training", "spread", "1", "Vectors <b>collapsed</b>.")],
        columns=["when", "check", "measured", "fault"],
    )
    facts = {"checks": {"pairs": 48, "source": "held-out triples"}}
    with writing(workspace.checks(model.name), "finetune check", {}, {"model": "an older one"}, facts) as partial:
        rows.to_csv(partial / "checks.csv", index=False)


def add_overfitting(workspace: Workspace) -> None:
    """Add an overfitting test that learned ten pairs."""
    log = [{"step": step, "loss": loss} for step, loss in ((10, 1.5), (20, 0.01))]
    log += [{"step": step, "eval_held-out_cosine_mrr@10": mrr} for step, mrr in ((10, 0.5), (20, 1.0))]
    with writing(
        workspace.overfitting("some-base"), "finetune overfit", {}, {}, {"pairs": 10, "mrr@10 before": 0.4}
    ) as partial:
        (partial / "history.json").write_text(json.dumps(log))


def add_ablations(workspace: Workspace) -> None:
    """Add ablations of two variants with two seeds."""
    rows = pd.DataFrame(
        {
            "variant": ["recipe", "recipe", "CLS", "CLS"],
            "seed": [1, 2, 1, 2],
            "MRR@10 before": 0.1,
            "nDCG@10 before": 0.2,
            "MRR@10": [0.6, 0.8, 0.1, 0.3],
            "nDCG@10": [0.4, 0.5, 0.1, 0.2],
            "rows": 100,
            "seconds": 5.0,
        }
    )
    settings = {"collection": {"name": "small", "split": "train"}, "recipe": {"base": "nobody/some-base"}}
    with writing(workspace.ablations("some-base"), "ablations", settings, {}) as partial:
        rows.to_csv(partial / "ablations.csv", index=False)


def last_line_of(program: str, folder: CollectionFolder) -> str:
    """Run a Python program in a process of its own on a collection's workspace; return the last line that it prints."""
    environment = os.environ | {VARIABLE: str(folder.workspace.root)}
    command = [sys.executable, "-c", program]
    ended = subprocess.run(command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=True)
    return ended.stdout.splitlines()[-1]


def warnings(app: AppTest) -> str:
    """The page's warnings, as a reader sees them: without the backslashes that keep names from being Markdown."""
    return "\n".join(warning.value for warning in app.warning).replace("\\", "")


def lists(app: AppTest) -> list[str]:
    """The HTML of each ranked list, also of those that stand side by side in one element."""
    found = [element.proto.body for element in app.get("html") if '<div class="rs-list' in element.proto.body]
    return [f'<div class="rs-list{part}' for body in found for part in body.split('<div class="rs-list')[1:]]
