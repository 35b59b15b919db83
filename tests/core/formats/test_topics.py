"""Files of topics in the forms that TREC, CLEF, NTCIR and MS MARCO have, and what is refused."""

import gzip

import pytest

from core.formats.topics import Topic, read_all_topics, read_topics
from core.import_runs import topics_for
from core.workspace.errors import UserError

# As in TREC 7 (no element ends), TREC 1 (numbers with zeros, labels), FIRE and GOV2 (elements end)
CLASSIC = """
<top>

<num> Number: 351
<title> Falkland petroleum exploration

<desc> Description:
What information is available on petroleum exploration in
the South Atlantic near the Falkland Islands?

<narr> Narrative:
Any document discussing R&D is relevant: AT&amp;T, 5 < 6, "x".

</top>

<top>
<num> Number: 352
<title> British Chunnel impact
<desc> Description:
What impact has the Chunnel had?
</top>
"""
FALKLAND = Topic(
    "351",
    "Falkland petroleum exploration",
    "What information is available on petroleum exploration in the South Atlantic near the Falkland Islands?",
    'Any document discussing R&D is relevant: AT&T, 5 < 6, "x".',
)
CHUNNEL = Topic("352", "British Chunnel impact", "What impact has the Chunnel had?")
FORMS = {
    "TREC 7": (CLASSIC, [FALKLAND, CHUNNEL]),
    "TREC 7, Windows": (CLASSIC.replace("\n", "\r\n"), [FALKLAND, CHUNNEL]),
    "no topic ends": (CLASSIC.replace("</top>", ""), [FALKLAND, CHUNNEL]),
    "TREC 1": (
        "<top>\n<head> Tipster Topic Description\n<num> Number:  051\n<dom> Domain:  International Economics\n"
        "<title> Topic:  Airbus Subsidies\n<desc> Description:\nGovernment assistance to Airbus.\n<fac> Factor(s):\n"
        "</fac>\n</top>",
        [Topic("051", "Airbus Subsidies", "Government assistance to Airbus.")],
    ),
    "elements that end": (
        "<top>\n<num>26</num>\n<title>Singur &amp; Nandigram</title>\n<desc>Land <b>acquisition</b></desc>\n"
        "<narr></narr>\n</top>\n<top><num>27</num><title>Topic: models</title></top>",
        [Topic("26", "Singur & Nandigram", "Land acquisition"), Topic("27", "models", "models")],
    ),
    "CLEF, Latin-1": (
        "<top>\n<num> C041 </num>\n<title> Pestizide für Babys </title>\n</top>".encode("latin-1"),
        [Topic("C041", "Pestizide für Babys", "Pestizide für Babys")],
    ),
    "CLEF, names with a language": (
        '<top lang="EN">\n<num>C041</num>\n<EN-title> Pesticides </EN-title>\n<EN-desc> Find it. </EN-desc>\n</top>',
        [Topic("C041", "Pesticides", "Find it.")],
    ),
    "tags within a text": (
        "<top>\n<num> Number: 5\n<docid>x</docid>\n<title> see <url>http://a</url> for a < b\n<guid> 7 </top>",
        [Topic("5", *["see http://a for a < b"] * 2)],
    ),
    "TREC-COVID": (
        '<topics><topic number="1"><query>a</query><question>b?</question><narrative>c</narrative></topic></topics>',
        [Topic("1", "a", "b?", "c")],
    ),
    "Clinical Trials 2021": (
        '<topics task="2021 TREC Clinical Trials">\n<topic number="1">\nPatient is a 45-year-old man\nwith R&amp;R.\n'
        '</topic>\n<topic number="2">48 M</topic></topics>',
        [Topic("1", *["Patient is a 45-year-old man with R&R."] * 2), Topic("2", "48 M", "48 M")],
    ),
    "Decision Support 2016": (
        '<topics><topic number="1" type="diagnosis"><note>n</note><description>d</description><summary>s</summary>'
        "</topic></topics>",
        [Topic("1", "d", "d")],
    ),
    "Health Misinformation 2020": (
        "<topics><topic><number>1</number><title>ibuprofen</title><description>Can it worsen?</description>"
        "<answer>no</answer><narrative>n</narrative></topic></topics>",
        [Topic("1", "ibuprofen", "Can it worsen?", "n")],
    ),
    "Web Track": (
        '<webtrack2009><topic number="1" type="faceted"><query>obama family tree</query><description>Find it.'
        '</description><subtopic number="2" type="nav">s</subtopic></topic></webtrack2009>',
        [Topic("1", "obama family tree", "Find it.")],
    ),
    "Genomics 2004": (
        "<TOPICS><TOPIC><ID>1</ID><TITLE>Ferroportin-1</TITLE><NEED>x</NEED></TOPIC></TOPICS>",
        [Topic("1", "Ferroportin-1", "Ferroportin-1")],
    ),
    "NTCIR WWW": (
        "<queries><query><qid>0001</qid><content>Halloween picture</content></query></queries>",
        [Topic("0001", "Halloween picture", "Halloween picture")],
    ),
    "XML with a bare &": ('<topics><topic number="7">R&D in H<sub>2</sub>O</topic></topics>', ["R&D in H2O"]),
    "XML with a named entity": ('<topics><topic number="7">caf&eacute;</topic></topics>', ["café"]),
    "XML in UTF-16": (
        '<?xml version="1.0" encoding="utf-16"?><a><topic number="7">ü</topic></a>'.encode("utf-16"),
        ["ü"],
    ),
    "tab-separated": ('1\twhat is "x"?\n2\t"said"" he\n', ['what is "x"?', '"said"" he']),
    "with a header": ("qid\tquery\r\n1\ta b\r\n\r\n2\tc\r\n", ["a b", "c"]),
    "quoted": ('"1"\t"what is ""x""?"\n2\t"a\tb"\n', ['what is "x"?', "a\tb"]),
    "byte order mark": ("\ufeff1\ta\n", ["a"]),
    "BEIR": ('{"_id": "1", "text": "a", "metadata": {"query": "q"}}\n', [Topic("1", "q", "a")]),
    "BEIR, other names": ('{"query_id": 1, "query": "a"}\n{"qid": "2", "title": "b"}\n', ["a", "b"]),
}


