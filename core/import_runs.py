"""Import runs made elsewhere; they are compared like any other system, but cannot answer new queries.

Runs are added to an existing collection, or become a new collection with their qrels but without document texts.
"""

import argparse
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from core import evaluate
from core.evaluation.paper_tables import parse_labels
from core.evaluation.run_orders import means_by_order
from core.formats.collections import read_built_collection, read_built_topics
from core.formats.exclusions import EXCLUDED, own_documents, write_excluded
from core.formats.qrels import Qrels, read_qrels, write_qrels
from core.formats.run_discovery import find_runs
from core.formats.run_metadata import in_words as run_metadata
from core.formats.run_metadata import read_metadata
from core.formats.run_validation import read_checked
from core.formats.runs import FILE, ranked, run_names, write_run
from core.formats.topics import Topic, named, read_topics, write_topics
from core.workspace import command_line
from core.workspace.artifacts import (
    PROFILE,
    building,
    file_digest,
    is_whole,
    read_manifest,
    remove_tree,
    writing,
)
from core.workspace.errors import UserError
from core.workspace.names import collection_name_problem, name_problem, safe_name
from core.workspace.profile import CollectionSettings, Profile, SystemSettings, read_profile
from core.workspace.stage import Build
from core.workspace.workspace import CollectionFolder, Workspace

MOST_METADATA = 4_000
"""Maximum number of characters of a run's ir_metadata that are recorded."""
MOST_NAMED = 20
"""Maximum number of skipped files that are reported by name."""


def topics_for(qrels: Qrels, path: Path | None) -> list[Topic]:
    """Return all judged topics: from a file (see `core.formats.topics`), or with their ids as texts."""
    if path is None:
        return [Topic(topic, topic, f"topic {topic}") for topic in qrels]
    topics = read_topics(path, set(qrels), set(), drop_unjudged=True)
    if missing := sorted(qrels.keys() - {topic.id for topic in topics}):
        topics_missing = f"topic{'s' * (len(missing) > 1)} {named(missing)}"
        raise UserError(f"{path.name}: no {topics_missing}, which the qrels judge")
    return topics


def import_runs(
    folder: CollectionFolder,
    runs: Sequence[Path],
    qrels: Path | None = None,
    topics: Path | None = None,
    by_rank: bool = False,
    names: Sequence[str] = (),
    ignore_identical_ids: bool = True,
    optional: Collection[Path] = (),
    replace: bool = True,
) -> None:
    """Import run files into a collection and evaluate them; if that fails, nothing is changed.

    Args:
        folder: the folder of the collection, which is created if it does not exist.
        qrels: the judgments; required for a new collection, and must equal those of an existing one.
        topics: the texts of the topics, which must equal those of an existing collection.
        by_rank: whether to order by the rank column, for files with rounded scores.
        names: the names of the runs; by default those of their files.
        ignore_identical_ids: a setting of a new collection; see `core.workspace.profile.CollectionSettings`.
        optional: files to skip with a note if they are not valid runs.
        replace: whether a run may replace an imported run of the same name, which is an error otherwise.

    Raises:
        UserError: if a file is invalid, a name is taken, or the collection has other judgments or topics.
    """
    if problem := collection_name_problem(folder.name):
        raise UserError(problem)
    names = names or [safe_name(run) or run for run in run_names(runs)]
    order: Literal["rank", "score"] = "rank" if by_rank else "score"
    with building(folder.path, folder.shown), undone_on_failure(folder, names):
        profile = _profile_for(folder, qrels, topics, ignore_identical_ids)
        collection = read_built_collection(folder)
        documents = {document.id for document in collection.documents}
        notes, imported = [], 0
        for run, path in zip(names, runs, strict=True):
            check, scores = read_checked(
                path, collection.qrels, documents, order, collection.excluded, profile.measures
            )
            if check.faults and path in optional:
                notes.append(f"skipped: {check.faults[0]}")
                continue
            if check.faults:
                raise UserError(check.faults[0])
            profile = _with_run(profile, run, replace)
            notes += [f"{run}: {notice}" for notice in check.notices]
            imported += 1
            inputs = {"file": file_digest(path)}
            facts: dict[str, Any] = {"notices": check.notices, "depth": check.depth}
            metadata, problem = read_metadata(path)
            if metadata:
                facts["ir_metadata"] = run_metadata(metadata)[:MOST_METADATA]
            notes += [f"{run}: {problem}"] if problem else []
            if check.reordered:
                facts["orders"] = means_by_order(path, collection.qrels, collection.excluded, profile.measures)
            target = folder.imported(folder.run(run))
            with writing(target, "import_runs", {"by_rank": by_rank}, inputs, facts) as partial:
                write_run(partial / FILE, run, ((topic, ranked(by_document)) for topic, by_document in scores.items()))
        if not imported:
            raise UserError(f"no run could be imported: {notes[0]}")
        command_line.save_profile(profile, folder)
        evaluate.STAGE.run_all(Build(profile, folder, keep=True))
    for note in notes:
        command_line.note(note)


