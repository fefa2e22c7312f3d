"""Clips drawn by Wan's real classes, tiny: as diffusers draws them in one call, and as if nothing had interrupted."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

torch = pytest.importorskip("torch")
diffusers = pytest.importorskip("diffusers")
transformers = pytest.importorskip("transformers")

from PIL import Image  # noqa: E402
from safetensors.torch import save_file  # noqa: E402

from framedaemon import Halted, Picture, Placement, Scratch  # noqa: E402
from framedaemon.adding import add  # noqa: E402
from framedaemon.catalogue import Catalogue  # noqa: E402
from framedaemon.diffusion import read_checkpoint  # noqa: E402
from framedaemon.plugins import load_plugins  # noqa: E402
from framedaemon_wan import Wan, WanOptions  # noqa: E402
from framedaemon_wan.geometry import fitted  # noqa: E402
from tiny_pipelines import adopt_tiny_pipeline  # noqa: E402

KINDS = ("i2v-a14b", "ti2v-5b")
STEPS = 5
SIZE = {"width": 96, "height": 64}


class Killed(Exception):
    """Stands for whatever ends an attempt."""


class Bench:
    """A models folder with both tiny pipelines, and a picture."""

    def __init__(self, folder: Path) -> None:
        self.models = folder / "models"
        self.folders = {kind: adopt_tiny_pipeline(kind, folder, self.models) for kind in KINDS}
        self.picture = Picture(_photo())

    def options(self, kind: str, **asked: Any) -> WanOptions:
        """A clip of 9 frames in few steps, written down at each."""
        given = {"weights": f"wan-tiny-{kind}", "prompt": "a wave, the sea", "seed": 5, "frames": 9, "steps": STEPS}
        options = WanOptions.model_validate(given | SIZE | {"checkpoint_seconds": 0} | asked)
        return Wan().completed(self.folders[kind], options)

    def draw(
        self, options: WanOptions, scratch: Scratch, placement: Placement | None = None, last: Any = None
    ) -> Iterator[NDArray[np.uint8]]:
        """The frames; ``last``: pixels that the clip is to end with."""
        placement = replace(placement or Placement(threads=1), models=self.models)
        with Wan().load(placement, options) as generate:
            yield from generate(replace(self.picture, last=last), scratch)

    def clip(
        self, options: WanOptions, folder: Path, placement: Placement | None = None, last: Any = None, **scratch: Any
    ) -> Any:
        """All frames, stacked."""
        folder.mkdir(exist_ok=True)
        return np.stack(list(self.draw(options, Scratch(folder, **scratch), placement, last)))


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    gc.freeze()  # each stage ends with a collection, and all that the tests have loaded is not to be walked each time
    yield Bench(tmp_path_factory.mktemp("wan"))
    gc.unfreeze()


@pytest.mark.parametrize("kind", KINDS)
def test_stages_one_after_the_other_draw_what_one_call_draws(kind: str, bench: Bench, tmp_path: Path) -> None:
    options = bench.options(kind)
    latents, frames = _one_call(bench, kind, options)

    drawn = bench.clip(options, tmp_path)

    kept = read_checkpoint(tmp_path / "00-latents.safetensors", _key_of(tmp_path / "00-latents.safetensors"))
    assert kept is not None
    assert torch.equal(kept.tensors["latents"], latents)
    assert np.array_equal(drawn, frames)


@pytest.mark.parametrize("kind", KINDS)
def test_a_clip_interrupted_at_each_step_and_stage_is_drawn_as_if_nothing_had_happened(
    kind: str, bench: Bench, tmp_path: Path
) -> None:
    options = bench.options(kind, frames=5, width=64, height=32)
    whole, told = bench.clip(options, tmp_path / "whole"), []
    bench.clip(options, tmp_path / "counted", progress=lambda what, fraction: told.append((what, fraction)))

    attempts = [_interrupted(bench, options, tmp_path / "killed", number) for number in range(1, len(told) + 1)]

    assert told[:3] == [("text", 0.0), ("condition", 0.0), ("denoise", 0.0)]
    assert len(told) == 3 + STEPS
    assert all(np.array_equal(clip, whole) for clip in attempts)


def test_an_attempt_goes_on_with_the_step_after_the_last_one_on_disk(bench: Bench, tmp_path: Path) -> None:
    options, told = bench.options("i2v-a14b"), []
    _kill_at(bench, options, tmp_path, 5)

    bench.clip(options, tmp_path, progress=lambda what, fraction: told.append((what, fraction)))

    assert told == [("denoise", 0.0), ("denoise", 3 / STEPS), ("denoise", 4 / STEPS), ("denoise", 1.0)]


@pytest.mark.parametrize("asked", [2, 6])
def test_a_clip_that_is_to_halt_loses_no_step_whenever_it_is_asked(bench: Bench, tmp_path: Path, asked: int) -> None:
    """Its checkpoints are an hour apart: what is on disk was put there because it was to halt."""
    options = bench.options("i2v-a14b", frames=5, width=64, height=32, checkpoint_seconds=3600)
    whole, told = bench.clip(options, tmp_path / "whole"), []
    (tmp_path / "halted").mkdir()
    before: list[str] = []

    with pytest.raises(Halted, match=r"behind step|before"):
        scratch = Scratch(
            tmp_path / "halted", lambda what, _: before.append(what), halting=lambda: len(before) >= asked
        )
        list(bench.draw(options, scratch))
    again = bench.clip(options, tmp_path / "halted", progress=lambda what, fraction: told.append((what, fraction)))

    steps = max(0, len(before) - 3)
    assert [fraction for what, fraction in told if what == "denoise"][1:] == [
        step / STEPS for step in range(steps + 1, STEPS + 1)
    ]
    assert np.array_equal(again, whole)


def test_a_smaller_placement_goes_on_with_what_a_larger_one_left(bench: Bench, tmp_path: Path) -> None:
    options, told = bench.options("i2v-a14b"), []
    _kill_at(bench, options, tmp_path, 6)

    narrow = Placement(threads=1, storage="float8", tile=64)
    clip = bench.clip(options, tmp_path, narrow, progress=lambda what, fraction: told.append((what, fraction)))

    assert told[1] == ("denoise", 4 / STEPS)
    assert clip.shape == (9, 64, 96, 3)


def test_what_was_half_written_when_an_attempt_was_killed_is_gone_with_the_next(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "tmpA1b2C3").write_bytes(b"half a checkpoint")

    bench.clip(bench.options("ti2v-5b", frames=1), tmp_path)

    assert not list(tmp_path.glob("tmp*"))


def test_a_clip_of_another_recipe_begins_anew(bench: Bench, tmp_path: Path) -> None:
    other = bench.options("i2v-a14b", prompt="a stone")
    bench.clip(bench.options("i2v-a14b"), tmp_path)

    drawn = bench.clip(other, tmp_path)

    assert np.array_equal(drawn, bench.clip(other, tmp_path / "fresh"))


def test_a_strip_shows_what_a_clip_will_be_while_it_is_drawn(bench: Bench, tmp_path: Path) -> None:
    notes: dict[str, Any] = {}
    options = bench.options("i2v-a14b")
    _kill_at(bench, options, tmp_path, 5)

    with Image.open(tmp_path / "preview.png") as strip:
        size = strip.size
    bench.clip(options, tmp_path, note=notes.__setitem__)

    assert size == (3 * 12 * 120 // 8, 120)
    assert notes["segment 1 sketch"].startswith("data:image/jpeg;base64,")
    assert len(notes["segment 1 sketch"]) < 20_000


def test_words_are_embedded_once_for_a_model_whatever_is_added_to_it(bench: Bench, tmp_path: Path) -> None:
    lora, shapes = tmp_path / "style.safetensors", {"A": (4, 24), "B": (24, 4)}
    save_file({f"transformer.blocks.0.attn1.to_q.lora_{side}.weight": torch.ones(*shapes[side]) for side in "AB"}, lora)
    add(Catalogue(load_plugins(None), bench.models, 0), lora, "wan", "style", [].append, lambda done, total: None)
    bench.clip(bench.options("i2v-a14b", prompt="once"), tmp_path / "plain")
    kept = sorted(path.stat().st_mtime_ns for path in (bench.models / ".embeddings").iterdir())

    styled = bench.options("i2v-a14b", prompt="once", loras=[{"weights": "wan-style"}])
    bench.clip(styled, tmp_path / "styled")

    assert sorted(path.stat().st_mtime_ns for path in (bench.models / ".embeddings").iterdir()) == kept


def test_tiles_on_disk_draw_what_the_tiled_vae_draws(bench: Bench, tmp_path: Path) -> None:
    options = bench.options("i2v-a14b")
    _, frames = _one_call(bench, "i2v-a14b", options, tile=64)

    drawn = bench.clip(options, tmp_path, Placement(threads=1, tile=64))

    assert np.array_equal(drawn, frames)
    assert not list(tmp_path.glob("*tiles*"))


def test_the_last_picture_is_the_first_where_that_is_asked(bench: Bench, tmp_path: Path) -> None:
    options = bench.options("i2v-a14b", last="first")
    _, frames = _one_call(bench, "i2v-a14b", options, last=bench.picture)

    assert np.array_equal(bench.clip(options, tmp_path), frames)


def test_a_clip_of_one_frame_is_its_first_and_its_last(bench: Bench, tmp_path: Path) -> None:
    ended = bench.options("i2v-a14b", last="first", frames=1, steps=1)

    assert bench.clip(ended, tmp_path).shape == (1, 64, 96, 3)


def test_a_clip_ends_with_the_last_picture_as_one_call_ends_it(bench: Bench, tmp_path: Path) -> None:
    """It has a size and an aspect of its own, and is fitted as the first one is."""
    last = Picture(np.ascontiguousarray(_photo().swapaxes(0, 1)[::-1]))
    options = bench.options("i2v-a14b")
    _, frames = _one_call(bench, "i2v-a14b", options, last=last)

    drawn = bench.clip(options, tmp_path, last=last.pixels)

    assert np.array_equal(drawn, frames)
    assert not np.array_equal(drawn, bench.clip(options, tmp_path)), "what was drawn with it is not taken for this"


def test_only_the_last_segment_ends_with_the_last_picture(bench: Bench, tmp_path: Path) -> None:
    last = np.ascontiguousarray(bench.picture.pixels[::-1])
    options = bench.options("i2v-a14b", frames=9, segment=5)

    plain, ended = bench.clip(options, tmp_path / "plain"), bench.clip(options, tmp_path / "ended", last=last)

    assert np.array_equal(plain[:5], ended[:5])
    assert not np.array_equal(plain[5:], ended[5:])


@pytest.mark.parametrize("placement", [None, Placement(threads=1, storage="float8", tile=64)])
def test_a_network_is_gone_before_the_next_one_is_loaded(
    placement: Placement | None, bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[tuple[str, int]] = []
    living: list[weakref.ref[Any]] = []

    def watch(kind: Any) -> None:
        load = kind.from_pretrained

        def watched(*args: Any, **keywords: Any) -> Any:
            loaded.append((keywords["subfolder"], sum(one() is not None for one in living)))
            network = load(*args, **keywords)
            living.extend(weakref.ref(parameter) for parameter in network.parameters())
            return network

        monkeypatch.setattr(kind, "from_pretrained", watched)

    watch(transformers.UMT5EncoderModel)
    watch(diffusers.AutoencoderKLWan)
    watch(diffusers.WanTransformer3DModel)
    bench.clip(bench.options("i2v-a14b", prompt=f"a wave {placement}"), tmp_path, placement)

    assert loaded == [("text_encoder", 0), ("vae", 0), ("transformer", 0), ("transformer_2", 0), ("vae", 0)]
    assert all(one() is None for one in living)


# --- segments


def test_a_long_clip_goes_on_from_its_last_frame_and_shows_it_once(bench: Bench, tmp_path: Path) -> None:
    notes: dict[str, Any] = {}
    options = bench.options("ti2v-5b", frames=13, segment=9)

    clip = bench.clip(options, tmp_path, note=notes.__setitem__)

    assert clip.shape[0] == 13
    assert [notes[f"segment {number}"]["frames"] for number in (1, 2)] == [[0, 5], [4, 13]]
    assert [notes[f"segment {number}"]["seed"] for number in (1, 2)] == [5, 6]


def test_a_clip_begun_in_its_middle_is_the_end_of_the_whole(bench: Bench, tmp_path: Path) -> None:
    options = bench.options("ti2v-5b", frames=13, segment=5)
    whole = bench.clip(options, tmp_path / "whole")

    ends = [bench.clip(options, tmp_path / "whole", start=start) for start in (1, 4, 5, 6, 12)]
    fresh = bench.clip(options, tmp_path / "fresh", start=6)

    assert all(np.array_equal(end, whole[13 - len(end) :]) for end in (*ends, fresh))
    assert [len(end) for end in ends] == [12, 9, 8, 7, 1]


def test_colours_of_a_segment_are_brought_to_those_of_the_one_before(bench: Bench, tmp_path: Path) -> None:
    notes: dict[str, Any] = {}
    options = bench.options("ti2v-5b", frames=13, segment=9)

    clip = bench.clip(options, tmp_path, note=notes.__setitem__)

    steps = np.abs(np.diff(clip.reshape(13, -1, 3).mean(axis=1), axis=0)).max(axis=1)
    assert notes["segment 2"]["colours"]["gain"] != (1.0, 1.0, 1.0)
    assert steps[4] < 12


def _one_call(
    bench: Bench, kind: str, options: WanOptions, tile: int | None = None, last: Picture | None = None
) -> tuple[Any, NDArray[np.uint8]]:
    """Latents and frames by diffusers' own pipeline, all in one."""
    folder = bench.folders[kind]
    pipeline = diffusers.WanImageToVideoPipeline.from_pretrained(folder, local_files_only=True)
    pipeline.scheduler = diffusers.UniPCMultistepScheduler.from_pretrained(
        folder, subfolder="scheduler", flow_shift=options.shift
    )
    pipeline.set_progress_bar_config(disable=True)
    if tile is not None:
        pipeline.vae.enable_tiling(tile, tile, tile * 3 // 4, tile * 3 // 4)
    image, last_image = (
        Image.fromarray(fitted(given, SIZE["width"], SIZE["height"], "crop")) if given is not None else None
        for given in (bench.picture, last)
    )
    given = {
        "image": image,
        "last_image": last_image,
        "prompt": options.prompt,
        "negative_prompt": options.negative_prompt,
        "num_frames": options.frames,
        "num_inference_steps": STEPS,
        "guidance_scale": options.guidance,
        "guidance_scale_2": options.guidance_low if kind == "i2v-a14b" else None,
        **SIZE,
    }
    torch.set_num_threads(1)
    with torch.no_grad():
        latents, video = (
            pipeline(**given, generator=torch.Generator().manual_seed(5), output_type=kind_of).frames
            for kind_of in ("latent", "np")
        )
    return latents, np.rint(video[0] * 255).astype(np.uint8)


def _interrupted(bench: Bench, options: WanOptions, folder: Path, at: int) -> Any:
    """The clip of two attempts, the first of which ends at progress ``at``."""
    _kill_at(bench, options, folder / str(at), at)
    return bench.clip(options, folder / str(at))


def _kill_at(bench: Bench, options: WanOptions, folder: Path, at: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    calls = iter(range(1, 1000))

    def progress(what: str, fraction: float) -> None:
        if next(calls) == at:
            raise Killed

    with pytest.raises(Killed):
        list(bench.draw(options, Scratch(folder, progress)))


def _key_of(path: Path) -> str:
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        return str(file.metadata()["key"])


def _photo() -> NDArray[np.uint8]:
    """Soft shapes in colour, 150x100."""
    y, x = np.mgrid[0:100, 0:150] / 100.0
    waves = [128 + 100 * np.sin(4 * x + phase) * np.cos(3 * y + phase) for phase in (0.0, 1.0, 2.0)]
    return np.ascontiguousarray(np.stack(waves, axis=-1).astype(np.uint8))
