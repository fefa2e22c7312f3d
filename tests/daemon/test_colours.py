from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageCms

from framedaemon.colours import to_srgb

BLACK = (0, 0, 0)


def converted(image: Image.Image, background: tuple[int, int, int] = BLACK) -> tuple[npt.NDArray[np.uint8], list[str]]:
    notes: list[str] = []
    return to_srgb(image, background, notes), notes


def through(image: Image.Image, form: str, **options: object) -> Image.Image:
    """``image`` saved and loaded."""
    file = io.BytesIO()
    image.save(file, form, **options)
    loaded = Image.open(file)
    loaded.load()
    return loaded


def profile(space: str) -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile(space)).tobytes()


def swapped_profile() -> bytes:
    """sRGB whose red and green primaries have changed places."""
    body = bytearray(profile("sRGB"))
    red, green = body.index(b"rXYZ", 128), body.index(b"gXYZ", 128)
    body[red : red + 4], body[green : green + 4] = b"gXYZ", b"rXYZ"
    return bytes(body)


def test_grey_becomes_rgb() -> None:
    pixels, notes = converted(Image.new("L", (20, 20), 77))

    assert (pixels == 77).all()
    assert notes == []


def test_one_bit_becomes_black_and_white() -> None:
    image = Image.new("1", (20, 20), 0)
    image.paste(1, (0, 0, 10, 20))

    pixels, _ = converted(image)

    assert (pixels[:, :10] == 255).all()
    assert (pixels[:, 10:] == 0).all()


def test_sixteen_bit_grey_is_scaled_not_clipped() -> None:
    ramp = np.linspace(0, 65535, 256).round().astype(np.uint16)[None].repeat(16, 0)

    pixels, notes = converted(through(Image.fromarray(ramp), "PNG"))

    assert np.array_equal(pixels[0, :, 0], np.arange(256))
    assert "reduced to 8 bits" in notes


def test_sixteen_bit_grey_whose_zero_is_white_is_turned_round() -> None:
    ramp = np.linspace(0, 65535, 256).round().astype(np.uint16)[None].repeat(16, 0)

    pixels, _ = converted(through(Image.fromarray(ramp), "TIFF", tiffinfo={262: 0}))

    assert np.array_equal(pixels[0, :, 0], np.arange(256)[::-1])


def test_floats_from_nought_to_one_fill_the_range_and_nan_is_black() -> None:
    ramp = np.linspace(0, 1, 256, dtype=np.float32)[None].repeat(16, 0)
    ramp[3, 200] = np.nan

    pixels, _ = converted(through(Image.fromarray(ramp), "TIFF"))

    assert np.array_equal(pixels[0, :, 0], np.arange(256))
    assert pixels[3, 200, 0] == 0


def test_whole_numbers_beyond_sixteen_bits_are_stretched_and_it_is_said() -> None:
    ramp = np.linspace(-1e6, 1e6, 256).round().astype(np.int32)[None].repeat(16, 0)

    pixels, notes = converted(Image.fromarray(ramp))

    assert (pixels[0, 0, 0], pixels[0, -1, 0]) == (0, 255)
    assert any("stretched" in note for note in notes)


def test_alpha_is_laid_over_the_background_and_hidden_colours_stay_hidden() -> None:
    rgba = np.zeros((16, 16, 4), np.uint8)
    rgba[:, :8] = (255, 0, 255, 0)  # invisible magenta
    rgba[:, 8:] = (200, 100, 0, 128)

    pixels, notes = converted(Image.fromarray(rgba), (10, 20, 30))

    assert (pixels[:, :8] == (10, 20, 30)).all()
    assert np.abs(pixels[0, 8].astype(int) - (105, 60, 15)).max() <= 1
    assert notes == ["transparent parts laid over rgb(10, 20, 30)"]


def test_alpha_that_hides_nothing_is_not_worth_a_word() -> None:
    _, notes = converted(Image.new("RGBA", (16, 16), (1, 2, 3, 255)))

    assert notes == []


def test_premultiplied_alpha_is_not_multiplied_again() -> None:
    image = Image.new("RGBA", (16, 16), (200, 100, 50, 128)).convert("RGBa")

    pixels, _ = converted(image)

    assert np.abs(pixels[0, 0].astype(int) - (100, 50, 25)).max() <= 2


