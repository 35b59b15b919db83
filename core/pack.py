"""Write one archive of a built collection, to be opened on another machine with `rankscope open`.

    python -m core.pack trec-covid --to trec-covid.zip
    python -m core.pack trec-covid --to trec-covid.zip --without texts,vectors
    python -m core.pack trec-covid --to trec-covid.zip --with hub-models

The archive is a zip file with the artifacts, their manifests, the profile, and the models that were trained here. It
does not contain paths of this machine. Parts that can be left out, for their size or their licence:

    texts               titles and texts of the documents; indexes still hold their words, without the order
    predicted-queries   the queries that doc2query predicted
    vectors             document vectors: without them dense systems answer no new queries
    models              weights of the models that were trained here

Figures, ids, ranks and latencies are always included. Models from the hub are included with `--with hub-models`, and
the T5 that predicted the queries with `--with t5`.
"""

import argparse
import time
from pathlib import Path

from core.workspace import command_line
from core.workspace.archive import PARTS
from core.workspace.artifacts import free_bytes
from core.workspace.errors import UserError
from core.workspace.packing import Contents, contents, estimate, write_archive
from core.workspace.workspace import Workspace

MORE = ("hub-models", "t5")
"""What --with adds."""


def summary(packed: Contents) -> str:
    """Return a sentence on the contents of an archive."""
    index = packed.index
    included = [name for name, model in index.models.items() if model.included]
    others = [name for name, model in index.models.items() if not model.included]
    lines = [f"{len(packed.members)} files, {packed.size / 1e6:,.1f} MB"]
    lines += [f"without {', '.join(index.without)}"] if index.without else []
    lines += [f"with the models {', '.join(included)}"] if included else []
    lines += [f"models to be provided on the other machine: {', '.join(others)}"] if others else []
    return "; ".join(lines)


def main(arguments: list[str] | None = None) -> None:
    """Run `python -m core.pack`."""
    parser = argparse.ArgumentParser(
        prog="python -m core.pack", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("collection", help="name of a built collection")
    parser.add_argument("--to", required=True, type=Path, metavar="FILE", help="the archive, such as trec-covid.zip")
    parser.add_argument(
        "--without", type=command_line.names, default=[], metavar="PARTS", help=f"comma-separated: {', '.join(PARTS)}"
    )
    parser.add_argument(
        "--with", dest="more", type=command_line.names, default=[], metavar="MORE", help=f"any of {', '.join(MORE)}"
    )
    command_line.add_models_option(parser)
    parser.add_argument("--replace", action="store_true", help="replace the file if it exists")
    options = parser.parse_args(arguments)
    if unknown := [name for name in options.more if name not in MORE]:
        raise UserError(f"--with {unknown[0]}: unknown; use {', '.join(MORE)}")
    command_line.use_models(options.models)
    folder = Workspace.default().collection(options.collection)
    packed = contents(folder, options.without, "hub-models" in options.more, "t5" in options.more)
    print(summary(packed))
    expected = estimate(packed)
    print(f"estimate: an archive of {expected.bytes / 1e6:,.1f} MB in {expected.seconds:,.0f} s")
    if (free := free_bytes(options.to.absolute().parent)) < expected.bytes:
        raise UserError(
            f"{options.to} needs about {expected.bytes / 1e6:,.0f} MB, but only {free / 1e6:,.0f} MB are free"
        )
    started = time.perf_counter()
    size = write_archive(packed, options.to, options.replace)
    print(f"{options.to}: {size / 1e6:,.1f} MB in {time.perf_counter() - started:,.0f} s")
    print(f"open it on another machine with rankscope open {options.to.name} (or python -m core.open)")


if __name__ == "__main__":
    command_line.run(main)
