from __future__ import annotations

import io
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import ExifTags, Image, ImageFile, PngImagePlugin

from framedaemon import JobRejected, Picture
from framedaemon.opening import Limits, open_source
from framedaemon.receipt import peak_memory


def read(path: Path, limits: Limits | None = None) -> Picture:
    source = open_source(path, path.name, limits or Limits())
    assert isinstance(source, Picture)
    return source


def quarters(width: int = 48, height: int = 32) -> npt.NDArray[np.uint8]:
    """Upright: red, green over blue, white."""
    picture = np.zeros((height, width, 3), np.uint8)
    picture[: height // 2, : width // 2] = (255, 0, 0)
    picture[: height // 2, width // 2 :] = (0, 255, 0)
    picture[height // 2 :, : width // 2] = (0, 0, 255)
    picture[height // 2 :, width // 2 :] = (255, 255, 255)
    return picture


STORED = {
    1: lambda p: p,
    2: lambda p: p[:, ::-1],
    3: lambda p: p[::-1, ::-1],
    4: lambda p: p[::-1],
    5: lambda p: p.swapaxes(0, 1),
    6: lambda p: p[:, ::-1].swapaxes(0, 1),
    7: lambda p: p[::-1, ::-1].swapaxes(0, 1),
    8: lambda p: p[::-1].swapaxes(0, 1),
}
"""How a camera stores an upright picture under each EXIF orientation."""


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_every_orientation_is_turned_upright(tmp_path: Path, form: str, orientation: int) -> None:
    upright = quarters()
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    path = tmp_path / "x"
    stored = Image.fromarray(np.ascontiguousarray(STORED[orientation](upright)))
    stored.save(path, form, exif=exif, quality=95, lossless=form == "WEBP")

    picture = read(path)

    assert picture.pixels.shape == upright.shape
    assert np.abs(picture.pixels[4:-4:23, 4:-4:39].astype(int) - upright[4:-4:23, 4:-4:39]).max() <= 16


def test_orientation_in_imagemagicks_raw_profile_counts(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 3
    raw = exif.tobytes()
    text = PngImagePlugin.PngInfo()
    text.add_text("Raw profile type exif", f"\nexif\n{len(raw):8d}\n{raw.hex()}\n", zip=True)
    path = tmp_path / "x.png"
    Image.fromarray(np.ascontiguousarray(quarters()[::-1, ::-1])).save(path, pnginfo=text)

    picture = read(path)

    assert np.array_equal(picture.pixels, quarters())


def test_broken_exif_never_costs_the_pixels(tmp_path: Path) -> None:
    path = tmp_path / "x.jpg"
    Image.fromarray(quarters()).save(path, exif=b"Exif\0\0II*\0\xff\xff\xff\x7f" + b"\xff" * 40)

    picture = read(path)

    assert picture.pixels.shape == (32, 48, 3)


def test_pixels_are_read_only_and_contiguous(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    Image.fromarray(quarters()).save(path)

    pixels = read(path).pixels

    assert pixels.dtype == np.uint8
    assert pixels.flags.c_contiguous
    assert not pixels.flags.writeable


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "GIF", "BMP", "JPEG2000"])
def test_a_file_cut_in_half_is_refused(tmp_path: Path, form: str) -> None:
    rng = np.random.default_rng(0)
    whole = io.BytesIO()
    Image.fromarray(rng.integers(0, 255, (64, 64, 3), np.uint8)).save(whole, form)
    path = tmp_path / "x"
    path.write_bytes(whole.getvalue()[: len(whole.getvalue()) // 2])

    with pytest.raises(JobRejected, match="Copy it again"):
        read(path)


def test_where_the_decoder_has_no_words_none_are_told(tmp_path: Path) -> None:
    """Pillow fails by a KeyError('MPO') on a JPEG of three bytes."""
    path = tmp_path / "x.jpg"
    path.write_bytes(b"\xff\xd8\xff")

    with pytest.raises(JobRejected, match=r"x\.jpg is a JPEG picture that is broken or cut short\. Copy it again"):
        read(path)


def test_a_callers_pillow_settings_are_put_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    path = tmp_path / "x.jpg"
    Image.fromarray(quarters()).save(path)
    path.write_bytes(path.read_bytes()[:-200])

    with pytest.raises(JobRejected):
        read(path)

    assert ImageFile.LOAD_TRUNCATED_IMAGES
    assert Image.MAX_IMAGE_PIXELS == 10


def test_a_bomb_is_refused_from_its_header(tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(png(60_000, 60_000))

    with pytest.raises(JobRejected, match=r"60000x60000 pixels, 3,600\.0 million: the limit is 100\.0 million"):
        read(path)


def test_a_size_whose_decoder_would_take_too_much_memory_is_refused(tmp_path: Path) -> None:
    """WebP's decoder holds 16 bytes a pixel, so its limit is below that of PNG."""
    path = tmp_path / "x.webp"
    size = struct.pack("<I", 7999)[:3] * 2
    frame = b"VP8X" + struct.pack("<I", 10) + b"\0\0\0\0" + size
    path.write_bytes(b"RIFF" + struct.pack("<I", 4 + len(frame)) + b"WEBP" + frame)

    with pytest.raises(JobRejected, match=r"GB of memory|Copy it again"):
        read(path)


def test_a_photo_whose_text_inflates_to_megabytes_is_read(tmp_path: Path) -> None:
    """Raw profiles written as text: 2.8 MB that become 6 MB, which Pillow alone refuses."""
    noise = np.random.default_rng(0).integers(0, 16, 3_000_000, np.uint8)
    text = bytes(noise + ord("a"))
    path = tmp_path / "x.png"
    path.write_bytes(png(32, 32, chunk(b"zTXt", b"Raw profile type app1\0\0" + zlib.compress(text))))

    picture = read(path)

    assert picture.width == 32


def test_text_that_inflates_a_thousandfold_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(png(32, 32, chunk(b"zTXt", b"big\0\0" + zlib.compress(b"\0" * 2_000_000))))

    with pytest.raises(JobRejected, match="Decompressed data too large"):
        read(path)


def test_too_small_a_picture_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    Image.new("RGB", (300, 15)).save(path)

    with pytest.raises(JobRejected, match="300x15 pixels: too small"):
        read(path)


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG", "TIFF", "AVIF"])
def test_of_an_animation_the_first_frame_is_taken_and_it_is_said(tmp_path: Path, form: str) -> None:
    frames = [Image.new("RGB", (32, 32), colour) for colour in ("#ff0000", "#00ff00", "#0000ff")]
    path = tmp_path / "x"
    frames[0].save(path, form, save_all=True, append_images=frames[1:])

    picture = read(path)

    assert np.abs(picture.pixels[16, 16].astype(int) - (255, 0, 0)).max() <= 4
    assert any("first of its 3" in note for note in picture.notes)


def test_a_stereo_photo_gives_its_first_picture(tmp_path: Path) -> None:
    path = tmp_path / "x.mpo"
    Image.new("RGB", (32, 32), "red").save(path, "MPO", save_all=True, append_images=[Image.new("RGB", (32, 32))])

    picture = read(path)

    assert picture.pixels[16, 16, 0] > 250
    assert "first of its 2 pictures taken" in picture.notes


def test_a_camera_raw_in_tiffs_clothes_is_not_read_as_its_thumbnail(tmp_path: Path) -> None:
    path = tmp_path / "x.dng"
    Image.fromarray(quarters()).save(path, "TIFF", tiffinfo={50706: b"\1\4\0\0"})

    with pytest.raises(JobRejected, match="raw picture"):
        read(path)


def test_heic_without_its_extra_is_refused_with_the_command_that_brings_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    path = tmp_path / "x.heic"
    path.write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0" * 100)

    with pytest.raises(JobRejected, match=r"HEIC.*pip install 'framedaemon\[heif\]'"):
        read(path)


def test_a_photo_in_heic_is_read_with_the_extra(tmp_path: Path) -> None:
    pillow_heif = pytest.importorskip("pillow_heif", reason="framedaemon[heif] is not installed")
    path = tmp_path / "x.heic"
    pillow_heif.from_pillow(Image.fromarray(quarters(64, 64))).save(path)

    picture = read(path)

    assert np.abs(picture.pixels[8, 8].astype(int) - (255, 0, 0)).max() < 40


def test_a_picture_at_the_limit_is_read_below_one_gigabyte(tmp_path: Path) -> None:
    """In a process of its own: 100 million pixels, whose peak is measured."""
    path = tmp_path / "x.png"
    path.write_bytes(png(10_000, 10_000, level=1))
    code = (
        "import resource, sys; from pathlib import Path; from framedaemon.opening import *\n"
        "picture = open_source(Path(sys.argv[1]), 'x', Limits())\n"
        "print(picture.width, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )

    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True, timeout=60
    )

    width, kilobytes = map(int, done.stdout.split())
    assert width == 10_000
    assert kilobytes * 1024 < 1e9


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, extra: bytes = b"", level: int = 6) -> bytes:
    """A PNG of zeros; of more than 100 million pixels only the header is made."""
    rows = height if width * height <= 100_000_000 else 1
    row = b"\0" * (1 + width * 3)
    packer = zlib.compressobj(level)
    body = b"".join(packer.compress(row) for _ in range(rows)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def test_a_gif_whose_first_frame_is_larger_than_its_header_says_is_not_painted(tmp_path: Path) -> None:
    """Pillow makes the canvas as large as the frame while it opens the file: 4 GB out of 5 kB."""
    path = tmp_path / "x.gif"
    Image.new("P", (24, 18)).save(path)
    data = bytearray(path.read_bytes())
    frame = data.index(b"\x2c", 13)
    data[frame + 5 : frame + 9] = struct.pack("<HH", 65000, 65000)
    path.write_bytes(data)
    before = peak_memory()["worker"]

    with pytest.raises(JobRejected, match=r"a GIF picture of more than 100\.0 million pixels, which is the limit"):
        read(path)

    assert peak_memory()["worker"] - before < 500_000_000
