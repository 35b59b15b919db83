"""Runs in the TREC format, one line per retrieved document: topic Q0 document rank score tag."""

import math
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import compress
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from core.formats.exclusions import Exclusions, built_exclusions, left_out, without
from core.formats.mteb import ENDINGS as MTEB_ENDINGS
from core.formats.mteb import run_lines
from core.formats.plain_runs import PlainTopic, read_plain
from core.workspace.artifacts import Manifest, read_whole
from core.workspace.errors import UserError
from core.workspace.workspace import CollectionFolder

Scores = dict[str, dict[str, float]]
"""Scores of a run: topic -> document -> score."""


FILE = "run.trec"
"""File of a run in the artifact `runs/<system>`."""


EMPTY = "the run is empty, perhaps after a failed export; export it again"


@dataclass(frozen=True)
class Run:
    """A run: its name, its scores, and notices about its file, one sentence each.

    `left_out` has the documents that were removed from the scores; see `core.formats.exclusions`.
    """

    name: str
    scores: Scores
    notices: list[str] = field(default_factory=list)
    left_out: Exclusions = field(default_factory=dict)

    def without(self, excluded: Exclusions) -> "Run":
        """Return the run without the excluded documents."""
        removed = left_out(self.scores, excluded)
        return replace(self, scores=without(self.scores, removed), left_out=removed) if removed else self


def built_run(folder: CollectionFolder, system: str, digest: str = "") -> Run:
    """Read the run of a system in a collection's folder, checked against its manifest.

    Documents that the collection excludes for a topic are removed (see `core.formats.exclusions`); imported runs may
    have them.

    An empty file is a run without hits, as the digest in the manifest shows that the file is complete.

    Args:
        digest: the required version; "" for the current one.

    Raises:
        Replaced: if the run is not that version.
        UserError: if the run is missing or damaged.
    """
    place = folder.run(system)

    def read(_: Manifest) -> Run:
        return Run(system, _built_scores(place / FILE)).without(built_exclusions(folder))

    return read_whole(place, read, digest=digest)


def run_depth(folder: CollectionFolder, system: str, manifest: Manifest) -> int:
    """Return the largest number of documents that an imported run has for a topic; 0 for the run of a search.

    It is a fact of the manifest, and counted where the run was imported before that was recorded.

    Raises:
        Replaced: if the run is not of that manifest.
        UserError: if the run is missing or damaged.
    """
    if manifest.stage != "import_runs":
        return 0
    return int(manifest.facts.get("depth") or _built_depth(folder, system, manifest.digest))


@lru_cache(maxsize=1000)
def _built_depth(folder: CollectionFolder, system: str, digest: str) -> int:
    place = folder.run(system)

    def count(_: Manifest) -> int:
        with (place / FILE).open("rb") as file:
            return max(Counter(line.partition(b" ")[0] for line in file).values(), default=0)

    return read_whole(place, count, digest=digest)


def _built_scores(path: Path) -> Scores:
    if plain := read_plain(path):
        return {topic.topic: topic.scores for topic in plain[1]}
    scores: Scores = {}
    try:
        with path.open(encoding="utf-8", newline="\n") as file:
            for line in file:
                topic, _, document, _, score, _ = line.split()
                scores.setdefault(topic, {})[document] = float(score)
    except ValueError:
        read_run(path)  # raises an error that names the line
        raise
    if not all(math.isfinite(score) for by_document in scores.values() for score in by_document.values()):
        return read_run(path).scores
    return scores


# Names


ENDINGS = (".gz", ".run", ".txt", ".trec", ".res", ".tsv")
"""File name extensions that are not part of a run's name."""


NO_NAMES = {"run", "runs", "results", "result", "output"}
"""Generic names of run files in folders that are named after their systems."""


def run_name(path: Path, tag: str = "") -> str:
    """Return the name of the run in a file: the file name without extensions such as .run, .txt and .gz.

    An extension that is part of the tag is kept (`final.txt` in final.txt.gz). Files named `input.TAG`, as in TREC's
    archive, yield TAG, MTEB's predictions their model, and files with a generic name such as run.trec that of their
    folder.
    """
    return _name_parts(path, tag)[-1]


