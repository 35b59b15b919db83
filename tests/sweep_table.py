"""A table of an ANN sweep for the tests of its tables and charts."""

import pandas as pd

SWEEP = pd.DataFrame(
    [
        ("exact", None, 1.0, 2.0, 100),
        ("hnsw", 10, 0.90, 0.5, 400),
        ("hnsw", 20, 0.96, 0.8, 300),
        ("hnsw", 40, 0.99, 1.6, 150),
        ("faiss-ivf", 1, 0.80, 0.6, 900),
    ],
    columns=["index", "value", "recall", "p50_ms", "queries_per_second"],
).assign(parameter="ef")
