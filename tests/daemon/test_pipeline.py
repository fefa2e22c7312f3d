"""Whole runs of the pipeline, with stages that break in every way and in every place."""

from __future__ import annotations

import errno
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Literal

import pytest

from fakes import Blend, BlendOptions, Raw, RawOptions, Squares, SquaresOptions, machine, offering, picture
from framedaemon import Clip, Delivery, Frame, Gap, Placement, Scratch, Source
from framedaemon.errors import DiskFull, FramedaemonError, JobRejected, OutOfMemory, StageFailed
from framedaemon.pipeline import Made, run
from framedaemon.plan import Plan, make_plan
from framedaemon.plugins import Registry, load_plugins
from framedaemon.recipe import InterpolateChoice, Recipe, StageChoice
from framedaemon.stages import Encode, Fill, Filled, Generate

Act = Callable[[int], None]


def quietly(index: int) -> None:
    """Nothing out of the ordinary happens at this frame."""


@dataclass(eq=False)
class Drawing(Squares):
    """Squares, with something that happens before each frame."""

    act: Act = quietly
    scratch: list[Path] = field(default_factory=list)

    @contextmanager
    def load(self, placement: Placement, options: SquaresOptions) -> Iterator[Generate]:
        with super().load(placement, options) as generate:

            def draw(source: Source, scratch: Scratch) -> Iterator[Frame]:
                self.scratch.append(scratch.folder)
                for index, frame in enumerate(generate(source, scratch)):
                    self.act(index)
                    yield frame

            yield draw


@dataclass(eq=False)
class Filling(Blend):
    """Blend, with something that happens before each gap."""

    act: Act = quietly

    @contextmanager
    def load(self, placement: Placement, options: BlendOptions) -> Iterator[Fill]:
        with super().load(placement, options) as fill:

            def filled(gaps: Iterable[Gap]) -> Iterator[Filled]:
                for index, answer in enumerate(fill(gaps)):
                    self.act(index)
                    yield answer

            yield filled


@dataclass(eq=False)
class Writing(Raw):
    """Raw, with something that happens before each frame; leaves what it has written, as a killed ffmpeg does."""

    act: Act = quietly

    @contextmanager
    def load(self, placement: Placement, options: RawOptions) -> Iterator[Encode]:
        with super().load(placement, options):

            def encode(clip: Clip, delivery: Delivery) -> None:
                with delivery.output.open("xb") as file:
                    for index, frame in enumerate(clip):
                        self.act(index)
                        file.write(frame.tobytes())
                        file.flush()

            yield encode


