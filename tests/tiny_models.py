"""Models of a few kilobytes with random weights, for the tests and for the scripts that end and damage builds."""

from pathlib import Path

WORDS = [first + vowel + last for first in "bdfgklmnprst" for vowel in "aeiou" for last in "nrsl"]
"""The words that `make_bert`'s model knows."""
T5_WORDS = ["which", "masks", "slow", "the", "spread", "of", "bats", "and", "fruit"]
"""The words that `make_t5`'s model knows if it is given no others."""


def _write_bert_tokenizer(folder: Path, words: list[str]) -> int:
    """Write the tokenizer of a BERT that knows some words to a new folder, and return the size of its vocabulary."""
    from transformers import BertTokenizerFast

    folder.mkdir()
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]
    (folder / "vocab.txt").write_text("\n".join(vocabulary))
    BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    return len(vocabulary)


def make_bert(folder: Path) -> Path:
    """Write a BERT of two layers that knows WORDS, and return its folder."""
    import torch
    from transformers import BertConfig, BertModel

    size = _write_bert_tokenizer(folder, WORDS)
    torch.manual_seed(1)
    sizes = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128}
    BertModel(BertConfig(vocab_size=size, hidden_dropout_prob=0.0, **sizes)).save_pretrained(folder)
    return folder


def make_splade(folder: Path, words: list[str] = WORDS, bias: float = -4.0) -> Path:
    """Write a masked language model of one layer that knows some words, and return its folder.

    The lower the bias, the fewer terms have a weight.
    """
    import torch
    from transformers import BertConfig, BertForMaskedLM

    size = _write_bert_tokenizer(folder, words)
    torch.manual_seed(2)
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
    configuration = BertConfig(vocab_size=size, hidden_dropout_prob=0.0, initializer_range=0.3, **sizes)
    model = BertForMaskedLM(configuration)
    torch.nn.init.constant_(model.cls.predictions.bias, bias)
    model.save_pretrained(folder)
    return folder


def make_t5(folder: Path, words: list[str] = T5_WORDS) -> Path:
    """Write a T5 of one layer that knows some words, and return its folder."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast, T5Config, T5ForConditionalGeneration

    vocabulary = ["<pad>", "</s>", "<unk>", *words]
    numbers = {word: number for number, word in enumerate(vocabulary)}
    tokenizer = Tokenizer(models.WordLevel(numbers, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    ).save_pretrained(folder)
    torch.manual_seed(1)
    configuration = T5Config(
        vocab_size=len(vocabulary), d_model=16, d_kv=8, d_ff=32, num_layers=1, num_heads=2, decoder_start_token_id=0
    )
    T5ForConditionalGeneration(configuration).save_pretrained(folder)
    return folder


def write_pieces(path: Path) -> None:
    """Write a SentencePiece model of T5_WORDS and letters, whose scores prefer the words."""
    from transformers.convert_slow_tokenizer import import_protobuf

    model = import_protobuf().ModelProto()
    specials = [("<pad>", 3), ("</s>", 3), ("<unk>", 2)]
    pieces = [(f"▁{word}", 1) for word in T5_WORDS] + [(piece, 1) for piece in "▁abcdefghijklmnopqrstuvwxyz"]
    for number, (piece, kind) in enumerate(specials + pieces):
        model.pieces.add(piece=piece, type=kind, score=-float(number) if kind == 1 else 0.0)
    model.trainer_spec.unk_id = 2
    path.write_bytes(model.SerializeToString())


def make_encoder(folder: Path, bert: Path) -> Path:
    """Write a bi-encoder with mean pooling over a BERT, and return its folder."""
    from core.training.bi_encoder import build_model
    from core.workspace.profile import FinetuneSettings

    build_model(FinetuneSettings(max_tokens=32), bert, "cpu").save(str(folder))
    return folder


def make_cross_encoder(folder: Path, bert: Path, labels: int = 1) -> Path:
    """Write a cross-encoder over a BERT whose layer for the score has random weights, and return its folder."""
    import torch
    from transformers import AutoTokenizer, BertForSequenceClassification

    torch.manual_seed(2)
    model = BertForSequenceClassification.from_pretrained(bert, num_labels=labels)
    model.classifier.weight.data *= 20  # else all scores are about the same
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(bert).save_pretrained(folder)
    return folder


def make_multi_vector_encoder(folder: Path, bert: Path, **settings: object) -> Path:
    """Write a multi-vector encoder over a BERT whose projection has random weights, and return its folder.

    Documents are cut at 24 tokens, and "ban" does not count in them.

    Args:
        settings: of its `Transformer`, such as `query_expansion`.
    """
    import torch
    from sentence_transformers import MultiVectorEncoder
    from sentence_transformers.base.modules import Dense, Normalize, Transformer
    from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask

    torch.manual_seed(3)
    names = {"module_input_name": "token_embeddings", "module_output_name": "token_embeddings"}
    projection = Dense(64, 16, bias=False, activation_function=torch.nn.Identity(), **names)
    modules = [
        Transformer(str(bert), **{"document_length": 24, **settings}),
        projection,
        MultiVectorMask(skiplist_words=["ban"]),
        Normalize(module_input_name="token_embeddings"),
    ]
    prompts = {"query": "fas ", "document": "fen "}
    MultiVectorEncoder(modules=modules, prompts=prompts, device="cpu").save(str(folder))
    return folder
