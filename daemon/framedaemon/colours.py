"""Any of Pillow's pixel formats and colour spaces, made into 8-bit sRGB.

Works in strips, so that a picture needs no second copy in another format: 16-bit is scaled, palettes are looked
up, ICC profiles and CMYK go through LittleCMS, alpha is laid over a background.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms

Bytes: TypeAlias = npt.NDArray[np.uint8]

_STRIP_PIXELS = 1 << 19
_VISIBLE = 8  # of 255: steps from the background that a person sees
_ALPHA_MODES = frozenset({"RGBA", "LA", "PA", "RGBa", "La"})
_DEEP_MODES = frozenset({"I", "F", "I;16", "I;16B", "I;16L", "I;16N"})
_SPACE_OF_MODE = {"RGB": "RGB ", "L": "GRAY", "CMYK": "CMYK", "LAB": "Lab "}
_BITS_PER_SAMPLE, _PHOTOMETRIC, _WHITE_IS_ZERO = 258, 262, 0


def to_srgb(image: Image.Image, background: tuple[int, int, int], notes: list[str]) -> Bytes:
    """The loaded ``image`` as (H, W, 3) uint8 sRGB, transparency laid over ``background``.

    Over its contrary where nothing could be told from ``background``: black ink on transparent paper. Appends to
    ``notes`` what was changed that a person may care about.
    """
    pixels, seen_through = _convert(image, background, notes)
    if seen_through and _vanishes(pixels, background):
        background = (255 - background[0], 255 - background[1], 255 - background[2])
        del pixels
        pixels, _ = _convert(image, background, notes)
    if seen_through:
        notes.append("transparent parts laid over rgb({}, {}, {})".format(*background))
    return pixels


def _convert(image: Image.Image, background: tuple[int, int, int], notes: list[str]) -> tuple[Bytes, bool]:
    """sRGB pixels (H, W, 3), and whether any of them is transparent."""
    deepen = _scale_deep(image, notes) if image.mode in _DEEP_MODES else None
    transparent = image.mode in _ALPHA_MODES or "transparency" in image.info
    mode = "L" if deepen else _plain_mode(image.mode)
    convert = _icc_transform(image, mode, notes)
    pixels = np.empty((image.height, image.width, 3), np.uint8)
    seen_through = False
    for top, strip in _strips(image):
        if deepen:
            strip = Image.fromarray(deepen(np.asarray(strip)))
        alpha = None
        if transparent and not deepen:
            strip = strip.convert("RGBA")
            alpha = strip.getchannel("A")
        strip = strip.convert(mode) if strip.mode != mode else strip
        strip = convert(strip) if convert else strip.convert("RGB")
        if alpha is not None and alpha.getextrema()[0] != 255:
            strip = Image.composite(strip, Image.new("RGB", strip.size, background), alpha)
            seen_through = True
        pixels[top : top + strip.height] = np.asarray(strip)
    return pixels, seen_through


def _strips(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    """The picture in full-width strips, each with its first row."""
    rows = max(1, _STRIP_PIXELS // image.width)
    for top in range(0, image.height, rows):
        yield top, image.crop((0, top, image.width, min(top + rows, image.height)))


def _vanishes(pixels: Bytes, background: tuple[int, int, int]) -> bool:
    """Whether nothing can be told from the background: black ink on transparent paper, laid over black."""
    low, high = pixels.min((0, 1)).astype(int), pixels.max((0, 1)).astype(int)
    return bool((np.abs(np.stack([low, high]) - np.asarray(background)) < _VISIBLE).all())


def _plain_mode(mode: str) -> str:
    """The mode without alpha or palette that keeps the colour space of ``mode``, so that its ICC profile fits."""
    if mode in ("1", "L", "LA", "La"):
        return "L"
    return mode if mode in ("CMYK", "LAB") else "RGB"


def _scale_deep(image: Image.Image, notes: list[str]) -> Callable[[npt.NDArray[np.generic]], Bytes]:
    """How samples of more than 8 bits become 8: scaled from their whole range, never clipped."""
    tags = getattr(image, "tag_v2", {})
    low, high = 0.0, 65535.0
    if image.mode in ("I", "F"):
        low, high = _extent(image)
        if image.mode == "F" and low >= 0 and high <= 1:
            low, high = 0.0, 1.0
        elif image.mode == "I" and low >= 0 and high <= 65535:
            low, high = 0.0, 65535.0
        else:
            notes.append(f"samples from {low:g} to {high:g} stretched to the full range")
    else:
        bits = tags.get(_BITS_PER_SAMPLE, (16,))[0]
        high = float(2 ** int(bits) - 1) if 8 < int(bits) <= 16 else 65535.0
    if tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO and image.mode.startswith("I;16"):
        low, high = high, low  # Pillow turns this round for 8 bits only
    notes.append("reduced to 8 bits")
    scale = 255.0 / (high - low) if high != low else 0.0

    def scaled(samples: npt.NDArray[np.generic]) -> Bytes:
        finite = np.nan_to_num(samples.astype(np.float64), nan=low, posinf=high, neginf=low)
        return np.clip(np.rint((finite - low) * scale), 0, 255).astype(np.uint8)

    return scaled


def _extent(image: Image.Image) -> tuple[float, float]:
    """Smallest and largest finite sample."""
    low, high = np.inf, -np.inf
    for _, strip in _strips(image):
        samples = np.asarray(strip)
        finite = samples[np.isfinite(samples)]
        if finite.size:
            low, high = min(low, float(finite.min())), max(high, float(finite.max()))
    return (low, high) if low <= high else (0.0, 1.0)


def _icc_transform(image: Image.Image, mode: str, notes: list[str]) -> Callable[[Image.Image], Image.Image] | None:
    """What brings a strip of ``mode`` into sRGB by the picture's own profile; None where RGB is sRGB already."""
    transform = _embedded_transform(image, mode, notes)
    if transform is None and mode == "LAB":
        transform = _build(ImageCms.createProfile("LAB"), mode)
    if transform is None:
        if mode == "CMYK":
            notes.append("converted from CMYK without a colour profile: colours are approximate")
        return None
    if mode in ("RGB", "L") and _changes_nothing(transform, mode):
        return None
    space = {"RGB": "its own colour profile", "L": "its own grey profile"}.get(mode, mode)
    notes.append(f"colours converted to sRGB from {space}")
    return transform.apply


