"""Videos made again from their receipts."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from framedaemon import receipt, replaying, single
from framedaemon.errors import JobRejected
from framedaemon.instance import Instance
from framedaemon.settings import Settings
from living import CONFIG, drop, make_instance, run_all


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    """An instance whose daemon made one video with one codec thread; its settings have changed since."""
    instance = make_instance(tmp_path_factory.mktemp("made"))
    sidecar = '[generate]\nuse = "camera"\nframes = 4\n[encode]\nthreads = 1\n'
    drop(instance, "pets/cat.png", sidecar)
    run_all(instance)
    instance.config.write_text(CONFIG.replace("frames = 3", "frames = 2").replace("fps = 4", "fps = 5"))
    yield instance


def facts_of(instance: Instance) -> dict[str, Any]:
    return replaying.load(instance.output / "pets" / "cat.json")


def test_a_replayed_video_is_the_same_byte_for_byte(made: Instance, tmp_path: Path) -> None:
    """However many cores the stages get this time."""
    facts, again = facts_of(made), tmp_path / "again.mp4"

    prepared = replaying.prepare(facts, made, Settings(), None)
    result = single.render(prepared, again, lambda *told: None)

    assert again.read_bytes() == (made.output / "pets" / "cat.mp4").read_bytes()
    assert replaying.compare(facts, result, again) == "the same as the first one, byte for byte"
    assert receipt.read_receipt(tmp_path / "again.json")["recipe"] == facts["recipe"]


def test_a_replay_is_planned_as_the_first_time(made: Instance) -> None:
    facts = facts_of(made)

    summary = replaying.prepare(facts, made, Settings(), None).plan.summary().model_dump(mode="json")

    assert _without_times(summary) == _without_times(facts["plan"])


def test_the_source_is_found_under_a_numbered_name_too(made: Instance, tmp_path: Path) -> None:
    copy = Instance(tmp_path / "copy")
    shutil.copytree(made.root, copy.root)
    folder = copy.done / "pets"
    (folder / "cat.png").rename(folder / "cat-2.png")
    (folder / "cat.png").write_bytes(b"another cat")

    prepared = replaying.prepare(facts_of(made), copy, Settings(), None)

    assert prepared.path == (folder / "cat-2.png").resolve()


def test_a_source_that_is_gone_is_asked_for(made: Instance, tmp_path: Path) -> None:
    with pytest.raises(JobRejected, match="say where it is with --source"):
        replaying.prepare(facts_of(made), Instance(tmp_path), Settings(), None)


def test_another_source_is_refused(made: Instance, tmp_path: Path) -> None:
    other = drop(Instance(tmp_path), "another.png")

    with pytest.raises(JobRejected, match="is not the file that the video was made of"):
        replaying.prepare(facts_of(made), made, Settings(), other)


def test_a_source_may_lie_anywhere(made: Instance, tmp_path: Path) -> None:
    moved = shutil.copy(made.done / "pets" / "cat.png", tmp_path / "moved.png")
    shutil.copytree(made.plugins, tmp_path / "plugins")

    assert replaying.prepare(facts_of(made), Instance(tmp_path), Settings(), Path(moved)).plan.drawn.frames == 4


def test_what_is_no_receipt_is_refused(tmp_path: Path) -> None:
    (tmp_path / "photo.json").write_text("{}")

    with pytest.raises(JobRejected, match="not a receipt"):
        replaying.load(tmp_path / "photo.json")


def test_other_bytes_are_explained_by_other_versions(made: Instance, tmp_path: Path) -> None:
    facts, other = facts_of(made), tmp_path / "other.mp4"
    other.write_bytes(b"other")

    same_versions = replaying.compare(facts, None, other)  # type: ignore[arg-type]  # not looked at
    facts["versions"]["numpy"] = "1.0"
    other_versions = replaying.compare(facts, None, other)  # type: ignore[arg-type]  # not looked at

    assert "threads = 1" in same_versions
    assert "versions of what makes it have changed" in other_versions


def _without_times(summary: dict[str, Any]) -> dict[str, Any]:
    """The summary without what depends on the machine's present load."""
    kept = {key: value for key, value in summary.items() if key not in ("seconds", "ram_bytes")}
    kept["steps"] = [{key: step[key] for key in ("kind", "stage", "options", "fit_key")} for step in summary["steps"]]
    return json.loads(json.dumps(kept))  # type: ignore[no-any-return]  # as it went in
