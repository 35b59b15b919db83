"""Creation of the project's environment `.venv`, using only Python's standard library."""

import hashlib
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / ".venv"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
"""Names under which a browser for tests and screenshots may be on the PATH."""
HNSWLIB_INSTEAD = "chroma-hnswlib==0.7.6"
"""The same library under another name, with wheels (Python 3.10 to 3.12) for machines without a C++ compiler."""


def find_browser() -> str | None:
    """Return the path of Chromium or Chrome, or None."""
    return next((path for path in map(shutil.which, BROWSERS) if path), None)


def python() -> Path:
    """Return the environment's interpreter."""
    return FOLDER / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def ensure(*requirement_files: Path) -> Path:
    """Install the requirements into the environment, which is quick if they are there, and return its interpreter."""
    if not (3, 10) <= sys.version_info[:2] <= (3, 13):
        sys.exit(f"RankScope needs Python 3.10 to 3.13, and this is {sys.version.split()[0]}")
    stamp = FOLDER / "requirements.sha256"
    wanted = hashlib.sha256(b"".join(file.read_bytes() for file in requirement_files)).hexdigest()
    known = stamp.read_text().split() if stamp.is_file() else []
    if wanted in known and python().is_file():
        return python()
    if not python().is_file():
        print("Creating the environment .venv (only once; takes some minutes) ...", flush=True)
        venv.create(FOLDER, with_pip=True, clear=FOLDER.exists())
    for file in requirement_files:
        _install(file)
    stamp.write_text("\n".join([*known, wanted]))
    return python()


def _install(file: Path) -> None:
    """Install a requirements file, with hnswlib, which may need a compiler, separately."""
    lines = file.read_text(encoding="utf-8").splitlines()
    hnswlib = [line for line in lines if line.startswith("hnswlib==")]
    others = FOLDER / "requirements-but-hnswlib.txt"
    others.write_text("\n".join(line for line in lines if line not in hnswlib), encoding="utf-8")
    if _pip("install", "--requirement", str(others)):
        sys.exit("The packages could not be installed (see pip's messages above); fix the cause and start again.")
    if not hnswlib:
        return
    if _pip("install", "--quiet", hnswlib[0], quiet=True) == 0:
        return
    if _pip("install", "--quiet", "--only-binary=:all:", HNSWLIB_INSTEAD, quiet=True) == 0:
        print(f"{hnswlib[0]} could not be built (no C++ compiler?); installed {HNSWLIB_INSTEAD}, the same library.")
        return
    print(
        f"Neither {hnswlib[0]} (no C++ compiler?) nor {HNSWLIB_INSTEAD} can be installed; "
        "everything except the hnswlib index will work."
    )


def _pip(*arguments: str, quiet: bool = False) -> int:
    command = [str(python()), "-m", "pip", "--disable-pip-version-check", *arguments]
    sink = subprocess.DEVNULL if quiet else None
    return subprocess.run(command, stdout=sink, stderr=sink, check=False).returncode
