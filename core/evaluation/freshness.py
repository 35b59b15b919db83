"""What changed since an artifact was made, and which of the stored measures are of the runs and judgments there now.

    corpus.jsonl -> doc2query, vectors -> bm25 -> runs -> measures, ann

Between two stages of a rebuild an artifact can be older than what it was made from. The digests of the inputs in its
manifest are compared with those of what is there now, and so on from input to input. Only manifests are read, so that a
page can ask with each drawing; whether files are whole, `core.workspace.artifacts.open_artifact` says.
"""

from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from core.evaluation.stored_measures import MEASURES_FILE
from core.formats.collections import QRELS, TOPICS
from core.formats.documents import CORPUS
from core.formats.exclusions import EXCLUDED
from core.formats.predicted_queries import SCORES_FOLDER
from core.workspace.artifacts import MANIFEST, Artifact, Manifest, is_whole, open_artifact, read_manifest
from core.workspace.errors import UserError
from core.workspace.models import model_digest
from core.workspace.profile import Profile
from core.workspace.workspace import CollectionFolder, Workspace

NAMES = {
    CORPUS: "documents",
    TOPICS: "topics",
    QRELS: "judgments",
    EXCLUDED: "documents left out",
    "bm25": "index",
    "vectors": "vectors",
    "runs": "runs",
    "milvus": "Milvus index",
    "doc2query": "predicted queries",
    SCORES_FOLDER: "scores of the predicted queries",
    "model": "model",
}
"""What the inputs of a manifest are called in a sentence."""


def changes(folder: CollectionFolder, place: str, above: tuple[str, ...] = ()) -> list[str]:
    """Return the names of what changed since an artifact was made, directly or through what it was made from.

    Args:
        folder: of the collection's artifacts.
        place: of the artifact in it, such as "runs/bm25".
        above: the places that are made from this one: a manifest in another's place may lead back to one of them.

    Returns:
        Such as ["documents", "topics"]; nothing for an artifact that is not there, and for an imported one.
    """
    if place in above:
        return []
    try:
        manifest = read_manifest(folder.artifact(place))
    except UserError:
        return []  # whatever needs the artifact says that it is missing or damaged
    return changes_of(manifest, folder, place, above)


def changes_of(manifest: Manifest, folder: CollectionFolder, place: str, above: tuple[str, ...] = ()) -> list[str]:
    """Return what `changes` does of an artifact that lies elsewhere and was made from the collection under `folder`."""
    if manifest.stage == "import_runs":
        return []  # made from files that were given once
    stage, _, system = place.partition("/")
    if stage == "ann-simulated":
        system = system.rpartition("-")[0]
    found: list[str] = []
    for name, digest in manifest.inputs.items():
        if name in (CORPUS, TOPICS, QRELS):
            found += _compared(name, digest, _collection_file(folder, name))
        elif name == EXCLUDED:
            found += _compared(name, digest, excluded_digest(folder) or "none")
        elif name == "model":
            found += [NAMES[name]] if _trained_anew(folder.workspace, manifest, digest) else []
        elif manifest.stage == "evaluate":  # of each system, by its name
            found += _compared("runs", digest, _digest(folder.run(name)))
            found += changes(folder, f"runs/{name}", (*above, place))
        elif name.partition("/")[0] in NAMES:
            source = f"{name}/{system}" if name in ("bm25", "vectors", "milvus") else name
            found += _compared(name.partition("/")[0], digest, _digest(folder.artifact(source)))
            found += changes(folder, source, (*above, place))
    if TOPICS in manifest.inputs and EXCLUDED not in manifest.inputs and excluded_digest(folder):
        found.append(NAMES[EXCLUDED])
    return list(dict.fromkeys(found))


def excluded_digest(folder: CollectionFolder) -> str:
    """Return the digest of what the collection under `folder` leaves out of every run, "" where it has no such file."""
    return _collection_file(folder, EXCLUDED)


