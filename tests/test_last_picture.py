"""Two pictures, a clip from one to the other: through the whole daemon, by hand, and again from the receipt."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from framedaemon import receipt, replaying, single
from framedaemon.approval import approve, waiting_in
from framedaemon.errors import JobRejected
from framedaemon.instance import Instance
from framedaemon.ledger import Ledger
from framedaemon.pipeline import Made
from framedaemon.settings import Settings, read_settings
from living import drop, files_below, jobs_of, living, make_instance, run_all, tick_until

# Draws the picture's mean colour, then that of the last picture.
ENDING = """
from contextlib import contextmanager
from fractions import Fraction

import numpy as np

from framedaemon import ClipSpec, Estimate, GeneratorOptions, hookimpl


class Ending:
    name = "ending"
    summary = "ends with what it is given"
    options = GeneratorOptions
    accepts = frozenset({"picture"})
    preference = -1
    takes_last = True

    def unready(self, machine):
        return None

    def promise(self, takes, options):
        return ClipSpec(32, 32, options.frames or 3, Fraction(4))

    def estimate(self, takes, gives, options):
        return Estimate()

    @contextmanager
    def load(self, placement, options):
        def draw(source, scratch):
            frames = self.promise(source, options).frames
            for index in range(frames):
                pixels = source.last if index == frames - 1 and source.last is not None else source.pixels
                frame = np.empty((32, 32, 3), np.uint8)
                frame[:] = pixels.reshape(-1, 3).mean(axis=0)
                frame[: 4 + 8 * index] //= 2
                yield frame
        yield draw


@hookimpl
def generators():
    return [Ending()]
