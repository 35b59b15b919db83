"""The changes that a diagnosis tried, as a table and in words, and as the artifact `diagnosis/<system>`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from core.evaluation.table_formats import MISSING, Table
from core.workspace.artifacts import Manifest, read_whole
from core.workspace.workspace import CollectionFolder

Means = dict[str, float]
"""measure -> mean over topics."""
CLOSED = 0.002
"""Distance from the published figure up to which a change closes the gap: ties and rounding."""
SHARE = 0.2
"""Share of the gap that a change may leave open and still be named."""
CHECK, WHOLE = "published configuration", "all settings as published"
"""Rows that are no single change."""
JOINED = " + "
"""Between the causes of changes that are tried together."""
LISTED = "; "
"""Between the values of changes that are tried together."""
AS_PUBLISHED, PUBLISHED = " (as published)", "published: "
"""After a value that is tried and is the published one; before a published one where the run's is not known."""
MOST_NAMED, MOST_LISTED = 3, 6
"""Numbers of explanations of a gap, and of changes that were not tried, that are named."""
FILE = "diagnosis.csv"
OVERLAPS = "overlap@10"
COLUMNS = ["cause", "here", "tried", "left of the gap", OVERLAPS]


@dataclass(frozen=True)
class Trial:
    """One change, and what it gives.

    Attributes:
        cause: what is changed, such as "stop words"; of several changes the causes, joined by `JOINED`.
        here: how it is here; tried: how it was tried.
        means: the figures with the change.
        goal: the figures that it is to give: the published ones, or, if the published configuration was changed, the
            run's own.
        overlap: the mean share of the run's top 10 that the changed search has, None for a change of the evaluation.
    """

    cause: str
    here: str
    tried: str
    means: Means
    goal: Mapping[str, float]
    overlap: float | None = None

    @property
    def left(self) -> float:
        """The largest distance from the goal over the measures."""
        return max(abs(self.means[name] - value) for name, value in self.goal.items())


def as_table(trials: Sequence[Trial]) -> pd.DataFrame:
    """Return the trials as a table: COLUMNS, and the figures of each."""
    rows = [(t.cause, t.here, t.tried, t.left, t.overlap, *t.means.values()) for t in trials]
    measures = list(trials[0].means) if trials else []
    return pd.DataFrame(rows, columns=[*COLUMNS, *measures]).set_index("cause")


def diagnosis_table(
    label: str,
    source: str,
    mine: Mapping[str, float],
    published: Mapping[str, float],
    table: pd.DataFrame,
    not_tried: Sequence[str] = (),
) -> Table:
    """Return what was tried, with what closes the gap in a sentence.

    Args:
        label: the run's name.
        source: where the published figures are from.
        table: from `as_table`.
        not_tried: changes for which there was no time, in words.
    """
    gaps = ", ".join(
        f"{name} {mine[name]:.4f}, published {value:.4f} ({mine[name] - value:+.4f})"
        for name, value in published.items()
    )
    gap = max(abs(published[name] - mine[name]) for name in published)
    found = closing(table, gap)
    if gap <= CLOSED:
        said = f"It agrees within {CLOSED}."
    elif found.empty:
        said = "Nothing that was tried closes the gap."
        if len(table):
            said += f" The least is left, {table['left of the gap'].iloc[0]:.4f}, by {_in_words(table.iloc[0])}."
    else:
        parts = [f"{_in_words(row)} (leaves {row['left of the gap']:.4f})" for _, row in found.iterrows()]
        said = f"What closes the gap: {'; or '.join(parts)}."
    sentences = [f"{label}: {gaps}.", said, *_check_sentences(table)]
    if not_tried and gap > CLOSED:
        listed = "; ".join(not_tried[:MOST_LISTED])
        more = f"; and {len(not_tried) - MOST_LISTED} more" if len(not_tried) > MOST_LISTED else ""
        sentences.append(f"Not tried, for lack of time (--minutes allows more): {listed}{more}.")
    shown = table.assign(**{OVERLAPS: [MISSING if pd.isna(one) else f"{one:.2f}" for one in table[OVERLAPS]]})
    return Table(table, f"{label} and the published figure ({source})", shown, sentences)