def _compared(name: str, then: str, now: str) -> list[str]:
    if then in (now, ""):  # "": a model that was not on the machine
        return []
    return [NAMES[name] if now else f"{NAMES[name]} (now missing)"]


def _digest(artifact: Artifact) -> str:
    try:
        return read_manifest(artifact).digest
    except UserError:
        return ""


def _collection_file(folder: CollectionFolder, name: str) -> str:
    try:
        return str(read_manifest(folder.collection).files.get(name, {}).get("sha256", ""))
    except UserError:
        return ""


def _trained_anew(workspace: Workspace, manifest: Manifest, digest: str) -> bool:
    """Say whether the model that made an artifact is one that is trained here, and is there with other files now.

    A damaged one may be the one that made it: what loads it says that it is damaged.
    """
    model = Path(str(manifest.facts.get("model", "")))
    if model.parts[:2] != ("artifacts", "models"):
        return False
    now = []
    for folder in {workspace.model(model.as_posix()).path, workspace.checkout / model}:
        if not folder.is_dir():
            continue
        if (folder / MANIFEST).is_file() and not is_whole(folder):
            return False
        with suppress(UserError):
            now.append(model_digest(folder))
    return bool(now) and digest not in now


@dataclass(frozen=True)
class Evaluation:
    """Which systems of a collection can be evaluated, and whose measures are stored.

    Attributes:
        collection: the digest of the collection.
        excluded: the digest of what it leaves out of every run, see `excluded_digest`.
        runs: system -> digest of its run, of the systems of the profile that have one, in the profile's order.
        without_run: system -> why it has none, of the others.
        measures: the digest of the artifact `measures`, "" where there is none that can be read.
        stored: the systems whose measures it holds, of the very runs, topics and judgments that are there now.
        reason: why it does not hold those of the others, "" where it holds all.
        others: the systems that it also holds and the profile does not have.
    """

    collection: str
    excluded: str
    runs: dict[str, str]
    without_run: dict[str, str] = field(default_factory=dict)
    measures: str = ""
    stored: frozenset[str] = frozenset()
    reason: str = ""
    others: tuple[str, ...] = ()


def evaluation(profile: Profile, folder: CollectionFolder) -> Evaluation:
    """Compare the artifact `measures` with the runs, topics and judgments that are there now.

    Raises:
        UserError: if topics or judgments are missing or damaged.
    """
    collection = open_artifact(folder.collection, TOPICS, QRELS)
    excluded = str(collection.files.get(EXCLUDED, {}).get("sha256", ""))
    runs: dict[str, str] = {}
    without_run: dict[str, str] = {}
    for system in profile.system:
        try:
            runs[system.name] = read_manifest(folder.run(system.name)).digest
        except UserError as error:
            without_run[system.name] = str(error)
    try:
        measures = open_artifact(folder.measures, MEASURES_FILE)
    except UserError as error:
        return Evaluation(collection.digest, excluded, runs, without_run, reason=str(error).partition(";")[0])
    inputs = measures.inputs
    files = (TOPICS, QRELS, EXCLUDED)
    others = tuple(name for name in inputs if name not in (*files, *runs, *without_run))
    digests = {name: collection.files[name]["sha256"] for name in files if name in collection.files}
    changed = [NAMES[name] for name in files if inputs.get(name) != digests.get(name)]
    if changed:
        reason = f"the stored measures are older than the {' and the '.join(changed)}"
        return Evaluation(collection.digest, excluded, runs, without_run, measures.digest, reason=reason, others=others)
    if missing := [name for name in profile.measures if name not in measures.settings.get("measures", [])]:
        reason = f"the stored measures lack {', '.join(missing)}"
        return Evaluation(collection.digest, excluded, runs, without_run, measures.digest, reason=reason, others=others)
    stored = frozenset(name for name, digest in runs.items() if inputs.get(name) == digest)
    reason = "" if len(stored) == len(runs) else "the stored measures are older than the runs"
    return Evaluation(collection.digest, excluded, runs, without_run, measures.digest, stored, reason, others)
