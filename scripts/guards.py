#!/usr/bin/env python3
"""Write collections that show what a fine-tuning costs elsewhere, in the BEIR layout, from a file of MS MARCO triples.

    python scripts/guards.py --triples msmarco_triples.train.tiny.tsv --to guards/
    python scripts/build.py --profile guards --collection guards/msmarco-hard
    python scripts/build.py --profile guards --collection guards/web-sentences
    python scripts/build.py --profile guards --collection scifact --split train --name scifact-train
    python -m core.compare table msmarco-hard

`msmarco-hard`: the held-out queries search all distinct passages of the triples, among them the near misses that were
mined for them. `web-sentences`: a sentence of a passage searches the passages without that sentence (inverse cloze
task, Lee et al., 2019), web pages on any subject. Say before a training what may be lost on them.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from core.formats.triples import Triple, is_held_out, read_triples, split_by_query
from core.workspace import command_line
from core.workspace.profile import TriplesSettings

SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z])")
WORDS = range(6, 30)
"""Numbers of words of a sentence that searches."""


def write_collection(
    folder: Path, documents: dict[str, str], queries: dict[str, str], qrels: Iterable[tuple[str, str]]
) -> None:
    """Write a collection: texts by id, and (query, relevant document) pairs."""
    (folder / "qrels").mkdir(parents=True, exist_ok=True)
    for name, texts in (("corpus", documents), ("queries", queries)):
        lines = (json.dumps({"_id": key, "text": text}, ensure_ascii=False) + "\n" for key, text in texts.items())
        (folder / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8", newline="\n")
    judged = "".join(f"{query}\t{document}\t1\n" for query, document in qrels)
    (folder / "qrels" / "test.tsv").write_text(f"query-id\tcorpus-id\tscore\n{judged}", encoding="utf-8", newline="\n")
    print(f"{folder}: {len(documents):,} documents, {len(queries):,} queries")


def hard(triples: list[Triple], held_out: float, folder: Path) -> None:
    """Write the held-out queries over all distinct passages of the triples."""
    ids: dict[str, str] = {}
    for triple in triples:
        for passage in (triple.relevant, triple.not_relevant):
            ids.setdefault(passage, f"p{len(ids)}")
    _, chosen = split_by_query(triples, held_out)
    queries: dict[str, str] = {}
    for triple in chosen:
        queries.setdefault(triple.query, f"q{len(queries)}")
    pairs = dict.fromkeys((queries[triple.query], ids[triple.relevant]) for triple in chosen)
    texts = {name: passage for passage, name in ids.items()}
    write_collection(folder, texts, {name: query for query, name in queries.items()}, pairs)


def sentences(triples: list[Triple], share: float, folder: Path) -> None:
    """Write passages of which a share, drawn by hash, lost the sentence that searches them."""
    documents: dict[str, str] = {}
    queries: dict[str, str] = {}
    pairs = []
    for passage in dict.fromkeys(passage for t in triples for passage in (t.relevant, t.not_relevant)):
        name, parts = f"p{len(documents)}", SENTENCE.split(passage)
        found = [n for n, sentence in enumerate(parts[1:-1], 1) if len(sentence.split()) in WORDS]
        documents[name] = passage
        if found and is_held_out(passage, share):
            asked = found[len(found) // 2]
            documents[name] = " ".join(parts[:asked] + parts[asked + 1 :])
            queries[f"s{name[1:]}"] = parts[asked]
            pairs.append((f"s{name[1:]}", name))
    write_collection(folder, documents, queries, pairs)


def main(arguments: list[str] | None = None) -> None:
    """Write both collections."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--triples", type=Path, required=True, metavar="FILE", help="MS MARCO triples")
    parser.add_argument("--to", type=Path, required=True, metavar="DIR", help="folder of the collections")
    parser.add_argument("--share", type=float, default=0.05, help="share of passages that are searched by a sentence")
    options = parser.parse_args(arguments)
    triples = read_triples(options.triples)
    hard(triples, TriplesSettings().held_out, options.to / "msmarco-hard")
    sentences(triples, options.share, options.to / "web-sentences")


if __name__ == "__main__":
    command_line.run(main)
