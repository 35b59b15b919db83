"""Names of measures, in the notation of ir_measures: family, cut-off, relevance threshold, further parameters."""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, NamedTuple

from core.workspace.errors import UserError

RECALL_LEVELS = tuple(f"{level / 10:.1f}" for level in range(11))
"""Recall levels of the interpolated precision-recall curve."""
TREC_EVAL, RANKSCOPE = "trec_eval (pytrec_eval)", "RankScope"
"""Names of providers, beside those of ir_measures."""
SUBTOPICS = "pyndeval"
"""The provider of ir_measures whose measures need judgments of subtopics, which qrels do not have."""
COUNTS = ("Judged", "NumRet", "NumRel", "NumQ")
"""Measures that count, and do not say how good a system is."""


@dataclass(frozen=True)
class Family:
    """A kind of measure, and a description for pages.

    Attributes:
        trec_eval: its name in trec_eval, "" if another library computes it.
        cutoff: whether a measure has a cut-off: "required", "optional" or "none".
        binary: whether it uses binary relevance, so that a relevance threshold can be set.
        at: its name in trec_eval with a cut-off, if that differs.
        usual_cutoff: the cut-off where none is chosen; 0 for none.
        given: parameters that ir_measures' provider requires, such as "rel=1".
    """

    trec_eval: str
    cutoff: Literal["required", "optional", "none"]
    description: str
    binary: bool = False
    at: str = ""
    given: str = ""
    usual_cutoff: int = 0


class Measure(NamedTuple):
    """A parsed measure name: `cutoff` is 0 if it has none, `relevance` is the lowest grade that counts as relevant.

    `notation` is its name as ir_measures writes it, `provider` the library that computes it.
    """

    family: Family
    name: str
    cutoff: int
    relevance: int
    notation: str
    provider: str

    @property
    def is_plain(self) -> bool:
        """Whether it has no parameters but cut-off and relevance threshold."""
        return self.name in FAMILIES and self.notation == measure_name(self.name, self.cutoff, self.relevance)

    @property
    def trec_eval_key(self) -> str:
        """Its name in trec_eval, such as "ndcg_cut.10"; "" if another library computes it."""
        if self.provider != TREC_EVAL:
            return ""
        return f"{self.family.at or self.family.trec_eval}.{self.cutoff}" if self.cutoff else self.family.trec_eval

    def at_cutoff(self, cutoff: int) -> str:
        """Return the name of the same measure with another cut-off."""
        return f"{self.notation.partition('@')[0]}@{cutoff}"


FAMILIES = {
    "nDCG": Family(
        "ndcg",
        "optional",
        "Normalised discounted cumulative gain (Järvelin & Kekäläinen, 2002): the gain is the grade, the discount "
        "log2(rank + 1), the ideal ranking has all judged documents; unjudged documents have no gain",
        at="ndcg_cut",
        usual_cutoff=10,
    ),
    "P": Family(
        "P", "required", "Precision: the share of the first k documents that are relevant", True, usual_cutoff=10
    ),
    "R": Family(
        "recall",
        "required",
        "Recall: the share of all relevant documents that are among the first k",
        True,
        usual_cutoff=100,
    ),
    "AP": Family(
        "map",
        "optional",
        "Average precision over the ranks of the relevant documents; its mean is MAP",
        True,
        at="map_cut",
    ),
    "Bpref": Family(
        "bpref",
        "none",
        "Binary preference (Buckley & Voorhees, 2004): how often judged relevant documents are ranked above "
        "judged non-relevant ones; unjudged documents are ignored",
        True,
    ),
    "RR": Family("recip_rank", "optional", "Reciprocal rank: 1 / rank of the first relevant document", True, at=" "),
    "Rprec": Family(
        "Rprec", "none", "R-precision: precision among the first R documents, R the number of relevant ones", True
    ),
    "Success": Family(
        "success", "required", "Success: whether a relevant document is among the first k", True, usual_cutoff=10
    ),
    "ERR": Family(
        "",
        "required",
        "Expected reciprocal rank (Chapelle et al., 2009), as gdeval computes it: a document of grade g satisfies "
        "with probability (2^g - 1) / 16, for grades up to 4",
        usual_cutoff=10,
    ),
    "RBP": Family(
        "",
        "none",
        "Rank-biased precision (Moffat & Zobel, 2008) with persistence p = 0.8 where none is given; its residual, the "
        "weight of unjudged and missing ranks, is the largest amount by which judgments could raise it",
        True,
        given="rel=1",
    ),
    "Judged": Family(
        "", "required", "The share of the first k documents that have a judgment for the topic", usual_cutoff=10
    ),
}


LONGEST = 200
"""Maximum number of characters of a measure's name."""
NOTATION = re.compile(r"([A-Za-z]+)(?:\(rel=([1-9][0-9]{0,3})\))?(?:@([1-9][0-9]{0,4}))?")


