"""Topics and their file formats: BEIR's JSON Lines, tab-separated text, TREC's XML and SGML."""

import gzip
import html
import json
import re
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from core.formats.documents import metadata_of, text_of
from core.formats.text_lines import keys_of, read_json_lines, read_lines, regular_file, repair, tab_fields
from core.workspace.errors import UserError

LARGEST_MARKUP = 1 << 26
"""Maximum size in bytes of an XML or SGML file, which is read into memory."""


MOST_NAMED = 50
"""Maximum number of topics that a message names."""


TEXT_KEYS = ("text", "query", "question", "title")
"""Keys for the text of a topic in a JSON object, in order of preference."""


TSV_IDS = ("_id", "id", "qid", "query-id", "query_id", "queryid", "topic", "topic-id", "topic_id")


NUMBERS = ("number", "num", "id", "qid", "query_id", "identifier")
"""Names of the topic id in TREC, CLEF and NTCIR, as an attribute or an element."""


QUERIES = ("query", "title")


QUESTIONS = ("question", "description", "desc", "summary", "content", "text")


NARRATIVES = ("narrative", "narr")


LABELS = {"num": "number", "title": "topic", "desc": "description", "narr": "narrative"}
"""Labels that begin an element, followed by a colon, in the classic TREC format."""


INLINE = ("b", "i", "em", "strong", "sub", "sup", "u", "br")


FIELDS = {*NUMBERS, *QUERIES, *QUESTIONS, *NARRATIVES}


TAG = re.compile(r"<(/?)([A-Za-z][\w.-]*)([^<>]*)>")


LANGUAGE = re.compile(r"^[a-z]{2}-")
"""Language prefix of element names in CLEF, as in EN-title."""


REPEATED = "#repeated"
"""Key for the text of repeated elements of a topic, which is ignored in favour of the first."""


COMMENT = re.compile(r"<!--.*?-->|<[!?][^<>]*>", re.DOTALL)


ENTITY = re.compile(r"&(#\d+|#x[0-9a-f]+|[a-z]\w*);", re.IGNORECASE)


ATTRIBUTE = re.compile(r"""([\w.:-]+)\s*=\s*("[^"]*"|'[^']*')""")


@dataclass(frozen=True)
class Topic:
    """One topic, as in TREC; if a collection has only one text per topic, query and question are the same."""

    id: str
    query: str
    question: str
    narrative: str = ""
    kind: str = ""

    def text(self, topic_field: str) -> str:
        """Return the topic's "query", "question" or "narrative", or the question if that field is empty."""
        return {"query": self.query, "question": self.question, "narrative": self.narrative}[
            topic_field
        ] or self.question


Placed = tuple[str, Topic]
"""The position of a topic in its file, for messages, and the topic."""


def read_topics(path: Path, judged: set[str], judged_elsewhere: set[str], drop_unjudged: bool) -> list[Topic]:
    """Read the topics that have judgments from a file in any format that `read_all_topics` supports.

    Args:
        judged: topics with judgments in the split that is read.
        judged_elsewhere: topics with judgments in another split, which are left out.
        drop_unjudged: whether to leave out topics that no split judges, which are an error otherwise.

    Raises:
        UserError: if the file is invalid (see `read_all_topics`), a topic has no judgments, or no topic is left.
    """
    topics, unjudged, empty = [], [], True
    for where, topic in read_all_topics(path, judged):
        empty = False
        if topic.id in judged:
            topics.append(topic)
        elif not drop_unjudged and topic.id not in judged_elsewhere:
            unjudged.append((where, topic.id))
    if unjudged:
        names = [name for _, name in unjudged]
        which = f"topic {names[0]} has" if len(names) == 1 else f"{len(names):,} topics have"
        them, listed = ("it", "") if len(names) == 1 else ("them", f": {named(names)}")
        raise UserError(
            f"{unjudged[0][0]}: {which} no judgments{listed}; remove {them}, or leave out such topics with "
            '--unjudged drop (unjudged_topics = "drop" under [collection])'
        )
    if not topics:
        raise UserError(f"{path.name}: {'the file has no topics' if empty else 'none of these topics has judgments'}")
    return topics


def named(names: Iterable[str]) -> str:
    """Return names as a comma-separated list, with the number of those beyond `MOST_NAMED`."""
    names = list(names)
    more = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {more:,} more" if more > 0 else "")


