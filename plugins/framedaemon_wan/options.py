"""What a recipe can ask of wan."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, TypeAlias

from pydantic import Field, PrivateAttr

from framedaemon import GeneratorOptions, JobRejected, Options
from framedaemon_wan.facts import Facts, read_facts
from framedaemon_wan.geometry import Fit
from framedaemon_wan.presets import LIGHTNING, NEGATIVE_PROMPT, Kind, Preset, Size, preset_of

StepCache: TypeAlias = Literal["none", "first_block", "mag"]
_PREVIEW_STEPS = 8
_NAME = r"^[a-z0-9][a-z0-9._-]{0,63}$"


class Lora(Options):
    """A LoRA file, and the expert that it is for."""

    weights: str = Field(pattern=_NAME)
    """A name of `framedaemon models list`."""
    expert: Literal["both", "high", "low"] = "both"
    scale: float = Field(1.0, ge=-4, le=4)


class WanOptions(GeneratorOptions):
    """Which model, how large, how long, how carefully. What is left out is as the model was trained."""

    weights: str = Field("auto", pattern=_NAME)
    """A name of `framedaemon models list`, ``i2v-a14b`` or ``ti2v-5b`` for short; auto: the first that is there."""
    size: Size | None = None
    """How many pixels a frame has, in the picture's own aspect; width or height say it exactly."""
    fit: Fit = "crop"
    """Where the picture's aspect is not quite the clip's: cut off what is over, or add black."""
    steps: int | None = Field(None, ge=1, le=1000)
    """Of the denoise."""
    guidance: float | None = Field(None, ge=0, le=30)
    """How closely the prompt is followed; 1: the negative prompt is left out, which halves the time."""
    guidance_low: float | None = Field(None, ge=0, le=30)
    """The same for the low-noise expert; as ``guidance`` where only that is given."""
    shift: float | None = Field(None, gt=0, le=100)
    """Of the noise schedule: higher spends more steps on the large shapes and on motion."""
    speed: Literal["full", "lightning"] = "full"
    """lightning: 4 steps by a distilled LoRA pair, ``framedaemon models pull wan-lightning``."""
    loras: tuple[Lora, ...] = Field((), max_length=16)
    last: Literal["free", "first"] = "free"
    """first: the clip ends with the picture that it begins with."""
    segment: int | None = Field(None, ge=5, le=100_001)
    """Frames that are drawn at once; a longer clip goes on from its last frame. As many as the model was trained on."""
    single_pass: bool = False
    """Draw a clip in one piece that is longer than any the model has seen: it tends to repeat itself."""
    may_shrink: bool = False
    """Leave to draw a smaller clip where the machine has no room for the one that was asked for."""
    force: bool = False
    """Work on a CPU, for as long as that takes."""
    attention: str = Field("auto", pattern=r"^[a-z0-9_]{1,40}$")
    """auto: the fastest exact one that is there; or a name of diffusers' attention backends: ``sage``, ``native``."""
    step_cache: StepCache = "none"
    """Leave out work between steps that are alike: a third of the time and more, for a little of the motion. mag needs
    ``mag_ratios``. A denoise that goes on after an interruption is then not quite the same: the cache is empty."""
    step_cache_threshold: float = Field(0.05, gt=0, le=1)
    """For first_block: how alike two steps are that share their work; higher is faster and coarser."""
    mag_ratios: tuple[float, ...] = Field((), max_length=1000)
    """For mag: how the magnitude of the model's residual changes from each step to the next, as measured on the model
    (diffusers' MagCacheConfig with ``calibrate``); one number for each step."""
    compile: bool = False
    """Have torch compile the repeated blocks: minutes once, then faster steps for clips of the same shape."""
    checkpoint_seconds: float = Field(60.0, ge=0, le=3600)
    """How often the denoise is put on disk, to go on from there."""

    _facts: Facts | None = PrivateAttr(None)

    @property
    def facts(self) -> Facts:
        """Of the weights, once they were looked at (`completed`)."""
        assert self._facts is not None, "options were not completed"
        return self._facts

    @property
    def preset(self) -> Preset:
        """The row of the model."""
        return preset_of(self.facts.kind)

    @property
    def guided(self) -> bool:
        """Whether the model is asked twice in each step, for the prompt and for the negative one."""
        return (self.guidance or 0) > 1

    @property
    def fused(self) -> bool:
        """Whether LoRA is added to the experts."""
        return bool(self.loras) or self.speed == "lightning"

    @property
    def experts(self) -> tuple[Literal["high", "low"], ...]:
        """Those that denoise, in their order."""
        return ("high",) if self.facts.low is None else ("high", "low")


def completed(folder: Path | None, options: WanOptions) -> WanOptions:
    """``options`` with what the weights in ``folder`` were trained for wherever a recipe says nothing.

    Without a folder, by the published ones. Raises JobRejected for what the model cannot do.
    """
    facts = read_facts(folder) if folder is not None else published_facts(options.weights)
    preset = preset_of(facts.kind)
    fast = options.speed == "lightning"
    if fast and facts.low is None:
        raise JobRejected(f"[generate] speed: {LIGHTNING.name} was made for wan-i2v-a14b")
    given = {
        "frames": preset.frames,
        "fps": preset.fps,
        "steps": 4 if fast else preset.steps,
        "guidance": 1.0 if fast else preset.guidance,
        "guidance_low": options.guidance if options.guidance is not None else 1.0 if fast else preset.guidance_low,
        "shift": preset.shift,
    }
    update: dict[str, Any] = {key: value for key, value in given.items() if getattr(options, key) is None}
    if "negative_prompt" not in options.model_fields_set:
        update["negative_prompt"] = NEGATIVE_PROMPT
    whole = options.model_copy(update=update)
    whole._facts = facts
    _check(whole, preset)
    return whole


def previewed(options: WanOptions) -> WanOptions:
    """The cheap form: a quarter of the width or less, few steps, no longer than one segment.

    Other noise than the whole's, as it has another size: it shows what the prompt does, not the very frames.
    """
    update: dict[str, Any] = {
        "size": "240p",
        "width": None,
        "height": None,
        "steps": min(options.steps or _PREVIEW_STEPS, _PREVIEW_STEPS),
        "frames": min(options.frames or options.preset.frames, options.preset.frames),
        "mag_ratios": (),
        "step_cache": "none",
    }
    return options.model_copy(update=update)


def published_facts(name: str) -> Facts:
    """Those of the published weights that ``name`` sounds like; of the smaller model for a person's own name."""
    kind: Kind = "i2v-a14b" if "a14b" in name else "ti2v-5b"
    return preset_of(kind).published


def _check(options: WanOptions, preset: Preset) -> None:
    problems = []
    if options.size is not None and options.size not in preset.areas:
        problems.append(f"[generate] size: {preset.kind} draws {' or '.join(preset.areas)}")
    if options.last == "first" and not preset.last_picture:
        problems.append(f"[generate] last: {preset.kind} takes no last picture: i2v-a14b does")
    if preset.kind == "i2v-a14b" and options.guided != ((options.guidance_low or 0) > 1):
        problems.append("[generate] guidance_low: both are above 1, or neither is")
    if options.facts.low is None and any(lora.expert == "low" for lora in options.loras):
        problems.append(f"[generate] loras: {preset.kind} has one expert: leave expert out")
    if options.step_cache == "mag" and len(options.mag_ratios) != options.steps:
        problems.append(f"[generate] mag_ratios: step_cache mag needs one for each of the {options.steps} steps")
    if problems:
        raise JobRejected(problems)
