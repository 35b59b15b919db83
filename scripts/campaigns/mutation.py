#!/usr/bin/env python3
"""Change one operator, constant or condition of a library at a time, and check whether its tests fail.

    python scripts/campaigns/mutation.py --sample 80 --seed 1                  # of core/evaluation and core/retrieval
    python scripts/campaigns/mutation.py --sample 20 core/evaluation/measures.py

Each mutant is tested in a copy of the checkout by the test files of its library that import its module. The score is
the share of mutants that fail a test or do not end. Some survivors are equivalent to the original. Outcomes are
appended to a file, so that the same command resumes where it was stopped.
"""

import argparse
import ast
import copy
import json
import os
import queue
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from scripts.campaigns.campaign import ROOT, copy_checkout

LIBRARIES = ("core/evaluation", "core/retrieval")
SWAPS: dict[type, type] = {
    **{ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq},
    **{ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is},
    **{ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult},
    **{
        ast.Mod: ast.Add,
        ast.Pow: ast.Mult,
        ast.And: ast.Or,
        ast.Or: ast.And,
        ast.BitAnd: ast.BitOr,
        ast.BitOr: ast.BitAnd,
    },
}
"""Operators and their replacements."""
TIMES, SPARE_SECONDS = 3, 30
"""Time limit of a mutant's tests: a multiple of their time without changes, plus some seconds."""


@dataclass(frozen=True)
class Mutant:
    """One change to one file."""

    file: str
    number: int
    line: int
    change: str
    source: str

    @property
    def key(self) -> str:
        """The key in the file of outcomes, which changes when the source does, as the outcome may."""
        return f"{self.file}:{self.line} #{self.number} {self.change}"


def mutants(file: str) -> list[Mutant]:
    """Return all mutants of a file, in the order of its syntax tree."""
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    places = list(_places(tree))
    found: list[Mutant] = []
    seen = {ast.unparse(tree)}
    for place, node in enumerate(places):
        for change in _changes(node):
            changed = copy.deepcopy(tree)
            twin = list(_places(changed))[place]
            before = ast.unparse(node)
            _apply(twin, change)
            source = ast.unparse(changed)
            if source not in seen:
                seen.add(source)
                label = f"{' '.join(before.split())[:60]} -> {' '.join(ast.unparse(twin).split())[:60]}"
                found.append(Mutant(file, len(found), getattr(node, "lineno", 0), label, source))
    return found


