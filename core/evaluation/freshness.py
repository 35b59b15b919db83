"""Detection of stale artifacts, and of stored measures that no longer match the current runs and judgments.

    corpus.jsonl -> doc2query, vectors, sparse -> bm25 -> runs -> measures, ann

During a rebuild an artifact can be older than its inputs. The input digests in its manifest are compared with the
current ones, recursively from input to input. Only manifests are read, so that pages can check on every rerun (and the
runs of older imports, once, for their depth); `core.workspace.artifacts.open_artifact` checks whether files are intact.
"""

import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from core.evaluation.stored_measures import MEASURES_FILE
from core.formats.collections import QRELS, TOPICS
from core.formats.documents import CORPUS
from core.formats.exclusions import EXCLUDED
from core.formats.predicted_queries import SCORES_FOLDER
from core.formats.runs import run_depth
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
    "sparse": "sparse index",
    "vectors": "vectors",
    "runs": "runs",
    "indexes": "index of vectors",
    "milvus": "Milvus index",
    "doc2query": "predicted queries",
    SCORES_FOLDER: "scores of the predicted queries",
    "model": "model",
}
"""Names of a manifest's inputs for messages."""


def changes(folder: CollectionFolder, place: str, above: tuple[str, ...] = ()) -> list[str]:
    """Return the names of the inputs that changed since an artifact was made, directly or through other artifacts.

    Args:
        folder: the folder of the collection's artifacts.
        place: the artifact's place in the folder, such as "runs/bm25".
        above: the places of the artifacts that led here, to stop at cycles, which misplaced manifests can form.

    Returns:
        A list such as ["documents", "topics"]; empty for a missing artifact and for an imported one.
    """
    if place in above:
        return []
    try:
        manifest = read_manifest(folder.artifact(place))
    except UserError:
        return []  # readers of the artifact report that it is missing or damaged
    return changes_of(manifest, folder, place, above)


def changes_of(manifest: Manifest, folder: CollectionFolder, place: str, above: tuple[str, ...] = ()) -> list[str]:
    """Return what `changes` returns, for an artifact stored elsewhere that was made from the collection in `folder`."""
    if manifest.stage == "import_runs":
        return []  # made from files outside the workspace
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
            found += [NAMES[name]] if _retrained(folder.workspace, manifest, digest) else []
        elif manifest.stage == "evaluate":  # its inputs are runs, keyed by system
            found += _compared("runs", digest, _digest(folder.run(name)))
            found += changes(folder, f"runs/{name}", (*above, place))
        elif name.partition("/")[0] in NAMES:
            source = f"{name}/{system}" if name in ("bm25", "sparse", "vectors", "milvus") else name
            found += _compared(name.partition("/")[0], digest, _digest(folder.artifact(source)))
            found += changes(folder, source, (*above, place))
    if TOPICS in manifest.inputs and EXCLUDED not in manifest.inputs and excluded_digest(folder):
        found.append(NAMES[EXCLUDED])
    return list(dict.fromkeys(found))


def excluded_digest(folder: CollectionFolder) -> str:
    """Return the digest of the collection's list of excluded documents, "" if it has none."""
    return _collection_file(folder, EXCLUDED)


def _compared(name: str, then: str, now: str) -> list[str]:
    if then in (now, ""):  # "" stands for a model that was not on the machine
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


def _retrained(workspace: Workspace, manifest: Manifest, digest: str) -> bool:
    """Tell whether the model that made an artifact was trained in this workspace and has been retrained since.

    A damaged model is not taken for a retrained one; loading it reports the damage.
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
    """The systems of a collection that can be evaluated, and those whose measures are stored.

    Attributes:
        collection: the digest of the collection.
        excluded: the digest of its excluded documents, see `excluded_digest`.
        runs: system -> digest of its run, for the profile's systems with a run, in the profile's order.
        without_run: system -> why it has no run, for the profile's other systems.
        measures: the digest of the artifact `measures`, "" if it is missing or unreadable.
        stored: the systems whose stored measures match the current runs, topics and judgments.
        reason: why the measures of the other systems do not, "" if all match.
        others: the systems in the stored measures that the profile does not have.
        depths: imported run -> the largest number of documents that it has for a topic, unless that is all documents.
    """

    collection: str
    excluded: str
    runs: dict[str, str]
    without_run: dict[str, str] = field(default_factory=dict)
    measures: str = ""
    stored: frozenset[str] = frozenset()
    reason: str = ""
    others: tuple[str, ...] = ()
    depths: Mapping[str, int] = field(default_factory=dict)


def evaluation(profile: Profile, folder: CollectionFolder) -> Evaluation:
    """Compare the artifact `measures` with the current runs, topics and judgments.

    Raises:
        UserError: if topics or judgments are missing or damaged.
    """
    collection = open_artifact(folder.collection, TOPICS, QRELS)
    excluded = str(collection.files.get(EXCLUDED, {}).get("sha256", ""))
    runs: dict[str, str] = {}
    without_run: dict[str, str] = {}
    depths: dict[str, int] = {}
    documents = collection.facts.get("documents") or math.inf
    for system in profile.system:
        try:
            manifest = read_manifest(folder.run(system.name))
            runs[system.name] = manifest.digest
        except UserError as error:
            without_run[system.name] = str(error)
            continue
        with suppress(UserError):  # the measures of a damaged run may be stored
            if 0 < (depth := run_depth(folder, system.name, manifest)) < documents:
                depths[system.name] = depth
    known = Evaluation(collection.digest, excluded, runs, without_run, depths=depths)
    try:
        measures = open_artifact(folder.measures, MEASURES_FILE)
    except UserError as error:
        return replace(known, reason=str(error).partition(";")[0])
    inputs = measures.inputs
    files = (TOPICS, QRELS, EXCLUDED)
    others = tuple(name for name in inputs if name not in (*files, *runs, *without_run))
    digests = {name: collection.files[name]["sha256"] for name in files if name in collection.files}
    changed = [NAMES[name] for name in files if inputs.get(name) != digests.get(name)]
    if changed:
        reason = f"the stored measures are older than the {' and the '.join(changed)}"
        return replace(known, measures=measures.digest, reason=reason, others=others)
    if missing := [name for name in profile.measures if name not in measures.settings.get("measures", [])]:
        reason = f"the stored measures lack {', '.join(missing)}"
        return replace(known, measures=measures.digest, reason=reason, others=others)
    stored = frozenset(name for name, digest in runs.items() if inputs.get(name) == digest)
    reason = "" if len(stored) == len(runs) else "the stored measures are older than the runs"
    return replace(known, measures=measures.digest, stored=stored, reason=reason, others=others)
