"""prune, beside a daemon and without one."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from commands import PATIENT, PROGRAM, SIDECAR, Commands, daemon, drawing, drop_capabilities, wait_until
from framedaemon.instance import Instance
from living import CONFIG, drop, files_below, make_instance, run_all

LIMITS = "[retention]\nfailed_bytes = 1\n"


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Instance:
    """One whose daemon has failed once, and that keeps no failure."""
    made = make_instance(tmp_path / "instance")
    drop(made, "bad.png", "[encode]\ncrf = 99\n")
    run_all(made)
    made.config.write_text(CONFIG + LIMITS)
    monkeypatch.chdir(made.root)
    return made


def test_a_dry_run_says_what_would_go_and_touches_nothing(command: Commands, instance: Instance) -> None:
    before = files_below(instance.root)

    said = command("prune", "--dry-run")

    assert said.code == 0
    first, last = said.out.splitlines()
    assert first.startswith("failed    failed/bad.png, bad.toml, bad.error.txt: ")
    assert first.endswith("; failed_bytes is 1 B")
    assert last.startswith("1 failed: ")
    assert last.endswith(" would go")
    assert files_below(instance.root) == before


def test_what_was_announced_is_removed(command: Commands, instance: Instance) -> None:
    announced = command("prune", "--dry-run", "--json").json
    removed = command("prune", "--json").json

    assert removed == announced | {"dry_run": False}
    assert removed["stale"][0]["files"] == [
        str(instance.failed / name) for name in ("bad.toml", "bad.error.txt", "bad.png")
    ]
    assert files_below(instance.input) == set()
    assert command("prune").out == "nothing: 0 B removed\n"


def test_an_original_whose_video_is_gone_is_kept_and_that_is_said(command: Commands, instance: Instance) -> None:
    instance.config.write_text(CONFIG)
    drop(instance, "cat.png")
    drop(instance, "dog.png")
    run_all(instance)
    instance.config.write_text(f"{CONFIG}[retention]\ndone_bytes = 1\n")
    (instance.output / "cat.mp4").rename(instance.output / "best.mp4")

    before = command("prune", "--dry-run", "--json").json
    said = command("prune")

    why = "its video output/cat.mp4 is not there: it was removed, moved or renamed"
    assert [(one["files"], one["why"]) for one in before["kept"]] == [([str(instance.done / "cat.png")], why)]
    assert [one["files"] for one in before["stale"]] == [[str(instance.done / "dog.png")]]
    first, second, *_, last = said.out.splitlines()
    assert first.startswith("done      done/dog.png: ")
    assert (second.startswith("kept      done/cat.png: "), second.endswith(why)) == (True, True)
    assert last == "1 kept, as videos of theirs are not as they were published"
    assert files_below(instance.done) == {"cat.png"}


def test_pruning_without_limits_keeps_every_picture(command: Commands, instance: Instance) -> None:
    instance.config.write_text(CONFIG)

    assert command("prune").out == "nothing: 0 B removed\n"
    assert "failed/bad.png" in files_below(instance.input)


def test_pruning_where_no_daemon_ever_ran_makes_nothing(
    command: Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "input").mkdir()
    monkeypatch.chdir(tmp_path)

    assert command("prune").code == 0

    assert list(tmp_path.rglob("*")) == [tmp_path / "input"]


def test_folders_of_a_running_daemon_are_not_taken_for_leftovers(command: Commands, instance: Instance) -> None:
    (instance.plugins / "patient.py").write_text(PATIENT)
    drop(instance, "slow.png", SIDECAR)

    with daemon(instance) as running:
        wait_until(lambda: drawing(instance), "the job")
        (instance.jobs / "orphan").mkdir()
        beside = command("prune")
        running.process.kill()
        running.process.wait()
    alone = command("prune")

    assert (beside.code, "leftover" in beside.out) == (0, False)
    assert alone.out.splitlines()[0] == "leftover  orphan: 0 B; no job owns it"
    assert [path.name for path in instance.jobs.iterdir() if path.name == "orphan"] == []
    assert drawing(instance)


def test_a_file_that_cannot_be_removed_is_said(instance: Instance) -> None:
    instance.failed.chmod(0o555)

    said = subprocess.run([*PROGRAM, "prune"], capture_output=True, text=True, preexec_fn=drop_capabilities)

    assert (said.returncode, said.stdout) == (1, "nothing: 0 B removed\n")
    assert said.stderr.startswith(f"not removed: {instance.failed / 'bad.png'}: ")
    assert "failed/bad.png" in files_below(instance.input)


@pytest.mark.parametrize("words", [["prune"], ["prune", "--dry-run"]])
def test_a_damaged_ledger_is_said_without_a_traceback(command: Commands, instance: Instance, words: list[str]) -> None:
    instance.ledger.write_bytes(b"garbled")

    said = command(*words)

    assert said.code == 2
    assert "the ledger is damaged" in said.err
    assert "Traceback" not in said.err
