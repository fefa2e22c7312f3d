"""From the options and the clip to one exact way of encoding it, or to every reason why there is none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from framedaemon import ClipSpec, JobRejected
from framedaemon_ffmpeg.binary import ffmpeg_binary, has_encoder
from framedaemon_ffmpeg.codecs import CODECS, CONTAINERS, X264_PRESETS, Codec, Container
from framedaemon_ffmpeg.hardware import find_hardware
from framedaemon_ffmpeg.options import Chroma, FfmpegOptions, HardwareKind

# (columns, rows) of pixels that share one colour sample
_SUBSAMPLING: dict[Chroma, tuple[int, int]] = {"4:2:0": (2, 2), "4:2:2": (2, 1), "4:4:4": (1, 1), "rgb": (1, 1)}


@dataclass(frozen=True, slots=True)
class Choice:
    """How a clip will be encoded, with nothing left open but the threads."""

    container: Container
    codec: Codec
    width: int
    height: int
    crf: int
    """0 where the codec has none."""
    preset: int
    """0 (ultrafast) to 8 (veryslow)."""
    chroma: Chroma
    depth: int
    hardware: HardwareKind | None
    notes: tuple[str, ...]

    @property
    def pixel_format(self) -> str:
        """ffmpeg's name of what the file holds."""
        return self.codec.formats[self.chroma, self.depth]

    @property
    def encoder(self) -> str:
        """ffmpeg's name of what encodes."""
        return f"{self.codec.name}_{self.hardware}" if self.hardware else self.codec.encoder

    @property
    def joins(self) -> bool:
        """Whether files of parts can be joined: any that begin with a whole picture and stand on a steady clock.

        What chips write is left alone: nobody has tried them all.
        """
        return self.codec.name not in ("gif", "webp", "png") and self.hardware is None

    @property
    def tagged(self) -> bool:
        """Whether the file says that it is BT.709 in limited range."""
        return self.container.tagged and self.chroma != "rgb"


def choose(takes: ClipSpec, options: FfmpegOptions, sound: bool = False) -> Choice:
    """The one way to encode ``takes`` as ``options`` ask. Raises JobRejected with every problem there is."""
    container = CONTAINERS.get(options.container)
    if container is None:
        raise JobRejected(f"[encode] container: {options.container!r} is not one of {', '.join(CONTAINERS)}")
    name = container.codecs[0] if options.codec == "auto" else options.codec
    codec = CODECS.get(name)
    if codec is None:
        raise JobRejected(f"[encode] codec: {name!r} is not one of auto, {', '.join(CODECS)}")
    columns, rows = _SUBSAMPLING[_chroma(codec, options)]
    width, height = takes.width - takes.width % columns, takes.height - takes.height % rows
    problems = [
        *_mismatches(container, codec, options),
        *_misfits(container, codec, takes, width, height),
    ]
    if problems:
        raise JobRejected(problems)
    depth = min(depth for depth in codec.depths if depth >= options.bit_depth)
    hardware, refused = _find(codec, depth, options)
    notes = [refused, *_notes(container, codec, takes, options, depth, sound)]
    if (width, height) != (takes.width, takes.height):
        notes.append(f"cropped by a pixel, from {takes.width}x{takes.height}: {codec.name} needs an even size")
    return Choice(
        container,
        codec,
        width,
        height,
        crf=_crf(codec, options),
        preset=X264_PRESETS.index(options.preset or "medium"),
        chroma=_chroma(codec, options),
        depth=depth,
        hardware=hardware,
        notes=tuple(note for note in notes if note),
    )


def _chroma(codec: Codec, options: FfmpegOptions) -> Chroma:
    return codec.chroma if options.chroma == "auto" else options.chroma


def _crf(codec: Codec, options: FfmpegOptions) -> int:
    if options.crf is not None:
        return options.crf
    return codec.crf[1] if codec.crf else 0


