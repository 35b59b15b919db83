"""Pages without content on a collection are greyed in the sidebar, with the reason."""

import shutil

from made_up import Open

from core.workspace.command_line import save_profile
from core.workspace.profile import SystemSettings, read_profile
from core.workspace.workspace import CollectionFolder
from dashboard.shared.links import PAGES


def greyed(open_page: Open) -> dict[str, str]:
    app = open_page("summary", collection="made-up")
    linked = {link.proto.label for link in app.sidebar.get("page_link")}
    found = {caption.value.split(maxsplit=1)[1]: caption.help for caption in app.sidebar.caption if caption.help}
    titles = {entry.title for entry in PAGES if entry.group}
    assert linked | set(found) == titles and not linked & set(found)
    return found


def test_what_is_not_built_is_greyed_and_comes_back(open_page: Open, made_up: CollectionFolder) -> None:
    before = greyed(open_page)
    assert set(before) <= {"Documents", "Fine-tuning"}
    shutil.rmtree(made_up.predicted_queries.path)
    assert greyed(open_page) == before | {"doc2query": "There are no predicted queries yet."}


def test_imported_runs_have_results_alone(open_page: Open, made_up: CollectionFolder) -> None:
    profile = read_profile(str(made_up.profile))
    runs = [SystemSettings(name=system.name, kind="run") for system in profile.system]
    save_profile(profile.model_copy(update={"system": runs}), made_up)
    assert set(greyed(open_page)) >= {"Search", "doc2query", "Documents"}
