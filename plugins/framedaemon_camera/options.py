"""What a recipe may say to the camera, and the size of the clip that follows from it."""

from __future__ import annotations

from fractions import Fraction
from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from framedaemon import ClipSpec, GeneratorOptions, JobRejected, Picture

Kind: TypeAlias = Literal["push_in", "pull_out", "pan_left", "pan_right", "tilt_up", "tilt_down", "orbit", "drift"]
Easing: TypeAlias = Literal["linear", "ease_in", "ease_out", "ease_in_out"]
Share = Annotated[float, Field(ge=0.0, le=1.0)]

_FPS = Fraction(16)  # what Wan draws: a filled-in clip has the same cadence whichever generator drew it
_SECONDS = 5
_LONG_SIDE = 1280
_SMALLEST, _LARGEST = 16, 8192  # as GeneratorOptions allows


class CameraOptions(GeneratorOptions):
    """``[generate]`` of a recipe whose ``use`` is ``camera``."""

    move: Kind = "push_in"
    """Where the camera goes. It is the camera that turns: in ``pan_right`` the picture slides to the left."""
    amount: float = Field(0.2, ge=0.01, le=0.8)
    """How far: the share of the picture that a push leaves behind, or that a pan or tilt travels across."""
    focus: tuple[Share, Share] = (0.5, 0.5)
    """What the camera looks at: shares of the width from the left and of the height from the top."""
    easing: Easing = "ease_in_out"
    """How a push, pan, tilt or turn starts and stops. A drift, and an orbit that loops, keep their pace."""
    loop: bool = False
    """The last frame leads to the first without a jump: there and back, or round and round."""


def clip_of(picture: Picture, options: CameraOptions) -> ClipSpec:
    """The clip that ``options`` ask of ``picture``: five seconds at 16 fps where they do not say.

    Raises JobRejected when one side is given and the other, by the picture's aspect, cannot be had.
    """
    width, height = _size(picture.width, picture.height, options)
    fps = options.fps or _FPS
    frames = options.frames or round(_SECONDS * fps) + 1
    return ClipSpec(width=width, height=height, frames=frames, fps=fps)


def _size(width: int, height: int, options: CameraOptions) -> tuple[int, int]:
    """(width, height) of the clip: as asked; else the picture's aspect, even, 1280 at most, never enlarged.

    Aspects that do not match exactly are cropped, never stretched, by how the view is laid (see `moves`).
    """
    if options.width and options.height:
        return options.width, options.height
    if options.width:
        return options.width, _following("width", options.width, width, height)
    if options.height:
        return _following("height", options.height, height, width), options.height
    shrink = min(1.0, _LONG_SIDE / max(width, height))
    return max(_SMALLEST, _even(width * shrink)), max(_SMALLEST, _even(height * shrink))


def _following(key: str, given: int, along: int, across: int) -> int:
    """The other side, when ``key`` is ``given`` pixels; ``along`` and ``across`` are the picture's own sides."""
    other = round(given * across / along / 2) * 2
    if _SMALLEST <= other <= _LARGEST:
        return other
    lowest = max(_SMALLEST, -(-_SMALLEST * along // across))
    highest = min(_LARGEST, _LARGEST * along // across)
    name = "height" if key == "width" else "width"
    if lowest > highest:
        raise JobRejected(
            f"[generate] {key}: this picture is so long and thin that no {key} fits; give width and height both, "
            f"each in {_SMALLEST}..{_LARGEST}, and the camera crops"
        )
    raise JobRejected(
        f"[generate] {key}: {given} makes a {name} of {other} from this picture, which is not in "
        f"{_SMALLEST}..{_LARGEST}; allowed here is {lowest}..{highest}, or give both width and height"
    )


def _even(side: float) -> int:
    return int(side / 2 + 1e-9) * 2
