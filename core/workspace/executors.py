"""Executors run the shards of a stage: in this process, or on the workers of a Ray cluster (Moritz et al., 2018).

The stage's own process reads the shards and writes the results with either, so that an interrupted run can resume on
the other. A worker loads one model. If one is lost, Ray starts another and repeats its shard.

Every machine of a cluster has this project, with requirements-scale.txt, at the same path.

The command-line option and the fact in manifests that name the executor are called "engine".
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
"""Times that a shard is done again where its worker is lost, before it is given up."""


IN_FLIGHT = 2
"""Shards that a worker is given at a time: while one is worked on, the next is there."""


SECONDS = 5.0
"""How long a cluster's address may take to answer."""


STORE_BYTES = 2**28
"""Of a cluster on this machine, for shards on their way."""


@dataclass(frozen=True)
class Executor:
    """What runs shards.

    Attributes:
        name: "here" for this process, "ray" for a Ray cluster.
        address: of the cluster; "" for the one that RAY_ADDRESS names, or one started on this machine.
        workers: number of workers; 0 for one per GPU of the cluster, or per CPU if it has no GPU.
    """

    name: Literal["here", "ray"] = "here"
    address: str = ""
    workers: int = 0

    def device(self, wanted: str) -> str:
        """Return the device of the workers' models: "cuda", "mps" or "cpu"."""
        if self.name == "here":
            return models.pick_device(wanted)
        return "cuda" if wanted in ("auto", "cuda") and _connected(self).cluster_resources().get("GPU") else "cpu"


HERE = Executor()


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add --engine, --address and --workers."""
    parser.add_argument("--engine", choices=("here", "ray"), default="here", help="this process (default), or Ray")
    parser.add_argument("--address", default="", help="a Ray cluster's (default: RAY_ADDRESS, or one on this machine)")
    parser.add_argument("--workers", type=int, default=0, help="of Ray (default: one a GPU, or a CPU without)")


def chosen(options: argparse.Namespace) -> Executor:
    """Return the executor that the options name."""
    return Executor(options.engine, options.address, options.workers)


def over_shards(
    executor: Executor,
    open_worker: Callable[[], Callable[[S], R]],
    shards: Iterable[tuple[K, S]],
    on_gpu: bool = True,
) -> Iterator[tuple[K, R]]:
    """Yield (key, result) of every (key, shard), in the order in which they are finished.

    Shards are taken one after the other as workers become free. Without any, no worker is opened.

    Args:
        open_worker: makes what works on a shard (loads a model); called once in each worker.
        on_gpu: each worker has a GPU to itself, where the cluster has any.

    Raises:
        UserError: of the worker itself; also where Ray is not installed or not reached, or a shard's worker was lost
            again and again.
        OSError: of the worker itself, such as one whose disk is full.
    """
    if executor.name == "ray":
        yield from _on_ray(executor, open_worker, shards, on_gpu)
        return
    work = None
    for key, shard in shards:
        work = work or open_worker()
        yield key, work(shard)


class _Worker:
    """What stands in a process of Ray; the model is loaded with the first shard, so that its errors are the shard's."""

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
                f"a worker of Ray was lost {RETRIES + 1} times over one shard (out of memory?); what is finished is "
                "kept: the same command goes on, with fewer --workers on a machine"
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
        raise UserError("Ray is not installed; pip install -r requirements-scale.txt") from None
    if ray.is_initialized():
        return ray
    address = executor.address or os.environ.get("RAY_ADDRESS") or "local"
    passed_on = {
        name: os.environ[name] for name in (models.MODELS_VARIABLE, "RANKSCOPE_ARTIFACTS") if name in os.environ
    }
    environment = {"env_vars": passed_on | {"PYTHONPATH": str(CHECKOUT)}}
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray reports to its makers unless it is told not to
    own = {"include_dashboard": False, "object_store_memory": STORE_BYTES} if address == "local" else {}
    try:
        if server := re.fullmatch(r"(?:ray://)?(.+):(\d+)", address):  # Ray itself tries for minutes
            socket.create_connection((server[1], int(server[2])), SECONDS).close()
        ray.init(address=address, runtime_env=environment, log_to_driver=False, logging_level="ERROR", **own)
    except Exception as error:  # Ray raises a dozen kinds, a bare Exception among them
        what = "Ray does not start on this machine" if address == "local" else f"no Ray cluster is reached at {address}"
        raise UserError(f"{what} ({type(error).__name__}); see that it runs, or leave out --engine") from None
    return ray
