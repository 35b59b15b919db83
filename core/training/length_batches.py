"""Training batches of texts of similar length that are the same whether or not the training was interrupted."""

from collections.abc import Iterator
from typing import Any, cast

import torch
from datasets import Dataset
from torch.utils.data import DataLoader, Sampler
from transformers import Seq2SeqTrainer

from core.workspace.library_internals import indices_by_length


class LengthSampler(Sampler[int]):
    """Groups texts of similar length into batches that depend on the seed and the epoch only.

    transformers' own sampler draws from torch's global random state: a training that resumes in a later epoch would see
    the rows in a different order than an uninterrupted one.
    """

    def __init__(self, batch: int, lengths: list[int], seed: int):
        self.batch, self.lengths, self.seed, self.epoch = batch, lengths, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch to draw for; the trainer calls this at the start of each epoch."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.seed + self.epoch)
        return iter(indices_by_length(self.lengths, self.batch, generator))

    def __len__(self) -> int:
        return len(self.lengths)


class LengthBatchTrainer(Seq2SeqTrainer):
    """transformers' trainer with batches of `LengthSampler`; the training set has a column "length"."""

    def get_train_dataloader(self) -> DataLoader[Any]:
        """Return the batches of one epoch."""
        rows, batch = cast(Dataset, self.train_dataset), self.args.train_batch_size
        loader = DataLoader(
            rows.remove_columns("length"),
            batch_size=batch,
            sampler=LengthSampler(batch, list(rows["length"]), self.args.seed),
            collate_fn=self.data_collator,
            pin_memory=self.args.dataloader_pin_memory,
        )
        return cast(DataLoader[Any], self.accelerator.prepare(loader))
