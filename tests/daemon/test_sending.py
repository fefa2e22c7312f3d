from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from commands import wait_until
from framedaemon.audience import AppriseTarget, CommandTarget
from framedaemon.notice import Notice
from framedaemon.sending import AppriseSender, CommandSender
from posted import Receiver, receiving

# PGPy, which Apprise signs mail by, imports it up to Python 3.12.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")

NOTICE = Notice("fd_1", "Done: cat.mp4", "cat.jpg is done", b'{"data": {"title": "Done: cat.mp4"}}', False)
ENVIRON = {"PATH": os.environ["PATH"], "HOME": "/home/ada", "HF_TOKEN": "s3cret", "HOOK": "s3cret"}


def _shell(root: Path, script: str, **settings: object) -> CommandSender:
    target = CommandTarget.model_validate({"argv": ("/bin/sh", "-c", script), **settings})
    return CommandSender(target, root, ENVIRON)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


def test_a_program_gets_the_notice_on_its_standard_input(tmp_path: Path) -> None:
    sent = _shell(tmp_path, "cat > got").send(NOTICE, 1.0)

    assert sent.ok
    assert (tmp_path / "got").read_bytes() == NOTICE.payload


def test_no_shell_is_in_between(tmp_path: Path) -> None:
    target = CommandTarget(argv=(sys.executable, "-c", "import sys; open('got', 'w').write(sys.argv[1])", "$(id); *"))

    assert CommandSender(target, tmp_path, ENVIRON).send(NOTICE, 1.0).ok
    assert (tmp_path / "got").read_text() == "$(id); *"


def test_a_program_that_reads_nothing_holds_up_nobody(tmp_path: Path) -> None:
    large = Notice("fd_1", "", "", b"x" * 1_000_000, False)

    assert _shell(tmp_path, "true").send(large, 1.0).ok


def test_its_environment_holds_no_secret(tmp_path: Path) -> None:
    _shell(tmp_path, "env > got; nice >> got").send(NOTICE, 1.0)

    got = (tmp_path / "got").read_text()
    assert "HOME=/home/ada" in got
    assert "s3cret" not in got
    assert got.splitlines()[-1] == "10"


def test_its_exit_code_and_last_words_are_told(tmp_path: Path) -> None:
    sent = _shell(tmp_path, "for i in 1 2 3 4 5 6 7; do echo line $i >&2; done; exit 3").send(NOTICE, 1.0)

    assert (sent.ok, sent.again) == (False, False)
    said = "ended with exit code 3; it said: line 3 | line 4 | line 5 | line 6 | line 7"
    assert sent.said == said


def test_endless_words_cost_no_memory_and_it_is_killed_in_time(tmp_path: Path) -> None:
    sent = _shell(tmp_path, "while :; do echo noise >&2; done", timeout_seconds=0.3).send(NOTICE, 1.0)

    assert sent.said.startswith("ran longer than 0.3 s and was killed; it said: ")
    assert len(sent.said) < 5000


def test_a_program_may_ask_to_be_tried_again(tmp_path: Path) -> None:
    assert _shell(tmp_path, "exit 75").send(NOTICE, 1.0).again


def test_a_program_that_never_ends_is_killed_with_its_children(tmp_path: Path) -> None:
    sender = _shell(tmp_path, "sleep 300 & echo $! > child; sleep 300", timeout_seconds=0.3)

    sent = sender.send(NOTICE, 1.0)

    child = int((tmp_path / "child").read_text())
    assert (sent.said, sent.again) == ("ran longer than 0.3 s and was killed", False)
    wait_until(lambda: _gone(child), "the child's end")


def test_what_a_program_leaves_running_goes_with_it(tmp_path: Path) -> None:
    sent = _shell(tmp_path, "sleep 300 >&2 & echo $! > child").send(NOTICE, 1.0)

    child = int((tmp_path / "child").read_text())
    assert sent.ok
    wait_until(lambda: _gone(child), "the child's end")


def test_not_even_a_session_of_its_own_outlives_a_program(tmp_path: Path) -> None:
    started = "setsid sh -c 'echo $$ > pid.part; mv pid.part pid; exec sleep 600' & "

    sent = _shell(tmp_path, started + "while [ ! -e pid ]; do sleep 0.01; done").send(NOTICE, 1.0)

    pid = int((tmp_path / "pid").read_text())
    assert sent.ok
    wait_until(lambda: _gone(pid), "its end")


def test_a_program_ends_with_the_daemon(tmp_path: Path) -> None:
    sender = _shell(tmp_path, "touch here; sleep 300")
    sending = threading.Thread(target=sender.send, args=(NOTICE, 1.0))
    sending.start()
    wait_until((tmp_path / "here").exists, "the program")

    sender.end()

    sending.join(10)
    assert not sending.is_alive()
    assert sender.send(NOTICE, 1.0).again


def test_a_program_that_is_not_there_is_tried_again(tmp_path: Path) -> None:
    sent = CommandSender(CommandTarget(argv=("/no/such/program",)), tmp_path, ENVIRON).send(NOTICE, 1.0)

    assert (sent.ok, sent.again, sent.said) == (False, True, "cannot be run: No such file or directory")


def test_apprise_hands_over_title_and_body(receiver: Receiver, tmp_path: Path) -> None:
    pytest.importorskip("apprise", reason="Apprise is not installed: pip install 'framedaemon[notify]'")
    target = AppriseTarget(url=SecretStr(receiver.url.replace("http:", "json:")))

    assert AppriseSender(target, tmp_path).send(NOTICE, 1.0).ok

    got = json.loads(receiver.posts[0].body)
    assert (got["title"], got["message"]) == ("framedaemon: Done: cat.mp4", "cat.jpg is done")


def test_an_address_may_stand_in_a_file_of_ones_own(receiver: Receiver, tmp_path: Path) -> None:
    pytest.importorskip("apprise", reason="Apprise is not installed: pip install 'framedaemon[notify]'")
    (tmp_path / "address").write_text(receiver.url.replace("http:", "json:") + "\n")
    (tmp_path / "address").chmod(0o600)
    sender = AppriseSender(AppriseTarget(url_file="address"), tmp_path)

    assert (sender.name, sender.send(NOTICE, 1.0).ok) == ("apprise address", True)


def test_what_apprise_cannot_hand_over_is_tried_again(
    receiver: Receiver, tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("apprise", reason="Apprise is not installed: pip install 'framedaemon[notify]'")
    receiver.moods = [500]
    url = receiver.url.replace("http://", "json://ada:s3cret@")

    sent = AppriseSender(AppriseTarget(url=SecretStr(url)), tmp_path).send(NOTICE, 1.0)

    assert (sent.ok, sent.again) == (False, True)
    assert "s3cret" not in sent.said + "".join(capfd.readouterr())
    assert [record for record in caplog.records if record.name.startswith("apprise")] == []


def test_an_address_that_apprise_does_not_know_is_given_up(tmp_path: Path) -> None:
    pytest.importorskip("apprise", reason="Apprise is not installed: pip install 'framedaemon[notify]'")

    sent = AppriseSender(AppriseTarget(url=SecretStr("pigeon://s3cret")), tmp_path).send(NOTICE, 1.0)

    assert (sent.ok, sent.again) == (False, False)
    assert "s3cret" not in sent.said


def test_without_apprise_it_is_said_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)

    sent = AppriseSender(AppriseTarget(url=SecretStr("dbus://")), tmp_path).send(NOTICE, 1.0)

    assert sent.said == "Apprise is not installed: pip install 'framedaemon[notify]'"


def _gone(pid: int) -> bool:
    try:
        return "State:\tZ" in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return True
