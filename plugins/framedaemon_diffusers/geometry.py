"""The size of a clip from that of its picture, its frames, and the picture cut to its aspect: never stretched."""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING

import numpy as np

from framedaemon import Picture

if TYPE_CHECKING:
    from PIL.Image import Image


def size_for(
    picture: tuple[int, int], area: int, multiple: int, width: int | None, height: int | None
) -> tuple[int, int]:
    """(width, height) of the clip in multiples of ``multiple``: of about ``area`` pixels in the picture's aspect.

    With one of ``width`` and ``height`` given the other keeps the aspect; with both, the nearest to those.
    """
    aspect = picture[0] / picture[1]
    if width is not None:
        wide, high = float(width), width / aspect if height is None else float(height)
    elif height is not None:
        wide, high = height * aspect, float(height)
    else:
        wide, high = sqrt(area * aspect), sqrt(area / aspect)
    return _nearest(wide, multiple), _nearest(high, multiple)


def frames_for(wanted: int, stride: int) -> int:
    """How many frames come nearest to ``wanted``, not fewer: one, and ``stride`` for each further latent frame."""
    return -(-(wanted - 1) // stride) * stride + 1


def _nearest(side: float, multiple: int) -> int:
    return max(1, round(side / multiple)) * multiple


def cut(picture: Picture, width: int, height: int) -> Image:
    """The middle of ``picture`` at ``width`` x ``height``, by Lanczos; what is over on two sides is left out."""
    from PIL import Image

    scale = max(width / picture.width, height / picture.height)
    wide, high = min(width / scale, picture.width), min(height / scale, picture.height)
    left, top = (picture.width - wide) / 2, (picture.height - high) / 2
    image = Image.fromarray(np.asarray(picture.pixels))
    return image.resize((width, height), Image.Resampling.LANCZOS, (left, top, left + wide, top + high))
