"""Whose a file is that somebody else asks for, and the command that would do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from framedaemon.users import command_as, explain, user_name


def denied(path: Path) -> PermissionError:
    return PermissionError(13, "Permission denied", str(path))


def test_users_are_called_by_name_and_those_without_one_by_number() -> None:
    assert user_name(0) == "root"
    assert user_name(4_000_000) == "4000000"


def test_a_command_can_be_typed_as_it_is_shown() -> None:
    assert command_as(0, ["framedaemon", "pause", "--instance", "/my videos"]) == (
        "sudo -u root framedaemon pause --instance '/my videos'"
    )
    assert command_as(4_000_000, ["true"]) == "sudo -u '#4000000' true"


def test_what_another_user_owns_is_said_with_the_command_that_user_would_type(
    tmp_path: Path, give_away: Callable[[Path], None]
) -> None:
    folder = tmp_path / "tmp"
    folder.mkdir()
    give_away(folder)

    said = explain(denied(folder / "not" / "there"), ["framedaemon", "pause"])

    assert said == (
        f"{folder}/not/there: Permission denied; {folder} belongs to 12345: `sudo -u '#12345' framedaemon pause`"
    )


def test_nobody_is_told_to_be_root(tmp_path: Path) -> None:
    said = explain(denied(Path("/etc/framedaemon")), ["framedaemon", "render"])

    assert "sudo" not in said


def test_where_it_is_ones_own_there_is_nothing_to_add(tmp_path: Path) -> None:
    assert explain(denied(tmp_path), []) == f"{tmp_path}: Permission denied"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (FileNotFoundError(2, "No such file or directory", b"a.png"), "a.png: No such file or directory"),
        (PermissionError(1, "Operation not permitted"), "[Errno 1] Operation not permitted"),
        (OSError("in words"), "in words"),
    ],
)
def test_what_the_system_says_is_told_by_file_and_reason(error: OSError, said: str) -> None:
    assert explain(error, ["framedaemon"]) == said
