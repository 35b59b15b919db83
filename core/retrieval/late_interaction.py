"""Late interaction: a multi-vector encoder such as ColBERT (Khattab & Zaharia, 2020) as a re-ranker.

Query and document have a vector for each token. The score, MaxSim, is the sum over the query's tokens of the highest
similarity to a token of the document; some models divide it by the number of the query's tokens. The documents' vectors
are made when a query is asked and are not kept: with 128 dimensions in float16, those of 171,332 abstracts of 250
tokens would take 11 GB.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from core.formats.documents import Document
from core.retrieval.rerank import BATCH, RerankSystem
from core.retrieval.word_attribution import by_word


class LateInteractionSystem(RerankSystem):
    """A multi-vector encoder over the first documents of another system."""

    def _scores(self, query: str, texts: list[str]) -> np.ndarray:
        asked = self.model.encode_query([query], show_progress_bar=False)
        read = self.model.encode_document(texts, batch_size=BATCH, show_progress_bar=False)
        found: np.ndarray = self.model.similarity(asked, read)[0].cpu().numpy()
        return found

    def _matches(self, query: str, text: str) -> tuple[list[tuple[str, int, float]], list[int]]:
        """Return (token, position, contribution) for each token of the query, and the ids of the document's tokens.

        The position is that of the document's token that is most similar; the contributions add up to the score.
        """
        asked, vectors, expanded = self._tokens(self.model.encode_query, self.settings.query_prefix + query)
        read, others, positions = self._tokens(self.model.encode_document, text)
        similarities = vectors @ others.T
        highest = similarities.max(axis=1) / (len(vectors) if self.model.similarity_fn_name == "meanmaxsim" else 1)
        tokens = self.model.tokenizer.convert_ids_to_tokens([asked[i] for i in expanded])
        return list(zip(tokens, positions[similarities.argmax(axis=1)].tolist(), highest.tolist(), strict=True)), read

    def _tokens(self, encode: Callable[..., Any], text: str) -> tuple[list[int], np.ndarray, np.ndarray]:
        """Return the ids of a text's tokens, the vectors of those that count, float32 [n, dimension], and where."""
        raw = encode(text, output_value=None, show_progress_bar=False)
        counts = raw["attention_mask"].bool().cpu().numpy()
        vectors: np.ndarray = raw["token_embeddings"].float().cpu().numpy()
        return raw["input_ids"].tolist(), vectors[counts], np.flatnonzero(counts)

    def explain(self, query: str, document: str) -> list[tuple[str, float]]:
        """See `System`: each token of the query with the document's token that it matches, the most similar first.

        A document below the depth has no score of the model.
        """
        if not self.rank_before(query, document):
            return []
        found, read = self._matches(query, self.settings.document_prefix + self._text(document))
        names = self.model.tokenizer.convert_ids_to_tokens(read)
        pairs = [(f"{token} → {names[position]}", value) for token, position, value in found]
        return sorted(pairs, key=lambda pair: -pair[1])

    def explain_words(self, query: str, document: Document) -> list[tuple[str, float]]:
        """Return (word, contribution) pairs in document order: the similarities of the query's tokens that it matches.

        Their sum is the score.
        """
        text = self.settings.document_prefix + document.full_text
        found, read = self._matches(query, text)
        values = np.zeros(len(read))
        for _, position, value in found:
            values[position] += value
        tokenizer, text = self.model.tokenizer, (self.model.prompts.get("document") or "") + text
        batch = tokenizer(text, truncation=True, max_length=len(read), return_offsets_mapping=True)
        if batch["input_ids"] == read:
            return by_word(batch, text, values)
        return list(zip(tokenizer.convert_ids_to_tokens(read), values.tolist(), strict=True))
