"""What several pages say of one thing, they say in the same words: on the sample, which has four systems."""

import html
import re

import pytest
from made_up import Open, lists
from streamlit.testing.v1 import AppTest


def texts(app: AppTest) -> str:
    return "\n".join(element.value for element in app.markdown).replace("\\", "").replace("\u2060", "")


def evidence(app: AppTest) -> str:
    """The evidence of the page's first comparison of two systems."""
    return re.search(r"95 % CI .*? on \d+ topics", texts(app))[0]


@pytest.mark.parametrize(
    ("a", "b", "page"), [("fine-tuned", "all-MiniLM-L6-v2", "training"), ("bm25-doc2query", "bm25", "expansion")]
)
def test_a_comparison_has_the_same_p_on_every_page(open_page: Open, a: str, b: str, page: str) -> None:
    said = evidence(open_page("topics", a=a, b=b))
    assert evidence(open_page(page)) == said
    p = re.search(r"p [=<].*? comparisons\)", said)[0]
    # Summary names the better system first, so that its signs may be the other way round.
    assert p in evidence(open_page("summary", a=a, b=b))


def test_a_card_names_a_contribution_as_the_topic_page_does(open_page: Open) -> None:
    summary = open_page("summary")
    card = next(html.unescape(markup) for markup in lists(summary) if "rs-example" in markup)
    contribution = re.search(r"” (\(.*?relevant\) .*? \([+-][\d.]+\))", card)[1]
    topic = next(link.proto.label for link in summary.get("page_link") if link.proto.label.startswith("Open topic "))
    assert contribution in texts(open_page("topic", topic=topic.removeprefix("Open topic ")))


@pytest.mark.parametrize("page", ["summary", "topics", "training"])
def test_the_terms_of_a_comparison_are_in_the_glossary(open_page: Open, page: str) -> None:
    said = texts(open_page(page))
    terms = set(re.findall(r"95 % CI|Holm-adjusted|\bp\b(?= [=<])|MDE", said))
    assert {"95 % CI", "p", "Holm-adjusted"} <= terms
    assert [term for term in terms if f"**{term}**" not in said] == []
