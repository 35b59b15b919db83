"""The map of a collection: documents in two dimensions, their clusters with distinctive terms, nearest neighbours.

Clusters are those of k-means (Lloyd, 1982) in the full vectors, since two dimensions preserve little of several
hundred. A cluster is named by the terms that distinguish its most central documents from those of the others.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from core.evaluation.rank_tables import document_title, titles_of
from core.evaluation.results import Results
from core.evaluation.table_formats import Table
from core.formats.documents import Document
from core.indexes.exact import ExactIndex
from core.retrieval.analyzer import Analyzer, open_analyzer
from core.retrieval.backends import searched_vectors
from core.retrieval.kinds import open_system
from core.retrieval.projection import BLOCK, Projection, evenly_spaced, fit_projection, scaled
from core.workspace.errors import UserError
from core.workspace.profile import find_settings

MOST_CLUSTERS = 12
"""Number of clusters; more labels would overlap."""
SMALLEST_CLUSTER = 25
"""Mean number of documents per cluster below which there are fewer clusters."""
MOST_CLUSTERED = 5_000
"""Number of vectors that the centres of clusters are computed from, evenly spaced if there are more."""
CENTRAL = 100
"""Number of documents next to the centre of a cluster whose terms name it."""
TERMS = 3
"""Number of terms in the name of a cluster."""
SEED = 13


@dataclass(frozen=True)
class DocumentMap:
    """The documents of a dense system in two dimensions.

    Attributes:
        documents: the ids of the documents.
        projection: the plane; a query's point is `projection.points` of its vector.
        points: float32 [n, 2].
        clusters: the number of each document's cluster, int64 [n]; the largest cluster is 0.
        central: the ids of the most central documents of each cluster, the nearest to its centre first.
        names: the name of each cluster; empty if there are too few documents for clusters.
    """

    documents: list[str]
    projection: Projection
    points: np.ndarray
    clusters: np.ndarray
    central: list[list[str]]
    names: list[str]


def make_map(
    vectors: np.ndarray,
    documents: list[str],
    similarity: str,
    texts: Mapping[str, Document],
    analyzer: Analyzer,
) -> DocumentMap:
    """Return the map of documents.

    Args:
        vectors: float32 [n, dimension], which may be memory-mapped.
        texts: the documents by id; clusters are numbered if their texts are not here.
        analyzer: splits texts into terms.
    """
    projection = fit_projection(vectors, similarity)
    number, distances = cluster(vectors, similarity)
    central = []
    for each in range(int(number.max(initial=-1)) + 1):
        members = np.flatnonzero(number == each)
        nearest = members[np.argsort(distances[members], kind="stable")[:CENTRAL]]
        central.append([documents[position] for position in nearest.tolist()])
    terms = distinctive_terms([[texts[d].full_text for d in some if d in texts] for some in central], analyzer)
    names = [", ".join(some) or f"cluster {place}" for place, some in enumerate(terms, 1)]
    return DocumentMap(documents, projection, projection.points(vectors), number, central, names)


def cluster(vectors: np.ndarray, similarity: str) -> tuple[np.ndarray, np.ndarray]:
    """Return each vector's cluster, int64 [n], and its distance to the centre, float32 [n]; -1 if there are too few.

    In a larger collection the centres are those of `MOST_CLUSTERED` vectors. The largest cluster is 0.
    """
    from sklearn.cluster import KMeans  # takes most of a second, which other figures need not wait for

    wanted = min(MOST_CLUSTERS, len(vectors) // SMALLEST_CLUSTER)
    number, distances = np.full(len(vectors), -1), np.zeros(len(vectors), np.float32)
    rows = scaled(evenly_spaced(vectors, MOST_CLUSTERED), similarity)
    if wanted < 2 or np.ptp(rows, axis=0).max() == 0:
        return number, distances
    found = KMeans(wanted, n_init=3, random_state=SEED).fit(rows)
    for begin in range(0, len(vectors), BLOCK):
        to_centres = found.transform(scaled(vectors[begin : begin + BLOCK], similarity))
        number[begin : begin + BLOCK] = to_centres.argmin(axis=1)
        distances[begin : begin + BLOCK] = to_centres.min(axis=1)
    order = np.argsort(-np.bincount(number, minlength=wanted), kind="stable")
    places = np.empty(wanted, dtype=np.int64)
    places[order] = np.arange(wanted)
    return places[number], distances


def distinctive_terms(classes: Sequence[Sequence[str]], analyzer: Analyzer, count: int = TERMS) -> list[list[str]]:
    """Return the terms that distinguish each class of texts from all of them, in their most frequent spelling.

    These have the largest p(t | c) * ln(p(t | c) / p(t)), the contribution of a term to the divergence of the class
    from all classes (as in Carmel et al., 2009, with the Kullback-Leibler in place of the Jensen-Shannon divergence).
    p(t | c) is the share of the class's texts with the term, so that one long text cannot name a class. Numbers are no
    names.
    """
    counts: list[Counter[str]] = []
    spellings: dict[str, Counter[str]] = {}
    sizes = []
    for texts in classes:
        of_class: Counter[str] = Counter()
        for text in texts:
            spelled = {token: text[begin:end] for token, begin, end in analyzer.spans(text) if not token.isnumeric()}
            of_class.update(spelled.keys())
            for token, spelling in spelled.items():
                spellings.setdefault(token, Counter())[spelling.casefold()] += 1
        counts.append(of_class)
        sizes.append(len(texts))
    total: Counter[str] = sum(counts, Counter())
    named = []
    for of_class, size in zip(counts, sizes, strict=True):
        weights = {
            token: times / size * math.log(times / size * sum(sizes) / total[token])
            for token, times in of_class.items()
        }
        best = sorted(weights, key=lambda token: (-weights[token], token))[:count]
        named.append([spellings[token].most_common(1)[0][0] for token in best])
    return named


def neighbours(vectors: np.ndarray, similarity: str, position: int, count: int) -> list[tuple[int, float]]:
    """Return the (position, similarity) of the documents whose vectors are most similar to one document's."""
    index = ExactIndex(similarity)
    index.build(vectors)
    positions, similarities = index.search(np.asarray(vectors[position : position + 1]), min(count + 1, len(vectors)))
    found = zip(positions[0].tolist(), similarities[0].tolist(), strict=True)
    return [(other, value) for other, value in found if other != position][:count]


