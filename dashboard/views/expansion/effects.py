"""What expansion did to each topic, cached by the runs and judgments it was counted from."""

import streamlit as st

from core.evaluation.expansion_effects import Effect, effects
from core.workspace.artifacts import read_latest
from dashboard.shared import data, results


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
