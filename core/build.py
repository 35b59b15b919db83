"""The plan of a build: which stages there are, which are stale and why, and running those in order.

collection -> [models] -> doc2query, vectors -> [doc2query-scores] -> bm25 -> runs -> measures, ann
"""

import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core import ann, bm25, collection, doc2query, encode, evaluate, milvus_index, search
from core.evaluation.ann_sweep import ann_inputs, ann_settings
from core.formats.predicted_queries import SCORES_FOLDER
from core.training import query_scores
from core.training.t5 import generate_settings
from core.workspace import command_line
from core.workspace.artifacts import (
    PROFILE,
    ROOT,
    building,
    finish_seals,
    read_manifest,
    record_failure,
    shown,
    stale_reason,
)
from core.workspace.errors import UserError, in_words
from core.workspace.models import find_model, where_to_put
from core.workspace.profile import Profile, SystemSettings
from core.workspace.timing import THREADS

STAGES = (
    *("collection", "finetune", "doc2query-model", "doc2query", "encode", "milvus", "query-scores", "bm25"),
    *("search", "evaluate", "ann"),
)


MODEL_STAGES = ("finetune", "doc2query-model")


ERRORS = "errors.log"
"""Beside a collection's artifacts: the tracebacks of the last build's unexpected exceptions."""


@dataclass(frozen=True)
class Step:
    """One artifact of the plan.

    `state` returns the settings and the digests of the inputs it would be made with now; `make` makes it; `needs` are
    the targets of other steps of the plan without which it cannot be made.
    """

    stage: str
    target: Path
    state: Callable[[], tuple[dict[str, Any], dict[str, str]]]
    make: Callable[[], Path]
    needs: tuple[Path, ...] = ()

    def stale(self) -> str | None:
        """Say why the artifact must be made again, or None."""
        try:
            settings, inputs = self.state()
        except Exception:  # making it raises the same, which is told then
            return "an input is not there yet" if not self.target.exists() else "an input is missing"
        return stale_reason(self.target, settings, inputs)


def steps(
    profile: Profile,
    folder: Path,
    device: str,
    triples: Path | None = None,
    systems: Sequence[str] = (),
    threads: int = THREADS,
) -> Iterator[Step]:
    """Yield the steps of a build in the order of the data.

    Args:
        systems: the names of those that are built; none means all.
        threads: on which latencies are measured.

    Raises:
        UserError: there is no system of one of the names.
    """
    if profile.collection.source not in ("imported", "derived"):  # those are made from files given once
        yield Step(
            "collection",
            folder / "collection",
            lambda: (
                collection.collection_settings(profile.collection),
                collection.collection_inputs(profile.collection),
            ),
            lambda: collection.build_collection(profile, folder),
        )
    chosen = command_line.chosen_systems(profile, systems)
    dense = [system for system in chosen if system.kind == "dense"]
    lexical = [system for system in chosen if system.kind == "bm25"]
    filtered = any(system.expanded and system.expansion.keep < 1 for system in lexical)
    scorers = [s for s in profile.system if filtered and s.name == profile.doc2query.scorer and s not in chosen]
    if any(system.model == profile.finetune.model for system in dense) and not _provided(profile.finetune.model):
        yield _model_step("finetune", profile.finetune.model, lambda: _finetune(profile, folder, triples, device))
    if any(system.expanded for system in lexical):
        model = profile.doc2query.model
        needs: tuple[Path, ...] = ()
        if model.startswith("artifacts/") and not (folder / "doc2query").exists() and not _provided(model):
            needs = (ROOT / model,)
            yield _model_step("doc2query-model", model, lambda: doc2query.train(profile, triples, device))
        yield Step(
            "doc2query",
            folder / "doc2query",
            lambda: (generate_settings(profile.doc2query), doc2query.generate_inputs(profile, folder)),
            lambda: doc2query.generate(profile, folder, device),
            needs,
        )
    for system in [*dense, *scorers]:
        yield _encode_step(profile, system, folder, device)
    for system in dense:
        if system.engine == "milvus":
            yield _milvus_step(profile, system, folder)
    if filtered:
        yield Step(
            "query-scores",
            folder / SCORES_FOLDER,
            lambda: (query_scores.scores_settings(profile), query_scores.scores_inputs(profile, folder)),
            lambda: query_scores.score(profile, folder, device),
            (folder / "doc2query", folder / "vectors" / profile.doc2query.scorer),
        )
    for system in lexical:
        yield _bm25_step(profile, system, folder)
    for system in [*lexical, *dense]:
        yield _search_step(profile, system, folder, device, threads)
    yield Step(
        "evaluate",
        folder / "measures",
        lambda: (evaluate.measures_settings(profile), evaluate.measures_inputs(profile, folder)),
        lambda: evaluate.evaluate_systems(profile, folder),
    )
    for system in dense:
        yield _ann_step(profile, system, folder, device, threads)


