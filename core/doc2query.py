"""doc2query: expand documents with predicted queries (Nogueira & Lin, 2019, "From doc2query to docTTTTTquery").

A T5 learns to write the query that a passage answers, from (relevant passage -> query) pairs; then it writes several
for every document of a collection by top-k sampling.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from tqdm import tqdm
from transformers import (
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    DataCollatorForSeq2Seq,
    LogitsProcessor,
    LogitsProcessorList,
    Seq2SeqTrainer,
    Seq2SeqTrainingArguments,
    set_seed,
)
from transformers.modeling_outputs import BaseModelOutput

from core import artifacts, cli
from core.artifacts import ROOT, file_digest, writing
from core.collection import CORPUS, Document, collection_digests, read_built_collection
from core.expansions import write_expansions
from core.models import digest_if_here, locate_model, model_digest, pick_device, shown_model
from core.profile import Doc2querySettings, Profile
from core.triples import Triple, locate_triples, read_triples, split_by_query

# Training


def train(profile: Profile, triples_file: Path | None = None, device: str = "auto") -> Path:
    """Fine-tune the T5 on the profile's triples and return the folder of the model (fp16 safetensors).

    Checkpoints are kept while it runs; an interrupted training goes on from the last one.
    """
    settings = profile.doc2query
    triples_file = triples_file or locate_triples(profile.triples.source, ROOT / "artifacts" / "downloads")
    training, validation = split_by_query(read_triples(triples_file), profile.triples.held_out)
    base = locate_model(settings.base)
    folder = ROOT / settings.model
    recorded = train_settings(settings) | {"held_out": profile.triples.held_out}
    inputs = {"triples": file_digest(triples_file), "base": model_digest(base)}
    facts: dict[str, Any] = {}
    with writing(folder, "doc2query train", recorded, inputs, facts, resume=True) as partial:
        set_seed(settings.seed)
        tokenizer = AutoTokenizer.from_pretrained(base)
        model = AutoModelForSeq2SeqLM.from_pretrained(base, use_safetensors=True, dtype=torch.float32)
        checkpoints = partial / "checkpoints"
        arguments = Seq2SeqTrainingArguments(
            output_dir=str(checkpoints),
            num_train_epochs=settings.epochs,
            per_device_train_batch_size=settings.batch,
            per_device_eval_batch_size=settings.batch,
            learning_rate=settings.learning_rate,
            lr_scheduler_type="linear",
            warmup_steps=20,
            train_sampling_strategy="group_by_length",
            length_column_name="length",
            eval_strategy="steps",
            eval_steps=100,
            save_steps=100,
            save_total_limit=1,
            logging_steps=10,
            report_to="none",
            seed=settings.seed,
            use_cpu=pick_device(device) == "cpu",
            dataloader_pin_memory=False,
        )
        training_pairs = _pairs(tokenizer, training, settings)
        held_out_pairs = _pairs(tokenizer, validation, settings)
        trainer = Seq2SeqTrainer(
            model=model,
            args=arguments,
            train_dataset=training_pairs,
            eval_dataset=held_out_pairs,
            data_collator=DataCollatorForSeq2Seq(tokenizer, model),
            processing_class=tokenizer,
        )
        trainer.train(resume_from_checkpoint=any(checkpoints.glob("checkpoint-*")) or None)
        facts |= {
            "pairs": len(training_pairs),
            "held_out_pairs": len(held_out_pairs),
            "history": trainer.state.log_history,
        }
        model.half().save_pretrained(partial)
        tokenizer.save_pretrained(partial)
        artifacts.remove_tree(checkpoints)
    return folder


def train_settings(settings: Doc2querySettings) -> dict[str, Any]:
    """Return the settings that shape the trained T5, for its manifest."""
    names = ("epochs", "batch", "learning_rate", "max_document_tokens", "max_query_tokens", "seed")
    return {name: getattr(settings, name) for name in names}


def _pairs(tokenizer: Any, triples: list[Triple], settings: Doc2querySettings) -> Dataset:
    pairs = sorted({(triple.relevant, triple.query) for triple in triples})
    sources = tokenizer([p for p, _ in pairs], truncation=True, max_length=settings.max_document_tokens)
    targets = tokenizer([q for _, q in pairs], truncation=True, max_length=settings.max_query_tokens)
    columns = {"input_ids": sources["input_ids"], "attention_mask": sources["attention_mask"]}
    return Dataset.from_dict(columns | {"labels": targets["input_ids"], "length": list(map(len, sources["input_ids"]))})


# Generation


class SeededTopK(LogitsProcessor):
    """Top-k sampling whose choices depend on the seed, the document, the sample and the step alone.

    The Gumbel-max trick: the argmax of logits / temperature + Gumbel noise is a draw from the softmax. The noise is a
    hash of (seed, document, sample, step, token), so a document's queries are the same in whatever batch it stands.
    """

    def __init__(self, rows: torch.Tensor, top_k: int, temperature: float):
        """Take one 62-bit key a row, int64 [n_rows] (see `row_keys`)."""
        self.rows, self.top_k, self.temperature, self.step = rows, top_k, temperature, 0

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Return scores [n_rows, n_tokens] that are -inf but for the drawn token of each row."""
        values, tokens = scores.topk(self.top_k, dim=-1)
        keys = _mix(self.rows ^ (0x9E3779B97F4A7C15 * (self.step + 1) % 2**62))
        uniform = _uniform(_mix(keys[:, None] ^ (tokens * 0x1000193)))
        drawn = (values / self.temperature - torch.log(-torch.log(uniform))).argmax(dim=-1, keepdim=True)
        self.step += 1
        return torch.full_like(scores, -torch.inf).scatter_(1, tokens.gather(1, drawn), 0.0)


