"""RankScope's implementation of HNSW (Malkov & Yashunin, 2018, arXiv 1603.09320) in numba.

Each node's highest layer is drawn at random, so that a layer holds about 1/M of the nodes of the one below; in each of
its layers the node is linked to near nodes. A search descends the layers greedily to a node near the query and then
explores the bottom layer from there, keeping the `ef` best candidates.

Similarity is the inner product of vectors of equal norm (see `core.indexes.base.equal_norm_vectors`), so that
neighbours of near nodes are near as well.

Equal vectors share one node. Otherwise, if a text had more copies than a node has links, its copies would be linked
only to one another and be cut off from the rest of the graph.

Compiled code is cached on disk (see `core.workspace.compiled`), so that only the first use on a machine compiles.
"""

import math
import threading
import zipfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from core.indexes.base import empty_results, equal_norm_queries, equal_norm_vectors, search_values
from core.indexes.distinct import group_equal_rows
from core.indexes.heaps import pop, push
from core.workspace.compiled import compiled
from core.workspace.errors import UserError
from core.workspace.timing import allowed_threads

BATCH = 50
"""The graph has at least so many times the nodes of a batch, which do not see each other when they are inserted."""


MOST_THREADS = 16
"""Maximum number of threads of a build; each has a scratch of 16 bytes per node."""


class Graph(NamedTuple):
    """The nodes and their links.

    A node has one slot per layer: its own number in the bottom layer, `upper[node] + layer - 1` in a layer above. A
    slot has room for 2M links in the bottom layer and for M above, as the paper advises (section 4.1).

    Attributes:
        vectors: float32 [n, dimension], all of equal norm, no two equal.
        layers: the highest layer of each node, int32 [n].
        upper: the slot of each node in layer 1, int32 [n]; undefined if its highest layer is 0.
        links: the neighbours in every slot, int32 [2M n + M (number of upper slots)].
        counts: the number of neighbours in each slot, int32 [number of slots].
        connections: M.
    """

    vectors: np.ndarray
    layers: np.ndarray
    upper: np.ndarray
    links: np.ndarray
    counts: np.ndarray
    connections: int


class Scratch(NamedTuple):
    """Buffers reused from one search to the next.

    Attributes:
        visited: the stamp of the last search that visited each node, int64 [n], so that it need not be cleared.
        keys, ids: the heap of candidates, float32 and int32 [n + 1].
    """

    visited: np.ndarray
    keys: np.ndarray
    ids: np.ndarray


@compiled()
def _slot(graph: Graph, node: int, layer: int) -> int:
    return node if layer == 0 else graph.upper[node] + layer - 1


@compiled()
def _start(graph: Graph, slot: int) -> int:
    """Return the position of a slot's first link in `graph.links`."""
    nodes = len(graph.vectors)
    return (2 * slot if slot < nodes else nodes + slot) * graph.connections


@compiled(fastmath=True)
def _similarity(a: np.ndarray, b: np.ndarray) -> float:
    total = np.float32(0.0)
    for i in range(a.shape[0]):
        total += a[i] * b[i]
    return float(total)


@compiled()
def _greedy(graph: Graph, query: np.ndarray, node: int, layer: int) -> int:
    """Move to a nearer neighbour of the query until there is none (algorithm 2 with ef = 1); return the node."""
    best = _similarity(graph.vectors[node], query)
    moved = True
    while moved:
        moved = False
        slot = _slot(graph, node, layer)
        start = _start(graph, slot)
        for i in range(start, start + graph.counts[slot]):
            similarity = _similarity(graph.vectors[graph.links[i]], query)
            if similarity > best:
                best, node, moved = similarity, graph.links[i], True
    return node


