"""MS MARCO triples, one per line without a header: query TAB relevant passage TAB non-relevant passage."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.formats.text_lines import read_lines, regular_file, tab_fields
from core.workspace.downloads import fetch
from core.workspace.errors import UserError
from core.workspace.profile import FinetuneSettings
from core.workspace.stage import Build
from core.workspace.workspace import Workspace

MSMARCO_TINY_URL = "https://storage.googleapis.com/unicamp-dl/ia368dd_2023s1/msmarco/msmarco_triples.train.tiny.tsv"


MSMARCO_TINY_BYTES = 8_076_179


MSMARCO_TINY_TRIPLES = 11_000


TRIPLE_BYTES = 730
"""Mean size of a triple in a file."""


QUERY_TOKENS, PASSAGE_TOKENS = 9, 80
"""Mean lengths of MS MARCO's queries and passages in tokens."""


@dataclass(frozen=True)
class Triple:
    """A query with a relevant and a non-relevant passage."""

    query: str
    relevant: str
    not_relevant: str


def locate_triples(source: str, workspace: Workspace) -> Path:
    """Return the triples file that a profile names, downloading "msmarco-tiny" if necessary.

    Raises:
        UserError: if it cannot be downloaded.
    """
    if source != "msmarco-tiny":
        return workspace.located(source)
    try:
        return fetch(MSMARCO_TINY_URL, workspace.downloads / "msmarco_triples.train.tiny.tsv", size=MSMARCO_TINY_BYTES)
    except UserError as error:
        raise UserError(f"{error}, or use another file of triples with --triples") from None


def triples_file(build: Build) -> Path:
    """Return the triples file that a build trains on.

    Raises:
        UserError: if it does not exist or cannot be downloaded.
    """
    return regular_file(build.triples or locate_triples(build.profile.triples.source, build.folder.workspace))


def read_training_triples(build: Build) -> list[Triple]:
    """Read the triples that a build trains on, with the profile's settings; see `read_triples`."""
    return read_triples(triples_file(build), build.profile.triples.fix_text)


def training_and_held_out(build: Build, settings: FinetuneSettings) -> tuple[list[Triple], list[Triple]]:
    """Return the triples that a model is fine-tuned on, and the held-out ones.

    Raises:
        UserError: if the triples are unavailable or too few.
    """
    triples = read_training_triples(build)
    if settings.held_out_rows:
        return split_by_row(triples, settings.held_out_rows, settings.seed)
    return split_by_query(triples, build.profile.triples.held_out)


def expected_triples(build: Build) -> float:
    """Return the number of triples that a build trains on, from the size of the file; it need not exist yet."""
    source = build.triples or build.profile.triples.source
    path = build.folder.workspace.located(str(source))
    if source == "msmarco-tiny" or not path.is_file():
        return MSMARCO_TINY_TRIPLES
    return path.stat().st_size * (2.5 if path.suffix == ".gz" else 1) / TRIPLE_BYTES


def read_triples(path: Path, fix_text: bool = False) -> list[Triple]:
    """Read a file of triples, plain or .gz.

    Only "\\n" ends a line, as MS MARCO's passages contain control characters at which `str.splitlines` would split.

    Args:
        fix_text: whether to repair wrongly decoded text, as the quotation marks of MS MARCO's passages often are.

    Raises:
        UserError: if the file is missing or truncated, a line does not have three non-empty columns, or ftfy, which
            repairs text, is not installed.
    """
    triples, fixed = [], text_fixer() if fix_text else str
    for number, line in read_lines(path):
        columns = [fixed(column).strip() for column in _fields(line)]
        if len(columns) != 3 or not all(columns):
            raise UserError(
                f"{path.name}, line {number}: {len(columns)} columns, expected a query, a relevant and a non-relevant "
                "passage, separated by tabs and not empty"
            )
        triples.append(Triple(*columns))
    if not triples:
        raise UserError(f"{path.name}: the file has no triples")
    return triples


def text_fixer() -> Callable[[str], str]:
    """Return ftfy's function that repairs text.

    Raises:
        UserError: if ftfy is not installed.
    """
    try:
        from ftfy import fix_text
    except ImportError:
        raise UserError(
            "triples.fix_text repairs text with ftfy, which is not installed; run pip install ftfy, or set it to false"
        ) from None
    fixer: Callable[[str], str] = fix_text
    return fixer


def _fields(line: str) -> list[str]:
    """Return the fields of a line; double quotes are removed only if all three fields have them."""
    quoted = line.startswith('"') and line.rstrip("\r").endswith('"') and line.count('"\t"') == 2
    return tab_fields(line) if quoted else line.split("\t")


def split_by_query(triples: list[Triple], held_out: float) -> tuple[list[Triple], list[Triple]]:
    """Split triples into training and held-out ones by a hash of the query, so that each query is in only one of them.

    Args:
        held_out: share of the queries to hold out, from 0 to 1.
    """
    training = [triple for triple in triples if not is_held_out(triple.query, held_out)]
    validation = [triple for triple in triples if is_held_out(triple.query, held_out)]
    return training, validation


def split_by_row(triples: list[Triple], held_out: int, seed: int) -> tuple[list[Triple], list[Triple]]:
    """Split triples into training and held-out ones, drawn by row; both may have triples of a query.

    numpy's legacy generator draws, as in the notebook of the exercise that the profile `seed-recipe` repeats.

    Raises:
        UserError: if there are too few triples.
    """
    if held_out >= len(triples):
        raise UserError(f"finetune.held_out_rows is {held_out}, but there are only {len(triples)} triples; lower it")
    drawn = np.random.RandomState(seed).choice(len(triples), held_out, replace=False).tolist()
    rest = set(drawn)
    return [triple for row, triple in enumerate(triples) if row not in rest], [triples[row] for row in drawn]


def is_held_out(name: str, share: float) -> bool:
    """Return whether a name is held out, by its hash, so that the result does not depend on other names."""
    return int(hashlib.sha256(name.encode()).hexdigest()[:8], 16) / 2**32 < share
