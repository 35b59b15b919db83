#!/usr/bin/env python3
"""Copy a system's ANN sweeps to the reference sweeps that are shipped with RankScope: figures alone, no texts.

python -m core.ann --profile P --systems all-MiniLM-L6-v2                  # the collection itself
python -m core.ann --profile P --systems all-MiniLM-L6-v2 --size 171332    # and further sizes
python scripts/tables/reference_sweeps.py --profile P --system all-MiniLM-L6-v2 --about "all-MiniLM-L6-v2 on TREC-COVID"

The files go to core/evaluation/reference_sweeps/<number of documents>; a sweep of the same size is replaced. The time
to encode a query is that of the system's run, which must have been made on the same machine.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from core.evaluation.ann_answer import own_sweeps
from core.evaluation.ann_sweep import SWEEP, read_measurements, sweeps_of
from core.evaluation.ann_tables import size_label
from core.evaluation.reference_sweeps import reference_sweep
from core.evaluation.sweep_rows import write_rows
from core.workspace import command_line
from core.workspace.artifacts import read_manifest, writing

COPIED = ("documents", "dimension", "queries", "threads", "distinct_vectors", "intrinsic_dimension")
"""Facts of a sweep that its reference sweep has, too."""
ORIGINS = {"simulated": "simulated from the", "random sample": "sampled from the"}


def main(arguments: list[str] | None = None) -> None:
    """Copy every sweep of a system, or those of the given sizes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    command_line.add_profile_options(parser)
    parser.add_argument("--system", required=True, help="the dense system")
    parser.add_argument("--about", required=True, help="model and collection of the vectors, for readers")
    parser.add_argument("--note", default="", help="what else affects the figures, such as other load on the machine")
    parser.add_argument("--sizes", help="comma-separated numbers of documents (default: all that were measured)")
    options = parser.parse_args(arguments)
    _, folder = command_line.profile_and_folder(options)
    encoding = own_sweeps(folder, options.system, simulated=False).encoding
    own = read_manifest(folder.sweep(options.system)).facts["documents"]
    sizes = {int(size) for size in options.sizes.split(",")} if options.sizes else None
    for sweep in sweeps_of(folder, options.system):
        rows, manifest = read_measurements(sweep), read_manifest(sweep)
        size = manifest.facts["documents"]
        if sizes is not None and size not in sizes:
            continue
        facts = {name: manifest.facts[name] for name in COPIED if name in manifest.facts}
        origin = "" if size == own else f"{ORIGINS[size_label(size, own)]} {own:,} "
        vectors = f"{size:,} vectors {origin}of {options.about}, {facts['dimension']} dimensions"
        facts |= {"vectors": vectors, "host": manifest.host, "measured": manifest.finished, "made by": manifest.command}
        facts |= {"encoding_milliseconds": round(encoding, 3)} if encoding is not None else {}
        facts |= {"note": options.note} if options.note else {}
        inputs = {"sweep": manifest.digest} | manifest.inputs
        place = reference_sweep(size)
        with writing(place, "reference-sweep", manifest.settings, inputs, facts) as draft:
            write_rows(draft / SWEEP, (row.model_copy(update={"ndcg": None, "missed": None}) for row, _ in rows))
        print(place.shown)


if __name__ == "__main__":
    command_line.run(main)