@compiled()
def _search_layer(
    graph: Graph, query: np.ndarray, near: int, far: int, ef: int, layer: int, scratch: Scratch, stamp: int
) -> tuple[np.ndarray, np.ndarray]:
    """Find the ef nearest nodes of a layer to the query, starting from two nodes (algorithm 2: SEARCH-LAYER).

    Returns their similarities, float32, and positions, int32, as a heap with the worst at the top.
    """
    visited, keys, ids = scratch
    found, nearest = np.empty(ef, np.float32), np.empty(ef, np.int32)
    candidates = size = 0
    for node in (near, far):
        if visited[node] != stamp:
            visited[node] = stamp
            similarity = _similarity(graph.vectors[node], query)
            candidates = push(keys, ids, candidates, -similarity, node)
            if size < ef:
                size = push(found, nearest, size, similarity, node)
            elif similarity > found[0]:
                size = push(found, nearest, pop(found, nearest, size), similarity, node)
    while candidates > 0:
        best, node = -keys[0], ids[0]
        if size == ef and best < found[0]:
            break
        candidates = pop(keys, ids, candidates)
        slot = _slot(graph, node, layer)
        start = _start(graph, slot)
        for i in range(start, start + graph.counts[slot]):
            neighbour = graph.links[i]
            if visited[neighbour] == stamp:
                continue
            visited[neighbour] = stamp
            similarity = _similarity(graph.vectors[neighbour], query)
            if size < ef:
                size = push(found, nearest, size, similarity, neighbour)
            elif similarity > found[0]:
                size = push(found, nearest, pop(found, nearest, size), similarity, neighbour)
            else:
                continue
            candidates = push(keys, ids, candidates, -similarity, neighbour)
    return found[:size], nearest[:size]


@compiled()
def _select(graph: Graph, similarities: np.ndarray, candidates: np.ndarray, limit: int) -> np.ndarray:
    """Select a node's neighbours among candidates (algorithm 4: SELECT-NEIGHBORS-HEURISTIC).

    Candidates are taken from the nearest on; one is skipped if it is nearer to a neighbour already kept than to the
    node. Links thus spread over directions and also lead out of clusters.
    """
    order = np.argsort(-similarities)
    if len(order) <= limit:
        return candidates[order]
    kept = np.empty(limit, np.int32)
    count = 0
    for place in order:
        candidate, similarity = candidates[place], similarities[place]
        keep = True
        for i in range(count):
            if _similarity(graph.vectors[candidate], graph.vectors[kept[i]]) > similarity:
                keep = False
                break
        if keep:
            kept[count] = candidate
            count += 1
            if count == limit:
                break
    return kept[:count]


@compiled(nogil=True)
def _find_neighbours(graph: Graph, entry: int, ef: int, nodes: np.ndarray, scratch: Scratch, stamp: int) -> int:
    """Link new nodes to their neighbours (algorithm 1, INSERT, lines 5 to 10); return the last stamp used.

    No link leads to the new nodes yet, so that several threads may find the neighbours of some each.
    """
    for node in nodes:
        query, top, near = graph.vectors[node], graph.layers[entry], entry
        for layer in range(top, graph.layers[node], -1):
            near = _greedy(graph, query, near, layer)
        for layer in range(min(top, graph.layers[node]), -1, -1):
            stamp += 1
            similarities, candidates = _search_layer(graph, query, near, near, ef, layer, scratch, stamp)
            chosen = _select(graph, similarities, candidates, graph.connections)
            slot = _slot(graph, node, layer)
            start = _start(graph, slot)
            graph.links[start : start + len(chosen)] = chosen
            graph.counts[slot] = len(chosen)
            near = chosen[0]
    return stamp


