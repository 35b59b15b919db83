"""Compile functions with numba, and cache the machine code on disk where that is possible.

numba stores compiled code in `__pycache__` next to the source, in the user's cache folder, or in NUMBA_CACHE_DIR. If
it cannot write to any of them (a read-only checkout, a container user without a home directory, a full disk), functions
are compiled in every process: the first call takes a few seconds, and nothing else changes.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from numba import njit

from core.workspace.library_internals import ignore_numba_cache_errors

F = TypeVar("F", bound=Callable[..., Any])


def compiled(**options: Any) -> Callable[[F], F]:
    """Return a decorator like `numba.njit(cache=True, **options)` that works without a cache, too."""

    def decorate(function: F) -> F:
        try:
            dispatcher: F = njit(cache=True, **options)(function)
        except RuntimeError:  # "cannot cache function: no locator available"
            dispatcher = njit(**options)(function)
        return dispatcher if ignore_numba_cache_errors(dispatcher) else njit(**options)(function)

    return decorate
