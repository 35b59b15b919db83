"""Estimates: rates, calibration, sizes, and the time left under a simulated clock."""

import json
import random

import numpy as np
import pytest
import torch
from tiny_models import make_bert, make_t5
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoModel, AutoModelForSeq2SeqLM

from core.formats.documents import SAMPLED, Document, sample_lengths, write_documents
from core.workspace import estimates
from core.workspace.artifacts import MANIFEST, OWN_DIGEST, with_own_digest, writing
from core.workspace.errors import UserError
from core.workspace.estimates import (
    Cost,
    Pace,
    Rate,
    Sizes,
    Speed,
    calibrate,
    in_bytes,
    in_time,
    reached_rates,
    recorded_work,
)
from core.workspace.memory import peak_bytes, reset_peak
from core.workspace.model_shapes import BASE, KNOWN, shape_of

TEXT, PRODUCT = Rate("reading", 100.0), Rate("encoding", 1e9, "fp32")


def test_seconds_follow_the_rate_reached_before_and_else_the_calibration():
    cost = Cost(1_000, TEXT, startup=2.0)
    assert Speed().seconds(cost) == pytest.approx(12)
    assert Speed(probes={"text": 2.0}).seconds(cost) == pytest.approx(6), "twice as fast a machine"
    assert Speed({"reading": 500.0}, {}).seconds(cost) == pytest.approx(4)
    assert Speed({"reading": 500.0}).probes_for([cost, Cost(1, PRODUCT)]) == ["fp32"]


