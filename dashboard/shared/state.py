"""State in the URL: the query parameters are the one place where a page's choices live.

A widget is set from its parameter on every run, and a change of the widget is written to the parameter before the
next one. So a pasted link, the browser's back button and a change of page all lead to the same view.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from dashboard.shared.escaping import escape_markdown


def read(name: str) -> str:
    """Return a parameter of the URL, "" where it is absent."""
    return st.query_params.get(name, "")


def write(name: str, value: str) -> None:
    """Set a parameter of the URL; "" removes it."""
    if value:
        st.query_params[name] = value
    elif name in st.query_params:
        del st.query_params[name]


def choose(
    label: str,
    options: Sequence[str],
    name: str,
    default: str,
    labels: Mapping[str, str] | None = None,
    width: int | Literal["stretch"] = "stretch",
    silent: bool = False,
    hidden_label: bool = False,
) -> str:
    """Draw a select box whose choice is the parameter `name`; for a value that is no option `default` is shown.

    Args:
        silent: draw no warning where the value is no option; the page says so itself.
        hidden_label: leave the label to screen readers, as within a sentence.
    """
    key = f"choice {name}"
    if default and not silent:
        _warn_of_missing(label, [read(name)], options, (labels or {}).get(default, default))
    st.session_state[key] = read(name) if read(name) in options else default
    return st.selectbox(
        label,
        options,
        key=key,
        format_func=lambda option: (labels or {}).get(option, option),
        width=width,
        label_visibility="collapsed" if hidden_label else "visible",
        on_change=lambda: write(name, st.session_state[key]),
    )


def slide(label: str, options: Sequence[str], name: str, default: str) -> str:
    """Draw a slider over ordered options whose place is the parameter `name`, as with `choose`."""
    key = f"slider {name}"
    st.session_state[key] = read(name) if read(name) in options else default
    return st.select_slider(label, options, key=key, on_change=lambda: write(name, st.session_state[key]))


def _warn_of_missing(label: str, wanted: Sequence[str], options: Sequence[str], shown: str) -> None:
    """Say which values of a link are no options, and what is shown in their place."""
    if missing := [value for value in wanted if value and value not in options]:
        names = ", ".join(missing)
        st.warning(escape_markdown(f"{label}: {names} is not available; {shown} is shown instead."))


def choose_several(
    label: str,
    options: Sequence[str],
    name: str,
    labels: Mapping[str, str],
    default: Sequence[str] = (),
    ordered: bool = False,
    warn_in: DeltaGenerator | None = None,
) -> list[str]:
    """Draw a box of several choices, kept in the parameter `name` with commas between them.

    Args:
        default: what none given means; all if empty.
        ordered: whether the choices keep the order in which they were made, else that of the options.
        warn_in: where to draw the warning of values that are no options, if the box itself may be out of sight.
    """
    key = f"choice {name}"
    wanted = read(name).split(",")
    chosen = [option for option in (dict.fromkeys(wanted) if ordered else options) if option in wanted]
    chosen = [option for option in chosen if option in options]
    shown = ", ".join(labels[option] for option in chosen or default) or "all"
    with warn_in or st.container():
        _warn_of_missing(label, wanted, options, shown)
    st.session_state[key] = chosen or list(default or options)
    return st.multiselect(
        label,
        options,
        key=key,
        format_func=labels.__getitem__,
        on_change=lambda: write(name, ",".join(st.session_state[key])),
    )


def switch(label: str, name: str, help: str | None = None, default: bool = False) -> bool:
    """Draw a switch that is on where the parameter `name` is "on", off where it is "off"."""
    key = f"switch {name}"
    st.session_state[key] = {"on": True, "off": False}.get(read(name), default)

    def changed() -> None:
        on = bool(st.session_state[key])
        write(name, "" if on == default else "on" if on else "off")

    return st.toggle(label, key=key, help=help, on_change=changed)


def choose_view(label: str, options: Mapping[str, str], name: str) -> str:
    """Draw the choice among the views of a page, kept in the parameter `name`; the first option is the default.

    Radio buttons: the chosen one of Streamlit's segmented control lacks contrast in the dark theme.

    Args:
        options: value -> what the button says.
    """
    key = f"choice {name}"
    first = next(iter(options))
    st.session_state[key] = read(name) if read(name) in options else first
    chosen = st.radio(
        label,
        list(options),
        key=key,
        format_func=options.__getitem__,
        horizontal=True,
        label_visibility="collapsed",
        on_change=lambda: write(name, st.session_state[key]),
    )
    return chosen or first
