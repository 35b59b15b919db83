"""The documentation names files, commands and folders that exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
PROSE = [page for page in PAGES if page.name != "CHANGELOG.md"]  # which tells of what there was


def anchors(page):
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8")):
        if link.startswith("http"):
            continue
        file, _, anchor = link.partition("#")
        target = (page.parent / file) if file else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("page", PROSE, ids=lambda page: page.name)
def test_files_and_commands_are_there(page):
    text = page.read_text("utf-8")
    named = set(re.findall(r"(?<![\w/.])(?:core|dashboard|scripts|tests|docs)/[\w/.-]*\w", text))
    named |= {f"core/{name.replace('.', '/')}.py" for name in re.findall(r"python3? -m core\.([\w.]*\w)", text)}
    missing = sorted(name for name in named if "NAME" not in name and not (ROOT / name).exists())
    assert not missing


def test_the_readme_fits_on_a_screen_or_two():
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 90


def test_every_folder_of_code_has_a_line():
    listed = set(re.findall(r"^\| `([\w/]+)/` \|", (ROOT / "docs" / "house.md").read_text("utf-8"), re.MULTILINE))
    folders = {
        path.parent.relative_to(ROOT).as_posix()
        for top in ("core", "dashboard", "scripts")
        for path in (ROOT / top).rglob("*.py")
        if path.parent.parent.name != "views"
    }
    assert folders <= listed
    assert all((ROOT / folder).is_dir() for folder in listed)
