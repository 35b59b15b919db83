"""Re-evaluate a collection with other qrels: make a new collection with its documents, topics and runs.

    python -m core.derive trec-covid-subset --qrels residual.txt --name subset-residual --residual

Every page shows the new collection like any other, and the original judgments are not changed. Its runs are copied as
imported runs; to search new queries, use the original collection.
"""

import argparse
import shutil
from pathlib import Path

from core import evaluate
from core.formats.collections import QRELS, TOPICS, has_texts, read_built_collection
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
    """Make the collection `name` from the built collection `source` with the judgments `qrels`, and evaluate it.

    Args:
        residual: whether to remove the documents that the source's qrels judge from runs and judgments, to evaluate
            only the results beyond them (residual collection; Salton & Buckley, 1990).

    Raises:
        UserError: if the name cannot be used, the source is not built, or the qrels cannot be read or have no topic in
            common with it.
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
        "documents": len(collection.documents) if has_texts(original) else 0,
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
            if facts["documents"]:
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
    """Copy all existing runs, without the documents that `earlier` judges, and return the new profile."""
    systems = []
    for system in profile.system:
        try:
            digest = read_manifest(original.run(system.name)).digest
            run = built_run(original, system.name, digest)
        except UserError:
            continue  # a system that did not run is absent, not zero
        scores: Scores = _unjudged(run.scores, earlier)
        depth = max(map(len, scores.values()), default=0)
        target = folder.run(system.name).made_by(command)
        with writing(target, "import_runs", {}, {"run": digest}, {"depth": depth}) as partial:
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
    parser.add_argument("source", help="the built collection to take documents, topics and runs from")
    parser.add_argument("--qrels", required=True, type=Path, help="judgments in TREC or BEIR format, plain or .gz")
    parser.add_argument("--name", required=True, help="name of the new collection")
    parser.add_argument("--residual", action="store_true", help="remove documents that the source's qrels judge")
    options = parser.parse_args(arguments)
    workspace = Workspace.default()
    print(derive(workspace, options.source, options.name, options.qrels, options.residual).shown)


if __name__ == "__main__":
    command_line.run(main)
