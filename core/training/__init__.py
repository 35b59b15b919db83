"""Training of the bi-encoder and of the T5 that predicts queries."""
