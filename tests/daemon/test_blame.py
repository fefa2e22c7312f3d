from __future__ import annotations

import json
from pathlib import Path

import pytest

from framedaemon import ClipSpec
from framedaemon.blame import said, trace
from framedaemon.errors import PluginBroken


def _broken(error: str) -> BaseException:
    with pytest.raises(BaseException) as caught:
        {"here": _raise, "library": _in_a_library, "ours": _in_framedaemon}[error]()
    return caught.value


def _raise() -> None:
    raise ValueError("no model")


def _in_a_library() -> None:
    json.loads("{")


def _in_framedaemon() -> None:
    ClipSpec(0, 0, 0, 0)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("where", "words"), [("here", "ValueError: no model"), ("library", "JSONDecodeError"), ("ours", "")]
)
def test_the_line_is_the_plugins_own(where: str, words: str) -> None:
    """The last one of its own, though a library or framedaemon raised the error."""
    text = said(_broken(where))

    assert text.startswith(words)
    assert text.rpartition("(")[2].startswith("test_blame.py, line ")


def test_the_trace_shows_every_call_from_the_plugins_first_line_on() -> None:
    lines = trace(_broken("library")).splitlines()

    assert lines[0] == "Traceback (most recent call last):"
    assert Path(__file__).name in lines[1]
    assert any("json" in line for line in lines[3:])
    assert lines[-1].startswith("json.decoder.JSONDecodeError")


def test_our_own_words_are_said_as_they_are() -> None:
    assert said(PluginBroken("there is a plugin bell already")) == "there is a plugin bell already"