def test_a_palettes_transparent_entry_shows_the_background() -> None:
    image = Image.new("P", (16, 16), 0)
    image.putpalette([255, 0, 0, 0, 255, 0])
    image.paste(1, (0, 0, 8, 16))

    pixels, _ = converted(through(image, "PNG", transparency=0), (0, 0, 255))

    assert (pixels[:, :8] == (0, 255, 0)).all()
    assert (pixels[:, 8:] == (0, 0, 255)).all()


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_transparent_colour_shows_the_background(mode: str) -> None:
    image = Image.new(mode, (16, 16), "white")
    image.paste("black", (0, 0, 8, 16))
    transparent = (0, 0, 0) if mode == "RGB" else 0

    pixels, _ = converted(through(image, "PNG", transparency=transparent), (0, 0, 255))

    assert (pixels[:, :8] == (0, 0, 255)).all()


def test_black_ink_on_transparent_paper_does_not_vanish() -> None:
    image = Image.new("LA", (32, 32), (0, 0))
    image.paste((0, 255), (8, 8, 24, 24))

    pixels, notes = converted(image)

    assert (pixels[16, 16] == 0).all()
    assert (pixels[0, 0] == 255).all()
    assert notes == ["transparent parts laid over rgb(255, 255, 255)"]


def test_a_picture_that_is_all_transparent_ends_somewhere() -> None:
    pixels, _ = converted(Image.new("RGBA", (32, 32), (0, 0, 0, 0)))

    assert (pixels == pixels[0, 0]).all()


def test_an_srgb_profile_leaves_the_pixels_alone() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (32, 32, 3), np.uint8)

    pixels, notes = converted(through(Image.fromarray(noise), "PNG", icc_profile=profile("sRGB")))

    assert np.array_equal(pixels, noise)
    assert notes == []


def test_another_profile_is_converted_to_srgb() -> None:
    image = through(Image.new("RGB", (16, 16), (255, 0, 0)), "PNG", icc_profile=swapped_profile())

    pixels, notes = converted(image)

    assert pixels[0, 0, 1] > 240
    assert pixels[0, 0, 0] < 20
    assert notes == ["colours converted to sRGB from its own colour profile"]


def test_a_profile_applies_to_colours_before_they_are_laid_over_the_background() -> None:
    image = Image.new("RGBA", (16, 16), (255, 0, 0, 0))
    image.paste((255, 0, 0, 255), (0, 0, 8, 16))

    pixels, _ = converted(through(image, "PNG", icc_profile=swapped_profile()), (9, 9, 9))

    assert pixels[0, 0, 1] > 240
    assert (pixels[0, 15] == 9).all()


@pytest.mark.parametrize(("icc", "words"), [(b"nonsense" * 40, "broken"), (profile("LAB"), "another kind")])
def test_a_profile_that_cannot_be_used_is_ignored_and_it_is_said(icc: bytes, words: str) -> None:
    image = Image.new("RGB", (16, 16), (10, 20, 30))
    image.info["icc_profile"] = icc

    pixels, notes = converted(image)

    assert (pixels == (10, 20, 30)).all()
    assert words in notes[0]


def test_a_cmyk_jpeg_comes_out_the_right_way_round() -> None:
    """Adobe writes CMYK inverted, and so does Pillow."""
    cyan = Image.new("CMYK", (16, 16), (255, 0, 0, 0))

    pixels, notes = converted(through(cyan, "JPEG", quality=95))

    assert pixels[8, 8, 0] < 20
    assert pixels[8, 8, 1:].min() > 235
    assert "CMYK" in notes[0]


def test_lab_is_converted() -> None:
    white = Image.merge("LAB", [Image.new("L", (16, 16), level) for level in (255, 128, 128)])

    pixels, notes = converted(white)

    assert pixels.min() > 250
    assert notes == ["colours converted to sRGB from LAB"]


def test_strips_join_without_a_seam() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (1500, 701, 3), np.uint8)

    pixels, _ = converted(Image.fromarray(noise))

    assert np.array_equal(pixels, noise)
