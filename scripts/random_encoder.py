#!/usr/bin/env python3
"""Make an encoder with random weights and the shape of another, to time a model that is unavailable.

    python scripts/random_encoder.py all-MiniLM-L6-v2 12 models/all-MiniLM-L12-v2      # 12 layers in place of 6

Its tokenizer, width, pooling and input limit are those of the model; its vectors mean nothing.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from core.workspace.models import load_sentence_transformer, locate_model
from core.workspace.workspace import Workspace


def make_random_encoder(workspace: Workspace, model: str, layers: int, folder: Path) -> Path:
    """Write an encoder with random weights, a model's shape and another number of layers, and return its folder."""
    import torch
    from transformers import AutoConfig, AutoModel

    encoder = load_sentence_transformer(workspace, model, "cpu")
    torch.manual_seed(1)
    encoder[0].model = AutoModel.from_config(
        AutoConfig.from_pretrained(locate_model(workspace, model), num_hidden_layers=layers)
    )
    encoder.save(str(folder))
    return folder


def main() -> None:
    """Make the encoder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="model whose shape it has")
    parser.add_argument("layers", type=int)
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    print(make_random_encoder(Workspace.default(), options.model, options.layers, options.folder))


if __name__ == "__main__":
    main()
