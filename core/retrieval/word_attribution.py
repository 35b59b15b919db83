"""A dense system's similarity split by the words of the document: exact where the model takes the mean of its tokens.

A document's vector is d = c * (h_1 + ... + h_n) / n, with h_i the model's output at token i, and c = 1, or one over the
mean's length where the model scales its vectors. With u = q / |q| and v = d / |d| cosine similarity is

    cos(q, d) = u . v = sum over i of  u . h_i * c / (n |d|)

so each token carries one summand (for the dot product: q . h_i * c / n), and the summands add up to the score. It is a
*late* decomposition: h_i has seen the whole text, so a word's share is what arrives at its place and not what the score
would lose without the word. Word pieces are added up to words; the model's own marks ([CLS], [SEP]) keep their shares.
"""

from typing import Any

import numpy as np

from core.indexes.base import unit_rows
from core.workspace.errors import UserError


def token_shares(encoder: Any, query: np.ndarray, text: str, similarity: str) -> list[tuple[str, float]]:
    """Return (word, share of the score) in the text's order; the shares add up to the score.

    Args:
        encoder: the `SentenceTransformer` that made the query's vector.
        query: float32 [dimension].
        text: the document as it was encoded, prefix included; what lies beyond the model's limit has no share.
        similarity: "cosine" or "dot".

    Raises:
        UserError: the model does not take the mean of its tokens.
    """
    encoded = encoder.encode_document(text, output_value=None, show_progress_bar=False)
    hidden = encoded["token_embeddings"].float().cpu().numpy()
    vector = encoded["sentence_embedding"].float().cpu().numpy()
    mean = hidden.mean(axis=0)
    length = float(np.linalg.norm(vector))
    length_of_mean = float(np.linalg.norm(mean))
    factor = length / length_of_mean if length_of_mean else 1.0
    if not np.allclose(mean * factor, vector, atol=1e-4 * length):
        raise UserError("only a model that takes the mean of its tokens (mean pooling) can be explained word by word")
    if similarity == "cosine":
        # A vector of length 0 has no direction: its similarity counts as 0, and so does every word's share.
        query, factor = unit_rows(query[None])[0], factor / length if length else 0.0
    values = hidden @ query * factor / len(hidden)
    batch = encoder.tokenizer(text, truncation=True, max_length=encoder.max_seq_length, return_offsets_mapping=True)
    ids = encoded["input_ids"].tolist()
    if batch["input_ids"] != ids:  # a prompt of the model's own stands before the text
        return list(zip(encoder.tokenizer.convert_ids_to_tokens(ids), values.tolist(), strict=True))
    return _by_word(batch, text, values)


def _by_word(batch: Any, text: str, values: np.ndarray) -> list[tuple[str, float]]:
    """Add up the values of the pieces of each word."""
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
