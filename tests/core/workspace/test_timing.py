"""How latencies are measured."""

import argparse

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_info

from core.workspace import command_line, timing
from core.workspace.artifacts import stale_reason, writing
from core.workspace.timing import MOST_QUERIES, PROCEDURE, TIMING_PROCEDURE, latency, limited_threads, repeated


def test_the_median_latency_is_not_that_of_a_burst_of_other_work():
    """Worked by hand: three queries of 1, 2 and 3 ms; all of the second round takes a second."""
    asked = []

    def seconds(query):
        asked.append(query)
        return {"encode": 0.9, "search": 0.1} if 3 < len(asked) <= 6 else {"encode": 0.0005, "search": query / 1000}

    found = latency(seconds, [1, 2, 3])
    assert found["median_milliseconds"] == 2.5
    assert found["p95_milliseconds"] == pytest.approx(3.4)
    assert found["step_milliseconds"] == {"encode": 0.5, "search": 2.0}
    assert asked == [1, 2, 3] * 3, "round by round"
    assert found["latency"] == {"threads": 1, "queries": 3, "rounds": 3, "warm_up_rounds": 1}


def test_a_system_that_takes_minutes_is_asked_one_round(monkeypatch):
    monkeypatch.setattr(timing, "MOST_SECONDS", 0.0)
    assert latency(lambda query: {"search": 0.5}, [1, 2])["latency"]["rounds"] == 1


def test_of_many_queries_some_are_asked_spread_over_all():
    asked = []
    found = latency(lambda query: asked.append(query) or {"search": 0.001}, range(1000))
    assert found["latency"]["queries"] == MOST_QUERIES == len(set(asked))
    assert np.diff(sorted(set(asked))).tolist() == [1000 // MOST_QUERIES] * (MOST_QUERIES - 1)


@pytest.mark.parametrize("threads", [1, 2])
def test_torch_and_blas_have_as_many_threads_as_are_said_and_get_theirs_back(threads):
    before = torch.get_num_threads()
    pools = [pool["num_threads"] for pool in threadpool_info()]
    seen = []

    def seconds(query):
        seen.append((torch.get_num_threads(), {pool["num_threads"] for pool in threadpool_info()}))
        return {"search": 1.0}

    assert latency(seconds, ["q"], threads)["latency"]["threads"] == threads
    assert seen == [(threads, {threads})] * 3
    assert torch.get_num_threads() == before
    assert [pool["num_threads"] for pool in threadpool_info()] == pools
    with pytest.raises(ZeroDivisionError), limited_threads(threads):
        raise ZeroDivisionError
    assert torch.get_num_threads() == before


def test_repeated_calls_leave_out_the_first_and_end_with_the_budget(monkeypatch):
    calls = iter(range(100))
    assert repeated(lambda: next(calls)) == [1, 2, 3, 4, 5]
    assert repeated(lambda: next(calls), most=3) == [7, 8]
    clock = iter(np.arange(0, 100, 0.06))
    monkeypatch.setattr(timing.time, "perf_counter", lambda: next(clock))
    assert repeated(lambda: next(calls), budget=0.15) == [10, 11], "at 0.06 and 0.12 another begins, at 0.18 none"
    assert repeated(lambda: next(calls), budget=0.01) == [12], "a slow one is called once"


@pytest.mark.parametrize("before", [{}, {PROCEDURE: TIMING_PROCEDURE - 1}])
def test_an_artifact_that_was_timed_otherwise_is_stale(before, tmp_path):
    with writing(tmp_path / "a", "search", {"depth": 10} | before, {}):
        pass
    reason = stale_reason(tmp_path / "a", {"depth": 10, PROCEDURE: TIMING_PROCEDURE}, {})
    assert reason and reason.startswith("it was measured by an older timing procedure")
    with writing(tmp_path / "a", "search", {"depth": 10, PROCEDURE: TIMING_PROCEDURE}, {}):
        pass
    assert stale_reason(tmp_path / "a", {"depth": 10, PROCEDURE: TIMING_PROCEDURE}, {}) is None


@pytest.mark.parametrize("given", ["0", "-1", "x", "1.5", "9999999", ""])
def test_a_number_of_threads_that_there_cannot_be_is_refused(given, capsys):
    parser = argparse.ArgumentParser()
    command_line.add_threads_option(parser)
    with pytest.raises(SystemExit):
        parser.parse_args(["--threads", given])
    assert "from 1 to" in capsys.readouterr().err
    assert parser.parse_args([]).threads == 1
