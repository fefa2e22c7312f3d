"""Somebody on this machine who gets webhooks, with moods."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

from answering import answering


@dataclass(slots=True)
class Post:
    """What came at once."""

    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def title(self) -> str:
        title: str = self.json["data"]["title"]
        return title


@dataclass(slots=True)
class Receiver:
    """Takes posts, and answers as it is told."""

    url: str = ""
    moods: list[int] = field(default_factory=list)
    """Statuses of the next answers; 204 then."""
    headers: dict[str, str] = field(default_factory=dict)
    """Of every answer."""
    posts: list[Post] = field(default_factory=list)
    hangs: threading.Event = field(default_factory=threading.Event)
    """Clear it, and whoever posts waits for an answer until it is set."""

    def answer(self, asked: BaseHTTPRequestHandler) -> None:
        body = asked.rfile.read(int(asked.headers["Content-Length"]))
        status = self.moods.pop(0) if self.moods else 204  # whoever sees the post may set other moods
        self.posts.append(Post({key.lower(): value for key, value in asked.headers.items()}, body))
        self.hangs.wait(30)
        asked.send_response(status)
        for name, value in self.headers.items():
            asked.send_header(name, value)
        asked.end_headers()

    @property
    def titles(self) -> list[str]:
        return [post.title for post in self.posts]


@contextmanager
def receiving(tls: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    """One that answers at once and gladly."""
    receiver = Receiver()
    receiver.hangs.set()
    with answering(receiver.answer, tls) as url:
        receiver.url = f"{url}/hook/t0ken"
        try:
            yield receiver
        finally:
            receiver.hangs.set()
