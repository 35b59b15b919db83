#!/usr/bin/env python3
"""Extend a built collection to any size with short synthetic texts and simulated vectors.

    python scripts/benchmarks/synthetic_collection.py documents NAME --size 1000000    writes artifacts/downloads/NAME
    python -m core.collection --collection artifacts/downloads/NAME    builds it as the collection NAME
    python scripts/benchmarks/synthetic_collection.py vectors NAME     writes artifacts/NAME/vectors/SYSTEM

A text mixes the words of two documents, so that the vocabulary does not grow; a vector is simulated as in
`core.simulate`, independently of the text. Topics and judgments are those of the built collection, so that measurements
show the cost of a size and how many judged documents are still retrieved among the added ones.
"""

import argparse
import gzip
import json
import shutil
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
from tqdm import tqdm

from core import encode
from core.formats.collections import QRELS, TOPICS, read_built_collection
from core.formats.documents import CORPUS, Document, StoredDocuments, write_ids
from core.formats.exclusions import EXCLUDED, write_excluded
from core.indexes.simulation import simulate
from core.retrieval.encoder import load_vectors
from core.workspace import command_line
from core.workspace.artifacts import Artifact, writing
from core.workspace.errors import UserError
from core.workspace.profile import find_settings, read_profile
from core.workspace.progress import new_array
from core.workspace.stage import Build
from core.workspace.workspace import CollectionFolder, Workspace

FILE = 100_000
"""Number of documents per file."""


def documents(real: list[Document], size: int, words: int, seed: int) -> Iterator[Document]:
    """Yield the real documents, then synthetic ones of `words` words each, `size` in total."""
    yield from real
    generator = np.random.default_rng(seed)
    vocabularies = [words_of for d in real if (words_of := d.full_text.split())]
    for number in range(len(real), size):
        first, second = (vocabularies[i] for i in generator.integers(0, len(vocabularies), 2))
        chosen = [own[i] for own in (first, second) for i in generator.integers(0, len(own), words // 2)]
        yield Document(f"made-{number}", "", " ".join(chosen))


def write_collection(base: CollectionFolder, folder: Path, size: int, words: int, seed: int) -> None:
    """Write a collection of `size` documents in the BEIR layout, extending the built collection under `base`.

    Raises:
        UserError: if the base has more than `size` documents.
    """
    collection = read_built_collection(base)
    real = list(collection.documents)
    if size < len(real):
        raise UserError(f"--size is {size}, but {base.name} has {len(real)} documents; choose that number or more")
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "corpus").mkdir(parents=True)
    (folder / "qrels").mkdir()
    for name in (TOPICS, QRELS):
        shutil.copyfile(base.collection / name, folder / name)
    write_excluded(folder / EXCLUDED, collection.excluded)
    made = documents(real, size, words, seed)
    for part in tqdm(range(-(-size // FILE)), desc="documents", unit="file"):
        place = folder / "corpus" / f"part-{part:05}.jsonl.gz"
        with gzip.open(place, "wt", encoding="utf-8", compresslevel=1, newline="\n") as file:
            for document in islice(made, FILE):
                entry = {"_id": document.id, "title": document.title, "text": document.text}
                file.write(json.dumps(entry, ensure_ascii=False) + "\n")


def write_vectors(base: CollectionFolder, folder: CollectionFolder, profile: str, system: str, seed: int) -> Artifact:
    """Write the artifact `vectors/<system>` of the built collection under `folder`, simulated from that of `base`."""
    build = Build(read_profile(profile), folder)
    settings = find_settings(build.profile, system)
    stored = StoredDocuments(folder.collection / CORPUS)
    command = (
        f"python scripts/benchmarks/synthetic_collection.py vectors {folder.name} --base {base.name} --seed {seed}"
    )
    target = folder.vectors(system).made_by(command)
    with writing(target, "synthetic", encode.settings(build, settings), encode.inputs(build, settings)) as partial:
        real, _ = load_vectors(base, system)
        rows = new_array(partial / "vectors.npy", (len(stored), real.shape[1]))
        simulate(np.array(real), len(stored), seed, rows)
        rows.flush()
        write_ids(partial / "document_ids.json", (document.id for document in stored))
    return target


def main() -> None:
    """Make the documents or the vectors."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=("documents", "vectors"))
    parser.add_argument("name", help="name of the new collection")
    parser.add_argument("--size", type=int, default=10_000, help="total number of documents, including the base's")
    parser.add_argument("--words", type=int, default=60, help="words per synthetic text (default: 60, as in passages)")
    parser.add_argument("--base", default="sample", help="name of a built collection (default: sample)")
    parser.add_argument("--profile", default="sample", help="the profile with the system")
    parser.add_argument("--system", default="all-MiniLM-L6-v2", help="the dense system whose vectors are simulated")
    parser.add_argument("--seed", type=int, default=13)
    options = parser.parse_args()
    workspace = Workspace.default()
    base = workspace.collection(options.base)
    if options.verb == "documents":
        folder = workspace.downloads / options.name
        write_collection(base, folder, options.size, options.words, options.seed)
        print(folder)
    else:
        made = workspace.collection(options.name)
        print(write_vectors(base, made, options.profile, options.system, options.seed))


if __name__ == "__main__":
    command_line.run(main)
