"""Collections on the Hugging Face hub, written as folders in the BEIR layout.

    corpus.jsonl, queries.jsonl      plain or .gz, or Parquet files in the folders corpus and queries
    qrels/SPLIT.tsv                  or .jsonl or Parquet; or SPLIT.tsv in another data set named NAME-qrels, as BEIR's

Only these files are downloaded; scripts of a data set are neither downloaded nor run.
"""

import csv
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from core.formats.qrels import BEIR_HEADER
from core.formats.text_lines import LARGEST_RATIO, read_lines
from core.workspace.errors import UserError
from core.workspace.hub import HubDataSet, locate_data_set
from core.workspace.workspace import Workspace

TEXTS = ("corpus", "queries")
PLAIN = (".jsonl", ".jsonl.gz")
QRELS_ENDINGS = (".tsv", ".tsv.gz", ".jsonl", ".parquet")
ROWS = 1000
"""Rows of a Parquet file in memory at a time."""


def export(workspace: Workspace, source: str, folder: Path) -> None:
    """Write a data set of the hub as a folder in the BEIR layout.

    Raises:
        UserError: if it cannot be downloaded, or has no corpus, topics or judgments.
    """
    wanted = HubDataSet.of(source)
    patterns = [f"{name}{ending}" for name in TEXTS for ending in (*PLAIN, "/*.parquet")]
    patterns += [f"qrels/*{ending}" for ending in QRELS_ENDINGS]
    downloaded = locate_data_set(workspace, wanted, patterns)
    folder.mkdir(parents=True)
    for name in TEXTS:
        _write_texts(wanted, downloaded, name, folder)
    judged = _files(downloaded / "qrels", QRELS_ENDINGS)
    if not judged:
        qrels = HubDataSet(f"{wanted.name}-qrels")
        judged = _files(locate_data_set(workspace, qrels, ["*.tsv", "*.tsv.gz"]), QRELS_ENDINGS)
    if not judged:
        raise UserError(f"the data set {wanted.name} of the hub has no qrels/SPLIT.tsv, and {qrels.name} no SPLIT.tsv")
    (folder / "qrels").mkdir()
    for path in judged:
        _write_qrels(path, folder / "qrels")


def _files(folder: Path, endings: tuple[str, ...]) -> list[Path]:
    return [path for path in sorted(folder.glob("*")) if path.name.endswith(endings) and path.is_file()]


def _write_texts(wanted: HubDataSet, downloaded: Path, name: str, folder: Path) -> None:
    """Copy the corpus or the topics, or convert them from Parquet."""
    for ending in PLAIN:
        if (path := downloaded / f"{name}{ending}").is_file():
            shutil.copyfile(path, folder / path.name)
            return
    files = _files(downloaded / name, (".parquet",))
    if not files:
        raise UserError(
            f"the data set {wanted.name} of the hub has no {name}.jsonl (or .gz) and no Parquet files in a folder "
            f"{name}; a collection has corpus, queries and qrels, as BeIR/scifact does"
        )
    left = LARGEST_RATIO * sum(path.stat().st_size for path in files)
    with (folder / f"{name}.jsonl").open("w", encoding="utf-8", newline="\n") as target:
        for row in (row for path in files for row in _rows(path)):
            left -= target.write(json.dumps(row, ensure_ascii=False, default=str) + "\n")
            if left < 0:
                raise UserError(f"the data set {wanted.name} of the hub: {name} unpacks to too many bytes for text")


def _write_qrels(path: Path, folder: Path) -> None:
    """Copy judgments, or convert those of a split from JSON Lines or Parquet, which may be in several files."""
    if path.name.endswith((".tsv", ".tsv.gz")):
        shutil.copyfile(path, folder / path.name)
        return
    target = folder / f"{path.name.split('.')[0].split('-0')[0]}.tsv"
    begun = target.exists()
    with target.open("a", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter="\t", lineterminator="\n")
        writer.writerows([] if begun else [BEIR_HEADER])
        for row in _rows(path):
            if missing := [key for key in BEIR_HEADER if row.get(key) is None]:
                raise UserError(f"{path.name}: no {missing[0]} in a row of the judgments, which has {', '.join(row)}")
            writer.writerow([row[key] for key in BEIR_HEADER])


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of a file in JSON Lines or Parquet."""
    if path.suffix == ".jsonl":
        for number, line in read_lines(path):
            try:
                row = json.loads(line)
            except ValueError:
                row = None
            if not isinstance(row, dict):
                raise UserError(f"{path.name}, line {number}: expected a JSON object")
            yield row
        return
    import pyarrow
    from pyarrow import parquet

    try:
        for batch in parquet.ParquetFile(path).iter_batches(ROWS):
            yield from batch.to_pylist()
    except (pyarrow.ArrowException, OSError) as error:
        why = " ".join(str(error).split())[:200]
        raise UserError(f"{path.name}: damaged, or not a Parquet file ({why}); download it again") from None
