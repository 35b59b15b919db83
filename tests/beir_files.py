"""Small collections in the BEIR layout: file -> content."""

BEIR_FILES = {
    "corpus.jsonl": (
        '{"_id": "d1", "title": "Masks", "text": "Masks slow the spread.", "metadata": {"doi": "10.1/1"}}\n'
        '{"_id": "d2", "title": "", "text": "Vaccines protect the old."}\n'
        '{"_id": "d3", "title": "Bats", "text": ""}\n'
    ),
    "queries.jsonl": (
        '{"_id": "1", "text": "do masks help?", "metadata": {"query": "masks", "narrative": "Studies of masks."}}\n'
        '{"_id": "2", "text": "who needs vaccines?"}\n'
    ),
    "qrels/test.tsv": "query-id\tcorpus-id\tscore\n1\td1\t2\n1\td2\t0\n2\td2\t1\n",
}
"""Three documents and two topics."""


def of_words(words: list[str]) -> dict[str, str]:
    """Return a collection of 20 documents of five words each, and three topics of a word that the first three hold."""
    documents = "".join(f'{{"_id": "d{n}", "text": "{" ".join(words[n : n + 5])}"}}\n' for n in range(20))
    topics = "".join(f'{{"_id": "{n}", "text": "{words[n]}"}}\n' for n in range(3))
    qrels = "".join(f"{n} 0 d{n} 1\n" for n in range(3))
    return {"corpus.jsonl": documents, "queries.jsonl": topics, "qrels/test.tsv": qrels}
