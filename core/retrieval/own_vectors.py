"""Dense systems whose vectors were made elsewhere (`vectors` and `topic_vectors` in a profile).

The artifact `vectors/<system>` then holds the topics' vectors, too, which stand in for a model in the batch run. Other
queries need the model that made the vectors, if it runs here.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from core.formats.collections import TOPICS, collection_digests, read_built_collection, read_built_topics
from core.formats.documents import CORPUS, read_ids, write_ids
from core.formats.own_vectors import open_vectors, vectors_digest, write_arranged
from core.workspace.artifacts import Manifest, read_whole
from core.workspace.errors import UserError
from core.workspace.profile import Profile, SystemSettings
from core.workspace.workspace import CollectionFolder

TOPIC_VECTORS, TOPIC_IDS = "topic_vectors.npy", "topic_ids.json"


def inputs(folder: CollectionFolder, system: SystemSettings) -> dict[str, str]:
    """Return the digests of documents, topics and the files of vectors; "" for a file that is not on this machine."""
    located = folder.workspace.located
    digests = collection_digests(folder, CORPUS) | {"file of vectors": vectors_digest(located(system.vectors))}
    if not system.topic_vectors:
        return digests
    topics = {"file of topic vectors": vectors_digest(located(system.topic_vectors))}
    return digests | collection_digests(folder, TOPICS) | topics


def write_own_vectors(
    profile: Profile, folder: CollectionFolder, system: SystemSettings, target: Path
) -> dict[str, Any]:
    """Write the vectors of documents and topics in the collection's order, and return facts about them.

    Raises:
        UserError: if a file is missing or damaged, lacks a document or a topic, or has values that are not allowed, or
            the dimensions of documents and topics differ.
    """
    located, nonzero = folder.workspace.located, system.similarity == "cosine"
    collection = read_built_collection(folder)
    documents, source = [document.id for document in collection.documents], located(system.vectors)
    dimension = open_vectors(source)[0].shape[1]
    left_out = write_arranged(source, target / "vectors.npy", documents, "documents", nonzero)
    write_ids(target / "document_ids.json", documents)
    facts = {"documents": len(documents), "dimension": dimension, "vectors_left_out": left_out, "file": source.name}
    if not system.topic_vectors:
        return facts
    of_topics, topics = located(system.topic_vectors), [topic.id for topic in collection.topics]
    if (width := open_vectors(of_topics)[0].shape[1]) != dimension:
        raise UserError(f"{of_topics.name} has {width} dimensions, but {source.name} has {dimension}")
    write_arranged(of_topics, target / TOPIC_VECTORS, topics, "topics", nonzero)
    write_ids(target / TOPIC_IDS, topics)
    return facts


def given_queries(profile: Profile, folder: CollectionFolder, system: SystemSettings) -> dict[str, np.ndarray]:
    """Return the texts of the topics whose vectors are given, each with its vector, float32 [dimension].

    Raises:
        UserError: if the vectors or the topics are missing or damaged, or topics of one text have different vectors.
    """
    if not system.topic_vectors:
        return {}
    place = folder.vectors(system.vectors_name)

    def read(_: Manifest) -> dict[str, np.ndarray]:
        return dict(zip(read_ids(place / TOPIC_IDS), np.load(place / TOPIC_VECTORS, allow_pickle=False), strict=True))

    by_id, by_text = read_whole(place, read), dict[str, np.ndarray]()
    for topic in read_built_topics(folder)[0]:
        text = topic.text(profile.collection.topic_field)
        if topic.id in by_id and not np.array_equal(by_text.setdefault(text, by_id[topic.id]), by_id[topic.id]):
            raise UserError(f"{system.name}: topic {topic.id} has another vector than a topic of the same text")
    return by_text


def checked_encoder(load: Callable[[], Any], system: SystemSettings, dimension: int) -> Callable[[], Any]:
    """Return a function that loads the encoder of a system with own vectors for queries whose vectors are not given.

    That function raises a UserError if the system names no model, or one whose vectors have another dimension.
    """

    def load_checked() -> Any:
        if not system.model:
            raise UserError(
                f"{system.name} has the vectors of the topics alone; to answer other queries, name the model that made "
                "them in its setting model"
            )
        encoder = load()
        if (width := encoder.get_embedding_dimension()) != dimension:
            raise UserError(
                f"{system.name}: the vectors of {system.model} have {width} dimensions, but those of the documents "
                f"{dimension}; name the model that made them"
            )
        return encoder

    return load_checked
