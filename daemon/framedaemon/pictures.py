"""A picture file, made into upright sRGB pixels.

    file ─▶ header (size checked) ─▶ Pillow decodes all of it ─▶ colours, in strips ─▶ turned upright ─▶ Picture

Nothing of the file but its pixels goes on: no EXIF, no GPS, no text. Memory peaks at the decoder's own need plus
one copy; what a decoder needs is known per format (`_DECODER_BYTES`), so a file that would need more than
`_BUDGET` is refused from its header.
"""

from __future__ import annotations

import os
import struct
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, ImageFile, PngImagePlugin, UnidentifiedImageError

from framedaemon.colours import to_srgb
from framedaemon.errors import JobRejected
from framedaemon.formats import Format
from framedaemon.naming import show
from framedaemon.sources import Picture

if TYPE_CHECKING:
    from framedaemon.opening import Limits

_BUDGET = 900_000_000
"""Bytes that decoding may take: with the process itself and a strip in work it stays below 1 GB."""

_DECODER_BYTES = {
    "JPEG": 4,
    "PNG": 4,
    "BMP": 4,
    "GIF": 5,
    "PPM": 4,
    "TIFF": 4,
    "WEBP": 16,
    "AVIF": 18,
    "JPEG2000": 24,
    "HEIF": 16,
}
"""Bytes a pixel at the peak of decoding, Pillow's own picture included; measured, see docs/inputs.md."""

_COPY_BYTES = 7
"""Bytes a pixel when the decoder is done: Pillow's picture at 4, ours at 3."""

_WHOLE_FILE_READERS = frozenset({"WEBP", "AVIF", "HEIF", "JPEG2000", "TIFF"})
"""Formats whose decoders hold or map the whole file."""

_TEXT_RATIO = 16
_TEXT_MIN, _TEXT_MAX = 1 << 20, 32 << 20
"""PNG text may inflate to 16 times the file, within 1..32 MiB: a photo's 2.8 MB of raw profile may become 6 MB,
but not a bomb's 2 kB."""

# What Pillow's readers raise on broken files, by their own tests; MemoryError is a header that promises too much.
_BROKEN = (OSError, SyntaxError, ValueError, TypeError, KeyError, IndexError, EOFError, struct.error, OverflowError,
           ZeroDivisionError, AttributeError, RuntimeError, MemoryError, AssertionError)  # fmt: skip


def read_picture(file: BinaryIO, found: Format, name: str, limits: Limits) -> Picture:
    """The first picture in ``file``: upright, sRGB, opaque.

    Raises JobRejected for one that is broken, cut short, too small, too large, or needs an extra that is missing.
    """
    size = os.fstat(file.fileno()).st_size
    _prepare_heif(found, name)
    notes: list[str] = []
    with _pillow_set_up(size, found, limits):
        try:
            pixels, orientation = _decode(file, found, size, name, limits, notes)
        except Image.DecompressionBombError as error:
            raise JobRejected(
                f"{name} is {found.label} of more than {limits.max_pixels / 1e6:,.1f} million pixels, "
                "which is the limit. Save a smaller copy and drop that."
            ) from error
        except UnidentifiedImageError as error:
            raise JobRejected(f"{name} begins like {found.label} but is not a sound one. {_AGAIN}") from error
        except _BROKEN as error:
            raise JobRejected(f"{name} is {found.label} that is broken or cut short{_said(error)}. {_AGAIN}") from error
    pixels = _turn(pixels, orientation)
    if orientation != 1:
        notes.append("turned upright as its EXIF orientation says")
    pixels.setflags(write=False)
    return Picture(pixels, tuple(dict.fromkeys(notes)))


def _decode(
    file: BinaryIO, found: Format, file_bytes: int, name: str, limits: Limits, notes: list[str]
) -> tuple[npt.NDArray[np.uint8], int]:
    """sRGB pixels (H, W, 3) as stored, and the EXIF orientation; Pillow's own copy is gone on return."""
    with Image.open(file, formats=_readers(found)) as image:
        _check(image, found, file_bytes, name, limits)
        notes += _what_is_left_out(image)
        image.load()
        orientation = _orientation(image, notes)
        return to_srgb(image, limits.background, notes), orientation


def _said(error: Exception) -> str:
    """A decoder's words on one line, to be put behind ours: some hold parts of the file, and some are keys only."""
    words = "" if isinstance(error, KeyError) else show(" ".join(str(error).split()))[:200]
    return f" ({words})" if words else ""


_AGAIN = "Copy it again from where it came, or open it in a picture viewer and save it anew."


def _readers(found: Format) -> list[str]:
    """Pillow's names of the formats that may read the file; a stereo photo is an MPO inside a JPEG."""
    return ["JPEG", "MPO"] if found.reader == "JPEG" else [found.reader]


def _prepare_heif(found: Format, name: str) -> None:
    if found.reader != "HEIF":
        return
    try:
        import pillow_heif
    except ImportError:
        raise JobRejected(
            f"{name} is {found.label}, which needs an extra part: install it with "
            "pip install 'framedaemon[heif]' and drop the picture again, or save it as JPEG and drop that."
        ) from None
    pillow_heif.register_heif_opener(thumbnails=False)


