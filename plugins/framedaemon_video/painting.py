"""A decoded picture made into a frame: RGB over its whole range, square pixels, upright.

YUV becomes RGB by the matrix and range that the file names. Where it names none: BT.709 from 720 lines up, BT.601
below, limited range, as players do. Conversion is swscale's with accurate rounding and full chroma
interpolation, without which 4:2:0 is off by up to 3 of 255; by way of planes, which it computes in two thirds of the
time of packed RGB, to the same values.
"""

from __future__ import annotations

from typing import TypeAlias, cast

import av.error
import av.video.frame
import numpy as np
import numpy.typing as npt
from av.video.reformatter import ColorRange, VideoReformatter

from framedaemon import ClipSpec, Frame, JobRejected

Deep: TypeAlias = npt.NDArray[np.uint16]

_FLAGS = 0x4 | 0x40000 | 0x2000
"""libswscale's BICUBIC, ACCURATE_RND and FULL_CHR_H_INT; PyAV names the last two from version 18 on."""
_UNSPECIFIED_MATRIX, _BT709, _BT601 = 2, 1, 6
"""ITU-T H.273 matrix coefficients."""
_HD_LINES = 720


class Painter:
    """Paints frames of one clip; keeps swscale's tables between them."""

    def __init__(self, gives: ClipSpec) -> None:
        self._gives = gives
        self._mix = VideoReformatter()
        self._weave = VideoReformatter()
        self._coded: tuple[int, int] | None = None
        self._pose = (False, False, False)

    def paint(self, picture: av.video.frame.VideoFrame) -> Frame:
        """``picture`` as a frame of the clip, read-only.

        Raises JobRejected where the size changes in the middle of a video, or nothing here converts its colours.
        """
        coded, size = self.look(picture), (picture.width, picture.height)
        if size != coded:
            raise JobRejected(
                f"the video changes its size from {coded[0]}x{coded[1]} to {size[0]}x{size[1]} in the "
                "middle; convert it to one size and drop that"
            )
        transposed, flip_rows, flip_columns = self._pose
        width, height = self._gives.width, self._gives.height
        if transposed:
            width, height = height, width
        try:
            pixels = self._to_rgb(picture, width, height)
        except av.error.FFmpegError as error:
            raise JobRejected(
                "a picture in the video has colours in a coding that is not known here; convert it to MP4 and drop that"
            ) from error
        if transposed:
            pixels = pixels.swapaxes(0, 1)
        frame = np.ascontiguousarray(pixels[:: -1 if flip_rows else 1, :: -1 if flip_columns else 1])
        frame.setflags(write=False)
        return cast(Frame, frame)

    def look(self, picture: av.video.frame.VideoFrame) -> tuple[int, int]:
        """The clip's coded size. It and the pose are those of the first frame that is looked at or painted."""
        if self._coded is None:
            # Once: a frame whose side data was looked at is in a cycle, and waits for the garbage collector.
            self._coded, self._pose = (picture.width, picture.height), _pose(picture)
        return self._coded

    def _to_rgb(self, picture: av.video.frame.VideoFrame, width: int, height: int) -> Frame:
        """(height, width, 3) uint8 or uint16 over their whole range."""
        if picture.colorspace == _UNSPECIFIED_MATRIX:
            picture.colorspace = _BT709 if picture.height >= _HD_LINES else _BT601
        if self._gives.depth == 16:
            painted = self._mix.reformat(picture, width, height, "rgb48le", interpolation=_FLAGS).to_ndarray()
            return _whole_range(cast(Deep, painted), picture)
        planes = self._mix.reformat(picture, width, height, "gbrp", interpolation=_FLAGS)
        return cast(Frame, self._weave.reformat(planes, format="rgb24").to_ndarray())


def _whole_range(painted: Deep, picture: av.video.frame.VideoFrame) -> Deep:
    """swscale's 16-bit RGB, whose white is 255 << 8 (or the source's own, shifted up), brought to 65535."""
    own_bits = max(component.bits for component in picture.format.components)
    full = picture.color_range == ColorRange.JPEG or picture.format.is_rgb
    bits, white = (own_bits, (2**own_bits - 1) << (16 - own_bits)) if full else (8, 255 << 8)
    if bits >= 16:
        return painted
    clipped: Deep = np.minimum(painted, np.uint16(white))
    clipped += clipped >> np.uint16(bits)
    return clipped


def _pose(picture: av.video.frame.VideoFrame) -> tuple[bool, bool, bool]:
    """How the display matrix wants ``picture`` turned: transposed, then rows flipped, then columns flipped."""
    try:
        matrix = picture.side_data.get("DISPLAYMATRIX")
    except ValueError:  # PyAV 18 has no name for side data that came with ffmpeg 7.1, as in films for two eyes
        turned = round(-picture.rotation / 90) % 4
        return turned % 2 == 1, turned in (2, 3), turned in (1, 2)
    if matrix is None:
        return False, False, False
    a, b, _, c, d = np.frombuffer(cast(bytes, matrix), np.int32)[:5].tolist()  # x' = ax + cy, y' = bx + dy
    if abs(b) > abs(a):
        return True, b < 0, c < 0
    return False, d < 0, a < 0
