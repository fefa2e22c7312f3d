"""The three kinds of stage, and what passes between them.

    Source ─▶ Generator ─▶ Clip ─▶ Interpolator ─▶ Clip ─▶ Encoder ─▶ a video file

A stage answers three things. What will you give (`promise`) and what will it cost (`estimate`): both are
pure, and need neither torch nor the file's pixels on a device. And `load`: a context manager that holds the
models and yields the function that does the work. Everything streams; what `load` took it gives back on exit.

The timeline is the core's, not the stage's. An interpolator is handed gaps (two neighbouring frames and the
times wanted between them) and fills them; source frames never pass through it, so it cannot alter them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from framedaemon.clip import Clip, ClipSpec, Frame, Rate
from framedaemon.placement import Estimate as Estimate
from framedaemon.placement import Machine as Machine
from framedaemon.placement import Phase as Phase
from framedaemon.placement import Placement as Placement
from framedaemon.sources import Source, SourceKind

StageKind: TypeAlias = Literal["generate", "interpolate", "encode"]


class Options(BaseModel):
    """A stage's options: one TOML table, read once, wrong keys refused."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        strict=False,
        arbitrary_types_allowed=False,
    )


class GeneratorOptions(Options):
    """What every generator understands; one that has no use for a prompt ignores it."""

    prompt: str = Field("", max_length=10_000)
    """What should happen in the video, in words."""
    negative_prompt: str = Field("", max_length=10_000)
    """What should not."""
    seed: int | None = Field(None, ge=0, lt=2**63)
    """The same seed gives the same frames. Left out, it is taken from the file's own bytes."""
    frames: int | None = Field(None, ge=1, le=1_000_000)
    """How many frames to draw."""
    fps: Rate | None = None
    """Frames per second that are drawn (not those of the finished video: see [interpolate])."""
    width: int | None = Field(None, ge=16, le=8192)
    """Pixels. With only one of width and height given, the other keeps the picture's aspect."""
    height: int | None = Field(None, ge=16, le=8192)
    """Pixels."""


class InterpolatorOptions(Options):
    """A filling method's own options; factor, fps and loop belong to the timeline (see `recipe`)."""


class EncoderOptions(Options):
    """What every encoder understands."""

    codec: str = "auto"
    """h264, hevc, av1, vp9, prores, …: which are there, the encoder says; auto: the container's usual one."""
    crf: int | None = None
    """Constant rate factor: lower is better and larger. Its range and default are the codec's."""
    container: str = "mp4"
    """mp4, mkv, webm, mov, gif, webp, png."""
    bit_depth: Literal[8, 10] = 8
    """Bits per sample in the file."""


@dataclass(frozen=True, slots=True)
class Scratch:
    """A stage's own corner of the job's workspace, kept between attempts."""

    folder: Path
    """For what is dear and small: embeddings, latents, finished segments. Exists; empty at the first attempt."""
    progress: Callable[[str, float], None] = lambda step, fraction: None
    """Call it with what is being done and how far it is (0..1) when no frame comes out for a while."""
    start: int = 0
    """For a generator that ``seeks``: the frame to begin with; those before it are not wanted."""
    note: Callable[[str, Any], None] = lambda key, value: None
    """Call it with facts for the receipt, as JSON has them; said again under the same key, the last one counts."""
    halting: Callable[[], bool] = lambda: False
    """Whether to end: ask between two steps that give no frames, put on disk what another attempt goes on with, and
    raise `Halted`. Between two frames the pipeline sees to it."""


@dataclass(frozen=True, slots=True, eq=False)
class Gap:
    """Two neighbouring source frames and the times wanted between them.

    ``x1`` of one gap is the very same object as ``x0`` of the next when they are neighbours, so that features
    can be kept by identity. Frames are read-only.
    """

    x0: Frame
    x1: Frame
    times: tuple[Fraction, ...]
    """Ascending, each strictly between 0 (x0) and 1 (x1)."""


