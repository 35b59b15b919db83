"""Shared parts of all commands: options, the profile and its folder, and one-sentence error messages."""

import argparse
import functools
import io
import math
import os
import sys
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from core.workspace import executors
from core.workspace.artifacts import with_own_digest, write_text
from core.workspace.errors import UserError, in_words
from core.workspace.models import MODELS_VARIABLE
from core.workspace.names import collection_name_problem
from core.workspace.profile import OWN_MESSAGE, CollectionSettings, Profile, model_settings, read_profile
from core.workspace.stage import Build, Stage
from core.workspace.timing import THREADS
from core.workspace.workspace import CollectionFolder, Workspace

MOST_THREADS = 1024


def add_profile_options(parser: argparse.ArgumentParser) -> None:
    """Add the options for the profile, its collection, models and the device."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--profile", default="sample", help="name of a profile, or a TOML file (default: sample)")
    parser.add_argument(
        "--collection",
        metavar="SOURCE",
        help="a folder or zip in the BEIR layout, or a data set: of BEIR (scifact), of the library ir_datasets "
        "(ir_datasets:beir/scifact/test) or of the hub (hub:BeIR/scifact)",
    )
    parser.add_argument("--name", help="name of the collection in artifacts/ (default: name of the source)")
    parser.add_argument("--split", help="which judgments to use: qrels/SPLIT.tsv (default: from the profile)")
    parser.add_argument(
        "--unjudged",
        choices=("error", "drop"),
        help="what to do with topics without judgments (default: from the profile)",
    )
    add_identical_ids_option(parser)
    add_models_option(parser)
    parser.add_argument("--device", default="auto", help="cuda, mps, cpu or auto (default)")


def add_models_option(parser: argparse.ArgumentParser) -> None:
    """Add --models."""
    parser.add_argument("--models", type=Path, metavar="DIR", help="folder with models: DIR/NAME is used for NAME")


def use_models(folder: Path | None) -> None:
    """Look for models in the folder that --models names, too.

    Raises:
        UserError: if there is no such folder.
    """
    if folder is None:
        return
    if not folder.is_dir():
        raise UserError(f"--models {folder}: no such folder")
    os.environ[MODELS_VARIABLE] = str(folder.resolve())


def add_systems_option(parser: argparse.ArgumentParser) -> None:
    """Add --systems, the names of the systems to build."""
    parser.add_argument(
        "--systems", metavar="NAMES", type=names, default=[], help="only these systems of the profile, comma-separated"
    )


def names(given: str) -> list[str]:
    """Return the names in a comma-separated list."""
    return [name.strip() for name in given.split(",") if name.strip()]


def numbers(given: str) -> list[int]:
    """Return the numbers in a comma-separated list.

    Raises:
        argparse.ArgumentTypeError: if one is not a whole number.
    """
    listed = names(given)
    if not listed or not all(name.isdecimal() for name in listed):
        raise argparse.ArgumentTypeError(f"{given!r} is not a list of whole numbers, such as 10,20,50")
    return [int(name) for name in listed]


def bounded(kind: type[int] | type[float], least: float, most: float = math.inf) -> Callable[[str], float]:
    """Return a function that reads a finite number from `least` to `most`, the `type` of an option.

    It raises an argparse.ArgumentTypeError for another text.
    """
    what = "a whole number" if kind is int else "a number"
    bounds = f"from {least:g} to {most:g}" if math.isfinite(most) else f"of at least {least:g}"

    def read(given: str) -> float:
        try:
            number = kind(given)
        except ValueError:
            number = math.nan
        if math.isfinite(number) and least <= number <= most:
            return number
        raise argparse.ArgumentTypeError(f"{given!r} is not {what} {bounds}")

    return read


def add_identical_ids_option(parser: argparse.ArgumentParser) -> None:
    """Add the option --keep-identical-ids."""
    parser.add_argument(
        "--keep-identical-ids",
        action="store_true",
        help="keep hits whose document id equals the topic id, which BEIR's evaluation removes",
    )


def add_threads_option(parser: argparse.ArgumentParser) -> None:
    """Add --threads, for stages that measure latencies."""
    about = f"number of threads for latency measurements (default: {THREADS})"
    parser.add_argument("--threads", type=_threads, default=THREADS, metavar="N", help=about)


def _threads(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= MOST_THREADS:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to {MOST_THREADS}")
    return int(text)


def add_triples_option(parser: argparse.ArgumentParser) -> None:
    """Add --triples."""
    parser.add_argument("--triples", type=Path, metavar="FILE", help="MS MARCO triples (default: from the profile)")


def _add_size_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--size", type=bounded(int, 0), default=0, help="sample or simulate this number of documents")


def _add_batch_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--batch", type=bounded(int, 0), default=0, help="batch size of the generation, in documents")


OPTIONS: dict[str, Callable[[argparse.ArgumentParser], None]] = {
    "systems": add_systems_option,
    "threads": add_threads_option,
    "executor": executors.add_options,
    "triples": add_triples_option,
    "size": _add_size_option,
    "batch": _add_batch_option,
}
"""Fields of `Build` -> functions that add the options for them."""


def stage_parser(module: str, about: str | None, *options: str) -> argparse.ArgumentParser:
    """Return the parser of a stage's command.

    Args:
        module: the command, `python -m core.<module>`.
        about: the description, from its docstring.
        options: keys of `OPTIONS`, in addition to the profile's options.
    """
    parser = argparse.ArgumentParser(prog=f"python -m core.{module}", description=about)
    add_profile_options(parser)
    for name in options:
        OPTIONS[name](parser)
    return parser


def build_from(options: argparse.Namespace) -> Build:
    """Return the build that the options of a command describe."""
    profile, folder = profile_and_folder(options)
    given = {name: getattr(options, name) for name in ("triples", "threads", "batch", "size") if hasattr(options, name)}
    if hasattr(options, "engine"):
        given["executor"] = executors.chosen(options)
    return Build(profile, folder, options.device, tuple(getattr(options, "systems", ())), **given)


def run_stage(stage: Stage[Any], module: str, about: str | None, arguments: list[str] | None, *options: str) -> None:
    """Run the command of a stage: make its artifacts and print their paths.

    A system that fails does not stop the others; a stage without the option --systems stops at the first error.
    """
    build = build_from(stage_parser(module, about, *options).parse_args(arguments))
    if "systems" not in options:
        print(*stage.run_all(build), sep="\n")
        return
    each((target.artifact.name, functools.partial(stage.run, build, target)) for target in stage.targets(build))


def profile_and_folder(options: argparse.Namespace) -> tuple[Profile, CollectionFolder]:
    """Return the profile that the options select and the folder of its collection's artifacts."""
    use_models(options.models)
    profile = read_profile(options.profile)
    name, source = profile.collection.name, profile.collection.source
    if options.collection:
        name, source = collection_name_and_source(options.collection)
    name = options.name or name
    if name == "sample" and source != "embedded":
        raise UserError('the name "sample" is reserved for the embedded sample; choose another --name')
    if problem := collection_name_problem(name):
        raise UserError(f"{problem}; choose another --name")
    changed: dict[str, Any] = {"name": name, "source": source}
    changed |= {"ignore_identical_ids": False} if options.keep_identical_ids else {}
    changed |= {"split": options.split} if options.split else {}
    changed |= {"unjudged_topics": options.unjudged} if options.unjudged else {}
    try:
        collection = CollectionSettings.model_validate(profile.collection.model_dump() | changed)
    except ValidationError as error:
        first = error.errors()[0]
        option = {"split": "--split"}.get(str(first["loc"][0]), "--collection")
        raise UserError(f"{option}: {first['msg'].removeprefix(OWN_MESSAGE)}") from None
    return profile.model_copy(update={"collection": collection}), Workspace.default().collection(name)


