"""Qrels: which documents were judged for a topic, and the grade each got."""

import csv
import re
from pathlib import Path

from core.formats.text_lines import read_lines, tab_fields
from core.workspace.errors import UserError

Qrels = dict[str, dict[str, int]]
"""topic -> document -> grade."""


HIGHEST_GRADE = 1000
"""trec_eval counts the documents of every grade up to the highest: memory for a grade of millions is not there."""


BEIR_HEADER = ["query-id", "corpus-id", "score"]


COLUMN_NAMES = {
    "topic": ("queryid", "qid", "query", "topic", "topicid"),
    "document": ("corpusid", "docid", "did", "documentid", "document", "doc", "docno", "pid", "passageid"),
    "grade": ("score", "relevance", "rel", "grade", "label", "judgment", "judgement", "relevancelabel"),
}
"""What a header may call the columns: compared without capitals, hyphens and underscores."""


def read_qrels(path: Path) -> Qrels:
    """Read qrels, plain or .gz: BEIR's three columns under a header, or TREC's topic, iteration, document, grade.

    A header may have other names for the columns (see `COLUMN_NAMES`), and have them in another order. Fields of
    tab-separated files may be in double quotes, and a grade may be written as 1.0.

    Raises:
        UserError: with the line, when it has other columns, a grade that is no whole number or out of bounds, or a
            second judgment of the same document that disagrees; also when the file is missing, cut short or empty.
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
                f"between -{HIGHEST_GRADE} and {HIGHEST_GRADE}; scale or round the grades"
            )
        if qrels.setdefault(topic, {}).setdefault(document, grade) != grade:
            raise UserError(
                f"{path.name}, line {number}: document {document} has grade {grade} for topic {topic}, "
                f"and had {qrels[topic][document]} before"
            )
    if not qrels:
        raise UserError(f"{path.name}: the file holds no judgments")
    return qrels


def judged_topics(path: Path) -> set[str]:
    """Return the first column of qrels: which topics they judge, whatever else is in them.

    Raises:
        UserError: the file itself cannot be read; see `core.formats.text_lines.read_lines`.
    """
    return {columns[0] for _, line in read_lines(path) if (columns := _columns(line))}


def _columns(line: str) -> list[str]:
    if '"' in line and "\t" in line:
        fields = [field.strip() for field in tab_fields(line)]
        if all(len(field.split()) == 1 for field in fields):
            return fields
    return line.split()


def _header(columns: list[str]) -> list[str]:
    """Return the columns by their names in `COLUMN_NAMES` (others as they are); an empty list for a line of data."""
    plain = [re.sub("[_-]", "", column.lower()) for column in columns]
    header = [next((name for name, known in COLUMN_NAMES.items() if column in known), column) for column in plain]
    return header if set(COLUMN_NAMES) <= set(header) else []


def _columns_problem(columns: list[str], header: list[str]) -> str:
    if header:
        return f"{len(columns)} columns under a header of {len(header)}, expected query-id, corpus-id, score"
    problem = f"{len(columns)} columns, expected topic, iteration, document, grade"
    if len(columns) == 3:
        return f"{problem}; three columns need the line {' TAB '.join(BEIR_HEADER)} above them"
    if columns[0].startswith("{"):
        return f"JSON, expected {', '.join(BEIR_HEADER)}, separated by tabs under that header"
    if len(columns) == 1 and "," in columns[0]:
        return f"{problem}, separated by tabs or spaces, not by commas"
    return problem


def is_qrels_line(columns: list[str]) -> bool:
    """Say whether these columns are a line of qrels, or the header above them."""
    return bool(_header(columns)) or (len(columns) == 4 and _grade(columns[3]) is not None)


def _grade(text: str) -> int | None:
    if not re.fullmatch(r"[+-]?\d{1,9}(\.0*)?", text, re.ASCII):
        return None
    grade = int(text.split(".")[0])
    return grade if abs(grade) <= HIGHEST_GRADE else None


def write_qrels(path: Path, qrels: Qrels) -> None:
    """Write qrels in BEIR's form."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        writer = csv.writer(file, delimiter="\t", lineterminator="\n")  # quotes an id that has a double quote in it
        writer.writerow(BEIR_HEADER)
        writer.writerows([topic, document, grade] for topic, by in qrels.items() for document, grade in by.items())


def trec_qrels(qrels: Qrels) -> str:
    """Return qrels as the text of a file in TREC's form: topic, iteration (always 0), document, grade."""
    return "".join(f"{topic} 0 {document} {grade}\n" for topic, by in qrels.items() for document, grade in by.items())