def _mix(values: torch.Tensor) -> torch.Tensor:
    """Scramble int64 values (the finaliser of MurmurHash3, Appleby; shifts made logical by masks)."""
    values = (values ^ ((values >> 33) & 0x7FFFFFFF)) * -0xAE502812AA7333
    values = (values ^ ((values >> 33) & 0x7FFFFFFF)) * -0x3B314601E57A13AD
    return values ^ ((values >> 33) & 0x7FFFFFFF)


def _uniform(values: torch.Tensor) -> torch.Tensor:
    """Map scrambled int64 values to float32 in (0, 1)."""
    return ((values & 0x7FFFFF).float() + 0.5) / 2**23


def row_keys(seed: int, document_ids: list[str], samples: int) -> torch.Tensor:
    """Return one 62-bit key for every (document, sample), int64 [len(document_ids) * samples]."""
    digests = (artifacts.value_digest([seed, name, sample]) for name in document_ids for sample in range(samples))
    return torch.tensor([int(digest[:16], 16) >> 2 for digest in digests], dtype=torch.int64)


class QueryPredictor:
    """A trained T5 that writes queries for documents."""

    def __init__(self, folder: Path, settings: Doc2querySettings, device: str = "auto"):
        """Load the model from a `from_pretrained` folder."""
        self.settings, self.device = settings, pick_device(device)
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        dtype = torch.float16 if self.device == "cuda" else torch.float32
        model = AutoModelForSeq2SeqLM.from_pretrained(folder, use_safetensors=True, dtype=dtype)
        self.model = model.to(self.device).eval()

    def tokens(self, documents: list[Document]) -> list[list[int]]:
        """Return each document's input tokens, cut to the settings' limit."""
        texts = [document.full_text for document in documents]
        return self.tokenizer(texts, truncation=True, max_length=self.settings.max_document_tokens)["input_ids"]

    @torch.inference_mode()
    def predict(self, document_ids: list[str], tokens: list[list[int]]) -> list[list[str]]:
        """Write `settings.queries` queries for each document of one batch."""
        samples = self.settings.queries
        batch = self.tokenizer.pad({"input_ids": tokens}, return_tensors="pt").to(self.device)
        states = self.model.get_encoder()(**batch).last_hidden_state
        draw = SeededTopK(
            row_keys(self.settings.seed, document_ids, samples).to(self.device),
            self.settings.top_k,
            self.settings.temperature,
        )
        output = self.model.generate(
            encoder_outputs=BaseModelOutput(last_hidden_state=states.repeat_interleave(samples, 0)),
            attention_mask=batch["attention_mask"].repeat_interleave(samples, 0),
            logits_processor=LogitsProcessorList([draw]),
            do_sample=False,
            num_beams=1,
            max_new_tokens=self.settings.max_query_tokens,
        )
        queries = self.tokenizer.batch_decode(output, skip_special_tokens=True)
        return [[query.strip() for query in queries[i : i + samples]] for i in range(0, len(queries), samples)]


