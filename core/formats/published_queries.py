"""Predicted queries that were made elsewhere: data sets of the hub, and files of one's own.

Two forms are read, in files *.jsonl, *.jsonl.gz or *.parquet:

    {"_id", "queries"}                  one document per line with all of its queries, as in
                                        income/trec-covid-top-20-gen-queries and in our own expansions.jsonl
    {"_id", "title", "text", "query"}   one query per line, as in BeIR/trec-covid-generated-queries
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.formats.text_lines import checked_id, is_clutter, keys_of, read_json_objects
from core.workspace.artifacts import file_digest, value_digest
from core.workspace.errors import UserError
from core.workspace.hub import PREFIX, HubDataSet, find_data_set, locate_data_set
from core.workspace.workspace import Workspace

PATTERNS = ("*.jsonl", "*.jsonl.gz", "*.parquet")
"""Names of files of queries; parquet is read only where there are no others, as the hub has copies in that format."""
CARD = "README.md"
LONGEST_QUERY = 10_000
"""Maximum length of a query in characters."""
MOST_QUERIES = 1_000
"""Maximum number of queries of one document."""
CONTROL = re.compile(r"[\x00-\x08\x0e-\x1b\x7f]")
"""Control characters; the others below the space are white space."""
BATCH = 4096
"""Rows of a parquet file in memory."""


@dataclass
class ImportedQueries:
    """The predicted queries of a collection from files, and counts of what was left out.

    Attributes:
        by_document: every document of the collection -> its queries in the order of the files; repeated ones are kept,
            as their number is a weight for BM25.
        empty: the number of empty queries.
        unknown: the number of queries of documents that the collection does not have.
    """

    by_document: dict[str, list[str]]
    empty: int = 0
    unknown: int = 0
    some_unknown: str = field(default="", repr=False)

    def facts(self) -> dict[str, Any]:
        """Return the counts, for the manifest."""
        lists = self.by_document.values()
        return {
            "documents": len(self.by_document),
            "queries": sum(map(len, lists)),
            "most_queries": max(map(len, lists), default=0),
            "documents_without_queries": sum(not own for own in lists),
            "repeated_queries": sum(len(own) - len(set(own)) for own in lists),
            "empty_queries": self.empty,
            "queries_of_unknown_documents": self.unknown,
        }


def import_queries(files: Sequence[Path], documents: Iterable[str]) -> ImportedQueries:
    """Read the predicted queries of the documents of a collection.

    Raises:
        UserError: if a file is invalid (the message names file and line), or none of its documents is in the
            collection.
    """
    found = ImportedQueries({name: [] for name in documents})
    for where, name, queries in read_queries(files):
        own = found.by_document.get(name)
        if own is None:
            found.unknown += len(queries)
            found.some_unknown = name
            continue
        kept = [query for query in (" ".join(query.split()) for query in queries) if query]
        found.empty += len(queries) - len(kept)
        own += kept
        if len(own) > MOST_QUERIES:
            raise UserError(f"{where}: document {name} has more than {MOST_QUERIES:,} queries")
    if not any(found.by_document.values()):
        others = f", only for others such as {found.some_unknown[:80]}" if found.some_unknown else ""
        raise UserError(f"{files[0].name}: no queries for the documents of this collection{others}")
    return found


def read_queries(files: Sequence[Path]) -> Iterator[tuple[str, str, list[str]]]:
    """Yield (file and line for messages, document, queries) from files of either form; a document may be repeated.

    Raises:
        UserError: if a file cannot be read, or a line has another form, a query of more than `LONGEST_QUERY` characters
            or one with control characters.
    """
    for path in files:
        rows = _parquet_rows(path) if path.suffix == ".parquet" else read_json_objects(path)
        for where, entry in rows:
            yield where, entry["_id"], _queries_of(entry, where)


def _queries_of(entry: dict[str, Any], where: str) -> list[str]:
    if "queries" not in entry and "query" not in entry:
        raise UserError(f'{where}: neither "queries" nor "query" in this object{keys_of(entry)}')
    queries = entry["queries"] if "queries" in entry else [entry["query"]]
    if not isinstance(queries, list) or not all(isinstance(query, str) for query in queries):
        raise UserError(f'{where}: "queries" must be a list of strings, and "query" a string')
    if any(len(query) > LONGEST_QUERY for query in queries):
        raise UserError(f"{where}: a query has more than {LONGEST_QUERY:,} characters")
    if any(map(CONTROL.search, queries)):
        raise UserError(f"{where}: a query has control characters")
    return queries


def _parquet_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield what `read_json_objects` does from a parquet file."""
    import pyarrow
    from pyarrow import parquet

    number = 0
    try:
        with parquet.ParquetFile(path) as file:
            columns = [name for name in file.schema_arrow.names if name not in ("title", "text")]
            batches = file.iter_batches(BATCH, columns=columns)
            for number, entry in enumerate((row for batch in batches for row in batch.to_pylist()), 1):
                where = f"{path.name}, row {number}"
                yield where, entry | {"_id": checked_id(entry, where)}
    except (OSError, pyarrow.ArrowException) as error:
        raise UserError(f"{path.name}: damaged after row {number} ({str(error)[:200]}); download it again") from None


# Where the files are


def query_files(folder: Path) -> list[Path]:
    """Return the files of queries in a folder and its subfolders, sorted, or the file itself.

    Raises:
        UserError: if there are none.
    """
    if folder.is_file():
        if any(map(folder.match, PATTERNS)):
            return [folder]
        raise UserError(f"{folder}: expected predicted queries in a file *.jsonl, *.jsonl.gz or *.parquet")
    if not folder.is_dir():
        raise UserError(f"{folder}: no such file or folder of predicted queries (source under [doc2query])")
    for patterns in (PATTERNS[:2], PATTERNS[2:]):
        paths = (path for pattern in patterns for path in folder.rglob(pattern) if path.is_file())
        if files := sorted(path for path in paths if not is_clutter(path.relative_to(folder))):
            return files
    raise UserError(f"{folder}: no predicted queries in it, expected files *.jsonl, *.jsonl.gz or *.parquet")


def obtain_queries(workspace: Workspace, source: str) -> Path:
    """Return the file or folder of a source of queries, downloading a data set of the hub first.

    Raises:
        UserError: if it cannot be downloaded.
    """
    if source.startswith(PREFIX):
        return locate_data_set(workspace, HubDataSet.of(source), (*PATTERNS, CARD))
    return workspace.located(source)


def queries_digest(workspace: Workspace, source: str) -> str:
    """Return a digest over the files of a source of queries, or "" if they are not on this machine."""
    if source.startswith(PREFIX):
        folder = find_data_set(workspace, HubDataSet.of(source), (*PATTERNS, CARD))
    else:
        folder = workspace.located(source)
    if folder is None or not folder.exists():
        return ""
    return value_digest([file_digest(path) for path in query_files(folder)])