class Cut:
    """What an interpolator yields for a gap across a scene cut: nothing can be drawn between."""


CUT = Cut()

Filled: TypeAlias = Sequence[Frame] | Cut
"""One frame for each time of the gap, of the gap's own shape and dtype; or CUT: the nearer source is held."""


@dataclass(frozen=True, slots=True)
class VideoSpec:
    """What the finished file will be, exactly; the quality gate holds the file to it."""

    width: int
    """After an odd size was cropped by a pixel for chroma subsampling."""
    height: int
    frames: int
    fps: Fraction
    suffix: str
    """``.mp4``; empty for a folder of pictures."""
    codec: str
    """ffmpeg's name of the codec in the file: ``h264``, ``hevc``, ``gif``."""
    encoder: str
    """ffmpeg's name of what encodes: ``libx264``, ``h264_nvenc``."""
    pixel_format: str
    """ffmpeg's name: ``yuv420p``, ``yuv420p10le``, ``gbrp``."""
    tagged: bool
    """Whether the container carries colour tags (BT.709 matrix, primaries, transfer, limited range)."""
    sound: bool = False
    joins: bool = False
    """Whether files of parts of the clip, encoded one by one, can be joined to this one (see `JoiningEncoder`)."""
    notes: tuple[str, ...] = ()
    """What a person should know: ``cropped by 1 pixel``, ``h264_nvenc is not there, libx264 it is``."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """Where an encoder puts the video, and what goes with the frames."""

    output: Path
    """Does not exist; its suffix is the VideoSpec's. Complete and flushed to disk when the encoder returns."""
    comment: str
    """The recipe and seed as one line of JSON, for the file's own metadata."""
    sound: Path | None
    """A file whose sound tracks go along, cut to the video's duration; None for silence."""
    scratch: Scratch


Generate: TypeAlias = Callable[[Source, Scratch], Iterator[Frame]]
Fill: TypeAlias = Callable[[Iterable[Gap]], Iterator[Filled]]
Encode: TypeAlias = Callable[[Clip, Delivery], None]

G = TypeVar("G", bound=GeneratorOptions, contravariant=True)
I = TypeVar("I", bound=InterpolatorOptions, contravariant=True)  # noqa: E741  (one letter a kind)
E = TypeVar("E", bound=EncoderOptions, contravariant=True)


class Generator(Protocol[G]):
    """Makes the frames of a clip from a source.

    One that can begin anywhere says so by ``seeks: ClassVar[bool] = True``: its frames from `Scratch.start` on are, to
    the bit, those of a whole run, and its function may be called more than once. Others draw from the beginning.

    One that may draw less where there is no room has ``smaller(options) -> options | str``: the next smaller form,
    where the recipe gives leave; else in words how to give it, and no words where there is none. Pure.

    One that can end a clip with a picture that was given for that, `Picture.last`, says so by
    ``takes_last: ClassVar[bool] = True``; with others the plan notes that they cannot.

    One that gives not quite what was asked for has ``remarks(takes, options) -> tuple[str, ...]``: sentences for plan
    and receipt. Pure. One that takes hours without a GPU says so by ``wants_accelerator: ClassVar[bool] = True``:
    ``use = "auto"`` passes it over on a CPU.

    One that knows what is cheap has ``previewed(options) -> options``: for a preview of the clip that ``options`` mean,
    with the same seed. Pure. Others are asked for half the width and height.
    """

    name: ClassVar[str]
    """What a recipe's ``use`` says: lower case, one word."""
    summary: ClassVar[str]
    """One line for `framedaemon plugins`."""
    options: ClassVar[type[GeneratorOptions]]
    accepts: ClassVar[frozenset[SourceKind]]
    preference: ClassVar[int]
    """``use = "auto"`` takes the highest that is ready and accepts the source. camera 10, video 10, wan 50."""

    def unready(self, machine: Machine) -> str | None:
        """None when it can work here; else what is missing and the command that mends it. Cheap, pure.

        Raises StageFailed where it could not find out, and another try may.
        """

    def promise(self, takes: Source, options: G) -> ClipSpec:
        """The clip that ``load``'s function will yield. Pure. Raises JobRejected for what cannot be done."""

    def estimate(self, takes: Source, gives: ClipSpec, options: G) -> Estimate:
        """What making it needs. Pure."""

    def load(self, placement: Placement, options: G) -> AbstractContextManager[Generate]:
        """Holds what the work needs; yields the function from a source to its frames.

        Raises OutOfMemory where a smaller placement may help, StageFailed where another try may.
        """


