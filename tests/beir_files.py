"""A collection of three documents and two topics in the BEIR layout: file -> content."""

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
