"""Tables for the ranked lists of one topic: contributions to a difference, ranks, overlap, missed documents."""

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from math import fsum

import pandas as pd

from core.evaluation.grades import grade_words
from core.evaluation.ndcg_decomposition import CHANGES, Part, ideal_ranking, total
from core.evaluation.rank_overlap import jaccard, rank_biased_overlap
from core.evaluation.table_formats import Table, shortened
from core.formats.documents import Document
from core.workspace.measure_names import judged_cutoff

TITLE = 90

Rankings = Mapping[str, Sequence[str]]
"""system -> documents, best first, of one topic."""


def title_of(document: Document | None, identity: str) -> str:
    """Return a document's name on every page: its title, or else the beginning of its text, or else its id."""
    if document is None:
        return identity
    return " ".join(document.title.split()) or shortened(document.text, TITLE) or identity


def document_title(document: Document | None, identity: str) -> str:
    """Return a document's name in tables: `title_of`, shortened."""
    return shortened(title_of(document, identity), TITLE)


def titles_of(documents: Mapping[str, Document], names: Sequence[str]) -> dict[str, str]:
    """Return the table name of each named document; `documents` may lack some or all."""
    return {name: document_title(documents.get(name), name) for name in names}


def split_cutoff(measure: str) -> int:
    """Return the cut-off of the nDCG to decompose: the measure's own, or else 10."""
    return judged_cutoff(measure) or 10


def change_sentence(
    parts: Sequence[Part], label_a: str, label_b: str, k: int, titles: Mapping[str, str], highest: int
) -> str:
    """Explain in words the difference of two systems' nDCG@k on a topic.

    The largest contribution with the sign of the difference is named first, then any larger one with the opposite sign.

    Args:
        parts: the parts from `split_difference`.
        highest: the collection's highest grade.
    """
    difference = total(parts)
    if not any(part.value for part in parts):
        same = all(part.change == "unchanged" for part in parts)
        reason = "no relevant document entered, dropped out or changed rank"
        if same:
            reason = f"the top {k} documents are the same, in the same order"
        return f"{label_a} and {label_b} have the same nDCG@{k}: {reason}."
    phrases = []
    for change in CHANGES[:3]:
        chosen = [part for part in parts if part.change == change]
        relevant = sum((part.grade or 0) > 0 for part in chosen)
        if chosen:
            phrases.append(f"{len(chosen)} {change} ({relevant} relevant): {_signed(total(chosen))}")
    counts = f"Documents in the top {k}: {'; '.join(phrases)}."
    if not difference:
        return f"{label_a} and {label_b} have the same nDCG@{k}: gains and losses cancel out. {counts}"
    first, largest = parts[0], max(parts, key=lambda part: abs(part.value))
    sentences = [
        f"nDCG@{k} changes by {_signed(difference)} from {label_b} to {label_a}.",
        counts,
        f"Largest contribution: {contribution(first, k, titles, highest)}.",
    ]
    if abs(largest.value) > abs(first.value):
        against = contribution(largest, k, titles, highest)
        sentences.append(f"Largest contribution in the opposite direction: {against}.")
    return " ".join(sentences)


def reason_sentence(
    parts: Sequence[Part], label_a: str, label_b: str, k: int, titles: Mapping[str, str], highest: int
) -> str:
    """Return one sentence on the difference of two systems' nDCG@k on a topic and what contributes most to it.

    The named document has the largest contribution with the sign of the difference; `change_sentence` has more detail.

    Args:
        parts: the parts from `split_difference`.
        highest: the collection's highest grade.
    """
    difference = total(parts)
    if not difference:
        return change_sentence(parts, label_a, label_b, k, titles, highest).partition(" Documents in the top ")[0]
    first, *rest = parts
    others = [part.value for part in rest if part.value * difference > 0]
    against = [part.value for part in rest if part.value * difference < 0]
    verb, word = ("gains", "over") if difference > 0 else ("loses", "against")
    said = (
        f"{label_a} {verb} {_signed(difference).lstrip('+-')} nDCG@{k} {word} {label_b}: "
        f"{contribution(first, k, titles, highest)}"
    )
    if others:
        said += f"; {len(others)} more document{'s' if len(others) > 1 else ''}: {_signed(fsum(others))}"
    if against:
        said += f"; {len(against)} in the opposite direction: {_signed(fsum(against))}"
    return f"{said}."


def contribution(part: Part, k: int, titles: Mapping[str, str], highest: int) -> str:
    """Return a document's contribution to a difference in nDCG@k in words: name, grade, change of rank, value.

    Args:
        highest: the collection's highest grade.
    """
    title = titles.get(part.document, part.document)
    return f"“{title}” ({grade_words(part.grade, highest)}) {_movement(part, k)} ({_signed(part.value)})"


