"""Min-heaps in arrays of keys and of identities, for compiled code."""

import numpy as np

from core.workspace.compiled import compiled


@compiled()
def push(keys: np.ndarray, ids: np.ndarray, size: int, key: float, identity: int) -> int:
    """Add an entry to a min-heap of `size` entries; return the new size."""
    place = size
    while place > 0:
        parent = (place - 1) >> 1
        if keys[parent] <= key:
            break
        keys[place], ids[place] = keys[parent], ids[parent]
        place = parent
    keys[place], ids[place] = key, identity
    return size + 1


@compiled()
def pop(keys: np.ndarray, ids: np.ndarray, size: int) -> int:
    """Remove the top entry of a min-heap, which the caller has read; return the new size."""
    size -= 1
    key, identity = keys[size], ids[size]
    place = 0
    while True:
        child = 2 * place + 1
        if child >= size:
            break
        if child + 1 < size and keys[child + 1] < keys[child]:
            child += 1
        if keys[child] >= key:
            break
        keys[place], ids[place] = keys[child], ids[child]
        place = child
    keys[place], ids[place] = key, identity
    return size
