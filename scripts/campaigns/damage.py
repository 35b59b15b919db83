#!/usr/bin/env python3
"""Damage every kind of artifact in every way, and check that stages and pages report it and show no wrong figure.

    python scripts/campaigns/damage.py                     # the sample and a small build of all stages, models included
    python scripts/campaigns/damage.py --each 1 --no-pages # fewer, and stages only

The campaign works on copies. In a file a bit is flipped, or the file is truncated, deleted, extended or swapped with
another one. Then

- every function in `core` that reads it, and
- every page of the dashboard that reads it, in a session that read it before the damage and has cached data,

must name the file, its artifact or the command that repairs it, or give the same result as for the undamaged artifact,
if it does not depend on the file or read it before. Anything else, such as a traceback or another figure, is a fault.
"""

import argparse
import itertools
import json
import random
import re
import shutil
import sys
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from scripts.campaigns.campaign import PAGES, ROOT, Count, drawn, kept, open_page, said, total, workspace

WORK = workspace("damage")

import numpy as np  # noqa: E402
from small_build import NAME, prepare  # noqa: E402
from streamlit.testing.v1 import AppTest  # noqa: E402

from core import doc2query, pseudo_labels  # noqa: E402
from core.build import run_build  # noqa: E402
from core.evaluation.ann_sweep import read_growth, read_sweep  # noqa: E402
from core.formats import predicted_queries  # noqa: E402
from core.formats.collections import read_built_collection, read_built_topics  # noqa: E402
from core.formats.runs import built_run  # noqa: E402
from core.plan import steps  # noqa: E402
from core.retrieval.bm25 import load_index, stored_predicted  # noqa: E402
from core.retrieval.encoder import load_vectors  # noqa: E402
from core.retrieval.kinds import open_system  # noqa: E402
from core.training import histories  # noqa: E402
from core.training.bi_encoder import pseudo_label_rows  # noqa: E402
from core.training.pseudo_labels import read_batches  # noqa: E402
from core.workspace import artifacts  # noqa: E402
from core.workspace.artifacts import MANIFEST, PROFILE  # noqa: E402
from core.workspace.errors import UserError  # noqa: E402
from core.workspace.models import locate_model  # noqa: E402
from core.workspace.profile import Profile, SystemSettings, read_profile  # noqa: E402
from core.workspace.stage import Build  # noqa: E402
from core.workspace.workspace import SHOWN, CollectionFolder, Workspace  # noqa: E402

WORKSPACE = Workspace.default()

WAYS = ("flip", "cut", "delete", "append", "swap")
COMMAND = re.compile(r"python (?:-m core\.|scripts/)\w+|restore the original model|import it again|build it again")


# Damages


def damage(path: Path, way: str, other: Path | None, generator: random.Random) -> bool:
    """Damage a file; return whether its contents changed."""
    content = path.read_bytes()
    if way == "delete":
        path.unlink()
        return True
    if way == "swap":
        if other is None or other.read_bytes() == content:
            return False
        path.write_bytes(other.read_bytes())
        other.write_bytes(content)
        return True
    changed = bytearray(content)
    if way == "append":
        changed.append(generator.randrange(33, 127))
    elif way == "cut" and content:
        del changed[generator.randrange(len(content)) :]
    elif way == "flip" and content:
        changed[generator.randrange(len(content))] ^= 1 << generator.randrange(8)
    path.write_bytes(changed)
    return bool(changed != content and not same_json(path, content, bytes(changed)))


def same_json(path: Path, before: bytes, after: bytes) -> bool:
    """Tell whether both are the same JSON value, so that only whitespace changed."""
    try:
        return path.name in (MANIFEST, PROFILE) and json.loads(before) == json.loads(after)
    except ValueError:
        return False


# What reads