def _name_parts(path: Path, tag: str) -> tuple[str, ...]:
    """Return the folders of a path, followed by the name of its run."""
    name = tag if tag and path.name.endswith(MTEB_ENDINGS) else path.name
    while name not in (tag, f"input.{tag}"):
        ending = next((ending for ending in ENDINGS if name.endswith(ending) and name != ending), None)
        if ending is None:
            break
        name = name.removesuffix(ending)
    if tag and name == f"input.{tag}":
        name = tag
    folders = path.parent.parts
    return folders if name.lower() in NO_NAMES and path.parent.name not in ("", "..") else (*folders, name)


def run_names(paths: Sequence[Path]) -> list[str]:
    """Return the name of each file's run; duplicate names are prefixed with as many folder names as necessary.

    Raises:
        UserError: if two names are still the same, or a file cannot be read.
    """
    parts = [_name_parts(path.absolute(), run_tag(path)) for path in paths]
    taken = [1] * len(paths)
    while True:
        names = ["-".join(p[-n:]) for p, n in zip(parts, taken, strict=True)]
        counts = Counter(name.lower() for name in names)  # some file systems are case-insensitive
        same = [i for i, name in enumerate(names) if counts[name.lower()] > 1]
        if not same:
            return names
        if all(taken[i] >= len(parts[i]) for i in same):
            first, second = [i for i in same if names[i].lower() == names[same[0]].lower()][:2]
            files = f"{paths[first].name}, {paths[second].name}"
            raise UserError(f"two of the runs are named {parts[first][-1]} ({files}); rename one file")
        for i in same:
            taken[i] += 1


def run_tag(path: Path) -> str:
    """Return the tag (the last column) of a run's first line, or "" if it has none.

    Raises:
        UserError: if the file cannot be read.
    """
    lines = first_lines(path, 1)
    return lines[0][1][5] if lines and is_run_line(lines[0][1]) else ""


def first_lines(path: Path, count: int) -> list[tuple[int, list[str]]]:
    """Return the line numbers and columns of the first lines that are neither empty nor part of a header.

    Raises:
        UserError: if the file cannot be read.
    """
    lines: list[tuple[int, list[str]]] = []
    for number, line in run_lines(path):
        columns = line.split()
        if columns and (lines or not _is_header(columns)):
            lines.append((number, columns))
            if len(lines) == count:
                break
    return lines


def is_run(lines: Sequence[tuple[int, list[str]]]) -> bool:
    """Return whether a file that begins with these lines is a run.

    In the three-column format of MS MARCO, two lines are checked, as "topic document 1" may also be a judgment.
    """
    first, *others = (columns for _, columns in lines)
    if len(first) != 3:
        return is_run_line(first)
    return first[2] in ("0", "1") and any(
        len(second) == 3 and second[0] == first[0] and second[2] == str(int(first[2]) + 1) for second in others
    )


def is_run_line(columns: Sequence[str]) -> bool:
    """Return whether these columns are a line of a six-column run."""
    return len(columns) == 6 and math.isfinite(_number(columns[3])) and math.isfinite(_number(columns[4]))


def _is_header(columns: Sequence[str]) -> bool:
    """Return whether a line before the first of a run is part of a header, as in ir_metadata (www.ir-metadata.org)."""
    return columns[0] == "#" or (columns[0].startswith("#") and not is_run_line(columns))


# Reading


class TopicLines(NamedTuple):
    """The lines of a run for one topic, in file order: line numbers, ranks, and document -> score."""

    numbers: "array[int]"
    ranks: "array[float]"
    scores: dict[str, float]


COLUMNS = {3: "topic, document, rank", 6: "topic, Q0, document, rank, score, tag"}