class Bench:
    """A registry of three stages beside the shipped ones, and a folder to run in."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.drawing, self.filling, self.writing = Drawing(), Filling(), Writing()
        self.registry: Registry = load_plugins(None)
        self.registry.add("fakes", "tests", offering(self.drawing, self.filling, self.writing))
        self.reports: list[tuple[str, int, int]] = []

    def plan(self, encoder: str = "raw", frames: int = 8, **encode: str | int) -> Plan:
        recipe = Recipe(
            generate=StageChoice(use="squares", options={"frames": frames}),
            interpolate=InterpolateChoice(use="blend"),
            encode=StageChoice(use=encoder, options={**encode}),
        )
        return make_plan(picture(), recipe, self.registry, machine(), seed=1)

    def run(self, plan: Plan) -> Made:
        return run(plan, self.folder, self.registry, "{}", lambda *told: self.reports.append(told))

    def part(self, kind: str) -> Drawing | Filling | Writing:
        parts: dict[str, Drawing | Filling | Writing]
        parts = {"generate": self.drawing, "interpolate": self.filling, "encode": self.writing}
        return parts[kind]

    @property
    def loaded(self) -> int:
        return self.drawing.loaded + self.filling.loaded + self.writing.loaded


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) - before == set()


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Bench, Made]:
    bench = Bench(tmp_path_factory.mktemp("finished"))
    return bench, bench.run(bench.plan("ffmpeg"))


def test_a_run_gives_a_checked_video_and_says_what_it_met(finished: tuple[Bench, Made]) -> None:
    bench, made = finished

    assert made.video == bench.folder / "video.mp4"
    assert made.bytes == made.video.stat().st_size
    assert made.gate.passed
    assert made.tally.filled == 7
    assert made.said == {"squares": {"step": 3}}


def test_a_run_times_every_stage_and_the_gate(finished: tuple[Bench, Made]) -> None:
    _, made = finished

    assert list(made.seconds) == ["squares", "blend", "ffmpeg", "quality gate"]
    assert all(seconds >= 0 for seconds in made.seconds.values())


def test_a_run_reports_every_frame_drawn_filled_in_and_shown(finished: tuple[Bench, Made]) -> None:
    bench, _ = finished

    assert [told for told in bench.reports if told[0] == "squares"] == [("squares", n, 8) for n in range(1, 9)]
    assert [told for told in bench.reports if told[0] == "blend"] == [("blend", n, 15) for n in range(1, 16)]
    assert [told for told in bench.reports if told[0] == "ffmpeg"] == [("ffmpeg", n, 15) for n in range(1, 16)]


def test_a_run_gives_back_all_that_it_loaded(finished: tuple[Bench, Made]) -> None:
    assert finished[0].loaded == 0


def test_the_time_that_a_stage_takes_to_load_is_its_own(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    load = Filling.load

    @contextmanager
    def slowly(self: Filling, placement: Placement, options: BlendOptions) -> Iterator[Fill]:
        time.sleep(0.3)
        with load(self, placement, options) as fill:
            yield fill

    monkeypatch.setattr(Filling, "load", slowly)

    seconds = bench.run(bench.plan("ffmpeg", frames=2)).seconds

    assert seconds["blend"] >= 0.3


def test_stages_work_side_by_side(bench: Bench) -> None:
    """The generator finishes only once the encoder has taken a frame: a pipeline that holds the clip never would."""
    taken = threading.Event()
    bench.writing.act = lambda index: taken.set()
    in_time = list[bool]()
    bench.drawing.act = lambda index: in_time.append(index < 7 or taken.wait(20))

    with pytest.raises(StageFailed, match="quality gate"):
        bench.run(bench.plan())

    assert all(in_time)


def test_each_stage_has_a_thread_of_its_own(bench: Bench) -> None:
    names = dict[str, str]()
    bench.drawing.act = lambda index: names.update(draw=threading.current_thread().name)
    bench.filling.act = lambda index: names.update(fill=threading.current_thread().name)
    bench.writing.act = lambda index: names.update(write=threading.current_thread().name)

    with pytest.raises(StageFailed, match="quality gate"):
        bench.run(bench.plan())

    assert names == {"draw": "generate", "fill": "interpolate", "write": threading.current_thread().name}


def test_no_stage_runs_far_ahead_of_a_slow_encoder(bench: Bench) -> None:
    drawn, leads = [0], list[float]()

    def slowly(index: int) -> None:
        time.sleep(0.002)
        leads.append(drawn[-1] - index / 2)

    bench.drawing.act = lambda index: drawn.append(index + 1)
    bench.writing.act = slowly

    with pytest.raises(StageFailed, match="quality gate"):
        bench.run(bench.plan(frames=60))

    assert max(leads) <= 12  # three in each of two hand-overs, and one in every hand


class TorchMemoryError(RuntimeError):
    """What torch raises when the device is full: no MemoryError."""


@pytest.fixture
def torch(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = ModuleType("torch")
    module.OutOfMemoryError = TorchMemoryError  # type: ignore[attr-defined]  # as the real module has it
    monkeypatch.setitem(sys.modules, "torch", module)
    return module


FAULTS = [
    (RuntimeError("it broke"), StageFailed, "RuntimeError: it broke"),
    (MemoryError(), OutOfMemory, "out of memory"),
    (TorchMemoryError("CUDA out of memory"), OutOfMemory, "CUDA out of memory"),
    (OSError(errno.ENOSPC, "No space left on device"), DiskFull, "No space left"),
    (OSError(errno.EDQUOT, "Disk quota exceeded"), DiskFull, "quota"),
    (OSError(errno.EIO, "Input/output error"), StageFailed, "Input/output"),
    (SystemExit(0), StageFailed, "SystemExit: 0"),
    (JobRejected("too wide"), JobRejected, "too wide"),
    (OutOfMemory("no room on the device"), OutOfMemory, "no room on the device"),
]


@pytest.mark.usefixtures("torch")
@pytest.mark.parametrize("kind", ["generate", "interpolate", "encode"])
@pytest.mark.parametrize(("fault", "meant", "said"), FAULTS, ids=lambda value: type(value).__name__)
def test_whatever_a_stage_raises_says_what_to_do_next_and_leaves_nothing(
    bench: Bench, kind: str, fault: BaseException, meant: type[FramedaemonError], said: str
) -> None:
    bench.part(kind).act = lambda index: _raise_at(3, index, fault)

    with pytest.raises(FramedaemonError, match=said) as caught:
        bench.run(bench.plan())

    assert type(caught.value) is meant
    assert bench.loaded == 0
    assert not (bench.folder / "video.raw").exists()


@pytest.mark.parametrize("kind", ["generate", "interpolate", "encode"])
def test_a_stage_that_cannot_be_loaded_gives_back_the_others(
    bench: Bench, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def broken(self: object, placement: Placement, options: object) -> Iterator[None]:
        raise OutOfMemory("the model does not fit")
        yield

    monkeypatch.setattr(type(bench.part(kind)), "load", broken)

    with pytest.raises(OutOfMemory, match="does not fit"):
        bench.run(bench.plan())

    assert bench.loaded == 0


def test_an_interrupt_stays_one_and_leaves_nothing(bench: Bench) -> None:
    bench.writing.act = lambda index: _raise_at(3, index, KeyboardInterrupt())

    with pytest.raises(KeyboardInterrupt):
        bench.run(bench.plan())

    assert bench.loaded == 0
    assert not (bench.folder / "video.raw").exists()


def test_an_encoder_that_does_not_take_every_frame_failed(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def take_one(clip: Clip, delivery: Delivery) -> None:
        delivery.output.write_bytes(next(iter(clip)).tobytes())

    @contextmanager
    def early(self: Raw, placement: Placement, options: RawOptions) -> Iterator[Encode]:
        yield take_one

    monkeypatch.setattr(Writing, "load", early)

    with pytest.raises(StageFailed, match="raw: took 1 of 15 frames"):
        bench.run(bench.plan())


def test_a_generator_that_breaks_its_promise_is_named(bench: Bench) -> None:
    plan = bench.plan()

    with pytest.raises(StageFailed, match="squares: made 8 frames, promised were 9"):
        bench.run(replace(plan, drawn=replace(plan.drawn, frames=9), timeline=replace(plan.timeline, source_frames=9)))


def test_a_video_that_does_not_pass_the_gate_is_a_failure_and_does_not_stay(bench: Bench) -> None:
    with pytest.raises(StageFailed, match=r"did not pass the quality gate: decodes"):
        bench.run(bench.plan())

    assert not (bench.folder / "video.raw").exists()


def test_another_attempt_discards_the_half_video_and_keeps_the_checkpoints(bench: Bench) -> None:
    found = list[bool]()
    bench.drawing.act = lambda index: found.append(_checkpoint(bench.drawing.scratch[-1]))
    (bench.folder / "video.mp4").write_bytes(b"half a video, left by a kill")
    (bench.folder / "generate").mkdir()
    (bench.folder / "generate" / "latents").touch()

    made = bench.run(bench.plan("ffmpeg", frames=2))

    assert made.gate.passed
    assert found == [True, True]


def test_another_attempt_discards_half_a_folder_of_pictures(bench: Bench) -> None:
    half = bench.folder / "video"
    half.mkdir()
    (half / "frame_000099.png").touch()

    made = bench.run(bench.plan("ffmpeg", frames=2, container="png"))

    assert sorted(path.name for path in made.video.iterdir()) == [f"frame_00000{n}.png" for n in range(3)]


@pytest.mark.parametrize(("frames", "every", "passes"), [(25, 10, 3), (81, 10, 9), (161, 3, 54)])
def test_the_accelerators_cache_is_cleared_as_often_as_the_policy_says(
    bench: Bench, torch: ModuleType, frames: int, every: int, passes: int
) -> None:
    cleared = list[None]()
    torch.cuda = SimpleNamespace(empty_cache=lambda: cleared.append(None))  # type: ignore[attr-defined]  # as real
    plan = bench.plan(frames=frames)
    placement = replace(plan.generate.placement, device="cuda:0", clear_cache_every=every)

    with pytest.raises(StageFailed, match="quality gate"):
        bench.run(replace(plan, generate=replace(plan.generate, placement=placement)))

    assert len(cleared) == passes


@pytest.mark.parametrize("where", ["memory", "png"])
def test_a_spooled_generator_is_unloaded_before_the_interpolator_is_loaded(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, where: Literal["memory", "png"]
) -> None:
    load, drawing_was_loaded = Filling.load, list[int]()

    @contextmanager
    def watched(self: Filling, placement: Placement, options: BlendOptions) -> Iterator[Fill]:
        drawing_was_loaded.append(bench.drawing.loaded)
        with load(self, placement, options) as fill:
            yield fill

    monkeypatch.setattr(Filling, "load", watched)
    plan = bench.plan("ffmpeg")
    spooled = replace(plan, generate=replace(plan.generate, placement=replace(plan.generate.placement, spool=where)))

    made = bench.run(spooled)

    assert drawing_was_loaded == [0]
    assert made.tally.filled == 7
    assert list((bench.folder / "frames").rglob("*.png")) == []


def _raise_at(wanted: int, index: int, error: BaseException) -> None:
    if index == wanted:
        raise error


def _checkpoint(folder: Path) -> bool:
    return (folder / "latents").exists()
