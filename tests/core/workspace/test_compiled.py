"""Compiled functions where numba can keep nothing on disk, each case in a process of its own."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from core.indexes.exact import ExactIndex

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = """
import sys
case, checkout = sys.argv[1:]
if case == "full":  # every write of a byte fails, empty files are made: what a full disk does
    import resource, signal
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
sys.path.insert(0, checkout)
import numpy as np
import core, core.indexes.exact, core.indexes.hnsw, core.retrieval.bm25
from core.indexes.exact import ExactIndex
from numba import njit
assert core.__file__.startswith(checkout)
try:
    njit(cache=True)(core.indexes.exact._keep_best.py_func)
    print("cache")
except RuntimeError:
    print("no cache")
index = ExactIndex("dot")
index.build(np.arange(12, dtype=np.float32).reshape(6, 2))
print(index.search(np.ones((1, 2), dtype=np.float32), 3)[0].tolist())
total = np.zeros(3, dtype=np.float32)
core.retrieval.postings._add_postings(
    *(np.array([1, 2], dtype=np.float32), np.array([0, 2]), np.array([0, 2])),
    *(np.array([0], dtype=np.int64), np.ones(1, dtype=np.float32), total),
)
print(total.tolist())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="users and limits of POSIX")
@pytest.mark.parametrize(("case", "cached"), [("no folder", "no cache"), ("read-only", "no cache"), ("full", "cache")])
def test_results_do_not_need_a_cache(case, cached, tmp_path):
    checkout = tmp_path / "checkout"
    shutil.copytree(ROOT / "core", checkout / "core", ignore=shutil.ignore_patterns("__pycache__"))
    environment = {k: v for k, v in os.environ.items() if k not in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME")}
    (tmp_path / "file").write_text("")  # below a plain file no folder can be made, by root neither
    environment |= {"HOME": str(tmp_path / "file"), "PYTHONDONTWRITEBYTECODE": "1"}
    if case == "no folder":
        for package in ("indexes", "retrieval"):
            (checkout / "core" / package / "__pycache__").write_text("")
        environment |= {"NUMBA_CACHE_DIR": str(tmp_path / "file" / "cache")}
    command = [sys.executable, "-c", SCRIPT, case, str(checkout)]
    if case == "read-only":  # a container's user: no home, and a checkout that may only be read
        folders = [checkout / "core", *(path for path in (checkout / "core").rglob("*") if path.is_dir())]
        for folder in folders:
            folder.chmod(0o555)
        if os.geteuid() == 0:
            if not shutil.which("setpriv"):
                pytest.skip("root writes everywhere, and setpriv is not here to take that away")
            for folder in folders:
                os.chown(folder, 65534, 65534)
            command = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", *command]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment, cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines() == [cached, "[[5, 4, 3]]", "[1.0, 0.0, 2.0]"]


def test_with_a_cache_the_compiled_code_is_kept(tmp_path):
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    script = "import numpy as np; from core.indexes.exact import ExactIndex as E; e = E('dot')"
    script += "; e.build(np.ones((2, 2), 'f4')); e.search(np.ones((1, 2), 'f4'), 1)"
    subprocess.run([sys.executable, "-c", script], check=True, env=environment, timeout=120)
    assert list(tmp_path.rglob("exact._keep_best*.nbi"))


def test_the_compiled_merge_ranks_as_numpy_does():
    vectors = np.random.default_rng(1).standard_normal((50, 4)).astype(np.float32)
    index = ExactIndex("dot")
    index.build(vectors)
    assert index.search(vectors[:3], 5)[0].tolist() == np.argsort(-(vectors[:3] @ vectors.T), axis=1)[:, :5].tolist()
