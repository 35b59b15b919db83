"""Whatever a file holds, a reader gives a value or a sentence for the user, and nothing else."""

import gzip
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.formats.documents import read_documents
from core.formats.qrels import read_qrels
from core.formats.runs import read_run
from core.formats.topics import read_all_topics, read_topics, write_topics
from core.formats.triples import read_triples
from core.workspace.errors import UserError
from core.workspace.profile import read_profile

READERS = {
    "corpus.jsonl": lambda path: list(read_documents(path)),
    "queries.jsonl": lambda path: read_topics(path, {"1", "a"}, set(), True),
    "qrels.tsv": read_qrels,
    "triples.tsv": read_triples,
    "a.run": read_run,
    "profile.toml": lambda path: read_profile(str(path)),
    "profile.json": lambda path: read_profile(str(path)),
    "topics.xml": lambda path: list(read_all_topics(path)),
    "queries.tsv": lambda path: list(read_all_topics(path)),
}
PACKED = [name for name in READERS if not name.startswith("profile")]
columns = st.sampled_from(
    [
        "1",
        "0",
        "d1",
        "2.5",
        "-1",
        "nan",
        "inf",
        "1e999",
        "1_0",
        "٣",
        "Q0",
        "tag",
        "",
        "\0",
        "\x85",
        "\ufeff",
        "é",
        "9" * 40,
    ]
)
table = st.lists(
    st.tuples(st.lists(columns, max_size=7), st.sampled_from(["\t", " ", "  "])).map(lambda row: row[1].join(row[0])),
    max_size=6,
).map("\n".join)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(["1", "a"])
values = st.recursive(scalars, lambda v: st.lists(v, max_size=3) | st.dictionaries(st.text(max_size=3), v, max_size=3))
entry = st.dictionaries(
    st.sampled_from(["_id", "text", "title", "metadata"]),
    values | st.dictionaries(st.sampled_from(["query", "narrative", "kind"]), values, max_size=3),
    max_size=4,
)
json_lines = st.lists(entry.map(json.dumps), max_size=4).map("\n".join)
marks = st.lists(
    st.sampled_from(
        ["<topics>", "</topics>", '<topic number="1">', "</topic>", "<query>", "</query>", "a", "&x;", "<!--"]
        + ["<top>", "</top>", "<num> Number: 1", "<title>", "<topic/>", "<topic", "&#99999999;", "\n"]
    ),
    max_size=8,
).map("".join)
settings = st.lists(
    st.sampled_from(
        ["[collection]", 'name = "a"', "[[system]]", 'kind = "bm25"', "x = 1", "[bm25]", "k1 = -1", "k1 = nan"]
    ),
    max_size=8,
).map("\n".join)
contents = st.one_of(
    st.binary(max_size=200),
    *(
        texts.map(lambda text: text.encode("utf-8"))
        for texts in (table, json_lines, marks, settings, entry.map(json.dumps))
    ),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("readers")


@pytest.mark.parametrize("name", READERS)
@given(content=contents)
def test_any_content_gives_a_value_or_a_sentence(name, folder, content):
    path = folder / name
    path.write_bytes(content)
    try:
        READERS[name](path)
    except UserError as error:
        assert name in str(error)
        assert "\n" not in str(error)


GOOD = {
    "corpus.jsonl": b"".join(b'{"_id": "d%d", "text": "the text of document %d"}\n' % (i, i * i) for i in range(60)),
    "queries.jsonl": b'{"_id": "1", "text": "a text of a topic"}\n' + b" \n" * 300,
    "qrels.tsv": b"".join(b"1 0 d%d %d\n" % (i, i % 3) for i in range(200)),
    "topics.xml": b"<topics>"
    + b"".join(b"<topic number='%d'>a%d</topic>" % (i, i * i) for i in range(60))
    + b"</topics>",
    "queries.tsv": b"".join(b"%d\ta text of %d\n" % (i, i * i) for i in range(60)),
    "triples.tsv": b"".join(b"q%d\ta%d\tb%d\n" % (i, i * i, i * 7) for i in range(100)),
    "a.run": b"".join(b"1 Q0 d%d %d %d t\n" % (i, i, 900 - i) for i in range(200)),
}


@pytest.mark.parametrize("name", PACKED)
@given(where=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_gz_with_one_bit_changed_gives_a_value_or_a_sentence(name, folder, where, bit):
    packed = bytearray(gzip.compress(GOOD[name], mtime=0))
    packed[int(where * len(packed))] ^= 1 << bit
    path = folder / f"{name}.gz"
    path.write_bytes(packed)
    try:
        READERS[name](path)
    except UserError as error:
        assert f"{name}.gz" in str(error)


@pytest.mark.parametrize("name", PACKED)
def test_a_gz_cut_anywhere_is_never_taken_for_whole(name, folder):
    packed = gzip.compress(GOOD[name], mtime=0)
    path = folder / f"cut-{name}.gz"
    path.write_bytes(packed)
    READERS[name](path)
    for length in range(0, len(packed), 7):
        path.write_bytes(packed[:length])
        with pytest.raises(UserError, match=f"cut-{name}.gz"):
            READERS[name](path)


@given(content=json_lines)
def test_topics_that_are_read_hold_texts_and_can_be_written(folder, content):
    path = folder / "accepted.jsonl"
    path.write_text(content, encoding="utf-8")
    judged = {"1", "a", "True", *(str(i) for i in range(-9, 10))}
    try:
        topics = read_topics(path, judged, set(), True)
    except UserError:
        return
    for topic in topics:
        assert all(
            isinstance(text, str) for text in (topic.id, topic.query, topic.question, topic.narrative, topic.kind)
        )
    write_topics(folder / "again.jsonl", topics)
    assert read_topics(folder / "again.jsonl", judged, set(), True) == topics
