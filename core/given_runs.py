"""Runs and qrels that are given as files on a command line."""

from pathlib import Path
from typing import Literal

from core import cli
from core.artifacts import open_artifact
from core.errors import UserError
from core.measures import check_topics
from core.qrels import Qrels
from core.runs import Run, read_run


def read_given_run(path: Path, qrels: Qrels, order: Literal["score", "rank"] = "score") -> Run:
    """Read a run that is measured by these qrels, and print what is to be noted of it.

    An empty file is a run that retrieved nothing where it is one of our artifacts; any other is taken for a mistake.

    Raises:
        UserError: the file cannot be read as a run (see `read_run`), or has no topic that the qrels judge.
    """
    run = read_run(path, order, may_be_empty=_is_artifact(path))
    check_topics(path.name, run.scores, qrels)
    for notice in [*_coverage_notices(run, qrels), *run.notices]:
        cli.note(f"{run.name}: {notice}")
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
