"""Attempts that break in the middle of a long clip, and those that go on behind its finished parts."""

from __future__ import annotations

import errno
import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import av
import numpy as np
import pytest

from fakes import Blend, BlendOptions, Squares, SquaresOptions, machine, offering, picture
from framedaemon import Clip, ClipSpec, Delivery, Frame, Gap, Placement, Scratch, Source, VideoSpec
from framedaemon.errors import DiskFull, FramedaemonError, Halted, OutOfMemory, StageFailed
from framedaemon.halting import Halting
from framedaemon.opening import Limits, open_source
from framedaemon.pipeline import Made, run
from framedaemon.plan import Plan, make_plan
from framedaemon.plugins import Registry, load_plugins
from framedaemon.recipe import InterpolateChoice, Recipe, StageChoice
from framedaemon.stages import Encode, Fill, Filled, Generate
from framedaemon_ffmpeg.options import FfmpegOptions
from framedaemon_ffmpeg.stage import Ffmpeg
from made_clips import make_video

FRAMES = 200
"""That are drawn; twice as many less one are shown."""
CUTS = (0, 199, 399)


@dataclass(eq=False)
class Seeking(Squares):
    """Squares that can begin anywhere, and counts what it draws."""

    name: str = "seeking"
    seeks: bool = True
    drawn: list[int] = field(default_factory=list)

    @contextmanager
    def load(self, placement: Placement, options: SquaresOptions) -> Iterator[Generate]:
        with super().load(placement, options) as generate:

            def draw(source: Source, scratch: Scratch) -> Iterator[Frame]:
                for index, frame in enumerate(generate(source, scratch)):
                    if index >= scratch.start or not self.seeks:
                        self.drawn.append(index)
                        yield frame

            yield draw


@dataclass(eq=False)
class Leaning(Blend):
    """Blend, a little brighter wherever the gap before was a neighbour: it must look back by one."""

    name: str = "leaning"
    looks_back: ClassVar[int] = 1
    filled: int = 0
    pause: float = 0.0
    """Seconds that each gap takes from the 190th frame on."""

    @contextmanager
    def load(self, placement: Placement, options: BlendOptions) -> Iterator[Fill]:
        def fill(gaps: Iterable[Gap]) -> Iterator[Filled]:
            last = None
            for gap in gaps:
                self.filled += 1
                if self.filled > 95:
                    time.sleep(self.pause)
                light = 12 if last is not None and last.x1 is gap.x0 else 0
                last = gap
                mean = gap.x0 // 2 + gap.x1 // 2
                yield [np.clip(mean.astype(np.int16) + light, 0, 255).astype(gap.x0.dtype) for _ in gap.times]

        yield fill


@dataclass(eq=False)
class Joining(Ffmpeg):
    """ffmpeg, with something that happens when parts are joined."""

    name: str = "joining"  # type: ignore[misc]  # a field here
    act: Callable[[], None] = lambda: None
    joined: int = 0
    encoded: list[int] = field(default_factory=list)

    @contextmanager
    def load(self, placement: Placement, options: FfmpegOptions) -> Iterator[Encode]:
        with super().load(placement, options) as encode:

            def counted(clip: Clip, delivery: Delivery) -> None:
                self.encoded.append(clip.spec.frames)
                encode(clip, delivery)

            yield counted

    def join(self, parts: Sequence[Path], takes: ClipSpec, delivery: Delivery, options: FfmpegOptions) -> None:
        self.joined += 1
        self.act()
        super().join(parts, takes, delivery, options)


