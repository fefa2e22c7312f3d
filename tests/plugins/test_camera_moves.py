"""Where the camera looks: inside the picture always, where the move says, without a jump."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from framedaemon_camera import CameraOptions
from framedaemon_camera.moves import Path, Views

MOVES = ("push_in", "pull_out", "pan_left", "pan_right", "tilt_up", "tilt_down", "orbit", "drift")
Floats = npt.NDArray[np.float64]


def path(
    options: CameraOptions,
    picture: tuple[int, int] = (400, 300),
    clip: tuple[int, int] = (400, 300),
    frames: int = 33,
    seed: int = 3,
) -> Path:
    return Path(picture, clip, frames, frames / 16, options, seed)


def edges(views: Views, clip: tuple[int, int]) -> tuple[Floats, Floats, Floats, Floats]:
    """(left, top, right, bottom) of what each view sees, roll included."""
    cos, sin = np.cos(views.roll), np.abs(np.sin(views.roll))
    height = views.width * clip[1] / clip[0]
    half_x, half_y = (views.width * cos + height * sin) / 2, (height * cos + views.width * sin) / 2
    return views.x - half_x, views.y - half_y, views.x + half_x, views.y + half_y


sides = st.integers(1, 20_000)
shares = st.floats(0, 1)


@settings(deadline=None)  # a shared machine stalls now and then
@given(
    move=st.sampled_from(MOVES),
    amount=st.floats(0.01, 0.8),
    focus=st.tuples(shares, shares),
    loop=st.booleans(),
    easing=st.sampled_from(["linear", "ease_in", "ease_out", "ease_in_out"]),
    picture=st.tuples(sides, sides),
    clip=st.tuples(st.integers(16, 8192), st.integers(16, 8192)),
    frames=st.integers(1, 200),
    seed=st.integers(0, 2**63 - 1),
)
def test_no_view_of_any_move_leaves_the_picture(
    move: str,
    amount: float,
    focus: tuple[float, float],
    loop: bool,
    easing: str,
    picture: tuple[int, int],
    clip: tuple[int, int],
    frames: int,
    seed: int,
) -> None:
    options = CameraOptions(move=move, amount=amount, focus=focus, loop=loop, easing=easing)

    left, top, right, bottom = edges(path(options, picture, clip, frames, seed).views(0, frames), clip)

    hair = 1e-9 * max(picture)
    assert left.min() >= -hair
    assert top.min() >= -hair
    assert right.max() <= picture[0] + hair
    assert bottom.max() <= picture[1] + hair


@pytest.mark.parametrize("move", MOVES)
def test_frames_asked_for_one_by_one_are_those_asked_for_together(move: str) -> None:
    whole = path(CameraOptions(move=move))

    together = whole.views(0, 33)
    alone = whole.views(20)

    assert alone.x[0] == pytest.approx(together.x[20], abs=1e-9)
    assert alone.width[0] == pytest.approx(together.width[20], abs=1e-9)


def test_a_push_starts_with_the_whole_picture_and_leaves_the_amount_behind() -> None:
    views = path(CameraOptions(move="push_in", amount=0.25)).views(0, 33)

    assert views.width[0] == 400
    assert views.width[-1] == pytest.approx(300)


def test_pulling_out_is_pushing_in_backwards() -> None:
    out = path(CameraOptions(move="pull_out", easing="linear")).views(0, 33)
    pushed = path(CameraOptions(move="push_in", easing="linear")).views(0, 33)

    assert np.allclose(out.width, pushed.width[::-1])


def test_a_linear_push_enlarges_by_the_same_factor_each_frame() -> None:
    views = path(CameraOptions(move="push_in", easing="linear")).views(0, 33)

    factors = views.width[1:] / views.width[:-1]

    assert np.allclose(factors, factors[0])


def test_a_push_goes_towards_the_focus_through_views_inside_each_other() -> None:
    options = CameraOptions(move="push_in", amount=0.5, focus=(0.2, 0.9))

    views = path(options).views(0, 33)
    left, top, right, bottom = edges(views, (400, 300))

    assert (views.x[-1], views.y[-1]) == pytest.approx((100, 225))
    assert (np.diff(left) >= -1e-9).all()
    assert (np.diff(top) >= -1e-9).all()
    assert (np.diff(right) <= 1e-9).all()
    assert (np.diff(bottom) <= 1e-9).all()


@pytest.mark.parametrize(
    ("move", "axis", "sign"),
    [("pan_right", "x", 1), ("pan_left", "x", -1), ("tilt_down", "y", 1), ("tilt_up", "y", -1)],
)
def test_a_pan_or_tilt_travels_the_amount_in_its_direction(move: str, axis: str, sign: int) -> None:
    views = path(CameraOptions(move=move, amount=0.3)).views(0, 33)
    side = {"x": 400, "y": 300}[axis]

    travelled = getattr(views, axis)

    assert travelled[-1] - travelled[0] == pytest.approx(sign * 0.3 * side)
    assert np.ptp(views.width) == 0


def test_a_pan_over_a_panorama_does_not_come_nearer_than_it_must() -> None:
    views = path(CameraOptions(move="pan_right", amount=0.5), picture=(3000, 500), clip=(160, 90)).views(0, 33)

    assert views.width[0] == pytest.approx(500 * 160 / 90)
    assert views.x[-1] - views.x[0] == pytest.approx(1500)


def test_a_crop_keeps_the_focus_in_view() -> None:
    """A face near the top of a portrait is not cut off by a wide clip."""
    options = CameraOptions(move="orbit", focus=(0.5, 0.0))

    _, top, _, _ = edges(path(options, picture=(300, 900), clip=(160, 90)).views(0, 33), (160, 90))

    assert top.min() < 20


@pytest.mark.parametrize("move", MOVES)
@pytest.mark.parametrize("easing", ["linear", "ease_in_out"])
def test_the_last_frame_of_a_loop_leads_to_the_first(move: str, easing: str) -> None:
    views = path(CameraOptions(move=move, loop=True, easing=easing), frames=80).views(0, 80)

    steps = np.hypot(np.diff(views.x, append=views.x[0]), np.diff(views.y, append=views.y[0]))
    zooms = np.abs(np.diff(views.width, append=views.width[0]))

    assert steps[-1] <= steps[:-1].max() * 1.001
    assert zooms[-1] <= zooms[:-1].max() * 1.001
    assert max(steps.max(), zooms.max()) > 0


@pytest.mark.parametrize("easing", ["ease_in", "ease_in_out"])
def test_easing_in_starts_at_rest(easing: str) -> None:
    views = path(CameraOptions(move="pan_right", easing=easing), frames=81).views(0, 81)

    steps = np.diff(views.x)

    assert steps[0] < 0.1 * steps.max()


@pytest.mark.parametrize("easing", ["ease_out", "ease_in_out"])
def test_easing_out_ends_at_rest(easing: str) -> None:
    views = path(CameraOptions(move="pan_right", easing=easing), frames=81).views(0, 81)

    steps = np.diff(views.x)

    assert steps[-1] < 0.1 * steps.max()


def test_an_orbit_is_a_circle_gone_round_once() -> None:
    views = path(CameraOptions(move="orbit", loop=True), frames=64).views(0, 64)

    radii = np.hypot(views.x - 200, views.y - 150)
    angles = np.unwrap(np.arctan2(views.y - 150, views.x - 200))

    assert np.allclose(radii, radii[0])
    assert abs(angles[-1] - angles[0]) == pytest.approx(2 * np.pi * 63 / 64)


def test_a_drift_keeps_its_pace_in_a_longer_clip() -> None:
    short, long = (path(CameraOptions(move="drift"), frames=n).views(0, n) for n in (80, 1600))

    fastest = [np.hypot(np.diff(v.x), np.diff(v.y)).max() for v in (short, long)]

    assert fastest[1] < 2 * fastest[0]


def test_seeds_drift_apart_and_a_seed_drifts_as_before() -> None:
    drifts = [path(CameraOptions(move="drift"), seed=seed).views(0, 33).x for seed in (1, 2, 1)]

    assert not np.allclose(drifts[0], drifts[1])
    assert np.array_equal(drifts[0], drifts[2])


@pytest.mark.parametrize("move", MOVES)
def test_every_move_moves_and_never_jumps(move: str) -> None:
    views = path(CameraOptions(move=move), frames=81).views(0, 81)

    steps = np.abs(np.diff(views.x)) + np.abs(np.diff(views.y)) + np.abs(np.diff(views.width))

    assert steps.sum() > 10
    assert steps.max() < 0.03 * 400
