"""Measures, statistics and comparisons: what a page or a paper shows is computed here."""
