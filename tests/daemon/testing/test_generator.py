"""The contract for generators lets a good one pass and stops each kind of bad one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from framedaemon import GeneratorOptions, JobRejected, Picture, Placement, Scratch, StageFailed
from framedaemon.testing import GeneratorContract
from framedaemon.testing.generator import measure

# A module of its own, as a plugin is: what is measured is pickled and loaded in another process.
STAGES = '''
import threading
from contextlib import contextmanager
from fractions import Fraction

import numpy as np

from framedaemon import ClipSpec, Estimate, GeneratorOptions, JobRejected


class Good:
    """Noise, as many frames as asked."""

    name = "good"
    summary = "noise"
    options = GeneratorOptions
    accepts = frozenset({"picture"})
    preference = 1

    def unready(self, machine):
        return None

    def promise(self, takes, options):
        if takes.kind != "picture":
            raise JobRejected("[generate] use: good works on pictures")
        return ClipSpec(takes.width, takes.height, options.frames or 3, Fraction(16))

    def estimate(self, takes, gives, options):
        return Estimate(ram=8 * gives.frame_bytes, seconds=0.1)

    @contextmanager
    def load(self, placement, options):
        yield lambda source, scratch: self.draw(self.promise(source, options), np.random.default_rng(options.seed))

    def draw(self, spec, throws):
        for _ in range(spec.frames):
            yield throws.integers(0, 256, spec.shape, np.uint8)


class Short(Good):
    def draw(self, spec, throws):
        yield np.zeros(spec.shape, np.uint8)


class Sketching(Good):
    def previewed(self, options):
        return options.model_copy(update={"frames": 2})


class Boasting(Good):
    def previewed(self, options):
        return options.model_copy(update={"frames": 200})


class Wandering(Good):
    def previewed(self, options):
        return options.model_copy(update={"seed": 8})


class Forgetful(Good):
    def draw(self, spec, throws):
        buffer = np.zeros(spec.shape, np.uint8)
        for index in range(spec.frames):
            buffer[:] = index
            yield buffer


class Unseeded(Good):
    def draw(self, spec, throws):
        return super().draw(spec, np.random.default_rng())


class Greedy(Good):
    def draw(self, spec, throws):
        yield from [np.full(spec.shape, 1, np.uint8) for _ in range(spec.frames)]


class Leaky(Good):
    stop = threading.Event()

    def draw(self, spec, throws):
        threading.Thread(target=self.stop.wait, daemon=True).start()
        yield from super().draw(spec, throws)


class Stubborn(Good):
    """Cleans up at the end, but not when it is closed early."""

    def draw(self, spec, throws):
        stop = threading.Event()
        thread = threading.Thread(target=stop.wait, daemon=True)
        thread.start()
        yield from super().draw(spec, throws)
        stop.set()
        thread.join()


class Undecided(Good):
    calls = 0

    def estimate(self, takes, gives, options):
        type(self).calls += 1
        return Estimate(ram=self.calls, seconds=1)


class Omnivorous(Good):
    def promise(self, takes, options):
        return ClipSpec(16, 16, 3, Fraction(16))


class Heavy(Good):
    def promise(self, takes, options):
        import cv2  # noqa: F401

        return super().promise(takes, options)


class Shouting(Good):
    name = "SHOUTING"
'''

contract = GeneratorContract()


@pytest.fixture
def stages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module of stages, importable here and in processes that tests start."""
    name = f"stages_{tmp_path.parent.name}_{tmp_path.name}".replace("-", "_")
    (tmp_path / f"{name}.py").write_text(STAGES)
    monkeypatch.syspath_prepend(str(tmp_path))
    module = __import__(name)
    yield module
    module.Leaky.stop.set()
    del sys.modules[name]


@pytest.fixture
def source() -> Picture:
    return Picture(np.zeros((400, 600, 3), np.uint8))


@pytest.fixture
def options() -> GeneratorOptions:
    return GeneratorOptions(frames=3)


PLACEMENT = Placement()


def test_a_good_generator_passes_all_of_it(
    stages: Any, source: Picture, options: GeneratorOptions, tmp_path: Path
) -> None:
    folders = [tmp_path / name for name in ("seed", "back", "early")]
    for folder in folders:
        folder.mkdir()

    contract.test_it_says_what_it_is(stages.Good())
    contract.test_it_keeps_its_promise(stages.Good(), source, options, PLACEMENT, Scratch(tmp_path))
    contract.test_promise_and_estimate_are_pure(stages.Good(), source, options)
    contract.test_a_frame_stays_as_it_is_while_the_next_is_drawn(
        stages.Good(), source, options, PLACEMENT, Scratch(tmp_path)
    )
    contract.test_the_same_seed_gives_the_same_frames(stages.Good(), source, options, PLACEMENT, folders[0])
    contract.test_it_gives_back_what_it_took(stages.Good(), source, options, PLACEMENT, folders[1])
    contract.test_closing_it_early_cleans_up(stages.Good(), source, options, PLACEMENT, folders[2])
    contract.test_a_source_that_it_does_not_accept_is_refused(stages.Good(), options, tmp_path)
    contract.test_nothing_heavy_is_imported_before_load(stages.Good(), source, options, PLACEMENT, tmp_path)
    contract.test_it_takes_no_more_memory_than_it_said(stages.Good(), source, options, PLACEMENT, tmp_path)


