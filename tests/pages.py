"""The documents as tests see them: pages, the examples in them, the links between them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
PAGES = (*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/**/*.md")))


class Example(NamedTuple):
    """A fenced block; its file is the comment in its first line."""

    page: str
    file: str
    text: str


def examples(language: str) -> list[Example]:
    """Every block of a language, in all pages."""
    found = []
    for page in PAGES:
        for text in re.findall(rf"^```{language}\n(.*?)^```$", read(page), re.DOTALL | re.MULTILINE):
            named = re.match(r"# (\S+\.\w+)\b.*\n", text)
            found.append(Example(page.name, named[1] if named else "", text))
    return found


def read(page: Path | str) -> str:
    """The text of a page, by its path or its name in the project."""
    return (ROOT / page).read_text(encoding="utf-8")


def links(page: Path) -> Iterator[tuple[Path, str]]:
    """Where the links of a page lead that stay in the project: a file, and the heading in it or ""."""
    for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", _prose(read(page))):
        file, _, anchor = target.partition("#")
        yield ((page.parent / file).resolve() if file else page), anchor


def anchors(page: Path) -> set[str]:
    """What a link to a heading of a page may say after the #; as Markdown's own `toc` and GitHub make it."""
    headings = re.findall(r"^#{1,6} (.*)$", _prose(read(page)), re.MULTILINE)
    return {anchor(heading) for heading in headings}


def anchor(heading: str) -> str:
    """``what-is-kept`` for "What is kept?"."""
    said = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
    return re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", said).strip().lower())


def _prose(text: str) -> str:
    """A page without its blocks of code, where # is a comment."""
    return re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)
