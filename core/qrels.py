"""Qrels: which documents were judged for a topic, and the grade each got."""

import gzip
from pathlib import Path

from core.errors import UserError

Qrels = dict[str, dict[str, int]]
"""topic -> document -> grade."""

BEIR_HEADER = ["query-id", "corpus-id", "score"]


def read_qrels(path: Path) -> Qrels:
    """Read qrels, plain or .gz: BEIR's three columns under their header, or TREC's topic, iteration, document, grade.

    Raises:
        UserError: with the line, when it has other columns, a grade that is no whole number, or a second judgment
            of the same document that disagrees; also when the file is missing, cut short or empty.
    """
    opener = gzip.open if path.suffix == ".gz" else open
    qrels: Qrels = {}
    number, columns_wanted = 0, 4
    try:
        with opener(path, "rt", encoding="utf-8", newline="\n") as file:
            for number, line in enumerate(file, 1):
                columns = line.split()
                if number == 1 and columns == BEIR_HEADER:
                    columns_wanted = 3
                    continue
                if not columns:
                    continue
                if len(columns) != columns_wanted:
                    expected = (
                        "query-id, corpus-id, score" if columns_wanted == 3 else "topic, iteration, document, grade"
                    )
                    raise UserError(f"{path.name}, line {number}: {len(columns)} columns, expected {expected}")
                topic, document = columns[0], columns[-2]
                try:
                    grade = int(columns[-1])
                except ValueError:
                    raise UserError(
                        f"{path.name}, line {number}: the grade {columns[-1]!r} is not a whole number"
                    ) from None
                if qrels.setdefault(topic, {}).setdefault(document, grade) != grade:
                    raise UserError(
                        f"{path.name}, line {number}: document {document} has grade {grade} for topic {topic}, "
                        f"and had {qrels[topic][document]} before"
                    )
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such file of qrels") from None
    except (EOFError, gzip.BadGzipFile, UnicodeDecodeError) as error:
        raise UserError(f"{path.name}: damaged or cut short after line {number} ({error}); fetch it again") from None
    if not qrels:
        raise UserError(f"{path.name}: the file holds no judgments")
    return qrels


def write_qrels(path: Path, qrels: Qrels) -> None:
    """Write qrels in BEIR's form."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write("\t".join(BEIR_HEADER) + "\n")
        for topic, judgments in qrels.items():
            for document, grade in judgments.items():
                file.write(f"{topic}\t{document}\t{grade}\n")
