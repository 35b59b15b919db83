"""The masked-language model: what it reads, what it learns, and that a bi-encoder can start from it."""

import pytest
import torch
from transformers import BertForMaskedLM, BertTokenizerFast, DataCollatorForLanguageModeling

from core.training.bi_encoder import build_model
from core.workspace.profile import FinetuneSettings
from scripts.masked_language_model import BLOCK, blocks_of, masked_loss, train

pytestmark = pytest.mark.slow


def test_texts_are_joined_to_blocks_without_loss(tiny_bert, words):
    tokenizer = BertTokenizerFast.from_pretrained(tiny_bert)
    texts = [" ".join(words[n : n + 30]) for n in range(0, 60, 10)]
    blocks = blocks_of(texts, tokenizer)
    assert [len(block) for block in blocks] == [BLOCK] * (6 * 31 // (BLOCK - 2))
    assert {(block[0], block[-1]) for block in blocks} == {(tokenizer.cls_token_id, tokenizer.sep_token_id)}
    joined = [token for text in texts for token in [*tokenizer(text, add_special_tokens=False).input_ids, 0]]
    inner = [token for block in blocks for token in block[1:-1]]
    assert [t for t in inner if t != tokenizer.sep_token_id] == [t for t in joined[: len(inner)] if t]


def test_its_loss_is_the_library_s(tiny_bert, words):
    tokenizer = BertTokenizerFast.from_pretrained(tiny_bert)
    model = BertForMaskedLM.from_pretrained(tiny_bert).eval()
    blocks = [{"input_ids": block} for block in blocks_of([" ".join(words)] * 20, tokenizer)]
    torch.manual_seed(1)
    inputs = dict(DataCollatorForLanguageModeling(tokenizer)(blocks))
    with torch.inference_mode():
        expected = model(**inputs).loss.item()
        assert masked_loss(model, inputs).item() == pytest.approx(expected, rel=1e-5)


def test_a_trained_model_is_whole_and_a_base(tiny_bert, words, tmp_path):
    texts = [" ".join(words[n % 10] for n in range(begin, begin + 60)) for begin in range(40)]
    train(tiny_bert, tmp_path / "mlm", texts, epochs=3, batch=8, learning_rate=3e-3)
    assert not (tmp_path / "mlm" / "checkpoints").exists()
    model = BertForMaskedLM.from_pretrained(tmp_path / "mlm").eval()
    with torch.inference_mode():
        scores = model(torch.tensor([[2, 4, 3]])).logits[0, 1]
    known = BertTokenizerFast.from_pretrained(tmp_path / "mlm").convert_tokens_to_ids(words[:10])
    assert set(scores.topk(10).indices.tolist()) == set(known), "only these words occur"
    settings = FinetuneSettings(max_tokens=16)
    base, other = (build_model(settings, folder, "cpu") for folder in (tmp_path / "mlm", tiny_bert))
    assert base.encode(["a"]).shape == other.encode(["a"]).shape
