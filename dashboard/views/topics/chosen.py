"""What the Topics page looks at, and what its views share: a chart with its table, and the way to a topic."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
import streamlit as st

from core.evaluation.significance import Values
from dashboard.shared import data, links
from dashboard.shared.charts import clicked
from dashboard.shared.export import downloads, picture_button


@dataclass(frozen=True)
class Chosen:
    """What the Topics page looks at: system a against b ("" where only one has run), one measure, some topics."""

    opened: data.Opened
    content: data.Content
    measure: str
    values: Values
    """Of the systems that ran, without the median."""
    a: str
    b: str
    tie: float
    table: pd.DataFrame
    """From `topic_tables.differences`."""
    labels: Mapping[str, str]

    @property
    def topics(self) -> list[str]:
        """The topics that are looked at, the largest difference first."""
        return list(self.table["topic"])

    @property
    def difference(self) -> str:
        """What is drawn, in words."""
        return f"{self.measure}: a − b" if self.b else self.measure


def open_topic(topic: str) -> None:
    """Open the page of a topic, every other choice as it is."""
    links.switch_to("topic", topic=topic)


def chart(figure: object, key: str, alt: str) -> None:
    """Draw a chart whose marks are topics; a click on one opens its topic."""
    event = st.plotly_chart(
        figure, key=key, config=picture_button(key), on_select="rerun", selection_mode="points", alt=alt
    )
    topic = clicked(event.selection.points)
    if topic:
        open_topic(topic)


def table_of(chosen: Chosen, table: pd.DataFrame, name: str, config: Mapping[str, Any]) -> None:
    """Draw the table of a chart, closed at first, with its downloads; its first column names the rows."""
    with st.expander("Table of this chart"):
        st.dataframe(table, hide_index=True, column_config=dict(config), alt=f"Table of {name}")
        table_downloads(chosen, table.set_index(table.columns[0]), name)


def table_downloads(chosen: Chosen, table: pd.DataFrame, name: str) -> None:
    """Draw the downloads of a table, which its index names the rows of."""
    about = f"{chosen.opened.folder.name}, {chosen.measure}: {name.replace('-', ' ')}"
    downloads(table, f"{chosen.opened.folder.name}-{name}", about)