"""

RECIPE = '[generate]\nuse = "ending"\n[interpolate]\nuse = "none"\n[encode]\nthreads = 1\ncrf = 1\n'
PREVIEW = RECIPE.replace("[generate]\n", "[generate]\npreview = true\n")
RED, BLUE = (200, 20, 20), (20, 20, 200)


@pytest.fixture
def instance(tmp_path: Path) -> Instance:
    return instance_in(tmp_path / "instance")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Instance:
    """An instance whose daemon made a clip from red to blue."""
    instance = instance_in(tmp_path_factory.mktemp("made"))
    drop_two(instance)
    run_all(instance)
    return instance


def instance_in(folder: Path) -> Instance:
    instance = make_instance(folder)
    (instance.plugins / "ending.py").write_text(ENDING, encoding="utf-8")
    return instance


def drop_two(instance: Instance, sidecar: str = RECIPE) -> tuple[Path, Path]:
    """Drop a red picture with its sidecar, and the blue one that it is to end with, which is larger."""
    return paint(drop(instance, "sea.png", sidecar), RED), paint(instance.input / "sea.last.webp", BLUE, (64, 48))


def paint(path: Path, colour: tuple[int, int, int], size: tuple[int, int] = (32, 32)) -> Path:
    Image.new("RGB", size, colour).save(path)
    return path


def colours(video: Path) -> list[tuple[int, ...]]:
    """Of the lower right corner of each frame, roughly."""
    with av.open(str(video)) as file:
        frames = [frame.to_ndarray(format="rgb24")[-1, -1] for frame in file.decode(video=0)]
    return [tuple(int(value) // 60 for value in frame) for frame in frames]


def facts_of(instance: Instance, name: str = "sea.json") -> dict[str, Any]:
    facts: dict[str, Any] = json.loads((instance.output / name).read_text())
    return facts


def rendered(path: Path, instance: Instance, output: Path) -> Made:
    settings = read_settings(instance.config)
    recipes = single.recipes_for(path, instance, settings)
    prepared = single.prepare(path, instance, settings, recipes, single.last_of(path))[0]
    return single.render(prepared, output, lambda *told: None)


# --- the daemon


def test_a_clip_goes_from_one_picture_to_the_other_and_both_rest_together(made: Instance) -> None:
    facts = facts_of(made)

    assert colours(made.output / "sea.mp4") == [(3, 0, 0), (3, 0, 0), (0, 0, 3)]
    assert files_below(made.input) == {"done/sea.png", "done/sea.toml", "done/sea.last.webp"}
    assert facts["source"]["name"] == "sea.png"
    assert facts["source"]["last"] == {
        "name": "sea.last.webp",
        "sha256": sha256((made.done / "sea.last.webp").read_bytes()).hexdigest(),
    }
    assert facts["plan"]["source"] == "picture 32x32, to end with 64x48"
    assert facts["plan"]["notes"] == []


def test_the_seed_is_the_pictures_own(made: Instance) -> None:
    facts = facts_of(made)

    assert facts["seed"] == receipt.seed_from(facts["source"]["sha256"], 1)


def test_a_stage_that_has_no_use_for_it_says_so_and_works(instance: Instance) -> None:
    drop_two(instance, '[generate]\nuse = "faulty"\n')

    (job,) = run_all(instance)

    assert job.state == "done"
    assert facts_of(instance)["plan"]["notes"] == [
        "faulty has no use for the last picture, and ends as it would without"
    ]
    assert files_below(instance.done) == {"sea.png", "sea.toml", "sea.last.webp"}


def test_a_last_picture_that_comes_while_the_job_waits_still_counts(instance: Instance) -> None:
    drop(instance, "first.png", '[generate]\nuse = "faulty"\nfault = "hang"\n')
    with living(instance) as service:
        tick_until(service, lambda: service.busy)
        paint(drop(instance, "sea.png", RECIPE), RED)
        tick_until(service, lambda: not (instance.input / "sea.png").exists())
        late = paint(instance.input / "sea.last.png", BLUE)
        service.woken = True
        tick_until(service, lambda: not late.exists())
        service._dispatch.cancel(jobs_of(instance)[0].id, 0.0)
        tick_until(service, lambda: service.idle)

    assert colours(instance.output / "sea.mp4")[-1] == (0, 0, 3)
    assert (instance.done / "sea.last.png").exists()


def test_a_last_picture_alone_waits_and_says_for_what(instance: Instance) -> None:
    (instance.input / "trip").mkdir()
    path = paint(instance.input / "trip" / "sea.last.png", BLUE)

    with living(instance) as service:
        tick_until(service, lambda: service.problems != () and service.idle)
        said = service.problems

    assert said == (
        "input/trip/sea.last.png: waits for a picture called sea, whose clip is to end with it; "
        "a picture of its own needs another name",
    )
    assert path.exists()
    assert jobs_of(instance) == []


# --- what strangers drop


def cut_short(path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[:4000])


def bomb(path: Path) -> None:
    """A header that promises ten thousand million pixels."""
    path.write_bytes(b"P6 100000 100000 255\n" + bytes(64))


def text(path: Path) -> None:
    path.write_text("dear diary")


def link(path: Path) -> None:
    path.symlink_to("/etc/passwd")


def pipe(path: Path) -> None:
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("hostile", "said"),
    [
        (cut_short, r"sea\.last\.png is a PNG picture that is broken or cut short"),
        (bomb, r"sea\.last\.png is 100000x100000 pixels"),
        (text, r"sea\.last\.png is a text file"),
        (link, r"its last picture sea\.last\.png is a link; put the file itself here"),
        (pipe, r"its last picture sea\.last\.png is a named pipe, not a file"),
    ],
)
def test_a_hostile_last_picture_costs_its_picture_the_job_and_both_lie_in_failed(
    hostile: Callable[[Path], None], said: str, instance: Instance
) -> None:
    hostile(instance.input / "sea.last.png")
    paint(drop(instance, "sea.png", RECIPE), RED)

    (job,) = run_all(instance)

    assert job.state == "failed"
    assert re.search(said, job.reason)
    assert {path.name for path in instance.failed.iterdir()} == {
        "sea.png",
        "sea.toml",
        "sea.last.png",
        "sea.error.txt",
    }
    assert "(and its .toml and .last.png) back into input/" in (instance.failed / "sea.error.txt").read_text()


# --- preview and approval


def test_an_approved_whole_ends_with_the_same_picture(instance: Instance) -> None:
    drop_two(instance, PREVIEW)
    run_all(instance)
    waiting = files_below(instance.waiting)
    ledger = Ledger(instance.ledger, read_only=True)
    approve(instance, waiting_in(instance, ledger)[0])
    ledger.close()
    approved = files_below(instance.approved)

    run_all(instance)

    assert waiting == approved == {"sea.png", "sea.toml", "sea.last.webp"}
    assert colours(instance.output / "sea.mp4")[-1] == (0, 0, 3)
    assert files_below(instance.input) == {"done/sea.png", "done/sea.toml", "done/sea.last.webp"}


def test_a_picture_that_is_approved_alone_gets_what_it_ends_with(instance: Instance) -> None:
    drop_two(instance, PREVIEW)
    run_all(instance)
    (instance.waiting / "sea.png").rename(instance.approved / "sea.png")

    run_all(instance)

    assert colours(instance.output / "sea.mp4")[-1] == (0, 0, 3)
    assert files_below(instance.input) == {"done/sea.png", "done/sea.toml", "done/sea.last.webp"}


# --- here and now, and again


def test_a_rendered_file_ends_with_what_lies_beside_it(instance: Instance, tmp_path: Path) -> None:
    path, _ = drop_two(instance)

    rendered(path, instance, tmp_path / "out.mp4")

    assert colours(tmp_path / "out.mp4")[-1] == (0, 0, 3)
    facts = json.loads((tmp_path / "out.json").read_text())
    assert facts["source"]["last"]["name"] == "sea.last.webp"


def test_a_last_picture_is_nothing_to_render(instance: Instance) -> None:
    _, last = drop_two(instance)

    with pytest.raises(JobRejected, match=r"sea\.last\.webp: is what the clip of another picture ends with"):
        single.recipes_for(last, instance, Settings())


def test_a_video_is_not_put_over_what_it_ends_with(instance: Instance) -> None:
    path, _ = drop_two(instance, RECIPE.replace("crf = 1", 'container = "gif"').replace("threads = 1\n", ""))
    last = paint(path.with_name("sea.last.gif"), BLUE)
    path.with_name("sea.last.webp").unlink()
    settings = read_settings(instance.config)
    recipes = single.recipes_for(path, instance, settings)
    prepared = single.prepare(path, instance, settings, recipes, single.last_of(path))[0]

    with pytest.raises(JobRejected, match="is what the video is to be made of"):
        single.render(prepared, last, lambda *told: None, overwrite=True)


def test_a_replay_ends_with_the_same_picture_byte_for_byte(made: Instance, tmp_path: Path) -> None:
    prepared = replaying.prepare(facts_of(made), made, Settings(), None)

    single.render(prepared, tmp_path / "again.mp4", lambda *told: None)

    assert (tmp_path / "again.mp4").read_bytes() == (made.output / "sea.mp4").read_bytes()


def test_a_replay_takes_no_other_picture_for_the_last_one(made: Instance, tmp_path: Path) -> None:
    source = tmp_path / "sea.png"
    source.write_bytes((made.done / "sea.png").read_bytes())
    paint(tmp_path / "sea.last.webp", RED)

    with pytest.raises(JobRejected, match=r"sea\.last\.webp, which the video ends with, is not beside"):
        replaying.prepare(facts_of(made), made, Settings(), source)


def test_a_replay_finds_the_last_picture_under_another_name(made: Instance, tmp_path: Path) -> None:
    source, last = tmp_path / "other.png", tmp_path / "moved.last.webp"
    source.write_bytes((made.done / "sea.png").read_bytes())
    last.write_bytes((made.done / "sea.last.webp").read_bytes())

    prepared = replaying.prepare(facts_of(made), made, Settings(), source)

    assert prepared.made_of == (source, last)
