"""Topics, and the forms that files of them have: BEIR's JSON Lines, tab-separated text, TREC's XML and SGML."""

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
"""Bytes of an XML or SGML file, which is read whole."""


MOST_NAMED = 50
"""Topics that a sentence names one by one."""


TEXT_KEYS = ("text", "query", "question", "title")
"""Of a JSON object, in the order of preference."""


TSV_IDS = ("_id", "id", "qid", "query-id", "query_id", "queryid", "topic", "topic-id", "topic_id")


NUMBERS = ("number", "num", "id", "qid", "query_id", "identifier")
"""What TREC, CLEF and NTCIR call a topic's id, as an attribute or as an element."""


QUERIES = ("query", "title")


QUESTIONS = ("question", "description", "desc", "summary", "content", "text")


NARRATIVES = ("narrative", "narr")


LABELS = {"num": "number", "title": "topic", "desc": "description", "narr": "narrative"}
"""The word, with a colon, that the classic TREC form has at the beginning of an element."""


INLINE = ("b", "i", "em", "strong", "sub", "sup", "u", "br")


FIELDS = {*NUMBERS, *QUERIES, *QUESTIONS, *NARRATIVES}


TAG = re.compile(r"<(/?)([A-Za-z][\w.-]*)([^<>]*)>")


LANGUAGE = re.compile(r"^[a-z]{2}-")
"""Before the names of CLEF's elements, as in EN-title."""


REPEATED = "#repeated"
"""Where the text of a topic's second element of a name goes: the first one counts."""


COMMENT = re.compile(r"<!--.*?-->|<[!?][^<>]*>", re.DOTALL)


ENTITY = re.compile(r"&(#\d+|#x[0-9a-f]+|[a-z]\w*);", re.IGNORECASE)


ATTRIBUTE = re.compile(r"""([\w.:-]+)\s*=\s*("[^"]*"|'[^']*')""")


@dataclass(frozen=True)
class Topic:
    """One topic in the TREC manner; a collection that has only one text a topic has it as question and query."""

    id: str
    query: str
    question: str
    narrative: str = ""
    kind: str = ""

    def text(self, topic_field: str) -> str:
        """Return the field of the topic that is searched for: "query", "question" or "narrative"."""
        return {"query": self.query, "question": self.question, "narrative": self.narrative}[
            topic_field
        ] or self.question


Placed = tuple[str, Topic]
"""A topic after its place in a file, as it is named to the user."""


def read_topics(path: Path, judged: set[str], judged_elsewhere: set[str], drop_unjudged: bool) -> list[Topic]:
    """Read the topics that have judgments, from a file of any form that `read_all_topics` knows.

    Args:
        judged: topics with judgments in the split that is read.
        judged_elsewhere: topics with judgments in another split; they are left out.
        drop_unjudged: leave out topics that no split judges, too, where else they are an error.

    Raises:
        UserError: see `read_all_topics`; also for topics without judgments, and when none is left.
    """
    topics, unjudged = [], []
    for where, topic in read_all_topics(path, judged):
        if topic.id in judged:
            topics.append(topic)
        elif not drop_unjudged and topic.id not in judged_elsewhere:
            unjudged.append((where, topic.id))
    if unjudged:
        names = [name for _, name in unjudged]
        which = f"topic {names[0]} has" if len(names) == 1 else f"{len(names):,} topics have"
        them, listed = ("it", "") if len(names) == 1 else ("them", f": {named(names)}")
        raise UserError(
            f"{unjudged[0][0]}: {which} no judgments{listed}; remove {them}, or leave such topics out with "
            '--unjudged drop (unjudged_topics = "drop" under [collection])'
        )
    if not topics:
        raise UserError(f"{path.name}: no topic of this file is judged")
    return topics


def named(names: Iterable[str]) -> str:
    """Return names as a list in a sentence, those beyond `MOST_NAMED` as their number."""
    names = list(names)
    more = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {more:,} more" if more > 0 else "")


