"""The generator that makes a still move by Wan 2.2."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

from framedaemon import (
    ClipSpec,
    Estimate,
    Frame,
    Generate,
    GeneratorOptions,
    JobRejected,
    Machine,
    Picture,
    Placement,
    Repository,
    Scratch,
    Source,
    SourceKind,
    Weights,
    choose_weights,
    find_weights,
    open_repository,
    read_record,
)
from framedaemon_wan import options as wanted
from framedaemon_wan.geometry import fitted, frames_for, size_for
from framedaemon_wan.options import WanOptions
from framedaemon_wan.presets import LIGHTNING, PRESETS, ROWS
from framedaemon_wan.segments import Segment, segments_of

_PACKAGES = ("torch", "diffusers", "transformers", "safetensors", "accelerate", "ftfy")


class Wan:
    """Wan 2.2 image-to-video: the picture, and a prompt that says what happens, become a clip."""

    name: ClassVar[str] = "wan"
    summary: ClassVar[str] = "Wan 2.2: the picture moves, as a prompt says; wants a GPU and its weights"
    options: ClassVar[type[GeneratorOptions]] = WanOptions
    accepts: ClassVar[frozenset[SourceKind]] = frozenset({"picture"})
    preference: ClassVar[int] = 50
    wants_accelerator: ClassVar[bool] = True
    seeks: ClassVar[bool] = True
    weights: ClassVar[tuple[Weights | Repository, ...]] = ROWS

    def unready(self, machine: Machine) -> str | None:
        """What is missing, and the command that mends it."""
        missing = [package for package in _PACKAGES if find_spec(package) is None]
        if missing:
            return f"{' and '.join(missing)} missing: pip install 'framedaemon[wan]', with Python 3.11 or newer"
        if find_weights(machine.models, self._model(machine.models, "auto")) is None:
            return f"its weights are missing: framedaemon models pull {PRESETS[1].row.name}"
        return None

    def chosen_weights(self, models: Path, options: WanOptions) -> tuple[str, ...]:
        """The model first, then what is added to it."""
        fast = [LIGHTNING.name] if options.speed == "lightning" else []
        return (self._model(models, options.weights), *fast, *(lora.weights for lora in options.loras))

    def _model(self, models: Path, word: str) -> str:
        return choose_weights(models, self.name, tuple(preset.row for preset in PRESETS), word)

    def completed(self, path: Path | None, options: WanOptions) -> WanOptions:
        """``options`` with the model's own numbers where a recipe gives none."""
        return wanted.completed(path, options)

    def promise(self, takes: Source, options: WanOptions) -> ClipSpec:
        """A clip in the picture's aspect, with 4k + 1 frames."""
        picture, preset = _picture(takes), options.preset
        area = preset.areas[options.size] if options.size is not None else next(iter(preset.areas.values()))
        size = size_for((picture.width, picture.height), area, preset.multiple, options.width, options.height)
        assert options.frames is not None and options.fps is not None
        return ClipSpec(*size, frames_for(options.frames), options.fps, 8)

    def remarks(self, takes: Source, options: WanOptions) -> tuple[str, ...]:
        """What was asked for and is not quite what is drawn."""
        gives = self.promise(takes, options)
        said = []
        if gives.frames != options.frames:
            said.append(f"{gives.frames} frames in place of {options.frames}: wan draws 4k + 1")
        for side, asked, drawn in (("width", options.width, gives.width), ("height", options.height, gives.height)):
            if asked is not None and asked != drawn:
                said.append(f"{side} {drawn} in place of {asked}: wan draws multiples of {options.preset.multiple}")
        segments = _segments(gives, options)
        if len(segments) > 1:
            said.append(f"drawn in {len(segments)} segments, each begun with the last frame of the one before")
        return tuple(said)

    def estimate(self, takes: Source, gives: ClipSpec, options: WanOptions) -> Estimate:
        """What the largest of its stages needs: text, condition, either expert, decode."""
        from framedaemon_wan.cost import estimate

        return estimate(gives, max(segment.frames for segment in _segments(gives, options)), options)

    @contextmanager
    def load(self, placement: Placement, options: WanOptions) -> Iterator[Generate]:
        """Opens the weights, but loads none: each stage loads its own when its turn has come, and lets go of them.

        Raises StageFailed for weights that are not what they were.
        """
        from framedaemon.networks import device_for
        from framedaemon_wan.drawing import Drawing

        names = self.chosen_weights(placement.models, options)
        folder = open_repository(placement.models, names[0])
        digest = sha256("\n".join(read_record(placement.models, name).get("sha256", "") for name in names).encode())
        with device_for(placement) as device:

            def generate(takes: Source, scratch: Scratch) -> Iterator[Frame]:
                gives = self.promise(takes, options)
                picture = fitted(_picture(takes), gives.width, gives.height, options.fit)
                segments = _segments(gives, options)
                return Drawing(
                    picture, segments, options, folder, digest.hexdigest(), placement, device, scratch
                ).frames()

            yield generate


def _segments(gives: ClipSpec, options: WanOptions) -> list[Segment]:
    if options.single_pass:
        return segments_of(gives.frames, gives.frames)
    return segments_of(gives.frames, options.segment or options.preset.frames)


def _picture(takes: Source) -> Picture:
    if not isinstance(takes, Picture):
        raise JobRejected(f"[generate] use: wan begins with a picture, and this is {takes.kind}")
    return takes
