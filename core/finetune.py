"""Fine-tune a dense bi-encoder with sentence-transformers' trainer and losses.

On MS MARCO triples every query's own passage must score above the other passages of the batch: in-batch cross-entropy
(Henderson et al., 2017; Karpukhin et al., 2020), with the triples' own not relevant passages or mined ones among them.
With a teacher, or on pseudo-labelled queries, the teacher's distribution over the passages is learned in its place
(the Kullback-Leibler divergence; Lin et al., 2020).
"""

import argparse
import json
from pathlib import Path
from typing import Any

from transformers import set_seed

from core.formats.triples import locate_triples, read_triples, split_by_query
from core.training import histories
from core.training.bi_encoder import (
    MODEL_CARD,
    build_model,
    data_in_words,
    fit,
    held_out_evaluator,
    mix_weights,
    training_rows,
)
from core.workspace import artifacts, command_line
from core.workspace.artifacts import ROOT, file_digest, read_manifest, writing
from core.workspace.models import (
    check_finite,
    locate_model,
    model_digest,
    pick_device,
)
from core.workspace.profile import Profile

# Training


def train(profile: Profile, folder: Path, triples_file: Path | None = None, device: str = "auto") -> Path:
    """Fine-tune as the profile says and return the folder of the model (fp16 safetensors).

    Checkpoints are kept while it runs; an interrupted training goes on from the last one.

    Args:
        folder: the collection's artifacts; only pseudo-labels are read from there.
    """
    settings = profile.finetune
    triples_file = triples_file or locate_triples(profile.triples.source, ROOT / "artifacts" / "downloads")
    triples, held_out = split_by_query(read_triples(triples_file), profile.triples.held_out)
    base = locate_model(settings.base)
    recorded = settings.model_dump(exclude={"model", "device"}) | profile.triples.model_dump(exclude={"source"})
    inputs = {"triples": file_digest(triples_file), "base": model_digest(base)}
    if settings.data == "pseudo-labels":
        inputs["pseudo-labels"] = read_manifest(folder / "pseudo-labels").digest
    if settings.teacher:
        inputs["teacher"] = model_digest(locate_model(settings.teacher))
    device = pick_device(settings.device if device == "auto" else device)
    facts: dict[str, Any] = {}
    with writing(ROOT / settings.model, "finetune", recorded, inputs, facts, resume=True) as partial:
        set_seed(settings.seed)
        model = build_model(settings, base, device)
        evaluator = held_out_evaluator(held_out, settings.similarity, triples[: profile.triples.distractors])
        training, validation = training_rows(settings, folder, triples, held_out, model)
        before = evaluator(model)[str(evaluator.primary_metric)]
        history = fit(model, training, validation, settings, partial / "checkpoints", evaluator)
        if settings.base_share:
            mix_weights(model, build_model(settings, base, device), settings.base_share)
        after = evaluator(model)[str(evaluator.primary_metric)]
        facts |= {
            "rows": len(training),
            "held_out_queries": len(evaluator.queries),
            "held_out_passages": len(evaluator.corpus),
            "held_out_mrr@10": {"before": round(before, 4), "after": round(after, 4)},
            "device": device,
        }
        (partial / histories.FILE).write_text(json.dumps(history, indent=1) + "\n", encoding="utf-8", newline="\n")
        check_finite(settings.model, model.half())
        model.save(str(partial), create_model_card=False, safe_serialization=True)
        card = MODEL_CARD.format(
            base=settings.base,
            data=data_in_words(settings, len(training), folder),
            history=histories.FILE,
            settings="\n".join(f"| {name} | {value} |" for name, value in recorded.items()),
            passages=len(evaluator.corpus),
            before=before,
            after=after,
        )
        (partial / "README.md").write_text(card, encoding="utf-8", newline="\n")
        artifacts.remove_tree(partial / "checkpoints")
    return ROOT / settings.model


def main(arguments: list[str] | None = None) -> None:
    """Run `python -m core.finetune`."""
    parser = argparse.ArgumentParser(prog="python -m core.finetune", description=__doc__)
    command_line.add_profile_options(parser)
    parser.add_argument("--triples", type=Path, help="file of triples (default: the profile's)")
    options = parser.parse_args(arguments)
    profile, folder = command_line.profile_and_folder(options)
    print(train(profile, folder, options.triples, options.device))


if __name__ == "__main__":
    command_line.run(main)