# Tables


def neighbours_table(
    found: Sequence[tuple[str, float]], titles: Mapping[str, str], document: str, label: str, collection: str
) -> Table:
    """Return the nearest documents of a document.

    Args:
        found: (document, similarity) pairs, the most similar first.
        titles: the names of the documents, see `core.evaluation.rank_tables.titles_of`.
    """
    rows = [(rank, value, titles[name], name) for rank, (name, value) in enumerate(found, 1)]
    table = pd.DataFrame(rows, columns=["rank", "similarity", "title", "document"]).set_index("rank")
    return Table(table, f"{collection}: documents whose vectors are most similar to that of {document}, {label}")


def clusters_table(mapped: DocumentMap, texts: Mapping[str, Document], label: str, collection: str) -> Table:
    """Return the clusters of a map: number of documents, mean point, and the most central document."""
    rows = []
    for number, (name, central) in enumerate(zip(mapped.names, mapped.central, strict=True)):
        members = mapped.clusters == number
        x, y = mapped.points[members].mean(axis=0).tolist()
        rows.append((name, int(members.sum()), x, y, document_title(texts.get(central[0]), central[0]), central[0]))
    columns = ["cluster", "documents", "PC 1", "PC 2", "most central document", "document"]
    table = pd.DataFrame(rows, columns=columns).set_index("cluster")
    said = f"Not clustered: there are fewer than {2 * SMALLEST_CLUSTER} documents."
    return Table(table, f"{collection}: clusters of the vectors of {label}", sentences=[] if rows else [said])


def points_table(mapped: DocumentMap, label: str, collection: str) -> Table:
    """Return the point and the cluster of every document."""
    table = pd.DataFrame(mapped.points, columns=["PC 1", "PC 2"], index=pd.Index(mapped.documents, name="document"))
    table["cluster"] = [mapped.names[number] if number >= 0 else "" for number in mapped.clusters.tolist()]
    first, second = mapped.projection.shares.tolist()
    said = f"PC 1 explains {first:.1%} of the variance, PC 2 {second:.1%}."
    return Table(table, f"{collection}: map of the vectors of {label}", sentences=[said])


# Figures


def document_points(results: Results, system: str = "") -> Table:
    """The map of the documents: the point of every document in two dimensions, and its cluster."""
    name = dense_system(results, system)
    return points_table(_map(results, name), results.labels[name], results.folder.name)


def document_clusters(results: Results, system: str = "") -> Table:
    """The clusters of the documents by their vectors, each with its distinctive terms and most central document."""
    name = dense_system(results, system)
    return clusters_table(_map(results, name), results.documents, results.labels[name], results.folder.name)


def document_neighbours(
    results: Results, document: str = "", query: str = "", system: str = "", depth: int = 10
) -> Table:
    """The documents whose vectors are most similar to that of a document or a query."""
    if bool(document) == bool(query):
        raise UserError("name either a document with --document or a query with --query")
    name = dense_system(results, system)
    settings, label, collection = find_settings(results.profile, name), results.labels[name], results.folder.name
    if query:
        live = open_system(results.profile, settings, results.folder)
        found = live.search([query], depth)[0].hits
    else:
        vectors, ids = searched_vectors(results.folder, settings)
        if document not in ids:
            raise UserError(f"{collection} has no document {document} with a vector of {name}")
        nearest = neighbours(vectors, settings.similarity, ids.index(document), depth)
        found = [(ids[place], value) for place, value in nearest]
    titles = titles_of(results.documents, [one for one, _ in found])
    return neighbours_table(found, titles, document or f"the query “{query}”", label, collection)


def dense_system(results: Results, system: str) -> str:
    """Return the named dense system, by default the first.

    Raises:
        UserError: if the collection has no dense system, or none of that name.
    """
    dense = results.profile.encoded
    if not dense:
        raise UserError(f"{results.folder.name} has no dense system, so there are no vectors to map")
    if system and system not in dense:
        raise UserError(f"{results.folder.name} has no dense system {system}; it has {', '.join(dense)}")
    return system or dense[0]


def _map(results: Results, system: str) -> DocumentMap:
    settings = find_settings(results.profile, system)
    vectors, ids = searched_vectors(results.folder, settings)
    return make_map(vectors, ids, settings.similarity, results.documents, open_analyzer(results.profile.analyzer))
