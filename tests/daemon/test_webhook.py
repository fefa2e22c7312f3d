from __future__ import annotations

import base64
import hashlib
import hmac
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from framedaemon.audience import WebhookTarget
from framedaemon.notice import Notice
from framedaemon.webhook import WebhookSender, sign
from posted import Receiver, receiving

NOTICE = Notice("fd_1", "Done: cat.mp4", "cat.jpg is done", b'{"data": {"title": "caf\\u00e9"}}', False)
KEY = bytes(range(32))
SECRET = f"whsec_{base64.b64encode(KEY).decode()}"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture
def sender(receiver: Receiver, tmp_path: Path) -> WebhookSender:
    (tmp_path / "secret").write_text(SECRET + "\n")
    (tmp_path / "secret").chmod(0o600)
    return _sender(receiver.url, tmp_path, secret_file="secret", timeout_seconds=0.3)


def _sender(url: str, root: Path, **settings: object) -> WebhookSender:
    return WebhookSender(WebhookTarget.model_validate({"url": SecretStr(url), **settings}), root, {"HOOK": SECRET})


def test_a_post_is_signed_over_its_id_its_time_and_its_body(sender: WebhookSender, receiver: Receiver) -> None:
    sent = sender.send(NOTICE, 1700000000.9)

    (post,) = receiver.posts
    signature = hmac.new(KEY, b"fd_1.1700000000." + NOTICE.payload, hashlib.sha256).digest()
    assert sent.ok
    assert post.body == NOTICE.payload
    assert post.headers["content-type"] == "application/json"
    assert (post.headers["webhook-id"], post.headers["webhook-timestamp"]) == ("fd_1", "1700000000")
    assert post.headers["webhook-signature"] == f"v1,{base64.b64encode(signature).decode()}"


def test_the_signature_is_the_one_of_the_standards_own_example() -> None:
    """From the specification's reference libraries: secret, id, timestamp and payload with the signature they give."""
    secret = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")

    signed = sign(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')

    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_secret_may_stand_in_the_environment(receiver: Receiver, tmp_path: Path) -> None:
    assert _sender(receiver.url, tmp_path, secret_variable="HOOK").send(NOTICE, 1.0).ok
    assert receiver.posts[0].headers["webhook-signature"] == sign(KEY, "fd_1", 1, NOTICE.payload)


def test_without_a_secret_nothing_is_signed(receiver: Receiver, tmp_path: Path) -> None:
    assert _sender(receiver.url, tmp_path).send(NOTICE, 1.0).ok
    assert "webhook-signature" not in receiver.posts[0].headers


@pytest.mark.parametrize(
    ("text", "mode", "said"),
    [
        (SECRET, 0o644, "can be read by everybody: chmod o= "),
        ("hunter2", 0o600, "holds no secret of the form whsec_"),
        ("whsec_c2hvcnQ=", 0o600, "holds no secret of the form whsec_"),
        (None, 0, "cannot be read: No such file or directory"),
    ],
    ids=["open", "plain", "short", "missing"],
)
def test_a_secret_that_is_none_sends_nothing(
    receiver: Receiver, tmp_path: Path, text: str | None, mode: int, said: str
) -> None:
    _written(tmp_path / "secret", text, mode)

    sent = _sender(receiver.url, tmp_path, secret_file="secret").send(NOTICE, 1.0)

    assert (sent.ok, sent.again) == (False, True)
    assert said in sent.said
    assert "hunter2" not in sent.said
    assert receiver.posts == []


@pytest.mark.parametrize(
    ("status", "again"), [(500, True), (503, True), (429, True), (400, False), (401, False), (404, False), (410, False)]
)
def test_who_is_busy_or_broken_is_asked_again_and_who_refuses_is_not(
    sender: WebhookSender, receiver: Receiver, status: int, again: bool
) -> None:
    receiver.moods = [status]

    sent = sender.send(NOTICE, 1.0)

    assert (sent.ok, sent.again) == (False, again)
    assert sent.said.startswith(f"it answered {status} ")


@pytest.mark.parametrize(
    ("headers", "rest"),
    [
        ({"Retry-After": "120"}, 120.0),
        ({"Retry-After": "999999"}, 3600.0),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "Fri, 01 Jan 99999999999999999999 00:00:00 GMT"}, None),
        ({"Retry-After": "Thu, 01 Jan 1970 00:00:00 GMT"}, 0.0),
        ({}, None),
    ],
)
def test_the_other_side_says_how_long_it_wants_to_rest(
    sender: WebhookSender, receiver: Receiver, headers: dict[str, str], rest: float | None
) -> None:
    receiver.moods, receiver.headers = [429], headers

    assert sender.send(NOTICE, 1.0).rest == rest


def test_a_redirection_is_not_followed(sender: WebhookSender, receiver: Receiver) -> None:
    receiver.moods, receiver.headers = [302], {"Location": receiver.url}

    sent = sender.send(NOTICE, 1.0)

    assert (sent.ok, sent.again, len(receiver.posts)) == (False, False, 1)
    assert "write the new address into config.toml" in sent.said


def test_who_never_answers_is_let_go_after_a_while(sender: WebhookSender, receiver: Receiver) -> None:
    receiver.hangs.clear()

    sent = sender.send(NOTICE, 1.0)

    assert (sent.ok, sent.again, sent.said) == (False, True, "timed out")


def test_who_is_not_there_is_asked_again(tmp_path: Path) -> None:
    sent = _sender("http://127.0.0.1:9/t0ken", tmp_path).send(NOTICE, 1.0)

    assert (sent.ok, sent.again, sent.said) == (False, True, "Connection refused")


def test_only_a_server_whose_certificate_is_vouched_for_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = _certificate(tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)

    with receiving(tls) as receiver:
        refused = _sender(receiver.url, tmp_path, timeout_seconds=5.0).send(NOTICE, 1.0)
        before = len(receiver.posts)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        sent = _sender(receiver.url, tmp_path, timeout_seconds=5.0).send(NOTICE, 1.0)

    assert (refused.ok, refused.again, before) == (False, True, 0)
    assert "certificate verify failed" in refused.said
    assert (sent.ok, len(receiver.posts)) == (True, 1)


def test_the_name_of_a_target_holds_no_secret(sender: WebhookSender, receiver: Receiver) -> None:
    assert sender.name == f"webhook {receiver.url.partition('/hook')[0]}"


def _written(path: Path, text: str | None, mode: int) -> None:
    if text is not None:
        path.write_text(text)
        path.chmod(mode)


def _certificate(folder: Path) -> Path:
    """Key and certificate of 127.0.0.1, in one file."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    request = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=127.0.0.1"
    names = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run([openssl, *request.split(), *names], check=True, capture_output=True)
    certificate.write_text(key.read_text() + certificate.read_text())
    return certificate