class Bench:
    """Stages that count, and folders to run in."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.drawing, self.filling, self.joining = Seeking(), Leaning(), Joining()
        self.registry = self.load(None)
        self.told: list[tuple[str, int, int]] = []

    def load(self, plugins: Path | None) -> Registry:
        """Our stages, and the drop-in plugins of a folder, as a worker that starts finds them."""
        registry = load_plugins(plugins)
        registry.add("fakes", "tests", offering(self.drawing, self.filling, Blend()))
        registry.add("joining", "tests", _encoders(self.joining))
        return registry

    def plan(self, loop: bool = False, filling: str = "leaning", fps: str = "32", **encode: Any) -> Plan:
        recipe = Recipe(
            generate=StageChoice(use="seeking", options={"frames": FRAMES, "step": 1}),
            interpolate=InterpolateChoice(use=filling, fps=fps, loop=loop),
            encode=StageChoice(use="joining", options={"preset": "ultrafast", "threads": 1, **encode}),
        )
        return make_plan(picture(), recipe, self.registry, machine(), seed=1)

    def run(self, plan: Plan, name: str = "job", comment: str = '{"source": "a"}') -> Made:
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        return run(plan, folder, self.registry, comment, lambda *told: self.told.append(told))

    def break_at(self, plan: Plan, frame: int, error: BaseException, name: str = "job") -> None:
        """Run until ``frame`` goes into the encoder; begin counting anew then."""
        folder = self.folder / name
        folder.mkdir(exist_ok=True)

        def report(what: str, done: int, total: int) -> None:
            if (what, done) == ("joining", frame):
                raise error

        with pytest.raises((FramedaemonError, KeyboardInterrupt)):
            run(plan, folder, self.registry, '{"source": "a"}', report)
        self.drawing.drawn.clear()
        self.joining.encoded.clear()
        self.filling.filled = 0

    def halt_at(self, plan: Plan, frame: int, seconds: float) -> None:
        """Run, and ask to halt within ``seconds`` when ``frame`` goes into the encoder."""
        halting, folder = Halting(), self.folder / "job"
        folder.mkdir()

        def report(what: str, done: int, total: int) -> None:
            if (what, done) == ("joining", frame):
                halting.ask(seconds)

        with pytest.raises(Halted):
            run(plan, folder, self.registry, '{"source": "a"}', report, halting)

    def left(self) -> list[str]:
        folder = self.folder / "job" / "segments"
        return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def _encoders(*stages: Ffmpeg) -> object:
    from fakes import plugin

    return plugin(encoders=lambda: list(stages))


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def pictures(video: Path) -> list[bytes]:
    """Each decoded frame, to the bit."""
    with av.open(str(video)) as file:
        return [hashlib.sha256(b"".join(map(bytes, frame.planes))).digest() for frame in file.decode(video=0)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Bench, Made, list[bytes]]:
    """A run that nothing disturbed."""
    bench = Bench(tmp_path_factory.mktemp("whole"))
    made = bench.run(bench.plan())
    return bench, made, pictures(made.video)


PARTS = ["000000.json", "000000.mp4"]


def test_a_long_clip_is_encoded_in_parts_and_joined(whole: tuple[Bench, Made, list[bytes]]) -> None:
    bench, made, shown = whole

    assert bench.plan().cuts == CUTS
    assert bench.joining.encoded == [199, 200]
    assert bench.joining.joined == 1
    assert len(shown) == 399
    assert made.gate.passed
    assert made.resumed_at == 0
    assert made.tally.filled == 199


@pytest.mark.parametrize(("frame", "left"), [(190, []), (300, PARTS)])
def test_a_clip_that_is_to_halt_now_keeps_the_parts_that_are_whole(
    bench: Bench, whole: tuple[Bench, Made, list[bytes]], frame: int, left: list[str]
) -> None:
    bench.halt_at(bench.plan(), frame, seconds=0)

    kept = bench.left()
    made = bench.run(bench.plan())

    assert kept == left
    assert made.resumed_at == (199 if left else 0)
    assert pictures(made.video) == whole[2]


def test_a_part_that_can_be_whole_in_time_is_finished_before_a_clip_halts(bench: Bench) -> None:
    """Nothing is lost: the frame that is too much for the time belongs to the next part."""
    slow = bench.plan()
    bench.filling.pause = 0.1

    bench.halt_at(slow, 195, seconds=2.0)

    assert bench.left() == PARTS


def test_parts_stay_until_the_video_is_published(whole: tuple[Bench, Made, list[bytes]]) -> None:
    """The service may be killed before it hears of the video: then it is only joined and checked again."""
    bench, made, shown = whole
    drawn = len(bench.drawing.drawn)

    again = bench.run(bench.plan())

    assert again.resumed_at == 399
    assert again.tally == made.tally
    assert len(bench.drawing.drawn) == drawn
    assert pictures(again.video) == shown


@pytest.mark.parametrize("error", [KeyboardInterrupt(), DiskFull("full"), RuntimeError("broke")])
def test_another_attempt_goes_on_behind_the_finished_parts(
    bench: Bench, whole: tuple[Bench, Made, list[bytes]], error: BaseException
) -> None:
    bench.break_at(bench.plan(), CUTS[1] + 50, error)
    left = bench.left()

    made = bench.run(bench.plan())

    assert left == PARTS, "the part that was begun is gone"
    assert made.resumed_at == CUTS[1]
    assert bench.joining.encoded == [200]
    assert pictures(made.video) == whole[2]
    assert made.tally == whole[1].tally
    assert made.gate == whole[1].gate


def test_no_more_is_drawn_and_filled_than_the_part_needs(bench: Bench) -> None:
    """Frame 199 lies behind source 99; to fill its gap the one before it is looked at."""
    bench.break_at(bench.plan(), CUTS[1] + 50, KeyboardInterrupt())

    bench.run(bench.plan())

    assert bench.drawing.drawn == list(range(98, FRAMES))
    assert bench.filling.filled == 101


def test_progress_goes_on_where_it_was(bench: Bench) -> None:
    bench.break_at(bench.plan(), CUTS[1] + 50, KeyboardInterrupt())

    bench.run(bench.plan())

    encoding = [told for told in bench.told if told[0] == "joining"]
    assert encoding[:2] == [("joining", 199, 399), ("joining", 200, 399)]
    assert encoding[-1] == ("joining", 399, 399)
    assert next(told for told in bench.told if told[0] == "seeking") == ("seeking", 99, 200)


def test_a_generator_that_cannot_begin_anywhere_begins_at_the_beginning(
    bench: Bench, whole: tuple[Bench, Made, list[bytes]]
) -> None:
    bench.drawing.seeks = False
    bench.break_at(bench.plan(), CUTS[1] + 50, KeyboardInterrupt())

    made = bench.run(bench.plan())

    assert bench.drawing.drawn == list(range(FRAMES))
    assert made.resumed_at == CUTS[1]
    assert pictures(made.video) == whole[2]


def test_an_interpolator_that_does_not_say_how_far_it_looks_back_sees_all(bench: Bench) -> None:
    plan = bench.plan(filling="blend")
    undisturbed = pictures(bench.run(plan, "undisturbed").video)
    bench.break_at(plan, CUTS[1] + 50, KeyboardInterrupt())

    made = bench.run(plan)

    assert bench.drawing.drawn == list(range(FRAMES))
    assert (made.resumed_at, pictures(made.video)) == (CUTS[1], undisturbed)


@pytest.mark.parametrize(("fps", "seeks"), [("32", True), ("32000/1001", False), ("37", True)])
def test_a_loop_closes_on_its_first_frame_all_the_same(bench: Bench, fps: str, seeks: bool) -> None:
    bench.drawing.seeks = seeks
    plan = bench.plan(loop=True, fps=fps)
    undisturbed = bench.run(plan, "undisturbed")
    bench.break_at(plan, plan.cuts[-2] + 50, KeyboardInterrupt())

    made = bench.run(plan)

    assert made.resumed_at == plan.cuts[-2]
    assert pictures(made.video) == pictures(undisturbed.video)
    assert made.tally == undisturbed.tally


def test_footage_goes_on_with_its_sound(bench: Bench) -> None:
    """Frames before the part are decoded, but not converted; sound comes with the joining."""
    path = make_video(bench.folder / "film.mp4", 400, sound=True)
    recipe = Recipe(
        generate=StageChoice(use="video"),
        interpolate=InterpolateChoice(use="none"),
        encode=StageChoice(use="joining", options={"preset": "ultrafast", "threads": 1}),
    )
    plan = make_plan(open_source(path, path.name, Limits()), recipe, bench.registry, machine(), seed=1)
    undisturbed = bench.run(plan, "undisturbed")
    bench.break_at(plan, plan.cuts[1] + 50, KeyboardInterrupt())

    made = bench.run(plan)

    assert made.resumed_at == plan.cuts[1] == 200
    assert pictures(made.video) == pictures(undisturbed.video)
    assert made.gate == undisturbed.gate
    assert "sound" in [check.name for check in made.gate.checks]


@pytest.mark.parametrize("where", ["memory", "png"])
def test_a_spooled_clip_goes_on_too(
    bench: Bench, whole: tuple[Bench, Made, list[bytes]], where: Literal["memory", "png"]
) -> None:
    plan = bench.plan()
    spooled = replace(plan, generate=replace(plan.generate, placement=replace(plan.generate.placement, spool=where)))
    bench.break_at(spooled, CUTS[1] + 50, OutOfMemory("full"))

    made = bench.run(spooled)

    assert bench.drawing.drawn == list(range(98, FRAMES))
    assert (made.resumed_at, pictures(made.video)) == (CUTS[1], whole[2])


def test_a_smaller_placement_keeps_what_is_finished(bench: Bench, whole: tuple[Bench, Made, list[bytes]]) -> None:
    plan = bench.plan()
    bench.break_at(plan, CUTS[1] + 50, OutOfMemory("full"))
    smaller = replace(plan.generate.placement, tile=256, threads=1, reason="smaller")

    made = bench.run(replace(plan, generate=replace(plan.generate, placement=smaller, rung=1)))

    assert (made.resumed_at, pictures(made.video)) == (CUTS[1], whole[2])


@pytest.mark.parametrize(
    ("changed", "comment"),
    [({"crf": 30}, '{"source": "a"}'), ({"container": "mov"}, '{"source": "a"}'), ({}, '{"source": "b"}')],
)
def test_parts_of_another_video_are_not_taken(bench: Bench, changed: dict[str, Any], comment: str) -> None:
    bench.break_at(bench.plan(), CUTS[1] + 50, KeyboardInterrupt())

    made = bench.run(bench.plan(**changed), comment=comment)

    assert made.resumed_at == 0
    assert bench.drawing.drawn == list(range(FRAMES))


def test_parts_that_another_version_made_are_not_taken(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.break_at(bench.plan(), CUTS[1] + 50, KeyboardInterrupt())
    monkeypatch.setattr("framedaemon.pipeline.versions", lambda: {"framedaemon": "99"})

    assert bench.run(bench.plan()).resumed_at == 0


@pytest.fixture
def dropped_in(bench: Bench) -> Path:
    """A plugin that is a file, loaded."""
    path = bench.folder / "plugins" / "mine.py"
    path.parent.mkdir(0o755)
    path.write_text("x = 1\n")
    bench.registry = bench.load(path.parent)
    assert bench.registry.plugins["mine"].state == "ready"
    return path


def test_parts_that_a_drop_in_plugin_made_are_taken_while_it_is_the_same(bench: Bench, dropped_in: Path) -> None:
    bench.break_at(bench.plan(), CUTS[1] + 50, KeyboardInterrupt())

    bench.registry = bench.load(dropped_in.parent)

    assert bench.run(bench.plan()).resumed_at == CUTS[1]


def test_parts_that_a_drop_in_plugin_made_are_not_taken_once_it_has_changed(bench: Bench, dropped_in: Path) -> None:
    bench.break_at(bench.plan(), CUTS[1] + 50, KeyboardInterrupt())

    dropped_in.write_text("x = 22\n")
    bench.registry = bench.load(dropped_in.parent)

    assert bench.run(bench.plan()).resumed_at == 0


def test_parts_of_a_worker_whose_plugin_has_changed_since_it_was_loaded_are_not_taken_by_the_next(
    bench: Bench, dropped_in: Path
) -> None:
    """The parts are the old plugin's, though its file was the new one when they were made."""
    dropped_in.write_text("x = 22\n")
    bench.break_at(bench.plan(), CUTS[1] + 50, KeyboardInterrupt())

    bench.registry = bench.load(dropped_in.parent)

    assert bench.run(bench.plan()).resumed_at == 0


