"""One line of what the doctor says."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from shlex import quote
from typing import Literal, TypeAlias

State: TypeAlias = Literal["ok", "warning", "error"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found in one place, and how it is mended."""

    group: str
    name: str
    """What was looked at, one word or two: for scripts, which need it to stay."""
    state: State
    """``error``: jobs fail, or do not begin. ``warning``: they do not now, or work worse than they could."""
    said: str
    """In plain words, on one line."""
    mend: str = ""
    """The command that mends it, with words only behind a `#`, or what to do; empty where nothing has to be done."""


def pip_command(words: str) -> str:
    """``pip`` of the Python that framedaemon runs in, whatever stands in the PATH."""
    return f"{quote(sys.executable)} -m pip {words}"