class Clock:
    """A clock that moves when work is done."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def test_a_calibration_measures_multiples_of_the_reference(monkeypatch):
    clock = Clock()

    def work():
        clock.now += 0.05
        return 10.0

    monkeypatch.setattr(estimates, "PROBES", {"text": (work, 400.0)})
    assert calibrate(["text"], clock) == {"text": pytest.approx(0.5)}, "200 units per second"


def test_a_calibration_of_this_machine_takes_about_a_second():
    speeds = calibrate(["text", "fp32"])
    assert all(0.0005 < factor < 1_000 for factor in speeds.values())


def test_the_time_left_learns_from_the_steps_of_its_kind():
    pace, clock = Pace(), Clock()
    encodings = [(Cost(1, PRODUCT), 3_600.0) for _ in range(3)]
    reading = (Cost(1, TEXT), 60.0)
    assert pace.left([reading, *encodings]) == pytest.approx(60 + 3 * 3_600)
    started = clock()
    clock.now += 7_200  # the first takes twice as long
    pace.add(*encodings[0], clock() - started)
    left = pace.left([reading, *encodings[1:]])
    assert left == pytest.approx(60 + 2 * 7_200, rel=0.01), "and so will the others; not the reading"
    pace.add(Cost(1, TEXT), 0.1, 0.5)
    assert pace.left([reading]) == pytest.approx(60, rel=0.05), "a step of half a second says little"


def test_the_time_left_falls_to_zero_as_a_build_of_wrong_estimates_goes_on():
    generator, pace, clock = random.Random(5), Pace(), Clock()
    remaining = [(Cost(1, PRODUCT), generator.uniform(10, 1_000)) for _ in range(20)]
    factor = 1.7
    end = factor * sum(seconds for _, seconds in remaining)
    while remaining:
        cost, seconds = remaining.pop(0)
        clock.now += factor * seconds
        pace.add(cost, seconds, factor * seconds)
        assert clock() + pace.left(remaining) == pytest.approx(end, rel=0.05 if clock() > 1_000 else 0.5)
    assert pace.left([]) == 0


def write_artifact(workspace, name, cost, seconds, processor="this"):
    """Write an artifact whose manifest says that it took some time on a machine."""
    artifact = workspace.collection("tiny").artifact(name)
    with writing(artifact, "bm25", {}, {}, {"work": recorded_work(cost)}):
        pass
    table = json.loads((artifact / MANIFEST).read_text())
    table |= {"seconds": seconds, "host": {"processor": processor}}
    del table[OWN_DIGEST]
    (artifact / MANIFEST).write_text(with_own_digest(table))


def test_rates_are_those_of_the_longest_step_on_this_machine(workspace, monkeypatch):
    monkeypatch.setattr(estimates, "host", lambda: {"processor": "this"})
    write_artifact(workspace, "collection", Cost(10, TEXT), 1.0)
    write_artifact(workspace, "bm25/short", Cost(1_000, TEXT, startup=1.0), 2.5)
    write_artifact(workspace, "bm25/a", Cost(1_000, TEXT, startup=1.0), 6.0)
    write_artifact(workspace, "bm25/b", Cost(9_000, TEXT, startup=1.0), 31.0)
    write_artifact(workspace, "bm25/elsewhere", Cost(1e9, TEXT), 90.0, processor="another")
    assert reached_rates(workspace) == {"reading": pytest.approx(300)}


def test_a_damaged_record_of_work_is_ignored(workspace):
    with writing(
        workspace.collection("tiny").collection, "collection", {}, {}, {"work": {"kind": "x", "units": "many"}}
    ):
        pass
    assert reached_rates(workspace) == {}


@pytest.mark.parametrize("tokens", [7, 40])
def test_operations_are_those_that_torch_counts(tokens, tmp_path, workspace):
    folder = make_bert(tmp_path / "bert")
    model = AutoModel.from_pretrained(folder, attn_implementation="eager")
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        model(input_ids=torch.ones(1, tokens, dtype=torch.long))
    shape = shape_of(workspace, str(folder))
    pooler = 2 * shape.width**2
    assert float(shape.encoding(np.array(tokens))) == pytest.approx(counter.get_total_flops() - pooler, rel=0.01)
    assert shape.limit == model.config.max_position_embeddings


def test_shapes_of_known_models_and_of_a_t5(tmp_path, workspace):
    millions = {name: shape.parameters / 1e6 for name, shape in KNOWN.items()}
    published = {"all-MiniLM-L6-v2": 22.7, "all-MiniLM-L12-v2": 33.4, "all-mpnet-base-v2": 109}
    assert {name: millions[name] for name in published} == pytest.approx(published, rel=0.06)
    assert shape_of(workspace, "none/unknown") == BASE
    assert shape_of(workspace, "artifacts/models/mine", base="x/MiniLM-L12-H384-uncased").layers == 12
    folder = make_t5(tmp_path / "t5")
    model = AutoModelForSeq2SeqLM.from_pretrained(folder)
    shape = shape_of(workspace, str(folder))
    assert (shape.decoder_layers, shape.width, shape.layers) == (1, model.config.d_model, model.config.num_layers)
    (folder / "config.json").write_text("{}")
    assert shape_of(workspace, str(folder)) == BASE


@pytest.mark.parametrize("count", [3, 12 * SAMPLED])
def test_a_sample_of_lengths_is_as_the_whole(count, tmp_path):
    generator = random.Random(3)
    texts = ["x" * generator.randint(0, 2_000) for _ in range(count)]
    documents = [Document(f"d{n}", "of it", text) for n, text in enumerate(texts)]
    path = tmp_path / "corpus.jsonl"
    write_documents(path, documents)
    lengths, mean = sample_lengths(path)
    assert np.mean(lengths) == pytest.approx(np.mean([len(d.full_text) for d in documents]), rel=0.08)
    assert mean == pytest.approx(path.stat().st_size / count, rel=0.08)
    assert len(lengths) <= SAMPLED


def test_what_is_no_corpus_has_no_lengths(tmp_path):
    (tmp_path / "a.jsonl").write_text("")
    (tmp_path / "b.jsonl").write_text(json.dumps(["no object"]) + "\n")
    for name in ("a", "b"):
        with pytest.raises(UserError):
            sample_lengths(tmp_path / f"{name}.jsonl")


def test_tokens_are_cut_at_the_limit():
    sizes = Sizes(10, 1, (490, 4_900), 1)
    assert sizes.total(lambda tokens: tokens, 10_000) == pytest.approx(5 * (102 + 1_002))
    assert sizes.total(lambda tokens: tokens, 200) == pytest.approx(5 * (102 + 200))
    assert sizes.characters == 10 * 2_695


def test_the_peak_is_of_what_came_after_the_reset():
    if not reset_peak():
        pytest.skip("the operating system does not support it")
    before = peak_bytes()
    block = np.ones(60_000_000, dtype=np.uint8)
    assert peak_bytes() - before > 50_000_000
    del block
    reset_peak()
    assert peak_bytes() - before < 50_000_000


def test_times_and_sizes_in_words():
    assert [in_time(s) for s in (0, 0.44, 9.96, 48, 59.6, 725, 3_600, 12_000)] == [
        *("0.0 s", "0.4 s", "10 s", "48 s", "1 min", "12 min", "1 h", "3 h 20 min")
    ]
    assert [in_bytes(b) for b in (0, 12, 2_900, 1.42e8, 2.44e9, 4.1e10)] == [
        *("0 kB", "1 kB", "3 kB", "142 MB", "2.4 GB", "41 GB")
    ]
