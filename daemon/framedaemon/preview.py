"""The cheap form of a video, made before the whole of it: what a person looks at, and then approves or not.

    make_plan(whole) ─▶ refused? then nothing is previewed ─▶ shrunk ─▶ make_plan(preview)

Smaller, as its stage says (``previewed``) or at half the width and height; frames as they are drawn, none filled in
between; by the same seed.
"""

from __future__ import annotations

from framedaemon.choosing import asked
from framedaemon.clip import ClipSpec
from framedaemon.errors import JobRejected
from framedaemon.recipe import InterpolateChoice
from framedaemon.sources import Source
from framedaemon.stages import AnyStage, GeneratorOptions

# Pixels: what is smaller than this costs little anyway, and encoders refuse the smallest sizes.
_SMALLEST = 64


def shrunk(stage: AnyStage, source: Source, options: GeneratorOptions, whole: ClipSpec) -> GeneratorOptions:
    """Options of ``stage`` for the cheap form of ``whole``, the clip that it draws by ``options``.

    Where the stage has no `previewed` of its own: half the width and height, and all the frames; ``options`` as they
    are where that would be tiny, or the stage cannot draw it.
    """
    if hasattr(stage, "previewed"):
        return asked(stage, "previewed", type(options), options)
    half = options.model_copy(update={"width": _half(whole.width), "height": _half(whole.height)})
    if min(whole.width, whole.height) < 2 * _SMALLEST:
        return options
    try:
        asked(stage, "promise", ClipSpec, source, half)
    except JobRejected:
        return options
    return half


def unfilled(timing: InterpolateChoice) -> InterpolateChoice:
    """As ``timing``, but for the frames that would be filled in."""
    return InterpolateChoice(use="none", loop=timing.loop, speed=timing.speed)


def promised(whole: ClipSpec, seconds: float) -> str:
    """What approving the preview will lead to, for a person."""
    work = f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
    return f"a preview: approved, it becomes {whole.describe()}, about {work} of work"


def _half(side: int) -> int:
    """Even, as most encoders want it."""
    return side // 4 * 2
