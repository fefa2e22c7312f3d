"""FILM's network gives the numbers of the published one, and of the paper written down plainly."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="film needs torch")

import torch.nn.functional as nn  # noqa: E402  (behind the question whether torch is there)
from torch import Tensor  # noqa: E402

import film_plain  # noqa: E402
from framedaemon_film.halving import Times  # noqa: E402
from framedaemon_film.network import layers  # noqa: E402
from framedaemon_film.network.film import FilmNetwork  # noqa: E402
from framedaemon_film.network.fusion import Doubling  # noqa: E402
from framedaemon_film.network.warp import warp  # noqa: E402
from framedaemon_film.shapes import PUBLISHED, SHAPES  # noqa: E402

EXACT = 1e-4
"""Shares of full range by which a frame may differ; sums in another order were seen to make 3e-6 of it."""

HALF = Fraction(1, 2)


@lru_cache(maxsize=1)
def made() -> dict[str, Tensor]:
    return film_plain.make_weights({PUBLISHED[name]: shape for name, shape in SHAPES.items()})


@lru_cache(maxsize=4)
def network(times: Times = "direct", dtype: torch.dtype = torch.float32) -> FilmNetwork:
    tensors = {name: made()[published] for name, published in PUBLISHED.items()}
    return FilmNetwork(tensors, torch.device("cpu"), dtype, times)


def noise(height: int, width: int, seed: int, batch: int = 1) -> Tensor:
    """Frames with something at each size to see."""
    generator = torch.Generator().manual_seed(seed)
    sizes = [
        nn.interpolate(torch.rand((batch, 3, -(-height // by), -(-width // by)), generator=generator), (height, width))
        for by in (1, 4, 16)
    ]
    return sum(sizes[1:], sizes[0]) / 3


def draw(film: FilmNetwork, x0: Tensor, x1: Tensor, *times: Fraction) -> list[Tensor]:
    with torch.inference_mode():
        return list(film.between(film.features(x0), film.features(x1), times))


def apart(one: Tensor, other: Tensor) -> float:
    return float((one.float() - other.float()).abs().max())


def psnr(one: Tensor, other: Tensor) -> float:
    return float(-10 * torch.log10(((one.float() - other.float()) ** 2).mean()))


@pytest.fixture
def thin_strips(monkeypatch: pytest.MonkeyPatch) -> None:
    """Strips of a few rows at the finer levels, as a large frame has."""
    monkeypatch.setattr(layers, "_CPU_STRIP", 1500)


def test_frames_are_those_of_the_published_network() -> None:
    golden = np.load(Path(__file__).with_name("film_golden.npz"))
    x0, x1 = (torch.from_numpy(golden[name]).float() / 255 for name in ("x0", "x1"))

    quarter, half = draw(network(), x0, x1, Fraction(1, 4), HALF)

    assert apart(quarter, torch.from_numpy(golden["y_t025"]) / 65536.0) < EXACT
    assert apart(half, torch.from_numpy(golden["y_t050"]) / 65536.0) < EXACT


@pytest.mark.usefixtures("thin_strips")
@pytest.mark.parametrize(("height", "width", "time"), [(64, 64, HALF), (128, 192, Fraction(1, 3)), (192, 64, HALF)])
def test_frames_are_those_of_the_paper_written_down_plainly(height: int, width: int, time: Fraction) -> None:
    x0, x1 = noise(height, width, 1), noise(height, width, 2)

    (drawn,) = draw(network(), x0, x1, time)

    assert apart(drawn, film_plain.draw(made(), x0, x1, float(time))) < EXACT


def test_the_frames_tell_weights_and_times_apart() -> None:
    """Else all the comparisons here would say nothing."""
    x0, x1 = noise(64, 128, 1), noise(64, 128, 2)

    early, late = draw(network(), x0, x1, Fraction(1, 4), Fraction(3, 4))

    assert apart(early, late) > 100 * EXACT
    assert float(early.std()) > 100 * EXACT


def test_features_kept_from_the_gap_before_are_those_made_anew() -> None:
    x0, x1, x2 = (noise(64, 128, seed) for seed in (1, 2, 3))
    film = network()
    with torch.inference_mode():
        shared = film.features(x1)
        list(film.between(film.features(x0), shared, [HALF]))

        (kept,) = film.between(shared, film.features(x2), [HALF])

    (anew,) = draw(film, x1, x2, HALF)
    assert torch.equal(kept, anew)


def test_several_gaps_at_a_time_are_the_same_as_one_by_one() -> None:
    x0, x1 = noise(64, 128, 1, batch=3), noise(64, 128, 2, batch=3)

    together = draw(network(), x0, x1, Fraction(1, 4), HALF)

    alone = [draw(network(), x0[n : n + 1], x1[n : n + 1], Fraction(1, 4), HALF) for n in range(3)]
    assert apart(together[0], torch.cat([first for first, _ in alone])) < EXACT
    assert apart(together[1], torch.cat([second for _, second in alone])) < EXACT


def test_quarters_are_the_middles_of_halves() -> None:
    x0, x1 = noise(64, 64, 1), noise(64, 64, 2)
    film = network("midpoints")

    quarter, half, last = draw(film, x0, x1, Fraction(1, 4), HALF, Fraction(3, 4))

    (middle,) = draw(film, x0, x1, HALF)
    assert torch.equal(half, middle)
    assert torch.equal(quarter, draw(film, x0, middle.clamp(0, 1), HALF)[0])
    assert torch.equal(last, draw(film, middle.clamp(0, 1), x1, HALF)[0])


def test_a_fifth_is_drawn_from_the_middle_and_the_nearer_frame() -> None:
    x0, x1 = noise(64, 64, 1), noise(64, 64, 2)

    (fifth,) = draw(network("midpoints"), x0, x1, Fraction(1, 5))

    middle = draw(network(), x0, x1, HALF)[0].clamp(0, 1)
    assert torch.equal(fifth, draw(network(), x0, middle, Fraction(2, 5))[0])


@pytest.mark.parametrize(
    ("dtype", "least"),
    # Rounding alone gives 70 and 52 dB for numbers of this size; measured 81 and 61.
    [(torch.float16, 75.0), (torch.bfloat16, 55.0)],
    ids=["float16", "bfloat16"],
)
def test_half_the_bytes_give_nearly_the_same_frames(dtype: torch.dtype, least: float) -> None:
    x0, x1 = noise(64, 64, 1), noise(64, 64, 2)

    (drawn,) = draw(network(dtype=dtype), x0.to(dtype), x1.to(dtype), HALF)

    assert drawn.dtype == dtype
    assert psnr(drawn, film_plain.draw(made(), x0, x1, 0.5)) > least


def test_flow_counts_in_whole_numbers_whatever_the_dtype() -> None:
    """In float16 a place beyond 2048 has no odd neighbour: a flow of one pixel would lead to two, or to none."""
    x = torch.arange(3000, dtype=torch.float32).remainder(7).expand(1, 1, 2, 3000).to(torch.float16)
    flow = torch.zeros(1, 2, 2, 3000)
    flow[:, 0] = 1

    moved = warp(x.contiguous(memory_format=torch.channels_last), flow)

    assert torch.equal(moved[..., :-1], x[..., 1:])


@pytest.mark.parametrize("first", [0, 3])
def test_warping_is_what_grid_sample_does(first: int) -> None:
    x, rows = noise(9, 13, 5, batch=2), slice(first, first + 4)
    flow = torch.randn((2, 2, 9, 13), generator=torch.Generator().manual_seed(6)) * 5

    moved = warp(x.contiguous(memory_format=torch.channels_last), flow[:, :, rows], first)

    assert apart(moved, film_plain.warp(x, flow)[:, :, rows]) < EXACT


def test_a_flow_that_is_no_number_looks_up_nothing_outside() -> None:
    x = noise(4, 4, 5).contiguous(memory_format=torch.channels_last)
    flow = torch.full((1, 2, 4, 4), torch.nan)
    flow[..., 2:] = torch.inf

    moved = warp(x, flow)

    assert torch.equal(moved[..., :2], x[..., :2])
    assert torch.equal(moved[..., 3, 3], x[..., 3, 3])


@pytest.mark.parametrize(("first", "rows"), [(0, 10), (0, 4), (4, 4), (6, 4)])
def test_doubling_first_and_convolving_then_gives_the_same(first: int, rows: int) -> None:
    generator = torch.Generator().manual_seed(7)
    x, weight, bias = (torch.randn(size, generator=generator) for size in ((2, 6, 5, 7), (4, 6, 2, 2), (4,)))
    large = nn.interpolate(x, scale_factor=2, mode="nearest")
    plainly = nn.conv2d(nn.pad(large, (0, 1, 0, 1)), weight, bias)
    into = torch.empty(2, 4, rows, 14)

    Doubling(weight, bias)(x, first, into)

    assert apart(into, plainly[:, :, first : first + rows]) < EXACT


@pytest.mark.parametrize("height", [2, 36, 38, 64])
def test_strips_cover_every_row_once(height: int) -> None:
    x = torch.empty(1, 1, height, 4096)

    strips = list(layers.strips(x, halo=2))

    assert [row for strip in strips for row in range(strip.top, strip.bottom)] == list(range(height))
    assert all(strip.top % 2 == 0 and strip.first % 2 == 0 for strip in strips)
    assert all(strip.inner(strip.wide(x)).shape[2] == strip.bottom - strip.top for strip in strips)


def shapes(levels: Sequence[Sequence[Tensor]]) -> list[tuple[int, ...]]:
    return [tuple(part.shape[1:]) for level in levels for part in level]


def test_what_is_kept_of_a_frame_has_the_size_that_is_said() -> None:
    with torch.inference_mode():
        levels = network().features(noise(64, 128, 1))

    assert shapes(levels) == [
        *[(67, 64, 128), (32, 64, 128)],
        *[(195, 32, 64), (64, 32, 64)],
        *[(451, 16, 32), (128, 16, 32)],
        *[(963, 8, 16), (256, 8, 16)],
        *[(963, 4, 8), (256, 4, 8)],
        *[(963, 2, 4), (256, 2, 4)],
        *[(963, 1, 2), (256, 1, 2)],
    ]
