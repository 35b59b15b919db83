"""The tables of the sweeps of approximate indexes, against brute force."""

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.evaluation.ann_tables import frontier

levels = st.sampled_from([1.0, 2.0, 3.0, 4.0, 5.0])


@pytest.mark.parametrize(("speed", "sign"), [("p50_ms", -1), ("queries_per_second", 1)])
@given(points=st.lists(st.tuples(levels, levels), min_size=1, max_size=12))
def test_the_frontier_is_every_point_that_no_other_dominates(points, speed, sign):
    """A point dominates another one (Pareto) if it is at least as good in both. Equal ones are shown once."""

    def dominated(one):
        return any(other != one and other[0] >= one[0] and sign * other[1] >= sign * one[1] for other in points)

    found = frontier(pd.DataFrame(points, columns=["recall@10", speed]), speed)
    expected = sorted({one for one in points if not dominated(one)}, key=lambda one: -sign * one[1])
    assert list(zip(found["recall@10"], found[speed], strict=True)) == expected