def _movement(part: Part, k: int) -> str:
    """Return in words how a document moves from the list of b to that of a."""
    if part.rank_b is None:
        return f"enters at rank {part.rank_a}"
    if part.rank_a is None:
        return f"at rank {part.rank_b} is no longer retrieved"
    moved = f"{'rises' if part.rank_a < part.rank_b else 'falls'} from rank {part.rank_b} to {part.rank_a}"
    where = {"entered": f", into the top {k}", "dropped out": f", out of the top {k}"}
    return moved + where.get(part.change, "")


def _signed(value: float) -> str:
    """Return a value with its sign and four decimals; one that these would show as 0 in another form."""
    return f"{value:+.1e}" if 0 < abs(value) < 0.00005 else f"{value:+.4f}"


def split_table(parts: Sequence[Part], titles: Mapping[str, str]) -> pd.DataFrame:
    """Return the parts of a difference as a table; the grade is empty where the document is unjudged."""
    rows = [(titles[p.document], p.grade, p.change, p.rank_a, p.rank_b, p.value, p.document) for p in parts]
    table = pd.DataFrame(rows, columns=["title", "grade", "change", "rank a", "rank b", "contribution", "document"])
    return table.astype({"grade": "Int64", "rank a": "Int64", "rank b": "Int64"})


def positions(rankings: Rankings, documents: Sequence[str], judgments: Mapping[str, int]) -> pd.DataFrame:
    """Return the rank of each document in each list, empty if the list lacks it.

    Columns: document, grade (empty if unjudged), then one per system.
    """
    table = pd.DataFrame({"document": list(documents), "grade": [judgments.get(name) for name in documents]})
    for system, ranking in rankings.items():
        ranks = {document: rank for rank, document in enumerate(ranking, 1)}
        table[system] = pd.array([ranks.get(name) for name in documents], dtype="Int64")
    return table.astype({"grade": "Int64"})


def shown_documents(rankings: Rankings, depth: int) -> list[str]:
    """Return the documents in the top `depth` of any list, in the order of the lists."""
    return list(dict.fromkeys(document for ranking in rankings.values() for document in ranking[:depth]))


def shared_documents(rankings: Rankings, depth: int) -> list[str]:
    """Return the documents in the top `depth` of every list, in the order of the first; none if there is one list."""
    first, *others = rankings.values()
    return [name for name in first[:depth] if others and all(name in other[:depth] for other in others)]


def missed(rankings: Rankings, relevant: Sequence[tuple[str, int]], depth: int) -> pd.DataFrame:
    """Return the relevant documents missing from the top `depth` of any list, as a table like `positions`."""
    table = positions(rankings, [document for document, _ in relevant], dict(relevant))
    beyond = table[list(rankings)].isna() | (table[list(rankings)] > depth)
    return table[beyond.any(axis=1)].reset_index(drop=True)


def missed_counts(table: pd.DataFrame, rankings: Rankings, depth: int) -> pd.DataFrame:
    """Return counts by system: missed documents, of them ranked later and not in the run; documents in the run."""
    rows = {}
    for system, ranking in rankings.items():
        later = int((table[system] > depth).sum())
        never = int(table[system].isna().sum())
        rows[system] = {"missed": later + never, "ranked later": later, "not in the run": never, "run": len(ranking)}
    return pd.DataFrame.from_dict(rows, orient="index")


def overlaps(rankings: Rankings, depth: int) -> pd.DataFrame:
    """Return the overlap of each pair of lists.

    Columns: a, b, RBO (of the full lists), then the Jaccard coefficient and the number of shared documents of the top
    `depth`.
    """
    rows = [
        (a, b, rank_biased_overlap(x, y), jaccard(x, y, depth), len(set(x[:depth]) & set(y[:depth])))
        for (a, x), (b, y) in combinations(rankings.items(), 2)
    ]
    return pd.DataFrame(rows, columns=["a", "b", "RBO", f"Jaccard@{depth}", f"shared@{depth}"])


def list_facts(
    hits: Sequence[tuple[str, float]], depth: int, judgments: Mapping[str, int], measure: str, value: float
) -> str:
    """Return a list's value of a measure, and how many of its top documents are relevant and unjudged, as text.

    Args:
        hits: (document, score) pairs, best first.
    """
    first = [document for document, _ in hits[:depth]]
    if not first:
        return f"{measure} {value:.4f}; no document was retrieved, which counts as 0"
    relevant = sum(judgments.get(document, 0) > 0 for document in first)
    unjudged = sum(document not in judgments for document in first)
    return f"{measure} {value:.4f}; top {len(first)}: {relevant} relevant, {unjudged} unjudged"


