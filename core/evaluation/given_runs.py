"""Runs and qrels given as files on the command line, and the results of such runs."""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Literal

import pandas as pd
from pydantic import ValidationError

from core.evaluation.measures import PerTopic, check_topics, evaluate
from core.evaluation.results import Measured, Results
from core.evaluation.stored_measures import COLUMNS, tidy
from core.formats.documents import Document
from core.formats.exclusions import Exclusions, notice, own_documents, read_excluded, together
from core.formats.qrels import Qrels, read_qrels
from core.formats.run_metadata import in_words, read_metadata
from core.formats.runs import Run, read_run, run_names
from core.formats.topics import Topic
from core.workspace import command_line
from core.workspace.artifacts import file_digest, open_artifact
from core.workspace.errors import UserError
from core.workspace.names import safe_name
from core.workspace.profile import CollectionSettings, Profile, SystemSettings
from core.workspace.workspace import Workspace

MOST_METADATA = 500
"""Maximum number of characters of a run's ir_metadata in a note."""
NOWHERE = Path(__file__).with_name("no-artifacts")
"""A folder that does not exist: runs that are given as files have no artifacts."""


def add_excluded_option(parser: argparse.ArgumentParser) -> None:
    """Add the option --excluded."""
    parser.add_argument(
        "--excluded",
        type=Path,
        metavar="FILE",
        help="documents to exclude: query-id, corpus-id",
    )


def given_exclusions(options: argparse.Namespace, qrels: Qrels) -> Exclusions:
    """Return the documents excluded by the options --excluded and --keep-identical-ids.

    Raises:
        UserError: if the file cannot be read.
    """
    own = {} if options.keep_identical_ids else own_documents(qrels)
    return together(own, read_excluded(options.excluded) if options.excluded else {})


def read_given_run(
    path: Path,
    qrels: Qrels,
    excluded: Exclusions,
    order: Literal["score", "rank"] = "score",
    name: str = "",
    quiet: bool = False,
) -> Run:
    """Read a run to evaluate with these qrels, drop the excluded documents and print notes about it, unless `quiet`.

    An empty file is accepted, as a run that retrieved nothing, only if it is an artifact of RankScope.

    Args:
        name: a name for the run; by default that of its file.

    Raises:
        UserError: if the file cannot be read as a run (see `read_run`), or has no topic with judgments.
    """
    run = read_run(path, order, may_be_empty=_is_artifact(path))
    run = replace(run, name=name or run.name)
    check_topics(path.name, run.scores, qrels)
    kept = run.without(excluded)
    if quiet:
        return kept
    metadata, problem = read_metadata(path)
    about = [f"ir_metadata: {in_words(metadata)[:MOST_METADATA]}"] if metadata else [problem] if problem else []
    for sentence in [
        *about,
        *_coverage_notices(run, qrels),
        *run.notices,
        *([notice(kept.left_out)] if kept.left_out else []),
    ]:
        command_line.note(f"{run.name}: {sentence}")
    return kept


def _is_artifact(path: Path) -> bool:
    try:
        open_artifact(path.parent, path.name)
    except UserError:
        return False
    return True


def _coverage_notices(run: Run, qrels: Qrels) -> list[str]:
    if not run.scores:
        return ["nothing was retrieved for any topic: every measure is 0"]
    notices = []
    if missing := qrels.keys() - run.scores.keys():
        notices.append(f"no documents for {len(missing)} of {len(qrels)} judged topics, which count 0")
    if unjudged := run.scores.keys() - qrels.keys():
        notices.append(f"{len(unjudged)} topics have no judgments and are left out")
    return notices


class GivenResults(Results):
    """The results of runs that are given as files; a figure of them is that of a built collection of imported runs."""

    def __init__(self, paths: Sequence[Path], qrels: Path, options: argparse.Namespace, measures: Sequence[str] = ()):
        """Take the files of the runs and of the judgments; the runs are named after their files.

        Args:
            options: has `by_rank` and the options of `given_exclusions`.
            measures: the measures; by default those of a profile.

        Raises:
            UserError: if the judgments cannot be read, or two runs have the same name.
        """
        names = run_names(paths)
        self.paths = {
            safe_name(name) or f"run-{number}": path
            for number, (name, path) in enumerate(zip(names, paths, strict=True), 1)
        }
        if len(self.paths) < len(paths):
            raise UserError("two of the runs have the same name; rename one file")
        self.qrels_path = qrels
        self._judgments = read_qrels(qrels)
        self._given_excluded = given_exclusions(options, self._judgments)
        self._order: Literal["score", "rank"] = "rank" if options.by_rank else "score"
        name = safe_name(qrels.name.removesuffix(".gz").removesuffix(".txt").removesuffix(".tsv")) or "qrels"
        try:
            profile = Profile(
                collection=CollectionSettings(name=name),
                system=[SystemSettings(name=system, kind="run") for system in self.paths],
                **({"measures": list(measures)} if measures else {}),
            )
        except ValidationError as error:
            raise UserError(str(error.errors()[0]["msg"]).removeprefix("Value error, ")) from None
        super().__init__(Workspace(NOWHERE).collection(name), profile)
        self.labels = dict(zip(self.paths, names, strict=True))

    def digests(self) -> tuple[str, ...]:
        """Return the digests of the files."""
        files = {"qrels": self.qrels_path, **self.paths}
        return tuple(f"{name} {file_digest(path)}" for name, path in files.items())

    @property
    def qrels(self) -> Qrels:
        """The judgments."""
        return self._judgments

    @cached_property
    def topics(self) -> dict[str, Topic]:
        """The topics by id, with their ids as texts."""
        return {topic: Topic(topic, topic, f"topic {topic}") for topic in self._judgments}

    @property
    def excluded(self) -> Exclusions:
        """The documents that the options exclude."""
        return self._given_excluded

    @property
    def documents(self) -> Mapping[str, Document]:
        """No documents."""
        return {}

    @cached_property
    def facts(self) -> dict[str, object]:
        """The numbers of topics and judgments; no documents, as in a collection of imported runs."""
        judgments = sum(map(len, self._judgments.values()))
        return {"documents": 0, "topics": len(self._judgments), "judgments": judgments}

    @cached_property
    def measured(self) -> Measured:
        """The measures of the runs.

        Raises:
            UserError: if a run cannot be read.
        """
        rows = []
        for system in self.paths:
            values = self._evaluate(system, self.profile.measures)
            rows += tidy(self.folder.name, system, values)
            for measure, by_topic in values.items():
                self._values.setdefault(measure, {})[system] = by_topic
        return Measured(pd.DataFrame(rows, columns=COLUMNS), [], "", {}, ())

    def values(self, measure: str) -> dict[str, Mapping[str, float]]:
        """Return any measure's values, system -> topic -> value."""
        _ = self.measured
        if measure not in self._values:
            self._values[measure] = {system: self._evaluate(system, [measure])[measure] for system in self.paths}
        return self._values[measure]

    def run(self, system: str) -> Run:
        """Return a run without the excluded documents.

        Raises:
            UserError: if it cannot be read.
        """
        if system not in self._runs:
            said = system in self._said
            run = read_given_run(
                self.paths[system], self._judgments, self._given_excluded, self._order, system, quiet=said
            )
            self._runs = {system: run}  # keep only one run in memory
            self._said.add(system)
        return self._runs[system]

    @cached_property
    def _said(self) -> set[str]:
        """The runs about which notes were printed."""
        return set()

    def _evaluate(self, system: str, measures: Sequence[str]) -> PerTopic:
        return evaluate(self.run(system).scores, self._judgments, measures)
