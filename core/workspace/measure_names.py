"""Names of measures: family, cut-off and relevance threshold."""

import re
from dataclasses import dataclass
from typing import NamedTuple

from core.workspace.errors import UserError

RECALL_LEVELS = tuple(f"{level / 10:.1f}" for level in range(11))
"""Recall levels of the interpolated precision-recall curve."""


@dataclass(frozen=True)
class Family:
    """A kind of measure: its name in trec_eval, and a description for pages."""

    trec_eval: str
    with_cutoff: bool
    description: str
    binary: bool = False
    """Whether it uses binary relevance, so that a relevance threshold can be set."""


class Measure(NamedTuple):
    """A parsed measure name: `cutoff` is 0 if it has none, `relevance` is the lowest grade that counts as relevant."""

    family: Family
    name: str
    cutoff: int
    relevance: int


FAMILIES = {
    "nDCG": Family(
        "ndcg_cut",
        True,
        "Normalised discounted cumulative gain (Järvelin & Kekäläinen, 2002): the gain is the grade, the discount "
        "log2(rank + 1), the ideal ranking has all judged documents; unjudged documents have no gain",
    ),
    "P": Family("P", True, "Precision: the share of the first k documents that are relevant", True),
    "R": Family("recall", True, "Recall: the share of all relevant documents that are among the first k", True),
    "AP": Family("map", False, "Average precision over the ranks of the relevant documents; its mean is MAP", True),
    "Bpref": Family(
        "bpref",
        False,
        "Binary preference (Buckley & Voorhees, 2004): how often judged relevant documents are ranked above "
        "judged non-relevant ones; unjudged documents are ignored",
        True,
    ),
    "RR": Family("recip_rank", False, "Reciprocal rank: 1 / rank of the first relevant document", True),
    "Judged": Family("", True, "The share of the first k documents that have a judgment for the topic"),
}


NOTATION = re.compile(r"([A-Za-z]+)(?:\(rel=([1-9][0-9]{0,3})\))?(?:@([1-9][0-9]{0,4}))?")


def parse_measure(name: str) -> Measure:
    """Parse the name of a measure: "nDCG@10", or "P(rel=2)@10" if only grades of 2 and above are relevant.

    Raises:
        UserError: if it is not one of `FAMILIES`, a cut-off is missing or not allowed, or a relevance threshold is set
            for a measure that has none.
    """
    match = NOTATION.fullmatch(name.strip())
    family = FAMILIES.get(match[1]) if match else None
    if not match or not family or family.with_cutoff != bool(match[3]) or (match[2] and not family.binary):
        known = ", ".join(f"{n}@k" if f.with_cutoff else n for n, f in FAMILIES.items())
        raise UserError(f"unknown measure {name!r}; use one of {known}, or P(rel=2)@k to count grades >= 2 as relevant")
    return Measure(family, match[1], int(match[3] or 0), int(match[2] or 1))


def measure_name(name: str, cutoff: int = 0, relevance: int = 1) -> str:
    """Return the name that `parse_measure` parses, without a cut-off or threshold that the measure does not have.

    Args:
        name: one of `FAMILIES`.
    """
    family = FAMILIES[name]
    level = f"(rel={relevance})" if family.binary and relevance > 1 else ""
    return f"{name}{level}" + (f"@{cutoff}" if family.with_cutoff else "")
