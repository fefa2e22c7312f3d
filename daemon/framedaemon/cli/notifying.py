"""The command that tries who is told: notify."""

from __future__ import annotations

import platform
import sys
import time
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Annotated

import typer

from framedaemon.cli.common import InstanceOption, JsonOption, open_instance, print_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from framedaemon.audience import Target
    from framedaemon.instance import Instance
    from framedaemon.notice import Notice
    from framedaemon.sending import Sender
    from framedaemon.settings import Settings


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(notify)


def notify(
    test: Annotated[bool, typer.Option("--test", help="Send a made-up notice to each, now.")] = False,
    json: JsonOption = False,
    instance: InstanceOption = None,
) -> None:
    """List who is told when a video is done or a job failed; with --test, try each of them.

    Secrets in environment variables are those of this command here, not of the daemon.

    Example: framedaemon notify --test
    """
    here, settings = open_instance(instance)
    rows = [_facts(here, sender, target, test) for sender, target in _targets(here, settings)]
    if json:
        print_json([asdict(row) for row in rows])
    elif rows:
        for row in rows:
            print(f"{row.target}: {_said(row)}")
    else:
        print("nobody is told: docs/notifications.md shows what to write into config.toml", file=sys.stderr)
    raise typer.Exit(0 if all(row.sent is not False for row in rows) else 1)


@dataclass(frozen=True, slots=True)
class _Row:
    """A target, and how the test went."""

    target: str
    on: tuple[str, ...]
    digest_seconds: float
    sent: bool | None = None
    """None: not tried."""
    said: str = ""
    again: bool = False
    """Whether a daemon would try again."""


def _facts(instance: Instance, sender: Sender, target: Target, test: bool) -> _Row:
    row = _Row(sender.name, target.on, target.digest_seconds)
    if not test:
        return row
    sent = sender.send(_made_up(instance), time.time())
    return replace(row, sent=sent.ok, said=sent.said, again=sent.again)


def _said(row: _Row) -> str:
    if row.sent is None:
        return f"{', '.join(row.on)}"
    if row.sent:
        return f"sent: {row.said}"
    return f"not sent: {row.said}{'; a daemon would try again' if row.again else ''}"


def _targets(instance: Instance, settings: Settings) -> Iterator[tuple[Sender, Target]]:
    from framedaemon.notices import make_sender

    notify = settings.notify
    for target in (*notify.webhook, *notify.command, *notify.apprise):
        yield make_sender(target, instance), target


def _made_up(instance: Instance) -> Notice:
    """Of a video that does not exist; its id says so."""
    from framedaemon.events import JobPublished
    from framedaemon.notice import compose, news_of

    now = time.time()
    event = JobPublished("test", "test.jpg", "test.mp4", 161, 10.0, 1_000_000, at=now)
    news = news_of(event, now)
    assert news is not None
    return compose([replace(news, title="A test: no video was made")], instance.root, platform.node(), now)
