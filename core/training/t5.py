"""The T5 of doc2query: training pairs, training and query prediction."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.formats.documents import Document
from core.formats.triples import Triple
from core.workspace.models import chosen_precision, load_t5, locate_model, pick_device
from core.workspace.profile import Doc2querySettings
from core.workspace.workspace import Workspace

# torch, datasets and transformers are imported where they are used: importing them takes seconds, and callers that only
# need settings or inputs (the build plan, the page Build and provenance) use none of them.
if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import TrainerState


CPU_SAMPLES, GPU_SAMPLES = 320, 4096
"""Number of queries generated at a time."""


def train_settings(settings: Doc2querySettings) -> dict[str, Any]:
    """Return the settings that determine the trained T5, for the manifest."""
    names = ("epochs", "batch", "learning_rate", "schedule", "warmup", "evaluate_every", "patience", "precision")
    return {name: getattr(settings, name) for name in (*names, "max_document_tokens", "max_query_tokens", "seed")}


def training_pairs(tokenizer: Any, triples: list[Triple], settings: Doc2querySettings) -> "Dataset":
    """Return the distinct (relevant passage, query) pairs of triples, tokenised as inputs and labels."""
    from datasets import Dataset

    pairs = sorted({(triple.relevant, triple.query) for triple in triples})
    sources = tokenizer([p for p, _ in pairs], truncation=True, max_length=settings.max_document_tokens)
    targets = tokenizer([q for _, q in pairs], truncation=True, max_length=settings.max_query_tokens)
    columns = {"input_ids": sources["input_ids"], "attention_mask": sources["attention_mask"]}
    return Dataset.from_dict(columns | {"labels": targets["input_ids"], "length": list(map(len, sources["input_ids"]))})


def fit(
    model: Any,
    tokenizer: Any,
    pairs: "Dataset",
    held_out_pairs: "Dataset",
    settings: Doc2querySettings,
    checkpoints: Path,
    device: str,
) -> "TrainerState":
    """Train the T5 in place, load the checkpoint with the lowest held-out loss and return the trainer's state.

    Args:
        pairs: the training pairs, from `training_pairs`.
        checkpoints: the folder of checkpoints; training resumes from the last one.
    """
    from transformers import DataCollatorForSeq2Seq, Seq2SeqTrainingArguments

    from core.training.length_batches import LengthBatchTrainer
    from core.training.trainer import early_stopping, last_checkpoint, trainer_arguments

    trainer = LengthBatchTrainer(
        model=model,
        args=Seq2SeqTrainingArguments(**trainer_arguments(settings, len(pairs), checkpoints, device, "eval_loss")),
        train_dataset=pairs,
        eval_dataset=held_out_pairs,
        data_collator=DataCollatorForSeq2Seq(tokenizer, model),
        processing_class=tokenizer,
        callbacks=early_stopping(settings.patience),
    )
    trainer.train(resume_from_checkpoint=last_checkpoint(checkpoints))
    return trainer.state


# Generation


def fuse_gelu(model: Any) -> Any:
    """Replace each GELU that a T5 computes in eight operations by torch's, which is one; return the model."""
    from torch.nn import GELU
    from transformers.activations import NewGELUActivation

    for layer in model.modules():
        if isinstance(getattr(layer, "act", None), NewGELUActivation):
            layer.act = GELU(approximate="tanh")
    return model


class QueryPredictor:
    """A trained T5 that predicts queries for documents."""

    def __init__(self, folder: Path, settings: Doc2querySettings, device: str = "auto"):
        """Load the model from a `from_pretrained` folder.

        Raises:
            UserError: if the model is not a T5 or is incomplete.
        """
        self.settings, self.device = settings, pick_device(device)
        self.precision = chosen_precision(settings.precision, self.device)
        model, self.tokenizer = load_t5(settings.model, folder, self.precision)
        self.model = fuse_gelu(model).to(self.device).eval()
        self.written = 0
        """Number of tokens generated so far."""

    def tokens(self, documents: list[Document]) -> list[list[int]]:
        """Return each document's input tokens, truncated at the configured limit."""
        texts = [document.full_text for document in documents]
        encoded = self.tokenizer(texts, truncation=True, max_length=self.settings.max_document_tokens)
        tokens: list[list[int]] = encoded["input_ids"]
        return tokens

    def __call__(self, documents: list[Document]) -> tuple[dict[str, list[str]], int]:
        """Return each document's queries and the number of tokens generated."""
        names, before = [document.id for document in documents], self.written
        queries = self.predict(names, self.tokens(documents))
        return dict(zip(names, queries, strict=True)), self.written - before

    def predict(self, document_ids: list[str], tokens: list[list[int]]) -> list[list[str]]:
        """Generate `settings.queries` queries for each document of a batch."""
        from core.training.t5_sampling import sample, sample_keys

        settings, samples = self.settings, self.settings.queries
        batch = self.tokenizer.pad({"input_ids": tokens}, return_tensors="pt").to(self.device)
        keys = sample_keys(settings.seed, document_ids, samples).to(self.device)
        output = sample(self.model, dict(batch), keys, settings.top_k, settings.temperature, settings.max_query_tokens)
        self.written += int((output != self.model.config.pad_token_id).sum())
        queries = self.tokenizer.batch_decode(output.flatten(0, 1), skip_special_tokens=True)
        return [[query.strip() for query in queries[i : i + samples]] for i in range(0, len(queries), samples)]


def open_predictor(workspace: Workspace, settings: Doc2querySettings, device: str = "auto") -> QueryPredictor:
    """Load the T5 that a profile names.

    Raises:
        UserError: if the model is unavailable or not a T5.
    """
    return QueryPredictor(locate_model(workspace, settings.model), settings, device)


def generate_settings(settings: Doc2querySettings) -> dict[str, Any]:
    """Return the settings that determine the predicted queries, for the manifest."""
    names = ("max_document_tokens", "max_query_tokens", "queries", "top_k", "temperature", "precision", "seed")
    return {name: getattr(settings, name) for name in names}
