"""A clip drawn from a picture, stage by stage; each leaves a file for the attempt that comes after this one.

    text.safetensors                 the prompts' embeddings
    00-condition.safetensors         the picture's latents
    preview.png                      a strip of what the clip will roughly show
    00-denoise.safetensors           latents on their way, with the scheduler's memory
    00-latents.safetensors           the latents of segment 0; what led to them is removed
    00-tiles/                        where memory is small: finished tiles of the decode
    00-end.safetensors               its last frame, with which segment 1 begins

Imports torch and diffusers: import it only where the stage is loaded.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from framedaemon import Frame, Halted, Placement, Scratch
from framedaemon.diffusion import Checkpoint, read_checkpoint, write_checkpoint
from framedaemon.networks import Device, memory_told
from framedaemon_wan.condition import Condition, denormalised, load_vae, noise_for, prepare
from framedaemon_wan.denoise import Denoise
from framedaemon_wan.experts import load_expert
from framedaemon_wan.options import WanOptions
from framedaemon_wan.placing import give_back, streamed
from framedaemon_wan.segments import Match, Segment, drift_of, match_of
from framedaemon_wan.sketch import Sketch, sketch_for
from framedaemon_wan.text import embed
from framedaemon_wan.vae.streaming import decode, to_frames
from framedaemon_wan.vae.tiles import TiledDecode

# Of a recipe: what changes no frame.
_WITHOUT_EFFECT = {
    "force",
    "may_shrink",
    "checkpoint_seconds",
    "preview",
    "single_pass",
    "size",
    "segment",
    "frames",
    "fps",
}


@dataclass(frozen=True, slots=True)
class End:
    """How a segment ended."""

    frame: Frame
    match: Match
    drift: dict[str, list[float]]
    """Of its last frame, from the picture."""


@dataclass(frozen=True, slots=True)
class Drawing:
    """One clip."""

    picture: Frame
    """(H, W, 3) uint8, of the clip's size."""
    last: Frame | None
    """What the clip ends with, likewise."""
    segments: list[Segment]
    options: WanOptions
    folder: Path
    """Of the pipeline."""
    weights: tuple[str, ...]
    """sha256 of all weights that take part, the pipeline's first."""
    placement: Placement
    device: Device
    scratch: Scratch

    def frames(self) -> Iterator[Frame]:
        """The clip's frames from ``scratch.start`` on, (H, W, 3) uint8."""
        torch.set_num_threads(self.placement.threads)  # a setting of each thread, and this one pulls the frames
        for left in self.scratch.folder.glob("tmp??????"):  # what safetensors was writing when an attempt was killed
            left.unlink(missing_ok=True)
        before: End | None = None
        for segment in self.segments:
            key = self._key(segment, before)
            shown = segment.start + (before is not None)
            end = self._read_end(segment, key)
            if end is None or segment.stop > self.scratch.start:
                skip = max(0, self.scratch.start - shown)
                yield from _from(skip, self._draw(segment, key, before))
                end = self._read_end(segment, key)
            before = end
            self._note(segment, end)

    def _draw(self, segment: Segment, key: str, before: End | None) -> Iterator[Frame]:
        """The segment's frames, without the one that the segment before shows."""
        latents = self._latents(segment, key, before)
        match = Match()
        for index, drawn in enumerate(self._decoded(segment, latents, key)):
            if index == 0 and before is not None:
                match = match_of(drawn, before.frame)
            frame = match.apply(drawn)
            if index == segment.frames - 1:
                self._write_end(segment, key, frame, match)
            if index or before is None:
                yield frame
        shutil.rmtree(self._path(segment, "tiles"), ignore_errors=True)

    def _latents(self, segment: Segment, key: str, before: End | None) -> Tensor:
        path = self._path(segment, "latents.safetensors")
        kept = read_checkpoint(path, key)
        if kept is None:
            with memory_told(self.placement.device), torch.no_grad():
                kept = self._denoised(segment, key, before)
            write_checkpoint(path, key, kept)
            for left in ("condition.safetensors", "denoise.safetensors"):
                self._path(segment, left).unlink(missing_ok=True)
        latents = kept.tensors["latents"]
        sketch = Sketch(self._sketched, kept.tensors["colours"])
        self.scratch.note(f"segment {segment.index + 1} sketch", sketch.uri(latents))
        return latents

    def _denoised(self, segment: Segment, key: str, before: End | None) -> Checkpoint:
        embedded = self._text()
        condition = self._condition(segment, key, before)
        sketch = sketch_for(self._sketched, self._first(before), condition.picture())
        denoise = self._denoise(segment, sketch)
        latents = denoise.run(condition, embedded, self._path(segment, "denoise.safetensors"), key)
        return Checkpoint({"latents": latents, "colours": sketch.matrix})

    def _text(self) -> list[Tensor]:
        texts = (self.options.prompt, *([self.options.negative_prompt] if self.options.guided else []))
        key = f"{self.weights[0]} {self.device.dtype} {texts}"
        path = self.scratch.folder / "text.safetensors"
        kept = read_checkpoint(path, key)
        if kept is None:
            self._begin("text")
            where = self.placement.models / ".embeddings"
            found = embed(texts, self.folder, self.device, where, self.weights[0], streamed(self.placement))
            kept = Checkpoint({str(number): one for number, one in enumerate(found)})
            write_checkpoint(path, key, kept)
        return [kept.tensors[str(number)] for number in range(len(texts))]

    def _condition(self, segment: Segment, key: str, before: End | None) -> Condition:
        path, seed = self._path(segment, "condition.safetensors"), self._seed(segment)
        expand = self.options.facts.low is None
        kept = read_checkpoint(path, key)
        if kept is not None:
            return Condition(noise_for(kept.facts["shape"], seed), kept.tensors["given"])
        self._begin("condition")
        vae = load_vae(self.folder, self.device, self.placement)
        condition = prepare(vae, self._first(before), self._last(segment), segment.frames, seed, expand=expand)
        del vae
        give_back()
        facts = {"shape": list(condition.noise.shape)}
        write_checkpoint(path, key, Checkpoint({"given": condition.given}, facts))
        return condition

    def _denoise(self, segment: Segment, sketch: Sketch) -> Denoise:
        total = self.options.steps or 1
        name = "denoise" if len(self.segments) == 1 else f"denoise {segment.index + 1} of {len(self.segments)}"
        self._begin(name)

        def on_step(done: int) -> None:
            self.scratch.progress(name, done / total)

        def load(expert: Any, start: int, stop: int) -> Any:
            return load_expert(
                expert, start, stop, self.folder, self.options, self.placement, self.device, self.scratch.note
            )

        return Denoise(self.folder, self.options, self.device, load, on_step, sketch.show, self.scratch.halting)

    def _decoded(self, segment: Segment, latents: Tensor, key: str) -> Iterator[Frame]:
        """All frames of the segment as the VAE draws them: streaming, or by tiles on the disk where memory is small."""
        with memory_told(self.placement.device), torch.no_grad():
            vae = load_vae(self.folder, self.device, self.placement)
            latents = denormalised(vae, latents)
        if vae.use_tiling:
            folder = self._path(segment, "tiles")
            folder.mkdir(exist_ok=True)
            with memory_told(self.placement.device):
                tiles = TiledDecode(vae, latents, folder, key)
                for fraction in tiles.draw():
                    self.scratch.progress("decode", fraction)
                    if self.scratch.halting():
                        raise Halted("between two tiles")
            del vae
            give_back()
            yield from tiles.frames()
            return
        for pictures in _told(decode(vae, latents), self.placement.device):
            yield from to_frames(pictures)
        del vae
        give_back()

    def _begin(self, name: str) -> None:
        """Say what comes next; or end before it, where the clip is to halt: it begins by reading a network."""
        self.scratch.progress(name, 0.0)
        if self.scratch.halting():
            raise Halted(f"before {name}")

    def _first(self, before: End | None) -> Frame:
        """What the segment begins with."""
        return self.picture if before is None else before.frame

    def _last(self, segment: Segment) -> Frame | None:
        """What the segment is to end with."""
        return self.last if segment is self.segments[-1] and segment.frames > 1 else None

    def _seed(self, segment: Segment) -> int:
        return (self.options.seed or 0) + segment.index

    def _key(self, segment: Segment, before: End | None) -> str:
        """A digest of all that the segment's frames depend on but where and how small it is drawn."""
        options = {
            key: value for key, value in self.options.model_dump(mode="json").items() if key not in _WITHOUT_EFFECT
        }
        facts = json.dumps([self.weights, options, asdict(segment), self.picture.shape], sort_keys=True)
        digest = sha256(facts.encode())
        digest.update(self._first(before).tobytes())
        last = self._last(segment)
        digest.update(last.tobytes() if last is not None else b"")
        return digest.hexdigest()

    @property
    def _sketched(self) -> Path:
        return self.scratch.folder / "preview.png"

    def _path(self, segment: Segment, name: str) -> Path:
        return self.scratch.folder / f"{segment.index:02}-{name}"

    def _write_end(self, segment: Segment, key: str, frame: Frame, match: Match) -> None:
        facts = {"match": asdict(match), "drift": drift_of(frame, self.picture)}
        tensors = {"frame": torch.from_numpy(frame.copy())}
        write_checkpoint(self._path(segment, "end.safetensors"), key, Checkpoint(tensors, facts))

    def _read_end(self, segment: Segment, key: str) -> End | None:
        kept = read_checkpoint(self._path(segment, "end.safetensors"), key)
        if kept is None:
            return None
        match = Match(**{name: tuple(numbers) for name, numbers in kept.facts["match"].items()})
        return End(kept.tensors["frame"].numpy(), match, kept.facts["drift"])

    def _note(self, segment: Segment, end: End | None) -> None:
        if end is None:
            return
        facts = {"frames": [segment.start, segment.stop], "seed": self._seed(segment), "drift": end.drift}
        self.scratch.note(f"segment {segment.index + 1}", facts | {"colours": asdict(end.match)})


def _from(skip: int, frames: Iterator[Frame]) -> Iterator[Frame]:
    for index, frame in enumerate(frames):
        if index >= skip:
            yield frame


def _told(pictures: Iterator[Tensor], device: str) -> Iterator[Tensor]:
    """``pictures``, want of memory told as what it is."""
    while True:
        with memory_told(device):
            picture = next(pictures, None)
        if picture is None:
            return
        yield picture
