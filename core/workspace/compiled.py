"""numba's compiler, its results kept on disk where that is possible.

numba keeps compiled code in `__pycache__` beside the source, in the user's cache folder, or in NUMBA_CACHE_DIR. Where
it can write to none of them (a read-only checkout, a container user without a home, a full disk), functions are
compiled anew in every process: the first use takes some seconds, and nothing else changes.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from numba import njit

from core.workspace.library_internals import ignore_numba_cache_errors

F = TypeVar("F", bound=Callable[..., Any])


def compiled(**options: Any) -> Callable[[F], F]:
    """Return a decorator like `numba.njit(cache=True, **options)` that does without the cache where there is none."""

    def decorate(function: F) -> F:
        try:
            dispatcher: F = njit(cache=True, **options)(function)
        except RuntimeError:  # "cannot cache function: no locator available"
            dispatcher = njit(**options)(function)
        return dispatcher if ignore_numba_cache_errors(dispatcher) else njit(**options)(function)

    return decorate