def collection_name_and_source(given: str) -> tuple[str, str]:
    """Return the name and the source of a collection.

    The source is a folder or a zip file, a data set with one of the prefixes in `core.workspace.names.REMOTE`, or else
    the name of a BEIR data set. A folder in a zip file and a part of a data set are named after both.
    """
    path = Path(given)
    if given.startswith(("ir_datasets:", "hub:")):
        return given.partition(":")[2].partition("@")[0].replace("/", "-"), given
    if given.startswith("beir:") or not (path.exists() or os.sep in given):
        beir = given.removeprefix("beir:")
        return beir.replace("/", "-"), f"beir:{beir}"
    path = path.resolve()
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise UserError(f"--collection {given}: the path is not valid UTF-8; rename the folder") from None
    inside = next((number for number, part in enumerate(path.parts) if part.endswith(".zip")), -1)
    parts = path.parts[inside:] if not path.is_dir() else path.parts[-1:]
    return "-".join(part.removesuffix(".zip") for part in parts), str(path)


def with_imported_runs(profile: Profile, folder: CollectionFolder) -> Profile:
    """Return the profile with the imported runs of the profile that is saved with the artifacts added."""
    try:
        saved = read_profile(str(folder.profile)).system
    except UserError:
        return profile  # it does not exist, or it is damaged and will be overwritten
    names = {system.name for system in profile.system}
    imported = [system for system in saved if system.kind == "run" and system.name not in names]
    return profile.model_copy(update={"system": [*profile.system, *imported]})


def save_profile(profile: Profile, folder: CollectionFolder) -> None:
    """Save the profile with the artifacts that are built with it, for the dashboard and for rebuilding."""
    folder.path.mkdir(parents=True, exist_ok=True)
    table = profile.model_dump()
    sections = [(table[name], "source") for name in ("collection", "triples", "doc2query")]
    sections += [(system, key) for system in table["system"] for key in ("vectors", "topic_vectors")]
    for section, key in [*sections, *((section, key) for _, section, key in model_settings(table))]:
        section[key] = folder.workspace.recorded(section[key])
    write_text(folder.profile, with_own_digest(table))


def run(main: Callable[[], None]) -> None:
    """Run the main function of a command; a UserError is printed as one sentence, with exit status 2."""
    print_any_character()
    try:
        main()
    except UserError as error:
        sys.exit(_fail(f"error: {error}", 2))
    except KeyboardInterrupt:
        sys.exit(_fail("interrupted; run the same command again to resume", 130))
    except OSError as error:
        sys.exit(_fail(f"error: {error.strerror or error}: {error.filename or 'writing an artifact'}", 2))


def print_any_character() -> None:
    """Print characters that the console's encoding lacks (cp1252, ASCII) as escapes instead of raising an error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def each(work: Iterable[tuple[str, Callable[[], object]]]) -> None:
    """Call each function of (name, function) and print its result; one that fails does not stop the others.

    Prints one sentence per failure to standard error and exits with status 2 if there is any; an exception other than
    a UserError is printed with its traceback.
    """
    failed = False
    for name, make in work:
        try:
            print(make())
        except Exception as error:
            if not isinstance(error, UserError):
                traceback.print_exc()
            print(f"error: {name}: {in_words(error)}", file=sys.stderr)
            failed = True
    if failed:
        sys.exit(2)


def note(message: str) -> None:
    """Print a note to standard error."""
    print_any_character()  # the dashboard calls this without `run`
    print(f"note: {message}", file=sys.stderr)


def _fail(message: str, status: int) -> int:
    print(message, file=sys.stderr)
    return status