@contextmanager
def undone_on_failure(folder: CollectionFolder, runs: Sequence[str] = ()) -> Iterator[None]:
    """Restore the contents of `folder` if the block fails, and remove the folder if it was new.

    Args:
        runs: names of the runs that the block may replace.
    """
    profile, kept = folder.profile, folder / ".replaced"
    profile_before = profile.read_bytes() if profile.is_file() else None
    before = set(_visible(folder))
    replaced = [run for run in runs if folder.run(run).path in before]
    try:
        remove_tree(kept)
        for run in replaced:
            shutil.copytree(folder.run(run), kept / run)
        yield
    except BaseException:
        for path in _visible(folder) - before:
            remove_tree(path)
        for run in replaced:
            if (kept / run).is_dir():
                remove_tree(folder.run(run).path)
                (kept / run).rename(folder.run(run).path)
        if not before:
            remove_tree(folder.path)
        elif profile_before is None:
            profile.unlink(missing_ok=True)
        elif profile.read_bytes() != profile_before:
            profile.write_bytes(profile_before)
        raise
    finally:
        remove_tree(kept)


def _visible(folder: CollectionFolder) -> set[Path]:
    paths = [*folder.path.glob("*"), *folder.path.glob("runs/*")]
    return {path for path in paths if not path.name.startswith(".")}


def remove_run(folder: CollectionFolder, run: str) -> None:
    """Remove an imported run from a collection and evaluate the remaining runs.

    Raises:
        UserError: if the collection has no imported run of that name, or the remaining runs cannot be evaluated.
    """
    with building(folder.path, folder.shown):
        profile = read_profile(str(folder.profile))
        rest = [system for system in profile.system if (system.name, system.kind) != (run, "run")]
        if len(rest) == len(profile.system):
            raise UserError(f"{folder.name} has no imported run {run!r}")
        if needing := next((system.name for system in rest if run in system.of), ""):
            raise UserError(f"{needing} builds on the run {run}; remove {needing} from the profile first")
        profile = profile.model_copy(update={"system": rest})
        # The run is deleted first to free space for the profile on a full disk.
        if folder.run(run).path.exists():
            shutil.rmtree(folder.run(run).path)
        command_line.save_profile(profile, folder)
        try:
            evaluate.STAGE.run_all(Build(profile, folder, keep=True))
        except UserError as error:
            raise UserError(f"the run {run} was removed, but the others could not be evaluated: {error}") from error


def arrange_runs(folder: CollectionFolder, labels: Mapping[str, str], order: Sequence[str] = ()) -> None:
    """Give imported runs of a collection other labels, and another order in tables and charts.

    Other systems keep their places before the imported runs.

    Args:
        labels: run -> its label; "" for its name.
        order: the runs that come first, in order; the others follow in theirs.

    Raises:
        UserError: if there is no such imported run, or two systems would have the same label.
    """
    with building(folder.path, folder.shown):
        profile = read_profile(str(folder.profile))
        runs = {system.name: system for system in profile.system if system.kind == "run"}
        if unknown := [name for name in (*labels, *order) if name not in runs]:
            raise UserError(f"{folder.name} has no imported run {unknown[0]!r}")
        runs |= {
            name: runs[name].model_copy(update={"label": " ".join(label.split())}) for name, label in labels.items()
        }
        arranged = [runs[name] for name in dict.fromkeys([*order, *runs])]
        systems = [*(system for system in profile.system if system.kind != "run"), *arranged]
        shown = [system.label or system.name for system in systems]
        if repeated := next((label for label in shown if shown.count(label) > 1), ""):
            raise UserError(f"two systems would have the label {repeated!r}; choose another label")
        profile = profile.model_copy(update={"system": systems})
        command_line.save_profile(profile, folder)
        evaluate.STAGE.run_all(Build(profile, folder, keep=True))


def _profile_for(
    folder: CollectionFolder, qrels: Path | None, topics: Path | None, ignore_identical_ids: bool
) -> Profile:
    """Return the profile of the collection in `folder`, which is created if it does not exist.

    Raises:
        UserError: if it does not exist and there are no qrels, or it has other judgments or topics than the given ones.
    """
    if not folder.profile.is_file():
        refuse_unfinished_build(folder)
        return _new_collection(folder, qrels, topics, ignore_identical_ids)
    profile = read_profile(str(folder.profile))
    if qrels and profile.collection.source == "imported" and not is_whole(folder.collection):
        _new_collection(folder, qrels, topics, profile.collection.ignore_identical_ids)
        return profile
    if profile.collection.ignore_identical_ids and not ignore_identical_ids:
        raise UserError(
            f"{folder.name} already exists and ignores identical ids; import under another name to keep them"
        )
    kept_topics, kept = read_built_topics(folder)
    if qrels:
        given = read_qrels(qrels)
        if profile.collection.source != "imported":  # builds keep only the judgments of the collection's topics
            given = {topic: grades for topic, grades in given.items() if topic in kept}
        if differ := sorted(topic for topic in given.keys() | kept.keys() if given.get(topic) != kept.get(topic)):
            raise UserError(
                f"{qrels.name}: {folder.name} already exists with other judgments for {len(differ)} topics, first "
                f"{differ[0]}; omit --qrels, or re-evaluate its runs under another name with "
                f"python -m core.derive {folder.name} --qrels FILE --name NAME"
            )
    if topics:
        texts = {topic.id: (topic.query, topic.question, topic.narrative) for topic in kept_topics}
        others = [t.id for t in topics_for(kept, topics) if texts.get(t.id) != (t.query, t.question, t.narrative)]
        if others:
            raise UserError(
                f"{topics.name}: {folder.name} already exists with another text for topic {others[0]}; omit --topics, "
                "or import under another name"
            )
    return profile


