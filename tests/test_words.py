"""Words that the interface, the code and the docs do not use, as the field has terms for what they mean."""

import re
from pathlib import Path

import pytest

from core.workspace.workspace import CHECKOUT

PHRASES = {
    "Cells: means": "Show: mean",
    "means and significance": "mean + significance",
    "median ms": "Latency, median (ms)",
    "Against a baseline": "Comparison with the baseline",
    "a true difference of": "minimum detectable effect (MDE) at 80 % power",
    "would show 4 times in 5": "minimum detectable effect (MDE) at 80 % power",
    "95 % interval": "95 % CI",
    "95 % of difference": "95 % CI of difference",
    "p randomisation (Holm)": "p, randomisation test (Holm-adjusted)",
    "topics drawn anew": "percentile bootstrap over topics",
    "the middle 95 %": "percentile bootstrap over topics",
    "A closer look": "Robustness and diagnostics",
    "Does the conclusion hold": "Robustness of the ranking",
    "closest call": "smallest margin",
    "is no conclusion": "is not robust",
    "order could turn": "ranking could flip",
    "if the unjudged were judged": "range over possible judgments",
    "Cost beside quality": "Effectiveness vs cost",
    "Checked by other libraries": "Cross-check with other libraries",
    "all agree": "identical within tolerance",
    "Pictures are saved as": "Figure format",
    "What all of this was made from": "Provenance",
    "What these terms mean": "Glossary",
    "Relevant from grade": "Relevance threshold (grade >=)",
    "System a minus system b": "difference (A - B)",
    "A tie is": "Tie threshold",
    "Kind of topic": "Topic type",
    "Picked for you": "Notable topics",
    "furthest ahead": "largest wins of",
    "Tied, with other documents": "Same score, different documents",
    "words of the query": "query length (words)",
    "Without results:": "Not available:",
    "First ranks": "Depth, top k",
    "searched for:": "query used:",
    "The largest part is": "Largest contribution:",
    "Ideal list": "Ideal ranking",
    "best order there is": "Ideal ranking",
    "part of the difference": "contribution to the difference",
    "has no part of its own": "contributes indirectly",
    "Positions and overlap": "Rank changes and overlap",
    "Why this document": "Score explanation",
    "They add up to": "Sum:",
    "Go on with exported ones": "Import qrels",
    "Forget them": "Clear",
    "No document has a word of this query": "No query term occurs in the index",
    '"Vectors of"': "Embedding model",
    "whose first ten are marked": "Mark the top 10 of",
    "Without WebGL": "Compatibility mode (SVG)",
    '"first axis"': "PC 1",
    "always right": "exact",
    "slower with every document": "cost grows linearly with the collection",
    "locally fill about": "intrinsic dimension about",
    "Recall against": "Cost axis",
    "its dial": "search parameter",
    "the dial": "search parameter",
    "One mark a setting": "Each point is one parameter setting",
    "settings that none beats": "Pareto-optimal settings",
    "HNSW, our own": "HNSW (RankScope)",
    "nDCG@10 kept": "nDCG@10 vs exact",
    "How it grows with the collection": "Scaling with collection size",
    "All that was measured": "All measurements",
    "Relevant documents lost": "Relevant documents missed by ANN",
    "dial at its end": "highest setting",
    "lets a T5 read": "generates queries the document could answer",
    "drops the worse ones": "filters out low-scoring queries",
    "brought up": "promoted",
    "pushed down": "demoted",
    "Won and lost against": "Effect of fine-tuning per topic",
    "What each choice is worth": "Ablations",
    "Bring runs": "Import runs",
    "A whole folder of them": "Upload a folder",
    '"Read them': "Ranking order",
    "what is odd": "Warnings",
    '"Other judgments': "Re-evaluate with other qrels",
    '"Make it"': "Create",
    "judged anew": "re-evaluated",
    "Whole manifest of": "Manifest",
    "not of this build": "outside this profile",
    "Topics side by side": "Example topics",
    "mind their licence": "check the corpus licence before sharing",
    "is a small class and a line": "write a class and register it",
    "the user can mend": "a problem the user can fix",
    "is not to be had": "is unavailable",
    "what mends it": "how to fix it",
    "negation is nobody's": "no system handles negation",
    "comparable with nothing published": "not comparable with published results",
    "archive's contents to its own": "maximum ratio of unpacked to packed size",
}
"""Phrase -> the field's term for it. A quotation mark is part of a phrase that is wrong only as a label."""
FOLDERS = ("core", "dashboard", "scripts", "docs", "tests")
BETWEEN_STRINGS = re.compile(r'"\s*\n\s*f?"')
"""What parts the pieces of one string on several lines."""


def read() -> dict[Path, str]:
    """Return the text of code and docs, each string and paragraph on one line."""
    files = [
        path for folder in FOLDERS for kind in ("py", "md", "toml") for path in (CHECKOUT / folder).rglob(f"*.{kind}")
    ]
    files = [
        path for path in [*files, *CHECKOUT.glob("*.md")] if path.name not in ("CHANGELOG.md", Path(__file__).name)
    ]
    return {path: " ".join(BETWEEN_STRINGS.sub("", path.read_text(encoding="utf-8")).split()) for path in files}


def uses(phrase: str, text: str) -> bool:
    """Tell whether a text has a phrase, not as a part of longer words."""
    before, after = (r"(?<!\w)" if phrase[0].isalnum() else ""), (r"(?!\w)" if phrase[-1].isalnum() else "")
    return re.search(before + re.escape(phrase) + after, text) is not None


@pytest.fixture(scope="module")
def texts() -> dict[Path, str]:
    return read()


def test_the_terms_of_the_field_are_used(texts: dict[Path, str]) -> None:
    assert len(texts) > 300
    found = [
        f"{path.relative_to(CHECKOUT)}: {phrase!r}; say {term!r}"
        for path, text in texts.items()
        for phrase, term in PHRASES.items()
        if uses(phrase, text)
    ]
    assert found == []


def test_a_phrase_is_found_over_lines_and_not_within_words() -> None:
    joined = BETWEEN_STRINGS.sub("", '"all "\n    f"agree here"')
    assert uses("all agree", joined)
    assert not uses("A tie is", "A tie isolates")
    assert uses('"Make it"', 'button("Make it")')
    assert not uses('"Make it"', "to Make it")
