"""Work over shards: in this process, and by the workers of a Ray cluster on this machine."""

import errno
import functools
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from core.retrieval.encoder import Encoder, encode_to_file, load_encoder
from core.workspace.errors import UserError
from core.workspace.executors import HERE, Executor, over_shards
from core.workspace.profile import SystemSettings
from core.workspace.progress import ProgressLog

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[3]
RAY = Executor("ray", "local", workers=2)


def doubled():
    return lambda numbers: [2 * number for number in numbers]


def test_this_process_takes_shards_one_by_one_and_opens_no_worker_for_none():
    taken = []

    def numbered():
        for key in range(3):
            taken.append(key)
            yield key, [key, key + 10]

    results = over_shards(HERE, doubled, numbered())
    assert next(results) == (0, [0, 20])
    assert taken == [0]
    assert list(results) == [(1, [2, 22]), (2, [4, 24])]
    assert list(over_shards(HERE, lambda: pytest.fail("opened"), [])) == []


def test_the_plain_install_imports_neither_ray_nor_pymilvus():
    code = (
        "import sys; sys.modules['ray'] = sys.modules['pymilvus'] = sys.modules['milvus_lite'] = None\n"
        "import core.build, core.ann, core.doc2query, core.encode, dashboard.shared.data\n"
        "import core.retrieval.systems, core.workspace.executors\n"
        "from core.indexes.registry import make_index; make_index('milvus', 'cosine'); make_index('exact', 'cosine')\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    plain = (ROOT / "requirements.txt").read_text() + (ROOT / "tests" / "requirements.txt").read_text()
    assert not [line for line in plain.splitlines() if line.startswith(("ray", "pymilvus", "milvus"))]


def test_without_ray_one_sentence_names_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match="Ray is not installed; run pip install -r requirements-scale.txt"):
        list(over_shards(RAY, doubled, [(0, [1])]))


def system(encoder, words) -> tuple[SystemSettings, list[str]]:
    texts = [" ".join(words[i % 60 : i % 60 + 1 + i % 7]) for i in range(70)]
    return SystemSettings(name="tiny", kind="dense", model=str(encoder)), texts


def test_two_workers_give_the_vectors_of_one_process(encoder, words, tmp_path, monkeypatch):
    pytest.importorskip("ray")
    monkeypatch.setattr("core.retrieval.encoder.SHARD", 16)
    settings, texts = system(encoder, words)

    class Dying(Encoder):
        """Is killed with its first shard of long texts, once: as where a machine is lost half-way."""

        def __call__(self, texts):
            mark = tmp_path / "killed"
            if len(texts[0].split()) > 3 and not mark.exists():
                mark.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return super().__call__(texts)

    load = functools.partial(load_encoder, settings, "cpu")
    with ProgressLog(tmp_path) as log:
        encode_to_file(lambda: Encoder(load, "document"), texts, str, tmp_path / "here.npy", log, "here")
        made = encode_to_file(lambda: Dying(load, "document"), texts, str, tmp_path / "ray.npy", log, "ray", RAY)
    assert (tmp_path / "killed").exists(), "a worker was lost"
    assert made["device"] == "cpu"
    here, there = np.load(tmp_path / "here.npy"), np.load(tmp_path / "ray.npy")
    assert here.shape == (70, 64)
    assert np.abs(here - there).max() < 1e-6


def test_what_goes_wrong_on_ray_is_one_sentence(tmp_path):
    pytest.importorskip("ray")

    def no_model():
        raise UserError("the model is not there")

    def full():
        def work(shard):
            raise OSError(errno.ENOSPC, "No space left on device")

        return work

    def deadly():
        return lambda shard: os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(UserError, match="^the model is not there$"):
        list(over_shards(RAY, no_model, [(0, 1), (1, 2)]))
    with pytest.raises(UserError, match="died 4 times on the same shard"):
        list(over_shards(RAY, deadly, [(0, 1)]))
    with pytest.raises(OSError) as told:
        list(over_shards(RAY, full, [(0, 1)]))
    assert told.value.errno == errno.ENOSPC, "which the artifact that is being made tells as a full disk"
    with pytest.raises(UserError, match="no Ray cluster answers at 127.0.0.1:9"):
        list(over_shards(Executor("ray", "127.0.0.1:9"), doubled, [(0, [1])]))
