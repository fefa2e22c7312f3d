"""How long things take, in words for people."""

from __future__ import annotations


def show_seconds(seconds: float | None) -> str:
    """A duration: ``42 s``, ``3 min 05 s``, ``2 h 10 min``, ``3 d 04 h``; nothing for None."""
    if seconds is None:
        return ""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    if whole < 86_400:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 86_400} d {whole % 86_400 // 3600:02d} h"


def show_roughly(seconds: float | None) -> str:
    """The same where seconds are no matter: ``42 s``, ``3 min``, ``2 h 10 min``."""
    if seconds is not None and 60 <= round(seconds) < 3600:
        return f"{round(seconds / 60)} min"
    return show_seconds(seconds)