@dataclass(frozen=True)
class RunFile:
    """The contents of a run file: its lines by topic, the tag of the first line, and the errors in it.

    `header` is the number of header lines, which begin with "#"; `wrong` is the number of invalid lines, and `faults`
    describes the first of them, one sentence each.
    """

    by_topic: dict[str, TopicLines]
    tag: str
    header: int
    wrong: int
    faults: list[str]


def read_run_file(path: Path, most_faults: int = 1) -> RunFile:
    """Read a run file, plain or .gz, including all of its errors.

    A line is invalid if it does not have six columns, if its rank or score is not a finite number, or if its topic
    already has the document. A file that `core.formats.mteb.run_lines` cannot read adds one more error. Three
    columns, as in MS MARCO's format, are topic, document and rank; the score is the negative rank.
    """
    if plain := read_plain(path):
        tag, topics = plain
        return RunFile({topic.topic: _lines(topic) for topic in topics}, tag, header=0, wrong=0, faults=[])
    by_topic: dict[str, TopicLines] = {}
    faults: list[str] = []
    tag, header, wrong, width = "", 0, 0, 0
    try:
        for number, line in run_lines(path):
            columns = line.split()
            if not columns:
                continue
            if not width and _is_header(columns):
                header += 1
                continue
            width = width or (3 if len(columns) == 3 else 6)
            if len(columns) == width == 3:
                columns = [columns[0], "", columns[1], columns[2], f"-{columns[2]}", ""]
            elif len(columns) != width:
                wrong += 1
                if wrong <= most_faults:
                    more = "; ids and tags have no spaces" if len(columns) > width else ""
                    faults.append(
                        f"{path.name}, line {number}: {len(columns)} columns, expected {COLUMNS[width]}{more}"
                    )
                continue
            topic, _, document, rank_text, score_text, line_tag = columns
            rank, score = _number(rank_text), _number(score_text)
            lines = by_topic.get(topic)
            if math.isfinite(rank) and math.isfinite(score) and (width == 6 or lines or rank_text in ("0", "1")):
                if lines is None:
                    lines = by_topic[topic] = TopicLines(array("q"), array("d"), {})
                    tag = tag or line_tag
                if document not in lines.scores:
                    lines.numbers.append(number)
                    lines.ranks.append(rank)
                    lines.scores[document] = score
                    continue
            wrong += 1
            if wrong <= most_faults:
                faults.append(f"{path.name}, line {number}: {_fault(columns, width == 3, lines)}")
    except UserError as error:
        wrong += 1
        faults.append(str(error))
    return RunFile(by_topic, tag, header, wrong, faults)


def _lines(topic: PlainTopic) -> TopicLines:
    numbers = np.arange(topic.first, topic.first + len(topic.scores))
    return TopicLines(array("q", numbers.tobytes()), array("d", topic.ranks.tobytes()), topic.scores)


def _fault(columns: Sequence[str], without_scores: bool, lines: TopicLines | None) -> str:
    """Return what is wrong with a line of six columns, given the previous lines of its topic."""
    topic, _, document, rank, score, _ = columns
    if without_scores and not lines and math.isfinite(_number(rank)):
        return (
            f"three columns are read as {COLUMNS[3]}, but the first rank of topic {topic} is {rank!r}, expected 1; "
            f"a run with scores needs the columns {COLUMNS[6]}"
        )
    for name, text in (("rank", rank), ("score", score)):
        if not math.isfinite(_number(text)):
            point = ", which needs a decimal point" if math.isfinite(_number(text.replace(",", "."))) else ""
            return f"the {name} {text!r} is not a finite number{point}"
    assert lines
    first = lines.numbers[list(lines.scores).index(document)]
    return f"document {document} is already listed for topic {topic} on line {first}"


