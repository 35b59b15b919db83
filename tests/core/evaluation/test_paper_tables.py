"""The table for a paper: its tests against scipy and written-out corrections, its LaTeX by the rules of tabular."""

import itertools
import re
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from core.compare import main
from core.evaluation.paper_tables import Choices, PaperTable, first_measures, paper_table, parse_labels
from core.evaluation.published import Published
from core.workspace.errors import UserError

TOPICS = [f"t{i}" for i in range(10)]
HOSTILE = r"a_b & 50 % $y$ \input{/etc/passwd} #^~ <b>|x|"


def values_of(seed: int = 3) -> dict[str, dict[str, dict[str, float]]]:
    """Return two tested measures and Judged@10 of four systems over ten topics."""
    generator = np.random.default_rng(seed)
    base = generator.random(len(TOPICS))
    shifts = {"low": 0.0, "mid": 0.16, "high": 0.3, "near": 0.32}
    found: dict[str, dict[str, dict[str, float]]] = {}
    for measure in ("AP", "nDCG@10", "Judged@10"):
        columns = {name: base + shift + generator.normal(0, 0.12, len(base)) for name, shift in shifts.items()}
        found[measure] = {s: dict(zip(TOPICS, own.tolist(), strict=True)) for s, own in columns.items()}
    return found


def p_values(values: dict[str, dict[str, float]], test: str, pairs: list[tuple[str, str]]) -> list[float]:
    """Return p of each pair: by scipy's t-test, or over all sign assignments."""
    arrays = {system: np.array(list(by_topic.values())) for system, by_topic in values.items()}
    if test == "t-test":
        return [float(scipy.stats.ttest_rel(arrays[a], arrays[b]).pvalue) for a, b in pairs]
    signs = np.array(list(itertools.product([1, -1], repeat=len(TOPICS))))
    own = [arrays[a] - arrays[b] for a, b in pairs]
    return [float(np.mean(np.abs(signs @ one) >= abs(one.sum()) - 1e-9)) for one in own]


def rejected(p: list[float], correction: str) -> list[bool]:
    """Return which hypotheses are rejected at 0.05; Holm as the step-down procedure of his paper."""
    if correction == "none":
        return [one < 0.05 for one in p]
    if correction == "bonferroni":
        return [one < 0.05 / len(p) for one in p]
    order, found = sorted(range(len(p)), key=p.__getitem__), [False] * len(p)
    for step, place in enumerate(order):
        if p[place] >= 0.05 / (len(p) - step):
            break
        found[place] = True
    return found


@pytest.mark.parametrize("against", ["", "low"])
@pytest.mark.parametrize("correction", ["holm", "bonferroni", "none"])
@pytest.mark.parametrize("test", ["randomisation", "t-test"])
def test_marks_are_those_of_scipy_and_the_correction(test: str, correction: str, against: str) -> None:
    seen = set()
    for seed in range(6):
        values = values_of(seed)
        systems = list(values["AP"])
        choices = Choices({name: name.upper() for name in systems}, ["AP"], against, test, correction)
        table = paper_table(values, choices, "c")
        pairs = [pair for pair in itertools.combinations(systems, 2) if not against or against in pair]
        expected = dict.fromkeys(systems, "")
        for (a, b), significant in zip(pairs, rejected(p_values(values["AP"], test, pairs), correction), strict=True):
            better, worse = (a, b) if sum(values["AP"][a].values()) > sum(values["AP"][b].values()) else (b, a)
            if significant and not against:
                expected[better] += "abcd"[systems.index(worse)]
            elif significant:
                expected[better if worse == against else worse] = "†" if worse == against else "‡"
        found = {row[0].text.lower(): row[1].marks for row in table.rows}
        assert found == {name: "".join(sorted(marks)) for name, marks in expected.items()}
        seen.update(found.values())
    assert len(seen) > 1, "some pairs are significant and some are not"


def test_a_system_that_is_worse_than_the_one_compared_with_has_the_other_dagger() -> None:
    values = values_of()
    table = paper_table(values, Choices({"near": "N", "low": "L"}, ["AP"], "near", "t-test"), "c")
    assert [row[1].marks for row in table.rows] == ["", "‡"]
    assert "† significantly better, ‡ significantly worse than N (paired t-test, p < 0.05" in table.caption


def cells_of(line: str) -> list[str]:
    """Return the cells of a row of a tabular: split at &, unless escaped."""
    return [cell.strip() for cell in re.split(r"(?<!\\)&", line.removesuffix(r"\\"))]


