"""Training batches of similar length that do not depend on whether the training was interrupted."""

from typing import Any

import torch
from datasets import Dataset
from transformers import Seq2SeqTrainer
from transformers.trainer_pt_utils import LengthGroupedSampler


class ByLength(LengthGroupedSampler):
    """Batches of similar length, drawn by seed and epoch alone.

    The library draws them by the state of all random numbers so far: a training that goes on in a later epoch would
    see the rows in another order than one that was never interrupted.
    """

    def __init__(self, batch: int, lengths: list[int], seed: int):
        super().__init__(batch, lengths=lengths)
        self.seed = seed
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        """Draw as it is drawn in an epoch; the trainer calls this."""
        self.generator = torch.Generator().manual_seed(self.seed + epoch)


class TrainerByLength(Seq2SeqTrainer):
    """The library's trainer with batches of `ByLength`; the training set has a column "length"."""

    def _get_train_sampler(self, train_dataset: Dataset | None = None) -> ByLength:
        whole: Any = self.train_dataset  # the given one has lost the columns that the model does not take
        return ByLength(self.args.train_batch_size, list(whole["length"]), self.args.seed)
