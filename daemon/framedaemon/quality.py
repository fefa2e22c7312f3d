"""The gate between "encoded" and "done": no black, frozen, NaN, short or wrongly tagged video gets through.

    the file ─▶ read back ─▶ what it says, when its frames are shown ──▶ the promise (VideoSpec)
                        └──▶ fingerprints ───────────────────────────▶ the frames that were streamed ─▶ the source

Every check has a name and says what was found and what was promised. A file that fails one is a failed attempt.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from framedaemon.clip import show_rate
from framedaemon.drawn import blank_frames, is_black, stands_still
from framedaemon.fingerprint import Fingerprints
from framedaemon.likeness import Likeness, name_frames
from framedaemon.readback import Said, Shown, Unreadable, read_back
from framedaemon.sources import Footage, Source
from framedaemon.stages import VideoSpec

# H.273's numbers for BT.709, and ffmpeg's for limited range.
_BT709_LIMITED = (1, 1, 1, 1)
_TAG_NAMES = ("matrix", "primaries", "transfer", "range")
# Matroska keeps a frame's length in whole nanoseconds.
_RATE_ERROR = Fraction(1, 100_000)
# Seconds. Sound comes in packets, and encoders put silence before it: up to 0.05 s for AAC at 22 kHz.
_SOUND_LATE = Fraction(1, 10)
_SOUND_SHORT = Fraction(1, 2)


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at."""

    name: str
    passed: bool
    detail: str
    """What was found; where it failed, what was promised too."""


@dataclass(frozen=True, slots=True)
class GateReport:
    """What the gate found."""

    checks: tuple[Check, ...]
    errors: dict[str, float] = field(default_factory=dict)
    """The codec's usual and worst error over the frames, in levels."""

    @property
    def passed(self) -> bool:
        return all(check.passed for check in self.checks)

    @property
    def failures(self) -> list[str]:
        """A line for each check that failed, its name first."""
        return [f"{check.name}: {check.detail}" for check in self.checks if not check.passed]

    def to_json(self) -> dict[str, Any]:
        """For the receipt."""
        return {"passed": self.passed, "checks": [asdict(check) for check in self.checks], **self.errors}


@dataclass(slots=True)
class _Times:
    """When the frames of a file are shown, held against an even pace while they come."""

    fps: Fraction
    count: int = 0
    first: Fraction = Fraction(0)
    last: Fraction = Fraction(0)
    end: Fraction = Fraction(0)
    furthest: Fraction = Fraction(0)
    furthest_frame: int = 0
    sizes: set[tuple[int, int]] = field(default_factory=set)

    def see(self, shown: Shown) -> None:
        if self.count == 0:
            self.first = shown.time
        off = abs(shown.time - self.first - self.count / self.fps)
        if off > self.furthest:
            self.furthest, self.furthest_frame = off, self.count
        self.last, self.end = shown.time, shown.time + shown.length
        self.sizes.add((shown.width, shown.height))
        self.count += 1


def inspect(
    video: Path,
    promised: VideoSpec,
    streamed: Fingerprints,
    source: Source,
    *,
    sources_at: Sequence[tuple[int, int]],
    still: bool = False,
    threads: int = 0,
) -> GateReport:
    """Decode the whole of ``video`` and hold it against what was promised, what was streamed, and the source.

    sources_at: (output frame, source frame) for each frame that is an untouched source frame.
    still: the clip is meant not to move.  threads: of the decoder; 0: as many as there are cores.
    """
    likeness, times = Likeness(streamed), _Times(promised.fps)
    said: Said | None = None
    sound: dict[int, Fraction] = {}
    trouble = ""
    try:
        with read_back(video, promised.fps, threads) as file:
            said, sound = file.said, file.sound
            for shown in file.frames:
                times.see(shown)
                likeness.see(shown.fingerprint)
    except Unreadable as error:
        trouble = f"stopped after {times.count} frames: {error}"
    checks = [_check("decodes", [trouble] if trouble else [], f"{times.count} frames")]
    if said is not None:
        checks += _check_file(said, times, promised)
        if promised.sound:
            checks.append(_check_sound(sound, promised, source))
    checks += [
        _check("content", likeness.wrong_content(), "each frame is the one that was encoded"),
        _check("colour", likeness.wrong_colours(), "colours are those that were encoded"),
        *_check_drawn(streamed, source, sources_at, likeness.frozen(), still),
    ]
    return GateReport(tuple(checks), likeness.errors())


def _check(name: str, problems: Iterable[str], detail: str) -> Check:
    found = "; ".join(problems)
    return Check(name, not found, found or detail)


