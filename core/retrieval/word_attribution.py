"""Attribution of a dense similarity to the words of the document; exact for models with mean pooling.

A document's vector is d = c * (h_1 + ... + h_n) / n, where h_i is the model's output at token i and c is 1, or the
inverse norm of the mean if the model normalises its vectors. With u = q / |q| and v = d / |d|, cosine similarity is

    cos(q, d) = u . v = sum over i of  u . h_i * c / (n |d|)

so each token contributes one term (for the dot product: q . h_i * c / n), and the terms add up to the score. The
decomposition is *late*: h_i depends on the whole text, so a word's contribution is not what the score would lose
without the word. Word pieces are summed to words; special tokens ([CLS], [SEP]) keep their own contributions.
"""

from typing import Any

import numpy as np

from core.indexes.base import unit_rows
from core.workspace.errors import UserError


def token_shares(encoder: Any, query: np.ndarray, text: str, similarity: str) -> list[tuple[str, float]]:
    """Return (word, contribution) pairs in text order; the contributions add up to the score.

    Args:
        encoder: the `SentenceTransformer` that made the query's vector.
        query: float32 [dimension], or the first dimensions of it, if the score is that of prefixes.
        text: the document as it was encoded, prefix included; it is truncated at the model's limit.
        similarity: "cosine" or "dot".

    Raises:
        UserError: if the model does not use mean pooling.
    """
    encoded = encoder.encode_document(text, output_value=None, show_progress_bar=False)
    hidden = encoded["token_embeddings"].float().cpu().numpy()
    vector = encoded["sentence_embedding"].float().cpu().numpy()
    mean = hidden.mean(axis=0)
    length = float(np.linalg.norm(vector))
    length_of_mean = float(np.linalg.norm(mean))
    factor = length / length_of_mean if length_of_mean else 1.0
    if not np.allclose(mean * factor, vector, atol=1e-4 * length):
        raise UserError("word contributions are only available for models with mean pooling")
    if similarity == "cosine":
        # A zero vector has no direction: its similarity and all contributions count as 0.
        length = float(np.linalg.norm(vector[: len(query)]))
        query, factor = unit_rows(query[None])[0], factor / length if length else 0.0
    values = hidden[:, : len(query)] @ query * factor / len(hidden)
    batch = encoder.tokenizer(text, truncation=True, max_length=encoder.max_seq_length, return_offsets_mapping=True)
    ids = encoded["input_ids"].tolist()
    if batch["input_ids"] != ids:  # the model's own prompt precedes the text
        return list(zip(encoder.tokenizer.convert_ids_to_tokens(ids), values.tolist(), strict=True))
    return by_word(batch, text, values)


def by_word(batch: Any, text: str, values: np.ndarray) -> list[tuple[str, float]]:
    """Return (word, value) pairs: the sums of the values of the pieces of each word of a tokenized text."""
    words: list[tuple[str, float]] = []
    previous = None
    pieces = zip(batch.word_ids(), batch["offset_mapping"], batch.tokens(), values, strict=True)
    for word, (begin, end), token, value in pieces:
        if word is not None and word == previous:
            name, share = words[-1]
            words[-1] = (name + text[begin:end], share + float(value))
        else:
            words.append((token if word is None else text[begin:end], float(value)))
        previous = word
    return words
