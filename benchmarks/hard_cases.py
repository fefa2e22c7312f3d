"""What interpolators find hard, drawn by code so that the frame halfway is known: a sheet to look at.

    python benchmarks/hard_cases.py OUT.png [--use flow rife] [--side 320]

A row for each case: both frames laid over each other, the true frame halfway, and what each interpolator that is ready
draws there, with its PSNR over RGB in dB. OUT's ending says the format; WebP is kept below 200 kB. Pictures are drawn,
and their PSNR taken, at ``--side`` pixels; on the sheet stand their middle halves, pixel for pixel.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from interpolators import mix, opened, ready
from PIL import Image, ImageDraw, ImageFont
from scores import psnr

from framedaemon import ClipSpec, Cut, Frame, Gap

HALF = Fraction(1, 2)
FINE = 4
"""Everything is drawn this many times as large and made smaller: edges are smooth, and halves of pixels count."""
MOST_BYTES = 200_000
"""Of a picture for the documentation."""
MARGIN, LABEL = 6, 20


class Case(NamedTuple):
    name: str
    draw: Callable[[int, float], Frame]
    """(side, time 0..1) → (side, side, 3) uint8."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--use", nargs="*")
    parser.add_argument("--side", type=int, default=320)
    arguments = parser.parse_args()
    methods = ready() if arguments.use is None else arguments.use
    rows, labels = [], []
    print(f"{'':20}{'blend':>10}" + "".join(f"{name:>10}" for name in methods))
    for case in CASES:
        x0, truth, x1 = (case.draw(arguments.side, time) for time in (0.0, 0.5, 1.0))
        made = [halfway(name, x0, x1) for name in methods]
        scores = [psnr(frame, truth) for frame in (mix(x0, x1, 0.5), *made)]
        print(f"{case.name:20}" + "".join(f"{score:10.2f}" for score in scores), flush=True)
        rows.append([mix(x0, x1, 0.5), truth, *made])
        told = [f"{name} {score:.1f} dB" for name, score in zip(methods, scores[1:], strict=True)]
        labels.append([f"{case.name}: both frames", "the truth halfway", *told])
    save(sheet(rows, labels), arguments.out)


def halfway(name: str, x0: Frame, x1: Frame) -> Frame:
    """What the interpolator draws; the earlier frame where it says that nothing can be drawn."""
    with opened(name, ClipSpec(x0.shape[1], x0.shape[0], 2, Fraction(25))) as fill:
        (answer,) = fill([Gap(x0, x1, (HALF,))])
    return x0 if isinstance(answer, Cut) else answer[0]


def draw_fence(side: int, time: float) -> Frame:
    """Slats that stand, a picture that passes behind them."""
    frame = behind(side, 90 + 26 * time, 60)
    for x in range(10, side, 28):
        cv2.rectangle(frame, box(x, -9, x + 9, side + 9), (62, 44, 30), -1)
    cv2.rectangle(frame, box(-9, side * 0.3, side + 9, side * 0.3 + 8), (82, 58, 40), -1)
    return shrink(frame)


def draw_lines(side: int, time: float) -> Frame:
    """Spokes of two pixels that turn by 9 degrees, finer towards the rim."""
    frame = behind(side, 60, 80)
    middle = side / 2
    for angle in np.deg2rad(np.arange(0, 360, 20) + 9 * time):
        tip = middle + 0.46 * side * np.cos(angle), middle + 0.46 * side * np.sin(angle)
        cv2.line(frame, at(middle, middle), at(*tip), (245, 240, 225), round(1.6 * FINE), cv2.LINE_AA)
    cv2.circle(frame, at(middle, middle), round(0.46 * side * FINE), (245, 240, 225), 2 * FINE, cv2.LINE_AA)
    return shrink(frame)


