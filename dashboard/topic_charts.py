"""Charts of the Topics and Topic pages: pure functions, a table in, a Plotly figure out.

Grades differ by colour and by symbol. The custom data of a mark is the topic or the document that it stands for.
"""

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from dashboard.charts import BLUE, DARK_GREY, GREY, ORANGE, finish
from dashboard.grades import grade_words
from dashboard.text import escape_plotly, shortened

SEQUENTIAL = "Cividis"
GRADE_STYLES = {
    "relevant": (BLUE, "circle", "solid"),
    "partly relevant": ("#56B4E9", "diamond", "solid"),
    "not relevant": (GREY, "circle-open", "dot"),
    "unjudged": (ORANGE, "x-thin-open", "dot"),
}
"""Grade in words -> colour, symbol, line. Okabe & Ito's colours."""


def _topic_texts(table: pd.DataFrame) -> list[str]:
    return [
        escape_plotly(f"topic {topic}: {shortened(query, 60)}")
        for topic, query in zip(table["topic"], table["query"], strict=True)
    ]


def _wrapped(label: str) -> str:
    """Return a system's label in short lines: lists stand side by side on a telephone, too."""
    return "<br>".join(escape_plotly(line) for line in textwrap.wrap(label, 12, max_lines=3, placeholder=" …"))


def _clickable(figure: go.Figure) -> go.Figure:
    plain = {"marker": {"opacity": 1}}
    figure.update_traces(selected=plain, unselected=plain)
    figure.update_layout(clickmode="event+select")
    return figure


def heat_map(table: pd.DataFrame, systems: Mapping[str, str], measure: str) -> go.Figure:
    """Draw topics x systems, a cell's colour and number its value; the hardest topic on top.

    The cells are bars of length 1 and not a Plotly heat map, whose cells take no click.

    Args:
        table: from `topic_tables.difficulty`.
        systems: name -> label, in the order of the columns.
    """
    figure = go.Figure()
    texts = _topic_texts(table)
    names = [escape_plotly(topic) for topic in table["topic"]]
    for place, (system, label) in enumerate(systems.items()):
        values = table[system]
        figure.add_bar(
            y=names,
            x=[1] * len(table),
            base=[place] * len(table),
            orientation="h",
            marker={"color": values, "coloraxis": "coloraxis", "line": {"width": 0}},
            text=[f"{value:.2f}" for value in values],
            textposition="inside",
            insidetextanchor="middle",
            textangle=0,
            insidetextfont={"color": ["#ffffff" if value < 0.5 else "#000000" for value in values]},
            customdata=table["topic"],
            hovertext=[f"{text}<br>{escape_plotly(label)}: {v:.4f}" for text, v in zip(texts, values, strict=True)],
            hovertemplate="%{hovertext}<extra></extra>",
        )
    labels = [_wrapped(label) for label in systems.values()]
    figure.update_xaxes(
        tickangle=0, tickvals=[place + 0.5 for place in range(len(labels))], ticktext=labels, side="top"
    )
    figure.update_xaxes(range=[0, len(labels)], showgrid=False, zeroline=False)
    figure.update_yaxes(type="category", autorange="reversed", title="topic", showgrid=False)
    bar = {"title": {"text": measure, "side": "top"}, "orientation": "h", "y": 0, "yanchor": "top", "thickness": 10}
    figure.update_layout(coloraxis={"colorscale": SEQUENTIAL, "cmin": 0, "cmax": 1, "colorbar": bar})
    figure.update_layout(barmode="overlay", bargap=0.06, showlegend=False, hovermode="y")
    return finish(_clickable(figure), 150 + 19 * len(table))


def difficulty_bars(table: pd.DataFrame, measure: str) -> go.Figure:
    """Draw each topic's mean over systems, hardest first, and the range from the lowest to the highest system."""
    names = [escape_plotly(topic) for topic in table["topic"]]
    figure = go.Figure(
        go.Bar(
            x=names,
            y=table["mean"],
            marker={"color": BLUE},
            error_y={
                "array": table["highest"] - table["mean"],
                "arrayminus": table["mean"] - table["lowest"],
                "color": DARK_GREY,
                "thickness": 1.2,
                "width": 2,
            },
            customdata=table["topic"],
            hovertext=_topic_texts(table),
            hovertemplate="%{hovertext}<br>mean %{y:.4f}<extra></extra>",
        )
    )
    figure.update_xaxes(type="category", title="topic", tickangle=-90)
    figure.update_yaxes(title=f"{measure}, mean over systems", rangemode="tozero")
    figure.update_layout(hovermode="x", bargap=0.15)
    return finish(_clickable(figure), 380)


def length_scatter(table: pd.DataFrame, measure: str) -> go.Figure:
    """Draw each topic's difference (or value) against the number of words that were searched."""
    figure = go.Figure(
        go.Scatter(
            x=table["words"],
            y=table["difference"],
            mode="markers",
            marker={"color": BLUE, "size": 11, "opacity": 0.65, "line": {"color": DARK_GREY, "width": 1}},
            customdata=table["topic"],
            hovertext=_topic_texts(table),
            hovertemplate="%{hovertext}<br>%{x} words, %{y:+.4f}<extra></extra>",
        )
    )
    figure.update_xaxes(title="words of the query")
    figure.update_yaxes(title=measure, zeroline=True)
    figure.update_layout(clickmode="event+select")
    return finish(figure, 380)