def read_run(path: Path, order: Literal["score", "rank"] = "score", may_be_empty: bool = False) -> Run:
    """Read a run, plain or .gz.

    Args:
        order: "score" ignores the rank column, as trec_eval does; "rank", for files with rounded scores, replaces
            each score by the negative rank.
        may_be_empty: whether to accept a file without lines as a run that retrieved nothing.

    Raises:
        UserError: if a line is invalid (see `read_run_file`; the message names the line), or the file is missing,
            truncated, or empty without `may_be_empty`.
    """
    file = read_run_file(path)
    if file.faults:
        raise UserError(file.faults[0])
    if not file.by_topic and not may_be_empty:
        raise UserError(f"{path.name}: {EMPTY}")
    return Run(run_name(path, file.tag), as_scores(file.by_topic, order), notices(file, order))


def as_scores(by_topic: Mapping[str, TopicLines], order: Literal["score", "rank"]) -> Scores:
    """Return the scores of a run: those in the file, or the negative ranks."""
    if order == "score":
        return {topic: lines.scores for topic, lines in by_topic.items()}
    return {
        topic: {document: -rank for document, rank in zip(lines.scores, lines.ranks, strict=True)}
        for topic, lines in by_topic.items()
    }


def reordered_topics(by_topic: Mapping[str, TopicLines]) -> int:
    """Return the number of topics whose documents have another order by rank than by score."""
    count = 0
    for lines in by_topic.values():
        by_rank = np.argsort(lines.ranks, kind="stable")
        ranks, scores = np.array(lines.ranks)[by_rank], as_float32(lines.scores.values())[by_rank]
        if (scores[1:] < scores[:-1]).all() and (ranks[1:] > ranks[:-1]).all():
            continue
        of_ranks = {document: -rank for document, rank in zip(lines.scores, lines.ranks, strict=True)}
        count += [d for d, _ in ranked(lines.scores)] != [d for d, _ in ranked(of_ranks)]
    return count


def run_topics(path: Path, excluded: Exclusions) -> set[str]:
    """Return the topics for which a run has at least one document that is not excluded.

    Raises:
        UserError: if the file is missing or truncated.
    """
    lines = (line.split(maxsplit=3) for _, line in run_lines(path))
    return {columns[0] for columns in lines if columns and columns[2] not in excluded.get(columns[0], ())}


def _number(text: str) -> float:
    """Return a number; NaN for another text, 1_0 and digits outside of ASCII included, which Python alone reads."""
    try:
        return float(text) if text.isascii() and "_" not in text else math.nan
    except ValueError:
        return math.nan


def notices(file: RunFile, order: Literal["score", "rank"]) -> list[str]:
    """Return notices about ranks that disagree with scores and about tied scores or ranks, each with its first line."""
    disagreeing, tied, same_rank = [], [], []
    by_topic = file.by_topic
    for lines in by_topic.values():
        by_rank = np.argsort(lines.ranks, kind="stable")
        numbers, ranks = np.array(lines.numbers)[by_rank], np.array(lines.ranks)[by_rank]
        scores = as_float32(lines.scores.values())[by_rank]
        disagreeing += numbers[1:][scores[1:] > scores[:-1]][:1].tolist()
        tied += _first_repeated(numbers, scores)
        same_rank += _first_repeated(numbers, ranks)
    sentences = []
    if file.header:
        sentences.append(f"skipped metadata lines (beginning with #) before the run: {file.header}")
    if order == "rank":
        return [*sentences, f"duplicate ranks in {_where(same_rank, by_topic)}"] if same_rank else sentences
    if disagreeing:
        where = _where(disagreeing, by_topic)
        sentences.append(
            f"the rank column disagrees with the scores in {where}; the ranking follows the scores, as in trec_eval"
        )
    if tied:
        sentences.append(
            f"scores are tied in {_where(tied, by_topic)}; as in trec_eval, ties are ordered by document id, "
            "descending, whatever the rank column says"
        )
    return sentences


def _first_repeated(numbers: np.ndarray, values: np.ndarray) -> list[int]:
    """Return the line number of the first value that repeats an earlier one, as a list of one or none."""
    first = np.zeros(len(values), dtype=bool)
    first[np.unique(values, return_index=True)[1]] = True
    return [int(number) for number in numbers[~first][:1]]


