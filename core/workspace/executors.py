"""Executors run the shards of a stage: in this process, or on the workers of a Ray cluster (Moritz et al., 2018).

In both cases the stage's own process reads the shards and writes the results, so that an interrupted run can resume
with the other executor. Each worker loads one model. If a worker dies, Ray starts another and its shard is retried.

The project and requirements-scale.txt must be installed at the same path on every machine of a cluster.

The executor is called "engine" in the command-line option and in the facts of manifests.
"""

import argparse
import os
import re
import socket
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from core.workspace import models
from core.workspace.errors import UserError
from core.workspace.workspace import CHECKOUT

K = TypeVar("K")


S = TypeVar("S")


R = TypeVar("R")


RETRIES = 3
"""Number of retries of a shard whose worker died."""


IN_FLIGHT = 2
"""Number of shards assigned to a worker at a time, so that the next one is ready when one is finished."""


SECONDS = 5.0
"""Connection timeout of a cluster's address in seconds."""


STORE_BYTES = 2**28
"""Size of the object store of a local Ray cluster, which holds shards in transit."""


@dataclass(frozen=True)
class Executor:
    """What runs shards.

    Attributes:
        name: "here" for this process, "ray" for a Ray cluster.
        address: address of the cluster; "" for the one that RAY_ADDRESS names, or one started on this machine.
        workers: number of workers; 0 for one per GPU of the cluster, or per CPU if it has no GPU.
    """

    name: Literal["here", "ray"] = "here"
    address: str = ""
    workers: int = 0

    def device(self, wanted: str) -> str:
        """Return the device that workers load models on: "cuda", "mps" or "cpu"."""
        if self.name == "here":
            return models.pick_device(wanted)
        return "cuda" if wanted in ("auto", "cuda") and _connected(self).cluster_resources().get("GPU") else "cpu"


HERE = Executor()


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add --engine, --address and --workers."""
    parser.add_argument("--engine", choices=("here", "ray"), default="here", help="this process (default), or Ray")
    parser.add_argument("--address", default="", help="Ray cluster (default: RAY_ADDRESS, or a local one)")
    parser.add_argument("--workers", type=int, default=0, help="Ray workers (default: one per GPU, or per CPU)")


def chosen(options: argparse.Namespace) -> Executor:
    """Return the executor that the options select."""
    return Executor(options.engine, options.address, options.workers)


def over_shards(
    executor: Executor,
    open_worker: Callable[[], Callable[[S], R]],
    shards: Iterable[tuple[K, S]],
    on_gpu: bool = True,
) -> Iterator[tuple[K, R]]:
    """Yield (key, result) for every (key, shard), in the order in which they finish.

    Shards are read one by one as workers become free. If there are none, no worker is opened.

    Args:
        open_worker: returns the function that processes a shard (and loads its model); called once in each worker.
        on_gpu: whether each worker gets a GPU of its own, if the cluster has any.

    Raises:
        UserError: if a worker raises it, Ray is not installed or not reachable, or a shard's workers keep dying.
        OSError: if a worker raises it, for example because its disk is full.
    """
    if executor.name == "ray":
        yield from _on_ray(executor, open_worker, shards, on_gpu)
        return
    work = None
    for key, shard in shards:
        work = work or open_worker()
        yield key, work(shard)


class _Worker:
    """A Ray actor; it loads the model with the first shard, so that loading errors are raised as the shard's."""

    def __init__(self, open_worker: Callable[[], Callable[[Any], Any]]):
        self._open = open_worker
        self._work: Callable[[Any], Any] | None = None

    def do(self, key: Any, shard: Any) -> tuple[Any, Any]:
        self._work = self._work or self._open()
        return key, self._work(shard)


def _on_ray(
    executor: Executor, open_worker: Callable[[], Callable[[S], R]], shards: Iterable[tuple[K, S]], on_gpu: bool
) -> Iterator[tuple[K, R]]:
    ray = _connected(executor)
    from ray.util import ActorPool

    resources = ray.cluster_resources()
    gpus = int(resources.get("GPU", 0)) if on_gpu else 0
    workers = executor.workers or gpus or max(1, int(resources.get("CPU", 1)))
    actor = ray.remote(_Worker).options(
        num_cpus=1, num_gpus=1 if gpus else 0, max_restarts=-1, max_task_retries=RETRIES
    )
    pool = ActorPool([actor.remote(open_worker) for _ in range(workers)] * IN_FLIGHT)

    def finished() -> tuple[K, R]:
        try:
            result: tuple[K, R] = pool.get_next_unordered()
        except ray.exceptions.RayTaskError as error:
            raise (error.cause if isinstance(error.cause, UserError | OSError) else error) from None
        except ray.exceptions.RayActorError:
            raise UserError(
                f"Ray workers died {RETRIES + 1} times on the same shard (out of memory?); finished shards are kept: "
                "run the same command again to resume, with fewer --workers"
            ) from None
        return result

    try:
        for key, shard in shards:
            if not pool.has_free():
                yield finished()
            pool.submit(lambda worker, task: worker.do.remote(*task), (key, shard))
        while pool.has_next():
            yield finished()
    finally:
        ray.shutdown()


def _connected(executor: Executor) -> Any:
    """Return the module ray, connected to the executor's cluster."""
    try:
        import ray
    except ImportError:
        raise UserError("Ray is not installed; run pip install -r requirements-scale.txt") from None
    if ray.is_initialized():
        return ray
    address = executor.address or os.environ.get("RAY_ADDRESS") or "local"
    passed_on = {
        name: os.environ[name] for name in (models.MODELS_VARIABLE, "RANKSCOPE_ARTIFACTS") if name in os.environ
    }
    environment = {"env_vars": passed_on | {"PYTHONPATH": str(CHECKOUT)}}
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray sends usage statistics by default
    local = {"include_dashboard": False, "object_store_memory": STORE_BYTES} if address == "local" else {}
    try:
        if server := re.fullmatch(r"(?:ray://)?(.+):(\d+)", address):  # Ray itself retries for minutes
            socket.create_connection((server[1], int(server[2])), SECONDS).close()
        ray.init(address=address, runtime_env=environment, log_to_driver=False, logging_level="ERROR", **local)
    except Exception as error:  # Ray raises a dozen types, including a bare Exception
        what = "Ray does not start on this machine" if address == "local" else f"no Ray cluster answers at {address}"
        raise UserError(f"{what} ({type(error).__name__}); check that it is running, or omit --engine") from None
    return ray