def parsed(text: str) -> tuple[list[list[list[str]]], str]:
    """Return the groups of rows between the rules, and the types of the columns, of a table in LaTeX.

    The checks are those that TeX makes: environments nest, braces and dollars pair, a row has a cell for each column,
    and nothing but the markup that a table needs is a command.
    """
    bare = re.sub(r"\\[\\{}$&%#_]", "", text)
    assert bare.count("{") == bare.count("}")
    assert bare.count("$") % 2 == 0
    known = "usepackage|begin|end|centering|caption|label|toprule|midrule|bottomrule|textbf|dagger|ddagger|mathrm"
    assert not set(re.findall(r"\\([a-zA-Z]+)", text)) - set(known.split("|")) - {
        "textbackslash", "textasciicircum", "textasciitilde"
    }  # fmt: skip
    assert re.findall(r"\\(begin|end)\{(\w+)", text) == [
        ("begin", "table"), ("begin", "tabular"), ("end", "tabular"), ("end", "table")
    ]  # fmt: skip
    columns, body = re.search(r"\\begin\{tabular\}\{(\w+)\}\n\\toprule\n(.*)\n\\bottomrule\n", text, re.S).groups()
    groups = [[cells_of(line) for line in part.split("\n")] for part in body.split("\n\\midrule\n")]
    assert all(len(row) == len(columns) for group in groups for row in group)
    return groups, columns


def test_latex_is_a_booktabs_table_with_label_letters_and_best_means_in_bold() -> None:
    values = values_of()
    labels = {"high": "High", "low": HOSTILE}
    text = paper_table(values, Choices(labels, ["AP", "Judged@10"], test="t-test"), "Trec_Covid").latex()
    (head, rows), columns = parsed(text)
    assert columns == "lll"
    assert head == [["System", "AP", "Judged@10"]]
    assert rows[0][0] == "High$^{a}$"
    assert rows[1][0].endswith("$^{b}$")
    best = sum(values["AP"]["high"].values()) / 10
    assert rows[0][1] == rf"\textbf{{{best:.4f}}}$^{{b}}$"
    assert re.fullmatch(r"\d\.\d{4}", rows[0][2]), "Judged@10 is neither tested nor bold"
    assert r"\label{tab:trec-covid}" in text
    assert (
        r"a\_b \& 50 \% \$y\$ \textbackslash{}input\{/etc/passwd\} \#\textasciicircum{}\textasciitilde{} $<$b$>$"
        in text
    )
    assert "$p < 0.05$" in text, "< is another character in LaTeX's first font encoding"


def test_published_figures_are_below_a_line_and_without_tests() -> None:
    values = values_of()
    published = [Published("Other & co", "their paper", {"AP": 0.98765}), Published("no measure here", "x", {"P@5": 1})]
    choices = Choices({"high": "H", "low": "L"}, ["AP", "nDCG@10"], published=True, decimals=3)
    table = paper_table(values, choices, "c", published)
    (head, rows, below), _ = parsed(table.latex())
    assert len(rows) == 2
    assert below == [[r"Other \& co", "0.988", "--"]]
    assert "published figures, not part of the tests (Other & co: their paper)" in table.caption
    assert table.figures.loc["published: Other & co", "AP"] == 0.98765
    without = paper_table(values, Choices({"high": "H", "low": "L"}, ["AP"]), "c", published)
    assert without.rows[0][1].bold, "a higher published figure is not the best of the systems"
    assert not without.published
    assert "published" not in without.caption


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "randomisation test, p < 0.05, Holm-adjusted over 6 comparisons for each measure"),
        (
            {"test": "t-test", "correction": "bonferroni"},
            "paired t-test, p < 0.05, Bonferroni-adjusted over 6 comparis",
        ),
        ({"against": "low"}, "Holm-adjusted over 3 comparisons for each measure"),
        ({"correction": "none"}, "randomisation test, p < 0.05, not corrected for multiple comparisons"),
    ],
)
def test_the_caption_states_collection_topics_test_level_and_correction(options: dict[str, str], said: str) -> None:
    values = values_of()
    choices = Choices({name: name for name in values["AP"]}, ["AP", "Judged@10"], **options)
    caption = paper_table(values, choices, "covid").caption
    assert caption.startswith("covid: means over 10 topics. ")
    assert said in caption
    assert "Not tested: Judged@10." in caption
    assert "Bold: highest mean." in caption


def test_means_that_are_printed_alike_are_best_alike() -> None:
    values = {"AP": {"a": {"1": 0.5, "2": 0.5}, "b": {"1": 0.5, "2": 0.50001}, "c": {"1": 0.1, "2": 0.2}}}
    labels = {name: name for name in "abc"}
    bold = [row[1].bold for row in paper_table(values, Choices(labels, ["AP"]), "c").rows]
    assert bold == [True, True, False]
    assert not any(row[1].bold for row in paper_table(values, Choices(labels, ["AP"], bold=False), "c").rows)