def kind_bars(table: pd.DataFrame, measure: str) -> go.Figure:
    """Draw the mean difference (or value) of each kind of topic; negative ones hatched.

    Args:
        table: index kind; columns topics, difference.
    """
    negative = [value < 0 for value in table["difference"]]
    names = [escape_plotly(f"{kind} ({count})") for kind, count in zip(table.index, table["topics"], strict=True)]
    figure = go.Figure(
        go.Bar(
            x=table["difference"],
            y=names,
            orientation="h",
            marker={
                "color": [ORANGE if below else BLUE for below in negative],
                "pattern": {"shape": ["/" if below else "" for below in negative], "solidity": 0.35},
            },
            hovertemplate="%{y}: %{x:+.4f}<extra></extra>",
        )
    )
    figure.update_yaxes(type="category", autorange="reversed")
    figure.update_xaxes(title=measure, zeroline=True)
    return finish(figure, 110 + 40 * len(table))


def split_bars(table: pd.DataFrame, label_a: str, label_b: str, k: int) -> go.Figure:
    """Draw what each document adds to the difference, the largest on top; what speaks for b is hatched orange.

    Args:
        table: from `topic_tables.split_table`, without the parts that are 0.
    """
    figure = go.Figure()
    names = [f"{escape_plotly(shortened(title, 38))} " for title in table["title"]]
    kinds = [(f"for {label_a}", table["part"] > 0, BLUE, ""), (f"for {label_b}", table["part"] < 0, ORANGE, "/")]
    for name, chosen, colour, pattern in kinds:
        rows = table[chosen]
        if rows.empty:
            continue
        hover = [
            f"{escape_plotly(row.title)}<br>grade {row.grade}, {row.change}" for row in rows.itertuples(index=False)
        ]
        figure.add_bar(
            x=rows["part"],
            y=list(rows.index),
            orientation="h",
            name=escape_plotly(name),
            marker={"color": colour, "pattern": {"shape": pattern, "solidity": 0.35}},
            customdata=rows["document"],
            hovertext=hover,
            hovertemplate="%{hovertext}: %{x:+.4f}<extra></extra>",
        )
    figure.update_yaxes(tickvals=list(table.index), ticktext=names, autorange="reversed")
    figure.update_xaxes(title=f"part of the difference in nDCG@{k}", zeroline=True)
    figure.update_layout(showlegend=True, bargap=0.25)
    return finish(_clickable(figure), 130 + 26 * len(table))


def position_lines(table: pd.DataFrame, systems: Mapping[str, str], depth: int, highest_grade: int) -> go.Figure:
    """Draw where each document stands in each list, a line a document; below the line the scale is logarithmic.

    Args:
        table: from `topic_tables.positions`, with the column title.
        systems: name -> label, in the order of the columns.
    """
    figure = go.Figure()
    shown = list(systems)
    longest = max([2 * depth, *table[shown].max().dropna()])
    table = table.assign(grade_words=[grade_words(grade, highest_grade) for grade in table["grade"]])
    for words, (colour, symbol, dash) in GRADE_STYLES.items():
        rows = table[table["grade_words"] == words]
        x: list[int | None] = []
        y: list[float | None] = []
        hover: list[str] = []
        documents: list[str] = []
        for _, row in rows.iterrows():
            for place, system in enumerate(shown):
                x.append(place)
                y.append(_height(row[system], depth, longest))
                where = "not in its run" if pd.isna(row[system]) else f"rank {row[system]}"
                hover.append(f"{escape_plotly(row['title'])}<br>{words}; {escape_plotly(systems[system])}: {where}")
            x.append(None)
            y.append(None)
            hover.append("")
            documents += [row["document"]] * (len(shown) + 1)
        if x:
            figure.add_scatter(
                x=x,
                y=y,
                mode="lines+markers",
                name=f"{words} ({len(rows)})",
                line={"color": colour, "width": 1.6 if dash == "solid" else 1, "dash": dash},
                marker={"symbol": symbol, "size": 10, "line": {"width": 2, "color": colour}},
                customdata=documents,
                hovertext=hover,
                hovertemplate="%{hovertext}<extra></extra>",
            )
    ticks = sorted({1, *range(5, depth + 1, 5 if depth <= 20 else 10)})
    ticks += [rank for rank in (20, 50, 100, 200, 500, 1000) if depth < rank <= longest]
    heights = [_height(rank, depth, longest) for rank in [*ticks, pd.NA]]
    figure.update_yaxes(tickvals=heights, ticktext=[*map(str, ticks), "none"], range=[heights[-1] + 1, 0], title="rank")
    figure.add_hline(y=depth + 0.5, line={"color": GREY, "width": 1})
    labels = [_wrapped(label) for label in systems.values()]
    figure.update_xaxes(
        tickangle=0, tickvals=list(range(len(labels))), ticktext=labels, side="top", showgrid=False, zeroline=False
    )
    figure.update_xaxes(range=[-0.3, len(labels) - 0.7])
    figure.update_layout(showlegend=True)
    figure = finish(_clickable(figure), 250 + 28 * min(depth, 20) + 8 * max(depth - 20, 0))
    figure.update_layout(legend={"y": -0.02, "yanchor": "top"}, margin={"t": 40})
    return figure


def _height(rank: Any, depth: int, longest: float) -> float:
    """Return where a rank is drawn: the shown depth evenly, what is below it by the logarithm, no rank at the end."""
    if pd.isna(rank):
        return 1.5 * depth + 1.5
    if rank <= depth:
        return float(rank)
    return depth + 0.5 + 0.5 * depth * math.log(rank / depth) / math.log(longest / depth)


def clicked(points: Sequence[Mapping]) -> str:
    """Return the custom data of the mark that was clicked, "" where none was."""
    if not points:
        return ""
    data = points[0].get("customdata", "")
    return str(data[0] if isinstance(data, list) else data)
