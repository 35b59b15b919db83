"""Reading of the ablations that `core.ablations` makes."""

import pandas as pd

from core.workspace.artifacts import Artifact, Manifest, read_whole

FILE = "ablations.csv"


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """Return one row per variant: means over its seeds, and their spread (standard deviation).

    Args:
        rows: the table of the artifact.
    """
    grouped = rows.groupby("variant", sort=False)
    table = pd.DataFrame({"seeds": grouped.size(), "rows": grouped["rows"].first()})
    for measure in ("MRR@10", "nDCG@10"):
        table[f"{measure} before"] = grouped[f"{measure} before"].mean()
        table[measure] = grouped[measure].mean()
        table[f"{measure} spread"] = grouped[measure].std(ddof=1)
    table = table.assign(seconds=grouped["seconds"].mean())
    return table.rename({"recipe": "default configuration"})


def read_ablations(artifact: Artifact) -> tuple[pd.DataFrame, Manifest]:
    """Read the table of ablations, one row per variant and seed, and its manifest.

    Raises:
        UserError: if it is missing or damaged.
    """
    return read_whole(artifact, lambda manifest: (pd.read_csv(artifact / FILE), manifest))
