"""Numbers out of range, one system twice and tables with several index columns, in `python -m core.compare`."""

import pandas as pd
import pytest

from core import compare
from core.evaluation.robustness import variations
from core.evaluation.table_formats import Table, plain_text
from core.workspace.workspace import CHECKOUT, VARIABLE


@pytest.fixture(autouse=True)
def of_the_sample(monkeypatch):
    monkeypatch.setenv(VARIABLE, str(CHECKOUT / "artifacts"))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ("ann-at-recall sample --recall 2", "'2' is not a number from 0 to 1"),
        ("ann-crossings sample --recall nan", "'nan' is not a number from 0 to 1"),
        ("precision-recall sample --relevance 0", "'0' is not a whole number from 1 to 1000"),
        ("topics sample --tie -1", "'-1' is not a number of at least 0"),
        ("lists sample --topic 7 --depth 0", "'0' is not a whole number of at least 1"),
        ("judged-ranks sample --depth 1.5", "'1.5' is not a whole number of at least 1"),
        ("cost sample --price inf", "'inf' is not a number of at least 0"),
    ],
)
def test_a_number_out_of_range_is_refused_with_the_range(options, sentence, capsys):
    with pytest.raises(SystemExit) as ended:
        compare.main(options.split())
    assert ended.value.code == 2
    assert sentence in capsys.readouterr().err.splitlines()[-1]


def test_a_system_is_not_compared_with_itself(command):
    outcome = command(compare.main, "topics", "sample", "--a", "bm25", "--b", "bm25")
    assert outcome.refused_with("A and B are both bm25; choose two systems"), outcome


def test_a_table_with_several_index_columns_is_printed_with_all():
    figures = pd.DataFrame({"a": [0.0, 0.5], "b": [1.0, 0.5], "mean": [0.25, 0.75]}).set_index(["a", "b"])
    *_, header, first, second = plain_text(Table(figures, caption="weights")).splitlines()
    assert (header.split(), first.split(), second.split()) == (
        ["a", "b", "mean"],
        ["0.0", "1.0", "0.2500"],
        ["0.5", "0.5", "0.7500"],
    )


@pytest.mark.parametrize("measure", ["nDCG@10", "Judged@10", "P(rel=2)@5"])
def test_the_chosen_measure_is_the_first_variation_and_there_once(measure):
    named = [name for _, name in variations(measure, ["AP", "Judged@10", measure], 2)]
    assert named[0] == measure
    assert len(named) == len(set(named))
    assert [name for name in named[1:] if name.startswith("Judged")] == []