def test_a_joining_that_fails_does_not_repeat_itself(bench: Bench) -> None:
    """One of the parts may be at fault: another attempt makes them all anew."""
    bench.joining.act = lambda: _raise(RuntimeError("no moov atom"))

    with pytest.raises(StageFailed, match="joining: RuntimeError: no moov atom"):
        bench.run(bench.plan())

    assert bench.left() == []
    assert not (bench.folder / "job" / "video.mp4").exists()


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_a_joining_that_finds_no_room_or_is_killed_goes_on_by_itself(
    bench: Bench, whole: tuple[Bench, Made, list[bytes]], error: BaseException
) -> None:
    bench.joining.act = lambda: _raise(error)
    with pytest.raises((DiskFull, KeyboardInterrupt)):
        bench.run(bench.plan())
    drawn = len(bench.drawing.drawn)
    bench.joining.act = lambda: None

    made = bench.run(bench.plan())

    assert made.resumed_at == 399
    assert len(bench.drawing.drawn) == drawn
    assert pictures(made.video) == whole[2]


def test_parts_of_a_video_that_the_gate_refuses_are_not_kept(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def swap(self: Joining, parts: Sequence[Path], *given: Any) -> None:
        Ffmpeg.join(self, parts[::-1], *given)

    monkeypatch.setattr(Joining, "join", swap)

    with pytest.raises(StageFailed, match=r"quality gate: (frames|content)"):
        bench.run(bench.plan())

    assert bench.left() == []


def test_a_clip_that_ends_early_is_named_and_its_parts_stay(bench: Bench) -> None:
    """The plan promised more than is drawn."""
    plan = bench.plan()
    longer = replace(plan, drawn=replace(plan.drawn, frames=201), timeline=replace(plan.timeline, source_frames=201))
    shown = replace(plan.shown, frames=401)

    with pytest.raises(StageFailed, match="seeking: made 200 frames, promised were 201"):
        bench.run(replace(longer, shown=shown))

    assert "000000.json" in bench.left()


def test_a_video_that_cannot_be_joined_is_encoded_in_one(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    promise = Ffmpeg.promise

    def in_one(self: Ffmpeg, takes: ClipSpec, sound: bool, options: FfmpegOptions) -> VideoSpec:
        return replace(promise(self, takes, sound, options), joins=False)

    monkeypatch.setattr(Ffmpeg, "promise", in_one)

    made = bench.run(bench.plan())

    assert bench.joining.encoded == [399]
    assert bench.joining.joined == 0
    assert made.gate.passed


def test_one_encode_and_parts_show_the_same_within_the_codecs_error(whole: tuple[Bench, Made, list[bytes]]) -> None:
    errors = whole[1].gate.errors

    assert errors["worst_error_levels"] < 4


def _raise(error: BaseException) -> None:
    raise error
