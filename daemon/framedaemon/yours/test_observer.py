"""What every observer must do, and what this one does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from framedaemon import JobPublished
from framedaemon.testing import ObserverContract
from framedaemon.yours.observer import DIARY, happened


class TestYours(ObserverContract):
    """framedaemon's own tests of every observer."""

    @pytest.fixture
    def observer(self) -> Callable[..., None]:
        """The observer."""
        return happened


def test_a_video_stands_in_the_diary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    happened(JobPublished("1", "cat.jpg", "cat.mp4", frames=321, seconds=12.3, bytes=1000))

    assert DIARY.read_text(encoding="utf-8").endswith("cat.jpg: 321 frames in 12 s, cat.mp4\n")