@compiled()
def _links_back(graph: Graph, begin: int, end: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the links from the neighbours of new nodes to these: slots, nodes whose slots they are, and new nodes.

    They are ordered by slot, and for one slot by new node; all int32 [number of links].
    """
    total = 0
    for node in range(begin, end):
        for layer in range(graph.layers[node] + 1):
            total += graph.counts[_slot(graph, node, layer)]
    slots, owners, new = np.empty(total, np.int32), np.empty(total, np.int32), np.empty(total, np.int32)
    count = 0
    for node in range(begin, end):
        for layer in range(graph.layers[node] + 1):
            slot = _slot(graph, node, layer)
            start = _start(graph, slot)
            for i in range(start, start + graph.counts[slot]):
                neighbour = graph.links[i]
                slots[count], owners[count], new[count] = _slot(graph, neighbour, layer), neighbour, node
                count += 1
    order = np.argsort(slots, kind="mergesort")
    return slots[order], owners[order], new[order]


@compiled(nogil=True)
def _link_back(graph: Graph, slots: np.ndarray, owners: np.ndarray, new: np.ndarray, begin: int, end: int) -> None:
    """Add links `begin` to `end`; a slot that would be overfull reselects among old and new (lines 11 to 16)."""
    while begin < end:
        slot, node, last = slots[begin], owners[begin], begin + 1
        while last < end and slots[last] == slot:
            last += 1
        room = graph.connections * (2 if slot < len(graph.vectors) else 1)
        start, count = _start(graph, slot), graph.counts[slot]
        candidates = np.concatenate((graph.links[start : start + count], new[begin:last]))
        if len(candidates) > room:
            similarities = np.empty(len(candidates), np.float32)
            for i in range(len(candidates)):
                similarities[i] = _similarity(graph.vectors[candidates[i]], graph.vectors[node])
            candidates = _select(graph, similarities, candidates, room)
        graph.links[start : start + len(candidates)] = candidates
        graph.counts[slot] = len(candidates)
        begin = last


def _build(graph: Graph, ef: int, scratches: Sequence[Scratch]) -> int:
    """Insert all nodes in order; return the entry point, a node of the highest layer.

    They are inserted in batches that grow with the graph, as in ParlayANN (Manohar et al., 2024, arXiv 2305.04359): all
    nodes of a batch find their neighbours among those inserted before, and then these link back. Each thread, one per
    scratch, has a part of either; the graph does not depend on their number.
    """
    threads = len(scratches)
    entry, begin, stamps = 0, 1, [0] * threads
    with ThreadPoolExecutor(threads) as pool:
        while begin < len(graph.vectors):
            end = min(begin + max(1, begin // BATCH), len(graph.vectors))
            higher = np.flatnonzero(graph.layers[begin:end] > graph.layers[entry])
            if len(higher):
                end = begin + int(higher[0]) + 1  # the next batch begins its search at this node
            parts = [np.arange(begin + thread, end, threads) for thread in range(threads)]
            find = partial(_find_neighbours, graph, entry, ef)
            stamps = list(pool.map(find, parts, scratches, stamps))
            links = _links_back(graph, begin, end)
            bounds = _bounds(links[0], threads)
            list(pool.map(partial(_link_back, graph, *links), bounds, bounds[1:]))
            entry, begin = end - 1 if len(higher) else entry, end
    return entry


def _bounds(slots: np.ndarray, parts: int) -> list[int]:
    """Return where parts of about equal size begin, and the end of the last; no slot is in two parts."""
    inner = np.searchsorted(slots, [slots[len(slots) * part // parts] for part in range(1, parts)])
    return [0, *inner.tolist(), len(slots)]


@compiled()
def _reach(graph: Graph, node: int, reached: np.ndarray, stack: np.ndarray) -> None:
    """Mark all nodes reachable from a node through links of the bottom layer."""
    stack[0], size = node, 1
    reached[node] = True
    while size > 0:
        size -= 1
        node = stack[size]
        start = _start(graph, node)
        for neighbour in graph.links[start : start + graph.counts[node]]:
            if not reached[neighbour]:
                reached[neighbour] = True
                stack[size] = neighbour
                size += 1


@compiled()
def _connect(graph: Graph, entry: int) -> None:
    """Link every node that is unreachable from the entry point to the nearest reachable node with a free link.

    In the paper's algorithm a node can become unreachable when its neighbours reselect their links. With all nodes
    reachable, a search with ef = n visits every node and is exact.
    """
    nodes, room = len(graph.vectors), 2 * graph.connections
    reached, stack = np.zeros(nodes, np.bool_), np.empty(nodes, np.int32)
    _reach(graph, entry, reached, stack)
    for lost in range(nodes):
        if reached[lost]:
            continue
        best, host = -np.inf, -1
        for node in range(nodes):
            if reached[node] and graph.counts[node] < room:
                similarity = _similarity(graph.vectors[node], graph.vectors[lost])
                if similarity > best:
                    best, host = similarity, node
        if host < 0:  # no free link anywhere: replace the entry point's farthest link
            host = entry
            graph.counts[host] -= 1
        graph.links[_start(graph, host) + graph.counts[host]] = lost
        graph.counts[host] += 1
        _reach(graph, lost, reached, stack)


@compiled()
def _search(
    graph: Graph, queries: np.ndarray, k: int, ef: int, entry: int, scratch: Scratch, stamp: int
) -> tuple[np.ndarray, np.ndarray]:
    """Find the k nearest nodes to each query, best first (algorithm 5: K-NN-SEARCH)."""
    positions = np.full((len(queries), k), -1, np.int64)
    similarities = np.full((len(queries), k), -np.inf, np.float32)
    for row in range(len(queries)):
        query, near = queries[row], entry
        for layer in range(graph.layers[entry], 0, -1):
            near = _greedy(graph, query, near, layer)
        # Also start from the entry point, from which every node is reachable (see _connect).
        found, nearest = _search_layer(graph, query, near, entry, ef, 0, scratch, stamp + row)
        order = np.argsort(-found)[:k]
        positions[row, : len(order)] = nearest[order]
        similarities[row, : len(order)] = found[order]
    return positions, similarities


@compiled()
def _with_copies(
    nodes: np.ndarray, found: np.ndarray, members: np.ndarray, starts: np.ndarray, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """Replace each node by the positions of all vectors that share it; keep the first k of each query.

    Args:
        nodes, found: the positions and similarities that `_search` returned.
        members: vector positions, grouped by node, int64 [number of vectors].
        starts: the offset of each node's first member, int64 [n + 1].
    """
    positions = np.full((len(nodes), k), -1, np.int64)
    similarities = np.full((len(nodes), k), -np.inf, np.float32)
    for row in range(len(nodes)):
        count = 0
        for node, similarity in zip(nodes[row], found[row]):  # noqa: B905 - numba does not support strict
            if node < 0 or count == k:
                break
            for place in range(starts[node], min(starts[node + 1], starts[node] + k - count)):
                positions[row, count], similarities[row, count] = members[place], similarity
                count += 1
    return positions, similarities


def _fits(layers: np.ndarray, links: np.ndarray, counts: np.ndarray, connections: int, entry: int) -> bool:
    """Return whether the arrays of a stored graph are within bounds, which compiled code does not check."""
    nodes = len(layers)
    if any(array.dtype != np.int32 for array in (layers, links, counts)) or connections < 2 or layers.min() < 0:
        return False
    above = int(layers.sum(dtype=np.int64))
    if counts.shape != (nodes + above,) or links.shape != ((2 * nodes + above) * connections,):
        return False
    if not (0 <= links.min() <= links.max() < nodes and 0 <= entry < nodes and counts.min() >= 0):
        return False
    if counts[:nodes].max() > 2 * connections or counts[nodes:].max(initial=0) > connections:
        return False
    # Neighbours in an upper layer must be in that layer themselves.
    own = np.concatenate([np.arange(1, top + 1) for top in layers[layers > 0]]) if above else np.zeros(0, np.int64)
    neighbours = links[2 * nodes * connections :].reshape(above, connections)
    used = np.arange(connections) < counts[nodes:, None]
    return bool((layers[neighbours] >= own[:, None])[used].all())


def _scratch(nodes: int) -> Scratch:
    return Scratch(np.zeros(nodes, np.int64), np.empty(nodes + 1, np.float32), np.empty(nodes + 1, np.int32))


class HnswIndex:
    """HNSW as implemented here; see `VectorIndex` for the interface and `HnswlibIndex` for the parameters.

    Searches from several threads are serialised by a lock, since the visited stamps and the heap of candidates belong
    to the index.
    """

    search_parameter = "ef"

    def __init__(
        self, similarity: str, connections: int = 16, ef_construction: int = 200, ef: int = 80, seed: int = 13
    ):
        if connections < 2:
            raise UserError(f"connections is {connections}, but HNSW needs at least 2 per node")
        self.similarity, self.connections, self.ef_construction = similarity, connections, ef_construction
        self.seed, self.search_defaults = seed, {"ef": ef}
        self._searching = threading.Lock()

    def build(self, vectors: np.ndarray) -> None:
        """See `VectorIndex`; on all allowed threads, whose number does not change the graph."""
        rows = self._distinct(vectors)
        nodes = len(rows)
        uniform = 1 - np.random.default_rng(self.seed).random(nodes)  # in (0, 1]
        layers = np.floor(-np.log(uniform) / math.log(self.connections)).astype(np.int32)
        slots_above = int(layers.sum())
        links = np.zeros((2 * nodes + slots_above) * self.connections, np.int32)
        self._take(rows, layers, links, np.zeros(nodes + slots_above, np.int32))
        self._entry = 0
        if nodes:
            threads = min(allowed_threads(), MOST_THREADS)
            scratches = [self._scratch, *(_scratch(nodes) for _ in range(threads - 1))]
            self._entry = _build(self._graph, self.ef_construction, scratches)
            self._scratch.visited[:] = 0
            _connect(self._graph, self._entry)

    def _distinct(self, vectors: np.ndarray) -> np.ndarray:
        """Record which vectors share a node and return one vector per node, float32 [n, dimension]."""
        rows = equal_norm_vectors(vectors, self.similarity)
        groups = group_equal_rows(rows)
        self._members = np.argsort(groups, kind="stable")
        self._starts = np.append(0, np.cumsum(np.bincount(groups)))
        return rows if len(self._starts) > len(rows) else rows[self._members[self._starts[:-1]]]

    def _take(self, rows: np.ndarray, layers: np.ndarray, links: np.ndarray, counts: np.ndarray) -> None:
        nodes = len(rows)
        upper = (nodes + np.cumsum(layers) - layers).astype(np.int32)
        self._graph = Graph(rows, layers, upper, links, counts, self.connections)
        self._scratch = _scratch(nodes)
        self._stamp = 0

    def search(self, queries: np.ndarray, k: int, **parameters: int) -> tuple[np.ndarray, np.ndarray]:
        """See `VectorIndex`; single-threaded."""
        ef = max(search_values(self.search_defaults, parameters)["ef"], k)
        nodes = len(self._graph.vectors)
        if not nodes:
            return empty_results(len(queries), k)
        queries = equal_norm_queries(queries, self.similarity)
        with self._searching:
            stamp = self._stamp + 1
            self._stamp += len(queries)
            found = _search(self._graph, queries, k, ef, self._entry, self._scratch, stamp)
        return found if len(self._members) == nodes else _with_copies(*found, self._members, self._starts, k)

    def save(self, path: Path) -> None:
        """See `VectorIndex`: a .npz file of the graph's arrays, without the vectors."""
        graph = self._graph
        settings = np.array([self.connections, self.ef_construction, self._entry, *graph.vectors.shape])
        with path.open("wb") as file:
            np.savez(file, settings=settings, layers=graph.layers, links=graph.links, counts=graph.counts)

    def load(self, path: Path, vectors: np.ndarray) -> None:
        """See `VectorIndex`.

        Raises:
            UserError: if the file is damaged or indexes other vectors.
        """
        problem = UserError(f"{path.name}: damaged, or not an HNSW index of these vectors; build it again")
        try:
            with np.load(path, allow_pickle=False) as arrays:
                settings, layers, links, counts = (arrays[name] for name in ("settings", "layers", "links", "counts"))
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            raise problem from None
        rows = self._distinct(vectors)
        nodes, dimension = rows.shape
        if settings.shape != (5,) or tuple(settings[3:]) != (nodes, dimension) or layers.shape != (nodes,):
            raise problem
        self.connections, self.ef_construction, self._entry = (int(value) for value in settings[:3])
        if nodes and not _fits(layers, links, counts, self.connections, self._entry):
            raise problem
        self._take(rows, layers, links, counts)

    @property
    def bytes(self) -> int:
        """See `VectorIndex`: vectors, graph and, if any vectors share a node, their assignment to nodes."""
        copies = self._members.nbytes + self._starts.nbytes if len(self._members) > len(self._graph.vectors) else 0
        return copies + sum(array.nbytes for array in self._graph[:5])
