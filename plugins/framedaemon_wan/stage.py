"""The generator that makes a still move by Wan 2.2."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

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
from framedaemon_wan import shrinking
from framedaemon_wan.cost import kept_bytes, phases, seconds
from framedaemon_wan.facts import read_kind
from framedaemon_wan.geometry import fitted, frames_for, size_for
from framedaemon_wan.options import WanOptions
from framedaemon_wan.presets import LIGHTNING, MODELS, ROWS
from framedaemon_wan.segments import Segment, segments_of

if TYPE_CHECKING:
    from torch import Tensor

_LIBRARIES = 700 << 20  # bytes: torch, diffusers and transformers, once imported
_FRAMES = 12  # held at once, by the decoder's chunk and those around it
_MOST_SIDE = 8192
_PATIENCE = 600  # seconds that nobody needs to be warned of

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
    takes_last: ClassVar[bool] = True
    weights: ClassVar[tuple[Weights | Repository, ...]] = ROWS

    def unready(self, machine: Machine) -> str | None:
        """What is missing, and the command that mends it."""
        missing = [package for package in _PACKAGES if find_spec(package) is None]
        if missing:
            return f"{' and '.join(missing)} missing: pip install 'framedaemon[wan]', with Python 3.11 or newer"
        if find_weights(machine.models, self._model(machine.models, "auto")) is None:
            return f"its weights are missing: framedaemon models pull {ROWS[0].name}"
        return None

    def chosen_weights(self, models: Path, options: WanOptions) -> tuple[str, ...]:
        """The model first, then what is added to it."""
        fast = [LIGHTNING.name] if options.speed == "lightning" else []
        return (self._model(models, options.weights), *fast, *(lora.weights for lora in options.loras))

    def _model(self, models: Path, word: str) -> str:
        return choose_weights(models, self.name, MODELS, word)

    def completed(self, path: Path | None, options: WanOptions) -> WanOptions:
        """``options`` with the model's own numbers where a recipe gives none."""
        return wanted.completed(path, options)

    def previewed(self, options: WanOptions) -> WanOptions:
        """The cheap form of ``options``."""
        return wanted.previewed(options)

    def smaller(self, options: WanOptions) -> WanOptions | str:
        """What to draw where there is no room for ``options``, with leave; else how to give it."""
        return shrinking.smaller(options)

    def check_folder(self, path: Path) -> None:
        """Raises ValueError, in a sentence, for a folder that is no image-to-video pipeline of Wan 2.2."""
        try:
            read_kind(path)
        except JobRejected as error:
            raise ValueError(str(error)) from error

    def read_weights(self, path: Path) -> dict[str, Tensor]:
        """A person's own LoRA file. Raises ValueError, in a sentence, where it is none."""
        from safetensors.torch import load_file

        if path.suffix != ".safetensors":
            raise ValueError(f"{path.name} is no safetensors file, as LoRA files of wan are")
        tensors = load_file(path)
        if not any("lora" in name.lower() for name in tensors):
            raise ValueError(f"{path.name} holds no LoRA: a model is given as its folder")
        return tensors

    def promise(self, takes: Source, options: WanOptions) -> ClipSpec:
        """A clip in the picture's aspect, with 4k + 1 frames."""
        picture, preset = _picture(takes), options.preset
        area = preset.areas[options.size] if options.size is not None else next(iter(preset.areas.values()))
        size = size_for((picture.width, picture.height), area, preset.multiple, options.width, options.height)
        if max(size) > _MOST_SIDE:
            raise JobRejected(
                f"[generate] use: {size[0]}x{size[1]} is more than {_MOST_SIDE} pixels a side: give width and height"
            )
        assert options.frames is not None and options.fps is not None
        _check_last(picture, options)
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
        facts, segments = options.facts, _segments(gives, options)
        longest = max(segment.frames for segment in segments)
        assert options.steps is not None
        passes = options.steps * (2 if options.guided else 1) * len(segments)
        on_cpu, on_gpu = seconds(facts, gives.width, gives.height, longest, passes)
        return Estimate(
            ram=_LIBRARIES + _FRAMES * gives.frame_bytes,
            disk=kept_bytes(facts, gives.width, gives.height, longest, len(segments)),
            seconds=on_cpu,
            accelerated=on_gpu,
            not_on_cpu=""
            if options.force or on_cpu < _PATIENCE
            else f"[generate] use: wan would take about {on_cpu / 3600:.0f} hours on a CPU, which is all there is room "
            "on: give a smaller size, fewer frames or steps, or say force = true to wait so long",
            phases=phases(facts, gives.width, gives.height, longest, gives.frames, fused=options.fused),
        )

    @contextmanager
    def load(self, placement: Placement, options: WanOptions) -> Iterator[Generate]:
        """Opens the weights, but loads none: each stage loads its own when its turn has come, and lets go of them.

        Raises StageFailed for weights that are not what they were.
        """
        from framedaemon.networks import device_for
        from framedaemon_wan.drawing import Drawing

        names = self.chosen_weights(placement.models, options)
        folder = open_repository(placement.models, names[0])
        hashes = tuple(str(read_record(placement.models, name).get("sha256", "")) for name in names)
        with device_for(placement) as device:

            def generate(takes: Source, scratch: Scratch) -> Iterator[Frame]:
                gives = self.promise(takes, options)
                picture = fitted(_picture(takes), gives.width, gives.height, options.fit)
                last = _last(_picture(takes), picture, options)
                segments = _segments(gives, options)
                return Drawing(picture, last, segments, options, folder, hashes, placement, device, scratch).frames()

            yield generate


def _segments(gives: ClipSpec, options: WanOptions) -> list[Segment]:
    if options.single_pass:
        return segments_of(gives.frames, gives.frames)
    return segments_of(gives.frames, options.segment or options.preset.frames)


def _check_last(picture: Picture, options: WanOptions) -> None:
    """Raises JobRejected for a last picture that could not be drawn, and would else be passed over in silence."""
    if picture.last is None:
        return
    if not options.preset.last_picture:
        raise JobRejected(
            f"[generate] use: {options.preset.kind} takes no last picture: take it away, or use the weights of i2v-a14b"
        )
    if options.last == "first":
        raise JobRejected("[generate] last: there is a last picture: take it away, or leave 'last' out")
    if options.frames == 1:
        raise JobRejected("[generate] frames: there is a last picture: a clip of one frame cannot end with another one")


def _last(takes: Picture, drawn: Frame, options: WanOptions) -> Frame | None:
    """What the clip ends with, of the size of ``drawn``, the picture as it is drawn from."""
    if takes.last is None:
        return drawn if options.last == "first" else None
    return fitted(Picture(takes.last), drawn.shape[1], drawn.shape[0], options.fit)


def _picture(takes: Source) -> Picture:
    if not isinstance(takes, Picture):
        raise JobRejected(f"[generate] use: wan begins with a picture, and this is {takes.kind}")
    return takes