def draw_leap(side: int, time: float) -> Frame:
    """A ball that is thrown: 72 pixels between two frames, more than its own width."""
    frame = behind(side, 100, 40)
    x, y = side * 0.5 - 36 + 72 * time, side * 0.54 - 60 * time * (1 - time)
    cv2.circle(frame, at(x, y), 27 * FINE, (214, 66, 44), -1, cv2.LINE_AA)
    cv2.circle(frame, at(x - 8, y - 8), 9 * FINE, (246, 190, 170), -1, cv2.LINE_AA)
    return shrink(frame)


def draw_whip(side: int, time: float) -> Frame:
    """The whole picture passes by 64 pixels."""
    return shrink(behind(side, 40 + 64 * time, 70))


def draw_pane(side: int, time: float) -> Frame:
    """A tinted pane that slides to the right over a picture that slides to the left."""
    frame = behind(side, 70 + 18 * time, 30)
    pane = frame.copy()
    x = side * 0.26 + 24 * time
    cv2.rectangle(pane, box(x, side * 0.22, x + side * 0.42, side * 0.78), (120, 190, 235), -1)
    for stripe in range(4):
        left = x + side * (0.04 + 0.1 * stripe)
        cv2.rectangle(pane, box(left, side * 0.22, left + side * 0.03, side * 0.78), (235, 245, 250), -1)
    return shrink(cv2.addWeighted(frame, 0.5, pane, 0.5, 0))


def draw_smoke(side: int, time: float) -> Frame:
    """Two veils that drift through each other before a picture that stands."""
    frame = shrink(behind(side, 80, 50)).astype(np.float32)
    for seed, dx, dy, tone in ((5, 20, -14, 250), (6, -16, -22, 215)):
        veil = clouds(seed, 2 * side, octaves=6)
        move = np.array([[1.0, 0, 30 - dx * time], [0, 1.0, 40 - dy * time]])
        thick = cv2.warpAffine(veil, move, (side, side), flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP)
        cover = np.clip(thick * 1.6 - 0.55, 0, 0.75)[..., None]
        frame = frame * (1 - cover) + tone * cover
    return np.rint(frame).clip(0, 255).astype(np.uint8)


def draw_bricks(side: int, time: float) -> Frame:
    """A wall of equal bricks that passes by 14 pixels, a brick being 36 long: which one became which?"""
    frame = np.full((side * FINE, side * FINE, 3), (206, 198, 184), np.uint8)
    for row, y in enumerate(range(-16, side + 16, 16)):
        for x in range(-96, side + 96, 36):
            left = x + 18 * (row % 2) + 14 * time
            cv2.rectangle(frame, box(left, y, left + 33, y + 13), (158, 74, 54), -1)
    return shrink(frame)


