"""The grid of sampling and numbers of queries: the first queries of one generation, and nothing made twice."""

import json

import pytest

from core.formats.predicted_queries import read_expansions
from scripts.tables import doc2query_grid
from tests.tiny_models import T5_WORDS

pytestmark = pytest.mark.slow


def test_a_grid_is_made_once_and_printed_again(tiny_t5, beir_folder, workspace, tmp_path, monkeypatch, capsys):
    corpus = [{"_id": f"d{n}", "text": " ".join(T5_WORDS[n:])} for n in range(6)]
    source = beir_folder({"corpus.jsonl": "".join(json.dumps(row) + "\n" for row in corpus)})
    profile = tmp_path / "grid.toml"
    profile.write_text(
        f'[collection]\nname = "tiny"\nsource = "{source}"\nunjudged_topics = "drop"\n'
        f'[doc2query]\nmodel = "{tiny_t5}"\n[[system]]\nname = "bm25"\nkind = "bm25"\n'
    )
    monkeypatch.setattr("sys.argv", ["doc2query_grid.py", "--profile", str(profile), "--k", "1,3", "--most", "4"])
    doc2query_grid.main()
    first = capsys.readouterr().out.splitlines()[-3:]
    assert first[0].split() == ["k", "0", "1", "p", "of", "1", "2", "4", "p", "of", "4"]
    greedy, sampled = (read_expansions(workspace.collection(f"tiny-k{k}")) for k in (1, 3))
    assert {len(queries) for queries in greedy.values()} == {1}
    assert {len(queries) for queries in sampled.values()} == {4}
    monkeypatch.setattr("core.doc2query.make", None)  # is not called again
    doc2query_grid.main()
    assert capsys.readouterr().out.splitlines()[-3:] == first
