"""What fuzzing starts from: small, valid files of every format that is read, made here by Pillow and PyAV."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageCms, PngImagePlugin

from made_clips import make_video

_SIDE = (24, 18)

_TABLES = ("[generate]\n", "[interpolate]\n", "[encode]\n", "[[job]]\n", "[job.encode]\n", "[defaults]\n")
_KEYS = (
    *("priority", "use", "prompt", "seed", "frames", "fps", "width", "height", "factor", "loop", "codec", "container"),
    *("speed", "dedupe"),
    *("crf", "depth", "preset", "chroma", "hardware", "threads", "move", "amount", "focus", "easing", "sound"),
)
_VALUES = (
    *('"auto"', '"none"', '"camera"', '"flow"', '"h264"', "-1", "0", "1000001", "9223372036854775808", "1e308", "nan"),
    *('"1/0"', '"1e9"', "true", "[]", "{}", "[[1]]", "1979-05-27", '"\\u0000"', '"\\u202e"', "'''", '"""'),
)
WORDS = tuple(
    word.encode() for word in (*_TABLES, *(f"{key} = " for key in _KEYS), *(f"{value}\n" for value in _VALUES))
)
"""What sidecars are made of."""


def pictures() -> Iterator[bytes]:
    """One picture for each format and for each way of storing pixels that has code of its own."""
    colour = Image.effect_noise(_SIDE, 60).convert("RGB")
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    exif[ExifTags.Base.Software] = "a camera"
    notes = PngImagePlugin.PngInfo()
    notes.add_text("Comment", "text " * 20, zip=True)
    notes.add_itxt("Title", "text", zip=True)
    yield _saved(colour, "JPEG", exif=exif, icc_profile=profile)
    yield _saved(colour, "JPEG", progressive=True, quality=30)
    yield _saved(colour.convert("CMYK"), "JPEG")
    yield _saved(colour, "MPO", save_all=True, append_images=[colour])
    yield _saved(colour, "PNG", pnginfo=notes, icc_profile=profile, exif=exif)
    yield _saved(colour.convert("P"), "PNG", transparency=3)
    yield _saved(Image.fromarray(np.arange(432, dtype=np.uint16).reshape(18, 24) * 150), "PNG")
    yield _saved(colour, "PNG", save_all=True, append_images=[colour.rotate(90)], default_image=True)
    yield _saved(colour.convert("P"), "GIF", save_all=True, append_images=[colour.rotate(90).convert("P")])
    yield _saved(colour.convert("RGBA"), "WEBP", lossless=True, exif=exif)
    yield _saved(colour, "WEBP", save_all=True, append_images=[colour.rotate(90)], icc_profile=profile)
    yield _saved(colour, "BMP")
    yield _saved(colour.convert("1"), "BMP")
    for compression in ("raw", "tiff_lzw", "tiff_adobe_deflate", "jpeg", "packbits"):
        yield _saved(colour, "TIFF", compression=compression, exif=exif)
    yield _saved(colour.convert("1"), "TIFF", compression="group4")
    yield _saved(colour.convert("F"), "TIFF")
    yield _saved(colour, "TIFF", save_all=True, append_images=[colour], big_tiff=True)
    yield _saved(colour.convert("RGBA"), "JPEG2000")
    yield _saved(colour, "PPM")
    yield b"P3\n17 16\n255\n" + b"12 200 7 " * 272
    yield _saved(colour.convert("RGBA"), "AVIF", exif=exif, icc_profile=profile, speed=10)
    yield from _heif(colour)


