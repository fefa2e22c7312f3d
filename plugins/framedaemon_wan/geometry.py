"""The size of a clip, from that of its picture, and the picture brought to it: cropped or padded, never stretched."""

from __future__ import annotations

from math import sqrt
from typing import Literal

import numpy as np

from framedaemon import Frame, Picture

Fit = Literal["crop", "pad"]


def size_for(
    picture: tuple[int, int], area: int, multiple: int, width: int | None = None, height: int | None = None
) -> tuple[int, int]:
    """(width, height) of the clip: multiples of ``multiple``, of the picture's aspect and ``area`` pixels, nearly.

    With ``width`` or ``height`` given the other keeps the aspect; with both, those.
    """
    aspect = picture[0] / picture[1]
    if width is None and height is None:
        wide: float = sqrt(area * aspect)
        high: float = wide / aspect
    else:
        wide = width if width is not None else height * aspect  # type: ignore[operator]  # one of them is given
        high = height if height is not None else wide / aspect
    return _round(wide, multiple), _round(high, multiple)


def _round(side: float, multiple: int) -> int:
    return max(1, round(side / multiple)) * multiple


def frames_for(wanted: int) -> int:
    """The next number of frames that can be drawn: 4k + 1."""
    return -(-(wanted - 1) // 4) * 4 + 1


def fitted(picture: Picture, width: int, height: int, fit: Fit) -> Frame:
    """The picture at ``width`` x ``height``, (H, W, 3) uint8, by Lanczos.

    crop: what is over on two sides is cut off. pad: black is added to two sides.
    """
    from PIL import Image

    image = Image.fromarray(np.asarray(picture.pixels))
    aspects = (width / picture.width, height / picture.height)
    scale = max(aspects) if fit == "crop" else min(aspects)
    if fit == "crop":
        wide, high = width / scale, height / scale
        left, top = (picture.width - wide) / 2, (picture.height - high) / 2
        box = (max(0.0, left), max(0.0, top), min(picture.width, left + wide), min(picture.height, top + high))
        return np.asarray(image.resize((width, height), Image.Resampling.LANCZOS, box))
    wide, high = (max(1, round(side * scale)) for side in (picture.width, picture.height))
    whole = Image.new("RGB", (width, height))
    whole.paste(image.resize((wide, high), Image.Resampling.LANCZOS), ((width - wide) // 2, (height - high) // 2))
    return np.asarray(whole)
