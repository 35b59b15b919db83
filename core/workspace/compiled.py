"""numba's compiler, its results kept on disk where that is possible.

numba keeps compiled code in `__pycache__` beside the source, in the user's cache folder, or in NUMBA_CACHE_DIR. Where
it can write to none of them (a read-only checkout, a container user without a home, a full disk), functions are
compiled anew in every process: the first use takes some seconds, and nothing else changes.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from numba import njit

F = TypeVar("F", bound=Callable[..., Any])


def compiled(**options: Any) -> Callable[[F], F]:
    """Return a decorator like `numba.njit(cache=True, **options)` that does without the cache where there is none."""

    def decorate(function: F) -> F:
        try:
            dispatcher: F = njit(cache=True, **options)(function)
        except RuntimeError:  # "cannot cache function: no locator available"
            dispatcher = njit(**options)(function)
        for name in ("load_overload", "save_overload"):
            _without_os_errors(dispatcher, name)
        return dispatcher

    return decorate


def _without_os_errors(dispatcher: Any, name: str) -> None:
    """Let a function be used whose compiled code cannot be read or written by now (a full disk, other permissions).

    numba has no setting for this; with a version that lacks these names the error is raised as before.
    """
    cache = getattr(dispatcher, "_cache", None)
    original = getattr(cache, name, None)
    if original is None:
        return

    def guarded(*arguments: Any) -> Any:
        with suppress(OSError):
            return original(*arguments)

    setattr(cache, name, guarded)
