"""What every generator must do, as tests to inherit.

Subclass `GeneratorContract` in a test module and give it three fixtures: ``stage``, ``source``, ``options``. Pick
options that make a short clip, and a source big enough that memory for it shows.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from framedaemon import (
    Clip,
    ClipSpec,
    Footage,
    Frame,
    Generator,
    GeneratorOptions,
    JobRejected,
    Picture,
    Placement,
    Scratch,
    Source,
)
from framedaemon.testing.asking import check_answers
from framedaemon.testing.held import check_given_back, closable, held
from framedaemon.testing.measuring import Cost, check_light, check_memory, measure_stage


class GeneratorContract:
    """Tests for a generator; a subclass's name starts with ``Test``."""

    @pytest.fixture
    def stage(self) -> Generator[Any]:
        """The generator."""
        raise NotImplementedError("a fixture `stage` that returns your generator")

    @pytest.fixture
    def source(self) -> Source:
        """What it is to work on."""
        raise NotImplementedError("a fixture `source` that returns a Picture or Footage")

    @pytest.fixture
    def options(self) -> GeneratorOptions:
        """The stage's own options for a short clip."""
        raise NotImplementedError("a fixture `options` that returns your stage's options")

    @pytest.fixture
    def placement(self) -> Placement:
        """Where it works; two threads, so that those it starts are seen to end."""
        return Placement(threads=2)

    @pytest.fixture
    def scratch(self, tmp_path: Path) -> Scratch:
        """Its corner of a job's workspace."""
        return Scratch(tmp_path)

    def test_it_says_what_it_is(self, stage: Generator[Any]) -> None:
        assert re.fullmatch(r"[a-z][a-z0-9_]*", stage.name), "a recipe's `use` names it: lower case, one word"
        assert stage.summary
        assert "\n" not in stage.summary
        assert issubclass(stage.options, GeneratorOptions)
        assert stage.accepts
        assert stage.accepts <= {"picture", "footage"}

    def test_it_keeps_its_promise(
        self, stage: Generator[Any], source: Source, options: GeneratorOptions, placement: Placement, scratch: Scratch
    ) -> None:
        """Count, shape and dtype; raises StageFailed at the first frame that is not as promised."""
        spec = stage.promise(source, options)

        with stage.load(placement, options) as generate:
            drawn = sum(1 for _ in Clip(spec, generate(source, scratch), made_by=stage.name))

        assert drawn == spec.frames

    def test_promise_and_estimate_are_pure(
        self, stage: Generator[Any], source: Source, options: GeneratorOptions
    ) -> None:
        first = _answers(stage, source, options)

        second = _answers(stage, source, options)

        assert first == second, "asked twice they say the same: what they say depends on their arguments alone"
        assert first[1].ram >= 0
        assert first[1].seconds > 0, "zero seconds: nothing can be planned with that"

    def test_every_option_is_answered_or_refused_at_its_limits(
        self, stage: Generator[Any], source: Source, options: GeneratorOptions
    ) -> None:
        """Each option of its class at the ends of its range, and at what its type alone lets through."""
        check_answers(options, lambda asked: _answers(stage, source, asked))

    @pytest.mark.parametrize(
        "size", [(16, 16), (17, 4001), (4001, 17), (9999, 8999)], ids=lambda size: "x".join(map(str, size))
    )
    def test_every_picture_is_promised_or_refused(
        self, stage: Generator[Any], options: GeneratorOptions, size: tuple[int, int]
    ) -> None:
        """Whatever its shape: JobRejected says what cannot be drawn, nothing else is raised."""
        if "picture" not in stage.accepts:
            pytest.skip("it takes no pictures")
        pixels = np.broadcast_to(np.uint8(0), (size[1], size[0], 3))  # as large as it says, without the memory

        try:
            spec, estimate = _answers(stage, Picture(pixels), options)
        except JobRejected:
            return

        assert spec.frames >= 1
        assert estimate.ram > 0, "no memory at all: a frame alone takes some"

    def test_one_frame_is_a_clip_or_refused(
        self, stage: Generator[Any], source: Source, options: GeneratorOptions, placement: Placement, scratch: Scratch
    ) -> None:
        alone = options.model_copy(update={"frames": 1})
        try:
            spec = stage.promise(source, alone)
        except JobRejected:
            pytest.skip("it refuses a clip of one frame")

        with stage.load(placement, alone) as generate:
            drawn = sum(1 for _ in Clip(spec, generate(source, scratch), made_by=stage.name))

        assert drawn == spec.frames, f"promised were {spec.frames}: look for a division by frames - 1"

    def test_a_frame_stays_as_it_is_while_the_next_is_drawn(
        self, stage: Generator[Any], source: Source, options: GeneratorOptions, placement: Placement, scratch: Scratch
    ) -> None:
        """An interpolator holds two neighbours: a buffer that is used again would make them one."""
        with stage.load(placement, options) as generate, closing(closable(generate(source, scratch))) as frames:
            first = next(frames)
            before = first.copy()
            next(frames, None)

            assert np.array_equal(first, before), "each frame has an array of its own: a buffer was used again"

    def test_the_same_seed_gives_the_same_frames(
        self, stage: Generator[Any], source: Source, options: GeneratorOptions, placement: Placement, tmp_path: Path
    ) -> None:
        seeded = options.model_copy(update={"seed": 7})
        folders = [tmp_path / "one", tmp_path / "two"]

        one, two = (_digest(stage, source, seeded, placement, folder) for folder in folders)

        assert one == two, (
            "seed every source of chance with options.seed, numpy.random.default_rng(options.seed), and write nothing "
            "into what you were given"
        )

    def test_it_goes_on_in_the_middle_as_if_it_had_come_along(
        self, stage: Generator[Any], source: Source, options: GeneratorOptions, placement: Placement, tmp_path: Path
    ) -> None:
        """Skipped where it does not say that it ``seeks``; else from any frame on, and again from the first."""
        if not getattr(stage, "seeks", False):
            pytest.skip("it does not say that it seeks")
        with stage.load(placement, options) as generate:
            whole = _digests(generate(source, Scratch(tmp_path)))
        middle = len(whole) // 2
        assert middle, "give options that make a longer clip"

        with stage.load(placement, options) as generate:
            starts = (middle, len(whole) - 1, 0)
            parts = [_digests(generate(source, Scratch(tmp_path, start=start))) for start in starts]

        same = parts == [whole[middle:], whole[-1:], whole]
        assert same, "it says that it seeks: begin at `scratch.start`, and draw each frame from its number alone"

    def test_its_preview_is_a_cheaper_clip_of_the_same_seed(
        self, stage: Generator[Any], source: Source, options: GeneratorOptions
    ) -> None:
        """Skipped where it does not say by ``previewed`` what is cheap."""
        if not hasattr(stage, "previewed"):
            pytest.skip("it does not say what is cheap")
        seeded = options.model_copy(update={"seed": 7})

        cheap = stage.previewed(seeded)

        assert type(cheap) is type(seeded)
        assert cheap.seed == 7
        (small, less), (whole, all_of_it) = (_answers(stage, source, asked) for asked in (cheap, seeded))
        assert small.width * small.height * small.frames <= whole.width * whole.height * whole.frames
        assert less.seconds <= all_of_it.seconds

    def test_it_gives_back_what_it_took(
        self, stage: Generator[Any], source: Source, options: GeneratorOptions, placement: Placement, tmp_path: Path
    ) -> None:
        """Threads and open files are as before. The first run may leave what stays with the process for good."""
        _digest(stage, source, options, placement, tmp_path / "first")
        before = held()

        _digest(stage, source, options, placement, tmp_path / "second")

        check_given_back(before)

    def test_closing_it_early_cleans_up(
        self, stage: Generator[Any], source: Source, options: GeneratorOptions, placement: Placement, tmp_path: Path
    ) -> None:
        _digest(stage, source, options, placement, tmp_path / "first")
        before = held()

        with stage.load(placement, options) as generate:
            frames = closable(generate(source, _scratch(tmp_path / "second")))
            next(frames)
            frames.close()

        check_given_back(before)

    def test_a_source_that_it_does_not_accept_is_refused(
        self, stage: Generator[Any], options: GeneratorOptions, tmp_path: Path
    ) -> None:
        sources: tuple[Source, ...] = (
            Picture(np.zeros((32, 32, 3), np.uint8)),
            Footage(tmp_path / "none.mp4", width=32, height=32, frames=2, fps=Fraction(25)),
        )
        strangers = [source for source in sources if source.kind not in stage.accepts]
        if not strangers:
            pytest.skip("it accepts every kind of source")

        with pytest.raises(JobRejected):
            stage.promise(strangers[0], options)

    def test_nothing_heavy_is_imported_before_load(
        self, stage: Generator[Any], source: Source, options: GeneratorOptions, placement: Placement, tmp_path: Path
    ) -> None:
        check_light(measure(stage, source, options, placement, tmp_path, draw=False))

    def test_it_takes_no_more_memory_than_it_said(
        self, stage: Generator[Any], source: Source, options: GeneratorOptions, placement: Placement, tmp_path: Path
    ) -> None:
        """Resident memory at its peak, in a process of its own; libraries that `load` imports count."""
        check_memory(measure(stage, source, options, placement, tmp_path))


def measure(
    stage: Generator[Any],
    source: Source,
    options: GeneratorOptions,
    placement: Placement,
    folder: Path,
    *,
    draw: bool = True,
) -> Cost:
    """What the stage costs in a fresh process; without ``draw`` it only promises and estimates there."""
    return measure_stage("generate", stage, placement, folder, takes=source, options=options, run=draw)


def _answers(stage: Generator[Any], source: Source, options: GeneratorOptions) -> tuple[ClipSpec, Any]:
    spec = stage.promise(source, options)
    return spec, stage.estimate(source, spec, options)


def _digests(frames: Iterable[Frame]) -> list[bytes]:
    """One for each frame."""
    return [hashlib.sha256(np.ascontiguousarray(frame).data).digest() for frame in frames]


def _digest(
    stage: Generator[Any], source: Source, options: GeneratorOptions, placement: Placement, folder: Path
) -> str:
    """One number for all frames of a run in a new ``folder``."""
    digest = hashlib.sha256()
    with stage.load(placement, options) as generate:
        for frame in generate(source, _scratch(folder)):
            digest.update(np.ascontiguousarray(frame).data)
    return digest.hexdigest()


def _scratch(folder: Path) -> Scratch:
    folder.mkdir()
    return Scratch(folder)
