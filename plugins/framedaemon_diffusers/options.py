"""What a recipe can ask of diffusers, and how that is completed by the pipeline itself."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import Field, PrivateAttr

from framedaemon import GeneratorOptions, JobRejected
from framedaemon_diffusers.facts import RATES, Facts, read_facts

_PREVIEW_STEPS = 10


class DiffusersOptions(GeneratorOptions):
    """Which pipeline, how large, how long, how carefully. What is left out is as the pipeline's authors have it."""

    weights: str = Field("auto", pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")
    """A name of `framedaemon models list`, ``ltx`` for short of ``diffusers-ltx``; auto: the first that is there."""
    steps: int | None = Field(None, ge=1, le=1000)
    """Of the denoise."""
    guidance: float | None = Field(None, ge=0, le=30)
    """How closely the prompt is followed."""
    force: bool = False
    """Work on a CPU, for as long as that takes."""
    checkpoint_seconds: float = Field(60.0, ge=0, le=3600)
    """How often the denoise is put on disk, to go on from there; 0: after each step."""

    _facts: Facts | None = PrivateAttr(None)

    @property
    def facts(self) -> Facts:
        """Of the weights. Raises JobRejected where they were never looked at: there are none (`completed`)."""
        if self._facts is None:
            raise JobRejected("[generate] weights: no pipeline was named: see `framedaemon models list`")
        return self._facts


def completed(folder: Path, options: DiffusersOptions) -> DiffusersOptions:
    """``options`` with what the pipeline in ``folder`` says wherever a recipe says nothing.

    Raises JobRejected for what the pipeline cannot do.
    """
    try:
        facts = read_facts(folder)
    except ValueError as error:
        raise JobRejected(f"[generate] weights: {options.weights}: {error}") from error
    given = {
        "frames": facts.frames,
        "fps": facts.fps,
        "steps": _whole(facts.signature.number("num_inference_steps")),
        "guidance": None if facts.guidance is None else facts.signature.number(facts.guidance),
    }
    update: dict[str, Any] = {key: value for key, value in given.items() if getattr(options, key) is None}
    whole = options.model_copy(update=update)
    whole._facts = facts
    _check(whole, options)
    return whole


def previewed(options: DiffusersOptions) -> DiffusersOptions:
    """The cheap form: a quarter of the pixels, few steps.

    Other noise than the whole's, as it has another size: it shows what the prompt does, not the very frames.
    """
    facts = options.facts
    cheap = options.model_copy(
        update={
            "width": None if options.width is None else max(16, options.width // 2),
            "height": None if options.height is None else max(16, options.height // 2),
            "steps": None if options.steps is None else min(options.steps, _PREVIEW_STEPS),
        }
    )
    cheap._facts = replace(facts, area=None if facts.area is None else facts.area // 4)
    return cheap


def _whole(number: float | None) -> int | None:
    return None if number is None else int(number)


def _check(whole: DiffusersOptions, asked: DiffusersOptions) -> None:
    facts, problems = whole.facts, []
    name = facts.pipeline
    if whole.fps is None:
        problems.append(f"[generate] fps: {name} does not say how many frames a second it draws: this has to")
    elif (
        facts.signature.first(*RATES) is not None and whole.fps.denominator != 1 and "frame_rate" not in facts.signature
    ):
        problems.append(f"[generate] fps: {name} takes a whole number")
    if facts.area is None and (whole.width is None or whole.height is None):
        problems.append(f"[generate] width, height: {name} does not say how large it draws: these have to")
    if asked.guidance is not None and facts.guidance is None:
        problems.append(f"[generate] guidance: {name} takes none: how strong it is its repository says")
    if asked.steps is not None and "num_inference_steps" not in facts.signature:
        problems.append(f"[generate] steps: {name} takes none")
    if problems:
        raise JobRejected(problems)


def passed_over(options: DiffusersOptions) -> dict[str, str]:
    """What the recipe asks that the pipeline has no use for, by option, in words."""
    signature, name = options.facts.signature, options.facts.pipeline
    told = {}
    for key in ("prompt", "negative_prompt"):
        if getattr(options, key) and key not in signature:
            told[key] = f"not for {name}, passed over"
    made_for = options.facts.fps
    if signature.first(*RATES) is None and made_for is not None and options.fps != made_for:
        told["fps"] = f"{name} draws {made_for} frames a second, played at another pace"
    return told
