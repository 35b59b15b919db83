"""Shapes of transformers: the operations that they take for a text, and their size, without loading them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from core.workspace.model_configuration import input_limit, read_table
from core.workspace.models import find_model
from core.workspace.workspace import Workspace


@dataclass(frozen=True)
class Shape:
    """The shape of a transformer.

    Attributes:
        layers: number of encoder layers.
        width: dimension of the hidden states.
        inner: dimension inside a feed-forward block, counted one and a half times if the block is gated.
        vocabulary: number of token embeddings.
        limit: maximum number of tokens of a text.
        decoder_layers: number of decoder layers, of an encoder-decoder.
    """

    layers: int
    width: int
    inner: int
    vocabulary: int = 30_522
    limit: int = 512
    decoder_layers: int = 0

    @property
    def _per_layer(self) -> int:
        """Weights of an encoder layer: four projections and the feed-forward block."""
        return 4 * self.width**2 + 2 * self.width * self.inner

    @property
    def parameters(self) -> int:
        """The number of weights, without biases and norms."""
        decoder = self.decoder_layers * (self._per_layer + 4 * self.width**2)
        return self.layers * self._per_layer + decoder + self.width * self.vocabulary

    def encoding(self, tokens: np.ndarray) -> np.ndarray:
        """Return the floating-point operations to encode texts of these numbers of tokens: 2 per weight and token."""
        return self.layers * (2.0 * self._per_layer * tokens + 4.0 * self.width * tokens**2)

    def weighing(self, tokens: np.ndarray) -> np.ndarray:
        """Return the floating-point operations of a sparse encoder, which projects each token to the vocabulary."""
        return self.encoding(tokens) + (2.0 * self.width + POOLING) * self.vocabulary * tokens

    @property
    def decoding(self) -> float:
        """The floating-point operations to generate one token, including the projection to the vocabulary."""
        return 2.0 * (self.decoder_layers * (self._per_layer + 4 * self.width**2) + self.width * self.vocabulary)


POOLING = 200.0
"""Operations that take as long as the pooling of a token's weight for one term, which memory bounds."""


BASE = Shape(12, 768, 3072)
"""BERT-base, assumed for a model that is neither here nor known."""


KNOWN = {
    "all-MiniLM-L6-v2": Shape(6, 384, 1536, limit=256),
    "all-MiniLM-L12-v2": Shape(12, 384, 1536, limit=128),
    "MiniLM-L12-H384-uncased": Shape(12, 384, 1536),
    "all-mpnet-base-v2": Shape(12, 768, 3072, limit=384),
    "splade-tiny": Shape(2, 128, 512),
    "flan-t5-small": Shape(8, 512, 1536, 32_128, decoder_layers=8),
}


def shape_of(workspace: Workspace, name: str, base: str = "") -> Shape:
    """Return the shape of a model: from its configuration if it is on this machine, else a known one, else `BASE`.

    Args:
        base: the model that it is trained from, whose shape it has if it does not exist yet.
    """
    return known_shape(workspace, name) or (shape_of(workspace, base) if base else BASE)


def known_shape(workspace: Workspace, name: str) -> Shape | None:
    """Return the shape of a model: from its configuration if it is on this machine, else a known one, else None."""
    folder = find_model(workspace, name)
    if folder and (shape := _shape_in(folder)):
        return shape
    return KNOWN.get(name.rstrip("/").split("/")[-1])


def _shape_in(folder: Path) -> Shape | None:
    for file in sorted(folder.rglob("config.json")):
        table = read_table(file)
        width = _first(table, "hidden_size", "d_model", "dim", "n_embd")
        layers = _first(table, "num_hidden_layers", "num_layers", "n_layers", "n_layer")
        if not width or not layers:
            continue
        inner = _first(table, "intermediate_size", "d_ff", "hidden_dim") or 4 * width
        gated = "gated" in str(table.get("feed_forward_proj", ""))
        return Shape(
            layers,
            width,
            inner * 3 // 2 if gated else inner,
            _first(table, "vocab_size") or Shape.vocabulary,
            input_limit(file.parent) or Shape.limit,
            (_first(table, "num_decoder_layers") or layers) if table.get("is_encoder_decoder") else 0,
        )
    return None


def _first(table: dict[str, Any], *names: str) -> int:
    """Return the first positive integer under one of the names; 0 if there is none."""
    return next((value for name in names if isinstance(value := table.get(name), int) and value > 0), 0)
