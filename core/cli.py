"""What the command lines of all stages share: options, the profile and its folder, and errors as one sentence."""

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

from core.artifacts import ARTIFACTS, PROFILE, ROOT, with_own_digest, write_text
from core.errors import UserError
from core.models import MODELS_VARIABLE
from core.profile import Profile, collection_name_problem, read_profile


def add_profile_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that name what is built: --profile, --collection, --models, --device."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--profile", default="sample", help="name of a profile or a TOML file (default: sample)")
    parser.add_argument("--collection", help="a folder in the BEIR layout or a BEIR name, in place of the profile's")
    parser.add_argument("--models", type=Path, metavar="DIR", help="folder of models: DIR/NAME is used for NAME")
    parser.add_argument("--device", default="auto", help="cuda, mps, cpu or auto (default)")


def profile_and_folder(options: argparse.Namespace) -> tuple[Profile, Path]:
    """Return the profile that the options name and the folder of its collection's artifacts."""
    if options.models:
        if not options.models.is_dir():
            raise UserError(f"--models {options.models}: there is no such folder")
        os.environ[MODELS_VARIABLE] = str(options.models.resolve())
    profile = read_profile(options.profile)
    if options.collection:
        profile = with_collection(profile, options.collection)
    return profile, ARTIFACTS / profile.collection.name


def with_collection(profile: Profile, given: str) -> Profile:
    """Return the profile with another collection: a folder, or a BEIR name where there is no such folder."""
    folder = Path(given)
    source = str(folder.resolve()) if folder.is_dir() or os.sep in given else f"beir:{given}"
    name = folder.resolve().name if folder.is_dir() else folder.name
    if name == "sample":
        raise UserError('--collection: a folder named "sample" would take the embedded sample\'s place; rename it')
    if problem := collection_name_problem(name):
        raise UserError(f"--collection: {problem}; rename it")
    settings = profile.collection.model_copy(update={"name": name, "source": source})
    return profile.model_copy(update={"collection": settings})


def with_imported_runs(profile: Profile, folder: Path) -> Profile:
    """Return the profile with the imported runs that the one saved beside the artifacts names, too."""
    try:
        saved = read_profile(str(folder / PROFILE)).system
    except UserError:
        return profile  # there is none, or it is damaged and will be written anew
    names = {system.name for system in profile.system}
    imported = [system for system in saved if system.kind == "run" and system.name not in names]
    return profile.model_copy(update={"system": [*profile.system, *imported]})


def save_profile(profile: Profile, folder: Path) -> None:
    """Write the profile beside the artifacts that are built with it, for the dashboard and for building again."""
    folder.mkdir(parents=True, exist_ok=True)
    table = profile.model_dump()
    sections = [(table["collection"], "source"), (table["triples"], "source")]
    sections += [(table[name], key) for name in ("doc2query", "finetune") for key in ("base", "model")]
    for section, key in [*sections, *((system, "model") for system in table["system"])]:
        if Path(section[key]).is_absolute():  # no path of this machine goes into an artifact
            section[key] = Path(os.path.relpath(section[key], ROOT)).as_posix()
    write_text(folder / PROFILE, with_own_digest(table))


def run(main: Callable[[], None]) -> None:
    """Run a command line's main function; a user's mistake becomes one sentence and exit status 2."""
    try:
        main()
    except UserError as error:
        sys.exit(_fail(f"error: {error}", 2))
    except KeyboardInterrupt:
        sys.exit(_fail("interrupted; the same command goes on from here", 130))
    except OSError as error:
        sys.exit(_fail(f"error: {error.strerror or error}: {error.filename or 'writing an artifact'}", 2))


def note(message: str) -> None:
    """Tell the user something that is no error."""
    print(f"note: {message}", file=sys.stderr)


def _fail(message: str, status: int) -> int:
    print(message, file=sys.stderr)
    return status
