#!/usr/bin/env python3
"""Damage every weight of every kind of model in every way, and check that it is refused or makes no difference.

    python scripts/campaigns/weights.py                # all, some 5,000: an hour
    python scripts/campaigns/weights.py --rounds 300   # 300 cases for each kind of model

A weight is dropped, renamed, prefixed, reshaped or not finite, or a file is replaced. Passed: loading the model gives a
one-sentence error, or the model gives bit for bit the results of the undamaged one: vectors of documents and queries,
or for a T5 logits and predicted queries. Existing vectors stay intact and are never searched with another model.
"""

import random
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from scripts.campaigns import campaign
from scripts.campaigns.campaign import Count, chosen, kept

WORK = campaign.workspace("weights")

import numpy as np  # noqa: E402
import torch  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402
from small_build import KNOWN, NAME, prepare  # noqa: E402

from core import encode  # noqa: E402
from core.build import run_build  # noqa: E402
from core.formats.documents import Document  # noqa: E402
from core.retrieval.encoder import (  # noqa: E402
    encode_texts,  # noqa: E402
    load_encoder_of,  # noqa: E402
    load_vectors,  # noqa: E402
)
from core.training.bi_encoder import build_model  # noqa: E402
from core.training.t5 import open_predictor  # noqa: E402
from core.workspace.artifacts import is_whole  # noqa: E402
from core.workspace.errors import UserError  # noqa: E402
from core.workspace.models import load_t5  # noqa: E402
from core.workspace.profile import Doc2querySettings, FinetuneSettings, Profile, SystemSettings  # noqa: E402
from core.workspace.stage import Build, Target  # noqa: E402
from core.workspace.workspace import Workspace  # noqa: E402

FOLDER = Workspace.default().collection(NAME)
VECTORS = FOLDER.vectors("attacked")
Weights = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Model:
    """A kind of model: its folder, and functions that load it and compute results.

    `live` computes results with existing vectors; it is None for models that make none.
    """

    name: str
    folder: Path
    made: Callable[[], Any]
    live: Callable[[], Any] | None = None


def one(key: str, change: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[Weights], Weights]:
    """Return a function that changes one weight."""
    return lambda weights: weights | {key: change(weights[key])}


def renamed(rename: Callable[[str], str], *keys: str) -> Callable[[Weights], Weights]:
    """Return a function that renames some weights, or all if none is given."""
    return lambda weights: {rename(k) if k in keys or not keys else k: weight for k, weight in weights.items()}


def with_value(value: float) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return a function that sets one value of a weight."""

    def change(weight: torch.Tensor) -> torch.Tensor:
        weight.view(-1)[weight.numel() // 2] = value
        return weight

    return change


def ways_of_one(key: str) -> dict[str, Callable[[Weights], Weights]]:
    """Return description -> function for the ways to damage one weight."""
    ways: dict[str, Callable[[Weights], Weights]] = {
        "dropped": lambda weights: {k: weight for k, weight in weights.items() if k != key},
        "renamed": renamed(lambda name: f"{name}_", key),
        "cut": one(key, lambda weight: weight[: len(weight) // 2]),
        "lengthened": one(key, lambda weight: torch.cat([weight, weight[:1]])),
        "of one more axis": one(key, lambda weight: weight[None]),
        "beside one too much": lambda weights: weights | {f"{key}.more": torch.ones(3)},
        "as double": one(key, lambda weight: weight.double()),
    }
    ways |= {f"prefixed {prefix}": renamed(lambda name, p=prefix: p + name, key) for prefix in PREFIXES}  # type: ignore
    return ways | {f"holding {value}": one(key, with_value(float(value))) for value in ("nan", "inf", "-inf")}


PREFIXES = ("model.", "module.", "bert.", "0.auto_model.")
WAYS_OF_FILES: dict[str, Callable[[Weights], Weights]] = {
    "without weights": lambda _: {},
    "all renamed": renamed(str.upper),
    **{f"all prefixed {prefix}": renamed(lambda name, p=prefix: p + name) for prefix in PREFIXES},  # type: ignore
}


def read_weights(file: Path) -> Weights:
    """Read the weights of a .safetensors file or of a pickle."""
    return dict(load_file(file) if file.suffix == ".safetensors" else torch.load(file, weights_only=True))


def write_weights(file: Path, weights: Weights) -> None:
    """Write weights as `read_weights` reads them."""
    whole = {key: weight.contiguous().clone() for key, weight in weights.items()}
    save_file(whole, file, metadata={"format": "pt"}) if file.suffix == ".safetensors" else torch.save(whole, file)


def models(source: Path, profile: Profile) -> Iterator[Model]:
    """Make and yield a model of every kind."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Dense, LayerNorm, Pooling, Router, Transformer
    from transformers import BertForMaskedLM, BertModel

    bert, width = source / "tiny-bert", 64

    def save(name: str, *modules: Any) -> Path:
        SentenceTransformer(modules=list(modules), device="cpu").save(str(source / name))
        return source / name

    def tower() -> list[Any]:
        return [Transformer(str(bert), max_seq_length=16), Pooling(width)]

    yield encoder("mean pooling", source / "tiny-encoder", profile)
    yield encoder("Dense and LayerNorm", save("dense", *tower(), Dense(width, 32), LayerNorm(32)), profile)
    pickled = save("pickled", *tower(), Dense(width, 32))
    dense = pickled / "2_Dense" / "model.safetensors"
    write_weights(dense.with_name("pytorch_model.bin"), read_weights(dense))
    dense.unlink()
    yield encoder("a Dense as pickle", pickled, profile)
    yield encoder("two towers", save("towers", Router.for_query_document(tower(), tower())), profile)
    in_shards = shutil.copytree(source / "tiny-encoder", source / "shards")
    (in_shards / "model.safetensors").unlink()
    BertModel.from_pretrained(bert).save_pretrained(in_shards, max_shard_size="60KB")
    yield encoder("shards", in_shards, profile)
    yield base("base", bert)
    masked = shutil.copytree(bert, source / "masked")
    body = BertModel.from_pretrained(bert)
    head = BertForMaskedLM(body.config)
    head.bert.load_state_dict(body.state_dict(), strict=False)
    head.save_pretrained(masked)
    yield base("base with a head", masked)
    yield predictor("T5", source / "tiny-t5")