def _mismatches(container: Container, codec: Codec, options: FfmpegOptions) -> list[str]:
    """What does not go together among the options themselves."""
    problems = []
    if codec.name not in container.codecs:
        homes = ", ".join(other.name for other in CONTAINERS.values() if codec.name in other.codecs)
        problems.append(
            f"[encode] container: {container.name} takes {', '.join(container.codecs)}, "
            f"not {codec.name}; {codec.name} goes into {homes}"
        )
    if codec.name != "png" and not has_encoder(codec.encoder):
        problems.append(
            f"[encode] codec: {codec.name} needs {codec.encoder}, which {ffmpeg_binary()} does not have; "
            "pip install -U imageio-ffmpeg brings it"
        )
    if options.crf is not None:
        if codec.crf is None:
            problems.append(f"[encode] crf: {options.crf} means nothing to {codec.name}, leave it out")
        elif not codec.crf[0] <= options.crf <= codec.crf[2]:
            problems.append(f"[encode] crf: {options.crf} is not in {codec.crf[0]}..{codec.crf[2]} ({codec.name})")
    if options.bit_depth > codec.depths[-1]:
        problems.append(f"[encode] bit_depth: {options.bit_depth} is not in {codec.depths} ({codec.name})")
    if options.preset is not None and not codec.speeds:
        problems.append(f"[encode] preset: {options.preset!r} means nothing to {codec.name}, leave it out")
    if _chroma(codec, options) not in codec.chromas:
        problems.append(f"[encode] chroma: {options.chroma!r} is not one of {', '.join(codec.chromas)} ({codec.name})")
    return problems


def _misfits(container: Container, codec: Codec, takes: ClipSpec, width: int, height: int) -> list[str]:
    """What of the clip does not go into the codec or the container."""
    problems = []
    if min(width, height) < codec.smallest:
        smallest = codec.smallest
        problems.append(
            f"[encode] codec: {takes.width}x{takes.height} is smaller than {smallest}x{smallest} ({codec.name})"
        )
    if max(width, height) > codec.limit:
        problems.append(f"[encode] codec: {width}x{height} is larger than {codec.limit} pixels ({codec.name})")
    if container.fps_limit and takes.fps > container.fps_limit:
        problems.append(
            f"[interpolate] fps: {float(takes.fps):g} is more than {container.fps_limit}, "
            f"which players of {container.name} show at most"
        )
    return problems


def _find(codec: Codec, depth: int, options: FfmpegOptions) -> tuple[HardwareKind | None, str]:
    """Hardware that really encodes this, and a note where what was asked for does not."""
    if options.hardware == "off":
        return None, ""
    if _chroma(codec, options) != "4:2:0":
        return None, f"hardware stores colour as 4:2:0 only, {codec.encoder} encodes"
    kinds: tuple[HardwareKind, ...] = get_args(HardwareKind) if options.hardware == "auto" else (options.hardware,)
    for kind in kinds:
        if find_hardware(codec.name, kind, depth):
            return kind, ""
    asked = "no hardware" if options.hardware == "auto" else f"{codec.name}_{options.hardware} does not"
    verb = " encodes" if options.hardware == "auto" else " encode"
    return None, f"{asked}{verb} {codec.name} with {depth} bits here, {codec.encoder} does"


def _notes(
    container: Container, codec: Codec, takes: ClipSpec, options: FfmpegOptions, depth: int, sound: bool
) -> list[str]:
    notes = []
    if depth != options.bit_depth:
        notes.append(f"{codec.name} always has {depth} bits")
    if codec.name == "h264" and (depth > 8 or _chroma(codec, options) != "4:2:0"):
        notes.append("browsers and televisions play h264 with 8 bits and 4:2:0 only; hevc or av1 carry more")
    if container.clock and container.clock % takes.fps:
        notes.append(f"{container.name} counts time in 1/{container.clock} s: frames stand up to half of that off")
    if sound and not container.sound_copied:
        notes.append(f"{container.name} has no sound: the footage's is left out")
    return notes