def refuse_unfinished_build(folder: CollectionFolder) -> None:
    """Refuse to replace a collection that a stage made without a build that saved its profile.

    Raises:
        UserError: if the folder has such a collection.
    """
    if is_whole(folder.collection) and read_manifest(folder.collection).stage == "collection":
        raise UserError(f"{folder.shown} has a collection without {PROFILE}; finish its build with scripts/build.py")


def _new_collection(
    folder: CollectionFolder, qrels: Path | None, topics: Path | None, ignore_identical_ids: bool
) -> Profile:
    if qrels is None:
        raise UserError(f"the collection {folder.name} does not exist yet; pass the judgments of the runs with --qrels")
    judgments = read_qrels(qrels)
    inputs = {"qrels": file_digest(qrels)} | ({"topics": file_digest(topics)} if topics else {})
    facts: dict[str, Any] = {"documents": 0, "topics": len(judgments), "judgments": sum(map(len, judgments.values()))}
    with writing(folder.imported(folder.collection), "import_runs", {}, inputs, facts) as partial:
        write_topics(partial / "queries.jsonl", topics_for(judgments, topics))
        (partial / "qrels").mkdir()
        write_qrels(partial / "qrels" / "test.tsv", judgments)
        if ignore_identical_ids:
            write_excluded(partial / EXCLUDED, own_documents(judgments))
    settings = CollectionSettings(name=folder.name, source="imported", ignore_identical_ids=ignore_identical_ids)
    return Profile(collection=settings, system=[], baseline="")


def _with_run(profile: Profile, run: str, replace: bool) -> Profile:
    """Return the profile with an imported run added.

    Raises:
        UserError: if the name is invalid or taken.
    """
    if problem := name_problem(run, "run"):
        raise UserError(problem)
    # Some file systems are case-insensitive.
    same = next((system for system in profile.system if system.name.lower() == run.lower()), None)
    if same and not (replace and (same.name, same.kind) == (run, "run")):
        raise UserError(f"a system named {same.name} already exists in this collection; choose another name")
    if same:
        return profile  # with its label, in its place
    return profile.model_copy(update={"system": [*profile.system, SystemSettings(name=run, kind="run")]})


def main(arguments: list[str] | None = None) -> None:
    """Run `python -m core.import_runs`."""
    parser = argparse.ArgumentParser(prog="python -m core.import_runs", description=__doc__)
    parser.add_argument("runs", nargs="*", type=Path, metavar="RUN", help="run files, plain or .gz, or folders of them")
    parser.add_argument("--name", required=True, help="name of an existing or new collection")
    parser.add_argument("--qrels", type=Path, help="judgments in TREC or BEIR format (required for a new collection)")
    parser.add_argument(
        "--topics", type=Path, help="topic texts: BEIR's queries.jsonl, id TAB text, or TREC XML or SGML"
    )
    parser.add_argument("--by-rank", action="store_true", help="order by the rank column instead of the scores")
    parser.add_argument(
        "--label",
        action="append",
        default=[],
        metavar="RUN=LABEL",
        help="the label of an imported run; may be repeated",
    )
    parser.add_argument(
        "--order", type=command_line.names, default=[], metavar="RUNS", help="imported runs in the order of the tables"
    )
    command_line.add_identical_ids_option(parser)
    options = parser.parse_args(arguments)
    if not (options.runs or options.label or options.order):
        raise UserError("name the run files to import, or arrange imported runs with --label and --order")
    inputs = [path for path in (options.qrels, options.topics) if path]
    runs, skipped = find_runs(options.runs, inputs) if options.runs else ([], [])
    folder = Workspace.default().collection(options.name)
    if options.runs:
        import_runs(
            folder,
            runs,
            options.qrels,
            options.topics,
            options.by_rank,
            ignore_identical_ids=not options.keep_identical_ids,
            optional=set(runs) - set(options.runs),
        )
    if options.label or options.order:
        arrange_runs(folder, parse_labels(options.label), options.order)
    for sentence in skipped[:MOST_NAMED]:
        command_line.note(f"skipped: {sentence}")
    if len(skipped) > MOST_NAMED:
        command_line.note(f"skipped: {len(skipped) - MOST_NAMED} more files")
    print(folder.shown)


if __name__ == "__main__":
    command_line.run(main)
