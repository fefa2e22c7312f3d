"""What a person asks for: which stages, with which options, how many videos of one picture.

The ledger keeps recipes as JSON and receipts carry them, so they are plain values that survive the round trip. What
TOML files say is merged into them by `layers`. A stage's own options are held unchecked until the job is planned,
in the process that knows the stage (`StageChoice.fit`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, JsonValue, PlainSerializer

from framedaemon.clip import Rate
from framedaemon.errors import JobRejected
from framedaemon.stages import Options, StageKind
from framedaemon.toml import TomlError, fit

_WRITTEN_FACTOR = re.compile(r"[0-9]{1,12}(\.[0-9]{1,12}|/[0-9]{1,12})?")

O = TypeVar("O", bound=Options)  # noqa: E741  (one letter a kind)


def parse_factor(value: object) -> Fraction:
    """How many times more frames ``value`` means: 2, 2.5, "5/2". Raises ValueError unless 0 < factor <= 1000."""
    try:
        if isinstance(value, bool) or not isinstance(value, (int, float, str, Fraction)):
            raise ValueError
        if isinstance(value, str) and not _WRITTEN_FACTOR.fullmatch(value.strip()):
            raise ValueError  # Fraction("1e999999999") would compute for ever
        factor = Fraction(str(value).strip()) if isinstance(value, (str, float)) else Fraction(value)
    except (ValueError, ZeroDivisionError):
        raise ValueError(f"{value!r} is not a factor: write 2, 2.5 or '5/2'") from None
    exact = factor.limit_denominator(1_000_000)
    if exact <= 0 or factor > 1000:
        raise ValueError(f"{value!r} is not a factor above 0 and at most 1000")
    return exact


def _stage_name(name: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9_-]{0,63}", name):
        raise ValueError(f"{name!r} is not the name of a stage: `framedaemon plugins` lists them")
    return name


Factor = Annotated[Fraction, BeforeValidator(parse_factor), PlainSerializer(str, return_type=str)]
StageName = Annotated[str, AfterValidator(_stage_name)]


class StageChoice(BaseModel):
    """Which stage, and the options said to it, not yet checked against its model."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    use: StageName = "auto"
    """The stage's name; ``auto`` for the best that is ready."""
    options: dict[str, JsonValue] = {}
    """What the stage's options model is filled with."""
    origins: dict[str, str] = {}
    """For each option the file and table that said it, for messages: ``cat.toml [encode]``."""

    def fit(self, kind: StageKind, model: type[O], where: str) -> O:
        """The stage's options, or JobRejected with every problem. ``where`` stands for options of unknown origin."""
        try:
            return fit(self.options, model, lambda key: self.origins.get(key, f"{where} [{kind}]"))
        except TomlError as error:
            raise JobRejected(error.problems) from error


class InterpolateChoice(StageChoice):
    """How the gaps are filled, and the rate that this leads to. With neither factor nor fps, factor is 2."""

    factor: Factor | None = None
    """The finished video's rate over the drawn frames' rate."""
    fps: Rate | None = None
    """The finished video's rate, whatever was drawn."""
    loop: bool = False
    """Whether the gap between the last frame and the first is filled too."""
    speed: Factor = Fraction(1)
    """How fast the clip is played: at 1/2 it lasts twice as long, at the same rate."""
    dedupe: bool = False
    """Whether frames that only repeat the one before are dropped, and the motion filled in across them."""

    def model_post_init(self, context: object) -> None:
        """Exactly one of factor and fps is set from here on."""
        if self.factor is not None and self.fps is not None:
            raise ValueError("factor and fps exclude each other")
        if self.factor is None and self.fps is None:
            object.__setattr__(self, "factor", Fraction(2))

    @property
    def nothing(self) -> bool:
        """Whether frames go through as they are: ``use = "none"``."""
        return self.use == "none"

    def target_fps(self, drawn: Fraction) -> Fraction:
        """The finished video's rate for frames that are drawn at ``drawn`` a second."""
        if self.nothing:
            return drawn * self.speed
        return self.fps if self.fps is not None else drawn * (self.factor or 1)


class Recipe(BaseModel):
    """All that is asked for one video."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    generate: StageChoice = StageChoice()
    interpolate: InterpolateChoice = InterpolateChoice()
    encode: StageChoice = StageChoice()
    preview: bool = False
    """Whether a cheap form is made first, which waits to be approved: ``[generate] preview``."""
    finishes: str | None = None
    """The job whose preview was approved, and of which this is the whole."""

    def to_json(self) -> str:
        """The recipe as one line, which `from_json` reads back to an equal one."""
        return self.model_dump_json()

    @classmethod
    def from_json(cls, text: str) -> Recipe:
        """The recipe that `to_json` wrote."""
        return cls.model_validate_json(text)


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked for one dropped picture."""

    recipes: tuple[Recipe, ...]
    """One for each video, in the order of the ``[[job]]`` tables."""
    priority: int = 0
    """-100..100; higher ones go first."""
