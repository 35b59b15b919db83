"""Clicks in ranked lists and other HTML of ours, reported to the page: a link would load the whole page again.

An element of `st.html` with the attribute `data-rs-open` reports its value when it is clicked or activated by the
keyboard. (Streamlit's select boxes set `data-open` on themselves.) The markup itself stays in `st.html`, which removes
scripts; this component has none.
"""

from collections.abc import Callable

import streamlit as st

# A link keeps its address, so that it opens in another tab with Ctrl; a row that is open is closed without a report; a
# row that was opened before this was loaded is reported then.
JS = """
let remove = () => {};
export default function ({ setTriggerValue }) {
  const listen = (event) => {
    const place = event.target.closest?.("[data-rs-open]");
    if (!place || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    if (place.tagName === "A") event.preventDefault();
    if (place.tagName === "SUMMARY" && place.parentElement.open) return;
    setTriggerValue("opened", place.dataset.rsOpen);
  };
  const early = document.querySelector("details[open] > summary[data-rs-open]");
  if (early) setTriggerValue("opened", early.dataset.rsOpen);
  remove();
  document.addEventListener("click", listen);
  remove = () => document.removeEventListener("click", listen);
  return remove;
}
"""
# It shows nothing, so it takes no place on the page. Streamlit would take a single line for a file's name.
CSS = """
[data-testid="stLayoutWrapper"]:has(> .st-key-clicks) {
  position: absolute; width: 1px; overflow: hidden; }
"""
_component = st.components.v2.component("rankscope_clicks", css=CSS, js=JS, isolate_styles=False)


def reported(key: str, receive: Callable[[str], None] = lambda value: None) -> str:
    """Return the value of the element that was clicked, or "" if this run has another cause. Call it once a page.

    Args:
        receive: called with the value before the page is drawn again.
    """

    def changed() -> None:
        receive(str(st.session_state[key]["opened"]))

    with st.container(key="clicks"):
        return str(_component(key=key, on_opened_change=changed).opened or "")
