"""The restructured network draws what the plain one draws, on every runtime, and what other people's code draws."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import accumulate, cycle
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from framedaemon import Placement, StageFailed, open_weights
from framedaemon.networks import PairNetwork, device_for
from framedaemon_rife.network import build, strips
from framedaemon_rife.network.layers import Layers, fold
from framedaemon_rife.network.strips import StripRife
from framedaemon_rife.network.torch_engine import TorchEngine
from framedaemon_rife.network.versions import VERSIONS, Version
from framedaemon_rife.network.whole import WholeRife
from rife_plain import PlainRife, make_weights

GOLDEN = Path(__file__).with_name("rife_golden.npz")
HALF = Fraction(1, 2)
LEVEL = 1 / 255
LATEST = VERSIONS[0]

has_openvino = pytest.mark.skipif(importlib.util.find_spec("openvino") is None, reason="openvino is not installed")

Form = Callable[[Layers], PairNetwork]


def whole(layers: Layers) -> PairNetwork:
    return WholeRife(layers, torch.device("cpu"), torch.float32)


def by_torch(layers: Layers) -> PairNetwork:
    return StripRife(layers, TorchEngine(layers, torch.float32))


def by_openvino(layers: Layers) -> PairNetwork:
    return StripRife(layers, build.engine_for(layers, torch.float32, Placement(threads=2), "openvino"))


FORMS = [whole, by_torch, pytest.param(by_openvino, marks=has_openvino)]


@pytest.fixture(autouse=True)
def _inference() -> Iterator[None]:
    with torch.inference_mode():
        yield


@pytest.fixture(scope="module")
def latest(models_with: Callable[[str], Path]) -> dict[str, Tensor]:
    """The published weights, by our names."""
    return open_weights(models_with("rife-4.25"), "rife-4.25")


def frames(count: int, height: int, width: int, seed: int = 0) -> Tensor:
    """(count, 3, H, W): a rough picture that moves by a few pixels, as the driver gives it."""
    rough = np.random.default_rng(seed).random((height // 8 + 8, width // 8 + 8, 3), np.float32)
    picture = cv2.resize(rough, (width + 64, height + 64), interpolation=cv2.INTER_CUBIC).clip(0, 1)
    moved = [picture[3 * n : 3 * n + height, 5 * n : 5 * n + width] for n in range(count)]
    return torch.from_numpy(np.stack(moved)).permute(0, 3, 1, 2)


def drawn(network: PairNetwork, x: Tensor, *times: Fraction) -> list[Tensor]:
    """Between each frame of ``x`` and the next."""
    return list(network.between(network.features(x[:-1]), network.features(x[1:]), times))


def decibels(one: Tensor, two: Tensor) -> float:
    return float(-10 * torch.log10((one - two).square().mean()))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.name)
@pytest.mark.parametrize("size", [(1, 1), (2, 3), (5, 2)])
def test_every_form_of_every_version_draws_what_the_plain_network_draws(
    version: Version, form: Form, size: tuple[int, int]
) -> None:
    weights = make_weights(version)
    x = frames(2, size[0] * version.multiple, size[1] * version.multiple)
    times = (Fraction(1, 2), Fraction(1, 7), Fraction(9, 10))

    found = drawn(form(fold(version, weights)), x, *times)

    plain = [PlainRife(version, weights)(x[:1], x[1:], float(time)) for time in times]
    assert max(float((y - z).abs().max()) for y, z in zip(found, plain, strict=True)) < LEVEL / 50
    assert float((plain[0] - x[:1]).abs().mean()) > LEVEL, "weights that move nothing would prove nothing"


@pytest.mark.parametrize("form", FORMS)
def test_pairs_in_a_batch_are_drawn_as_each_by_itself(form: Form) -> None:
    network = form(fold(LATEST, make_weights(LATEST)))
    x = frames(4, 64, 128)

    (together,) = drawn(network, x, HALF)

    alone = torch.cat([drawn(network, x[n : n + 2], HALF)[0] for n in range(3)])
    assert float((together - alone).abs().max()) < LEVEL / 50


@pytest.mark.parametrize("form", FORMS)
def test_features_are_not_spent_by_drawing(form: Form) -> None:
    """The frame between two gaps is looked at once: what was found in it serves both, and serves again."""
    network = form(fold(LATEST, make_weights(LATEST)))
    f0, f1 = (network.features(x) for x in frames(2, 64, 64).split(1))

    one, two = (next(iter(network.between(f0, f1, [HALF]))).clone() for _ in range(2))

    assert torch.equal(one, two)


def test_rows_seen_strip_by_strip_are_those_seen_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    layers = fold(LATEST, make_weights(LATEST))
    network = StripRife(layers, TorchEngine(layers, torch.float32))
    x = frames(2, 192, 128)
    (at_once,) = drawn(network, x, HALF)

    monkeypatch.setattr(strips, "_STRIP", 128 * 22)
    (in_strips,) = drawn(network, x, HALF)

    assert float((at_once - in_strips).abs().max()) < LEVEL / 50


@pytest.mark.parametrize("form", FORMS)
def test_published_weights_draw_what_other_peoples_code_draws_with_them(form: Form, latest: dict[str, Tensor]) -> None:
    golden = np.load(GOLDEN)
    x = torch.from_numpy(np.stack([golden["x0"], golden["x1"]])).permute(0, 3, 1, 2).float() / 255

    found = drawn(form(fold(LATEST, latest)), x, Fraction(1, 2), Fraction(1, 4))

    levels = [(y[0].permute(1, 2, 0).clamp(0, 1) * 255).round().numpy() for y in found]
    for_half, for_quarter = golden["y_050"].astype(np.float32), golden["y_025"].astype(np.float32)
    assert np.abs(levels[0] - for_half).max() <= 1
    assert np.abs(levels[1] - for_quarter).max() <= 1
    assert (levels[0] != for_half).mean() < 0.01, "a level off is rounding, and rare"


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_half_precision_stays_60_decibels_near(dtype: torch.dtype, latest: dict[str, Tensor]) -> None:
    """Convolutions alone are halved; flow and places stay float32."""
    x = frames(2, 128, 192)
    layers = fold(LATEST, latest)

    (halved,) = drawn(WholeRife(layers, torch.device("cpu"), dtype), x, HALF)

    assert decibels(halved, PlainRife(LATEST, latest)(x[:1], x[1:], 0.5)) > 60 - 6 * (dtype == torch.bfloat16)


def test_bfloat16_on_a_cpu_stays_near_too(latest: dict[str, Tensor]) -> None:
    x = frames(2, 128, 192)
    layers = fold(LATEST, latest)

    (halved,) = drawn(StripRife(layers, TorchEngine(layers, torch.bfloat16)), x, HALF)

    assert decibels(halved, PlainRife(LATEST, latest)(x[:1], x[1:], 0.5)) > 54


def test_the_form_on_a_cpu_is_the_one_by_strips_and_opencv_keeps_its_threads() -> None:
    before = cv2.getNumThreads()
    placement = Placement(threads=2)

    with (
        device_for(placement) as device,
        build.lookups_by(2),
        build.rife(LATEST, make_weights(LATEST), device, placement, "torch") as network,
    ):
        within = cv2.getNumThreads()

    assert isinstance(network, StripRife)
    assert within == 2
    assert cv2.getNumThreads() == before


def test_where_opencv_rounds_places_torch_looks_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """As OpenCV did before 5.0: to 1/32 of a pixel."""
    exact = cv2.remap
    rounding = lambda image, across, down, *rest, **how: exact(  # noqa: E731
        image, np.round(across * 32) / 32, np.round(down * 32) / 32, *rest, **how
    )
    placement = Placement()
    monkeypatch.setattr(cv2, "remap", rounding)

    with device_for(placement) as device, build.rife(LATEST, make_weights(LATEST), device, placement, "auto") as found:
        assert isinstance(found, WholeRife)


@has_openvino
def test_the_runtime_is_tried_once_and_remembered(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """In the models folder: a job that goes on after a crash, in another process, must find the same one again."""
    layers, placement = fold(LATEST, make_weights(LATEST)), Placement(models=tmp_path)
    first = build.engine_for(layers, torch.float32, placement, "auto")
    monkeypatch.setattr(build, "perf_counter", None)  # a second trial would fail

    second = build.engine_for(layers, torch.float32, placement, "auto")

    assert type(first) is type(second)


@has_openvino
@pytest.mark.parametrize("spoilt", ["{", "[]", '{"nonsense": 1}'])
def test_what_was_remembered_badly_is_tried_again(tmp_path: Path, spoilt: str) -> None:
    (tmp_path / ".rife-runtime.json").write_text(spoilt)

    build.engine_for(fold(LATEST, make_weights(LATEST)), torch.float32, Placement(models=tmp_path), "auto")

    (choice,) = set(json.loads((tmp_path / ".rife-runtime.json").read_text()).values()) - {1}
    assert choice in ("torch", "openvino")


@has_openvino
def test_where_nothing_can_be_remembered_it_works_all_the_same(tmp_path: Path) -> None:
    placement = Placement(models=tmp_path / "gone")

    assert build.engine_for(fold(LATEST, make_weights(LATEST)), torch.float32, placement, "auto") is not None


@has_openvino
def test_only_a_clearly_faster_runtime_is_taken_instead_of_torch(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    layers = fold(LATEST, make_weights(LATEST))
    moments = accumulate(cycle((0.0, 10.0, 0.0, 9.0)))  # torch takes 10 seconds, OpenVINO takes 9
    monkeypatch.setattr(build, "perf_counter", lambda: next(moments))

    engine = build.engine_for(layers, torch.float32, Placement(models=tmp_path), "auto")

    assert isinstance(engine, TorchEngine)


def test_a_runtime_that_is_not_installed_is_said_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "find_spec", lambda name: None)

    with pytest.raises(StageFailed, match=r'pip install "framedaemon\[openvino\]"'):
        build.engine_for(fold(LATEST, make_weights(LATEST)), torch.float32, Placement(), "openvino")
