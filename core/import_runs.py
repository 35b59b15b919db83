"""Bring in runs made elsewhere: they are compared like a built-in system, but cannot answer new queries.

Either added to a collection that was built here, or opened by themselves with their qrels (a collection without texts).
"""

import argparse
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from core import artifacts, cli
from core.artifacts import (
    PROFILE,
    building,
    file_digest,
    is_whole,
    open_artifact,
    remove_tree,
    shown,
    writing,
)
from core.collection import QRELS, write_topics
from core.errors import UserError
from core.evaluate import evaluate_systems
from core.exclusions import EXCLUDED, Exclusions, built_exclusions, left_out, notice, own_documents, write_excluded
from core.profile import (
    SAFE_NAME,
    CollectionSettings,
    Profile,
    SystemSettings,
    collection_name_problem,
    read_profile,
)
from core.qrels import Qrels, read_qrels, write_qrels
from core.runs import FILE, Run, ranked, read_run, write_run
from core.topics import Topic, named, read_topics

ENDINGS = (".run", ".run.gz", ".trec", ".trec.gz")


def find_runs(paths: Iterable[Path]) -> list[Path]:
    """Return the run files among the paths: files as they are, and of folders those that end like a run.

    Raises:
        UserError: there is none.
    """
    found: list[Path] = []
    for path in paths:
        found += sorted(p for p in path.iterdir() if p.name.endswith(ENDINGS)) if path.is_dir() else [path]
    if not found:
        raise UserError(f"no run here: files that end in {', '.join(ENDINGS)} are expected")
    return found


def topics_for(qrels: Qrels, path: Path | None) -> list[Topic]:
    """Return a topic for every judged one: from a file (see `core.topics`), or with its number for a text."""
    if path is None:
        return [Topic(topic, topic, f"topic {topic}") for topic in qrels]
    topics = read_topics(path, set(qrels), set(), drop_unjudged=True)
    if missing := sorted(qrels.keys() - {topic.id for topic in topics}):
        topics_missing = f"topic{'s' * (len(missing) > 1)} {named(missing)}"
        raise UserError(f"{path.name}: it lacks {topics_missing}, which the qrels judge")
    return topics


def import_runs(
    name: str,
    runs: list[Path],
    qrels: Path | None = None,
    topics: Path | None = None,
    by_rank: bool = False,
    names: Sequence[str] = (),
    ignore_identical_ids: bool = True,
) -> Path:
    """Import run files under `artifacts/<name>` and evaluate everything there anew.

    Args:
        qrels: needed where there is no collection of that name yet.
        by_rank: follow the rank column, for files whose scores were rounded.
        names: what the runs are called, where it is not what their files are.
        ignore_identical_ids: of a new collection, see `core.profile.CollectionSettings`.

    Raises:
        UserError: a file is not as expected, or a name is taken by a system that is no imported run.
    """
    if problem := collection_name_problem(name):
        raise UserError(problem)
    folder = artifacts.ARTIFACTS / name
    read = [read_run(path, "rank" if by_rank else "score") for path in runs]
    if names:
        read = [replace(run, name=given) for run, given in zip(read, names, strict=True)]
    digests = [file_digest(path) for path in runs]
    with building(folder):
        if (folder / PROFILE).is_file():
            profile = read_profile(str(folder / PROFILE))
            if qrels and profile.collection.source == "imported" and not is_whole(folder / "collection"):
                _new_collection(folder, qrels, topics, profile.collection.ignore_identical_ids)
        else:
            profile = _new_collection(folder, qrels, topics, ignore_identical_ids)
        open_artifact(folder / "collection", QRELS)
        judged, excluded = read_qrels(folder / "collection" / QRELS).keys(), built_exclusions(folder)
        read = [_with_notice(run, excluded) for run in read]
        for run in read:
            if not judged & run.scores.keys():
                raise UserError(f"{run.name}: the run and the judgments of {name} have no topic in common")
        for run, digest in zip(read, digests, strict=True):
            profile = _add(profile, folder, run, digest, by_rank)
        cli.save_profile(profile, folder)
        evaluate_systems(profile, folder, keep_agreement=True)
    for run in read:
        for sentence in run.notices:
            cli.note(f"{run.name}: {sentence}")
    return folder


