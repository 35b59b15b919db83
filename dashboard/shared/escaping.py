"""Untrusted text on a page: texts of documents, topics, queries and file names are shown literally.

`st.text` and `st.dataframe` interpret nothing and come first; where Streamlit or Plotly takes only marked-up text
(button labels, messages, tick labels), the text passes through here.
"""

import html
import logging
import re

import streamlit as st

from core.evaluation.table_formats import shortened as shortened
from core.workspace.errors import UserError, in_words

PUNCTUATION = re.compile(r"([!-/:-@\[-`{-~])")
AFTER_PARSING = re.compile(r":(?=\S)|@(?=\S*\.\S)|(?<=\bwww)(?=\.)|(?<=[<~])(?=[=-])|(?<=[->])(?=[=>-])", re.IGNORECASE)
WORD_JOINER = "\u2060"
COMMAND = re.compile(r"((?:python3? (?:-m core|scripts/)|pip install )[^;,()`]*[^;,()`\s]|(?<!\S)--[a-z][a-z-]*)")
"""A command, or an option of one, in a message."""


def escape_markdown(text: str) -> str:
    """Return text that Streamlit's Markdown shows literally, on one line.

    Every ASCII punctuation mark is escaped. That does not stop what is looked for after the parsing (":smile:",
    "https://", "www.", "a@b.c", "->"), so an invisible word joiner parts those, and only those: a page is searched
    and copied. "nDCG@10" is no address, since nothing follows with a dot.
    """
    parted = AFTER_PARSING.sub(rf"\g<0>{WORD_JOINER}", " ".join(text.split()))
    return PUNCTUATION.sub(r"\\\1", parted)


def error_markdown(message: str) -> str:
    """Return an error's sentence as Markdown: literal, its commands and options as code that can be copied."""
    parts = COMMAND.split(message)
    return "".join(f"`{part}`" if at % 2 else _between(part) for at, part in enumerate(parts)).strip()


def _between(text: str) -> str:
    """Return text between commands as Markdown, with the spaces at its ends."""
    begin, end = " " * text[:1].isspace(), " " * text[-1:].isspace()
    return f"{begin}{escape_markdown(text)}{end}" if text.strip() else begin


def escape_plotly(text: str) -> str:
    """Return text that Plotly, which reads a few HTML tags, shows literally."""
    return html.escape(text, quote=False)


def show_error(error: Exception) -> None:
    """Show an error in place of a part of the page; log the traceback of an unexpected one."""
    st.warning(error_markdown(error_text(error)), icon=":material/build:")


def error_text(error: Exception) -> str:
    """Return an error in words; log the traceback of an unexpected one."""
    if not isinstance(error, UserError):
        logging.getLogger(__name__).error("a part of a page failed", exc_info=error)
    return in_words(error)
