"""Pictures that failed, back where they were dropped."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from framedaemon.instance import Instance
from framedaemon.ledger import DropRow
from framedaemon.retrying import put_back, put_back_orphan
from framedaemon.workspace import Workspace
from living import files_below, make_instance, run_all


@pytest.fixture
def instance(tmp_path: Path) -> Instance:
    return make_instance(tmp_path)


def failed(instance: Instance, *names: str) -> None:
    for name in names:
        path = instance.failed / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.fsencode(name))


def drop_of(name: str, rests: str | None, sidecar: str | None = None, last: str | None = None) -> DropRow:
    return DropRow("d1", name, sidecar, "closed", rests, 0, 1.0, last)


def test_a_picture_goes_back_with_its_sidecar_and_loses_its_reason(instance: Instance) -> None:
    failed(instance, "pets/cat.png", "pets/cat.toml", "pets/cat.error.txt", "pets/dog.png", "pets/dog.error.txt")

    back = put_back(instance, drop_of("pets/cat.png", "failed/pets/cat.png", "cat.toml"))

    assert back == instance.input / "pets" / "cat.png"
    assert files_below(instance.input) == {
        "pets/cat.png", "pets/cat.toml", "failed/pets/dog.png", "failed/pets/dog.error.txt",
    }  # fmt: skip


@pytest.mark.parametrize("sidecar", ["cat.toml", "cat.png.toml", "cat.TOML"])
def test_a_numbered_picture_finds_its_numbered_sidecar(instance: Instance, sidecar: str) -> None:
    side = sidecar.removeprefix("cat")
    failed(instance, "cat.png", sidecar, "cat-2.png", f"cat-2{side}", "cat-2.error.txt")

    put_back(instance, drop_of("cat.png", "failed/cat-2.png", sidecar))

    assert (instance.input / "cat.png").read_text() == "cat-2.png"
    assert (instance.input / sidecar).read_text() == f"cat-2{side}"
    assert files_below(instance.failed) == {"cat.png", sidecar}


def test_a_picture_whose_name_was_dropped_again_gets_a_number(instance: Instance) -> None:
    (instance.input / "cat.png").write_text("a new cat")
    failed(instance, "cat.png", "cat.toml")

    back = put_back(instance, drop_of("cat.png", "failed/cat.png", "cat.toml"))

    assert back == instance.input / "cat-2.png"
    assert files_below(instance.input) == {"cat.png", "cat-2.png", "cat-2.toml"}


@pytest.mark.parametrize("sidecar", [None, "cat.toml"])
def test_a_picture_goes_back_with_what_it_is_to_end_with(instance: Instance, sidecar: str | None) -> None:
    (instance.input / "cat.last.jpg").write_text("of a new cat")
    failed(instance, "cat-3.png", "cat-3.toml", "cat-3.last.jpg", "cat-3.error.txt")

    put_back(instance, drop_of("cat.png", "failed/cat-3.png", sidecar, "cat.last.jpg"))

    assert (instance.input / "cat-2.png").read_text() == "cat-3.png"
    assert (instance.input / "cat-2.last.jpg").read_text() == "cat-3.last.jpg"
    assert (instance.input / "cat-2.toml").exists() is (sidecar is not None)
    assert files_below(instance.failed) == ({"cat-3.toml"} if sidecar is None else set())


def test_a_sidecar_that_was_taken_away_is_not_missed(instance: Instance) -> None:
    failed(instance, "cat.png")

    assert put_back(instance, drop_of("cat.png", "failed/cat.png", "cat.toml")) is not None


@pytest.mark.parametrize("rests", [None, "failed/gone.png", "done/cat.png", "../outside.png"])
def test_what_is_not_in_failed_is_left_alone(instance: Instance, rests: str | None) -> None:
    (instance.done / "cat.png").touch()
    (instance.root / "outside.png").touch()
    before = files_below(instance.root)

    assert put_back(instance, drop_of("cat.png", rests)) is None

    assert files_below(instance.root) == before


def test_a_name_that_is_not_utf8_goes_back(instance: Instance) -> None:
    name = os.fsdecode(b"caf\xe9\n.png")
    failed(instance, name)

    put_back(instance, drop_of(name, f"failed/{name}"))

    assert (instance.input / name).exists()


def test_a_mended_picture_that_was_put_back_becomes_a_video(instance: Instance) -> None:
    failed(instance, "cat.png", "cat.toml", "cat.error.txt")
    (instance.failed / "cat.toml").write_text('[generate]\nuse = "faulty"\n')
    (instance.failed / "cat.png").write_bytes(_picture())

    put_back(instance, drop_of("cat.png", "failed/cat.png", "cat.toml"))

    assert [job.state for job in run_all(instance)] == ["done"]


def test_a_picture_that_no_ledger_knows_goes_back_with_its_sidecar(instance: Instance) -> None:
    workspace = Workspace(instance.jobs / "lost")
    workspace.source.mkdir(parents=True)
    (workspace.source / "cat.png").write_text("picture")
    (workspace.source / "cat.png.toml").write_text("sidecar")
    (instance.input / "cat.png").write_text("another")

    back = put_back_orphan(instance, workspace)

    assert back == instance.input / "cat-2.png"
    assert back.read_text() == "picture"
    assert (instance.input / "cat-2.png.toml").read_text() == "sidecar"


def test_a_picture_that_no_ledger_knows_goes_back_with_what_it_is_to_end_with(instance: Instance) -> None:
    workspace = Workspace(instance.jobs / "lost")
    workspace.source.mkdir(parents=True)
    [(workspace.source / name).write_text(name) for name in ("cat.png", "cat.last.jpg", "cat.TOML")]
    (instance.input / "cat.last.jpg").write_text("another")

    back = put_back_orphan(instance, workspace)

    assert back == instance.input / "cat-2.png"
    assert {name: (instance.input / name).read_text() for name in files_below(instance.input)} == {
        "cat.last.jpg": "another",
        "cat-2.png": "cat.png",
        "cat-2.last.jpg": "cat.last.jpg",
        "cat-2.TOML": "cat.TOML",
    }


def test_a_picture_that_no_ledger_knows_stays_while_input_is_gone(instance: Instance) -> None:
    workspace = Workspace(instance.jobs / "lost")
    workspace.source.mkdir(parents=True)
    (workspace.source / "cat.png").write_text("picture")
    instance.input.rename(instance.root / "away")

    with pytest.raises(FileNotFoundError, match="mount missing"):
        put_back_orphan(instance, workspace)

    assert (workspace.source / "cat.png").exists()


def test_what_belongs_to_a_picture_that_is_elsewhere_goes_back_alone(instance: Instance) -> None:
    workspace = Workspace(instance.jobs / "lost")
    workspace.source.mkdir(parents=True)
    [(workspace.source / name).write_text(name) for name in ("cat.last.jpg", "cat.toml")]

    assert put_back_orphan(instance, workspace) is None

    assert files_below(instance.input) == {"cat.last.jpg", "cat.toml"}


def test_a_folder_without_a_picture_gives_nothing_back(instance: Instance) -> None:
    workspace = Workspace(instance.jobs / "lost")
    workspace.job(1)

    assert put_back_orphan(instance, workspace) is None
    workspace.source.mkdir()
    assert put_back_orphan(instance, workspace) is None


def _picture() -> bytes:
    from io import BytesIO

    from PIL import Image

    with BytesIO() as file:
        Image.new("RGB", (32, 32), "teal").save(file, "PNG")
        return file.getvalue()
