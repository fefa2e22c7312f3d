"""Tells people and programs what happened, each in its own time: `happened` only leaves a note.

    happened ─▶ mailbox of a target ─ its thread: digest ─▶ sender ─▶ webhook, program, Apprise
                                          └─ again later, for a day at most

The first news goes out at once; what comes within `digest_seconds` goes out together then. A target that hangs or
refuses holds up nobody but itself, and keeps a bounded number of news. The end of a job is told at least once, even if
the daemon is killed meanwhile: see `told`.
"""

from __future__ import annotations

import os
import platform
import threading
import time
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from framedaemon.audience import AppriseTarget, CommandTarget, Happening, NotifySettings, Target, WebhookTarget
from framedaemon.events import BreakerClosed, BreakerOpened, Event
from framedaemon.hooks import hookimpl
from framedaemon.instance import Instance
from framedaemon.log import get_log
from framedaemon.notice import News, Notice, compose, news_of
from framedaemon.sending import AppriseSender, CommandSender, Sender, Sent
from framedaemon.told import DAY_SECONDS, LEDGER_TROUBLE, Told, ended_since, forget_others
from framedaemon.webhook import WebhookSender

# Of so much news a mailbox keeps the words; beyond, it counts. Some 10 MB.
_KEPT = 10_000


@dataclass(frozen=True, slots=True)
class Patience:
    """How often a target is tried that does not take a notice."""

    first_seconds: float = 5.0
    longest_seconds: float = 600.0
    last_seconds: float = DAY_SECONDS

    def pause(self, tries: int) -> float:
        """Until the next try, after so many."""
        return min(self.longest_seconds, self.first_seconds * 2.0 ** min(tries - 1, 20))


class Mailbox:
    """What is to be told to one target, and the thread that does it."""

    def __init__(self, sender: Sender, target: Target, told: Told, instance: Instance, patience: Patience) -> None:
        self.sender = sender
        self.target = target
        self.told = told
        self._instance = instance
        self._patience = patience
        self._host = platform.node()
        self._news: deque[News] = deque()
        self._uncounted: Counter[Happening] = Counter()
        self._there = threading.Condition()
        self._closing = threading.Event()
        self._next = 0.0
        self._log = get_log()
        self._thread = threading.Thread(target=self._run, name=sender.name, daemon=True)
        self._thread.start()

    def put(self, *news: News) -> None:
        """Leave it to be told, where the target wants to know. Never waits."""
        with self._there:
            for one in news:
                if one.kind in self.target.on and len(self._news) < _KEPT:
                    self._news.append(one)
                elif one.kind in self.target.on:
                    self._uncounted[one.kind] += 1
            self._there.notify()

    def close(self) -> None:
        """Tell what is there at once, and try nothing again."""
        with self._there:
            self._closing.set()
            self._there.notify()

    def give_up(self) -> list[News]:
        """Tell nothing more; returns what was not told yet and stands in no ledger."""
        with self._there:
            left = [one for one in self._news if not one.ends]
            self._news.clear()
        self.close()
        return left

    def join(self, seconds: float) -> None:
        """Wait so long for the last notice; what is not told by then is told at the next start."""
        self._thread.join(max(0.0, seconds))
        self.sender.end()

    def _run(self) -> None:
        while self._due():
            with self._there:
                alone = self.target.digest_seconds == 0
                batch = [self._news.popleft() for _ in range(1 if alone else len(self._news))]
                more, self._uncounted = self._uncounted, Counter()
            if alone and more:
                reason, count = "more came than are kept", sum(more.values())
                self._log.error("notices_dropped", target=self.sender.name, reason=reason, count=count)
                more = Counter()
            if not self._tell(batch, more):
                return
            self._next = time.monotonic() + self.target.digest_seconds

    def _due(self) -> bool:
        """Sleep until something is to be told now; False where nothing will be any more."""
        with self._there:
            while not self._closing.is_set():
                wait = self._next - time.monotonic()
                if self._news and wait <= 0:
                    break
                self._there.wait(wait if self._news else None)
            return bool(self._news)

    def _tell(self, batch: list[News], more: Mapping[Happening, int]) -> bool:
        """Bring it there, or give it up; False where the daemon ends before either."""
        notice = compose(batch, self._instance.root, self._host, time.time(), more)
        tries = 0
        while True:
            sent, tries = self._send(notice), tries + 1
            if sent.ok:
                self._log.info("notice_sent", target=self.sender.name, title=notice.title, tries=tries)
                break
            facts = {"target": self.sender.name, "title": notice.title, "reason": sent.said, "tries": tries}
            old = time.time() - batch[0].at > self._patience.last_seconds
            if not sent.again or old:
                self._log.error("notice_given_up", **facts)
                break
            pause = max(self._patience.pause(tries), sent.rest or 0.0)
            if tries == 1:  # once: a target that is down for a day must not fill the log
                self._log.warning("notice_delayed", seconds=pause, **facts)
            if self._closing.wait(pause):
                return False
        try:
            self.told.note(batch)
        except OSError as error:  # it may be told once more after a restart
            self._log.warning("notice_not_remembered", target=self.sender.name, reason=str(error))
        return True

    def _send(self, notice: Notice) -> Sent:
        try:
            return self.sender.send(notice, time.time())
        except Exception as error:  # noqa: BLE001  (a thread that ended would tell nobody anything any more)
            said = error.strerror if isinstance(error, OSError) else None  # all else may hold an address
            return Sent(False, said or type(error).__name__, again=True)


