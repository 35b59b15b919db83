"""Data sets of the library ir_datasets (MacAvaney et al., 2021), written as folders in the BEIR layout.

The library downloads files to its own folder, IR_DATASETS_HOME (default: ~/.ir_datasets), and parses them.

A document's text is what the library indexes by default (`default_text`), such as title and body of MS MARCO's
documents or title and abstract of CORD-19; if this begins with the title, the title is stored as such. Data sets
without a default have all their texts joined. Other short fields, such as "url", become metadata.
"""

import difflib
import errno
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tqdm import tqdm

from core.formats.collections import QRELS, TOPICS
from core.formats.documents import CORPUS, Document, write_documents
from core.formats.qrels import Qrels, write_qrels
from core.formats.topics import Topic, write_topics
from core.workspace import command_line
from core.workspace.errors import UserError

PREFIX = "ir_datasets:"
TITLES = ("title", "headline", "page_title", "document_title")
QUERIES = ("query", "title")
QUESTIONS = ("text", "description", "desc", "summary")
"""Fields for the question of a topic, in order of preference; "text" is what BEIR has as the text of a topic."""
PARTS = ("docs", "queries", "qrels")
TEXTS = ("doc_id", *TITLES, "text", "body", "abstract", "marked_up_doc", "marked_up_text")
"""Fields that are not stored as metadata."""
NOT_TEXT = ("doc_id", "url")
LONGEST_METADATA = 1000
"""Maximum length in characters of a field that is stored as metadata."""
MOST_NAMED = 12


def export(name: str, folder: Path) -> None:
    """Write a data set as a folder in the BEIR layout; the topics and judgments of its id are the split "test".

    Raises:
        UserError: if there is no such data set, it lacks documents, topics or judgments, or it cannot be downloaded or
            read; for a data set that must be obtained by hand, the message has the library's instructions.
    """
    with _explained(name):
        data_set = _load(name)
        documents = tqdm(data_set.docs_iter(), name, data_set.docs_count(), unit=" documents", disable=None)
        folder.mkdir(parents=True)
        # The documents first: they are what may have to be obtained by hand.
        write_documents(folder / CORPUS, map(_document, documents))
        topics = [_topic(name, query) for query in data_set.queries_iter()]
        qrels, repeated = _qrels(data_set)
    write_topics(folder / TOPICS, topics)
    (folder / "qrels").mkdir()
    write_qrels(folder / QRELS, qrels)
    command_line.note(f"{name}: {_described(data_set)}")
    if repeated:
        command_line.note(f"{name}: {repeated} judgments are of a document judged before; the highest grade counts")


def _load(name: str) -> Any:
    """Return the dataset of a name in the library's registry."""
    try:
        import ir_datasets
    except ImportError:
        raise UserError("the library ir_datasets is not installed: pip install -r requirements.txt") from None
    try:
        data_set = ir_datasets.load(name)
    except KeyError:
        close = difflib.get_close_matches(name, list(ir_datasets.registry), MOST_NAMED)
        choice = f"choose one of {', '.join(close)}" if close else "all are listed at https://ir-datasets.com"
        raise UserError(f"ir_datasets has no data set {name!r}; {choice}") from None
    if lacking := [part for part in PARTS if not data_set.has(part)]:
        inside = [other for other in ir_datasets.registry if other.startswith(f"{name}/")]
        whole = [other for other in inside if all(ir_datasets.load(other).has(part) for part in PARTS)]
        more = ", ..." if len(whole) > MOST_NAMED else ""
        choice = f"choose one of {', '.join(whole[:MOST_NAMED])}{more}" if whole else "it cannot be evaluated"
        raise UserError(f"the data set {name} of ir_datasets has no {' and no '.join(lacking)}; {choice}")
    return data_set


