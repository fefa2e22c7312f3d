from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import numpy.typing as npt
import pytest

from framedaemon import ClipSpec, JobRejected
from framedaemon_video.painting import Painter

BT709, BT601, UNSPECIFIED = 1, 6, 2
LUMA = {BT709: (0.2126, 0.0722), BT601: (0.299, 0.114)}
LIMITED, FULL = 1, 2


def patches(rows: int = 8, step: int = 8) -> tuple[npt.NDArray[np.float64], ...]:
    """Y, Cb, Cr of flat patches, 0..1 and -0.2..0.2, so that chroma interpolation has nothing to do."""
    rng = np.random.default_rng(3)
    y, cb, cr = rng.uniform(0, 1, (rows, 8)), rng.uniform(-0.2, 0.2, (rows, 8)), rng.uniform(-0.2, 0.2, (rows, 8))
    return tuple(np.kron(plane, np.ones((step, step))) for plane in (y, cb, cr))


def coded(
    pixels: str, bits: int, matrix: int, scale: int, rows: int = 8, step: int = 8
) -> tuple[av.VideoFrame, npt.NDArray[np.float64]]:
    """A picture of patches in YUV, and the RGB (0..1) that it means by ITU-T H.273."""
    unit, tops = 2 ** (bits - 8), 2**bits - 1
    y, cb, cr = patches(rows, step)
    lift, luma, chroma = (16 * unit, 219 * unit, 224 * unit) if scale == LIMITED else (0, tops, tops)
    planes = [np.rint(lift + luma * y), *(np.rint(128 * unit + chroma * plane) for plane in (cb, cr))]
    y, cb, cr = (planes[0] - lift) / luma, (planes[1] - 128 * unit) / chroma, (planes[2] - 128 * unit) / chroma
    red, blue = LUMA[
        BT709 if matrix == UNSPECIFIED and rows * step >= 720 else BT601 if matrix == UNSPECIFIED else matrix
    ]
    r, b = y + 2 * (1 - red) * cr, y + 2 * (1 - blue) * cb
    g = (y - red * r - blue * b) / (1 - red - blue)
    frame = av.VideoFrame(y.shape[1], y.shape[0], pixels)
    for plane, values in zip(frame.planes, planes, strict=True):
        small = values if plane.height == values.shape[0] else values[::2, ::2]
        rows_of_bytes = np.zeros((plane.height, plane.line_size), np.uint8)
        packed = np.ascontiguousarray(small.astype(np.uint8 if bits == 8 else "<u2")).view(np.uint8)
        rows_of_bytes[:, : packed.shape[1]] = packed
        plane.update(rows_of_bytes.tobytes())
    frame.colorspace, frame.color_range = matrix, scale
    return frame, np.clip(np.stack([r, g, b], -1), 0, 1)


def centres(picture: npt.NDArray[np.generic], step: int = 8) -> npt.NDArray[np.generic]:
    return picture[step // 2 :: step, step // 2 :: step]


@pytest.mark.parametrize("scale", [LIMITED, FULL])
@pytest.mark.parametrize("matrix", [BT709, BT601])
@pytest.mark.parametrize(("pixels", "bits"), [("yuv420p", 8), ("yuv444p", 8), ("yuv420p10le", 10), ("yuv444p12le", 12)])
def test_colours_are_right_within_rounding(pixels: str, bits: int, matrix: int, scale: int) -> None:
    frame, truth = coded(pixels, bits, matrix, scale)
    depth = 8 if bits == 8 else 16

    painted = Painter(ClipSpec(64, 64, 1, Fraction(25), depth)).paint(frame)  # type: ignore[arg-type]

    white = 255 if depth == 8 else 65535
    assert painted.dtype == (np.uint8 if depth == 8 else np.uint16)
    assert np.abs(centres(painted) / white - centres(truth)).max() * 255 <= (0.75 if depth == 8 else 0.1)


def test_without_a_matrix_small_pictures_are_bt601_and_large_ones_bt709() -> None:
    small, small_truth = coded("yuv444p", 8, UNSPECIFIED, LIMITED)
    large, large_truth = coded("yuv444p", 8, UNSPECIFIED, LIMITED, rows=90)

    painted_small = Painter(ClipSpec(64, 64, 1, Fraction(25))).paint(small)
    painted_large = Painter(ClipSpec(64, 720, 1, Fraction(25))).paint(large)

    assert np.abs(centres(painted_small) / 255 - centres(small_truth)).max() * 255 <= 0.75
    assert np.abs(centres(painted_large) / 255 - centres(large_truth)).max() * 255 <= 0.75


def test_white_is_white_and_black_is_black_in_sixteen_bits() -> None:
    for level, expected in ((940, 65535), (64, 0)):
        frame = av.VideoFrame(32, 32, "yuv420p10le")
        for plane, value in zip(frame.planes, (level, 512, 512), strict=True):
            plane.update(np.full(plane.buffer_size // 2, value, "<u2").tobytes())
        frame.colorspace, frame.color_range = BT709, LIMITED

        painted = Painter(ClipSpec(32, 32, 1, Fraction(25), 16)).paint(frame)

        assert (painted == expected).all()


def test_a_video_that_changes_its_size_is_refused() -> None:
    painter = Painter(ClipSpec(64, 64, 2, Fraction(25)))
    painter.paint(coded("yuv420p", 8, BT709, LIMITED)[0])

    with pytest.raises(JobRejected, match="changes its size from 64x64 to 64x128"):
        painter.paint(coded("yuv420p", 8, BT709, LIMITED, rows=16)[0])


def test_a_video_with_a_picture_in_unknown_colours_is_refused() -> None:
    """By its number in the stream, which a broken file may set to anything."""
    frame = coded("yuv420p", 8, BT709, LIMITED)[0]
    frame.colorspace = 65

    with pytest.raises(JobRejected, match="colours in a coding that is not known"):
        Painter(ClipSpec(64, 64, 1, Fraction(25))).paint(frame)
