"""Batches of similar length reach the T5 in training, in the order of the seed and the epoch."""

import contextlib

import pytest
import transformers
from datasets import Dataset
from transformers import DataCollatorForSeq2Seq, PreTrainedTokenizerFast, Seq2SeqTrainingArguments

from core.training.length_batches import LengthBatchTrainer, LengthSampler
from core.training.trainer import last_checkpoint

ROWS, BATCH, SEED, EPOCHS = 30, 4, 13, 3
PER_EPOCH = -(-ROWS // BATCH)


class Stopped(Exception):
    """Raised in place of a batch."""


@pytest.fixture
def train(tiny_t5, tmp_path):
    """Return a function that trains, maybe up to a batch, and returns the row numbers of all batches of the run."""
    lengths = [1 + (7 * row) % 11 for row in range(ROWS)]
    inputs = [[3 + row % 9] * length for row, length in enumerate(lengths)]
    masks = [[1] * length for length in lengths]
    # The labels of a row spell its number to base 9 with the words that the model knows.
    labels = [[3 + row // 9, 3 + row % 9] for row in range(ROWS)]
    rows = Dataset.from_dict({"input_ids": inputs, "attention_mask": masks, "labels": labels, "length": lengths})

    def run(stop: int | None = None) -> list[list[int]]:
        seen: list[list[int]] = []
        pad = DataCollatorForSeq2Seq(PreTrainedTokenizerFast.from_pretrained(tiny_t5))

        def collate(members):
            if len(seen) == stop:
                raise Stopped
            seen.append([9 * (row["labels"][0] - 3) + row["labels"][1] - 3 for row in members])
            return pad(members)

        arguments = Seq2SeqTrainingArguments(
            str(tmp_path / "checkpoints"),
            num_train_epochs=EPOCHS,
            per_device_train_batch_size=BATCH,
            save_steps=5,
            seed=SEED,
            use_cpu=True,
            report_to="none",
            dataloader_pin_memory=False,
        )
        model = transformers.T5ForConditionalGeneration.from_pretrained(tiny_t5)
        trainer = LengthBatchTrainer(model, arguments, data_collator=collate, train_dataset=rows)
        with contextlib.suppress(Stopped):
            trainer.train(resume_from_checkpoint=last_checkpoint(tmp_path / "checkpoints"))
        return seen

    run.lengths = lengths
    return run


def epoch(lengths, number):
    sampler = LengthSampler(BATCH, lengths, SEED)
    sampler.set_epoch(number)
    order = list(sampler)
    return [order[start : start + BATCH] for start in range(0, ROWS, BATCH)]


def test_each_epoch_trains_on_the_batches_of_its_sampler(train):
    expected = [batch for number in range(EPOCHS) for batch in epoch(train.lengths, number)]
    assert train() == expected
    assert expected[:PER_EPOCH] != expected[PER_EPOCH : 2 * PER_EPOCH]


def test_a_resumed_training_sees_the_batches_that_are_left(train):
    expected = [batch for number in range(EPOCHS) for batch in epoch(train.lengths, number)]
    before = train(stop=13)  # in the second epoch, past the checkpoint of step 10
    after = train()
    assert before == expected[:13]
    assert after == expected[10:]
