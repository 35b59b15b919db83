"""Score predicted queries with stronger systems, as pseudo-labels for fine-tuning: the artifact `pseudo-labels`.

As in GPL (Wang et al., 2022), a T5 generates queries for the documents of the target collection, a teacher scores how
well documents answer them, and the bi-encoder learns these scores. The teacher is a weighted sum of the scores of other
systems (BM25 and larger bi-encoders). The collection's topics and judgments are not used.

The queries of a batch are scored against all of its documents, so that a document is encoded once for many queries. A
batch consists of groups of near neighbours; the other documents in a query's group are its hard negatives.
"""

import json
from collections.abc import Iterator

import numpy as np
from tqdm import tqdm

from core.formats.collections import collection_digests, read_built_collection
from core.formats.documents import CORPUS
from core.formats.predicted_queries import read_expansions
from core.training.pseudo_labels import BATCHES, SCORES, Teacher, first_queries, make_batches, teachers_of
from core.workspace import command_line
from core.workspace.artifacts import read_manifest, value_digest
from core.workspace.errors import UserError
from core.workspace.profile import PseudoLabelSettings
from core.workspace.progress import LoggedArray
from core.workspace.stage import Build, Draft, Stage, Target


def targets(build: Build) -> Iterator[Target[PseudoLabelSettings]]:
    """Yield the pseudo-labels."""
    lexical, dense = teachers_of(build.profile)
    indexes = [*(build.folder.bm25(s.name) for s in lexical), *(build.folder.vectors(s.vectors_name) for s in dense)]
    yield Target(build.folder.pseudo_labels, build.profile.pseudo_labels, (build.folder.predicted_queries, *indexes))


def inputs(build: Build, settings: PseudoLabelSettings) -> dict[str, str]:
    """Return the digests of the documents, the predicted queries, and the teachers' indexes and vectors."""
    folder, (lexical, dense) = build.folder, teachers_of(build.profile)
    digests = collection_digests(folder, CORPUS) | {"doc2query": read_manifest(folder.predicted_queries).digest}
    digests |= {f"bm25/{system.name}": read_manifest(folder.bm25(system.name)).digest for system in lexical}
    return digests | {f"vectors/{s.vectors_name}": read_manifest(folder.vectors(s.vectors_name)).digest for s in dense}


def make(build: Build, settings: PseudoLabelSettings, draft: Draft) -> None:
    """Score the predicted queries of the built collection.

    Raises:
        UserError: if predicted queries, a teacher's artifact or its model are missing, or there are too few documents.
    """
    profile, folder = build.profile, build.folder
    documents = list(read_built_collection(folder).documents)
    expansions = read_expansions(folder)
    usable = [i for i, document in enumerate(documents) if any(expansions.get(document.id, []))]
    queries = {i: first_queries(expansions[documents[i].id], settings.queries) for i in usable}
    lengths = np.array([len(document.full_text) for document in documents])
    distinct = sorted({query for of_document in queries.values() for query in of_document})
    teacher = Teacher(profile, folder, distinct, draft.folder, draft.log, build.device)
    batches = list(make_batches(usable, teacher.vectors, lengths, [d.id for d in documents], settings))
    if not any(not held_out for _, held_out in batches):
        raise UserError(f"{len(usable)} documents with predicted queries are too few for a batch of {settings.batch}")
    scores = LoggedArray(draft / SCORES, len(batches), draft.log)
    with (draft / BATCHES).open("w", encoding="utf-8", newline="\n") as file:
        for number, (members, held_out) in enumerate(tqdm(batches, desc="pseudo-labels", unit="batch")):
            batch = {
                "documents": [documents[i].id for i in members],
                "queries": [queries[i] for i in members],
                "held_out": held_out,
            }
            file.write(json.dumps(batch, ensure_ascii=False) + "\n")
            shard = str(number), number, value_digest(batch)
            if not scores.holds(*shard):
                scores.write(*shard, teacher.score_batch([queries[i] for i in members], members))
    assert scores.array is not None, "there is a batch"
    own_first = scores.array.argmax(axis=3) == np.arange(settings.batch)[:, None]
    draft.facts.update(
        {
            "batches": sum(not held_out for _, held_out in batches),
            "held_out_batches": sum(held_out for _, held_out in batches),
            "queries": len(teacher.row),
            "own_document_first": round(float(own_first.mean()), 4),
        }
    )
    del scores
    teacher.close()


STAGE = Stage(
    "pseudo-labels",
    targets,
    lambda build, settings: settings.model_dump(),
    inputs,
    make,
    recorded="pseudo_labels",
    resume=True,
    in_build=lambda build: False,
)


def main(arguments: list[str] | None = None) -> None:
    """Run `python -m core.pseudo_labels`."""
    command_line.run_stage(STAGE, "pseudo_labels", __doc__, arguments)


if __name__ == "__main__":
    command_line.run(main)
