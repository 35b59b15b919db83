"""The table for a paper: chosen systems by chosen measures with marks of significance, as LaTeX, Markdown and CSV."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import pandas as pd

from core.evaluation.comparison_tables import CORRECTIONS, TESTS, is_tested
from core.evaluation.measures import mean
from core.evaluation.published import Published
from core.evaluation.significance import ALPHA, Correction, SignificantPairs, Test, Values, significant_pairs
from core.evaluation.table_formats import (
    LETTERS,
    MISSING,
    SUPERSCRIPTS,
    Table,
    booktabs,
    escape_latex,
    escape_markdown_cell,
    markdown_rows,
)
from core.evaluation.verdicts import too_few_topics
from core.workspace.errors import UserError
from core.workspace.measure_names import parse_measure

DECIMALS = range(1, 7)
FIRST_MEASURES = 3
"""Number of measures where none are chosen."""
BETTER, WORSE = "†", "‡"
"""Marks of systems that are significantly better or worse than the one they are compared with."""
RAISED = str.maketrans(LETTERS, SUPERSCRIPTS)


@dataclass(frozen=True)
class Choices:
    """What the table shows.

    Attributes:
        labels: the systems in order, with the names that they are given.
        against: the only system that the others are tested against; "" tests all pairs.
        decimals: the number of decimals of the means.
        bold: whether the highest mean of each measure is bold.
        published: whether published figures follow below a line.
    """

    labels: Mapping[str, str]
    measures: Sequence[str]
    against: str = ""
    test: Test = "randomisation"
    correction: Correction = "holm"
    decimals: int = 4
    bold: bool = True
    published: bool = False


class Cell(NamedTuple):
    """A cell: its text, the letters or daggers after it, and whether it is bold."""

    text: str
    marks: str = ""
    bold: bool = False


@dataclass(frozen=True)
class PaperTable(Table):
    """Systems by measures; `figures` are the means at full precision.

    Attributes:
        head: the first row.
        rows: a row for each system, the name first.
        published: rows of published figures, below a line.
        label: the name for LaTeX's cross-references.
    """

    head: Sequence[str] = ()
    rows: Sequence[Sequence[Cell]] = ()
    published: Sequence[Sequence[Cell]] = ()
    label: str = ""

    def latex(self) -> str:
        r"""Return LaTeX for the package booktabs, with the marks as superscripts and \label."""

        def set_in_latex(cell: Cell) -> str:
            text = escape_latex(cell.text)
            marks = cell.marks.replace(BETTER, r"\dagger").replace(WORSE, r"\ddagger")
            return (rf"\textbf{{{text}}}" if cell.bold else text) + (f"$^{{{marks}}}$" if marks else "")

        groups = [[[set_in_latex(cell) for cell in row] for row in rows] for rows in (self.rows, self.published)]
        # Left-aligned, so that superscripts do not move the digits out of line.
        columns = "l" * len(self.head)
        return booktabs([escape_latex(name) for name in self.head], groups, self.caption, columns, self.label)

    def markdown(self) -> str:
        """Return a Markdown table, with superscript letters and the best means in bold."""

        def set_in_markdown(cell: Cell) -> str:
            text = escape_markdown_cell(cell.text)
            return (f"**{text}**" if cell.bold else text) + raised(cell.marks)

        rows = [[set_in_markdown(cell) for cell in row] for row in (*self.rows, *self.published)]
        return markdown_rows([escape_markdown_cell(name) for name in self.head], rows)


def raised(marks: str) -> str:
    """Return letters as Unicode superscripts; daggers stay as they are."""
    return marks.translate(RAISED)


def first_measures(tidy: pd.DataFrame) -> list[str]:
    """Return one evaluated measure of each of the first families that are tested, for a table where none are chosen."""
    families: dict[str, str] = {}
    for name in dict.fromkeys(tidy["measure"]):
        if is_tested(name):
            families.setdefault(parse_measure(name).name, name)
    return list(families.values())[:FIRST_MEASURES]


def parse_labels(given: Iterable[str]) -> dict[str, str]:
    """Return system -> label from texts of the form "system=label".

    Raises:
        UserError: if a text has another form.
    """
    labels = {}
    for text in given:
        system, equals, label = text.partition("=")
        if not (system and equals and label.strip()):
            raise UserError(f"a label is given as SYSTEM=LABEL, not {text!r}")
        labels[system] = label.strip()
    return labels


def paper_table(
    values: Mapping[str, Values],
    choices: Choices,
    collection: str,
    published: Sequence[Published] = (),
    compare: Callable[[Values, Test, Correction, str], SignificantPairs] = significant_pairs,
) -> PaperTable:
    """Return the table.

    Args:
        values: measure -> system -> topic -> value.
        published: the published figures of the collection.
        compare: `significant_pairs`, or a function that keeps its results.

    Raises:
        UserError: if there is nothing to show, too many systems for letters, or the systems cannot be compared.
    """
    systems = list(choices.labels)
    if not systems or not choices.measures:
        raise UserError("a table needs at least one system and one measure")
    if choices.decimals not in DECIMALS:
        raise UserError(f"the number of decimals is {DECIMALS[0]} to {DECIMALS[-1]}, not {choices.decimals}")
    if choices.against and choices.against not in systems:
        raise UserError(f"{choices.against}, which the others are compared with, is not among the systems of the table")
    if not choices.against and len(systems) > len(LETTERS):
        raise UserError(
            f"there are letters for at most {len(LETTERS)} systems; choose fewer, or name the system to compare with"
        )
    chosen = {measure: {system: values[measure][system] for system in systems} for measure in choices.measures}
    topics = {topic for by_system in chosen.values() for by_topic in by_system.values() for topic in by_topic}
    tested = [name for name in choices.measures if is_tested(name)] if len(systems) > 1 and len(topics) > 1 else []
    pairs = {name: compare(chosen[name], choices.test, choices.correction, choices.against) for name in tested}
    letters = dict(zip(systems, LETTERS, strict=False)) if tested and not choices.against else {}
    columns = {name: _column(chosen[name], choices, letters, pairs.get(name)) for name in choices.measures}
    rows = [
        [Cell(label, letters.get(system, "")), *(column[system] for column in columns.values())]
        for system, label in choices.labels.items()
    ]
    context = [one for one in published if choices.published and any(name in one.measures for name in choices.measures)]
    below = [
        [Cell(one.system), *(_figure(one, name, choices.decimals) for name in choices.measures)] for one in context
    ]
    means = [[mean(chosen[name][system]) for name in choices.measures] for system in systems]
    figures = pd.DataFrame(
        [*means, *([one.measures.get(name) for name in choices.measures] for one in context)],
        index=pd.Index([*choices.labels.values(), *(f"published: {one.system}" for one in context)], name="system"),
        columns=list(choices.measures),
        dtype=float,
    )
    shown = [[cell.text + raised(cell.marks) for cell in row] for row in (*rows, *below)]
    readable = pd.DataFrame(shown, columns=["system", *choices.measures]).set_index("system")
    compared = 1 if choices.correction == "none" else comparisons(len(systems), choices.against)
    few = too_few_topics(len(topics), compared) if tested and choices.test == "randomisation" else ""
    return PaperTable(
        figures,
        _caption(choices, collection, len(topics), tested, context),
        readable,
        [*_undecided(pairs, choices.labels), *([few] if few else [])],
        head=["System", *choices.measures],
        rows=rows,
        published=below,
        label=f"tab:{re.sub('[^A-Za-z0-9]+', '-', collection).strip('-').lower()}",
    )


def _column(
    values: Values, choices: Choices, letters: Mapping[str, str], pairs: SignificantPairs | None
) -> dict[str, Cell]:
    """Return the cell of each system for a measure."""
    means = {system: mean(by_topic) for system, by_topic in values.items()}
    texts = {system: f"{value:.{choices.decimals}f}" for system, value in means.items()}
    best = texts[max(means, key=means.__getitem__)]  # systems whose means are printed alike are best alike
    return {
        system: Cell(
            text,
            _marks(system, pairs, letters, choices.against) if pairs else "",
            choices.bold and pairs is not None and text == best,
        )
        for system, text in texts.items()
    }


def comparisons(systems: int, against: str) -> int:
    """Return the number of comparisons for each measure."""
    return systems - 1 if against else systems * (systems - 1) // 2


def _marks(system: str, pairs: SignificantPairs, letters: Mapping[str, str], against: str) -> str:
    """Return the letters of the systems that are significantly worse, or the dagger of the only comparison."""
    if not against:
        return "".join(letter for other, letter in letters.items() if (system, other) in pairs.better)
    if (system, against) in pairs.better:
        return BETTER
    return WORSE if (against, system) in pairs.better else ""


def _figure(published: Published, measure: str, decimals: int) -> Cell:
    figure = published.measures.get(measure)
    return Cell(MISSING if figure is None else f"{figure:.{decimals}f}")


def _caption(
    choices: Choices, collection: str, topics: int, tested: Sequence[str], context: Sequence[Published]
) -> str:
    """Return the caption: collection, number of topics, marks, test, level and correction, bold, published figures."""
    said = [f"{collection}: means over {topics} topics"]
    if tested:
        count = comparisons(len(choices.labels), choices.against)
        correction = "not corrected for multiple comparisons"
        if choices.correction != "none":
            correction = f"{CORRECTIONS[choices.correction]}-adjusted over {count} comparisons for each measure"
        marks = "Superscript letters: significantly better than the systems with these letters"
        if choices.against:
            name = choices.labels[choices.against]
            marks = f"{BETTER} significantly better, {WORSE} significantly worse than {name}"
        said.append(f"{marks} ({TESTS[choices.test]}, p < {ALPHA}, {correction})")
        if untested := [name for name in choices.measures if not is_tested(name)]:
            said.append(f"Not tested: {', '.join(untested)}")
    if choices.bold and tested:
        said.append("Bold: highest mean")
    if context:
        sources = "; ".join(f"{one.system}: {one.source}" for one in context)
        said.append(f"Below the line: published figures, not part of the tests ({sources})")
    return ". ".join(said) + "."


def _undecided(pairs: Mapping[str, SignificantPairs], labels: Mapping[str, str]) -> list[str]:
    """Return a sentence for each measure with pairs that the randomisation test leaves undecided."""
    return [
        f"{measure}: significance undecided within Monte Carlo error for "
        f"{', '.join(f'{labels[a]} vs {labels[b]}' for a, b in of_measure.undecided)}."
        for measure, of_measure in pairs.items()
        if of_measure.undecided
    ]