def _check_file(said: Said, times: _Times, promised: VideoSpec) -> Iterator[Check]:
    """Everything that can be said of a file without looking at its pictures."""
    yield _equal("frames", times.count, promised.frames)
    sizes = {f"{width}x{height}" for width, height in times.sizes or {(said.width, said.height)}}
    yield _equal("size", " and ".join(sorted(sizes)), f"{promised.width}x{promised.height}")
    yield _check_rate(said, times, promised)
    yield _check_duration(said, times, promised)
    yield _check_timestamps(said, times, promised)
    yield _equal("codec", said.codec, promised.codec)
    if said.pixel_format is not None:
        yield _equal("pixel_format", said.pixel_format, promised.pixel_format)
    if promised.tagged:
        wrong = [
            f"{name} is {found}, promised was {wanted}"
            for name, found, wanted in zip(_TAG_NAMES, said.tags, _BT709_LIMITED, strict=True)
            if found != wanted
        ]
        yield _check("tags", wrong, "BT.709, limited range")


def _equal(name: str, found: object, promised: object) -> Check:
    return _check(name, [] if found == promised else [f"found {found}, promised was {promised}"], str(found))


def _check_rate(said: Said, times: _Times, promised: VideoSpec) -> Check:
    """The rate that the container declares; and that at which frames come, as exactly as its clock can tell."""
    problems = []
    if said.rate is not None and abs(said.rate - promised.fps) > promised.fps * _RATE_ERROR:
        problems.append(f"the file says {show_rate(said.rate)} fps, promised were {show_rate(promised.fps)}")
    gaps, span = times.count - 1, times.last - times.first
    if gaps > 0 and abs(span - gaps / promised.fps) > 2 * said.tick:
        shown = show_rate(gaps / span) if span > 0 else "all"
        problems.append(f"frames come at {shown} fps, promised were {show_rate(promised.fps)}")
    return _check("rate", problems, f"{show_rate(promised.fps)} fps")


def _check_duration(said: Said, times: _Times, promised: VideoSpec) -> Check:
    wanted, found = promised.frames / promised.fps, times.end - times.first
    if times.end == times.last:  # nothing is said of how long the last frame stays
        found += 1 / promised.fps
    wrong = times.count > 0 and abs(found - wanted) > 2 * said.tick
    problem = f"found {float(found):.3f} s, promised were {float(wanted):.3f} s"
    return _check("duration", [problem] if wrong else [], f"{float(found):.3f} s")


def _check_timestamps(said: Said, times: _Times, promised: VideoSpec) -> Check:
    """The first frame at 0, the others evenly behind it, all within a tick of the container's clock."""
    problems = []
    late = _SOUND_LATE if promised.sound else said.tick
    if abs(times.first) > late:
        problems.append(f"the first frame comes at {float(times.first):.3f} s and not at 0")
    if times.furthest > said.tick:
        problems.append(f"frame {times.furthest_frame} comes {float(times.furthest):.3f} s off its time")
    return _check("timestamps", problems, f"even within {float(times.furthest) * 1000:.1f} ms")


def _check_sound(sound: dict[int, Fraction], promised: VideoSpec, source: Source) -> Check:
    if not sound:
        return _check("sound", ["there is none, and it was promised"], "")
    longest = max(sound.values())
    wanted = _sound_in(source, promised.frames / promised.fps)
    problems = []
    if longest < wanted - _SOUND_SHORT:
        problems.append(f"found {float(longest):.2f} s, the source has {float(wanted):.2f} s for this video")
    if longest > promised.frames / promised.fps + _SOUND_SHORT:
        problems.append(f"found {float(longest):.2f} s, the video lasts {float(promised.frames / promised.fps):.2f} s")
    return _check("sound", problems, f"{len(sound)} tracks, {float(longest):.2f} s")


def _sound_in(source: Source, seconds: Fraction) -> Fraction:
    """Seconds of sound that a source has while its picture is shown; 0 where its file does not say."""
    if not isinstance(source, Footage):
        return Fraction(0)
    try:
        with av.open(f"file:{source.path.absolute()}", metadata_errors="replace") as file:
            video = file.streams.video[0]
            begin = (video.start_time or 0) * (video.time_base or Fraction(0))
            longest = Fraction(0)
            for track in file.streams.audio:
                if track.duration is not None and track.time_base is not None:
                    start = (track.start_time or 0) * track.time_base
                    end = min(begin + seconds, start + track.duration * track.time_base)
                    longest = max(longest, end - max(begin, start))
            return longest
    except (av.FFmpegError, OSError, IndexError):
        return Fraction(0)


def _check_drawn(
    streamed: Fingerprints, source: Source, sources_at: Sequence[tuple[int, int]], frozen: list[str], still: bool
) -> Iterator[Check]:
    """What no codec is to blame for, and where the file stands still."""
    blank = blank_frames(streamed, source, sources_at)
    black = [index for index in blank if is_black(streamed, index)]
    other = [index for index in blank if not is_black(streamed, index)]
    yield _check("black", [f"{name_frames(black)} black, which the source is not"] if black else [], "none")
    yield _check(
        "nan",
        [f"{name_frames(other)} of one flat colour, as NaN leaves behind"] if other else [],
        "no trace",
    )
    if not still and stands_still(streamed, source):
        frozen = [*frozen, f"all {len(streamed)} frames are the same, and the picture has something to move over"]
    yield _check("frozen", frozen, "it moves as drawn")
