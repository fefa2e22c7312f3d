from __future__ import annotations

import os
from fractions import Fraction

import pytest

from fakes import machine, picture, registry_of
from framedaemon.messages import (
    Advanced,
    Beat,
    Ended,
    Finished,
    Go,
    Message,
    Order,
    Planned,
    Ready,
    Setup,
    encode,
    read_order,
    read_report,
)
from framedaemon.plan import make_plan
from framedaemon.recipe import InterpolateChoice, Recipe, StageChoice
from framedaemon.settings import DefaultSettings, InboxSettings, PluginSettings, Settings

BROKEN_NAME = os.fsdecode(b"sub/caf\xe9\n\x1b[2J.jpg")
RECIPE = Recipe(
    generate=StageChoice(use="wan", options={"prompt": "ein Garten – 庭 🐈", "seed": 2**63 - 1, "strength": 0.1}),
    interpolate=InterpolateChoice(fps=Fraction(24000, 1001), loop=True),
    encode=StageChoice(options={"crf": 18, "tags": ["a", None, {"b": True}]}, origins={"crf": "cat.toml [encode]"}),
)
SETTINGS = Settings(
    inbox=InboxSettings(settle_seconds=0.5),
    plugins=PluginSettings(disabled=("wan", "film")),
    defaults=DefaultSettings(generate={"frames": 161}),
)


def _plan() -> Planned:
    return Planned(job="1-1", plan=make_plan(picture(), Recipe(), registry_of(), machine(), seed=1).summary())


@pytest.mark.parametrize(
    "order",
    [
        Setup(root=BROKEN_NAME, settings=SETTINGS),
        Setup(root="/srv/frames", settings=Settings()),
        Order(
            job="1-1", name=BROKEN_NAME, source=f"/tmp/{BROKEN_NAME}", folder="/tmp/1", recipe=RECIPE, attempt=2,
            number=1, shrinks=3, fits={"cpu flow 64x48x8": 1},
        ),
        Go(job="1-1"),
    ],
    ids=lambda message: message.say,
)  # fmt: skip
def test_what_the_service_says_arrives_as_it_was_said(order: Message) -> None:
    assert read_order(encode(order)) == order


@pytest.mark.parametrize(
    "report",
    [
        Ready(pid=17, device="cuda:0", broken={"wan": f"cannot read {BROKEN_NAME}"}),
        Beat(),
        _plan(),
        Advanced(job="1-1", stage="camera", done=3, total=8),
        Finished(job="1-1", video="video.mp4", bytes=2**40, seconds={"camera": 0.1, "quality gate": 1e-3}),
        Ended(job="1-1", kind="memory", reason=f"out of memory in\n{BROKEN_NAME}", cause="MemoryError"),
        Ended(job="1-1", kind="crashed", reason="", cause="SIGSEGV", came_up=False),
    ],
    ids=lambda message: message.say,
)
def test_what_a_worker_says_arrives_as_it_was_said(report: Message) -> None:
    assert read_report(encode(report)) == report


@pytest.mark.parametrize("message", [Ended(job="1", kind="failed", reason="a\nb\u2028c\x85d\x00"), Go(job="x\n")])
def test_a_message_is_one_line_of_ascii(message: Message) -> None:
    line = encode(message)

    assert line.isascii()
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\n",
        b"{",
        b"[]",
        b"null",
        b"{}",
        b'{"say": "dance"}',
        b'{"say": "go"}',
        b'{"say": "go", "job": "1", "now": true}',
        b'{"say": "ready", "pid": 1, "device": "cpu"}',
        b"\xff\xfe",
    ],
)
def test_what_is_no_order_is_an_error(line: bytes) -> None:
    with pytest.raises(ValueError):
        read_order(line)


def test_what_is_nested_without_end_is_no_report() -> None:
    with pytest.raises(ValueError, match="nested"):
        read_report(b"[" * 100_000)


def test_an_order_is_no_report() -> None:
    with pytest.raises(ValueError, match="go"):
        read_report(encode(Go(job="1-1")))


def test_an_end_of_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="kind"):
        read_report(b'{"say": "ended", "job": "1", "kind": "bored", "reason": ""}')
