"""What configuration files say about a model: against Sentence Transformers, which loads the model."""

import json

import pytest
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Pooling, Router, Transformer

from core.workspace.model_configuration import describe_model


def test_a_plain_transformer_is_pooled_by_the_mean_up_to_its_positions(tiny_bert):
    loaded = SentenceTransformer(str(tiny_bert), device="cpu")
    assert loaded[1].pooling_mode == "mean"
    assert describe_model(tiny_bert) == {"pooling": "mean", "model_max_tokens": 512}


@pytest.mark.parametrize("towers", [1, 2])
def test_pooling_limit_and_prompts_are_those_of_the_loaded_model(towers, tiny_bert, tmp_path):
    def tower():
        transformer = Transformer(str(tiny_bert), max_seq_length=48)
        return [transformer, Pooling(transformer.get_embedding_dimension(), pooling_mode="cls")]

    modules = tower() if towers == 1 else [Router.for_query_document(tower(), tower())]
    made = SentenceTransformer(modules=modules, device="cpu", prompts={"query": "find: ", "document": ""})
    made.save(str(tmp_path / "model"))
    assert SentenceTransformer(str(tmp_path / "model"), device="cpu").max_seq_length == 48
    expected = {"pooling": "cls", "model_max_tokens": 48, "prompts": {"query": "find: "}}
    assert describe_model(tmp_path / "model") == expected


OLDER = {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False, "pooling_mode_max_tokens": True}


def test_files_of_older_versions_are_read(tmp_path):
    (tmp_path / "modules.json").write_text("[]")
    (tmp_path / "1_Pooling").mkdir()
    (tmp_path / "1_Pooling" / "config.json").write_text(json.dumps(OLDER))
    (tmp_path / "tokenizer_config.json").write_text('{"model_max_length": 1000000000000000019884624838656}')
    (tmp_path / "config.json").write_text('{"model_type": "mpnet", "max_position_embeddings": 514}')
    assert describe_model(tmp_path) == {"pooling": "cls+max", "model_max_tokens": 512}
    (tmp_path / "sentence_bert_config.json").write_text('{"max_seq_length": 384}')
    assert describe_model(tmp_path)["model_max_tokens"] == 384


@pytest.mark.parametrize("content", ["", "[]", "[" * 100_000, '{"pooling_mode": 7, "max_seq_length": "many"}'])
def test_files_that_say_nothing_are_passed_over(content, tmp_path):
    (tmp_path / "1_Pooling").mkdir()
    for name in ("modules.json", "sentence_bert_config.json", "tokenizer_config.json", "1_Pooling/config.json"):
        (tmp_path / name).write_text(content)
    assert "model_max_tokens" not in describe_model(tmp_path)
