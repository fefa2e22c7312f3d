"""notify, with real targets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from commands import Commands
from framedaemon.instance import Instance
from living import make_instance
from posted import Receiver, receiving


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture
def instance(tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> Instance:
    made = make_instance(
        tmp_path,
        f'[[notify.webhook]]\nurl = "{receiver.url}"\n[[notify.command]]\nargv = ["/bin/false"]\non = ["failed"]\n',
    )
    monkeypatch.chdir(made.root)
    return made


def test_who_is_told_is_listed_without_what_is_secret(
    command: Commands, instance: Instance, receiver: Receiver
) -> None:
    said = command("notify")

    assert said.code == 0
    assert said.out.splitlines() == [
        f"webhook {receiver.url.partition('/hook')[0]}: done, failed, waiting, breaker, plugin",
        "command /bin/false: failed",
    ]
    assert receiver.posts == []


def test_each_is_tried_and_says_what_happened(command: Commands, instance: Instance, receiver: Receiver) -> None:
    said = command("notify", "--test")

    assert said.code == 1
    assert said.out.splitlines() == [
        f"webhook {receiver.url.partition('/hook')[0]}: sent: 204 No Content",
        "command /bin/false: not sent: ended with exit code 1",
    ]
    assert receiver.titles == ["A test: no video was made"]


def test_scripts_read_the_same_as_json(command: Commands, instance: Instance, receiver: Receiver) -> None:
    receiver.moods = [500]

    webhook, program = command("notify", "--test", "--json").json

    assert (webhook["sent"], webhook["again"], webhook["said"]) == (
        False,
        True,
        "it answered 500 Internal Server Error",
    )
    assert (program["sent"], program["again"], program["on"]) == (False, False, ["failed"])


def test_where_nobody_is_told_it_is_said_how_to_begin(command: Commands, instance: Instance) -> None:
    instance.config.write_text("")

    said = command("notify", "--test")

    assert (said.code, said.out) == (0, "")
    assert "docs/notifications.md" in said.err
