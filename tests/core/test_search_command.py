"""`python -m core.search`: which field of a topic is the query."""

import json

import pytest
from stages import make

from core import bm25, collection, search
from core.formats.runs import built_run
from core.workspace.profile import Profile

FIELDS = {"query": "masks", "question": "fruit", "narrative": "spread"}


@pytest.mark.parametrize("field", FIELDS)
def test_bm25_searches_for_the_topic_field_of_the_profile(field, beir_folder, workspace):
    corpus = "".join(json.dumps({"_id": f"about-{word}", "text": word}) + "\n" for word in FIELDS.values())
    topic = {"_id": "1", "text": FIELDS["question"], "metadata": {k: v for k, v in FIELDS.items() if k != "question"}}
    qrels = "query-id\tcorpus-id\tscore\n1\tabout-fruit\t1\n"
    source = beir_folder({"corpus.jsonl": corpus, "queries.jsonl": json.dumps(topic) + "\n", "qrels/test.tsv": qrels})
    profile = Profile(
        collection={"name": "tiny", "source": str(source), "topic_field": field},
        system=[{"name": "bm25", "kind": "bm25"}],
    )
    folder = workspace.collection("tiny")
    make(collection.STAGE, profile, folder)
    make(bm25.STAGE, profile, folder, profile.system[0])
    make(search.STAGE, profile, folder, profile.system[0])
    assert list(built_run(folder, "bm25").scores["1"]) == [f"about-{FIELDS[field]}"]
