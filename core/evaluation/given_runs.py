"""Runs and qrels given as files on the command line."""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Literal

from core.evaluation.measures import check_topics
from core.formats.exclusions import Exclusions, notice, own_documents, read_excluded, together
from core.formats.qrels import Qrels
from core.formats.runs import Run, read_run
from core.workspace import command_line
from core.workspace.artifacts import open_artifact
from core.workspace.errors import UserError


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
    path: Path, qrels: Qrels, excluded: Exclusions, order: Literal["score", "rank"] = "score", name: str = ""
) -> Run:
    """Read a run to evaluate with these qrels, drop the excluded documents and print notes about it.

    An empty file is accepted, as a run that retrieved nothing, only if it is an artifact of RankScope.

    Args:
        name: a name for the run; by default that of its file.

    Raises:
        UserError: if the file cannot be read as a run (see `read_run`), or has no topic with judgments.
    """
    run = read_run(path, order, may_be_empty=_is_artifact(path))
    run = replace(run, name=name or run.name)
    check_topics(path.name, run.scores, qrels)
    for sentence in [*_coverage_notices(run, qrels), *run.notices]:
        command_line.note(f"{run.name}: {sentence}")
    run = run.without(excluded)
    if run.left_out:
        command_line.note(f"{run.name}: {notice(run.left_out)}")
    return run


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
