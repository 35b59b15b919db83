"""The collections that guard a fine-tuning."""

import json

from core.formats.triples import Triple, is_held_out
from scripts import guards


def read(folder, name):
    lines = (folder / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    return {entry["_id"]: entry["text"] for entry in map(json.loads, lines)}


def judged(folder):
    lines = (folder / "qrels" / "test.tsv").read_text().splitlines()[1:]
    return [tuple(line.split("\t")[:2]) for line in lines]


def test_held_out_queries_search_all_passages(tmp_path):
    triples = [Triple(f"query {n // 2}", f"relevant {n}", f"other {n % 7}") for n in range(200)]
    guards.hard(triples, 0.2, tmp_path)
    documents, queries = read(tmp_path, "corpus"), read(tmp_path, "queries")
    assert sorted(documents.values()) == sorted({p for t in triples for p in (t.relevant, t.not_relevant)})
    assert set(queries.values()) == {t.query for t in triples if is_held_out(t.query, 0.2)}
    pairs = {(queries[query], documents[document]) for query, document in judged(tmp_path)}
    assert pairs == {(t.query, t.relevant) for t in triples if is_held_out(t.query, 0.2)}


def test_a_sentence_searches_its_passage_without_it(tmp_path):
    sentence = "The second one has more than six words."
    passages = [f"Passage {n} begins. {sentence[:-1]} and {n}. It ends here." for n in range(60)]
    triples = [Triple("q", passage, "Too short. To ask. Anything.") for passage in passages]
    guards.sentences(triples, 0.3, tmp_path)
    documents, queries = read(tmp_path, "corpus"), read(tmp_path, "queries")
    pairs = judged(tmp_path)
    assert len(documents) == 61 and 5 < len(pairs) == len(queries) < 35
    for query, document in pairs:
        assert queries[query].startswith(sentence[:-1]) and queries[query] not in documents[document]
        first, last = documents[document].split(". ")
        assert f"{first}. {queries[query]} {last}" in passages