def parse_measure(name: str) -> Measure:
    """Parse the name of a measure of ir_measures: "nDCG@10", "P(rel=2)@10", "RBP(rel=1,p=0.5)".

    Raises:
        UserError: if ir_measures has no such measure, or nothing that is installed computes it.
    """
    match = NOTATION.fullmatch(name.strip())
    family = FAMILIES.get(match[1]) if match else None
    if match and family and not (match[2] and not family.binary):
        cutoff, relevance = int(match[3] or 0), int(match[2] or 1)
        if cutoff > 0 if family.cutoff == "required" else not cutoff or family.cutoff == "optional":
            notation = measure_name(match[1], cutoff, relevance)
            if match[1] == "Judged":
                return Measure(family, match[1], cutoff, relevance, notation, RANKSCOPE)
            if family.trec_eval and not (cutoff and family.at == " "):  # trec_eval has no RR@k
                return Measure(family, match[1], cutoff, relevance, notation, TREC_EVAL)
    return _parse_by_ir_measures(name.strip())


@lru_cache(maxsize=1000)
def _parse_by_ir_measures(name: str) -> Measure:
    """Parse the name of a measure that trec_eval does not compute, or that has further parameters."""
    import ir_measures  # takes a quarter of a second, which pages with the usual measures need not wait for

    try:
        measure: Any = ir_measures.parse_measure(name[:LONGEST])
        given = [measure.params.get(key, 1) for key in ("cutoff", "rel")]
        if name.count("\n") or not all(isinstance(number, int) and 0 < number < 100_000 for number in given):
            raise ValueError
    except (AttributeError, LookupError, MemoryError, NameError, RecursionError, TypeError, ValueError):
        known = ", ".join(f"{measure_name(n)}{'@k' * (f.usual_cutoff > 0)}" for n, f in FAMILIES.items())
        raise UserError(
            f"unknown measure {name[:LONGEST]!r}; use one of {known}, another of ir_measures "
            "(https://ir-measur.es/en/latest/measures.html), or P(rel=2)@k to count grades >= 2 as relevant"
        ) from None
    try:
        measure.validate_params()
    except AssertionError:
        accepted = ", ".join(f"{key} (required)" if p.required else key for key, p in measure.SUPPORTED_PARAMS.items())
        wrong = "a parameter is missing, or has a value that is not allowed"
        raise UserError(f"{name}: {wrong}; {measure.NAME} has {accepted or 'no parameters'}") from None
    if str(measure) != name:
        return parse_measure(str(measure))  # it was given by another name, such as MRR@10
    provider = provider_of(measure)
    if provider is None:
        raise UserError(_unavailable(measure, name))
    parameters = measure.SUPPORTED_PARAMS
    family = FAMILIES.get(measure.NAME) or Family(
        "",
        "optional" if "cutoff" in parameters else "none",
        f"{measure.PRETTY_NAME}: {' '.join((measure.SHORT_DESC or measure.__doc__ or '').split()).rstrip('.')}",
        "rel" in parameters,
    )
    cutoff, relevance = measure.params.get("cutoff", 0), measure.params.get("rel", 1)
    return Measure(family, str(measure.NAME), cutoff, relevance, str(measure), str(provider.NAME))


def provider_of(measure: Any) -> Any:
    """Return the first provider of ir_measures that is installed and computes a measure, or None."""
    import ir_measures

    for provider in ir_measures.DefaultPipeline.providers:
        if provider.NAME != SUBTOPICS and provider.supports(measure) and provider.is_available():
            return provider
    return None


def _unavailable(measure: Any, name: str) -> str:
    """Return why nothing computes a measure of ir_measures, and how to fix it."""
    import ir_measures

    able = [provider for provider in ir_measures.DefaultPipeline.providers if provider.supports(measure)]
    if able and able[0].NAME == SUBTOPICS:
        return f"{name} needs judgments of subtopics, which these qrels do not have"
    if able:
        return f"{name} is computed by {able[0].NAME}, which is not installed: {able[0].install_instructions()}"
    for added in ({"rel": 1}, {"cutoff": 10}, {"max_rel": 2}, {"max_rel": 2, "cutoff": 10}):
        if added.keys() <= measure.SUPPORTED_PARAMS.keys() and provider_of(measure(**added)):
            return f"nothing computes {name} without further parameters; use for example {measure(**added)}"
    return f"nothing that is installed computes {name}"


def measure_name(name: str, cutoff: int = 0, relevance: int = 1) -> str:
    """Return the name that `parse_measure` parses, without a cut-off or threshold that the measure does not have.

    Args:
        name: one of `FAMILIES`.
    """
    family = FAMILIES[name]
    given = family.given if relevance == 1 else ""
    level = f"(rel={relevance})" if family.binary and relevance > 1 else f"({given})" if given else ""
    return f"{name}{level}" + (f"@{cutoff}" if family.cutoff != "none" and cutoff else "")


def judged_cutoff(name: str) -> int:
    """Return k of the measure nDCG@k with trec_eval's gains, 0 for other measures."""
    measure = parse_measure(name)
    return measure.cutoff if measure.name == "nDCG" and measure.is_plain else 0


def split_names(text: str) -> list[str]:
    """Return the measures in a comma-separated list, each once; commas within brackets separate parameters."""
    parts = re.split(r",(?![^(){}]*[)}])", text)
    return list(dict.fromkeys(name.strip() for name in parts if name.strip()))