def read_all_topics(path: Path, judged: Set[str] = frozenset()) -> Iterator[Placed]:
    """Yield all topics of a file, plain or .gz, with their places; its form is told by how it begins.

    Args:
        judged: ids as the judgments have them: TREC's first topics are numbered 051, and judged as 51.

    Raises:
        UserError: the file is missing, damaged or of no known form, or a topic has no id, one that was there before,
            or no text.
    """
    name, beginning = path.name.removesuffix(".gz"), _content(path, 4096).lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n\0")
    if beginning.startswith((b"{", b"[")) or name.endswith((".jsonl", ".json")):
        return _json_topics(path)
    if beginning.startswith(b"<") or name.endswith(".xml"):
        return _markup_topics(path, judged)
    return _tsv_topics(path)


def _content(path: Path, size: int) -> bytes:
    """Return the first bytes of a file, unpacked."""
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(regular_file(path), "rb") as file:
            return bytes(file.read(size))
    except PermissionError:
        raise UserError(f"{path}: no permission to read this file") from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise UserError(f"{path.name}: damaged or cut short ({error}); {repair(path)}") from None


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
            raise UserError(f"{where}: a topic's id, a tab and its text are expected (or JSON Lines, or TREC topics)")
        name, text = fields
        if name in seen:
            raise UserError(f"{where}: the id {name} was on line {seen[name]} already")
        seen[name] = number
        yield where, Topic(name, text, text)
    if not seen:
        raise UserError(f"{path.name}: the file holds no topics")


# TREC: XML, and the SGML of before


@dataclass(frozen=True)
class Marked:
    """A topic as it is marked up: attributes and elements by their names in small letters, and text outside of them."""

    attributes: dict[str, str]
    elements: dict[str, str]
    bare: str


def _markup_topics(path: Path, judged: Set[str]) -> Iterator[Placed]:
    content = _content(path, LARGEST_MARKUP + 1)
    if len(content) > LARGEST_MARKUP:
        raise UserError(f"{path.name}: it is larger than {LARGEST_MARKUP:,} bytes, which no file of topics is")
    try:
        marked = list(_of_xml(fromstring(content)))
    except ParseError as error:
        marked = list(
            _of_sgml(content, f"{path.name}: not TREC topics: neither XML ({error}) nor SGML whose topics all end")
        )
    except (DefusedXmlException, ValueError, LookupError) as error:
        raise UserError(f"{path.name}: not TREC topics in XML ({error or type(error).__name__})") from None
    if not marked:
        raise UserError(f"{path.name}: no topics in it; elements <topic> or <top> are expected")
    topics = [_topic_of(entry, f"{path.name}, topic {number}") for number, entry in enumerate(marked, 1)]
    seen: set[str] = set()
    for number, topic in enumerate(topics, 1):
        if topic.id in seen:
            raise UserError(f"{path.name}, topic {number}: the number {topic.id} was given before")
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
    """Yield topics whose elements may lack their end: each lasts until the next tag that begins one.

    That is a tag of a known name, one at the beginning of a line, or one right after another; others are in a text.

    Raises:
        UserError: there is no topic, or one that does not end where others do, as in a file that was cut short.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("latin-1")  # what the older files of CLEF and NTCIR are
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
        has = f"it is {identity!r}, one word is expected" if identity else f"one of {', '.join(NUMBERS)} is expected"
        raise UserError(f"{where}: no number, as an attribute or an element; {has}")
    if not question:
        others = ", ".join(name for name in entry.elements if name not in NUMBERS)
        has = f"; it has {others}" if others else ""
        raise UserError(f"{where}: no text: a query, title, question or description is expected, or bare text{has}")
    return Topic(identity, query or question, question, narrative)


def _without_label(name: str, text: str) -> str:
    text = _one_line(text)
    label, _, rest = text.partition(":")
    return rest.strip() if name in LABELS and label.strip().lower() == LABELS[name] else text


def _one_line(text: str) -> str:
    return re.sub(r"\s*\n\s*", " ", text.strip())


def write_topics(path: Path, topics: list[Topic]) -> None:
    """Write topics in BEIR's form, what else is known of them in the metadata."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for topic in topics:
            metadata = {"query": topic.query, "narrative": topic.narrative, "kind": topic.kind}
            entry = {"_id": topic.id, "text": topic.question, "metadata": metadata}
            file.write(json.dumps(entry, ensure_ascii=False) + "\n")
