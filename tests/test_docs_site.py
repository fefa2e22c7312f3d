"""The documents as a whole: every page is found, every link leads somewhere, what is written from the code is fresh."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

import framedaemon
from framedaemon.events import ALL_EVENTS
from framedaemon.hooks import Hooks
from pages import PAGES, ROOT, anchors, links, read

DOCS = ROOT / "docs"
BESIDE = {"contributing.md": "CONTRIBUTING.md", "changes.md": "CHANGELOG.md"}  # brought in by docs/generate/site.py


def test_every_page_is_in_the_navigation_once() -> None:
    nav = re.findall(r"^ +- .*?: (\S+\.md)$", read("mkdocs.yml").partition("\nnav:")[2], re.MULTILINE)

    pages = [str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md")]

    assert sorted(nav) == sorted([*pages, *BESIDE])


def test_every_page_is_named_on_the_first_one() -> None:
    pages = {page for page in DOCS.rglob("*.md") if page.name != "index.md"}

    assert pages - {page for page, _ in links(DOCS / "index.md")} == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_what_is_there(page: Path) -> None:
    wrong = [f"{file}#{anchor}" for file, anchor in links(page) if not _leads(file, anchor)]

    assert wrong == []


def test_no_page_loads_anything_from_elsewhere() -> None:
    """Pictures, scripts and styles: a link that a person follows is another matter."""
    loading = re.compile(r"!\[[^\]]*\]\(https?:|<(script|img|link|iframe)\b|@import|url\(", re.IGNORECASE)

    assert [page.name for page in (*PAGES, *DOCS.glob("*.css")) if loading.search(_outside_code(read(page)))] == []


def test_what_is_written_from_the_code_is_fresh() -> None:
    """Tables of settings, pages of reference, the manual page, completion."""
    done = subprocess.run([sys.executable, "docs/generate", "--check"], cwd=ROOT, capture_output=True, text=True)

    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


def test_the_reference_names_every_event_and_every_hook() -> None:
    events, hooks = read("docs/reference/events.md"), read("docs/reference/hooks.md")

    assert _missing((event.__name__ for event in ALL_EVENTS), events) == []
    assert _missing((name for name in vars(Hooks) if not name.startswith("_")), hooks) == []


def test_the_version_is_the_newest_of_the_changes() -> None:
    newest = re.findall(r"^## (\S+)", read("CHANGELOG.md"), re.MULTILINE)[0]

    said = subprocess.run(
        [sys.executable, "-m", "framedaemon", "--version"], capture_output=True, text=True, check=True
    )

    assert said.stdout == f"framedaemon {newest}\n"
    assert framedaemon.__version__ == newest


def test_the_picture_of_the_readme_is_small_enough_to_load() -> None:
    assert "](docs/demo.gif)" in read("README.md")
    assert (DOCS / "demo.gif").stat().st_size <= 2_000_000


def _leads(file: Path, anchor: str) -> bool:
    page = ROOT / BESIDE[file.name] if file.parent == DOCS and file.name in BESIDE else file
    return page.exists() and (not anchor or page.suffix != ".md" or anchor in anchors(page))


def _missing(names: Iterable[str], text: str) -> list[str]:
    return [name for name in names if f"\n## {name}\n" not in text]


def _outside_code(text: str) -> str:
    return re.sub(r"^```.*?^```$|`[^`]*`", "", text, flags=re.DOTALL | re.MULTILINE)
