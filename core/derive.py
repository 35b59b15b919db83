"""Judge a collection anew: a new collection of another's documents, topics and runs, with qrels of one's own.

    python -m core.derive trec-covid-subset --qrels residual.txt --name subset-residual --residual

So other judgments are looked at on every page like any collection, and the first judgments stay as they are. The runs
come along as imported ones: to search anew, there is the collection that they came from.
"""

import argparse
import shutil
from pathlib import Path

from core import evaluate
from core.formats.collections import QRELS, TOPICS, read_built_collection
from core.formats.documents import CORPUS
from core.formats.exclusions import EXCLUDED, write_excluded
from core.formats.qrels import Qrels, read_qrels, write_qrels
from core.formats.runs import FILE, Scores, built_run, ranked, write_run
from core.formats.topics import write_topics
from core.import_runs import refuse_unfinished_build, undone_on_failure
from core.workspace import command_line
from core.workspace.artifacts import building, file_digest, is_whole, read_manifest, writing
from core.workspace.errors import UserError
from core.workspace.names import collection_name_problem
from core.workspace.profile import CollectionSettings, Profile, SystemSettings, read_profile
from core.workspace.stage import Build
from core.workspace.workspace import CollectionFolder, Workspace


def derive(workspace: Workspace, source: str, name: str, qrels: Path, residual: bool = False) -> CollectionFolder:
    """Make the collection `name` of the built collection `source`, judged by `qrels`, and evaluate it.

    Args:
        residual: leave out, from runs and judgments, what the source's own judgments hold: a system is then measured
            on what it finds beyond the documents that were judged before (residual collection; Salton & Buckley, 1990).

    Raises:
        UserError: the name cannot be used, the source is not built, or the qrels cannot be read or share no topic with
            it.
    """
    if problem := collection_name_problem(name):
        raise UserError(problem)
    original, folder = workspace.collection(source), workspace.collection(name)
    profile = read_profile(str(original.profile)) if original.profile.is_file() else read_profile(source)
    collection = read_built_collection(original)
    judgments = {topic: by for topic, by in read_qrels(qrels).items() if topic in {t.id for t in collection.topics}}
    if residual:
        judgments = _without(judgments, collection.qrels)
    if not judgments:
        new = "new " if residual else ""
        raise UserError(f"{qrels.name}: it has no {new}judgments for any topic of {source}")
    inputs = {"collection": read_manifest(original.collection).digest, "qrels": file_digest(qrels)}
    facts = {
        "documents": len(collection.documents),
        "topics": len(judgments),
        "judgments": sum(map(len, judgments.values())),
    }
    with building(folder.path, folder.shown), undone_on_failure(folder):
        refuse_unfinished_build(folder)
        if folder.profile.is_file() and not _is_damaged_derivation(folder):
            raise UserError(f"a collection named {name} already exists; choose another name")
        settings = {"derived_from": source, "residual": residual}
        command = f"python -m core.derive {source} --qrels FILE --name {name}{' --residual' if residual else ''}"
        with writing(folder.collection.made_by(command), "import_runs", settings, inputs, facts) as partial:
            if collection.documents:
                shutil.copyfile(original.collection / CORPUS, partial / CORPUS)
            write_topics(partial / TOPICS, [topic for topic in collection.topics if topic.id in judgments])
            (partial / QRELS).parent.mkdir()
            write_qrels(partial / QRELS, judgments)
            write_excluded(partial / EXCLUDED, {t: by for t, by in collection.excluded.items() if t in judgments})
        derived = _with_runs(profile, original, folder, collection.qrels if residual else {}, command)
        command_line.save_profile(derived, folder)
        evaluate.STAGE.run_all(Build(derived, folder))
    return folder


def _is_damaged_derivation(folder: CollectionFolder) -> bool:
    is_derived = read_profile(str(folder.profile)).collection.source == "derived"
    return is_derived and not is_whole(folder.collection)


def _without(judgments: Qrels, earlier: Qrels) -> Qrels:
    rest = {t: {d: g for d, g in by.items() if d not in earlier.get(t, {})} for t, by in judgments.items()}
    return {topic: by for topic, by in rest.items() if by}


def _with_runs(
    profile: Profile, original: CollectionFolder, folder: CollectionFolder, earlier: Qrels, command: str
) -> Profile:
    """Copy the runs that are there, without the documents that `earlier` judges, and return the new profile."""
    systems = []
    for system in profile.system:
        try:
            digest = read_manifest(original.run(system.name)).digest
            run = built_run(original, system.name, digest)
        except UserError:
            continue  # a system that did not run is absent, not zero
        scores: Scores = _unjudged(run.scores, earlier)
        with writing(folder.run(system.name).made_by(command), "import_runs", {}, {"run": digest}) as partial:
            write_run(partial / FILE, system.name, ((topic, ranked(by)) for topic, by in scores.items()))
        systems.append(SystemSettings(name=system.name, kind="run", label=system.label))
    ignored = profile.collection.ignore_identical_ids
    collection = CollectionSettings(name=folder.name, source="derived", ignore_identical_ids=ignored)
    return profile.model_copy(update={"collection": collection, "system": systems})


def _unjudged(scores: Scores, earlier: Qrels) -> Scores:
    return {t: {d: score for d, score in by.items() if d not in earlier.get(t, {})} for t, by in scores.items()}


def main(arguments: list[str] | None = None) -> None:
    """Run `python -m core.derive`."""
    parser = argparse.ArgumentParser(
        prog="python -m core.derive", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", help="the built collection whose documents, topics and runs are taken")
    parser.add_argument("--qrels", required=True, type=Path, help="judgments, TREC or BEIR form, plain or .gz")
    parser.add_argument("--name", required=True, help="the new collection's name")
    parser.add_argument("--residual", action="store_true", help="leave out what the source's own judgments hold")
    options = parser.parse_args(arguments)
    workspace = Workspace.default()
    print(derive(workspace, options.source, options.name, options.qrels, options.residual).shown)


if __name__ == "__main__":
    command_line.run(main)
