"""What belongs to a whole daemon: it is killed, started again, and told new settings."""

from __future__ import annotations

import signal
import threading
import urllib.request
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from commands import daemon, wait_until
from framedaemon.events import PluginMuted
from framedaemon.executor import LocalExecutor
from framedaemon.instance import Instance
from framedaemon.observers import Observers
from framedaemon.plugins import load_plugins, new_registry
from framedaemon.settings import read_settings
from living import CONFIG, drop, make_instance
from posted import receiving


def _notify(url: str) -> str:
    return f'[[notify.webhook]]\nurl = "{url}"\n'


def test_a_video_is_told_of_even_if_the_daemon_is_killed_right_after_publishing_it(tmp_path: Path) -> None:
    """And told once: the third daemon has nothing to tell."""
    with receiving() as receiver:
        instance = make_instance(tmp_path, CONFIG + _notify(receiver.url))
        receiver.hangs.clear()  # the first daemon never gets to know whether it was heard
        drop(instance, "cat.png")
        with daemon(instance) as first:
            wait_until(lambda: receiver.posts, "the post")
            first.signal(signal.SIGKILL)
            first.wait()
        receiver.hangs.set()
        with daemon(instance) as second:
            second.wait_for("notice_sent")
            wait_until(lambda: '"jobs": []' not in _told(instance), "what was told")
            second.signal(signal.SIGKILL)
            second.wait()
        with daemon(instance) as third:
            third.signal(signal.SIGTERM)
            assert third.wait() == 0

    assert receiver.titles == ["Done: cat.mp4", "Done: cat.mp4"]
    assert all(post.json["data"]["events"][0]["name"] == "cat.png" for post in receiver.posts)


def test_a_reload_begins_to_serve_metrics_and_to_tell(tmp_path: Path) -> None:
    with receiving() as receiver:
        instance = make_instance(tmp_path)
        with daemon(instance) as running:
            instance.config.write_text(f'{CONFIG}[metrics]\nlisten = "127.0.0.1:0"\n{_notify(receiver.url)}')
            running.signal(signal.SIGHUP)
            running.wait_for("metrics_served")
            drop(instance, "cat.png")
            wait_until(lambda: receiver.posts, "the post")
            port = running.said("metrics_served")[0]["port"]
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
                text = answer.read().decode()
            running.signal(signal.SIGTERM)
            assert running.wait() == 0

    assert 'framedaemon_jobs_total{stages="camera, blend, ffmpeg",state="done"} 1.0' in text
    assert 'framedaemon_stage_seconds_count{kind="interpolate",stage="blend"} 1.0' in text


def test_the_worker_does_not_get_what_is_signed_by(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK", "whsec_s3cret")
    monkeypatch.setenv("OTHER", "passed on")
    instance = make_instance(tmp_path, '[[notify.webhook]]\nurl = "https://x/"\nsecret_variable = "HOOK"\n')
    executor = LocalExecutor(instance, read_settings(instance.config))

    executor.start(0.0)
    environment = Path(f"/proc/{executor.pid}/environ").read_bytes()
    executor.end()

    assert b"OTHER=passed on" in environment
    assert b"s3cret" not in environment


def test_both_are_plugins_that_hear_what_everybody_hears(tmp_path: Path) -> None:
    registry = load_plugins(None)

    Observers(Instance(tmp_path), registry)

    assert registry.manager.has_plugin("framedaemon.notices")
    assert registry.manager.has_plugin("framedaemon.metrics")
    assert registry.tell(PluginMuted("bell", "raised")) == []


def test_where_no_thread_is_left_nobody_is_told_and_the_daemon_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only who is not root can be kept from having one more."""
    with receiving() as receiver, capture_logs() as lines:
        instance = make_instance(tmp_path, f'{CONFIG}[metrics]\nlisten = "127.0.0.1:0"\n{_notify(receiver.url)}')
        (instance.plugins / "stages.py").unlink()  # so no process has to be started that tells it what happens
        registry, settings = new_registry(), read_settings(instance.config)
        observers = Observers(instance, registry)
        with monkeypatch.context() as limited:
            limited.setattr(threading.Thread, "start", _no_thread)
            observers.equip(settings)
        refused = [line.get("part") for line in lines]
        observers.equip(settings)
        registry.tell(PluginMuted("bell", "raised"))
        wait_until(lambda: receiver.posts, "the post")
        observers.close()

    assert refused == ["notices", "metrics", "plugins"]
    assert [line["event"] for line in lines[3:]] == ["metrics_served", "notice_sent"]


def _no_thread(thread: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


def _told(instance: Instance) -> str:
    return "".join(path.read_text() for path in (instance.tmp / "notices").glob("*.json"))
