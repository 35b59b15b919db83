#!/usr/bin/env python3
"""Open every page in random states between the stages of a rebuild, and compare its figures with pytrec_eval's.

    python scripts/campaigns/mixed.py --rounds 40

Inputs of a small build are changed (judgments, topics, documents, models, systems), and some of the stages are run.
Passed: no stage and no page fails; all measures shown or exported match the current runs and judgments; if a full build
of the same collection gives other measures, the page warns that its figures are older; after the full build no page
does.
"""

import io
import json
import logging
import random
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from scripts.campaigns import campaign
from scripts.campaigns.campaign import PAGES, Count, open_page

WORK = campaign.workspace("mixed")

import pandas as pd  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402
from small_build import KNOWN, NAME, prepare  # noqa: E402

from core import doc2query  # noqa: E402
from core.build import ERRORS, run_build  # noqa: E402
from core.formats.collections import QRELS  # noqa: E402
from core.formats.runs import FILE  # noqa: E402
from core.stages import STAGES  # noqa: E402
from core.workspace.errors import UserError  # noqa: E402
from core.workspace.profile import Profile, SystemSettings  # noqa: E402
from core.workspace.stage import Build  # noqa: E402
from core.workspace.workspace import Workspace  # noqa: E402

FOLDER = Workspace.default().collection(NAME)
ARTIFACTS = FOLDER.workspace.root
MEASURES = {"nDCG@10": "ndcg_cut_10", "AP": "map", "P@10": "P_10", "RR": "recip_rank", "R@100": "recall_100"}
"""Measure names in RankScope -> in pytrec_eval, with whose figures they are compared."""
OF_FIGURES = ("summary", "topics", "topic", "report")
NOTICE = re.compile("older than|computed from|is missing|left out here|not those that made")
Changes = dict[str, Callable[[Profile, random.Random], Profile]]


def mixed(rounds: int, generator: random.Random) -> dict[str, Count]:
    """Change inputs of a small build, run some stages and open every page; then build all and open them again."""
    import streamlit as st

    source, reference = WORK / "source", WORK / "reference"
    whole = prepare(source, ARTIFACTS)
    whole = whole.model_copy(update={"measures": [*MEASURES, "Judged@10"]})
    build = Build(whole, FOLDER, "cpu")
    doc2query.TRAIN.run_all(build)
    run_build(build, say=lambda _: None)
    rebuilt = [stage.name for stage in STAGES if stage.in_build(build) and not stage.trains]
    for folder in (source, ARTIFACTS):
        shutil.copytree(folder, reference / folder.name, ignore=shutil.ignore_patterns(".*"))
    exports: dict[str, Any] = {}
    button = st.download_button

    def pressed(label: str, data: Any, file_name: str = "", *rest: Any, **options: Any) -> bool:
        exports[file_name or label] = data
        return button(label, data, file_name, *rest, **options)

    st.download_button = pressed  # type: ignore[assignment]
    logging.disable(logging.WARNING)  # Streamlit warns of exports made outside a page
    counts = {"pages between stages": Count(), "pages after a whole build": Count(), "builds": Count()}
    for number in range(rounds):
        for folder in (source, ARTIFACTS):
            campaign.empty(folder)
            shutil.copytree(reference / folder.name, folder, dirs_exist_ok=True)
        changed = generator.sample(list(CHANGES), generator.randint(1, 3))
        profile = whole
        for name in changed:
            profile = CHANGES[name](profile, generator)
        stop = generator.randrange(len(rebuilt) + 1)
        ran = [stage for place, stage in enumerate(rebuilt) if place < stop and generator.random() < 0.8]
        state = f"round {number}, changed {'+'.join(changed)}, ran {'+'.join(ran) or 'nothing'}"
        problem = "; ".join(filter(None, (failed(profile, only=stage) for stage in ran)))
        counts["builds"].add(problem, state)
        here, seen = right_values(), {}
        for page in PAGES:
            seen[page] = page_and_problem(page, here, exports)
        problem = failed(profile)
        counts["builds"].add(problem, f"{state}, then everything")
        # What is of the source that is there now, and was not yet what a whole build makes of it, must have been said.
        after, built_on_it = right_values(), "collection" in ran and not {"encoder", "T5", "systems"} & set(changed)
        old = built_on_it and any(here[system] != after[system] for system in here.keys() & after.keys())
        for page, (app, wrong) in seen.items():
            if not wrong and old and page in OF_FIGURES and not NOTICE.search(warnings(app)):
                wrong = "nothing says that its figures are older"
            counts["pages between stages"].add(wrong, f"{state}: {page}")
        for page in PAGES:
            app, wrong = page_and_problem(page, after, exports)
            if not wrong and (left := NOTICE.search(warnings(app))):
                wrong = f"a notice is left: {warnings(app)[max(0, left.start() - 100) : left.end() + 100]}"
            counts["pages after a whole build"].add(wrong, f"{state}, then everything: {page}")
    return counts


