"""Which format a file has, told by its first bytes: what is read, and the name of what is not.

Only the rows of kind ``picture`` and ``footage`` are ever handed to a decoder, each with its reader named, so
that no decoder gets to guess. The other rows exist to tell a person what they dropped.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

HEAD_BYTES = 4096
"""How much of a file `identify` needs."""

_PHOTO = "Export it as JPEG or PNG and drop that."
_NOT_A_PICTURE = "Drop a picture or a video."
_SOUND = "It has sound only. Drop a picture or a video."
_VIDEO = "Convert it to MP4 or MKV and drop that."


@dataclass(frozen=True, slots=True)
class Format:
    """A kind of file."""

    label: str
    """For people, with its article: ``a JPEG picture``."""
    kind: Literal["picture", "footage", "other"]
    reader: str = ""
    """Pillow's name of a picture's format, PyAV's of a video's."""
    advice: str = ""
    """What to do about one that is not read."""


HEIF = Format("a HEIC picture", "picture", "HEIF")

_SIGNATURES: tuple[tuple[bytes, Format], ...] = (
    (rb"\xff\xd8\xff", Format("a JPEG picture", "picture", "JPEG")),
    (rb"\x89PNG\r\n\x1a\n", Format("a PNG picture", "picture", "PNG")),
    (rb"RIFF....WEBP", Format("a WebP picture", "picture", "WEBP")),
    (rb"GIF8[79]a", Format("a GIF picture", "picture", "GIF")),
    (rb"BM....\0\0\0\0", Format("a BMP picture", "picture", "BMP")),
    (rb"(II\*\0|MM\0\*)........CR", Format("a Canon raw picture", "other", advice=_PHOTO)),
    (rb"II\*\0....CR", Format("a Canon raw picture", "other", advice=_PHOTO)),
    (rb"II\*\0|MM\0\*|II\+\0|MM\0\+", Format("a TIFF picture", "picture", "TIFF")),
    (rb"\0\0\0\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51", Format("a JPEG 2000 picture", "picture", "JPEG2000")),
    (rb"P[1-6][\s#]", Format("a PNM picture", "picture", "PPM")),
    (rb"....ftyp(avif|avis)", Format("an AVIF picture", "picture", "AVIF")),
    (rb"....ftyp(heic|heix|heim|heis|hevc|hevx)", HEIF),
    (rb"....ftypcrx ", Format("a Canon raw picture", "other", advice=_PHOTO)),
    (rb"....ftyp(M4A |M4B |M4P )", Format("an M4A sound file", "other", advice=_SOUND)),
    (rb"....(ftyp|moov|mdat|wide|free|skip|pnot)", Format("an MP4 or QuickTime video", "footage", "mov")),
    (rb"\x1a\x45\xdf\xa3", Format("a Matroska or WebM video", "footage", "matroska")),
    (rb"RIFF....AVI ", Format("an AVI video", "footage", "avi")),
    (rb"\x47(.{187}\x47){4}|....\x47(.{191}\x47){4}", Format("an MPEG transport stream", "footage", "mpegts")),
    (rb"8BPS", Format("a Photoshop document", "other", advice=_PHOTO)),
    (rb"gimp xcf", Format("a GIMP document", "other", advice=_PHOTO)),
    (rb"\0\0[\x01\x02]\0[^\0]\0", Format("a Windows icon or cursor", "other", advice=_NOT_A_PICTURE)),
    (rb"\xff\x0a|\0\0\0\x0cJXL \r\n\x87\n", Format("a JPEG XL picture", "other", advice=_PHOTO)),
    (rb"FUJIFILMCCD-RAW|IIR[OS]|IIU\0|FOVb", Format("a camera's raw picture", "other", advice=_PHOTO)),
    (rb"\x76\x2f\x31\x01", Format("an OpenEXR picture", "other", advice=_PHOTO)),
    (rb"#\?RADIANCE|#\?RGBE", Format("a Radiance HDR picture", "other", advice=_PHOTO)),
    (rb"DDS ", Format("a DirectDraw surface", "other", advice=_PHOTO)),
    (rb"qoif", Format("a QOI picture", "other", advice=_PHOTO)),
    (rb"%PDF-", Format("a PDF document", "other", advice=_PHOTO)),
    (rb"%!PS|\xc5\xd0\xd3\xc6", Format("a PostScript document", "other", advice=_PHOTO)),
    (rb"(\xef\xbb\xbf)?\s*(<\?xml.*?|<!--.*?)?<svg", Format("an SVG drawing", "other", advice=_PHOTO)),
    (rb"\x00\x00\x01[\xba\xb3]", Format("an MPEG-1 or MPEG-2 video", "other", advice=_VIDEO)),
    (rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11", Format("a Windows Media file", "other", advice=_VIDEO)),
    (rb"FLV\x01", Format("a Flash video", "other", advice=_VIDEO)),
    (rb"OggS", Format("an Ogg file", "other", advice=_VIDEO)),
    (rb"RIFF....WAVE|fLaC|ID3|\xff[\xfb\xf3\xf2\xf1\xf9]", Format("a sound file", "other", advice=_SOUND)),
    (rb"(\xef\xbb\xbf)?(#EXTM3U|ffconcat)", Format("a playlist", "other", advice="Drop the videos it names.")),
    (rb"(?i)\s*<(!doctype )?html", Format("a web page", "other", advice="Save the picture itself and drop that.")),
    (rb"PK\x03\x04", Format("a ZIP archive or an office document", "other", advice="Unpack it and drop the pictures.")),
    (
        rb"Rar!|7z\xbc\xaf|\x1f\x8b|BZh|\xfd7zXZ",
        Format("an archive", "other", advice="Unpack it and drop the pictures."),
    ),
    (rb"\x7fELF|MZ", Format("a program", "other", advice=_NOT_A_PICTURE)),
    (rb"\0{64}", Format("filled with zeros", "other", advice="The copy may have failed: drop it again.")),
)
_PATTERNS = tuple((re.compile(pattern, re.DOTALL), found) for pattern, found in _SIGNATURES)
_TEXT = Format("a text file", "other", advice=_NOT_A_PICTURE)
_UNKNOWN = Format("in a format that framedaemon does not know", "other")


def identify(head: bytes) -> Format:
    """The format of a file that begins with ``head``, its first `HEAD_BYTES` or all of it."""
    if head[4:8] == b"ftyp" and (found := _still_brand(head)):
        return found
    for pattern, found in _PATTERNS:
        if pattern.match(head):
            return found
    return _TEXT if _is_text(head) else _UNKNOWN


def _still_brand(head: bytes) -> Format | None:
    """AVIF and HEIC by their compatible brands, where the major one only says "picture" (mif1) or "sequence" (msf1)."""
    if head[8:12] not in (b"mif1", b"msf1"):
        return None
    brands = head[16 : min(int.from_bytes(head[:4], "big"), len(head))]
    return Format("an AVIF picture", "picture", "AVIF") if b"avif" in brands else HEIF


def _is_text(head: bytes) -> bool:
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 4:  # a character may be cut in half at the end of what was read
            return False
        text = head[: error.start].decode("utf-8")
    return all(character.isprintable() or character.isspace() for character in text)
