"""Export the run of a system with its ir_metadata, and its means as a result of MTEB.

python -m core.export sample fine-tuned --run fine-tuned.run --ir-metadata
python -m core.export trec-covid all-MiniLM-L6-v2 --mteb results/ --task TRECCOVID
"""

import argparse
import gzip
from pathlib import Path

from core.evaluation.measures import evaluate, mean
from core.evaluation.results import Results, saved_profile
from core.formats.mteb_results import MtebResult, write_result
from core.formats.run_metadata import metadata_lines
from core.formats.runs import ranked, trec_lines
from core.workspace import command_line
from core.workspace.artifacts import read_manifest
from core.workspace.errors import UserError
from core.workspace.names import safe_name
from core.workspace.profile import find_settings
from core.workspace.workspace import Workspace

CUTOFFS = (1, 3, 5, 10, 20, 100, 1000)
"""The cut-offs of MTEB's measures."""


def main(arguments: list[str] | None = None) -> None:
    """Run `python -m core.export`."""
    parser = argparse.ArgumentParser(
        prog="python -m core.export", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("collection", metavar="COLLECTION", help="name of a built collection, e.g. sample")
    parser.add_argument("system", metavar="SYSTEM", help="name of a system")
    parser.add_argument("--run", type=Path, metavar="FILE", help="write the run in TREC format; .gz is compressed")
    parser.add_argument("--ir-metadata", action="store_true", help="write the run with its ir_metadata before it")
    parser.add_argument("--mteb", type=Path, metavar="FOLDER", help="write the means to MTEB's folder of results")
    parser.add_argument("--task", metavar="NAME", help="MTEB's name of the task (default: the collection's)")
    options = parser.parse_args(arguments)
    if not (options.run or options.mteb):
        raise UserError("nothing to write: give --run FILE or --mteb FOLDER")
    folder, profile = saved_profile(Workspace.default(), options.collection)
    results = Results(folder, profile)
    settings = find_settings(profile, options.system)
    run = results.run(options.system)
    manifest = read_manifest(folder.run(options.system))
    if options.run:
        method = {"kind": settings.kind} | ({"model": settings.model} if settings.model else {}) | manifest.settings
        lines = metadata_lines(options.system, folder.name, manifest, method) if options.ir_metadata else []
        rankings = ((topic, ranked(by_document)) for topic, by_document in run.scores.items())
        data = "".join([*(f"{line}\n" for line in lines), *trec_lines(options.system, rankings)]).encode()
        options.run.write_bytes(gzip.compress(data, mtime=0) if options.run.suffix == ".gz" else data)
        print(options.run)
    if options.mteb:
        names = [f"{family}@{k}" for family in ("nDCG", "AP", "R", "P", "RR") for k in CUTOFFS]
        values = evaluate(run.scores, results.qrels, names)
        means = {name: mean(by_topic) for name, by_topic in values.items()}
        model = settings.model if settings.model and not settings.model.startswith("artifacts/") else settings.name
        revision = safe_name(str(manifest.digest[:12]))
        about = {"mteb_dataset_name": folder.name, "evaluation_time": manifest.seconds, "kg_co2_emissions": None}
        result = MtebResult(options.task or folder.name, profile.collection.split, model, means)
        print(write_result(options.mteb, result, revision, about))


if __name__ == "__main__":
    command_line.run(main)
