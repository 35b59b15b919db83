"""Fine-tune a dense bi-encoder on MS MARCO triples with in-batch cross-entropy (sentence-transformers' trainer).

Every query's own passage must score above the other queries' passages of the batch and, with `use_negative`, above the
triples' own not relevant ones (Henderson et al., 2017; Karpukhin et al., 2020).
"""

import argparse
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from sentence_transformers import (
    SentenceTransformer,
    SentenceTransformerTrainer,
    SentenceTransformerTrainingArguments,
)
from sentence_transformers.sentence_transformer.evaluation import InformationRetrievalEvaluator
from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
from sentence_transformers.util import cos_sim, dot_score
from transformers import set_seed

from core import artifacts, cli
from core.artifacts import ROOT, file_digest, writing
from core.models import locate_model, model_digest, pick_device
from core.profile import FinetuneSettings, Profile
from core.triples import Triple, locate_triples, read_triples, split_by_query

MODEL_CARD = """---
license: other
library_name: sentence-transformers
pipeline_tag: sentence-similarity
---
# RankScope fine-tuned bi-encoder

A demonstration retriever: {base} fine-tuned on {triples} MS MARCO triples (pooling {pooling}, similarity {similarity},
in-batch cross-entropy, {epochs} epoch(s), batch {batch}, learning rate {learning_rate}, {max_tokens} tokens).

| held-out MS MARCO queries | MRR@10 among the held-out passages |
|---|---|
| before training | {before:.4f} |
| after training | {after:.4f} |

Made by `python -m core.finetune`. MS MARCO is for research that is not commercial; weights trained on it inherit that.
"""


def build_model(base: Path, pooling: str, max_tokens: int, device: str) -> SentenceTransformer:
    """Return an encoder with a fresh pooling layer over the transformer in `base`, in float32."""
    transformer = Transformer(
        str(base), max_seq_length=max_tokens, model_kwargs={"use_safetensors": True, "dtype": torch.float32}
    )
    pool = Pooling(transformer.get_embedding_dimension(), pooling_mode=pooling)
    return SentenceTransformer(modules=[transformer, pool], device=device)


def train(profile: Profile, triples_file: Path | None = None, device: str = "auto") -> Path:
    """Fine-tune on the profile's triples and return the folder of the model (fp16 safetensors).

    Checkpoints are kept while it runs; an interrupted training goes on from the last one.
    """
    settings = profile.finetune
    triples_file = triples_file or locate_triples(profile.triples.source, ROOT / "artifacts" / "downloads")
    training, held_out = split_by_query(read_triples(triples_file), profile.triples.held_out)
    base = locate_model(settings.base)
    recorded = settings.model_dump(exclude={"model"}) | {"held_out": profile.triples.held_out}
    inputs = {"triples": file_digest(triples_file), "base": model_digest(base)}
    facts: dict[str, Any] = {}
    with writing(ROOT / settings.model, "finetune", recorded, inputs, facts, resume=True) as partial:
        set_seed(settings.seed)
        model = build_model(base, settings.pooling, settings.max_tokens, pick_device(device))
        evaluator = held_out_evaluator(held_out, settings.similarity)
        before = evaluator(model)[evaluator.primary_metric]
        history = fit(model, training, held_out, settings, partial / "checkpoints")
        after = evaluator(model)[evaluator.primary_metric]
        facts |= {
            "triples": len(training),
            "held_out_queries": len(evaluator.queries),
            "held_out_mrr@10": {"before": round(before, 4), "after": round(after, 4)},
            "history": history,
        }
        artifacts.remove_tree(partial / "checkpoints")
        model.half().save(str(partial), create_model_card=False, safe_serialization=True)
        card = MODEL_CARD.format(**settings.model_dump(), triples=len(training), before=before, after=after)
        (partial / "README.md").write_text(card, encoding="utf-8", newline="\n")
    return ROOT / settings.model


def fit(
    model: SentenceTransformer,
    training: list[Triple],
    held_out: list[Triple],
    settings: FinetuneSettings,
    checkpoints: Path,
) -> list[dict[str, Any]]:
    """Train the model in place and return the trainer's log: step, loss, held-out loss."""
    steps = max(1, int(len(training) / settings.batch * settings.epochs))
    arguments = SentenceTransformerTrainingArguments(
        output_dir=str(checkpoints),
        num_train_epochs=settings.epochs,
        per_device_train_batch_size=settings.batch,
        per_device_eval_batch_size=settings.batch,
        learning_rate=settings.learning_rate,
        warmup_steps=int(steps * settings.warmup),
        batch_sampler="no_duplicates",
        eval_strategy="steps" if held_out else "no",
        eval_steps=80,
        save_steps=80,
        save_total_limit=1,
        logging_steps=10,
        report_to="none",
        seed=settings.seed,
        use_cpu=model.device.type == "cpu",
        dataloader_pin_memory=False,
    )
    trainer = SentenceTransformerTrainer(
        model=model,
        args=arguments,
        train_dataset=_dataset(training, settings.use_negative),
        eval_dataset=_dataset(held_out, settings.use_negative) if held_out else None,
        loss=_loss(model, settings),
    )
    trainer.train(resume_from_checkpoint=any(checkpoints.glob("checkpoint-*")) or None)
    return trainer.state.log_history


def _loss(model: SentenceTransformer, settings: FinetuneSettings) -> MultipleNegativesRankingLoss:
    if settings.similarity == "dot":
        return MultipleNegativesRankingLoss(model, scale=1.0, similarity_fct=dot_score)
    return MultipleNegativesRankingLoss(model, scale=settings.scale, similarity_fct=cos_sim)


def _dataset(triples: list[Triple], use_negative: bool) -> Dataset:
    columns = {"query": [t.query for t in triples], "relevant": [t.relevant for t in triples]}
    if use_negative:
        columns["not_relevant"] = [t.not_relevant for t in triples]
    return Dataset.from_dict(columns)


def held_out_evaluator(held_out: list[Triple], similarity: str) -> InformationRetrievalEvaluator:
    """Return an evaluator that ranks all held-out passages, relevant and not, for every held-out query (MRR@10)."""
    passages = sorted({p for triple in held_out for p in (triple.relevant, triple.not_relevant)})
    ids = {passage: str(number) for number, passage in enumerate(passages)}
    relevant: dict[str, set[str]] = {}
    for triple in held_out:
        relevant.setdefault(triple.query, set()).add(ids[triple.relevant])
    return InformationRetrievalEvaluator(
        queries={query: query for query in relevant},
        corpus={number: passage for passage, number in ids.items()},
        relevant_docs=relevant,
        mrr_at_k=[10],
        score_functions={similarity: dot_score if similarity == "dot" else cos_sim},
        main_score_function=similarity,
        write_csv=False,
        name="held-out",
    )


def main(arguments: list[str] | None = None) -> None:
    """Run `python -m core.finetune`."""
    parser = argparse.ArgumentParser(prog="python -m core.finetune", description=__doc__)
    cli.add_profile_options(parser)
    parser.add_argument("--triples", type=Path, help="file of triples (default: the profile's)")
    options = parser.parse_args(arguments)
    profile, _ = cli.profile_and_folder(options)
    print(train(profile, options.triples, options.device))


if __name__ == "__main__":
    cli.run(main)
