"""Users of this machine: what belongs to whom, and how a command is said as somebody else."""

from __future__ import annotations

import os
import pwd
import shlex
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from framedaemon.naming import show


def user_name(uid: int) -> str:
    """``ada``; the number of one who has no name."""
    try:
        return show(pwd.getpwuid(uid).pw_name)
    except KeyError:
        return str(uid)


def command_as(uid: int, words: Sequence[str]) -> str:
    """What to type in a shell to have the command ``words`` run by that user."""
    user = user_name(uid)
    return shlex.join(["sudo", "-u", f"#{user}" if user.isdecimal() else user, *words])


def explain(error: OSError, words: Sequence[str]) -> str:
    """What the system said, of which file; and of what this user may not touch, whose it is.

    Where another user may, with the command ``words`` as that user would type it.
    """
    if not isinstance(error.filename, (str, bytes)):
        return str(error)
    path = Path(os.fsdecode(error.filename))
    said = f"{path}: {error.strerror}"
    if not isinstance(error, PermissionError):
        return said
    owner = os.geteuid()
    for place in (path, *path.parents):
        with suppress(OSError):
            owner = place.stat().st_uid
            break
    if owner == os.geteuid():
        return said
    said += f"; {place} belongs to {user_name(owner)}"
    return f"{said}: `{command_as(owner, words)}`" if owner else said