@contextmanager
def _pillow_set_up(file_bytes: int, found: Format, limits: Limits) -> Iterator[None]:
    """Pillow's process-wide limits replaced by ours while a file is read, and put back.

    Its own pixel limit goes (we refuse by ours, as an error, before decoding), text limits follow the file's size.
    But a GIF is painted while it is opened, as large as its first frame and not as its header says; Pillow looks at
    its limit in between, and raises at twice that.
    """
    pixels = limits.max_pixels // 2 if found.reader == "GIF" else None
    text = max(_TEXT_MIN, min(_TEXT_MAX, _TEXT_RATIO * file_bytes))
    kept = (Image.MAX_IMAGE_PIXELS, PngImagePlugin.MAX_TEXT_CHUNK, PngImagePlugin.MAX_TEXT_MEMORY)
    truncated = ImageFile.LOAD_TRUNCATED_IMAGES
    Image.MAX_IMAGE_PIXELS, PngImagePlugin.MAX_TEXT_CHUNK, PngImagePlugin.MAX_TEXT_MEMORY = pixels, text, text
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # broken EXIF, odd APNG: what matters is whether the pixels decode
            yield
    finally:
        Image.MAX_IMAGE_PIXELS, PngImagePlugin.MAX_TEXT_CHUNK, PngImagePlugin.MAX_TEXT_MEMORY = kept
        ImageFile.LOAD_TRUNCATED_IMAGES = truncated


def _check(image: Image.Image, found: Format, file_bytes: int, name: str, limits: Limits) -> None:
    """Refuse by what the header says."""
    limits.check(image.width, image.height, name)
    tags = getattr(image, "tag_v2", {})
    if found.reader == "TIFF" and (_DNG_VERSION in tags or tags.get(_SUBFILE_TYPE) == 1):
        raise JobRejected(
            f"{name} is a camera's raw picture, of which only a thumbnail can be read here. "
            "Export it as JPEG or PNG and drop that."
        )
    needed = _bytes_to_decode(image, found, file_bytes)
    if needed > _BUDGET:
        raise JobRejected(
            f"{name} is {image.width}x{image.height} pixels: decoding {found.label} of that size takes "
            f"{needed / 1e9:.1f} GB of memory, {_BUDGET / 1e9:.1f} GB is the limit. Save a smaller copy and drop that."
        )


_DNG_VERSION = 50706
_SUBFILE_TYPE = 254
_ROWS_PER_STRIP, _TILE_WIDTH, _TILE_LENGTH = 278, 322, 323


def _bytes_to_decode(image: Image.Image, found: Format, file_bytes: int) -> int:
    """The most memory that decoding ``image`` takes, by its header."""
    a_pixel = _DECODER_BYTES[found.reader]
    if image.info.get("progressive"):
        a_pixel += 2 * len(image.getbands())  # a progressive JPEG holds all its coefficients
    tags = getattr(image, "tag_v2", {})
    if found.reader == "TIFF" and tags.get(ExifTags.Base.Orientation, 1) != 1:
        a_pixel += 4  # Pillow turns a TIFF while it loads, into a copy
    needed = a_pixel * image.width * image.height
    if found.reader in _WHOLE_FILE_READERS:
        needed += file_bytes
    if found.reader == "TIFF":
        needed += _tiff_chunk_bytes(image, tags)
    return max(needed, _COPY_BYTES * image.width * image.height)


def _tiff_chunk_bytes(image: Image.Image, tags: Mapping[int, Any]) -> int:
    """Bytes of one strip or tile, which libtiff decodes in one piece."""
    sample_bytes = 4 if image.mode in ("I", "F") else 2
    columns = tags.get(_TILE_WIDTH, image.width)
    rows = tags.get(_TILE_LENGTH) or min(tags.get(_ROWS_PER_STRIP, image.height), image.height)
    return int(columns) * int(rows) * len(image.getbands()) * sample_bytes


def _what_is_left_out(image: Image.Image) -> list[str]:
    """Notes on what else the file holds."""
    if not getattr(image, "is_animated", False):
        return []
    image.seek(0)
    count = getattr(image, "n_frames", 0)
    what = "picture" if image.format in ("MPO", "TIFF", "HEIF") else "frame"
    return [f"first of its {count} {what}s taken"]


def _orientation(image: Image.Image, notes: list[str]) -> int:
    """EXIF orientation 1..8; 1 where there is none or it cannot be read, which never costs the pixels."""
    if image.format == "TIFF":
        return 1  # Pillow's TIFF reader turns the pixels while it loads
    try:
        value = image.getexif().get(ExifTags.Base.Orientation, 1)
    except _BROKEN:
        notes.append("its EXIF data is broken and was ignored")
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _turn(pixels: npt.NDArray[np.uint8], orientation: int) -> npt.NDArray[np.uint8]:
    """``pixels`` (H, W, 3) as EXIF ``orientation`` 1..8 means them to be seen, contiguous."""
    turned = {
        1: lambda p: p,
        2: lambda p: p[:, ::-1],
        3: lambda p: p[::-1, ::-1],
        4: lambda p: p[::-1],
        5: lambda p: p.swapaxes(0, 1),
        6: lambda p: p.swapaxes(0, 1)[:, ::-1],
        7: lambda p: p.swapaxes(0, 1)[::-1, ::-1],
        8: lambda p: p.swapaxes(0, 1)[::-1],
    }[orientation](pixels)
    return np.ascontiguousarray(turned)
