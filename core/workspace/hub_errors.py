"""Why a repository of the Hugging Face hub could not be downloaded, and what to do, in one clause."""

import errno


def why_unavailable(kind: str, name: str, error: Exception) -> str:
    """Return the clause for an exception of huggingface_hub.

    Args:
        kind: "model" or "data set".
        name: of the repository, "OWNER/NAME".
    """
    from huggingface_hub import constants
    from huggingface_hub.errors import (
        DisabledRepoError,
        GatedRepoError,
        RemoteEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    page = f"{constants.ENDPOINT}/{'' if kind == 'model' else 'datasets/'}{name}"
    could_not = f"the {kind} {name} could not be downloaded from the hub"
    if isinstance(error, GatedRepoError):
        return f"the {kind} {name} is gated: accept its conditions at {page} and set HF_TOKEN to a token of yours"
    if isinstance(error, RepositoryNotFoundError | DisabledRepoError):
        return (
            f"the hub has no {kind} {name}, or it is private: correct the name, or set HF_TOKEN to a token that may "
            "read it"
        )
    if isinstance(error, RevisionNotFoundError | RemoteEntryNotFoundError):  # the history was rewritten
        return f"{could_not}, as its files changed meanwhile: run the command again"
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return (
            f"{could_not}, as the disk of {constants.HF_HUB_CACHE} is full: free some space, or set HF_HOME to a "
            "folder on another disk"
        )
    return f"{could_not} ({type(error).__name__}): check the connection and run the command again to resume"