def _provided(model: str) -> bool:
    """Say whether a model that a build could train is there from elsewhere, such as a folder of --models."""
    return find_model(model) not in (None, ROOT / model)


def _finetune(profile: Profile, folder: Path, triples: Path | None, device: str) -> Path:
    from core import finetune  # the libraries of training: some seconds that a plan alone need not wait for

    return finetune.train(profile, folder, triples, device)


def _model_step(stage: str, model: str, make: Callable[[], Path]) -> Step:
    """A model that is there is fresh: its training data may not be here, and --only STAGE --force trains anew."""

    def state() -> tuple[dict[str, Any], dict[str, str]]:
        manifest = read_manifest(ROOT / model)
        return manifest.settings, manifest.inputs

    def train() -> Path:
        try:
            return make()
        except UserError as error:
            raise UserError(f"{error}; or, to use a model that is trained already, {where_to_put(model)}") from None

    return Step(stage, ROOT / model, state, train)


def _bm25_step(profile: Profile, system: SystemSettings, folder: Path) -> Step:
    needs = (folder / "doc2query",) if system.expanded else ()
    if system.expanded and system.expansion.keep < 1:
        needs = (*needs, folder / SCORES_FOLDER)
    return Step(
        "bm25",
        folder / "bm25" / system.name,
        lambda: (bm25.index_settings(profile, system), bm25.index_inputs(system, folder)),
        lambda: bm25.build_index(profile, system, folder),
        needs,
    )


def _encode_step(profile: Profile, system: SystemSettings, folder: Path, device: str) -> Step:
    return Step(
        "encode",
        folder / "vectors" / system.name,
        lambda: (encode.vectors_settings(system), encode.vectors_inputs(system, folder)),
        lambda: encode.encode_collection(profile, system, folder, device),
        (ROOT / system.model,) if system.model == profile.finetune.model else (),
    )


def _milvus_step(profile: Profile, system: SystemSettings, folder: Path) -> Step:
    return Step(
        "milvus",
        folder / "milvus" / system.name,
        lambda: (milvus_index.served_settings(system), milvus_index.served_inputs(system, folder)),
        lambda: milvus_index.serve(profile, system, folder),
        (folder / "vectors" / system.name,),
    )


def _search_step(profile: Profile, system: SystemSettings, folder: Path, device: str, threads: int) -> Step:
    stages = search.searched_stages(system)
    return Step(
        "search",
        folder / "runs" / system.name,
        lambda: (search.run_settings(profile, system), search.run_inputs(system, folder)),
        lambda: search.search_topics(profile, system, folder, device, threads),
        tuple(folder / stage / system.name for stage in stages),
    )


def _ann_step(profile: Profile, system: SystemSettings, folder: Path, device: str, threads: int) -> Step:
    return Step(
        "ann",
        folder / "ann" / system.name,
        lambda: (ann_settings(profile, system), ann_inputs(system, folder)),
        lambda: ann.sweep(profile, system, folder, device, threads=threads),
        (folder / "vectors" / system.name,),
    )


@dataclass(frozen=True)
class Outcome:
    """What became of a step: "made", "fresh", "failed" with the reason, or "skipped" with what failed before it."""

    step: Step
    result: str
    seconds: float = 0.0
    reason: str = ""


