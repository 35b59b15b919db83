"""What is damaged while the dashboard runs is noticed at once, though it was read before."""

import pytest
from made_up import Open, warnings

from core.workspace.workspace import CollectionFolder

DAMAGES = {
    "a run": ("topic", "runs/bm25/run.trec"),
    "measures": ("summary", "measures/measures.csv"),
    "judgments": ("summary", "collection/qrels/test.tsv"),
    "documents": ("search", "collection/corpus.jsonl"),
    "an index": ("search", "bm25/bm25/field-0/data.csc.index.npy"),
    "predicted queries": ("search", "bm25/expanded/predicted.jsonl"),
}


@pytest.mark.parametrize("name", DAMAGES)
@pytest.mark.parametrize("way", ["changed", "cut"])
def test_a_file_damaged_after_it_was_read(open_page: Open, made_up: CollectionFolder, name: str, way: str) -> None:
    page, place = DAMAGES[name]
    parameters = {"collection": "made-up", "query": "fever", "topic": "1"}
    before = open_page(page, **parameters)
    path = made_up / place
    assert path.name not in warnings(before)
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]) if way == "changed" else content[:-9])
    app = open_page(page, **parameters)  # what was read before is still remembered
    assert path.name in warnings(app)
    assert "build.py" in warnings(app)
