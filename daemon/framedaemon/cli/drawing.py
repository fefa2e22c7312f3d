"""Lines of text for people: rows with two ends, titled rules and bars, none wider than it may be.

What a stranger named is escaped here once more: nothing steers the terminal.
"""

from __future__ import annotations

from dataclasses import dataclass

from rich.console import Console
from rich.text import Text

from framedaemon.naming import show

# What is left for a name where what stands at the row's other end is long: a third of the row.
_NAME_SHARE = 3

_LEAST_BAR = 8
_LARGEST_BAR = 60


@dataclass(frozen=True, slots=True)
class Pen:
    """Draws for one width."""

    width: int
    plain: bool = False
    """ASCII only, for terminals that know no more."""

    def text(self, words: str, style: str = "") -> Text:
        """One line of words, cut where the width ends."""
        line = Text(show(words), style, no_wrap=True)
        line.truncate(self.width, overflow="crop" if self.plain else "ellipsis")
        return line

    def banner(self, words: str, style: str) -> list[Text]:
        """Words that must be read: a band of as many lines as they need."""
        lines = Text(show(words), style).wrap(Console(width=self.width), self.width)
        for line in lines:
            line.pad_right(self.width - line.cell_len)
        return [*lines]

    def row(self, left: Text, right: Text) -> Text:
        """Two ends of a line; where both are long, the left one keeps at least a part of its own."""
        room = max(min(left.cell_len, self.width // _NAME_SHARE), self.width - right.cell_len - 2)
        left, right = left.copy(), right.copy()
        left.truncate(room, overflow="crop" if self.plain else "ellipsis", pad=True)
        right.truncate(max(0, self.width - room - 2), overflow="crop" if self.plain else "ellipsis")
        gap = self.width - left.cell_len - right.cell_len
        return Text.assemble(left, " " * max(0, gap), right, no_wrap=True)

    def rule(self, title: str, said: str = "") -> Text:
        """A section's first line."""
        stroke = "-" if self.plain else "─"
        end = Text(f" {said} {stroke * 2}" if said else "", "dim")
        begin = Text.assemble((f"{stroke * 2} ", "dim"), (title, "bold"), " ")
        begin.append(stroke * max(0, self.width - begin.cell_len - end.cell_len), "dim")
        begin.append_text(end)
        begin.truncate(self.width)
        return begin

    def bar(self, width: int, *parts: tuple[float, str]) -> Text:
        """Shares of one, each with its style, one after the other; what is left stays thin."""
        full, thin = ("#", "-") if self.plain else ("━", "─")
        bar, done = Text(), 0.0
        for share, style in parts:
            done += max(0.0, share)
            bar.append(full * (min(width, round(width * done)) - len(bar)), style)
        bar.append(thin * (width - len(bar)), "dim")
        return bar

    def meter(self, label: str, parts: list[tuple[float, str]], *said: str, style: str = "") -> Text:
        """A label, a bar, and the longest of ``said`` that leaves room for a bar; the last one where none does."""
        head = Text(f"{label} ")
        for words in said:
            room = self.width - head.cell_len - len(words) - 1
            if room >= _LEAST_BAR:
                bar = self.bar(min(room, _LARGEST_BAR), *parts)
                return Text.assemble(head, bar, " ", (words, style), no_wrap=True)
        return self.text(f"{head.plain}{said[-1]}", style)