def test_a_clip_that_is_short_breaks_the_promise(
    stages: Any, source: Picture, options: GeneratorOptions, tmp_path: Path
) -> None:
    with pytest.raises(StageFailed, match="made 1 frames, promised were 3"):
        contract.test_it_keeps_its_promise(stages.Short(), source, options, PLACEMENT, Scratch(tmp_path))


def test_a_buffer_that_is_used_again_is_seen(
    stages: Any, source: Picture, options: GeneratorOptions, tmp_path: Path
) -> None:
    with pytest.raises(AssertionError):
        contract.test_a_frame_stays_as_it_is_while_the_next_is_drawn(
            stages.Forgetful(), source, options, PLACEMENT, Scratch(tmp_path)
        )


def test_a_form_that_is_cheaper_passes(stages: Any, source: Picture, options: GeneratorOptions) -> None:
    contract.test_its_preview_is_a_cheaper_clip_of_the_same_seed(stages.Sketching(), source, options)


@pytest.mark.parametrize("worse", ["Boasting", "Wandering"])
def test_a_preview_that_is_dearer_or_of_another_seed_is_seen(
    stages: Any, source: Picture, options: GeneratorOptions, worse: str
) -> None:
    with pytest.raises(AssertionError):
        contract.test_its_preview_is_a_cheaper_clip_of_the_same_seed(getattr(stages, worse)(), source, options)


def test_a_seed_without_effect_is_seen(stages: Any, source: Picture, options: GeneratorOptions, tmp_path: Path) -> None:
    with pytest.raises(AssertionError):
        contract.test_the_same_seed_gives_the_same_frames(stages.Unseeded(), source, options, PLACEMENT, tmp_path)


def test_holding_all_frames_passes_the_estimate(stages: Any, source: Picture, tmp_path: Path) -> None:
    options = GeneratorOptions(frames=60)

    with pytest.raises(AssertionError):
        contract.test_it_takes_no_more_memory_than_it_said(stages.Greedy(), source, options, PLACEMENT, tmp_path)


def test_a_thread_that_goes_on_is_seen(stages: Any, source: Picture, options: GeneratorOptions, tmp_path: Path) -> None:
    with pytest.raises(AssertionError):
        contract.test_it_gives_back_what_it_took(stages.Leaky(), source, options, PLACEMENT, tmp_path)


def test_cleaning_up_only_at_the_end_is_seen(
    stages: Any, source: Picture, options: GeneratorOptions, tmp_path: Path
) -> None:
    with pytest.raises(AssertionError):
        contract.test_closing_it_early_cleans_up(stages.Stubborn(), source, options, PLACEMENT, tmp_path)


def test_an_estimate_that_changes_is_seen(stages: Any, source: Picture, options: GeneratorOptions) -> None:
    with pytest.raises(AssertionError):
        contract.test_promise_and_estimate_are_pure(stages.Undecided(), source, options)


def test_a_source_taken_without_looking_is_seen(stages: Any, options: GeneratorOptions, tmp_path: Path) -> None:
    with pytest.raises(pytest.fail.Exception, match=JobRejected.__name__):
        contract.test_a_source_that_it_does_not_accept_is_refused(stages.Omnivorous(), options, tmp_path)


def test_a_heavy_import_in_promise_is_seen(
    stages: Any, source: Picture, options: GeneratorOptions, tmp_path: Path
) -> None:
    with pytest.raises(AssertionError, match="cv2"):
        contract.test_nothing_heavy_is_imported_before_load(stages.Heavy(), source, options, PLACEMENT, tmp_path)


def test_a_name_that_no_recipe_can_write_is_seen(stages: Any) -> None:
    with pytest.raises(AssertionError, match="lower case"):
        contract.test_it_says_what_it_is(stages.Shouting())


def test_what_a_stage_says_when_it_fails_alone_is_told(stages: Any, source: Picture, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="AttributeError"):
        measure(stages.Good(), source, None, PLACEMENT, tmp_path)  # type: ignore[arg-type]  # what breaks it


def test_only_the_testing_package_needs_pytest() -> None:
    told = subprocess.run(
        [sys.executable, "-c", "import framedaemon, framedaemon_camera, sys; print('pytest' in sys.modules)"],
        capture_output=True,
        text=True,
    )

    assert told.stdout.strip() == "False"