@pytest.mark.parametrize("ending", ["", ".gz"])
@pytest.mark.parametrize("form", FORMS)
def test_topics_are_read_in_every_form(form, ending, tmp_path):
    content, expected = FORMS[form]
    content = content.encode() if isinstance(content, str) else content
    path = tmp_path / f"topics.txt{ending}"
    path.write_bytes(gzip.compress(content) if ending else content)
    topics = [topic for _, topic in read_all_topics(path)]
    assert [
        topic if isinstance(wanted, Topic) else topic.question for topic, wanted in zip(topics, expected, strict=True)
    ] == (expected)


BAD = {
    "no number": ("<topics><topic>bare</topic></topics>", "topic 1: no number"),
    "two words for a number": ("<top><num> Number: 3 4 <title> a </top>", "'3 4'"),
    "no text that is known": (
        '<topics><topic number="1"><disease>flu</disease><gene>x</gene></topic></topics>',
        "topic 1: no text, expected a query, title, question or description, or bare text; it has disease, gene",
    ),
    "no text": ('<topics><topic number="1"/></topics>', "topic 1: no text"),
    "a number twice": (CLASSIC + CLASSIC, "topic 3: duplicate number 351"),
    "XML cut short in a topic": (FORMS["Clinical Trials 2021"][0][:-30], "neither XML"),
    "XML cut short after a topic": (FORMS["Clinical Trials 2021"][0][: -len("</topics>")], "neither XML"),
    "SGML cut short": (CLASSIC[:-20], "neither XML"),
    "XML of something else": ("<a><b/></a>", "no topics, expected"),
    "one column": ("just words\n", "line 1: expected a topic id, a tab"),
    "three columns": ("1\ta\tb\n", "line 1: expected a topic id, a tab"),
    "an id twice": ("1\ta\n1\tb\n", "line 2: duplicate id 1, first on line 1"),
    "an id with a space": ("1 2\ta\n", "line 1: expected a topic id, a tab"),
    "a query without text": ('{"_id": "1", "words": "a"}\n', "has no \"text\", which has '_id', 'words'"),
    "a JSON array": ('[{"_id": "1", "text": "a"}]', "line 1: expected a JSON object"),
    "nothing": ("\n", "has no topics"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_read_is_refused_in_one_sentence(name, tmp_path):
    content, sentence = BAD[name]
    path = tmp_path / "topics"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(UserError) as caught:
        list(read_all_topics(path))
    assert sentence in str(caught.value)
    assert str(caught.value).startswith("topics")
    assert "\n" not in str(caught.value)


def test_zeros_before_a_number_are_left_out_where_the_judgments_have_none(tmp_path):
    path = tmp_path / "topics.51-100"
    path.write_text(FORMS["TREC 1"][0])
    assert [topic.id for topic in topics_for({"51": {"d": 1}}, path)] == ["51"]
    assert [topic.id for topic in topics_for({"051": {"d": 1}}, path)] == ["051"]


def test_all_missing_topics_are_named_at_once(tmp_path):
    path = tmp_path / "queries.tsv"
    path.write_text("1\ta\n2\tb\n3\tc\n4\td\n")
    with pytest.raises(UserError, match=r"line 1: 3 topics have no judgments: 1, 2, 4; .*--unjudged drop"):
        read_topics(path, {"3"}, set(), drop_unjudged=False)
    with pytest.raises(UserError, match=r"no topics 7, 8, which"):
        topics_for({"1": {}, "7": {}, "8": {}}, path)


@pytest.mark.parametrize(
    ("name", "content", "advice"),
    [
        ("queries.tsv", gzip.compress(b"1\ta\n", mtime=0), "its name must end in .gz"),
        ("queries.tsv.gz", b"1\ta\n", "its name must not end in .gz"),
        ("queries.tsv.gz", gzip.compress(b"1\ta\n" * 99, mtime=0)[:-9], "download or export it again"),
        ("queries.tsv", "1\ta\n".encode("utf-16"), "convert it to UTF-8"),
    ],
)
def test_what_is_wrong_with_a_file_itself_is_told_with_what_to_do(name, content, advice, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=advice):
        list(read_all_topics(tmp_path / name))