def read_all_topics(path: Path, judged: Set[str] = frozenset()) -> Iterator[Placed]:
    """Yield all topics of a file, plain or .gz, with their positions; the format is detected from its beginning.

    Args:
        judged: topic ids in the judgments, as TREC's early topics are numbered 051 but judged as 51.

    Raises:
        UserError: if the file is missing, damaged or in an unknown format, or a topic has no id, a repeated id or no
            text.
    """
    name, beginning = path.name.removesuffix(".gz"), _content(path, 4096).lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n\0")
    if beginning.startswith((b"{", b"[")) or name.endswith((".jsonl", ".json")):
        return _json_topics(path)
    if beginning.startswith(b"<") or name.endswith(".xml"):
        return _markup_topics(path, judged)
    return _tsv_topics(path)


def _content(path: Path, size: int) -> bytes:
    """Return the first bytes of a file, uncompressed."""
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(regular_file(path), "rb") as file:
            return bytes(file.read(size))
    except PermissionError:
        raise UserError(f"{path}: no permission to read this file") from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise UserError(f"{path.name}: damaged or truncated ({error}); {repair(path)}") from None


# BEIR's JSON Lines


def _json_topics(path: Path) -> Iterator[Placed]:
    for where, entry in read_json_lines(path):
        name, text = entry["_id"], _text(entry, where)
        metadata = metadata_of(entry, where)
        query, narrative, kind = (text_of(metadata, key, where) for key in ("query", "narrative", "kind"))
        yield where, Topic(name, query or text, text, narrative, kind)


def _text(entry: dict[str, Any], where: str) -> str:
    for key in TEXT_KEYS:
        if (text := text_of(entry, key, where)).strip():
            return text
    raise UserError(f'{where}: topic {entry["_id"]} has no "text"{keys_of(entry)}')


# Tab-separated: an id and a text


def _tsv_topics(path: Path) -> Iterator[Placed]:
    seen: dict[str, int] = {}
    first = True
    for number, line in read_lines(path):
        if not line.strip():
            continue
        where, fields = f"{path.name}, line {number}", [field.strip() for field in tab_fields(line)]
        if first and len(fields) == 2 and fields[0].lower() in TSV_IDS and fields[1].lower() in TEXT_KEYS:
            first = False
            continue
        first = False
        if len(fields) != 2 or not all(fields) or len(fields[0].split()) != 1:
            raise UserError(f"{where}: expected a topic id, a tab and a text (or a file in JSON Lines or TREC format)")
        name, text = fields
        if name in seen:
            raise UserError(f"{where}: duplicate id {name}, first on line {seen[name]}")
        seen[name] = number
        yield where, Topic(name, text, text)
    if not seen:
        raise UserError(f"{path.name}: the file has no topics")


# TREC: XML, and older SGML


@dataclass(frozen=True)
class Marked:
    """A topic in markup: attributes and elements by lower-case name, and the text outside elements."""

    attributes: dict[str, str]
    elements: dict[str, str]
    bare: str


def _markup_topics(path: Path, judged: Set[str]) -> Iterator[Placed]:
    content = _content(path, LARGEST_MARKUP + 1)
    if len(content) > LARGEST_MARKUP:
        raise UserError(f"{path.name}: larger than {LARGEST_MARKUP:,} bytes, too large for a topic file")
    try:
        marked = list(_of_xml(fromstring(content)))
    except ParseError as error:
        marked = list(
            _of_sgml(content, f"{path.name}: not TREC topics: neither XML ({error}) nor SGML with all topics closed")
        )
    except (DefusedXmlException, ValueError, LookupError) as error:
        raise UserError(f"{path.name}: not TREC topics in XML ({error or type(error).__name__})") from None
    if not marked:
        raise UserError(f"{path.name}: no topics, expected <topic> or <top> elements")
    topics = [_topic_of(entry, f"{path.name}, topic {number}") for number, entry in enumerate(marked, 1)]
    seen: set[str] = set()
    for number, topic in enumerate(topics, 1):
        if topic.id in seen:
            raise UserError(f"{path.name}, topic {number}: duplicate number {topic.id}")
        seen.add(topic.id)
    for number, topic in enumerate(topics, 1):
        plain = topic.id.lstrip("0")
        other = topic.id not in judged and plain in judged and plain not in seen
        yield f"{path.name}, topic {number}", replace(topic, id=plain) if other else topic


