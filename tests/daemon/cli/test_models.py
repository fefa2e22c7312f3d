"""models list, pull, add, verify, where and remove, as commands and as processes that are killed."""

from __future__ import annotations

import json
import os
import pty
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from commands import PROGRAM, Commands, wait_until
from framedaemon.instance import Instance
from framedaemon.published import Download
from framedaemon.weights import fault_of, find_weights
from living import CONFIG, drop, make_instance
from weighty import INDEX, Web, index_only, make_toy, make_wheel, toy_plugin, web

pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("safetensors", reason="safetensors is not installed")


@pytest.fixture
def original(tmp_path: Path) -> Path:
    """A file as it is published."""
    path = tmp_path / "published" / "flownet.pkl"
    path.parent.mkdir()
    make_toy(path)
    return path


@pytest.fixture
def served(original: Path) -> Iterator[Web]:
    with web(original.read_bytes()) as running:
        yield running


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """The folder that the instance's settings name."""
    return tmp_path / "instance" / "models"


@pytest.fixture
def instance(tmp_path: Path, served: Web, monkeypatch: pytest.MonkeyPatch) -> Instance:
    """The current folder; its plugin's weights are the server's file."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    root = tmp_path / "instance"
    root.mkdir()
    monkeypatch.chdir(root)
    made = make_instance(root)
    made.config.write_text(f'{CONFIG}\n[models]\nfolder = "models"\n')
    (made.plugins / "toy.py").write_text(toy_plugin(served.data, Download(served.url)))
    return made


def test_who_pulls_for_another_user_s_instance_is_told_that_it_looks_elsewhere(
    command: Commands, instance: Instance, give_away: Callable[[Path], None]
) -> None:
    give_away(instance.root)

    one_folder = command("models", "pull", "toy-1", "--yes")
    instance.config.write_text(CONFIG)
    pulled = command("models", "pull", "toy-1", "--yes")
    listed = command("models", "list")

    assert "belongs to" not in one_folder.err
    assert f"{instance.root} belongs to 12345, whose daemon has a folder of weights of its own: `sudo -u" in pulled.err
    assert "belongs to" not in listed.err


def _line(table: str, name: str) -> str:
    """The row of ``name``, without the gaps between its columns."""
    return next(" ".join(line.split()) for line in table.splitlines() if line.startswith(f"{name} "))


def test_weights_are_listed_pulled_verified_and_removed(command: Commands, instance: Instance, models: Path) -> None:
    before = command("models", "list").out
    pulled = command("models", "pull", "toy-1", "--yes")
    after = command("models", "list").out
    verified = command("models", "verify")
    removed = command("models", "remove", "toy-1")

    assert _line(before, "toy-1") == "toy-1 toy missing 196.9 KiB MIT a toy"
    assert (pulled.code, pulled.out) == (0, f"toy-1 is ready: {models / 'toy-1.safetensors'}\n")
    assert _line(after, "toy-1").startswith("toy-1 toy there ")
    assert (verified.code, verified.out) == (0, "toy-1: ok\n")
    assert removed.code == 0
    assert find_weights(models, "toy-1") is None


def test_licence_credit_and_size_are_said_before_anything_is_fetched(command: Commands, instance: Instance) -> None:
    said = command("models", "pull", "toy", "--yes")

    assert said.err.splitlines()[:3] == [
        "toy-1: a toy",
        "  licence MIT; Ada, at example.org; 196.9 KiB",
        said.err.splitlines()[2],
    ]
    assert said.err.splitlines()[2].startswith("fetching toy-1: http://127.0.0.1:")


def test_where_nobody_can_be_asked_nothing_is_fetched(command: Commands, instance: Instance, served: Web) -> None:
    said = command("models", "pull", "toy-1")

    assert said.code == 1
    assert "nobody is here to be asked: --yes takes the licence MIT as read" in said.err
    assert served.asked == []


@pytest.mark.parametrize(("answer", "asked"), [("n", 0), ("y", 1), ("", 1)])
def test_on_a_terminal_it_is_asked(answer: str, asked: int, instance: Instance, served: Web) -> None:
    served.status = 404
    ours, theirs = pty.openpty()
    pull = subprocess.Popen([*PROGRAM, "models", "pull", "toy-1"], stdin=theirs, stderr=subprocess.DEVNULL)
    os.write(ours, answer.encode() + b"\n")

    assert pull.wait(60) == 1
    assert len(served.asked) == asked
    os.close(ours)
    os.close(theirs)


def test_what_is_there_is_said_and_not_fetched_again(command: Commands, instance: Instance, served: Web) -> None:
    command("models", "pull", "toy-1", "--yes")
    served.asked.clear()

    again = command("models", "pull", "toy-1")

    assert (again.code, served.asked) == (0, [])
    assert again.out.startswith("toy-1 is there: ")


def test_a_pull_that_was_killed_leaves_nothing_that_looks_whole_and_goes_on_where_it_was(
    command: Commands, instance: Instance, served: Web, models: Path
) -> None:
    served.halts = half = len(served.data) // 2
    pull = subprocess.Popen([*PROGRAM, "models", "pull", "toy-1", "--yes"], stderr=subprocess.DEVNULL)
    wait_until(lambda: sum(part.stat().st_size for part in models.rglob("net.pkl")) == half, "half of the file")
    pull.kill()
    pull.wait()
    between = command("models", "list", "--json").json
    served.go.set()

    again = command("models", "pull", "toy-1", "--yes")

    assert [entry["state"] for entry in between if entry["name"] == "toy-1"] == ["missing"]
    assert again.code == 0
    assert [asked.get("range") for asked in served.asked] == [None, f"bytes={half}-"]
    assert fault_of(models, "toy-1") is None


def test_of_two_that_pull_at_once_the_second_waits_and_fetches_nothing(
    instance: Instance, served: Web, models: Path, tmp_path: Path
) -> None:
    served.halts = len(served.data) // 2
    words = [*PROGRAM, "models", "pull", "toy-1", "--yes"]
    with (tmp_path / "said").open("w") as said:
        first = subprocess.Popen(words, stderr=subprocess.DEVNULL)
        wait_until(lambda: served.asked, "the first one's request")
        second = subprocess.Popen(words, stderr=said)
        wait_until(lambda: "waiting for it" in (tmp_path / "said").read_text(), "the second one to wait")
        served.go.set()

        codes = first.wait(60), second.wait(60)

    assert codes == (0, 0)
    assert len(served.asked) == 1
    assert fault_of(models, "toy-1") is None


def test_a_wheel_that_a_person_brought_is_taken(
    command: Commands, instance: Instance, served: Web, models: Path, tmp_path: Path
) -> None:
    (instance.plugins / "toy.py").write_text(toy_plugin(served.data, INDEX))
    wheel = make_wheel(tmp_path, served.data)

    assert command("models", "pull", "toy-1", "--from", wheel).code == 0
    assert fault_of(models, "toy-1") is None


def test_a_file_of_another_name_is_refused(command: Commands, instance: Instance, tmp_path: Path) -> None:
    (tmp_path / "other.pkl").write_bytes(b"other")

    said = command("models", "pull", "toy-1", "--from", tmp_path / "other.pkl")

    assert said.code == 1
    assert "other.pkl is not the file of toy-1: its sha256 is" in said.err


@pytest.mark.parametrize("by", ["setting", "environment"])
def test_offline_nothing_is_fetched_and_what_was_brought_is_taken(
    by: str, command: Commands, instance: Instance, served: Web, original: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    instance.config.write_text(f'{CONFIG}\n[models]\nfolder = "models"\noffline = {json.dumps(by == "setting")}\n')
    monkeypatch.setenv("FRAMEDAEMON_OFFLINE", str(int(by == "environment")))

    refused = command("models", "pull", "toy-1", "--yes")
    brought = command("models", "pull", "toy-1", "--from", original)

    assert (refused.code, brought.code, served.asked) == (1, 0, [])
    assert "nothing is fetched: [models] offline is true" in refused.err
    assert "`framedaemon models pull toy-1 --from PATH`" in refused.err


def test_pip_brings_a_wheel_from_the_index_it_is_set_to(
    command: Commands, instance: Instance, served: Web, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (instance.plugins / "toy.py").write_text(toy_plugin(served.data, INDEX))
    index_only(monkeypatch.setenv, make_wheel(tmp_path / "index", served.data).parent)

    assert command("models", "pull", "toy-1", "--yes").code == 0
    assert fault_of(models, "toy-1") is None


def test_a_file_of_ones_own_is_taken_in_under_its_own_name(
    command: Commands, instance: Instance, original: Path, models: Path
) -> None:
    said = command("models", "add", original, "--for", "toy", "--as", "mine")

    assert said.code == 0
    assert 'use = "toy"  and  weights = "mine"' in said.out
    assert fault_of(models, "toy-mine") is None


def test_damage_is_found_by_verify_said_by_list_and_mended_by_pull(
    command: Commands, instance: Instance, models: Path
) -> None:
    command("models", "pull", "toy-1", "--yes")
    path = models / "toy-1.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)

    found = command("models", "verify")
    as_json = command("models", "verify", "--json").json
    mended = command("models", "pull", "toy-1", "--yes")

    assert found.code == 1
    assert "toy-1: damaged: toy-1.safetensors is damaged: its sha256 is " in found.out
    assert [(row["name"], row["state"]) for row in as_json] == [("toy-1", "damaged")]
    assert mended.code == 0
    assert command("models", "verify", "toy-1").out == "toy-1: ok\n"


def test_a_missing_name_is_no_success(command: Commands, instance: Instance, models: Path) -> None:
    for words in (("verify", "toy-1"), ("where", "toy-1"), ("remove", "toy-1"), ("pull", "toy-9")):
        assert command("models", *words).code == 1
    assert "`framedaemon models pull toy-1`" in command("models", "where", "toy-1").err
    said = command("models", "pull", "toy-9").err
    assert "there are no weights 'toy-9' to pull; there are: " in said
    assert {"toy-1", "rife-4.25"} <= {word.strip(",") for word in said.split()}


@pytest.mark.parametrize(
    "words", [("pull",), ("pull", "a", "b", "--from", "config.toml"), ("verify", "../x"), ("where", "X")]
)
def test_what_makes_no_sense_is_wrong_usage(words: tuple[str, ...], command: Commands, instance: Instance) -> None:
    assert command("models", *words).code == 2


def test_scripts_are_told_where_weights_lie(command: Commands, instance: Instance, models: Path) -> None:
    toy = {"name": "toy-1", "path": str(models / "toy-1.safetensors")}

    assert command("models", "pull", "toy-1", "--yes", "--json").json == [toy]
    assert command("models", "where").out == f"{models}\n"
    assert command("models", "where", "toy-1").out == f"{models / 'toy-1.safetensors'}\n"
    assert command("models", "where", "toy-1", "--json").json == toy
    assert command("models", "remove", "toy-1", "--json").json == ["toy-1"]


def test_scripts_are_told_what_there_is(command: Commands, instance: Instance, original: Path) -> None:
    added = command("models", "add", original, "--for", "toy", "--as", "mine", "--json").json

    said = command("models", "list", "--json").json

    assert added["name"] == "toy-mine"

    assert [(entry["name"], entry["state"]) for entry in said if entry["stage"] == "toy"] == [
        ("toy-1", "missing"),
        ("toy-mine", "there"),
    ]


def test_a_stage_with_its_weights_is_taken_by_auto_and_told_of_where_it_was_passed_over(
    command: Commands, instance: Instance
) -> None:
    picture = drop(instance, "cat.png", '[interpolate]\nuse = "auto"\nfactor = 2\n')
    lack = "toy cannot work here: weights missing: framedaemon models pull toy-1"
    over = [command(*words) for words in (("explain", picture), ("plugins",), ("check",))]
    json_said = [command("explain", picture, "--json").json[0]["passed_over"], command("plugins", "--json").json]
    command("models", "pull", "toy-1", "--yes")

    made = command("render", picture, "-o", "cat.mp4")

    assert f"  auto        {lack}\n" in over[0].out
    assert f"interpolate {lack}\n" in over[1].out
    assert (over[2].code, over[2].out) == (0, "all is well\n")
    assert f"note: interpolate {lack}\n" in over[2].err
    assert lack in json_said[0]
    assert [plugin["lacks"] for plugin in json_said[1] if plugin["name"] == "toy"] == [
        {"interpolate toy": "weights missing: framedaemon models pull toy-1"}
    ]
    assert made.code == 0
    receipt = (instance.root / "cat.json").read_text()
    assert '"use": "toy"' in receipt
    assert str(instance.root) not in receipt
