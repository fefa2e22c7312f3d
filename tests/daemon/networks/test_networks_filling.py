"""The driver of pair networks, with a small real network: what it is given, how often, and what becomes of it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
import pytest

from framedaemon import CUT, Cut, Filled, Frame, Gap, OutOfMemory, Placement, StageFailed

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'framedaemon[rife]'")

from torch import Tensor  # noqa: E402  (behind the skip)

from framedaemon.networks import device_for, filler  # noqa: E402

HALF = (Fraction(1, 2),)
THIRDS = (Fraction(1, 3), Fraction(2, 3))


@dataclass
class Mixing:
    """Mixes the two frames by time; its features are the frame and a map at half its size, as networks have them."""

    multiple: int = 8
    seen: list[tuple[int, ...]] = field(default_factory=list)
    """The shapes it was asked the features of."""
    gain: float = 1.0
    fails: Exception | None = None

    def features(self, x: Tensor) -> Any:
        self.seen.append(tuple(x.shape))
        return x, (torch.nn.functional.avg_pool2d(x, 2),)

    def between(self, f0: Any, f1: Any, times: Sequence[Fraction]) -> Iterator[Tensor]:
        if self.fails is not None:
            raise self.fails
        assert f0[1][0].shape[-1] * 2 == f0[0].shape[-1]
        for time in times:
            yield self.gain * (f0[0] * (1 - float(time)) + f1[0] * float(time))


def _frames(count: int, size: tuple[int, int] = (40, 56), dtype: Any = np.uint8) -> list[Frame]:
    """A picture with a square that moves: neighbours are alike enough to be one scene."""
    rng = np.random.default_rng(1)
    height, width = size
    ground = rng.integers(0, 200, (height, width, 3))
    frames = [ground.copy() for _ in range(count)]
    for index, frame in enumerate(frames):
        frame[4:12, 4 + index : 12 + index] = 250
    scale = 257 if dtype == np.uint16 else 1
    return [(frame * scale).astype(dtype) for frame in frames]


def _gaps(frames: Sequence[Frame], times: tuple[Fraction, ...] = HALF) -> list[Gap]:
    return [Gap(x0, x1, times) for x0, x1 in pairwise(frames)]


def _fill(gaps: Sequence[Gap], network: Mixing, placement: Placement | None = None) -> list[Filled]:
    placement = placement or Placement(threads=2)
    with device_for(placement) as device:
        return list(filler(network, device, placement)(iter(gaps)))


def _mixed(gap: Gap, time: Fraction) -> Frame:
    levels = gap.x0 * (1 - float(time)) + gap.x1 * float(time)
    return np.rint(levels).astype(gap.x0.dtype)


def _worst(answers: Sequence[Filled], gaps: Sequence[Gap]) -> int:
    """By how many levels any frame differs from the gap's two frames, mixed."""
    pairs = [
        (frame, _mixed(gap, time))
        for answer, gap in zip(answers, gaps, strict=True)
        for frame, time in zip(_drawn(answer), gap.times, strict=True)
    ]
    return max(int(np.abs(frame.astype(int) - wanted).max()) for frame, wanted in pairs)


def _drawn(answer: Filled) -> Sequence[Frame]:
    assert not isinstance(answer, Cut)
    return answer


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("size", [(40, 56), (41, 57), (16, 130)])
def test_every_gap_is_filled_at_its_times_in_its_own_depth(dtype: Any, size: tuple[int, int]) -> None:
    gaps = _gaps(_frames(4, size, dtype), THIRDS)

    answers = _fill(gaps, Mixing())

    assert [len(_drawn(answer)) for answer in answers] == [2, 2, 2]
    assert {frame.dtype for answer in answers for frame in _drawn(answer)} == {np.dtype(dtype)}
    assert _worst(answers, gaps) <= 1


def test_a_networks_frames_are_clipped_not_wrapped() -> None:
    network = Mixing(gain=3.0)

    answers = _fill(_gaps([np.full((16, 16, 3), 200, np.uint8)] * 2), network)

    assert int(_drawn(answers[0])[0].min()) == 255


def test_what_is_no_number_fails_the_attempt_and_never_becomes_a_frame() -> None:
    """As where float16 overflows."""
    with pytest.raises(StageFailed, match="no number"):
        _fill(_gaps(_frames(2)), Mixing(gain=float("nan")))


def test_what_depends_on_one_frame_is_worked_out_once() -> None:
    network = Mixing()

    _fill(_gaps(_frames(5)), network)

    assert network.seen == [(1, 3, 40, 56)] * 5


def test_gaps_that_share_no_frame_are_worked_out_each_by_itself() -> None:
    network, frames = Mixing(), _frames(5)

    _fill([Gap(frames[0], frames[1], HALF), Gap(frames[3], frames[4], HALF)], network)

    assert len(network.seen) == 4


def test_a_network_is_given_sides_that_it_can_divide() -> None:
    network = Mixing(multiple=32)

    gaps = _gaps(_frames(2, (33, 64)))
    answers = _fill(gaps, network)

    assert network.seen == [(1, 3, 64, 64)] * 2
    assert _worst(answers, gaps) <= 1