def encoder(name: str, folder: Path, profile: Profile) -> Model:
    """Return an encoder for the documents of the small collection and for queries."""
    system = SystemSettings(name=VECTORS.name, kind="dense", model=str(folder))

    def live() -> Any:
        queries = encode_texts(load_encoder_of(FOLDER, system, "cpu"), KNOWN[:5], "query")
        return np.array(load_vectors(FOLDER, system.name)[0]), queries

    def made() -> Any:
        encode.STAGE.run(Build(profile, FOLDER, "cpu"), Target(VECTORS, system))
        return live()

    return Model(name, folder, made, live)


def base(name: str, folder: Path) -> Model:
    """Return a base model for training, with a pooling layer."""
    settings = FinetuneSettings(base=str(folder), max_tokens=16)
    return Model(name, folder, lambda: (build_model(settings, folder, "cpu").encode(KNOWN[:5]),))


def predictor(name: str, folder: Path) -> Model:
    """Return a T5 that predicts queries and is also the base model of such training."""
    settings = Doc2querySettings(model=str(folder), base=str(folder), queries=2, max_query_tokens=6)

    def made() -> Any:
        predicted, _ = open_predictor(FOLDER.workspace, settings, "cpu")([Document("d", "", " ".join(KNOWN[:8]))])
        model, tokenizer = load_t5(str(folder), folder)
        inputs = tokenizer(" ".join(KNOWN), return_tensors="pt")
        with torch.inference_mode():
            logits = model(**inputs, decoder_input_ids=torch.arange(8)[None]).logits.numpy()
        return logits, np.array([predicted["d"]])

    return Model(name, folder, made)


def attacks(model: Model) -> list[tuple[Path, str, Callable[[Path], Any]]]:
    """Return all damages of a model as (file, description, function)."""
    found: list[tuple[Path, str, Callable[[Path], Any]]] = []

    def changed(change: Callable[[Weights], Weights]) -> Callable[[Path], Any]:
        return lambda file: write_weights(file, change(read_weights(file)))

    for file in sorted([*model.folder.rglob("*.safetensors"), *model.folder.rglob("*.bin")]):
        keys = list(read_weights(file))
        found += [(file, f"{key} {way}", changed(c)) for key in keys for way, c in ways_of_one(key).items()]
        found += [(file, way, changed(change)) for way, change in WAYS_OF_FILES.items()]
        found.append((file, "cut in its middle", lambda f: f.write_bytes(f.read_bytes()[: f.stat().st_size // 2])))
        found.append(
            (file, "a pointer of Git LFS", lambda f: f.write_text("version https://git-lfs.github.com/spec/v1\n"))
        )
        others = [path for path in model.folder.parent.rglob("*.safetensors") if path.read_bytes() != file.read_bytes()]
        for other in others if file.suffix == ".safetensors" else []:
            if {k: w.shape for k, w in read_weights(other).items()} != {
                k: w.shape for k, w in read_weights(file).items()
            }:
                place = other.relative_to(model.folder.parent)
                found.append((file, f"that of {place}", lambda f, o=other: shutil.copyfile(o, f)))  # type: ignore
    return found


def weights(rounds: int, generator: random.Random) -> dict[str, Count]:
    """Damage the weights of every kind of model, in `rounds` cases per kind, 0 for all."""
    profile = prepare(WORK / "source", FOLDER.workspace.root)
    run_build(Build(profile, FOLDER, "cpu"), only="collection", say=lambda _: None)
    counts = {}
    for model in models(WORK / "source", profile):
        count = counts[model.name] = Count()
        expected = model.made()
        for file, what, attack in chosen(attacks(model), rounds, generator):
            with kept(file):
                attack(file)
                problem = (model.live and problem_of(model.live, expected)) or problem_of(model.made, expected)
            if model.live:
                problem = problem or ("" if is_whole(VECTORS) else "the vectors made before are lost")
                model.made()
            count.add(problem, f"{model.name}: {file.relative_to(model.folder)}: {what}")
    return counts


def problem_of(make: Callable[[], Any], expected: Any) -> str:
    """Return the problem with the results of a damaged model, "" if there is none."""
    try:
        found = make()
    except UserError as error:
        return f"not one sentence: {error}" if "\n" in str(error) else ""
    except Exception as error:
        return f"a traceback: {type(error).__name__}: {error}"
    same = all(np.array_equal(one, other) for one, other in zip(found, expected, strict=True))
    return "" if same else "other values, without a word"


if __name__ == "__main__":
    campaign.run(weights, __doc__, WORK)