def ideal_facts(judgments: Mapping[str, int]) -> str:
    """Return how many documents of a topic are relevant, as text."""
    return f"{len(ideal_ranking(judgments))} relevant of {len(judgments)} judged documents, in the best possible order"


def lists_table(
    scores: Mapping[str, Sequence[tuple[str, float]]],
    judgments: Mapping[str, int],
    depth: int,
    measure: str,
    values: Mapping[str, float],
    titles: Callable[[Sequence[str]], Mapping[str, str]],
    labels: Mapping[str, str],
    caption: str,
) -> Table:
    """Return the top documents of every system's list and of the ideal ranking.

    Columns: rank, document, grade (empty if unjudged), score, title.

    Args:
        scores: the (document, score) pairs of each system, best first.
        values: each system's value of the measure for the topic.
    """
    said = [
        f"{labels[system]}: {list_facts(hits, depth, judgments, measure, values[system])}"
        for system, hits in scores.items()
    ]
    said.append(f"Ideal ranking: {ideal_facts(judgments)}")
    rows: list[tuple[str, int, str, float | None]] = [
        (labels[system], rank, document, score)
        for system, hits in scores.items()
        for rank, (document, score) in enumerate(hits[:depth], 1)
    ]
    best = [document for document, _ in ideal_ranking(judgments)[:depth]]
    rows += [("Ideal ranking", rank, document, None) for rank, document in enumerate(best, 1)]
    table = pd.DataFrame(rows, columns=["system", "rank", "document", "score"]).astype({"score": float})
    table.insert(3, "grade", pd.array([judgments.get(name) for name in table["document"]], dtype="Int64"))
    called = titles(list(table["document"]))
    table["title"] = [called[name] for name in table["document"]]
    return Table(table.set_index("system"), f"{caption}: ranked lists", sentences=said)


def contributions_table(
    parts: Sequence[Part], label_a: str, label_b: str, k: int, titles: Mapping[str, str], highest: int, caption: str
) -> Table:
    """Return every document's contribution to the difference of two systems' nDCG@k, and a summary in words.

    Args:
        parts: the parts from `split_difference`.
        highest: the collection's highest grade.
    """
    table = split_table(parts, titles).rename(columns={"rank a": f"rank in {label_a}", "rank b": f"rank in {label_b}"})
    said = [
        change_sentence(parts, label_a, label_b, k, titles, highest),
        f"The contributions sum to {total(parts):+.4f}, the difference in nDCG@{k} ({label_a} - {label_b}).",
    ]
    return Table(table.set_index("title"), f"{caption}: contributions to the difference in nDCG@{k}", sentences=said)


def ranks_table(
    rankings: Rankings,
    depth: int,
    judgments: Mapping[str, int],
    titles: Mapping[str, str],
    labels: Mapping[str, str],
    caption: str,
) -> Table:
    """Return the rank, in every list, of each document in the top `depth` of any list."""
    table = positions(rankings, shown_documents(rankings, depth), judgments)
    table.insert(0, "title", [titles[name] for name in table["document"]])
    return Table(
        table.rename(columns=dict(labels)).set_index("title"), f"{caption}: rank of each document in each list"
    )


def overlap_table(rankings: Rankings, depth: int, labels: Mapping[str, str], caption: str) -> Table:
    """Return the overlap of each pair of lists; see `overlaps`."""
    table = overlaps(rankings, depth).replace({"a": dict(labels), "b": dict(labels)})
    table = table.rename(columns={"a": "system A", "b": "system B"}).set_index("system A")
    return Table(table, f"{caption}: overlap of the ranked lists")


def missed_table(
    rankings: Rankings,
    relevant: Sequence[tuple[str, int]],
    depth: int,
    titles: Callable[[Sequence[str]], Mapping[str, str]],
    labels: Mapping[str, str],
    caption: str,
) -> Table:
    """Return the relevant documents missing from the top `depth` of a list, and how many each list misses."""
    table = missed(rankings, relevant, depth)
    said = [
        f"{labels[str(system)]} misses {row['missed']} of {len(relevant)} relevant documents in its top {depth}: "
        f"{row['ranked later']} ranked lower, {row['not in the run']} not among the {row['run']} documents that it "
        "retrieved for this topic."
        for system, row in missed_counts(table, rankings, depth).iterrows()
    ]
    called = titles(list(table["document"]))
    table.insert(0, "title", [called[name] for name in table["document"]])
    shown = table.rename(columns=dict(labels)).set_index("title")
    return Table(shown, f"{caption}: missed relevant documents", sentences=said)