def _embedded_transform(image: Image.Image, mode: str, notes: list[str]) -> ImageCms.ImageCmsTransform | None:
    """By the profile in the file; None, with a note, where there is none that can be used."""
    embedded = image.info.get("icc_profile")
    if not embedded:
        return None
    try:
        transform = _build(ImageCms.getOpenProfile(io.BytesIO(embedded)), mode)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        notes.append("its colour profile is broken and was ignored")
        return None
    if transform is None:
        notes.append("its colour profile is for another kind of picture and was ignored")
    return transform


def _build(profile: object, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Relative colorimetric with black point compensation, as picture editors do; None if it is not for ``mode``."""
    core = getattr(profile, "profile", profile)
    if getattr(core, "xcolor_space", None) != _SPACE_OF_MODE[mode]:
        return None
    return ImageCms.buildTransform(
        profile,  # type: ignore[arg-type]
        ImageCms.createProfile("sRGB"),
        mode,
        "RGB",
        ImageCms.Intent.RELATIVE_COLORIMETRIC,
        ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )


def _changes_nothing(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    """Whether the profile means sRGB: no colour of a coarse sample moves by more than one step."""
    steps = np.linspace(0, 255, 18).round().astype(np.uint8)
    if mode == "L":
        sample = steps[None]
    else:
        sample = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), -1).reshape(1, -1, 3)
    moved = np.asarray(transform.apply(Image.fromarray(sample))).astype(int)
    before = sample[..., None] if mode == "L" else sample
    return bool(np.abs(moved - before.astype(int)).max() <= 1)