def remove_run(name: str, run: str) -> None:
    """Remove an imported run from the collection `artifacts/<name>` and evaluate what is left.

    Raises:
        UserError: the collection has no imported run of that name.
    """
    folder = artifacts.ARTIFACTS / name
    with building(folder):
        profile = read_profile(str(folder / PROFILE))
        rest = [system for system in profile.system if (system.name, system.kind) != (run, "run")]
        if len(rest) == len(profile.system):
            raise UserError(f"{name} has no imported run {run!r}")
        profile = profile.model_copy(update={"system": rest})
        cli.save_profile(profile, folder)
        remove_tree(folder / "runs" / run)
        evaluate_systems(profile, folder, keep_agreement=True)


def _with_notice(run: Run, excluded: Exclusions) -> Run:
    """Return a run, whole, with a notice of what is left out when it is evaluated."""
    found = left_out(run.scores, excluded)
    return replace(run, notices=[*run.notices, notice(found)]) if found else run


def _new_collection(folder: Path, qrels: Path | None, topics: Path | None, ignore_identical_ids: bool) -> Profile:
    if qrels is None:
        raise UserError(f"there is no collection {folder.name} yet; give the runs' judgments with --qrels")
    judgments = read_qrels(qrels)
    inputs = {"qrels": file_digest(qrels)} | ({"topics": file_digest(topics)} if topics else {})
    facts: dict[str, Any] = {"documents": 0, "topics": len(judgments), "judgments": sum(map(len, judgments.values()))}
    with writing(folder / "collection", "import_runs", {}, inputs, facts) as partial:
        write_topics(partial / "queries.jsonl", topics_for(judgments, topics))
        (partial / "qrels").mkdir()
        write_qrels(partial / "qrels" / "test.tsv", judgments)
        if ignore_identical_ids:
            write_excluded(partial / EXCLUDED, own_documents(judgments))
    settings = CollectionSettings(name=folder.name, source="imported", ignore_identical_ids=ignore_identical_ids)
    return Profile(collection=settings, system=[], baseline="")


def _add(profile: Profile, folder: Path, run: Run, digest: str, by_rank: bool) -> Profile:
    others = [system for system in profile.system if system.name != run.name]
    if len(others) < len(profile.system) and not any(s.name == run.name and s.kind == "run" for s in profile.system):
        raise UserError(f"a system of this collection is named {run.name} already; rename the file")
    if not re.match(SAFE_NAME, run.name):
        raise UserError(f"{run.name!r} cannot be a run's name: letters, digits, '.', '_', '+' and '-' can; rename it")
    facts = {"notices": run.notices}
    with writing(folder / "runs" / run.name, "import_runs", {"by_rank": by_rank}, {"file": digest}, facts) as partial:
        write_run(partial / FILE, run.name, ((topic, ranked(scores)) for topic, scores in run.scores.items()))
    return profile.model_copy(update={"system": [*others, SystemSettings(name=run.name, kind="run")]})


def main(arguments: list[str] | None = None) -> None:
    """Run `python -m core.import_runs`."""
    parser = argparse.ArgumentParser(prog="python -m core.import_runs", description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="run files, plain or .gz, or folders of them")
    parser.add_argument("--name", required=True, help="the collection they belong to, or a new name")
    parser.add_argument("--qrels", type=Path, help="judgments, TREC or BEIR form (for a new name)")
    parser.add_argument(
        "--topics", type=Path, help="texts of the topics: BEIR's queries.jsonl, id TAB text, TREC XML or SGML"
    )
    parser.add_argument("--by-rank", action="store_true", help="follow the rank column, not the scores")
    cli.add_identical_ids_option(parser)
    options = parser.parse_args(arguments)
    runs, ignored = find_runs(options.runs), not options.keep_identical_ids
    folder = import_runs(
        options.name, runs, options.qrels, options.topics, options.by_rank, ignore_identical_ids=ignored
    )
    print(shown(folder))


if __name__ == "__main__":
    cli.run(main)