def footage() -> Iterator[bytes]:
    """A video for each container, and for each codec that is counted by its packets or decoded whole."""
    fast = {"qp": "30", "bf": "1", "preset": "ultrafast"}
    plain = {"g": "3"}
    kinds: tuple[tuple[str, str, dict[str, str], dict[str, str]], ...] = (
        ("x.mp4", "libx264", fast, {}),
        ("x.mp4", "libx264", fast, {"movflags": "frag_keyframe+empty_moov"}),
        ("x.mov", "mpeg4", plain, {}),
        ("x.mkv", "libx264", fast, {}),
        ("x.webm", "libvpx-vp9", {"deadline": "realtime"}, {}),
        ("x.webm", "libvpx", {"deadline": "realtime"}, {}),
        ("x.avi", "mpeg4", {"bf": "1"}, {}),
        ("x.avi", "mjpeg", plain, {}),
        ("x.ts", "mpeg2video", plain, {}),
        ("x.mov", "qtrle", plain, {}),
        ("x.mov", "prores_ks", plain, {}),
        ("x.mkv", "ffv1", plain, {}),
    )
    pixels = {"mjpeg": "yuvj420p", "qtrle": "rgb24", "prores_ks": "yuv422p10le"}
    with tempfile.TemporaryDirectory() as folder:
        for number, (name, codec, options, container) in enumerate(kinds):
            path = Path(folder) / f"{number}-{name}"
            make_video(
                path, 4, size=(32, 16), codec=codec, pixels=pixels.get(codec, "yuv420p"), options=options,
                container_options=container, sound=number == 0,
            )  # fmt: skip
            yield path.read_bytes()


def recipes() -> Iterator[bytes]:
    """Sidecars that say a little of everything."""
    yield b'priority = 3\n[generate]\nuse = "camera"\nmove = "zoom-in"\nseed = 7\nframes = 24\nfps = 8\nwidth = 64\n'
    yield b'[interpolate]\nuse = "flow"\nfactor = "5/2"\nloop = true\n[encode]\ncrf = 20\ncodec = "hevc"\n'
    yield b'[interpolate]\nfps = "24000/1001"\n[encode]\ncontainer = "mkv"\nthreads = 1\n'
    yield b'[[job]]\ngenerate.seed = 1\n[[job]]\n[job.encode]\ncodec = "gif"\n[[job]]\n[job.interpolate]\nuse="none"\n'
    yield '\ufeff[generate]\r\nuse = "auto"\r\n'.encode()
    yield '[encode]\ncodec = "av1"\n'.encode("utf-16")
    yield b'a = {b = [1, 2.5, -0.0, 1e9, "\\u00e9", true], c.d."e f" = """\nx"""}\n'
    yield b"[t.u]\n[[t.v]]\nd = 1979-05-27T07:32:00Z\n"


def names() -> Iterator[bytes]:
    """Names that did harm somewhere."""
    yield from (
        b"photo.jpg",
        b"pets/cat.png",
        b"-i.png",
        b"%d.png",
        b"concat:a|b",
        b"file:x.png",
        b"a\nb.png",
        b"\x1b[2J.png",
    )
    yield from (
        b"CON.png",
        b"aux",
        b"logs/x.png",
        b"x.error.txt",
        b"x.toml.toml",
        b"defaults.toml.png",
        b"..png",
        b"...",
    )
    yield from (
        "\u202egnp.exe".encode(),
        "e\u0301.png".encode(),
        "\u00e9.png".encode(),
        b"\xff\xfe.png",
        b"a" * 251 + b".png",
    )
    yield from (
        "\U0001f469\u200d\U0001f680.jpg".encode(),
        "\ufb03 \u2126.png".encode(),
        b" x .png ",
        b"$(id).png",
        b"[red]x[/red].png",
    )


def _saved(image: Image.Image, form: str, **options: object) -> bytes:
    with io.BytesIO() as file:
        image.save(file, form, **options)  # type: ignore[arg-type]
        return file.getvalue()


def _heif(image: Image.Image) -> Iterator[bytes]:
    """A HEIC picture, where the extra is installed that reads them."""
    try:
        import pillow_heif
    except ImportError:
        return
    with io.BytesIO() as file:
        pillow_heif.from_pillow(image).save(file)
        yield file.getvalue()
