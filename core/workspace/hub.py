"""Data sets of the Hugging Face hub, named in profiles as "hub:OWNER/NAME" or "hub:OWNER/NAME@REVISION".

Files are downloaded by huggingface_hub into its own cache, from the server that HF_ENDPOINT names. It resumes a file
whose connection breaks, several times; another call repeats only unfinished files. Files that were downloaded by hand
are taken from `downloads/OWNER--NAME` instead.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from core.workspace.errors import UserError
from core.workspace.hub_errors import why_unavailable
from core.workspace.workspace import Workspace

PREFIX = "hub:"
LONGEST_LICENCE = 80


@dataclass(frozen=True)
class HubDataSet:
    """A data set of the hub.

    Attributes:
        name: its name, "OWNER/NAME".
        revision: a branch, tag or commit; "" for the main branch.
    """

    name: str
    revision: str = ""

    @classmethod
    def of(cls, source: str) -> "HubDataSet":
        """Return the data set that a source in a profile names; see `core.workspace.names.hub_source_problem`."""
        name, _, revision = source.removeprefix(PREFIX).partition("@")
        return cls(name, revision)

    def __str__(self) -> str:
        return f"{self.name}@{self.revision}" if self.revision else self.name

    def by_hand(self, workspace: Workspace) -> Path:
        """Return the folder for files that are downloaded by hand."""
        return workspace.downloads / str(self).replace("/", "--")


def find_data_set(workspace: Workspace, wanted: HubDataSet, patterns: Sequence[str]) -> Path | None:
    """Return the folder of a data set's files if all of them are on this machine, or None; never uses the network.

    Args:
        patterns: of the names of the files, as in `fnmatch`.
    """
    if wanted.by_hand(workspace).is_dir():
        return wanted.by_hand(workspace)
    from huggingface_hub.errors import HFValidationError

    try:
        return _snapshot(wanted, patterns, local_files_only=True)
    except (OSError, HFValidationError):
        return None


def locate_data_set(workspace: Workspace, wanted: HubDataSet, patterns: Sequence[str]) -> Path:
    """Return the folder of a data set's files, downloading them if they are not on this machine.

    Args:
        patterns: of the names of the files, as in `fnmatch`.

    Raises:
        UserError: if they cannot be downloaded; the message names the folder to put them in.
    """
    if folder := find_data_set(workspace, wanted, patterns):
        return folder
    from huggingface_hub import constants
    from huggingface_hub.errors import RevisionNotFoundError

    page = f"{constants.ENDPOINT}/datasets/{wanted.name}"
    otherwise = f"or download its files by hand and put them in {wanted.by_hand(workspace)}"
    try:
        return _snapshot(wanted, patterns)
    except Exception as error:  # the hub client raises a dozen types
        if isinstance(error, RevisionNotFoundError) and wanted.revision:
            raise UserError(
                f"the data set {wanted.name} has no revision {wanted.revision}: choose one of those at {page}"
            ) from None
        raise UserError(f"{why_unavailable('data set', wanted.name, error)}, {otherwise}") from None


def commit_of(folder: Path) -> str:
    """Return the commit of a downloaded data set, "" for files that were put there by hand."""
    return folder.name if folder.parent.name == "snapshots" else ""


def licence_of(folder: Path) -> str:
    """Return the licence that a data set's card states, such as "cc-by-sa-4.0", or "" if it states none."""
    from huggingface_hub import DatasetCard

    try:
        return str(DatasetCard.load(folder / "README.md").data.license or "")[:LONGEST_LICENCE]
    except Exception:  # no card, or one that is not YAML
        return ""


def _snapshot(wanted: HubDataSet, patterns: Sequence[str], local_files_only: bool = False) -> Path:
    from huggingface_hub import snapshot_download

    return Path(
        snapshot_download(
            wanted.name,
            repo_type="dataset",
            revision=wanted.revision or None,
            allow_patterns=list(patterns),
            local_files_only=local_files_only,
        )
    )
