"""What comes in and goes out: documents, topics, judgments, runs, triples, predicted queries."""