def test_at_a_scene_cut_nothing_is_drawn_and_what_was_kept_is_let_go() -> None:
    network, scene = Mixing(), _frames(3, (96, 96))
    other = [255 - np.ascontiguousarray(np.rot90(frame)) for frame in scene]
    gaps = _gaps([*scene[:2], *other[:2]])

    answers = _fill(gaps, network)

    assert [answer is CUT for answer in answers] == [False, True, False]
    assert len(network.seen) == 4


@pytest.mark.parametrize("batch", [2, 3, 8])
def test_gaps_that_go_through_together_are_filled_as_one_by_one(batch: int) -> None:
    gaps = _gaps(_frames(8), THIRDS)

    together, alone = _fill(gaps, Mixing(), Placement(batch=batch)), _fill(gaps, Mixing())

    assert all(map(np.array_equal, map(_drawn, together), map(_drawn, alone)))
    assert (
        len({id(frame.base) if frame.base is not None else id(frame) for one in together for frame in _drawn(one)})
        == 14
    )


def test_only_neighbours_that_want_the_same_times_go_through_together() -> None:
    network, frames = Mixing(), _frames(7)
    gaps = [*_gaps(frames[:3]), *_gaps(frames[2:4], THIRDS), *_gaps(frames[4:], THIRDS)]

    answers = _fill(gaps, network, Placement(batch=4))

    assert [shape[0] for shape in network.seen] == [1, 2, 1, 1, 2]
    assert [len(_drawn(answer)) for answer in answers] == [1, 1, 2, 2, 2]
    assert _worst(answers, gaps) <= 1


def test_a_gap_alone_does_not_wait_for_the_next() -> None:
    """Where frames come slowly, each is filled in as it comes."""
    gaps, taken = _gaps(_frames(4)), []

    def coming() -> Iterator[Gap]:
        for gap in gaps:
            taken.append(gap)
            yield gap

    with device_for(Placement()) as device, closing(_closable(filler(Mixing(), device, Placement())(coming()))) as out:
        next(out)

        assert len(taken) == 1


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("size", [(100, 150), (33, 200), (64, 64)])
def test_tiles_give_the_frame_that_the_whole_would_without_a_seam(size: tuple[int, int], dtype: Any) -> None:
    network, gaps = Mixing(), _gaps(_frames(3, size, dtype), THIRDS)

    answers = _fill(gaps, network, Placement(tile=64))

    assert max(max(shape[2:]) for shape in network.seen) <= 64
    assert _worst(answers, gaps) <= 1


@pytest.mark.parametrize(
    "error",
    [torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 4 GiB"), MemoryError("no room")],
    ids=["device", "process"],
)
def test_want_of_memory_is_said_to_the_daemon(error: Exception) -> None:
    with pytest.raises(OutOfMemory, match="out of memory on cpu"):
        _fill(_gaps(_frames(2)), Mixing(fails=error))


def test_torchs_want_of_main_memory_is_want_of_memory() -> None:
    """A real one: more than any machine has."""

    @dataclass
    class Greedy(Mixing):
        def between(self, f0: Any, f1: Any, times: Sequence[Fraction]) -> Iterator[Tensor]:
            yield torch.empty(1 << 60, dtype=torch.uint8)

    with pytest.raises(OutOfMemory, match="out of memory on cpu"):
        _fill(_gaps(_frames(2)), Greedy())


def test_opencvs_want_of_memory_is_want_of_memory() -> None:
    """A real one too: networks on a CPU look up by OpenCV."""

    @dataclass
    class Greedy(Mixing):
        def between(self, f0: Any, f1: Any, times: Sequence[Fraction]) -> Iterator[Tensor]:
            cv2.copyMakeBorder(np.zeros((1, 1, 3), np.uint8), 0, 1 << 30, 0, 1 << 20, cv2.BORDER_CONSTANT)
            yield from ()

    with pytest.raises(OutOfMemory, match="out of memory on cpu"):
        _fill(_gaps(_frames(2)), Greedy())


@pytest.mark.parametrize(
    "said",
    [
        "MPS backend out of memory (MPS allocated: 5.56 GB)",
        "CUDA error: out of memory",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
    ],
)
def test_want_of_memory_that_has_no_class_of_its_own_is_want_of_memory(said: str) -> None:
    with pytest.raises(OutOfMemory, match=re.escape(said)):
        _fill(_gaps(_frames(2)), Mixing(fails=RuntimeError(said)))


def test_an_error_of_another_kind_stays_what_it_is() -> None:
    with pytest.raises(RuntimeError, match="sizes of tensors"):
        _fill(_gaps(_frames(2)), Mixing(fails=RuntimeError("sizes of tensors must match")))


def test_a_stream_that_is_closed_early_keeps_no_frame() -> None:
    with device_for(Placement()) as device:
        fill = filler(Mixing(), device, Placement())
        answers = _closable(fill(iter(_gaps(_frames(4)))))
        next(answers)
        kept = fill.__self__.last  # type: ignore[attr-defined]

        answers.close()

        assert kept is not None
        assert fill.__self__.last is None  # type: ignore[attr-defined]


def _closable(answers: Any) -> Any:
    return answers
