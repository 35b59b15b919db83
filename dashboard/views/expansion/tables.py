"""The tables of the doc2query page: what expansion did to each topic, and to each document of one."""

from collections.abc import Mapping

import pandas as pd
import streamlit as st

from core.evaluation.expansion_effects import Effect, Move, effects
from core.formats.documents import Document
from core.formats.topics import Topic
from core.workspace.artifacts import read_latest
from dashboard.shared import data, results
from dashboard.shared.grades import grade_text


def effects_by_topic(opened: data.Opened, plain: str, expanded: str, depth: int) -> list[Effect]:
    """Count for every judged topic which documents expansion brought into the first ranks and which left them.

    Raises:
        UserError: a run or the judgments are missing or damaged.
    """
    return read_latest(
        lambda: results.digests(opened, [plain, expanded]),
        lambda digests: _effects(opened, plain, expanded, depth, digests),
    )


# Both runs are sorted whole, for all topics.
@st.cache_data(max_entries=20, show_spinner=False, hash_funcs={data.Opened: lambda opened: str(opened.folder)})
def _effects(opened: data.Opened, plain: str, expanded: str, depth: int, digests: tuple[str, ...]) -> list[Effect]:
    versions = zip((plain, expanded), digests, strict=False)
    before, after = (results.read_run(opened.folder, system, digest).scores for system, digest in versions)
    return effects(before, after, data.read_judged_topics(opened.folder, digests[-1]).qrels, depth)


def topics_table(
    measured: list[Effect], gained: Mapping[str, float], measure: str, topics: Mapping[str, Topic]
) -> pd.DataFrame:
    """Return one row a topic, the largest gain first.

    Args:
        gained: what each topic gained by the measure; topics without are left out.
    """
    rows = [
        {
            "topic": effect.topic,
            "query": topics[effect.topic].query if effect.topic in topics else "",
            f"{measure} gained": gained[effect.topic],
            "relevant in": effect.relevant_in,
            "relevant out": effect.relevant_out,
            "not relevant in": effect.not_relevant_in,
            "not relevant out": effect.not_relevant_out,
            "unjudged in": effect.unjudged_in,
            "unjudged out": effect.unjudged_out,
        }
        for effect in measured
        if effect.topic in gained
    ]
    return pd.DataFrame(rows).sort_values(f"{measure} gained", ascending=False, kind="stable", ignore_index=True)


def moves_table(found: list[Move], documents: Mapping[str, Document], highest_grade: int) -> pd.DataFrame:
    """Return one row a document that moved: its ranks, grade and title."""
    return pd.DataFrame(
        {
            "document": [move.document for move in found],
            "without": [move.before for move in found],
            "with": [move.after for move in found],
            "grade": [grade_text(move.grade, highest_grade) for move in found],
            "title": [documents[m.document].title if m.document in documents else "" for m in found],
        }
    ).astype({"without": "Int64", "with": "Int64"})