def generate(profile: Profile, folder: Path, device: str = "auto", batch: int = 8) -> Path:
    """Write `expansions.jsonl` for the built collection under `folder`: one line a document, {"_id", "queries"}.

    Documents go through in batches of similar length, and every finished batch is on disk: an interrupted generation
    goes on with the next batch.
    """
    model_folder = locate_model(profile.doc2query.model)
    collection = read_built_collection(folder)
    facts: dict[str, Any] = {}
    with writing(
        folder / "doc2query",
        "doc2query generate",
        generate_settings(profile.doc2query),
        generate_inputs(profile, folder),
        facts,
        resume=True,
    ) as partial:
        predictor = QueryPredictor(model_folder, profile.doc2query, device)
        tokens = predictor.tokens(collection.documents)
        progress = partial / "progress.jsonl"
        done = _finished(progress)
        order = sorted(range(len(tokens)), key=lambda i: (len(tokens[i]), i))
        left = [i for i in order if collection.documents[i].id not in done]
        started = time.perf_counter()
        with (
            progress.open("a", encoding="utf-8", newline="\n") as file,
            tqdm(total=len(order), initial=len(done), desc="doc2query", unit="document") as bar,
        ):
            for begin in range(0, len(left), batch):
                members = left[begin : begin + batch]
                names = [collection.documents[i].id for i in members]
                queries = predictor.predict(names, [tokens[i] for i in members])
                # One line a batch: an interruption loses a whole batch or nothing, so batches stay what they were.
                file.write(json.dumps(dict(zip(names, queries, strict=True)), ensure_ascii=False) + "\n")
                file.flush()
                bar.update(len(members))
        if left:
            facts["documents_per_second"] = round(len(left) / (time.perf_counter() - started), 2)
        facts |= {"documents": len(order), "device": predictor.device, "model": shown_model(profile.doc2query.model)}
        predicted = _finished(progress)
        write_expansions(partial, {document.id: predicted[document.id] for document in collection.documents})
        progress.unlink()
    return folder / "doc2query"


def generate_settings(settings: Doc2querySettings) -> dict[str, Any]:
    """Return the settings that shape the predicted queries, for their manifest."""
    names = ("max_document_tokens", "max_query_tokens", "queries", "top_k", "temperature", "seed")
    return {name: getattr(settings, name) for name in names}


def generate_inputs(profile: Profile, folder: Path) -> dict[str, str]:
    """Return the digests of collection and T5; the T5's is "" where it is not on this machine."""
    return collection_digests(folder, CORPUS) | {"model": digest_if_here(profile.doc2query.model)}


def _finished(progress: Path) -> dict[str, list[str]]:
    """Return the queries of the documents that are done; a line that an interruption left incomplete is cut."""
    if not progress.exists():
        return {}
    content = progress.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if len(whole) != len(content):
        progress.write_bytes(whole)
    return {name: queries for line in whole.splitlines() for name, queries in json.loads(line).items()}


def main(arguments: list[str] | None = None) -> None:
    """Run `python -m core.doc2query train|generate`."""
    parser = argparse.ArgumentParser(prog="python -m core.doc2query", description=__doc__)
    parser.add_argument("verb", choices=("train", "generate"))
    cli.add_profile_options(parser)
    parser.add_argument("--triples", type=Path, help="file of triples (default: the profile's)")
    parser.add_argument("--batch", type=int, default=8, help="documents at a time in generation (default 8)")
    options = parser.parse_args(arguments)
    profile, folder = cli.profile_and_folder(options)
    if options.verb == "train":
        print(train(profile, options.triples, options.device))
    else:
        print(generate(profile, folder, options.device, options.batch))


if __name__ == "__main__":
    cli.run(main)