class Interpolator(Protocol[I]):
    """Fills the gaps between frames.

    One whose answer to a gap depends on nothing before it but the ``n`` neighbouring gaps says so by
    ``looks_back: ClassVar[int] = n``: a clip that goes on in its middle is then filled from there. Others fill it
    from its beginning, and what is not wanted is let go. One that takes more than 16 gaps before it answers the first
    finds its stream ended, and cannot say so.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    options: ClassVar[type[InterpolatorOptions]]
    preference: ClassVar[int]
    """For ``use = "auto"``: flow 10, rife 20; a negative one is never chosen by itself."""

    def unready(self, machine: Machine) -> str | None:
        """As for a generator."""

    def estimate(self, takes: ClipSpec, gives: ClipSpec, options: I) -> Estimate:
        """What filling needs. Pure. Raises JobRejected for sizes or depths it cannot work on.

        ``takes`` is the source clip at the rate at which it is played: takes.fps / gives.fps source frames lie between
        one frame of ``gives`` and the next.
        """

    def load(self, placement: Placement, options: I) -> AbstractContextManager[Fill]:
        """Yields the function from gaps to what fills them: one `Filled` for each `Gap`, in order."""


class Encoder(Protocol[E]):
    """Writes a clip to a file.

    One that can be tried has ``tried(machine) -> Mapping[str, str | None]``: what it can do here, each really tried on
    a few frames, by names for people; None where it works, else why not, and the command that mends it. `framedaemon
    doctor` asks, in a process of its own, and asks stages of other kinds that have it too.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    options: ClassVar[type[EncoderOptions]]
    preference: ClassVar[int]

    def unready(self, machine: Machine) -> str | None:
        """As for a generator."""

    def promise(self, takes: ClipSpec, sound: bool, options: E) -> VideoSpec:
        """The file it will write. May try, once per process, which encoders are really there.

        Raises JobRejected for codec, container and depth that do not go together.
        """

    def estimate(self, takes: ClipSpec, options: E) -> Estimate:
        """What encoding needs; ``disk`` is the size of a usual video: the disk guard leaves room for three of them."""

    def load(self, placement: Placement, options: E) -> AbstractContextManager[Encode]:
        """Yields the function that pulls the clip and writes the file.

        Raises DiskFull when the disk ran full, StageFailed when the encoder failed.
        """


class JoiningEncoder(Encoder[E], Protocol[E]):
    """An encoder of which some `VideoSpec` says that it ``joins``: a long clip is then encoded part by part."""

    def join(self, parts: Sequence[Path], takes: ClipSpec, delivery: Delivery, options: E) -> None:
        """Write ``delivery.output`` from finished files of successive parts of the clip ``takes``.

        Nothing is encoded again: the file's frames are those of ``parts``, to the bit. Those were written by `load`'s
        function, each with neither comment nor sound; both come here. Raises as that does.
        """


AnyGenerator: TypeAlias = Generator[Any]
AnyInterpolator: TypeAlias = Interpolator[Any]
AnyEncoder: TypeAlias = Encoder[Any]
AnyStage: TypeAlias = AnyGenerator | AnyInterpolator | AnyEncoder
