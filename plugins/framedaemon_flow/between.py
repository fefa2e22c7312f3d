"""A frame at any time between two, along the paths on which the picture moves.

                      before ─┐                       after ─┐
    motion at x0 ─▶ bent path ┴▶ Aim from x0 ──┐             │
    motion at x1 ─▶ bent path ─────────────────┼─────────────┴▶ Aim from x1
                                               ▼
         four lookups (both frames along both aims) ─▶ mixed by time ─▶ sharpened ─▶ the frame

A path bends where the neighbouring motions say that the picture is speeding up, slowing down or turning: halfway
between two frames a straight path is wrong by an eighth of the acceleration. Two opinions on every pixel, the flow
seen from x0 and that seen from x1, are both drawn and mixed: where they agree it costs nothing, where they do not the
error of the mean is smaller than either's.

Fields are at the reduced size of `motion`; only lookups and what follows is done at full size, in strips of rows
that stay in the processor's cache and can be drawn by different threads.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import cv2
import numpy as np
import numpy.typing as npt

from framedaemon import Frame
from framedaemon_flow.motion import NOTHING, Field, grid, look_up

STRIP = 64
"""Rows that are drawn at once."""

# An acceleration that is many times the speed itself comes from a pixel that cannot be seen in one of the frames.
_BELIEVED = 10.0
_STILL = 0.25  # squared pixels: below half a pixel everything is believed

# Linear lookups between pixels blur; this undoes it to second order. 1.15: bicubic's sharpness, not Taylor's.
_SHARPNESS = 1.15

_Whole: TypeAlias = npt.NDArray[np.int16]
_Part: TypeAlias = npt.NDArray[np.uint16]
_LOOKUP_STEPS = 32  # OpenCV's fixed-point maps have 5 bits below the pixel


def _blur_table() -> npt.NDArray[np.float32]:
    """How much a linear lookup blurs, by its place between pixels as OpenCV's fixed-point maps number them."""
    part = np.arange(_LOOKUP_STEPS) / _LOOKUP_STEPS
    loss = part * (1 - part)
    return (_SHARPNESS * np.add.outer(loss, loss)).astype(np.float32).ravel()


_BLUR = _blur_table()


@dataclass(frozen=True, slots=True, eq=False)
class Aim:
    """Where a frame's pixels are looked up: offsets in pixels of the whole frame, one for each pixel of the reduced."""

    near: Field
    """In the frame whose motion this is."""
    far: Field
    """In the other one."""


def bend(there: Field, back: Field) -> Field:
    """The acceleration of each pixel, in pixels per gap squared.

    there: the flow to the one neighbour.  back: the flow to the neighbour on the other side, from the same pixels.
    """
    bent = there + back
    against = _BELIEVED * _square(there) + _STILL
    return cast(Field, bent * (against / (against + _square(bent)))[..., None])


def carry(bent: Field, back: Field) -> Field:
    """An acceleration known on the other frame's pixels, on this frame's: ``back`` leads there."""
    return look_up(bent, grid(*back.shape[:2]) + back)


def aim(flow: Field, bent: Field | None, time: float, scale: int) -> Aim:
    """Where the picture at ``time`` along ``flow`` is looked up, for each pixel of the frame to be drawn.

    flow: from the frame at time 0 to that at time 1.  bent: its acceleration.  time: 0..1.  scale: by how much the
    frames were reduced.
    """
    places = grid(*flow.shape[:2])
    path = flow * np.float32(time)
    if bent is not None:
        path -= bent * np.float32(time * (1 - time) / 2)
    moved = path
    for _ in range(2):  # the pixel that comes here is the one whose own path ends here; a third round changes nothing
        moved = look_up(path, places - moved)
    near = -moved
    far = near + look_up(flow, places + near)
    return Aim(near * np.float32(scale), far * np.float32(scale))


def strips(height: int) -> list[tuple[int, int]]:
    """The rows of a frame, cut into strips: (first, one after the last)."""
    return [(top, min(top + STRIP, height)) for top in range(0, height, STRIP)]


def draw(
    out: Frame, rows: tuple[int, int], frames: tuple[Frame, Frame], aims: tuple[Aim, Aim], time: float, scale: int
) -> None:
    """Write rows of the frame at ``time`` into ``out``.

    aims: from x0's motion and from x1's.  scale: by how much the aims' frames were reduced.
    """
    height, width = out.shape[:2]
    top, bottom = max(0, rows[0] - 1), min(height, rows[1] + 1)  # a row more on both sides, for the 3x3 blur
    forward, backward = aims
    lookups = (
        (frames[0], forward.near, (1 - time) * (1 - time)),
        (frames[0], backward.far, (1 - time) * time),
        (frames[1], forward.far, time * (1 - time)),
        (frames[1], backward.near, time * time),
    )
    mixed = np.zeros((bottom - top, width, 3), np.float32)
    blurred = np.zeros((bottom - top, width), np.float32)
    total = 0.0
    for frame, offsets, weight in lookups:
        whole, part = _map(offsets, top, bottom, width, scale)
        seen = cv2.remap(frame, whole, part, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        total += weight
        cv2.accumulateWeighted(seen, mixed, weight / total)
        cv2.accumulateWeighted(np.take(_BLUR, part), blurred, weight / total)
    softer = cv2.GaussianBlur(mixed, (3, 3), 0)
    sharp = cv2.blendLinear(mixed, softer, 1 + blurred, -blurred)
    depth = cv2.CV_8U if out.dtype == np.uint8 else cv2.CV_16U
    out[rows[0] : rows[1]] = cv2.addWeighted(sharp, 1, sharp, 0, 0, dtype=depth)[rows[0] - top : rows[1] - top]


def _map(offsets: Field, top: int, bottom: int, width: int, scale: int) -> tuple[_Whole, _Part]:
    """Rows of the full-size map, in OpenCV's fixed-point form: whole pixels, and the place between them."""
    if scale == 1:
        rows = offsets[top:bottom]
    else:
        first, after = max(0, top // 2 - 1), min(offsets.shape[0], (bottom + 1) // 2 + 1)
        large = cv2.resize(offsets[first:after], None, fx=2, fy=2, interpolation=cv2.INTER_LINEAR)
        rows = cast(Field, large[top - 2 * first : bottom - 2 * first, :width])
    shift: Any = (0, top, 0, 0)  # the stubs know no scalars
    places = cv2.add(cv2.add(rows, grid(STRIP + 2, width)[: bottom - top]), shift)
    return cast(tuple[_Whole, _Part], cv2.convertMaps(places, NOTHING, cv2.CV_16SC2))


def _square(field: Field) -> npt.NDArray[np.float32]:
    return cast(npt.NDArray[np.float32], field[..., 0] ** 2 + field[..., 1] ** 2)
