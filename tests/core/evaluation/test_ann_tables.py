"""The tables of the sweeps of approximate indexes, against brute force."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sweep_table import SWEEP

from core.evaluation import ann_tables
from core.evaluation.ann_tables import at_recall, crossings, frontier, growth, speed_ups
from core.workspace.errors import UserError

levels = st.sampled_from([1.0, 2.0, 3.0, 4.0, 5.0])


@pytest.mark.parametrize(("speed", "sign"), [("p50_ms", -1), ("queries_per_second", 1)])
@given(points=st.lists(st.tuples(levels, levels), min_size=1, max_size=12))
def test_the_frontier_is_every_point_that_no_other_dominates(points, speed, sign):
    """A point dominates another one (Pareto) if it is at least as good in both. Equal ones are shown once."""

    def dominated(one):
        return any(other != one and other[0] >= one[0] and sign * other[1] >= sign * one[1] for other in points)

    found = frontier(pd.DataFrame(points, columns=["recall", speed]), speed)
    expected = sorted({one for one in points if not dominated(one)}, key=lambda one: -sign * one[1])
    assert list(zip(found["recall"], found[speed], strict=True)) == expected


def test_the_frontier_is_what_nothing_beats():
    assert frontier(SWEEP)["recall"].tolist() == [0.90, 0.96, 0.99, 1.0]
    assert frontier(SWEEP.assign(p50_ms=1.0))["recall"].tolist() == [1.0]


@pytest.mark.filterwarnings("error")
def test_the_frontier_warns_of_nothing_where_all_recalls_are_whole():
    assert frontier(pd.DataFrame({"recall": [1, 0], "p50_ms": [2.0, 1.0]}))["recall"].tolist() == [0, 1]


def test_indexes_are_compared_at_the_fastest_setting_that_reaches_the_recall():
    table = at_recall(SWEEP, 0.95).set_index("index")
    assert table.loc["hnsw", "value"] == 20
    assert table.loc["hnsw", "speed_up"] == pytest.approx(2.5)
    assert table.loc["hnsw", "batch_speed_up"] == pytest.approx(3)
    assert pd.isna(table.loc["faiss-ivf", "p50_ms"]), "it does not reach it: no figure, not zero"
    assert table.loc["exact", "speed_up"] == 1


def of_sizes(**latencies: list[float]) -> pd.DataFrame:
    """Sweeps of 100 and 10,000 documents, with these median milliseconds of each index."""
    rows = [(kind, 0.95, by[place], 1.0, 100 ** (place + 1)) for kind, by in latencies.items() for place in (0, 1)]
    return pd.DataFrame(rows, columns=["index", "recall", "p50_ms", "queries_per_second", "documents"])


def test_the_crossing_lies_where_the_lines_meet():
    sweeps = of_sizes(exact=[1.0, 4.0], late=[2.0, 2.0], always=[0.5, 1.0], never=[2.0, 5.0])
    found = crossings(growth(sweeps, 0.95))
    # twice as slow at 1e2, twice as fast at 1e4: half way between their logarithms, where exact search takes 2 ms
    assert found.loc["late"].to_list() == pytest.approx([1000, 2.0])
    assert found.loc["always", "documents"] == 0
    assert found.loc["never", "documents"] == float("inf")
    assert found.loc[["always", "never"], "p50_ms"].isna().all()
    assert crossings(growth(sweeps[sweeps["documents"] == 100], 0.95)).empty, "one size says nothing of growth"


def test_an_index_that_is_faster_at_first_pays_from_where_it_stays_so():
    sweeps = of_sizes(exact=[1.0, 4.0], graph=[0.5, 2.0])
    between = pd.DataFrame([("exact", 0.95, 2.0, 1.0, 1000), ("graph", 0.95, 4.0, 1.0, 1000)], columns=sweeps.columns)
    found = crossings(growth(pd.concat([sweeps, between]), 0.95))
    assert found.loc["graph"].to_list() == pytest.approx([10**3.5, 2 * 2**0.5])


def test_speed_ups_at_each_size_and_recall_with_none_where_the_recall_is_not_reached():
    sweeps = pd.concat([SWEEP.assign(documents=100), SWEEP.assign(documents=5_000, p50_ms=[20.0, 1.0, 2.0, 4.0, 2.0])])
    table = speed_ups(sweeps)
    assert table.index.to_list() == ["hnsw", "faiss-ivf"]
    expected = [4, 2.5, 1.25, 20, 10, 5]  # 2 ms over 0.5, 0.8, 1.6; 20 ms over 1, 2, 4
    columns = [(size, recall) for size in (100, 5_000) for recall in (0.90, 0.95, 0.99)]
    assert table.loc["hnsw", columns].to_list() == pytest.approx(expected)
    assert table.loc["faiss-ivf"].isna().all()


def test_settings_equal_exact_search_within_a_margin_by_two_one_sided_t_tests():
    rows = [
        {"index": "exact", "parameter": None, "value": None, "recall": 1.0, "differences": {}},
        {"index": "hnsw", "parameter": "ef", "value": 10.0, "recall": 0.99, "differences": {"1": -0.02, "3": 0.01}},
        {"index": "hnsw", "parameter": "ef", "value": 80.0, "recall": 1.0, "differences": {}},
    ]
    topics = [str(number) for number in range(1, 9)]
    table = ann_tables.equivalence_table(pd.DataFrame(rows), topics, 0.01, "c")
    values = np.array([-0.02, 0, 0.01, 0, 0, 0, 0, 0])
    lower = stats.ttest_1samp(values, -0.01, alternative="greater").pvalue
    upper = stats.ttest_1samp(values, 0.01, alternative="less").pvalue
    assert table.figures["p, TOST"].tolist() == pytest.approx([max(lower, upper), 0])
    assert table.figures["equivalent"].tolist() == ["yes" if max(lower, upper) < 0.05 else "no", "yes"]
    with pytest.raises(UserError, match="measure it again"):
        ann_tables.equivalence_table(pd.DataFrame(rows).assign(differences=None), topics, 0.01, "c")
