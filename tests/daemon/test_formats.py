from __future__ import annotations

import pytest

from framedaemon.formats import identify


@pytest.mark.parametrize(
    ("head", "kind", "words"),
    [
        (b"\xff\xd8\xff\xe0", "picture", "JPEG"),
        (b"\x89PNG\r\n\x1a\n", "picture", "PNG"),
        (b"\0\0\0\x18ftypavif", "picture", "AVIF"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1avif", "picture", "AVIF"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", "picture", "HEIC"),
        (b"\0\0\0\x18ftypheic", "picture", "HEIC"),
        (b"\0\0\0\x18ftypisom", "footage", "MP4"),
        (b"\0\0\0\x14ftypqt  ", "footage", "QuickTime"),
        (b"\x1aE\xdf\xa3", "footage", "WebM"),
        (b"RIFF\x10\0\0\0AVI LIST", "footage", "AVI"),
        (b"8BPS\0\x01", "other", "Photoshop"),
        (b"\0\0\x01\0\x05\0", "other", "icon"),
        (b"%PDF-1.7", "other", "PDF"),
        (b'<?xml version="1.0"?>\n<svg xmlns="', "other", "SVG"),
        (b"<!DOCTYPE html><html>", "other", "web page"),
        (b"#EXTM3U\n#EXT-X-VERSION", "other", "playlist"),
        (b"ffconcat version 1.0\n", "other", "playlist"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "other", "JPEG XL"),
        (b"\0\0\0\x18ftypcrx ", "other", "raw"),
        (b"II*\0\x10\0\0\0CR\x02\0", "other", "Canon raw"),
        (b"\0\0\0\x18ftypM4A ", "other", "sound"),
        (b"\0" * 4096, "other", "zeros"),
        ("Grüße an alle\n".encode(), "other", "text"),
        (("ä" * 3000).encode()[:4095], "other", "text"),
        (bytes(range(7, 200)), "other", "does not know"),
    ],
)
def test_the_first_bytes_tell_the_format(head: bytes, kind: str, words: str) -> None:
    found = identify(head)

    assert found.kind == kind
    assert words in found.label