def failed(profile: Profile, only: str | None = None) -> str:
    """Build, and return the problem, "" if there is none; a stage may end with an error message."""
    try:
        outcomes = run_build(Build(profile, FOLDER, "cpu"), only=only, say=lambda _: None)
    except UserError as error:
        return f"refused: {error}"
    except Exception as error:
        return f"a traceback: {type(error).__name__}: {error}"
    not_made = [outcome for outcome in outcomes if outcome.result in ("failed", "skipped")]
    wrong = [f"{o.step.stage.name} {o.step.artifact.name}: {o.reason}" for o in not_made]
    tracebacks = FOLDER / ERRORS
    return f"a traceback: {wrong}" if tracebacks.exists() else f"failed: {wrong}" if wrong and not only else ""


def change_lines(file: str, change: Callable[[list[str], random.Random], list[str]]) -> Any:
    """Return a function that changes the lines of a file of the collection's source."""

    def changed(profile: Profile, generator: random.Random) -> Profile:
        path = WORK / "source" / "collection" / file
        path.write_text("".join(f"{line}\n" for line in change(path.read_text().splitlines(), generator)))
        return profile

    return changed


def other_grades(lines: list[str], generator: random.Random) -> list[str]:
    """Shuffle the grades among the judgments."""
    grades = [line.split()[-1] for line in lines]
    generator.shuffle(grades)
    return [" ".join([*line.split()[:-1], grade]) for line, grade in zip(lines, grades, strict=True)]