def _of_xml(root: Element) -> Iterator[Marked]:
    def name(element: Element) -> str:
        return str(element.tag).split("}")[-1].lower()

    elements = list(root.iter())
    wanted = ("topic", "top") if any(name(element) in ("topic", "top") for element in elements) else ("query",)
    for element in elements:
        if name(element) not in wanted or (wanted == ("query",) and len(element) == 0 and not element.attrib):
            continue
        texts: defaultdict[str, str] = defaultdict(str)
        bare = element.text or ""
        for child in element:
            if name(child) in INLINE:
                bare += "".join(child.itertext())
            else:
                texts[name(child)] = texts[name(child)] or "".join(child.itertext())
            bare += child.tail or ""
        yield Marked({key.lower(): value for key, value in element.attrib.items()}, dict(texts), bare)


def _of_sgml(content: bytes, problem: str) -> Iterator[Marked]:
    """Yield topics whose elements may have no closing tag: each ends at the next tag that opens an element.

    A tag opens an element if its name is known, or if it begins a line or directly follows another tag; other tags are
    part of the text.

    Raises:
        UserError: if there is no topic, or only some topics have a closing tag, as in a truncated file.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("latin-1")  # the encoding of older CLEF and NTCIR files
    text = COMMENT.sub("", text)
    tags = list(TAG.finditer(text))
    begins = Counter(tag[2].lower() for tag in tags if not tag[1] and not tag[3].endswith("/"))
    ends = Counter(tag[2].lower() for tag in tags if tag[1])
    unclosed = [name for name in ("topics", "topic", "top") if begins[name] != ends[name]]
    if not begins["top"] + begins["topic"] or unclosed not in ([], ["top"]) or (unclosed and ends["top"]):
        raise UserError(problem)
    attributes: dict[str, str] | None = None
    texts: dict[str, str] = {}
    current, before = "", ""
    for tag, end in zip(tags, [*(tag.start() for tag in tags[1:]), len(text)], strict=True):
        closing, name = tag[1], tag[2].lower()
        if name in ("top", "topic"):
            if attributes is not None:
                yield Marked(attributes, texts, texts.pop("", ""))
            attributes, texts, current = (None if closing else _attributes(tag[3])), {}, ""
        elif closing and name == current:
            current = ""
        elif not closing and (name in FIELDS or not before.rpartition("\n")[2].strip()) and name not in INLINE:
            current = name if name not in texts else REPEATED
        before = text[tag.end() : end]
        texts[current] = texts.get(current, "") + ENTITY.sub(lambda entity: html.unescape(entity[0]), before)
    if attributes is not None:
        yield Marked(attributes, texts, texts.pop("", ""))


def _attributes(text: str) -> dict[str, str]:
    return {name.lower(): html.unescape(value[1:-1]) for name, value in ATTRIBUTE.findall(text)}


def _topic_of(entry: Marked, where: str) -> Topic:
    written = {LANGUAGE.sub("", name): text for name, text in (entry.attributes | entry.elements).items()}
    values = {name: _without_label(name, text) for name, text in written.items()}

    def first(names: Iterable[str]) -> str:
        return next((values[name] for name in names if values.get(name)), "")

    identity, query, question, narrative = map(first, (NUMBERS, QUERIES, QUESTIONS, NARRATIVES))
    question = question or query or _one_line(entry.bare)
    if len(identity.split()) != 1:
        problem = f"the number {identity!r} is not a single word" if identity else "no number"
        raise UserError(f"{where}: {problem}, expected an attribute or element named one of {', '.join(NUMBERS)}")
    if not question:
        others = ", ".join(name for name in entry.elements if name not in NUMBERS)
        has = f"; it has {others}" if others else ""
        raise UserError(f"{where}: no text, expected a query, title, question or description, or bare text{has}")
    return Topic(identity, query or question, question, narrative)


def _without_label(name: str, text: str) -> str:
    text = _one_line(text)
    label, _, rest = text.partition(":")
    return rest.strip() if name in LABELS and label.strip().lower() == LABELS[name] else text


def _one_line(text: str) -> str:
    return re.sub(r"\s*\n\s*", " ", text.strip())


def write_topics(path: Path, topics: list[Topic]) -> None:
    """Write topics in BEIR's format, with query, narrative and kind in the metadata."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for topic in topics:
            metadata = {"query": topic.query, "narrative": topic.narrative, "kind": topic.kind}
            entry = {"_id": topic.id, "text": topic.question, "metadata": metadata}
            file.write(json.dumps(entry, ensure_ascii=False) + "\n")