def readers(name: str, profile: Profile) -> dict[str, Callable[[], Any]]:
    """Return the functions in `core` that read artifacts of a collection, by name."""
    folder = WORKSPACE.collection(name)
    encoded = [system for system in profile.system if system.name in profile.encoded]
    lexical = [system for system in profile.system if system.kind == "bm25"]
    found: dict[str, Callable[[], Any]] = {
        "profile": lambda: read_profile(str(folder.profile)).model_dump(),
        "collection": lambda: read_built_collection(folder),
        "topics": lambda: read_built_topics(folder),
        "expansions": lambda: predicted_queries.read_expansions(folder),
    }
    for system in profile.system:
        found[f"run {system.name}"] = partial(built_run, folder, system.name)
        found[f"system {system.name}"] = partial(hits, profile, system, folder)
    for system in lexical:
        found[f"index {system.name}"] = partial(_ranking, profile, system, folder)
        if system.expanded:
            found[f"predicted {system.name}"] = partial(stored_predicted, folder, system.name)
    for system in encoded:
        found[f"sweep {system.name}"] = partial(_as_text, read_sweep, folder, system.name)
        found[f"growth {system.name}"] = partial(_as_text, read_growth, folder, system.name)
        found[f"vectors {system.name}"] = partial(_vectors, folder, system.name)
    if name == NAME:
        found |= {
            "scores": lambda: predicted_queries.read_scores(folder),
            "pseudo-labels": lambda: [batch.scores.tolist() for batch in read_batches(folder)],
            "training rows": lambda: pseudo_label_rows(folder)[0].to_list(),
            "history": lambda: histories.read_training(folder.model(profile.finetune.model)).history.to_csv(),
            "T5": lambda: locate_model(WORKSPACE, profile.doc2query.model).name,
        }
    return found


def hits(profile: Profile, system: SystemSettings, folder: CollectionFolder) -> Any:
    """Return the answers of a newly opened system."""
    (answer,) = open_system(profile, system, folder, "cpu").search(["bat men test"], 5)
    return [(document, round(score, 4)) for document, score in answer.hits]


def _ranking(profile: Profile, system: SystemSettings, folder: CollectionFolder) -> Any:
    return load_index(profile, system, folder).search("bat men test", 5)


def _as_text(read: Callable[[CollectionFolder, str], Any], folder: CollectionFolder, system: str) -> str:
    return str(read(folder, system).to_csv())


def _vectors(folder: CollectionFolder, system: str) -> Any:
    vectors, names = load_vectors(folder, system)
    return np.array(vectors).tolist(), names


def build_of(name: str, profile: Profile) -> Build:
    """Return the build of a collection."""
    return Build(profile, WORKSPACE.collection(name), "cpu")


def plan(name: str, profile: Profile) -> list[str | None]:
    """Return why each step of the build is stale."""
    return [step.stale() for step in steps(build_of(name, profile))]


# Judging


def names_it(message: str, path: Path) -> bool:
    """Tell whether a message names the file or its artifact, and how to repair it."""
    message = re.sub(r"[\\`\u2060]", "", message)
    if path.name == PROFILE:  # how to repair a profile depends on where it came from
        return PROFILE in message
    places = {path.name, WORKSPACE.shown(path.parent), path.parent.name, WORKSPACE.shown(path.parent.parent)}
    return any(place in message for place in places) and bool(COMMAND.search(message))


def problem_of(read: Callable[[], Any], expected: Any, paths: list[Path]) -> str:
    """Return the problem with how a function reads damaged artifacts, "" if there is none."""
    try:
        found = read()
    except UserError as error:
        return "" if any(names_it(str(error), path) for path in paths) else f"an unclear sentence: {error}"
    except Exception as error:
        return f"a traceback: {type(error).__name__}: {error}"
    return "" if found == expected else "another result, without a word"


def problem_of_plan(name: str, profile: Profile, planned: list[str | None], path: Path) -> str:
    """Return the problem with the build's plan when a file is damaged, "" if there is none."""
    try:
        if plan(name, profile) == planned and is_planned(path, name, profile):
            return "the build takes it for up to date"
    except Exception as error:
        return f"a traceback: {type(error).__name__}: {error}"
    return ""


def problem_of_page(app: AppTest, expected: list[str], paths: list[Path]) -> str:
    """Return the problem with a page of damaged artifacts, "" if there is none."""
    if app.exception:
        return f"a traceback: {app.exception[0].message}"
    found = drawn(app)
    if found == expected or any(names_it(text, path) for text in map(said, app.main) for path in paths):
        return ""
    changed = [text[:150] for text in found if text not in expected]
    return f"another page, without a word: {changed[:3]}"


def opened_files(work: Callable[[], Any]) -> set[Path]:
    """Return the artifact files that some work opens or stats, after clearing the caches."""
    import streamlit as st

    st.cache_data.clear()
    st.cache_resource.clear()
    artifacts._file_digest.cache_clear()
    seen: set[Path] = set()
    _WATCHING.append(seen)
    try:
        work()
    finally:
        _WATCHING.remove(seen)
    return seen


_WATCHING: list[set[Path]] = []


def _watch(event: str, values: tuple[Any, ...]) -> None:
    if event == "open" and _WATCHING and str(values[0]).startswith(str(WORKSPACE.root)):
        _WATCHING[-1].add(Path(str(values[0])))