def build(
    profile: Profile,
    folder: Path,
    device: str = "auto",
    only: str | None = None,
    force: bool = False,
    triples: Path | None = None,
    say: Callable[[str], None] = print,
    systems: Sequence[str] = (),
    without: Sequence[str] = (),
    replace: bool = False,
    threads: int = THREADS,
) -> list[Outcome]:
    """Print the plan, make what is stale (with `force`, everything but trained models), return what came of it.

    A step that fails, whatever its exception, costs the steps that need its artifact, and no others. The traceback of
    an exception that is no user error goes into the file `ERRORS` under `folder`.

    Args:
        systems: the names of those that are built; none means all. All that have a run are evaluated.
        without: stages that are left out.
        replace: build even where the artifacts are those of a collection of another source, whose imported runs do
            not stay.
        threads: on which latencies are measured.

    Raises:
        UserError: a stage or a system is not known, the artifacts are of another source's collection, another build is
            at work, or the collection itself cannot be built.
    """
    for stage in [*([only] if only else []), *without]:
        if stage not in STAGES:
            raise UserError(f"there is no stage {stage!r}; the stages are {', '.join(STAGES)}")
    other = collection.other_source(profile.collection, folder)
    if other and not replace:
        raise UserError(other)
    profile = profile if other else command_line.with_imported_runs(profile, folder)
    planned = steps(profile, folder, device, triples, systems, threads)
    chosen = [step for step in planned if only in (None, step.stage) and step.stage not in without]
    say(f"Plan for {shown(folder)}:")
    stale_before = False
    for step in chosen:
        reason = _reason(step, only, force)
        verdict, why = ("make ", f": {reason}") if reason else ("fresh", "")
        if stale_before and not reason and step.stage not in MODEL_STAGES:
            verdict, why = "check", ": fresh, unless a step above changes what it is made from"
        stale_before = stale_before or reason is not None
        say(f"  {verdict}  {step.stage:<16}{shown(step.target)}{why}")
    outcomes = []
    with building(folder):
        saved = folder / PROFILE
        before = saved.read_bytes() if saved.is_file() else None
        command_line.save_profile(profile, folder)
        finish_seals(folder)
        finish_seals(folder.parent / "models")
        (folder / ERRORS).unlink(missing_ok=True)
        causes: dict[Path, Outcome] = {}
        for step in chosen:
            try:
                outcome = _run(step, causes, only, force, folder)
            except Exception:  # of the collection: the one that is there stays, with the profile that made it
                saved.write_bytes(before) if before is not None else saved.unlink()
                raise
            outcomes.append(outcome)
            if outcome.result in ("failed", "skipped"):
                say(f"  {outcome.result}  {step.stage} {step.target.name}: {outcome.reason}")
    return outcomes


def _run(step: Step, causes: dict[Path, Outcome], only: str | None, force: bool, folder: Path) -> Outcome:
    """Make a step's artifact where it is stale, and return what came of it.

    Args:
        causes: target -> the step that failed first, for the targets that are not made; one that is not is added.
    """
    # Asked now: an earlier step may have changed what this one is made from.
    if not _reason(step, only, force):
        record_failure(folder, step.target, None)
        return Outcome(step, "fresh")
    if cause := next((causes[target] for target in step.needs if target in causes), None):
        causes[step.target] = cause
        failed = f"{cause.step.stage} {cause.step.target.name}"
        record_failure(folder, step.target, f"{failed} failed: {cause.reason}")
        return Outcome(step, "skipped", reason=f"not made, because {failed} failed")
    started = time.perf_counter()
    try:
        step.make()
    except Exception as error:
        if step.stage == "collection":
            raise
        reason = in_words(error) if isinstance(error, UserError) else _keep_traceback(step, error, folder)
        causes[step.target] = outcome = Outcome(step, "failed", time.perf_counter() - started, reason)
        record_failure(folder, step.target, reason)
        return outcome
    record_failure(folder, step.target, None)
    return Outcome(step, "made", time.perf_counter() - started)


def _keep_traceback(step: Step, error: Exception, folder: Path) -> str:
    """Write the traceback of an unexpected exception, and return a sentence that says where it is."""
    try:
        with (folder / ERRORS).open("a", encoding="utf-8") as file:
            file.write(f"{step.stage} {step.target.name}\n{''.join(traceback.format_exception(error))}\n")
    except OSError:
        return in_words(error)
    return f"{in_words(error)} (traceback: {shown(folder / ERRORS)})"


def _reason(step: Step, only: str | None, force: bool) -> str | None:
    reason = step.stale()
    if reason or not force:
        return reason
    if step.stage in MODEL_STAGES and only != step.stage:
        return None
    if step.stage == "doc2query" and _model_of(step) is None:
        return None
    return "--force"


def _model_of(step: Step) -> Path | None:
    """Return the folder of the T5 that made the expansions at a step's target, None where it is not on this machine."""
    facts = read_manifest(step.target).facts
    return find_model(str(facts.get("model", "")))


def peak_memory_gibibytes() -> float | None:
    """Return the most memory that this process has held at once, None where the system does not say."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**30 if sys.platform == "darwin" else 2**20)
