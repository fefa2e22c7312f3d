"""Pipelines of the real classes, in small: what they draw here is what they draw by themselves, interrupted or not."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
diffusers = pytest.importorskip("diffusers")

from framedaemon import Frame, Halted, Picture, Placement, Scratch  # noqa: E402
from framedaemon_diffusers import Diffusers, DiffusersOptions  # noqa: E402
from framedaemon_diffusers.drawing import arguments  # noqa: E402
from framedaemon_diffusers.geometry import cut  # noqa: E402
from framedaemon_diffusers.signature import read_signature, signature_of  # noqa: E402
from tiny_diffusers import PIPELINES, record_tiny  # noqa: E402

STEPS = 3
PICTURE = Picture(np.random.default_rng(1).integers(0, 256, (90, 140, 3), np.uint8))


@dataclass
class Tiny:
    """A tiny pipeline, and what is asked of it."""

    models: Path
    folder: Path
    options: DiffusersOptions
    notes: dict[str, Any] = field(default_factory=dict)

    def draw(self, scratch: Path, progress: Callable[[str, float], None] = lambda step, done: None) -> list[Frame]:
        placement = Placement(models=self.models, threads=2)
        with Diffusers().load(placement, self.options) as generate:
            return list(generate(PICTURE, Scratch(scratch, progress, note=self.notes.__setitem__)))


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(params=[kind for kind in PIPELINES if kind != "ltx-of-words"])
def tiny(request: pytest.FixtureRequest, stored: Path) -> Tiny:
    folder = record_tiny(request.param, stored)
    asked = DiffusersOptions(
        weights=request.param,
        prompt="a boat, moving",
        negative_prompt="ugly",
        seed=3,
        width=64,
        height=32,
        frames=17 if request.param == "kandinsky" else 5,
        steps=STEPS,
        guidance=3.0,
        checkpoint_seconds=0,
    )
    return Tiny(stored, folder, Diffusers().completed(folder, asked))


def test_frames_are_those_of_the_pipeline_called_by_itself(tiny: Tiny, tmp_path: Path) -> None:
    spec = Diffusers().promise(PICTURE, tiny.options)
    pipeline = getattr(diffusers, tiny.options.facts.pipeline).from_pretrained(tiny.folder, local_files_only=True)
    pipeline.set_progress_bar_config(disable=True)
    asked = arguments(signature_of(type(pipeline)), tiny.options, spec)
    torch.set_num_threads(2)  # as in `Tiny.draw`: another number sums in another order
    picture = cut(PICTURE, spec.width, spec.height)
    given = pipeline(image=picture, generator=torch.Generator().manual_seed(3), **asked).frames[0]

    drawn = tiny.draw(tmp_path)

    assert np.array_equal(np.stack(drawn), np.rint(np.asarray(given) * 255).astype(np.uint8))
    assert (len(drawn), drawn[0].shape) == (spec.frames, spec.shape)


def test_it_goes_on_from_after_any_step_as_if_nothing_had_happened(tiny: Tiny, tmp_path: Path) -> None:
    """Each step leaves its checkpoint; from each of them the clip is drawn anew."""
    whole = tmp_path / "whole"
    whole.mkdir()

    def keep(step: str, done: float) -> None:
        for file in whole.iterdir():
            kept = tmp_path / f"{round(done * STEPS)}"
            kept.mkdir()
            shutil.copy(file, kept)

    frames = tiny.draw(whole, keep)
    again, told = [], []
    for done in range(1, STEPS + 1):
        again.append(tiny.draw(tmp_path / str(done)))
        told.append(tiny.notes["went_on_after_step"])

    assert told == ["1", "2", "3"]
    assert all(np.array_equal(np.stack(one), np.stack(frames)) for one in again)


def test_a_denoise_that_is_to_halt_goes_on_behind_the_step_it_was_at(stored: Path, tmp_path: Path) -> None:
    """Its checkpoints are an hour apart: the one on disk was put there because it was to halt."""
    folder = record_tiny("ltx", stored)
    asked = DiffusersOptions(
        weights="ltx", seed=3, width=64, height=32, frames=5, steps=STEPS, guidance=3.0, checkpoint_seconds=3600
    )
    tiny = Tiny(stored, folder, Diffusers().completed(folder, asked))
    (tmp_path / "whole").mkdir()
    whole = tiny.draw(tmp_path / "whole")
    placement = Placement(models=stored, threads=2)

    with Diffusers().load(placement, tiny.options) as generate, pytest.raises(Halted, match=f"step 1 of {STEPS}"):
        next(generate(PICTURE, Scratch(tmp_path, halting=lambda: True)))
    again = tiny.draw(tmp_path)

    assert tiny.notes["went_on_after_step"] == "1"
    assert np.array_equal(np.stack(again), np.stack(whole))


def test_its_source_tells_of_its_call_what_the_class_does(tiny: Tiny) -> None:
    name = tiny.options.facts.pipeline
    read, loaded = read_signature(name), signature_of(getattr(diffusers, name))

    assert read is not None
    assert read.needed == loaded.needed
    assert json.dumps(read.defaults, sort_keys=True) == json.dumps(dict(loaded.defaults), sort_keys=True)