def _where(lines: list[int], by_topic: Mapping[str, TopicLines]) -> str:
    return f"{len(lines)} of {len(by_topic)} topics, first on line {min(lines)}"


def as_float32(scores: Iterable[float]) -> np.ndarray:
    """Return scores as float32, as trec_eval stores them; values beyond its range become infinite."""
    with np.errstate(over="ignore"):
        return np.fromiter(scores, dtype=np.float64).astype(np.float32)


def ranked(by_document: Mapping[str, float]) -> list[tuple[str, float]]:
    """Return a topic's (document, score) in trec_eval's order: by score, ties by document id, both descending.

    trec_eval stores scores as float32, so scores that are equal in float32 are ties.
    """
    scores = as_float32(by_document.values()).tolist()
    order = sorted(zip(scores, by_document.items(), strict=True), key=lambda row: (row[0], row[1][0]), reverse=True)
    return [item for _, item in order]


def first_ranked(by_document: Mapping[str, float], k: int) -> list[str]:
    """Return the first k documents of `ranked` without sorting the others."""
    if 0 < k < len(by_document):
        scores = as_float32(by_document.values())
        reaches = scores >= np.partition(scores, -k)[-k]
        by_document = {d: by_document[d] for d in compress(by_document, reaches)}
    return [document for document, _ in ranked(by_document)[:k]]


def run_of(topics: Iterable[str], documents: Sequence[str], positions: np.ndarray, scores: np.ndarray) -> Scores:
    """Return the results of an index as a run, topic -> document -> score.

    Args:
        documents: document ids in the index's order.
        positions: int64 [n_topics, k], -1 if there are fewer than k documents.
        scores: float32 [n_topics, k].
    """
    return {
        topic: {documents[i]: float(score) for i, score in zip(row, row_scores, strict=True) if i >= 0}
        for topic, row, row_scores in zip(topics, positions, scores, strict=True)
    }


def write_run(path: Path, tag: str, rankings: Iterable[tuple[str, list[tuple[str, float]]]]) -> None:
    """Write rankings as a TREC run; see `trec_lines`.

    Raises:
        UserError: if a score is NaN or infinite.
    """
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(trec_lines(tag, rankings))


def trec_lines(tag: str, rankings: Iterable[tuple[str, list[tuple[str, float]]]]) -> Iterator[str]:
    """Yield the lines of rankings, (topic, [(document, score)] best first), as a TREC run, one ranking after the other.

    Scores are written so that they give the same order when they are read: if a score is not lower than the previous
    one (a tie that the system broke), the next lower float32 is written instead, as trec_eval stores scores as float32.
    Scores beyond the range of float32 are written as its largest or lowest numbers.

    Raises:
        UserError: if a score is NaN or infinite.
    """
    for topic, ranking in rankings:
        values = np.array([score for _, score in ranking], dtype=np.float64)
        if not np.isfinite(values).all():
            document, score = ranking[int(np.argmin(np.isfinite(values)))]
            problem = f"the score of document {document} for topic {topic} is {score}"
            raise UserError(f"{tag}: {problem}, expected a finite number")
        scores = _falling(as_float32(values)).tolist()
        for rank, ((document, _), score) in enumerate(zip(ranking, scores, strict=True), 1):
            yield f"{topic} Q0 {document} {rank} {score!r} {tag}\n"


def _falling(scores: np.ndarray) -> np.ndarray:
    """Return finite scores, strictly decreasing and as close as possible to the given ones; all float32 [n]."""
    if np.isfinite(scores).all() and (scores[1:] < scores[:-1]).all():
        return scores
    falling, lower, upper = scores.copy(), np.float32(-np.inf), np.float32(np.inf)
    with np.errstate(over="ignore"):
        for i in range(len(falling)):
            falling[i] = min(falling[i], np.nextafter(falling[i - 1] if i else upper, lower))
    following = lower
    for i in reversed(range(len(falling))):  # below the lowest number, the previous ones must rise
        if falling[i] > following:
            break
        following = falling[i] = np.nextafter(following, upper)
    return falling
