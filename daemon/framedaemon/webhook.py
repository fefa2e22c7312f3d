"""Posts notices as Standard Webhooks has them, so that whoever gets one can tell that it is ours, and not an old one.

    webhook-id         the notice's, the same at each try
    webhook-timestamp  seconds since 1970, of this try
    webhook-signature  v1,base64(HMAC-SHA256(secret, "id.timestamp.body"))

Specification: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import http.client
import stat
import urllib.error
import urllib.request
from collections.abc import Mapping
from email.message import Message
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from framedaemon.audience import WebhookTarget
from framedaemon.notice import Notice
from framedaemon.sending import Sent

# What the standard allows, in bytes.
_SECRET_BYTES = range(24, 65)

# Whoever is busy, or broken for now; all else that is no success will be no success next time.
_LATER = frozenset({408, 425, 429, 500, 502, 503, 504})

# A server that wants to be left alone for longer is asked again all the same.
_LONGEST_REST = 3600.0


class _Stay(urllib.request.HTTPRedirectHandler):
    """What is signed for one address is not carried to another."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> None:
        return None


class WebhookSender:
    """One address."""

    def __init__(self, target: WebhookTarget, root: Path, environ: Mapping[str, str]) -> None:
        self._target = target
        self._root = root
        self._environ = environ
        self._opener = urllib.request.build_opener(_Stay())  # asks the environment for proxies; verifies certificates
        parts = urlsplit(target.url.get_secret_value())
        self.name = f"webhook {parts.scheme}://{parts.hostname}{f':{parts.port}' if parts.port else ''}"

    def send(self, notice: Notice, now: float) -> Sent:
        """Post it, once."""
        headers = {"Content-Type": "application/json", "User-Agent": "framedaemon"}
        try:
            secret = read_secret(self._target, self._root, self._environ)
        except ValueError as error:
            return Sent(False, str(error), again=True)
        headers |= {"webhook-id": notice.id, "webhook-timestamp": str(int(now))}
        if secret is not None:
            headers["webhook-signature"] = sign(secret, notice.id, int(now), notice.payload)
        request = urllib.request.Request(  # noqa: S310  (settings take http and https only)
            self._target.url.get_secret_value(), notice.payload, headers, method="POST"
        )
        try:
            with self._opener.open(request, timeout=self._target.timeout_seconds) as answer:
                return Sent(True, f"{answer.status} {answer.reason}")
        except urllib.error.HTTPError as error:
            with error:
                return _refused(error)
        except (OSError, http.client.HTTPException, ValueError) as error:
            reason = error.reason if isinstance(error, urllib.error.URLError) else error
            said = reason.strerror if isinstance(reason, OSError) and reason.strerror else ""
            return Sent(
                False, said or (str(reason) if isinstance(reason, TimeoutError) else type(reason).__name__), True
            )

    def end(self) -> None:
        """Nothing outlives a post that is under way."""


def sign(secret: bytes, id: str, timestamp: int, body: bytes) -> str:
    """The value of ``webhook-signature``."""
    signed = hmac.new(secret, f"{id}.{timestamp}.".encode() + body, hashlib.sha256)
    return f"v1,{base64.b64encode(signed.digest()).decode('ascii')}"


def read_secret(target: WebhookTarget, root: Path, environ: Mapping[str, str]) -> bytes | None:
    """What is signed by, read anew each time so that it can be changed; None where nothing is to be signed.

    Raises ValueError, for a person and without the secret, when it cannot be had.
    """
    if target.secret_file:
        path = root / target.secret_file
        try:
            if path.stat().st_mode & stat.S_IROTH:
                raise ValueError(f"{path} can be read by everybody: chmod o= {path}")
            text = path.read_text(encoding="ascii")[:1000]
        except OSError as error:
            raise ValueError(f"{path} cannot be read: {error.strerror}") from None
        except UnicodeDecodeError:
            raise ValueError(f"{path} holds no secret of the form whsec_…") from None
        where = str(path)
    elif target.secret_variable:
        text, where = environ.get(target.secret_variable, ""), f"${target.secret_variable}"
    else:
        return None
    return _decoded(text.strip(), where)


def _decoded(text: str, where: str) -> bytes:
    try:
        secret = base64.b64decode(text.removeprefix("whsec_"), validate=True)
    except binascii.Error:
        secret = b""
    if not text.startswith("whsec_") or len(secret) not in _SECRET_BYTES:
        raise ValueError(f"{where} holds no secret of the form whsec_ and 24 to 64 bytes in base64")
    return secret


def _refused(error: urllib.error.HTTPError) -> Sent:
    said = f"it answered {error.code} {error.reason}"[:200]
    if error.code in range(300, 400):
        said += ": it is elsewhere now; write the new address into config.toml"
    return Sent(False, said, error.code in _LATER, _rest(error.headers.get("Retry-After"), error.headers.get("Date")))


def _rest(after: str | None, date: str | None) -> float | None:
    """How long the other side wants to be left alone: seconds, or a date held against its own clock."""
    try:
        if after is None or after.strip().isdecimal():
            seconds = float(after) if after is not None else None
        else:
            seconds = (parsedate_to_datetime(after) - parsedate_to_datetime(date or "")).total_seconds()
    except (ValueError, TypeError, OverflowError):  # the last one where a year has twenty digits
        return None
    return min(_LONGEST_REST, max(0.0, seconds)) if seconds is not None else None
