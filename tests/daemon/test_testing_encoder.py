"""The contract for encoders: an honest one passes, and each way of breaking it is seen."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from PIL import Image

from framedaemon import (
    Clip,
    ClipSpec,
    Delivery,
    Encode,
    EncoderOptions,
    Estimate,
    Frame,
    JobRejected,
    Machine,
    Placement,
    VideoSpec,
)
from framedaemon.testing.encoder import EncoderContract

SPEC = ClipSpec(33, 21, 4, Fraction(25))


def same(number: int, frame: Frame) -> Frame:
    return frame


class Pictures:
    """An encoder in a few lines: numbered PNGs. ``draw`` is where it can be made to lie."""

    name: ClassVar[str] = "pictures"
    summary: ClassVar[str] = "numbered PNGs"
    options: ClassVar[type[EncoderOptions]] = EncoderOptions
    preference: ClassVar[int] = 1

    def __init__(
        self, draw: Callable[[int, Frame], Frame | None] = same, disk: int = 1 << 20, tidy: bool = True
    ) -> None:
        self.draw, self.disk, self.tidy = draw, disk, tidy

    def unready(self, machine: Machine) -> str | None:
        return None

    def promise(self, takes: ClipSpec, sound: bool, options: EncoderOptions) -> VideoSpec:
        if options.codec != "png":
            raise JobRejected(f"[encode] codec: {options.codec!r} is not png")
        return VideoSpec(takes.width, takes.height, takes.frames, takes.fps, "", "png", "pillow", "rgb24", tagged=False)

    def estimate(self, takes: ClipSpec, options: EncoderOptions) -> Estimate:
        return Estimate(disk=self.disk, seconds=0.1)

    @contextmanager
    def load(self, placement: Placement, options: EncoderOptions) -> Iterator[Encode]:
        yield self._encode

    def _encode(self, clip: Clip, delivery: Delivery) -> None:
        delivery.output.mkdir()
        try:
            drawn = (self.draw(number, frame) for number, frame in enumerate(clip))
            for number, frame in enumerate(frame for frame in drawn if frame is not None):
                Image.fromarray(frame).save(delivery.output / f"frame_{number:06d}.png")
        except BaseException:
            if self.tidy:
                shutil.rmtree(delivery.output)
            raise


class TestAnHonestEncoder(EncoderContract):
    @pytest.fixture
    def stage(self) -> Pictures:
        return Pictures()

    @pytest.fixture
    def options(self) -> EncoderOptions:
        return EncoderOptions(codec="png", container="png")

    test_it_takes_no_more_memory_than_it_said = None  # type: ignore[assignment]  # no other process can import it here

    @pytest.fixture
    def clip_spec(self) -> ClipSpec:
        return SPEC


def check(test: Callable[..., None], stage: Pictures, *more: Any) -> None:
    test(EncoderContract(), stage, EncoderOptions(codec="png", container="png"), SPEC, Placement(), *more)


@pytest.mark.parametrize(
    "lie",
    [
        pytest.param(lambda number, frame: frame if number else None, id="drops a frame"),
        pytest.param(lambda number, frame: np.ascontiguousarray(frame[..., ::-1]), id="swaps red and blue"),
        pytest.param(lambda number, frame: np.ascontiguousarray(frame[:-1]), id="crops in silence"),
        pytest.param(lambda number, frame: frame // 2, id="darkens"),
    ],
)
def test_a_file_that_is_not_what_was_promised_is_seen(tmp_path: Path, lie: Callable[[int, Frame], Frame]) -> None:
    with pytest.raises(AssertionError):
        check(EncoderContract.test_the_file_is_what_was_promised, Pictures(lie), tmp_path)


def test_frames_out_of_order_are_seen(tmp_path: Path) -> None:
    kept: list[Frame] = []

    def late(number: int, frame: Frame) -> Frame:
        kept.append(frame)
        return kept[max(0, number - 1)]

    with pytest.raises(AssertionError, match="in order"):
        check(EncoderContract.test_the_file_is_what_was_promised, Pictures(late), tmp_path)


def test_a_file_larger_than_estimated_is_seen(tmp_path: Path) -> None:
    with pytest.raises(AssertionError):
        check(EncoderContract.test_the_estimate_holds, Pictures(disk=100), tmp_path)


def test_a_part_left_behind_is_seen(tmp_path: Path) -> None:
    with pytest.raises(AssertionError):
        check(EncoderContract.test_a_clip_that_breaks_leaves_nothing_behind, Pictures(tidy=False), tmp_path)


def test_an_open_file_left_behind_is_seen(tmp_path: Path) -> None:
    left: list[Any] = []

    def leaking(number: int, frame: Frame) -> Frame:
        left.append((tmp_path / f"leak{len(left)}").open("w"))
        return frame

    with pytest.raises(AssertionError):
        check(EncoderContract.test_it_gives_back_what_it_took, Pictures(leaking), tmp_path)

    assert [file.close() for file in left]