@contextmanager
def _explained(name: str) -> Iterator[None]:
    """Turn the library's exceptions into a UserError, with the instructions that it logs for downloads by hand."""
    log, said = logging.getLogger("ir_datasets"), _Said()
    log.addHandler(said)
    try:
        yield
    except (UserError, KeyboardInterrupt):
        raise
    except FileNotFoundError as error:
        missing = str(error.filename or error.args[0])
        instructions = next((text for text in reversed(said.texts) if missing in text), str(error))
        by_hand = f"must be obtained by hand: {_one_line(instructions)}"
        raise UserError(f"the data set {name} of ir_datasets {by_hand}") from None
    except Exception as error:  # of requests, of archives, of parsers, or of ir_datasets
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            raise
        by_hand = next((f", or: {_one_line(text)}" for text in reversed(said.texts) if "local copy" in text), "")
        raise UserError(
            f"the data set {name} of ir_datasets could not be downloaded or read ({_why(error)}); check the connection "
            f"and run the command again{by_hand}"
        ) from None
    finally:
        log.removeHandler(said)


def _why(error: Exception) -> str:
    if error.args[:1] == ("All download sources failed",):
        return f"none of {', '.join(str(getattr(source, 'url', source)) for source, _ in error.args[1])} answers"
    return _one_line(f"{type(error).__name__}: {error}")[:300]


class _Said(logging.Handler):
    """Keeps messages."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one."""
        self.texts.append(record.getMessage())


def _one_line(text: str) -> str:
    return " ".join(text.split())


# Documents


def _document(document: Any) -> Document:
    fields = document._asdict()
    titles = (fields[key] for key in TITLES if isinstance(fields.get(key), str))
    title, text = next(filter(None, titles), ""), _full_text(document, fields)
    if text.startswith(title):
        rest = text[len(title) :]
        text = rest[1:] if rest[:1].isspace() else rest
    else:
        title = ""
    metadata = {key: value for key, value in fields.items() if key not in TEXTS and _is_metadata(value)}
    return Document(document.doc_id, title, text, metadata)


def _full_text(document: Any, fields: dict[str, Any]) -> str:
    if hasattr(document, "default_text"):
        return str(document.default_text())
    return " ".join(value for key, value in fields.items() if isinstance(value, str) and value and key not in NOT_TEXT)


def _is_metadata(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(isinstance(item, str) for item in value) and len("".join(value)) <= LONGEST_METADATA
    return isinstance(value, int) or (isinstance(value, str) and len(value) <= LONGEST_METADATA)


def _described(data_set: Any) -> str:
    """Return how the fields of documents and topics are used."""
    document, query = data_set.docs_cls(), data_set.queries_cls()
    has_default, fields = hasattr(document, "default_text"), ", ".join(document._fields[1:])
    described = _one_line(document.default_text.__doc__ or "the library's default text") if has_default else "all texts"
    texts = [field for field in query._fields if field in (*QUERIES, *QUESTIONS, "narrative")]
    return f"of the documents' fields ({fields}) the text is: {described}; of the topics': {', '.join(texts) or 'all'}"


# Topics and judgments


def _topic(name: str, query: Any) -> Topic:
    fields = query._asdict()

    def first(*keys: str) -> str:
        return next((fields[key] for key in keys if isinstance(fields.get(key), str) and fields[key].strip()), "")

    default = str(query.default_text()) if hasattr(query, "default_text") else ""
    question = first(*QUESTIONS) or default or first(*QUERIES)
    if not question.strip():
        raise UserError(f"the data set {name} of ir_datasets: topic {query.query_id} has no text")
    return Topic(query.query_id, first(*QUERIES) or question, question, first("narrative"))


def _qrels(data_set: Any) -> tuple[Qrels, int]:
    """Return the judgments, and how many were dropped for a higher one of the same topic and document (subtopics)."""
    qrels: Qrels = {}
    repeated = 0
    for judgment in data_set.qrels_iter():
        of_topic = qrels.setdefault(judgment.query_id, {})
        repeated += judgment.doc_id in of_topic
        of_topic[judgment.doc_id] = max(judgment.relevance, of_topic.get(judgment.doc_id, judgment.relevance))
    return qrels, repeated