def _check_sentences(table: pd.DataFrame) -> list[str]:
    """Say how far BM25 with the published configuration is from the published figure, if the run's own is not known."""
    left = table["left of the gap"]
    if CHECK not in table.index or float(left[CHECK]) <= CLOSED:
        return []
    evaluated = table[[str(cause).startswith(f"{CHECK}: ") for cause in table.index]]
    closed = evaluated[evaluated["left of the gap"] <= CLOSED]
    said = (
        f"BM25 with the published configuration, searched here, is {float(left[CHECK]):.4f} from the published figure"
    )
    if len(closed):
        row = closed.iloc[0]
        cause = str(row.name).removeprefix(f"{CHECK}: ")
        return [
            f"{said}, and has it if it is evaluated otherwise: {cause} ({row['here']} here, tried: {row['tried']})."
        ]
    return [f"{said}: documents, topics or judgments differ from those of the publication."]


def closing(table: pd.DataFrame, gap: float) -> pd.DataFrame:
    """Return the changes that close a gap, the best of each cause, the one that leaves least first.

    What closes it entirely comes before what leaves a part of it, settings that are the published ones before others,
    and one change before several.

    Args:
        table: from `as_table`.
        gap: the largest distance of the run's figures from the published ones.
    """
    found = table[[not str(cause).startswith(CHECK) for cause in table.index]]
    found = found[found["left of the gap"] <= min(max(CLOSED, SHARE * gap), gap)]
    found = found[~found.index.duplicated()]
    named = found[found.index != WHOLE]
    entirely = named["left of the gap"] <= CLOSED
    changes = pd.Series([str(cause).count(JOINED) + 1 for cause in named.index], named.index, dtype=int)
    single = changes == 1
    published = changes == [str(tried).count(AS_PUBLISHED) for tried in named["tried"]]
    for kind in (entirely & published, entirely & single, entirely, published, single, single | ~single):
        if kind.any():
            return named[kind].iloc[:MOST_NAMED]
    return found


def _in_words(row: pd.Series) -> str:
    """Return a row in words, each of its changes with how it is here and how it was tried."""
    parts = [str(row.name).split(JOINED), row["here"].split(LISTED), row["tried"].split(LISTED)]
    if len({len(part) for part in parts}) > 1:  # a prompt has the separator, too
        parts = [[str(row.name)], [row["here"]], [row["tried"]]]

    def said(tried: str) -> str:
        if tried.endswith(AS_PUBLISHED):
            return PUBLISHED + tried.removesuffix(AS_PUBLISHED)
        return tried if tried.startswith(PUBLISHED) else f"tried: {tried}"

    return " and ".join(f"{cause} ({here} here, {said(tried)})" for cause, here, tried in zip(*parts, strict=True))


def write(path: Path, trials: Sequence[Trial]) -> None:
    """Write the trials as CSV."""
    as_table(trials).to_csv(path, lineterminator="\n")


def read_diagnosis(folder: CollectionFolder, system: str, label: str, digest: str = "") -> Table:
    """Return the stored diagnosis of a system.

    Raises:
        UserError: if the artifact is missing or damaged.
    """
    place = folder.diagnosis(system)

    def read(manifest: Manifest) -> Table:
        table = pd.read_csv(
            place / FILE,
            index_col=0,
            dtype={"here": str, "tried": str},
            keep_default_na=False,
            na_values={OVERLAPS: [""]},
        )
        settings = manifest.settings
        not_tried = manifest.facts.get("not_tried", ())
        measured, published = manifest.facts["measured"], settings["published"]
        return diagnosis_table(label, settings["source"], measured, published, table, not_tried)

    return read_whole(place, read, digest=digest)
