"""Retrieval systems and their components: analysis, BM25, encoders, fusion, score explanations."""