def test_few_topics_and_a_single_system_are_said_or_left_untested() -> None:
    values = {"AP": {"a": {"1": 0.5, "2": 0.5}, "b": {"1": 0.9, "2": 0.7}}}
    two = paper_table(values, Choices({"a": "A", "b": "B"}, ["AP"]), "c")
    assert any("no difference can be significant" in sentence for sentence in two.sentences)
    alone = paper_table(values, Choices({"a": "A"}, ["AP"]), "c")
    assert alone.caption == "c: means over 2 topics."
    assert [cell.marks for cell in alone.rows[0]] == ["", ""]
    one_topic = {"AP": {system: {"1": by["1"]} for system, by in values["AP"].items()}}
    assert paper_table(one_topic, Choices({"a": "A", "b": "B"}, ["AP"]), "c").caption == "c: means over 1 topics."


def test_what_cannot_be_shown_is_said_in_a_sentence() -> None:
    values = values_of()
    many = {f"s{i}": f"s{i}" for i in range(26)}
    for choices, said in [
        (Choices({}, ["AP"]), "at least one system"),
        (Choices({"low": "L"}, ["AP"], decimals=9), "decimals is 1 to 6, not 9"),
        (Choices({"low": "L"}, ["AP"], against="high"), "not among the systems"),
        (Choices(many, ["AP"]), "letters for at most 25 systems"),
    ]:
        with pytest.raises(UserError, match=said):
            paper_table(values, choices, "c")
    with pytest.raises(UserError, match="SYSTEM=LABEL"):
        parse_labels(["bm25"])
    assert parse_labels(["bm25=BM25 = ours"]) == {"bm25": "BM25 = ours"}


def test_the_first_measures_are_of_different_families_and_tested() -> None:
    tidy = pd.DataFrame({"measure": ["nDCG@10", "Judged@10", "nDCG@20", "P@10", "AP", "RR"]})
    assert first_measures(tidy) == ["nDCG@10", "P@10", "AP"]


def test_markdown_keeps_its_columns_and_marks_the_best() -> None:
    table = paper_table(values_of(), Choices({"high": HOSTILE, "low": "L"}, ["AP"], test="t-test"), "c")
    lines = table.markdown().splitlines()
    assert all(len(re.findall(r"(?<!\\)\|", line)) == 3 for line in lines)
    assert re.search(r"\| \*\*\d\.\d{4}\*\*ᵇ \|", lines[2])


def test_the_command_prints_the_chosen_table(capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--systems", "fine-tuned,bm25", "--measures", "nDCG@10,P@5,AP", "--label", "bm25=Our BM25", "--latex"]
    main(["paper", "sample", *options, "--against", "bm25", "--decimals", "3", "--no-bold", "--test", "t-test"])
    (head, rows), _ = parsed(capsys.readouterr().out)
    assert head == [["System", "nDCG@10", "P@5", "AP"]]
    assert [row[0] for row in rows] == ["MiniLM adapted to TREC-COVID", "Our BM25"]
    assert rows[0][1] == r"0.530$^{\dagger}$"
    main(["paper", "sample", *options[:-1], "--csv"])
    figures = capsys.readouterr().out.splitlines()
    assert figures[0].strip() == "system,nDCG@10,P@5,AP"
    with pytest.raises(UserError, match="--label names dense"):
        main(["paper", "sample", "--systems", "bm25", "--label", "dense=D"])


def test_every_table_rounds_the_same_mean(capsys: pytest.CaptureFixture[str]) -> None:
    """P@20 over 48 topics is a sum of twentieths, so that its mean can lie in the middle between two roundings."""
    tidy = pd.read_csv("artifacts/sample/measures/measures.csv", keep_default_na=False)
    rows = tidy[(tidy["measure"] == "P@20") & (tidy["system"] == "bm25-doc2query")]["value"]
    exact = sum((Fraction(round(value * 20), 20) for value in rows), Fraction(0)) / len(rows)
    printed = set()
    for figure, options in [
        ("paper", ["--measures", "P@20"]),
        ("means", []),
        ("means", ["--show", "letters"]),
        ("means", ["--show", "intervals"]),
        ("table", ["--measures", "P@20"]),
        ("cost", ["--measure", "P@20"]),
    ]:
        main([figure, "sample", *options, "--csv"])
        lines = capsys.readouterr().out.splitlines()
        head = lines[0].strip().split(",")
        column = "P@20" if "P@20" in head else "mean"
        row = next(line for line in lines if line.startswith("BM25 + doc2query"))
        cell = re.match(r"[\d.]+", row.strip().split(",")[head.index(column)])[0]
        printed.add(f"{float(cell):.4f}")
    assert printed == {f"{float(exact):.4f}"}


def test_a_paper_table_is_a_table() -> None:
    table = paper_table(values_of(), Choices({"high": "H", "low": "L"}, ["AP"]), "c")
    assert isinstance(table, PaperTable)
    assert list(table.figures.columns) == ["AP"]
    assert list(table.shown.index) == ["Hᵃ", "Lᵇ"]
