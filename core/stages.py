"""All stages, each after the stages that it depends on.

collection -> [models] -> doc2query, vectors -> [indexes] -> [doc2query-scores] -> bm25, sparse -> runs -> measures, ann
"""

from typing import Any

from core import ann, bm25, collection, doc2query, encode, evaluate, finetune, index, search, sparse
from core.workspace.stage import Stage

STAGES: tuple[Stage[Any], ...] = (
    collection.STAGE,
    finetune.STAGE,
    doc2query.TRAIN,
    doc2query.GENERATE,
    encode.STAGE,
    index.STAGE,
    doc2query.SCORE,
    bm25.STAGE,
    sparse.STAGE,
    search.STAGE,
    evaluate.STAGE,
    ann.STAGE,
)