class Notices:
    """Hears what happens and leaves it in every mailbox. A plugin of the daemon's own."""

    def __init__(self, instance: Instance, patience: Patience | None = None) -> None:
        self._instance = instance
        self._patience = patience or Patience()
        self._boxes: dict[str, Mailbox] = {}
        self._open_places: set[str] = set()

    @hookimpl
    def happened(self, event: Event) -> None:
        """Leave word of it. A breaker that is told of again and again is told of once."""
        if isinstance(event, BreakerOpened):
            if event.place in self._open_places:
                return
            self._open_places.add(event.place)
        elif isinstance(event, BreakerClosed):
            self._open_places.discard(event.place)
        news = news_of(event, time.time())
        if news is not None:
            for box in self._boxes.values():
                box.put(news)

    def equip(self, settings: NotifySettings) -> None:
        """Tell these from now on. Who stays is undisturbed; who is new, or was changed, begins where it was left."""
        wanted = _named(settings)
        gone = {key: box for key, box in self._boxes.items() if wanted.get(key) != box.target}
        left = {key: box.give_up() for key, box in gone.items()}
        for box in gone.values():
            box.join(0.0)
        self._boxes = {key: box for key, box in self._boxes.items() if key not in gone}
        for key, target in wanted.items():
            if key not in self._boxes:
                self._open(key, target, left.get(key, []))
        forget_others(self._instance.tmp / "notices", [box.told.path for box in self._boxes.values()])

    def close(self, seconds: float) -> None:
        """Tell what waits, and be done within ``seconds``, whoever hangs."""
        end = time.monotonic() + seconds
        for box in self._boxes.values():
            box.close()
        for box in self._boxes.values():
            box.join(end - time.monotonic())
        self._boxes = {}

    def _open(self, key: str, target: Target, left: Sequence[News]) -> None:
        """A mailbox, with what ended while nobody told it.

        Called in the thread that writes the ledger: nothing ends meanwhile.
        """
        sender, now = make_sender(target, self._instance), time.time()
        try:
            told = Told(self._instance.tmp / "notices", key, now)
        except OSError as error:
            get_log().error(
                "notices_off", target=sender.name, reason=f"tmp/notices cannot be written: {error.strerror}"
            )
            return
        box = self._boxes[key] = Mailbox(sender, target, told, self._instance, self._patience)
        try:
            news, too_old = ended_since(self._instance.ledger, told, now)
        except LEDGER_TROUBLE as error:
            get_log().warning("notices_not_caught_up", target=sender.name, reason=str(error))
            return
        if too_old:
            get_log().error("notices_dropped", target=sender.name, reason="older than a day", count=too_old)
        box.put(*left, *news)


def make_sender(target: Target, instance: Instance) -> Sender:
    """What brings notices to ``target``."""
    if isinstance(target, WebhookTarget):
        return WebhookSender(target, instance.root, os.environ)
    if isinstance(target, CommandTarget):
        return CommandSender(target, instance.root, os.environ)
    assert isinstance(target, AppriseTarget)
    return AppriseSender(target, instance.root)


def _named(settings: NotifySettings) -> dict[str, Target]:
    """Every target by what tells it from the others: where it is, not how it is spoken to."""
    named: dict[str, Target] = {}
    for webhook in settings.webhook:
        _name(named, f"webhook {webhook.url.get_secret_value()}", webhook)
    for command in settings.command:
        _name(named, "\0".join(("command", *command.argv)), command)
    for service in settings.apprise:
        _name(named, f"apprise {service.url_file or service.url.get_secret_value()}", service)
    return named


def _name(named: dict[str, Target], key: str, target: Target) -> None:
    """Two of one address are told apart by their order."""
    number = 1 + sum(other == key or other.startswith(f"{key}\n") for other in named)
    named[key if number == 1 else f"{key}\n{number}"] = target
