#!/usr/bin/env python3
"""Train a small masked-language model (Devlin et al., 2019): a base model that was never a retriever, for ablations.

    python scripts/masked_language_model.py rasyosef/splade-tiny models/mlm --passages FILE --corpus DIR

It has the tokenizer and the shape of the model that is named first, a BERT, and random weights at the start. Texts are
the passages of triples and documents in BEIR's form, joined to blocks of 128 tokens. An interrupted training resumes.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from core.workspace import command_line
from core.workspace.artifacts import remove_tree

BLOCK = 128


def blocks_of(texts: list[str], tokenizer: Any) -> list[list[int]]:
    """Return the texts as blocks of tokens, each between [CLS] and [SEP], with [SEP] between texts."""
    tokens: list[int] = []
    for text in tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"]:
        tokens += [*text, tokenizer.sep_token_id]
    inner = BLOCK - 2
    starts = range(0, len(tokens) - inner + 1, inner)
    return [[tokenizer.cls_token_id, *tokens[i : i + inner], tokenizer.sep_token_id] for i in starts]


def masked_loss(model: Any, inputs: dict[str, Any]) -> Any:
    """Return the loss of a BertForMaskedLM on a batch: its own, without scoring the nine tenths that are not masked."""
    from torch.nn.functional import cross_entropy

    labels = inputs.pop("labels")
    masked = labels != -100
    states = model.bert(**inputs).last_hidden_state[masked]
    return cross_entropy(model.cls(states), labels[masked])


def train(base: Path, folder: Path, texts: list[str], epochs: float, batch: int, learning_rate: float) -> None:
    """Train a model of the shape of the one in `base`, and write it into `folder`."""
    import torch
    from datasets import Dataset
    from transformers import (
        AutoConfig,
        AutoTokenizer,
        BertForMaskedLM,
        DataCollatorForLanguageModeling,
        Trainer,
        TrainingArguments,
    )

    from core.training.trainer import last_checkpoint

    class MaskedOnly(Trainer):
        def compute_loss(
            self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
        ) -> Any:
            return masked_loss(model, inputs)

    torch.manual_seed(13)
    tokenizer = AutoTokenizer.from_pretrained(base)
    model = BertForMaskedLM(AutoConfig.from_pretrained(base))
    blocks = Dataset.from_dict({"input_ids": blocks_of(texts, tokenizer)})
    print(f"{len(texts):,} texts, {len(blocks):,} blocks of {BLOCK} tokens", flush=True)
    arguments = TrainingArguments(
        output_dir=str(folder / "checkpoints"),
        num_train_epochs=epochs,
        per_device_train_batch_size=batch,
        learning_rate=learning_rate,
        warmup_steps=0.06,
        weight_decay=0.01,
        logging_steps=100,
        save_steps=200,
        save_total_limit=1,
        report_to="none",
        dataloader_pin_memory=False,
        seed=13,
    )
    trainer = MaskedOnly(
        model, arguments, DataCollatorForLanguageModeling(tokenizer), blocks, processing_class=tokenizer
    )
    trainer.train(resume_from_checkpoint=last_checkpoint(folder / "checkpoints"))
    trainer.save_model(str(folder))
    remove_tree(folder / "checkpoints")


def main() -> None:
    """Train and save the model."""
    from core.formats.documents import corpus_files, read_documents
    from core.formats.triples import read_triples
    from core.workspace.models import locate_model
    from core.workspace.workspace import Workspace

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("like", help="the model whose tokenizer and shape it has")
    parser.add_argument("folder", type=Path, help="folder of the new model")
    parser.add_argument("--passages", type=Path, metavar="FILE", help="MS MARCO triples whose passages are read")
    parser.add_argument("--corpus", type=Path, metavar="DIR", help="folder with documents in BEIR's form")
    parser.add_argument("--epochs", type=float, default=10)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    options = parser.parse_args()
    triples = read_triples(options.passages) if options.passages else []
    texts = list(dict.fromkeys(passage for t in triples for passage in (t.relevant, t.not_relevant)))
    if options.corpus:
        texts += [document.full_text for document in read_documents(*corpus_files(options.corpus))]
    base = locate_model(Workspace.default(), options.like)
    train(base, options.folder, texts, options.epochs, options.batch, options.learning_rate)


if __name__ == "__main__":
    command_line.run(main)