def other_texts(lines: list[str], generator: random.Random) -> list[str]:
    """Shuffle the texts of some entries, but not their ids."""
    entries = [json.loads(line) for line in lines]
    for entry in generator.sample(entries, max(1, len(entries) // 3)):
        entry["text"] = " ".join(generator.sample(KNOWN, 4))
    return [json.dumps(entry) for entry in entries]


def other_documents(lines: list[str], generator: random.Random) -> list[str]:
    """Remove some documents and add others."""
    left = generator.sample(lines, len(lines) - 8)
    new = [json.dumps({"_id": f"new{n}", "title": "", "text": " ".join(generator.sample(KNOWN, 5))}) for n in range(5)]
    return left + new


def fewer_topics(profile: Profile, generator: random.Random) -> Profile:
    """Remove a topic and its judgments."""
    source, gone = WORK / "source" / "collection", str(generator.randrange(6))
    topic_of: dict[str, Callable[[str], str]] = {
        "queries.jsonl": lambda line: str(json.loads(line)["_id"]),
        "qrels/test.tsv": lambda line: line.split()[0],
    }
    for file, topic in topic_of.items():
        lines = [line for line in (source / file).read_text().splitlines() if topic(line) != gone]
        (source / file).write_text("".join(f"{line}\n" for line in lines))
    return profile


def other_encoder(profile: Profile, generator: random.Random) -> Profile:
    """Replace the encoder's weights."""
    file = WORK / "source" / "tiny-encoder" / "model.safetensors"
    others = {key: weight.flip(0).contiguous() for key, weight in load_file(file).items()}
    save_file(others, file, metadata={"format": "pt"})
    return profile


def other_t5(profile: Profile, generator: random.Random) -> Profile:
    """Replace the T5 that predicts the queries."""
    settings = profile.doc2query.model_copy(update={"model": profile.doc2query.base})
    return profile.model_copy(update={"doc2query": settings})


def other_systems(profile: Profile, generator: random.Random) -> Profile:
    """Remove, add or change a system of the profile."""
    systems, way = list(profile.system), generator.randrange(3)
    if way == 0:
        gone = generator.choice(("bm25", "expanded", "fine-tuned"))
        return profile.model_copy(update={"system": [system for system in systems if system.name != gone]})
    if way == 1:
        another = SystemSettings(
            name="another", kind="dense", model=str(WORK / "source" / "tiny-encoder"), max_tokens=8
        )
        return profile.model_copy(update={"system": [*systems, another]})
    return profile.model_copy(update={"bm25": profile.bm25.model_copy(update={"b": 0.1})})


CHANGES: Changes = {
    "judgments": change_lines("qrels/test.tsv", other_grades),
    "topics' texts": change_lines("queries.jsonl", other_texts),
    "topics": fewer_topics,
    "documents' texts": change_lines("corpus.jsonl", other_texts),
    "documents": change_lines("corpus.jsonl", other_documents),
    "encoder": other_encoder,
    "T5": other_t5,
    "systems": other_systems,
}


def right_values() -> dict[str, dict[str, dict[str, float]]]:
    """Return system -> topic -> measure -> value by pytrec_eval, from the current files of runs and judgments."""
    import pytrec_eval

    qrels: dict[str, dict[str, int]] = {}
    for line in (FOLDER.collection / QRELS).read_text().splitlines()[1:]:
        topic, document, grade = line.split("\t")
        qrels.setdefault(topic, {})[document] = int(grade)
    found = {}
    for artifact in FOLDER.artifacts():
        if not (artifact / FILE).is_file():
            continue
        run: dict[str, dict[str, float]] = {}
        for line in (artifact / FILE).read_text().splitlines():
            topic, _, document, _, score, _ = line.split()
            run.setdefault(topic, {})[document] = float(score)
        values = pytrec_eval.RelevanceEvaluator(qrels, set(MEASURES.values())).evaluate(run)
        of_topics = {t: {name: values.get(t, {}).get(key, 0.0) for name, key in MEASURES.items()} for t in qrels}
        found[artifact.name] = of_topics
    return found


def page_and_problem(page: str, right: dict[str, dict[str, dict[str, float]]], exports: dict[str, Any]) -> Any:
    """Open a page, and return it with its problem, "" if there is none."""
    exports.clear()
    app = open_page(page, NAME, topic=generated_topic(right))
    if app.exception:
        return app, f"a traceback: {app.exception[0].message}"
    try:
        return app, wrong_figures(page, app, right, exports)
    except Exception as error:
        return app, f"its figures cannot be compared: {type(error).__name__}: {error}"


def generated_topic(right: dict[str, dict[str, dict[str, float]]]) -> str:
    """Return the last judged topic."""
    return max(next(iter(right.values())))


def wrong_figures(page: str, app: Any, right: dict[str, dict[str, dict[str, float]]], exports: dict[str, Any]) -> str:
    """Return the figures of a page that do not match the current runs and judgments, as text."""
    found: dict[tuple[str, str], float] = {}
    means = {
        (system, measure): sum(values[measure] for values in of.values()) / len(of)
        for system, of in right.items()
        for measure in MEASURES
    }
    if page == "summary":
        tables = [app.dataframe[0].value, pd.read_csv(io.StringIO(exports[f"{NAME}-measures.csv"]()), index_col=0)]
        for table in tables:
            found = {(system, measure): table[measure][system] for system in table.index for measure in MEASURES}
            if wrong := [key for key, value in found.items() if abs(value - means[key]) > 1e-9]:
                return f"not the figures of what is there: {wrong}"
    if page == "topic":
        topic = generated_topic(right)
        lists = " ".join(element.proto.body for element in app.get("html"))
        shown = re.findall(r"[a-d]: ([\w-]+)<.*?nDCG@10 ([\d.]+)", lists)
        if not shown:
            return "no list"
        if wrong := [system for system, value in shown if f"{right[system][topic]['nDCG@10']:.4f}" != value]:
            return f"not the nDCG of what is there: {wrong}"
    if page == "report":
        report = next(made for name, made in exports.items() if name.endswith(".html"))()
        table = report[report.index("<table") : report.index("</table")]
        head, *rows = re.findall(r"<tr.*?</tr>", table, re.DOTALL)
        column = re.findall("<th>(.*?)</th>", head).index("AP") - 1
        of_rows = {re.findall("<th>(.*?)</th>", row)[0]: re.findall("<td>(.*?)</td>", row) for row in rows}
        shown = [(system, of_rows[system][column]) for system in right if system in of_rows]
        if wrong := [system for system, value in shown if f"{means[system, 'AP']:.4f}" != value]:
            return f"not the AP of what is there in the report: {wrong}"
    return ""


def warnings(app: Any) -> str:
    """Return the warnings of a page, without the backslashes that escape Markdown."""
    return " ".join(str(element.value) for element in app.warning).replace("\\", "")


if __name__ == "__main__":
    campaign.run(mixed, __doc__, WORK, rounds=40)
