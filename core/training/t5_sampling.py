"""Reproducible top-k sampling of many texts per document from a T5; each draw depends only on the sample's key.

transformers' `generate` treats every sample as a separate document: it copies the encoder states, computes the keys and
values of cross-attention for every copy, and keeps finished samples in the batch to the last step. Here
cross-attention's keys and values are computed once per document, a few documents at a time, and finished samples leave
the batch. The model's own layers are called; if a version of transformers has different layers, `generate` produces the
same texts (see core.workspace.library_internals).
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from transformers import LogitsProcessor, LogitsProcessorList

from core.workspace import artifacts
from core.workspace.library_internals import has_t5_decoder_layers

CPU_ENCODED = 8
"""Number of documents encoded at a time on a CPU: the intermediate results of so few stay in its caches."""


FEWER = 0.75
"""Share of unfinished samples at or below which finished ones are removed from the batch, which costs a copy."""


def sample_keys(seed: int, document_ids: list[str], samples: int) -> Tensor:
    """Return one 62-bit key for every sample of every document, int64 [n_documents, samples].

    With a larger number of samples, the first keys stay the same.
    """
    digests = (artifacts.value_digest([seed, name, sample]) for name in document_ids for sample in range(samples))
    keys = torch.tensor([int(digest[:16], 16) >> 2 for digest in digests], dtype=torch.int64)
    return keys.view(len(document_ids), samples)


def draw(logits: Tensor, keys: Tensor, step: int, top_k: int, temperature: float) -> Tensor:
    """Sample a token for each row from the softmax over its `top_k` logits, with noise fixed by key and step.

    This uses the Gumbel-max trick: the argmax of logits / temperature + Gumbel noise is a sample from the softmax. The
    noise is a hash of (key, step, token), so that a sample gets the same tokens in any batch with the same logits.

    Args:
        logits: float [n_rows, n_tokens].
        keys: int64 [n_rows].

    Returns:
        int64 [n_rows].
    """
    values, tokens = logits.topk(top_k)
    step_keys = _mix(keys ^ (0x9E3779B97F4A7C15 * (step + 1) % 2**62))
    uniform = _uniform(_mix(step_keys[:, None] ^ (tokens * 0x1000193)))
    drawn = (values.float() / temperature - torch.log(-torch.log(uniform))).argmax(dim=-1, keepdim=True)
    return tokens.gather(1, drawn)[:, 0]


def _mix(values: Tensor) -> Tensor:
    """Scramble int64 values with the finaliser of MurmurHash3 (Appleby); masks make the shifts logical."""
    values = (values ^ ((values >> 33) & 0x7FFFFFFF)) * -0xAE502812AA7333
    values = (values ^ ((values >> 33) & 0x7FFFFFFF)) * -0x3B314601E57A13AD
    return values ^ ((values >> 33) & 0x7FFFFFFF)


def _uniform(values: Tensor) -> Tensor:
    """Map scrambled int64 values to float32 in (0, 1)."""
    return ((values & 0x7FFFFF).float() + 0.5) / 2**23


class _Rows:
    """The unfinished samples: their numbers, last tokens, and cached keys and values."""

    def __init__(self, keys: Tensor, start: int, cache: Tensor):
        documents, samples = keys.shape
        self.keys, self.cache = keys.flatten(), cache
        self.number = torch.arange(documents * samples, device=keys.device)
        self.last = torch.full_like(self.number, start)
        self.ended = torch.zeros_like(self.number, dtype=torch.bool)
        self._place(documents, samples)

    def _place(self, documents: int, samples: int) -> None:
        """Assign each sample a cell in a table of documents, as wide as the most samples left for any document."""
        self.document = self.number // samples
        left = torch.bincount(self.document, minlength=documents)
        first = left.cumsum(0) - left
        self.slot = torch.arange(len(self.number), device=left.device) - first[self.document]
        self.table = (documents, int(left.max()))

    def by_document(self, values: Tensor) -> Tensor:
        """Return [n_rows, ...] as [n_documents, widest, ...], padded with zeros."""
        table = values.new_zeros(*self.table, *values.shape[1:])
        table[self.document, self.slot] = values
        return table

    def by_row(self, table: Tensor) -> Tensor:
        """Undo `by_document`."""
        return table[self.document, self.slot]

    def drop_ended(self, steps: int, documents: int, samples: int) -> None:
        """Remove the finished samples after `steps` steps."""
        going = ~self.ended
        used = self.cache[..., :steps, :][:, :, going]
        self.cache = self.cache[:, :, : used.shape[2]]
        self.cache[..., :steps, :] = used
        for name in ("keys", "number", "last", "ended"):
            setattr(self, name, getattr(self, name)[going])
        self._place(documents, samples)


@torch.inference_mode()
def sample(model: Any, batch: dict[str, Tensor], keys: Tensor, top_k: int, temperature: float, steps: int) -> Tensor:
    """Generate one text per key for each document of a batch.

    Args:
        model: a `T5ForConditionalGeneration` in evaluation mode.
        batch: input_ids and attention_mask, int64 [n_documents, n_tokens], padded on the right.
        keys: int64 [n_documents, samples], see `sample_keys`.
        steps: the maximum number of tokens of a text.

    Returns:
        Token ids, int64 [n_documents, samples, steps], padded after the end of each text.
    """
    if not has_t5_decoder_layers(model):
        return _sample_by_generate(model, batch, keys, top_k, temperature, steps)
    configuration, decoder = model.config, model.decoder
    crossed = _cross_states(model, batch)
    outside = batch["attention_mask"][:, None, None] == 0
    bias = decoder.block[0].layer[0].SelfAttention.compute_bias(steps, steps)
    shape = len(decoder.block), 2, keys.numel(), configuration.num_heads, steps, configuration.d_kv
    cache = torch.zeros(shape, dtype=model.dtype, device=keys.device)
    rows = _Rows(keys, configuration.decoder_start_token_id, cache)
    texts = torch.full((keys.numel(), steps), configuration.pad_token_id, device=keys.device)
    for step in range(steps):
        hidden = decoder.embed_tokens(rows.last)
        for number, block in enumerate(decoder.block):
            hidden = hidden + _self_attention(block.layer[0], hidden, rows.cache[number], step, bias)
            keys_of, values_of = crossed[number]
            hidden = hidden + _cross_attention(block.layer[1], hidden, keys_of, values_of, outside, rows)
            hidden = block.layer[2](hidden)
        hidden = decoder.final_layer_norm(hidden)
        if configuration.scale_decoder_outputs:
            hidden = hidden * configuration.d_model**-0.5
        drawn = draw(model.lm_head(hidden), rows.keys, step, top_k, temperature)
        rows.last = torch.where(rows.ended, configuration.pad_token_id, drawn)
        rows.ended = rows.ended | (drawn == configuration.eos_token_id)
        texts[rows.number, step] = rows.last
        left = int((~rows.ended).sum())
        if not left:
            break
        if left <= FEWER * len(rows.ended):
            rows.drop_ended(step + 1, *keys.shape)
    return texts.view(*keys.shape, steps)


def _cross_states(model: Any, batch: dict[str, Tensor]) -> list[tuple[Tensor, Tensor]]:
    """Encode documents and return the keys and values of cross-attention, for each block of the decoder.

    Returns:
        Keys [n_documents, heads, width, n_tokens] and values [n_documents, heads, n_tokens, width]; 0 where there is
        no token.
    """
    heads, width = model.config.num_heads, model.config.d_kv
    documents, tokens = batch["input_ids"].shape
    blank = torch.zeros(documents, heads, width, tokens, dtype=model.dtype, device=batch["input_ids"].device)
    crossed = [(blank.clone(), blank.mT.contiguous()) for _ in model.decoder.block]
    at_once = CPU_ENCODED if blank.device.type == "cpu" else documents
    for begin in range(0, documents, at_once):
        part = slice(begin, begin + at_once)
        ids, mask = batch["input_ids"][part], batch["attention_mask"][part]
        longest = int(mask.sum(1).max())
        states = model.encoder(input_ids=ids[:, :longest], attention_mask=mask[:, :longest]).last_hidden_state
        for block, (keys, values) in zip(model.decoder.block, crossed, strict=True):
            attention = block.layer[1].EncDecAttention
            keys[part, :, :, :longest] = attention.k(states).unflatten(-1, (heads, width)).permute(0, 2, 3, 1)
            values[part, :, :longest] = attention.v(states).unflatten(-1, (heads, width)).transpose(1, 2)
    return crossed


class _Draws(LogitsProcessor):
    """Logits processor that makes `generate` choose the tokens that `draw` samples."""

    def __init__(self, keys: Tensor, top_k: int, temperature: float):
        self.keys, self.top_k, self.temperature, self.step = keys, top_k, temperature, 0

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        tokens = draw(scores, self.keys, self.step, self.top_k, self.temperature)
        self.step += 1
        return torch.full_like(scores, -torch.inf).scatter_(1, tokens[:, None], 0.0)


def _sample_by_generate(
    model: Any, batch: dict[str, Tensor], keys: Tensor, top_k: int, temperature: float, steps: int
) -> Tensor:
    """Generate the same texts as `sample` through transformers' public API, which is slower."""
    repeated = {name: values.repeat_interleave(keys.shape[1], 0) for name, values in batch.items()}
    draws = LogitsProcessorList([_Draws(keys.flatten(), top_k, temperature)])
    written = model.generate(**repeated, logits_processor=draws, do_sample=False, num_beams=1, max_new_tokens=steps)
    written = functional.pad(written[:, 1:], (0, steps + 1 - written.shape[1]), value=model.config.pad_token_id)
    return written.view(*keys.shape, steps)


