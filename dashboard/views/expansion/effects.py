"""The effect of expansion on each topic, cached by the digests of runs and judgments."""

import streamlit as st

from core.evaluation.expansion_effects import Effect, effects
from core.workspace.artifacts import read_latest
from dashboard.shared import data, results


def effects_by_topic(opened: data.Opened, plain: str, expanded: str, depth: int) -> list[Effect]:
    """Count for every judged topic the documents that expansion moved into and out of the top `depth`.

    Raises:
        UserError: a run or the judgments are missing or damaged.
    """
    return read_latest(
        lambda: results.digests(opened, [plain, expanded]),
        lambda digests: _effects(opened, plain, expanded, depth, digests),
    )


# Cached because both runs are sorted in full, for all topics.
@st.cache_data(max_entries=20, show_spinner=False, hash_funcs={data.Opened: lambda opened: str(opened.folder)})
def _effects(opened: data.Opened, plain: str, expanded: str, depth: int, digests: tuple[str, ...]) -> list[Effect]:
    versions = zip((plain, expanded), digests, strict=False)
    before, after = (results.read_run(opened.folder, system, digest).scores for system, digest in versions)
    return effects(before, after, data.read_judged_topics(opened.folder, digests[-1]).qrels, depth)
