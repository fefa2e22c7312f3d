"""Who is told: the tables [metrics] and [notify] of config.toml.

Addresses may hold passwords, so they are `SecretStr`: they never show in logs, messages or dumps, and what is wrong
with one is said without saying it. The worker, where plugins run, is not handed these tables at all.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Literal, TypeAlias
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr

from framedaemon.section import Section

Happening: TypeAlias = Literal["done", "failed", "waiting", "breaker", "paused", "plugin"]
"""What somebody may want to be told."""

_UNASKED: tuple[Happening, ...] = ("done", "failed", "waiting", "breaker", "plugin")


def split_address(listen: str) -> tuple[str, int]:
    """Host and port of ``127.0.0.1:9465``, ``[::1]:9465`` or ``:9465``, which is this machine's own only."""
    host, _, port = listen.rpartition(":")
    return host.strip("[]") or "127.0.0.1", int(port)


def is_own(host: str) -> bool:
    """Whether only this machine reaches ``host``."""
    return ipaddress.ip_address(host).is_loopback


def _listen(listen: str) -> str:
    """`127.0.0.1:9465` …, `""`."""
    if not listen:
        return listen
    try:
        host, port = split_address(listen if ":" in listen else "")
        ipaddress.ip_address(host)
    except ValueError:
        raise ValueError(f"{listen!r} is not an address: write 127.0.0.1:9465, for this machine only") from None
    if not 0 <= port < 65536:
        raise ValueError(f"{listen!r}: {port} is not a port; they go from 1 to 65535")
    return listen


def _url(url: SecretStr) -> SecretStr:
    """`https://…`, `http://…`."""
    try:
        parts = urlsplit(url.get_secret_value())
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        sound = False
    if not sound or re.search(r"\s", url.get_secret_value()):
        raise ValueError("is no address of the web: write https://host/path")
    if parts.username is not None:
        raise ValueError("holds a user's name before the host, which http clients do not agree on; sign instead")
    return url


def _variable(name: str) -> str:
    """`NAME`, `""`."""
    if name and not re.fullmatch(r"[A-Z_][A-Z0-9_]{0,127}", name):
        raise ValueError(f"{name!r} is not the name of an environment variable: capital letters, digits and _")
    return name


def _argv(words: tuple[str, ...]) -> tuple[str, ...]:
    """A list of words."""
    if not words[0].startswith("/"):
        raise ValueError(f"{words[0]!r} is not the whole path of a program: write it out, from / on")
    return words


class MetricsSettings(Section):
    """Numbers for Prometheus, see docs/metrics.md; both may be had at once."""

    listen: Annotated[str, AfterValidator(_listen)] = ""
    """Address and port to be scraped at, "127.0.0.1:9465" for this machine only; "" for none."""
    textfile: Annotated[str, Field(max_length=4096)] = ""
    """A .prom file to write for node_exporter; "" for none. A relative one lies in the instance's folder."""
    textfile_seconds: float = Field(15.0, ge=1, le=3600)
    """How often that file is written."""


class Target(Section):
    """Somebody who is told."""

    on: Annotated[tuple[Happening, ...], Field(strict=False, min_length=1)] = _UNASKED
    """What of."""
    digest_seconds: float = Field(300.0, ge=0, le=86_400)
    """What comes so soon after the notice before is told in one; 0: everything by itself."""


class WebhookTarget(Target):
    """An address that gets a POST."""

    url: Annotated[SecretStr, Field(max_length=2048), AfterValidator(_url)]
    """Where to."""
    secret_file: Annotated[str, Field(max_length=4096)] = ""
    """A file with the secret to sign by, `whsec_…`. A relative one lies in the instance's folder."""
    secret_variable: Annotated[str, AfterValidator(_variable)] = ""
    """Or the daemon's environment variable that holds it."""
    timeout_seconds: float = Field(10.0, ge=0.1, le=120)
    """How long the other side may be silent."""


class CommandTarget(Target):
    """A program that is run."""

    argv: Annotated[tuple[str, ...], Field(strict=False, min_length=1, max_length=100), AfterValidator(_argv)]
    """The program, by its whole path, and its arguments; no shell is in between."""
    digest_seconds: float = Field(0.0, ge=0, le=86_400)
    """What comes so soon after the notice before is told in one; 0: everything by itself."""
    timeout_seconds: float = Field(60.0, ge=0.1, le=86_400)
    """How long it may run; then it is killed, with what it started."""
    nice: int = Field(10, ge=0, le=19)
    """How far it stands back behind other programs."""


class AppriseTarget(Target):
    """Somebody whom Apprise reaches: a desktop, a mailbox, a chat."""

    url: Annotated[SecretStr, Field(max_length=2048)] = SecretStr("")
    """Apprise's address: `mailto://…`, `dbus://`. One that holds a password rather stands in a file."""
    url_file: Annotated[str, Field(max_length=4096)] = ""
    """A file with that address. A relative one lies in the instance's folder."""


class NotifySettings(Section):
    """Who is told when a video is done, or is not: tables [[notify.webhook]] and so on, see docs/notifications.md."""

    webhook: Annotated[tuple[WebhookTarget, ...], Field(strict=False, max_length=16)] = ()
    """Addresses that get a signed POST."""
    command: Annotated[tuple[CommandTarget, ...], Field(strict=False, max_length=16)] = ()
    """Programs that are run, with the notice as JSON on their standard input."""
    apprise: Annotated[tuple[AppriseTarget, ...], Field(strict=False, max_length=16)] = ()
    """Desktops, mailboxes and chats, through Apprise."""

    @property
    def variables(self) -> frozenset[str]:
        """Environment variables that hold secrets: no process that runs others' code is to have them."""
        return frozenset(target.secret_variable for target in self.webhook if target.secret_variable)
