"""Qrels: which documents were judged for a topic, and the grade each got."""

from pathlib import Path

from core.errors import UserError
from core.lines import read_lines

Qrels = dict[str, dict[str, int]]
"""topic -> document -> grade."""

HIGHEST_GRADE = 1000
"""trec_eval counts the documents of every grade up to the highest: memory for a grade of millions is not there."""
BEIR_HEADER = ["query-id", "corpus-id", "score"]


def read_qrels(path: Path) -> Qrels:
    """Read qrels, plain or .gz: BEIR's three columns under their header, or TREC's topic, iteration, document, grade.

    Raises:
        UserError: with the line, when it has other columns, a grade that is no whole number or out of bounds, or a
            second judgment of the same document that disagrees; also when the file is missing, cut short or empty.
    """
    qrels: Qrels = {}
    columns_wanted = 4
    for number, line in read_lines(path):
        columns = line.split()
        if number == 1 and columns == BEIR_HEADER:
            columns_wanted = 3
            continue
        if not columns:
            continue
        if len(columns) != columns_wanted:
            expected = "query-id, corpus-id, score" if columns_wanted == 3 else "topic, iteration, document, grade"
            raise UserError(f"{path.name}, line {number}: {len(columns)} columns, expected {expected}")
        topic, document, grade = columns[0], columns[-2], _grade(columns[-1])
        if grade is None:
            raise UserError(
                f"{path.name}, line {number}: the grade {columns[-1]!r} is not a whole number "
                f"between -{HIGHEST_GRADE} and {HIGHEST_GRADE}"
            )
        if qrels.setdefault(topic, {}).setdefault(document, grade) != grade:
            raise UserError(
                f"{path.name}, line {number}: document {document} has grade {grade} for topic {topic}, "
                f"and had {qrels[topic][document]} before"
            )
    if not qrels:
        raise UserError(f"{path.name}: the file holds no judgments")
    return qrels


def _grade(text: str) -> int | None:
    try:
        grade = int(text)
    except ValueError:
        return None
    return grade if abs(grade) <= HIGHEST_GRADE else None


def write_qrels(path: Path, qrels: Qrels) -> None:
    """Write qrels in BEIR's form."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write("\t".join(BEIR_HEADER) + "\n")
        for topic, judgments in qrels.items():
            for document, grade in judgments.items():
                file.write(f"{topic}\t{document}\t{grade}\n")


def trec_qrels(qrels: Qrels) -> str:
    """Return qrels as the text of a file in TREC's form: topic, iteration (always 0), document, grade."""
    return "".join(f"{topic} 0 {document} {grade}\n" for topic, by in qrels.items() for document, grade in by.items())