def draw_credits(side: int, time: float) -> Frame:
    """White words that rise by 10 pixels over a picture that stands."""
    frame = shrink(behind(side, 30, 90))
    page = Image.fromarray(np.asarray(cv2.resize(frame // 2, (side * FINE, side * FINE)), np.uint8))
    pen, font = ImageDraw.Draw(page), ImageFont.load_default(15 * FINE)
    for index in range(-1, side // 24 + 2):
        words = WORDS[index % len(WORDS)]
        pen.text((side * FINE / 2, (24 * index - 10 * time) * FINE), words, (255, 255, 255), font, anchor="ma")
    return shrink(np.array(page))


def draw_stripes(side: int, time: float) -> Frame:
    """A ball that rolls before upright stripes."""
    frame = np.full((side * FINE, side * FINE, 3), 238, np.uint8)
    for x in range(0, side, 16):
        cv2.rectangle(frame, box(x, -9, x + 8, side + 9), (44, 62, 92), -1)
    x, y, angle = side * 0.5 - 13 + 26 * time, side * 0.5, np.deg2rad(50 * time)
    cv2.circle(frame, at(x, y), 40 * FINE, (240, 176, 40), -1, cv2.LINE_AA)
    for spot in range(3):
        turned = angle + spot * 2 * np.pi / 3
        cv2.circle(
            frame, at(x + 20 * np.cos(turned), y + 20 * np.sin(turned)), 9 * FINE, (150, 60, 20), -1, cv2.LINE_AA
        )
    return shrink(frame)


WORDS = ("a film by nobody", "drawn in between", "with a little help", "from two frames", "and no budget", "the end")

CASES = (
    Case("fence", draw_fence),
    Case("thin lines", draw_lines),
    Case("thrown ball", draw_leap),
    Case("whip pan", draw_whip),
    Case("glass pane", draw_pane),
    Case("smoke", draw_smoke),
    Case("brick wall", draw_bricks),
    Case("credits", draw_credits),
    Case("ball, stripes", draw_stripes),
)


def behind(side: int, x: float, y: float) -> Frame:
    """A landscape of blobs and fine grain, seen from (x, y); FINE times as large."""
    whole = landscape(side)
    move = np.array([[1.0 / FINE, 0, x], [0, 1.0 / FINE, y]])
    size = side * FINE, side * FINE
    return np.asarray(cv2.warpAffine(whole, move, size, flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP), np.uint8)


@lru_cache(maxsize=1)
def landscape(side: int) -> Frame:
    """(2 side, 2 side, 3): green, blue and ochre fields with edges between them."""
    wide = 2 * side
    field, grain = clouds(1, wide, octaves=4), clouds(2, wide, octaves=7)
    colours = np.array([(38, 70, 83), (42, 157, 143), (138, 177, 125), (233, 196, 106), (244, 162, 97)], np.float32)
    place = np.clip((field - 0.2) / 0.6, 0, 0.999) * len(colours)
    picture = colours[place.astype(int)]
    return np.clip(picture + 90 * (grain[..., None] - 0.5), 0, 255).astype(np.uint8)


@lru_cache(maxsize=8)
def clouds(seed: int, side: int, octaves: int) -> np.ndarray:
    """(side, side) float32, 0..1: noise of ``octaves`` sizes, each half of the one before."""
    rng = np.random.default_rng(seed)
    total = np.zeros((side, side), np.float32)
    for octave in range(octaves):
        coarse = rng.uniform(-1, 1, (5 * 2**octave, 5 * 2**octave)).astype(np.float32)
        total += cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC) / 1.7**octave
    low, high = np.percentile(total, [0.5, 99.5])
    return np.clip((total - low) / (high - low), 0, 1)


def at(x: float, y: float) -> tuple[int, int]:
    return round(x * FINE), round(y * FINE)


def box(left: float, top: float, right: float, bottom: float) -> tuple[int, int, int, int]:
    """OpenCV's (x, y, width, height) of a rectangle between these edges."""
    (x0, y0), (x1, y1) = at(left, top), at(right, bottom)
    return x0, y0, x1 - x0, y1 - y0


def shrink(frame: Frame) -> Frame:
    height, width = frame.shape[0] // FINE, frame.shape[1] // FINE
    return np.asarray(cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def sheet(rows: list[list[Frame]], labels: list[list[str]]) -> Image.Image:
    """The pictures' middle halves in a grid, each under its label."""
    side = rows[0][0].shape[0] // 2
    step = side + MARGIN
    page = Image.new("RGB", (MARGIN + step * len(rows[0]), MARGIN + (step + LABEL) * len(rows)), (255, 255, 255))
    pen, font = ImageDraw.Draw(page), ImageFont.load_default(11)
    for row, (frames, words) in enumerate(zip(rows, labels, strict=True)):
        for column, (frame, text) in enumerate(zip(frames, words, strict=True)):
            x, y = MARGIN + column * step, MARGIN + row * (step + LABEL)
            pen.text((x, y + 2), text, (20, 20, 20), font)
            inner = frame[side // 2 : side // 2 + side, side // 2 : side // 2 + side]
            page.paste(Image.fromarray(np.ascontiguousarray(inner)), (x, y + LABEL))
    return page


def save(page: Image.Image, out: Path) -> None:
    """In the format of its ending; WebP at the best quality that fits into MOST_BYTES."""
    if out.suffix != ".webp":
        page.save(out)
        return
    for quality in range(95, 20, -5):
        page.save(out, quality=quality, method=6)
        if out.stat().st_size < MOST_BYTES:
            return


if __name__ == "__main__":
    main()
