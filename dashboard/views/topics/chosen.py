"""The selection of the Topics page, and what its views share: a chart with its table, and links to a topic."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
import streamlit as st

from core.evaluation import topic_tables
from core.evaluation.significance import Corrected, Values
from core.evaluation.table_formats import MISSING, Table
from dashboard.shared import data, links, verdicts
from dashboard.shared.charts import clicked
from dashboard.shared.export import picture_button
from dashboard.shared.provenance import downloads_and_provenance

PAIRED = "values paired by topic id; a judged topic with no results in a run counts as 0"


@dataclass(frozen=True)
class Chosen:
    """The selection of the Topics page: systems a and b ("" if only one has a run), a measure and the topics."""

    opened: data.Opened
    content: data.Content
    measure: str
    values: Values
    """Systems with a run, without the median system."""
    a: str
    b: str
    tie: float
    table: pd.DataFrame
    """The table of `topic_tables.differences`."""
    labels: Mapping[str, str]
    kind: str = ""
    """The selected topic type, "" for all."""

    @property
    def caption(self) -> str:
        """The caption of the tables."""
        return f"{self.opened.folder.name}, {self.measure}"

    @property
    def topics(self) -> list[str]:
        """The selected topics, by descending difference."""
        return list(self.table["topic"])

    def compared(self) -> Corrected:
        """Return the comparison of a and b on the selected topics."""
        values = topic_tables.comparable(self.values, self.b, self.topics)
        return verdicts.compare_pair(values, self.a, self.b, self.tie)

    @property
    def difference(self) -> str:
        """A description of the plotted value."""
        return f"{self.measure}, difference (A - B)" if self.b else self.measure


def open_topic(topic: str) -> None:
    """Open the page of a topic, keeping all other choices; the document that was open belongs to another topic."""
    links.switch_to("topic", topic=topic, document="", list="")


def chart(figure: object, key: str, alt: str) -> None:
    """Draw a chart whose marks are topics; a click on one opens its topic."""
    event = st.plotly_chart(
        figure, key=key, config=picture_button(key), on_select="rerun", selection_mode="points", alt=alt
    )
    topic = clicked(event.selection.points)
    if topic:
        open_topic(topic)


def table_of(chosen: Chosen, table: Table, figure: str, config: Mapping[str, Any], **options: object) -> None:
    """Draw the table of a chart in a collapsed expander, with its downloads and provenance.

    Args:
        figure: its name in `python -m core.compare`.
        options: options of the command, other than those of the selection.
    """
    with st.expander("Data of this chart"):
        shown = table.shown.reset_index()
        st.dataframe(shown, hide_index=True, column_config=dict(config), placeholder=MISSING, alt=table.caption)
        table_downloads(chosen, table, figure, **options)


def table_downloads(chosen: Chosen, table: Table, figure: str, **options: object) -> None:
    """Draw the downloads of a table and its provenance; arguments as in `table_of`."""
    looked_at = {"measure": chosen.measure, "a": chosen.a, "b": chosen.b, "type": chosen.kind}
    name = f"{chosen.opened.folder.name}-{figure}"
    downloads_and_provenance(chosen.opened, name, table, figure, {**looked_at, **options}, PAIRED)