def _places(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes that may be changed, excluding annotations, docstrings and strings."""
    for name, value in ast.iter_fields(tree):
        if name in ("annotation", "returns", "decorator_list"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if not isinstance(child, ast.AST) or isinstance(child, ast.Import | ast.ImportFrom | ast.JoinedStr):
                continue
            if isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant):
                continue
            yield child
            yield from _places(child)


def _changes(node: ast.AST) -> list[str]:
    """Return the names of the possible changes of a node."""
    if isinstance(node, ast.Compare):
        return ["swap"] if type(node.ops[0]) in SWAPS else []
    if isinstance(node, ast.BinOp | ast.BoolOp | ast.AugAssign):
        return ["swap"] if type(node.op) in SWAPS else []
    if isinstance(node, ast.UnaryOp):
        return ["drop"] if isinstance(node.op, ast.Not | ast.USub) else []
    if isinstance(node, ast.Constant):
        return ["constant"] if isinstance(node.value, bool | int | float) else []
    if isinstance(node, ast.If | ast.IfExp):
        return ["negate"]
    return ["skip"] if isinstance(node, ast.Continue | ast.Break) else []


def _apply(node: ast.AST, change: str) -> None:
    """Change a node in place."""
    if isinstance(node, ast.Compare):
        node.ops[0] = SWAPS[type(node.ops[0])]()
    elif isinstance(node, ast.BinOp | ast.BoolOp | ast.AugAssign):
        node.op = SWAPS[type(node.op)]()
    elif isinstance(node, ast.UnaryOp):
        node.op = ast.UAdd() if isinstance(node.op, ast.USub) else ast.Not()
        if isinstance(node.op, ast.Not):
            node.operand = ast.UnaryOp(ast.Not(), node.operand)
    elif isinstance(node, ast.Constant):
        node.value = not node.value if isinstance(node.value, bool) else node.value + 1  # type: ignore[operator]
    elif isinstance(node, ast.If | ast.IfExp):
        node.test = ast.UnaryOp(ast.Not(), node.test)
    else:
        node.__class__ = ast.Pass


def tests_of(file: str) -> list[str]:
    """Return the test files that import a module: of its library, or else of all but the browser tests."""
    library, module = Path(file).parent, Path(file).stem
    dotted = ".".join(library.parts)
    imported = re.compile(rf"from {dotted}\.{module} import|from {dotted} import [^\n]*\b{module}\b")
    found = [
        path.relative_to(ROOT / "tests")
        for path in sorted((ROOT / "tests").rglob("test_*.py"))
        if imported.search(path.read_text(encoding="utf-8"))
    ]
    own = [path for path in found if path.parent == library]
    return [f"tests/{path.as_posix()}" for path in own or found if path.parts[0] != "browser"]


def passes(checkout: Path, tests: Iterable[str], seconds: float | None = None) -> bool:
    """Run tests in a copy of the checkout and tell whether they pass within `seconds`."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-m", "not slow", "-p", "no:cacheprovider", *tests]
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1", "RANKSCOPE_EXAMPLES": "30"}
    environment |= {"CI": "true", "RANKSCOPE_DATA": str(ROOT / os.environ.get("RANKSCOPE_DATA", "../shared/data"))}
    environment.pop("CI") if not Path(environment["RANKSCOPE_DATA"]).is_dir() else None
    try:
        ended = subprocess.run(
            command, cwd=checkout, env=environment, capture_output=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired:
        return False
    return ended.returncode == 0


def main() -> None:
    """Sample mutants, test those without an outcome yet, and print the score and the survivors."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", help=f"modules (default: all of {' and '.join(LIBRARIES)})")
    parser.add_argument("--sample", type=int, default=0, help="number of mutants to sample (default: all)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=0, help="stop after this many minutes")
    parser.add_argument("--workers", type=int, default=2, help="tests run at once, each in its own copy (default: 2)")
    parser.add_argument("--outcomes", type=Path, default=Path(tempfile.gettempdir()) / "rankscope-mutants.jsonl")
    options = parser.parse_args()
    files = options.files or [
        path.relative_to(ROOT).as_posix() for folder in LIBRARIES for path in sorted((ROOT / folder).glob("[!_]*.py"))
    ]
    untested = [file for file in files if not tests_of(file)]
    drawn = [mutant for file in files if file not in untested for mutant in mutants(file)]
    print(f"{len(drawn)} mutants of {len(files) - len(untested)} modules", flush=True)
    if untested:
        print(f"no test file imports them: {', '.join(untested)}")
    if 0 < options.sample < len(drawn):
        drawn = random.Random(options.seed).sample(drawn, options.sample)
    lines = options.outcomes.read_text(encoding="utf-8").splitlines() if options.outcomes.is_file() else []
    outcomes: dict[str, bool] = dict(map(json.loads, lines))
    left = [mutant for mutant in drawn if mutant.key not in outcomes]
    end = time.monotonic() + options.minutes * 60 if options.minutes else float("inf")
    with tempfile.TemporaryDirectory(prefix="rankscope-mutation-") as place:
        copies: queue.Queue[Path] = queue.Queue()
        writing = threading.Lock()
        for number in range(options.workers):
            copies.put(_copy(Path(place) / str(number)))
        with ThreadPoolExecutor(options.workers) as pool, options.outcomes.open("a", encoding="utf-8") as log:
            tests = {mutant.file: tuple(tests_of(mutant.file)) for mutant in left}
            limits = dict(pool.map(lambda chosen: (chosen, _seconds(chosen, copies)), set(tests.values())))

            def judge(mutant: Mutant) -> None:
                if time.monotonic() > end:
                    return
                killed = _killed(mutant, tests[mutant.file], copies, limits[tests[mutant.file]])
                with writing:
                    outcomes[mutant.key] = killed
                    log.write(json.dumps([mutant.key, killed]) + "\n")
                    log.flush()
                    print("killed  " if killed else "SURVIVED", mutant.key, flush=True)

            list(pool.map(judge, left))
    judged = [mutant for mutant in drawn if mutant.key in outcomes]
    survivors = [mutant.key for mutant in judged if not outcomes[mutant.key]]
    print(f"\n{len(judged) - len(survivors)} of {len(judged)} mutants killed; survivors:", *survivors, sep="\n  ")


def _copy(target: Path) -> Path:
    """Return a copy of the checkout that shares the original's artifacts, which tests only read."""
    target.mkdir()
    (copy_checkout(target) / "artifacts").symlink_to(ROOT / "artifacts")
    return target


def _seconds(tests: tuple[str, ...], copies: "queue.Queue[Path]") -> float:
    """Return the time limit of tests on a mutant; they must pass on the unchanged checkout."""
    checkout, started = copies.get(), time.monotonic()
    try:
        if not passes(checkout, tests):
            raise SystemExit(f"these tests fail without any change: {' '.join(tests)}")
    finally:
        copies.put(checkout)
    return TIMES * (time.monotonic() - started) + SPARE_SECONDS


def _killed(mutant: Mutant, tests: tuple[str, ...], copies: "queue.Queue[Path]", seconds: float) -> bool:
    """Tell whether the tests fail on a mutant, which is written to the copy meanwhile."""
    checkout = copies.get()
    path = checkout / mutant.file
    original = path.read_bytes()
    path.write_text(mutant.source, encoding="utf-8")
    try:
        return not passes(checkout, tests, seconds)
    finally:
        path.write_bytes(original)
        copies.put(checkout)


if __name__ == "__main__":
    main()
