"""The tokens of all documents as numbers, found on all cores."""

import signal
from array import array
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from multiprocessing import get_context

import numpy as np

from core.retrieval.analyzer import Analyzer, open_analyzer
from core.workspace.profile import AnalyzerSettings
from core.workspace.timing import allowed_threads

PART_CHARACTERS = 4_000_000
"""Length of the texts that a process analyses at a time; fewer are not worth starting one, which takes a second."""


NOTHING = "\0"
"""Placeholder token for a collection without tokens, since BM25 libraries need at least one; no query contains it."""


@dataclass(frozen=True)
class Tokens:
    """Tokens of documents, in the form that bm25s takes an object.

    Attributes:
        ids: the numbers of the tokens, one document after the other, int32 [n_tokens], and the number of tokens of each
            document, int32 [n_documents].
        vocab: token -> number, in the order in which the tokens first occur.
    """

    ids: tuple[np.ndarray, np.ndarray]
    vocab: dict[str, int]

    @classmethod
    def of(cls, documents: Iterable[list[str]]) -> "Tokens":
        """Number the tokens of each document."""
        vocabulary = _numbering()
        numbers, lengths = array("i"), array("i")
        for tokens in documents:
            numbers.extend(map(vocabulary.__getitem__, tokens))
            lengths.append(len(tokens))
        return cls((_int32(numbers), _int32(lengths)), dict(vocabulary))

    @classmethod
    def joined(cls, parts: Iterable["Tokens"]) -> "Tokens":
        """Return the tokens of all parts, numbered as if they were one."""
        vocabulary = _numbering()
        numbers, lengths = array("i"), array("i")
        for part in parts:
            of_part = np.fromiter(map(vocabulary.__getitem__, part.vocab), np.int32, len(part.vocab))
            numbers.frombytes(of_part[part.ids[0]].tobytes())
            lengths.frombytes(part.ids[1].tobytes())
        return cls((_int32(numbers), _int32(lengths)), dict(vocabulary))


def _numbering() -> defaultdict[str, int]:
    """Return an empty vocabulary, in which a token that is looked up gets the next number."""
    vocabulary: defaultdict[str, int] = defaultdict()
    vocabulary.default_factory = vocabulary.__len__
    return vocabulary


def _int32(numbers: "array[int]") -> np.ndarray:
    return np.frombuffer(numbers, np.int32) if numbers else np.empty(0, np.int32)


def analysed(texts: Iterable[str], settings: AnalyzerSettings) -> Tokens:
    """Return the tokens of the documents, found on all cores if there are many."""
    parts = _parts(texts)
    first = next(parts, [])
    if sum(map(len, first)) < PART_CHARACTERS:
        return Tokens.of(map(open_analyzer(settings).tokens, first))
    return Tokens.joined(_in_processes(chain([first], parts), settings))


def _parts(texts: Iterable[str]) -> Iterator[list[str]]:
    part, characters = [], 0
    for text in texts:
        part.append(text)
        characters += len(text)
        if characters >= PART_CHARACTERS:
            yield part
            part, characters = [], 0
    if part:
        yield part


def _in_processes(parts: Iterable[list[str]], settings: AnalyzerSettings) -> Iterator[Tokens]:
    """Yield the tokens of each part in order; one more part than there are processes waits in memory.

    What a process that ends before its time has left (out of memory, a program that cannot be started twice) is
    analysed in this one.
    """
    count = allowed_threads()
    waiting: deque[tuple[list[str], Future[Tokens] | None]] = deque()
    here = open_analyzer(settings)
    # Processes are spawned: those forked from one with threads, as torch and numba have, may hang.
    pool = ProcessPoolExecutor(count, get_context("spawn"), _open_analyzer, (settings,))

    def submitted(part: list[str]) -> Future[Tokens] | None:
        with suppress(BrokenProcessPool):
            return pool.submit(_tokens_of, part)
        return None

    def first_of_waiting() -> Tokens:
        part, future = waiting.popleft()
        with suppress(BrokenProcessPool):
            if future:
                return future.result()
        return Tokens.of(map(here.tokens, part))

    try:
        for part in parts:
            waiting.append((part, submitted(part)))
            if len(waiting) > count:
                yield first_of_waiting()
        while waiting:
            yield first_of_waiting()
    finally:
        pool.shutdown(cancel_futures=True)


_analyzer: Analyzer


def _open_analyzer(settings: AnalyzerSettings) -> None:
    global _analyzer
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt ends the process that collects the tokens
    _analyzer = open_analyzer(settings)


def _tokens_of(texts: list[str]) -> Tokens:
    return Tokens.of(map(_analyzer.tokens, texts))