def _self_attention(layer: Any, hidden: Tensor, cache: Tensor, step: int, bias: Tensor) -> Tensor:
    """Attend to the previous tokens, cached as [2, n_rows, heads, steps, width], and to the new one."""
    attention, normed = layer.SelfAttention, layer.layer_norm(hidden)
    keys, values = cache
    head_shape = (len(hidden), keys.shape[1], keys.shape[3])
    keys[:, :, step] = attention.k(normed).view(head_shape)
    values[:, :, step] = attention.v(normed).view(head_shape)
    attended = functional.scaled_dot_product_attention(
        attention.q(normed).view(head_shape)[:, :, None],
        keys[:, :, : step + 1],
        values[:, :, : step + 1],
        attn_mask=bias[:, :, step : step + 1, : step + 1].expand(len(hidden), -1, -1, -1),
        scale=1.0,
    )
    output: Tensor = attention.o(attended.reshape(len(hidden), -1))
    return output


def _cross_attention(layer: Any, hidden: Tensor, keys: Tensor, values: Tensor, outside: Tensor, rows: _Rows) -> Tensor:
    """Attend to the document's tokens; its samples share keys and values (see `_cross_states`)."""
    attention = layer.EncDecAttention
    queries = attention.q(layer.layer_norm(hidden)).view(len(hidden), keys.shape[1], -1)
    scores = rows.by_document(queries).transpose(1, 2) @ keys
    weights = scores.masked_fill(outside, torch.finfo(scores.dtype).min).softmax(-1)
    output: Tensor = attention.o(rows.by_row((weights @ values).transpose(1, 2)).reshape(len(hidden), -1))
    return output
