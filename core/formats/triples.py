"""MS MARCO triples: query TAB relevant passage TAB passage that is not relevant, one a line, no header."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from core.formats.text_lines import read_lines, tab_fields
from core.workspace.downloads import fetch
from core.workspace.errors import UserError
from core.workspace.stage import Build
from core.workspace.workspace import Workspace

MSMARCO_TINY_URL = "https://storage.googleapis.com/unicamp-dl/ia368dd_2023s1/msmarco/msmarco_triples.train.tiny.tsv"


MSMARCO_TINY_BYTES = 8_076_179


@dataclass(frozen=True)
class Triple:
    """A query with a relevant and a not relevant passage."""

    query: str
    relevant: str
    not_relevant: str


def locate_triples(source: str, workspace: Workspace) -> Path:
    """Return the file of triples that a profile names, downloading "msmarco-tiny".

    Raises:
        UserError: it cannot be downloaded.
    """
    if source != "msmarco-tiny":
        return workspace.located(source)
    try:
        return fetch(MSMARCO_TINY_URL, workspace.downloads / "msmarco_triples.train.tiny.tsv", size=MSMARCO_TINY_BYTES)
    except UserError as error:
        raise UserError(f"{error}, or name another file of triples with --triples") from None


def triples_file(build: Build) -> Path:
    """Return the file of triples that a build trains on, see `locate_triples`."""
    return build.triples or locate_triples(build.profile.triples.source, build.folder.workspace)


def read_triples(path: Path) -> list[Triple]:
    """Read a file of triples, plain or .gz.

    Lines end with "\\n" alone: MS MARCO's passages hold stray control characters that `str.splitlines` would break at.

    Raises:
        UserError: the file is missing or cut short, or a line has not three non-empty columns.
    """
    triples = []
    for number, line in read_lines(path):
        columns = [column.strip() for column in _fields(line)]
        if len(columns) != 3 or not all(columns):
            raise UserError(
                f"{path.name}, line {number}: {len(columns)} columns where query, relevant and "
                "not relevant passage are expected, tab between them and none empty"
            )
        triples.append(Triple(*columns))
    if not triples:
        raise UserError(f"{path.name}: the file holds no triples")
    return triples


def _fields(line: str) -> list[str]:
    """Return the fields of a line; in quotes are those of a file all of whose fields are, not quotations in a text."""
    quoted = line.startswith('"') and line.rstrip("\r").endswith('"') and line.count('"\t"') == 2
    return tab_fields(line) if quoted else line.split("\t")


def split_by_query(triples: list[Triple], held_out: float) -> tuple[list[Triple], list[Triple]]:
    """Split triples into training and held-out ones by a hash of the query, so that no query is in both.

    Args:
        held_out: share of the queries to hold out, between 0 and 1.
    """
    training = [triple for triple in triples if not is_held_out(triple.query, held_out)]
    validation = [triple for triple in triples if is_held_out(triple.query, held_out)]
    return training, validation


def is_held_out(name: str, share: float) -> bool:
    """Say whether a name is among the share that is held out: by its hash, so that it does not depend on the others."""
    return int(hashlib.sha256(name.encode()).hexdigest()[:8], 16) / 2**32 < share
