"""The recipe inside the file: ffmpeg's metadata where a container has it, written in by hand where not.

The comment reaches ffmpeg in a file, not on the command line: it may be longer than one argument can be, and
everybody on the machine can read command lines.
"""

from __future__ import annotations

import re
import struct
from pathlib import Path
from xml.sax.saxutils import escape

from framedaemon import StageFailed


def ffmetadata(comment: str) -> str:
    """``comment`` in ffmpeg's metadata format, everything in it meant literally."""
    literal = re.sub(r"([=;#\\\n])", r"\\\1", comment.replace("\0", ""))
    return f";FFMETADATA1\ncomment={literal}\n"


def comment_gif(path: Path, comment: str) -> None:
    """Put ``comment`` into the finished gif at ``path`` as its comment extension, before the trailer.

    Raises StageFailed when it is no gif.
    """
    text = comment.encode("utf-8", "replace")
    blocks = b"".join(bytes([len(part)]) + part for part in _parts(text, 255))
    with path.open("r+b") as file:
        file.seek(-1, 2)
        if file.read(1) != b"\x3b":
            raise StageFailed(f"{path.name} does not end as a gif does")
        file.seek(-1, 2)
        file.write(b"\x21\xfe" + blocks + b"\0\x3b")


def comment_webp(path: Path, comment: str) -> None:
    """Put ``comment`` into the finished animated webp at ``path`` as the description of its XMP.

    Raises StageFailed when it is none.
    """
    xmp = (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:description><rdf:Alt>'
        f'<rdf:li xml:lang="x-default">{escape(comment)}</rdf:li>'
        "</rdf:Alt></dc:description></rdf:Description></rdf:RDF></x:xmpmeta>"
    ).encode("utf-8", "replace")
    with path.open("r+b") as file:
        head = file.read(21)
        if head[:4] != b"RIFF" or head[8:16] != b"WEBPVP8X":
            raise StageFailed(f"{path.name} does not begin as an animated webp does")
        file.seek(20)
        file.write(bytes([head[20] | 0x04]))  # the flag for XMP
        file.seek(0, 2)
        file.write(b"XMP " + struct.pack("<I", len(xmp)) + xmp + b"\0" * (len(xmp) % 2))
        size = file.tell() - 8
        file.seek(4)
        file.write(struct.pack("<I", size))


def _parts(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]
