"""The generator that draws with any image-to-video pipeline of diffusers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
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
    choose_weights,
    find_weights,
    open_repository,
)
from framedaemon_diffusers import cost
from framedaemon_diffusers.facts import read_facts
from framedaemon_diffusers.geometry import frames_for, size_for
from framedaemon_diffusers.options import DiffusersOptions, completed, previewed
from framedaemon_diffusers.table import row_of

_ADD = "framedaemon models add OWNER/NAME --for diffusers --as NAME"


class Diffusers:
    """Any pipeline of diffusers that makes a clip of a picture: LTX, CogVideoX, Stable Video Diffusion, …"""

    name: ClassVar[str] = "diffusers"
    summary: ClassVar[str] = "any image-to-video pipeline of diffusers that you add; needs a GPU for most of them"
    options: ClassVar[type[GeneratorOptions]] = DiffusersOptions
    accepts: ClassVar[frozenset[SourceKind]] = frozenset({"picture"})
    preference: ClassVar[int] = -1
    weights: ClassVar[tuple[Repository, ...]] = ()

    def unready(self, machine: Machine) -> str | None:
        """What is missing, and the command that mends it."""
        if any(find_spec(name) is None for name in ("torch", "diffusers", "transformers")):
            return 'diffusers is not installed: pip install "framedaemon[wan]"'
        if find_weights(machine.models, self.chosen_weights(machine.models, DiffusersOptions())[0]) is None:
            return f"no pipeline was added: {_ADD}"
        return None

    def chosen_weights(self, models: Path, options: DiffusersOptions) -> tuple[str, ...]:
        """The name of the folder that ``load`` will open."""
        return (choose_weights(models, self.name, self.weights, options.weights),)

    def check_folder(self, path: Path) -> None:
        """Raises ValueError, in a sentence, for a folder whose pipeline makes no clip of a picture."""
        read_facts(path)

    def completed(self, path: Path, options: DiffusersOptions) -> DiffusersOptions:
        """``options``, with what the pipeline in ``path`` does where they say nothing."""
        return completed(path, options)

    def previewed(self, options: DiffusersOptions) -> DiffusersOptions:
        """The cheap form of ``options``."""
        return previewed(options)

    def promise(self, takes: Source, options: DiffusersOptions) -> ClipSpec:
        """As many pixels and frames as the pipeline draws by itself, in the picture's aspect, or as asked."""
        picture, facts = _picture(takes), options.facts
        assert options.frames is not None and options.fps is not None, "options were not completed"
        width, height = size_for(
            (picture.width, picture.height), facts.area or 0, facts.multiple, options.width, options.height
        )
        row = row_of(facts.pipeline)
        frames = frames_for(max(options.frames, row.fewest), facts.stride * row.together)
        return ClipSpec(width, height, frames, options.fps)

    def estimate(self, takes: Source, gives: ClipSpec, options: DiffusersOptions) -> Estimate:
        """By the sizes of the networks' files."""
        return cost.estimate(gives, options)

    @contextmanager
    def load(self, placement: Placement, options: DiffusersOptions) -> Iterator[Generate]:
        """The networks are read when frames are asked for, and gone before the first comes out.

        Raises StageFailed for a folder that is not as it was added.
        """
        from framedaemon.networks import device_for

        folder = open_repository(placement.models, self.chosen_weights(placement.models, options)[0])
        with device_for(placement) as device:

            def generate(takes: Source, scratch: Scratch) -> Iterator[Frame]:
                from framedaemon_diffusers.drawing import draw

                frames = draw(
                    folder, options, device, placement, _picture(takes), self.promise(takes, options), scratch
                )
                while frames:  # a frame is let go when it was taken
                    yield frames.pop(0)

            yield generate


def _picture(takes: Source) -> Picture:
    if not isinstance(takes, Picture):
        raise JobRejected(f"[generate] use: diffusers makes clips of a picture, and this is {takes.kind}")
    return takes