def partners(files: list[Path]) -> dict[Path, Path]:
    """Return a file to swap each file with: the next one of the same name, or of the same artifact."""
    of_name: dict[str, list[Path]] = defaultdict(list)
    for path in files:
        of_name[path.name].append(path)
    found = {}
    for path in files:
        alike = of_name[path.name] if len(of_name[path.name]) > 1 else [p for p in files if p.parent == path.parent]
        found[path] = alike[(alike.index(path) + 1) % len(alike)]
    return {path: other for path, other in found.items() if other != path}


def kind_of(path: Path) -> str:
    """Return the kind of a file: its stage's folder and its name."""
    parts = path.relative_to(WORKSPACE.root).parts[1:]
    if parts[-1] in (MANIFEST, PROFILE):
        return parts[-1]
    return f"{parts[0]}/{parts[-1]}" if len(parts) > 1 else parts[0]


def campaign(
    name: str, profile: Profile, each: int, pages: bool, pattern: str, generator: random.Random
) -> dict[str, Count]:
    """Damage the files of a collection's artifacts and of the models, and count cases by kind of file."""
    places = [WORKSPACE.collection(name).path, *(model.path for model in WORKSPACE.models() if name == NAME)]
    of_build = [path for place in places for path in place.rglob("*")]
    hidden = re.compile(r"/\.|LICENSE|/ann-simulated/")
    files = sorted(path for path in of_build if path.is_file() and not hidden.search(str(path)))
    reading = readers(name, profile)
    reads = {what: opened_files(read) for what, read in reading.items()}
    expected = {what: read() for what, read in reading.items()}
    shown = PAGES if pages else ()
    of_page = {page: opened_files(partial(open_page, page, name)) for page in shown}
    looks = {page: drawn(open_page(page, name)) for page in shown}
    planned, other_of = plan(name, profile), partners(files)
    counts: dict[str, Count] = defaultdict(Count)
    chosen = [path for path in files if re.search(pattern, str(path))]
    for path, way, _ in itertools.product(chosen, WAYS, range(each)):
        other = other_of.get(path) if way == "swap" else None
        paths = [path, *([other] if other else [])]
        with kept(*paths):
            if not damage(path, way, other, generator):
                continue
            problems = {
                what: problem_of(read, expected[what], paths)
                for what, read in reading.items()
                if any(p in reads[what] for p in paths)
            }
            if path.name != PROFILE:
                problems["plan"] = problem_of_plan(name, profile, planned, path)
            for page in shown:
                if any(p in of_page[page] for p in paths):
                    app = open_page(page, name)
                    problems[f"page {page}"] = problem_of_page(app, looks[page], paths)
        found = "; ".join(f"{what}: {problem}" for what, problem in problems.items() if problem)
        counts[f"{name} {kind_of(path)}"].add(found, f"{way} {WORKSPACE.shown(path)}")
    return counts


def is_planned(path: Path, name: str, profile: Profile) -> bool:
    """Tell whether a file belongs to an artifact that the build's plan checks."""
    return any(path.is_relative_to(step.artifact) for step in steps(build_of(name, profile)))


def make_small() -> Profile:
    """Make the small build with all stages."""
    profile: Profile = prepare(WORK / "source", WORKSPACE.root)
    build = build_of(NAME, profile)
    doc2query.TRAIN.run_all(build)
    run_build(build, say=lambda _: None)
    pseudo_labels.STAGE.run_all(build)
    return profile


def main() -> None:
    """Make the copies, damage them and print the counts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--each", type=int, default=1, help="number of damages per file and way")
    parser.add_argument("--no-pages", action="store_true", help="stages only")
    parser.add_argument("--only", choices=("sample", NAME), help="one of the two builds")
    parser.add_argument("--files", default="", metavar="PATTERN", help="only files whose path holds this pattern")
    parser.add_argument("--seed", type=int, default=13)
    options = parser.parse_args()
    sys.addaudithook(_watch)
    builds = {}
    if options.only != NAME:
        ignored = shutil.ignore_patterns(".*")
        shutil.copytree(Workspace(ROOT / SHOWN).collection("sample"), WORKSPACE.collection("sample"), ignore=ignored)
        builds["sample"] = read_profile("sample")
    if options.only != "sample":
        builds[NAME] = make_small()
    counts: dict[str, Count] = {}
    for name, profile in builds.items():
        generator = random.Random(options.seed)
        counts |= campaign(name, profile, options.each, not options.no_pages, options.files, generator)
    total(counts)


if __name__ == "__main__":
    try:
        main()
    finally:
        shutil.rmtree(WORK, ignore_errors=True)
