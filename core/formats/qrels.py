"""Qrels: the judged documents of each topic and their grades."""

import csv
import re
from functools import lru_cache
from pathlib import Path

from core.formats.text_lines import read_lines, tab_fields
from core.workspace.errors import UserError

Qrels = dict[str, dict[str, int]]
"""Relevance judgments: topic -> document -> grade."""


HIGHEST_GRADE = 1000
"""Maximum grade, as trec_eval allocates memory for every grade up to the highest."""


BEIR_HEADER = ["query-id", "corpus-id", "score"]


COLUMN_NAMES = {
    "topic": ("queryid", "qid", "query", "topic", "topicid"),
    "document": ("corpusid", "docid", "did", "documentid", "document", "doc", "docno", "pid", "passageid"),
    "grade": ("score", "relevance", "rel", "grade", "label", "judgment", "judgement", "relevancelabel"),
}
"""Names of the columns in a header, compared without case, hyphens and underscores."""


def read_qrels(path: Path) -> Qrels:
    """Read qrels, plain or .gz: BEIR's three columns with a header, or TREC's topic, iteration, document, grade.

    The header may use other column names (see `COLUMN_NAMES`) in any order. Fields of tab-separated files may be in
    double quotes, and a grade may be written as 1.0.

    Raises:
        UserError: if a line has other columns, a grade that is not an integer or out of range, or a conflicting
            judgment (the message names the line), or if the file is missing, truncated or empty.
    """
    qrels: Qrels = {}
    header: list[str] = []
    places: tuple[int, ...] = (0, 2, 3)
    at_the_beginning = True
    for number, line in read_lines(path):
        columns = _columns(line)
        if not columns:
            continue
        if at_the_beginning:
            at_the_beginning = False
            if header := _header(columns):
                places = tuple(map(header.index, COLUMN_NAMES))
                continue
        if len(columns) != (len(header) or 4):
            raise UserError(f"{path.name}, line {number}: {_columns_problem(columns, header)}")
        topic, document, written = (columns[place] for place in places)
        grade = _grade(written)
        if grade is None:
            raise UserError(
                f"{path.name}, line {number}: the grade {written!r} is not a whole number "
                f"from -{HIGHEST_GRADE} to {HIGHEST_GRADE}; scale or round the grades"
            )
        if qrels.setdefault(topic, {}).setdefault(document, grade) != grade:
            raise UserError(
                f"{path.name}, line {number}: document {document} has grade {grade} for topic {topic}, "
                f"but grade {qrels[topic][document]} on an earlier line; remove one of them"
            )
    if not qrels:
        raise UserError(f"{path.name}: the file has no judgments")
    return qrels


def highest_grade(qrels: Qrels) -> int:
    """Return the highest grade of any judgment; 1 if there are none."""
    return max((max(judgments.values()) for judgments in qrels.values() if judgments), default=1)


def judged_topics(path: Path) -> set[str]:
    """Return the topics in the first column of a qrels file, without checking the other columns.

    Raises:
        UserError: if the file cannot be read; see `core.formats.text_lines.read_lines`.
    """
    return {columns[0] for _, line in read_lines(path) if (columns := _columns(line))}


def _columns(line: str) -> list[str]:
    if '"' in line and "\t" in line:
        fields = [field.strip() for field in tab_fields(line)]
        if all(len(field.split()) == 1 for field in fields):
            return fields
    return line.split()


def _header(columns: list[str]) -> list[str]:
    """Return the names of the columns in `COLUMN_NAMES` (others unchanged), or an empty list for a data line."""
    plain = [re.sub("[_-]", "", column.lower()) for column in columns]
    header = [next((name for name, known in COLUMN_NAMES.items() if column in known), column) for column in plain]
    return header if set(COLUMN_NAMES) <= set(header) else []


def _columns_problem(columns: list[str], header: list[str]) -> str:
    if header:
        problem = f"{len(columns)} columns, but {len(header)} in the header, expected query-id, corpus-id, score"
        return f"{problem}; ids have no spaces" if len(columns) > len(header) else problem
    problem = f"{len(columns)} columns, expected topic, iteration, document, grade"
    if len(columns) == 3:
        return f"{problem}; three columns need the header {' TAB '.join(BEIR_HEADER)}"
    if columns[0].startswith("{"):
        return f"JSON, expected {', '.join(BEIR_HEADER)}, separated by tabs, with that header"
    if len(columns) == 1 and re.search("[,;]", columns[0]):
        return f"{problem}, separated by tabs or spaces, not by commas or semicolons"
    if len(columns) == 6:
        return f"{problem}; this looks like a run"
    return problem


def is_qrels_line(columns: list[str]) -> bool:
    """Return whether these columns are a line or the header of qrels."""
    return bool(_header(columns)) or (len(columns) == 4 and _grade(columns[3]) is not None)


@lru_cache(maxsize=1000)
def _grade(text: str) -> int | None:
    if not re.fullmatch(r"[+-]?\d{1,9}(\.0*)?", text, re.ASCII):
        return None
    grade = int(text.split(".")[0])
    return grade if abs(grade) <= HIGHEST_GRADE else None


def write_qrels(path: Path, qrels: Qrels) -> None:
    """Write qrels in BEIR's format."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        writer = csv.writer(file, delimiter="\t", lineterminator="\n")  # quotes ids that contain a double quote
        writer.writerow(BEIR_HEADER)
        writer.writerows([topic, document, grade] for topic, by in qrels.items() for document, grade in by.items())


def trec_qrels(qrels: Qrels) -> str:
    """Return qrels as text in TREC's format: topic, iteration (always 0), document, grade."""
    return "".join(f"{topic} 0 {document} {grade}\n" for topic, by in qrels.items() for document, grade in by.items())
