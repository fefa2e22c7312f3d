"""models pull, add, verify, list, where and remove of whole repositories, as commands and as killed processes."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from commands import PROGRAM, Commands, wait_until
from framedaemon.instance import Instance
from framedaemon.weights import fault_of, find_weights
from hub import BYTES, FILES, NEEDED, PLUGIN, REPO, SHARDS, VAE, Hub
from living import CONFIG, drop, make_instance

_SETTINGS = f'{CONFIG}\n[models]\nfolder = "models"\n'


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Instance:
    """The current folder; its plugin's weights are a repository of the hub."""
    root = tmp_path / "instance"
    root.mkdir()
    monkeypatch.chdir(root)
    made = make_instance(root)
    made.config.write_text(_SETTINGS)
    (made.plugins / "toy.py").write_text(PLUGIN)
    return made


@pytest.fixture
def models(instance: Instance) -> Path:
    return instance.root / "models"


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A pipeline's folder of a person's own."""
    root = tmp_path / "My Wan"
    for path in NEEDED:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(FILES[path])
    return root


def _line(table: str, name: str) -> str:
    """The row of ``name``, without the gaps between its columns."""
    return next(" ".join(line.split()) for line in table.splitlines() if line.startswith(f"{name} "))


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_a_repository_is_listed_pulled_verified_and_removed(
    command: Commands, hub: Hub, instance: Instance, models: Path
) -> None:
    before = command("models", "list").out
    pulled = command("models", "pull", "toy", "--yes")
    after = command("models", "list").out
    again = command("models", "pull", "toy-5b")
    found = command("models", "where", "toy-5b")
    verified = command("models", "verify")
    removed = command("models", "remove", "toy-5b")

    assert _line(before, "toy-5b") == "toy-5b toy missing 781.2 KiB Apache-2.0 a toy"
    assert (pulled.code, pulled.out) == (0, f"toy-5b is ready: {models / 'toy-5b'}\n")
    assert pulled.err.splitlines() == [
        "toy-5b: a toy",
        "  licence Apache-2.0; Ada, Toy-5B; 781.2 KiB",
        "fetching toy-5b: somebody/Toy-5B at aaaaaaaaaaaa",
    ]
    assert _line(after, "toy-5b").startswith("toy-5b toy there ")
    assert again.out == f"toy-5b is there: {models / 'toy-5b'}\n"
    assert found.out == f"{models / 'toy-5b'}\n"
    assert (verified.code, verified.out) == (0, "toy-5b: ok\n")
    assert removed.code == 0
    assert [left.name for left in models.rglob("*")] == [".pulling", "lock"]


def test_a_pull_that_was_killed_leaves_nothing_that_looks_whole_and_goes_on_where_it_was(
    command: Commands, hub: Hub, instance: Instance, models: Path
) -> None:
    """In a process of its own, whose huggingface_hub reads the environment; SIGKILL in the middle of a file."""
    half = len(FILES[VAE]) // 2
    hub.halts = (VAE, half)
    pull = subprocess.Popen([*PROGRAM, "models", "pull", "toy-5b", "--yes"], stderr=subprocess.DEVNULL)
    wait_until(lambda: sum(part.stat().st_size for part in models.rglob("*.part")) == half, "half of the file")
    pull.kill()
    pull.wait()
    between = [entry["state"] for entry in command("models", "list", "--json").json if entry["name"] == "toy-5b"]
    whole = {path for path, _ in hub.fetched()} - {VAE}
    hub.go.set()
    hub.asked.clear()

    again = command("models", "pull", "toy-5b", "--yes")

    assert (between, again.code) == (["missing"], 0)
    assert dict(hub.fetched())[VAE] == f"bytes={half}-"
    assert whole and whole.isdisjoint(dict(hub.fetched()))
    assert fault_of(models, "toy-5b") is None


def test_a_gated_repository_is_explained_in_a_process_of_its_own(hub: Hub, instance: Instance, models: Path) -> None:
    hub.gated = True

    said = subprocess.run([*PROGRAM, "models", "pull", "toy-5b", "--yes"], capture_output=True, text=True, check=False)

    assert said.returncode == 1
    assert said.stderr.splitlines()[-1] == (
        "framedaemon: somebody/Toy-5B: its people want to know who takes it: accept its licence at "
        f"{hub.url}/somebody/Toy-5B, signed in, and then `hf auth login` here, or set $HF_TOKEN"
    )


def test_a_damaged_file_is_refused_and_the_rest_is_kept(
    command: Commands, hub: Hub, instance: Instance, models: Path
) -> None:
    hub.damaged = {SHARDS[1]}
    refused = command("models", "pull", "toy-5b", "--yes")
    hub.damaged.clear()
    hub.asked.clear()

    again = command("models", "pull", "toy-5b", "--yes")

    assert refused.code == 1
    assert f"{SHARDS[1]} came damaged, and was thrown away" in refused.err
    assert (again.code, SHARDS[1] in dict(hub.fetched())) == (0, True)
    assert SHARDS[0] not in dict(hub.fetched())


def test_a_disk_that_is_too_small_is_said_before_a_byte_is_fetched(
    command: Commands, hub: Hub, instance: Instance
) -> None:
    instance.config.write_text(_SETTINGS.replace("keep_free_bytes = 0", f"keep_free_bytes = {1 << 60}"))

    said = command("models", "pull", "toy-5b", "--yes")

    assert (said.code, hub.fetched()) == (1, [])
    assert "toy-5b needs " in said.err and "are to stay free there" in said.err


def test_where_nobody_can_be_asked_nothing_is_fetched(command: Commands, hub: Hub, instance: Instance) -> None:
    said = command("models", "pull", "toy-5b")

    assert (said.code, hub.asked) == (1, [])
    assert "nobody is here to be asked: --yes takes the licence Apache-2.0 as read" in said.err


@pytest.mark.parametrize("by", ["setting", "environment"])
def test_offline_nothing_is_asked_and_the_way_by_a_folder_is_said(
    by: str, command: Commands, hub: Hub, instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    instance.config.write_text(f"{_SETTINGS}offline = {json.dumps(by == 'setting')}\n")
    monkeypatch.setenv("FRAMEDAEMON_OFFLINE", str(int(by == "environment")))

    pulled = command("models", "pull", "toy-5b", "--yes")
    added = command("models", "add", REPO, "--for", "toy", "--as", "mine", "--yes")

    assert (pulled.code, added.code, hub.asked) == (1, 1, [])
    assert "nothing is fetched: [models] offline is true" in pulled.err
    assert "`framedaemon models add FOLDER --for toy --as my-5b`" in pulled.err
    assert "somebody/Toy-5B is not here, and nothing is fetched" in added.err


def test_a_flipped_bit_is_found_by_verify_and_mended_by_pull(
    command: Commands, hub: Hub, instance: Instance, models: Path
) -> None:
    command("models", "pull", "toy-5b", "--yes")
    _flip(models / "toy-5b" / SHARDS[0])
    hub.asked.clear()

    found = command("models", "verify")
    listed = command("models", "list").out
    mended = command("models", "pull", "toy-5b", "--yes")

    assert found.code == 1
    assert f"toy-5b: damaged: toy-5b is damaged: the sha256 of {SHARDS[0]} is " in found.out
    assert "`framedaemon models pull toy-5b` brings it" in found.out
    assert _line(listed, "toy-5b").startswith("toy-5b toy damaged ")
    assert (mended.code, [path for path, _ in hub.fetched()]) == (0, [SHARDS[0]])
    assert command("models", "verify", "toy-5b").out == "toy-5b: ok\n"


def test_a_folder_of_ones_own_is_taken_in_where_it_is_and_forgotten_but_not_removed(
    command: Commands, instance: Instance, models: Path, own: Path
) -> None:
    added = command("models", "add", own, "--for", "toy", "--as", "mine")
    listed = command("models", "list", "--json").json
    found = command("models", "where", "toy-mine")
    verified = command("models", "verify")
    removed = command("models", "remove", "toy-mine")

    assert added.code == 0
    assert 'use = "toy"  and  weights = "mine"' in added.out
    assert [(entry["state"], entry["bytes"]) for entry in listed if entry["name"] == "toy-mine"] == [("there", BYTES)]
    assert found.out == f"{own}\n"
    assert (verified.code, removed.code) == (0, 0)
    assert find_weights(models, "toy-mine") is None
    assert (own / VAE).is_file()


def test_a_repository_that_is_not_listed_is_shown_with_its_licence_and_fetched(
    command: Commands, hub: Hub, instance: Instance, models: Path
) -> None:
    hub.card = {"license": "other", "license_name": "ltx-open"}
    unasked = command("models", "add", REPO, "--for", "toy", "--as", "ltx")
    before = dict(hub.fetched())

    added = command("models", "add", f"{REPO}@main", "--for", "toy", "--as", "ltx", "--yes")

    assert unasked.code == 1
    assert "--yes takes the licence ltx-open as read" in unasked.err
    assert VAE not in before
    assert added.code == 0
    assert "  licence ltx-open; published by somebody; " in added.err
    assert find_weights(models, "toy-ltx") == models / "toy-ltx"


def test_what_is_neither_a_path_nor_a_repository_is_wrong_usage(command: Commands, instance: Instance) -> None:
    said = command("models", "add", "nowhere.pkl", "--for", "toy")

    assert said.code == 2
    assert "nowhere.pkl is no file or folder here" in " ".join(said.err.split())


def test_a_file_cannot_stand_for_a_repository(command: Commands, instance: Instance, own: Path) -> None:
    said = command("models", "pull", "toy-5b", "--from", own / VAE)

    assert said.code == 1
    assert (
        "toy-5b is a whole repository, and no file: bring a folder of it from elsewhere: `framedaemon mod" in said.err
    )


def test_a_job_is_refused_with_the_command_and_done_once_the_repository_is_there(
    command: Commands, hub: Hub, instance: Instance
) -> None:
    picture = drop(instance, "cat.png", '[interpolate]\nuse = "toy"\nfactor = 2\n')

    refused = command("explain", picture)
    pulled = command("models", "pull", "toy-5b", "--yes")
    made = command("render", picture, "-o", "cat.mp4")

    assert refused.code == 1
    assert "weights missing: framedaemon models pull toy-5b" in refused.out + refused.err
    assert (pulled.code, made.code) == (0, 0)
    assert '"toy-5b"' in (instance.root / "cat.json").read_text()


def test_a_job_that_names_another_model_is_refused_with_the_command_that_brings_it(
    command: Commands, hub: Hub, instance: Instance
) -> None:
    command("models", "add", REPO, "--for", "toy", "--as", "ltx", "--yes")
    listed = drop(instance, "cat.png", '[interpolate]\nuse = "toy"\nweights = "5b"\nfactor = 2\n')
    unknown = drop(instance, "dog.png", '[interpolate]\nuse = "toy"\nweights = "none"\nfactor = 2\n')

    said = [command("explain", picture) for picture in (listed, unknown)]

    assert [answer.code for answer in said] == [1, 1]
    assert "toy-5b is not there: `framedaemon models pull toy-5b` brings it" in said[0].out + said[0].err
    assert "`framedaemon models add PATH --for toy --as none` takes in what is yours" in said[1].out + said[1].err


def test_a_repository_that_was_damaged_fails_the_job_with_the_command_that_mends_it(
    command: Commands, hub: Hub, instance: Instance, models: Path
) -> None:
    command("models", "pull", "toy-5b", "--yes")
    (models / "toy-5b" / VAE).write_bytes(b"short")
    picture = drop(instance, "cat.png", '[interpolate]\nuse = "toy"\nfactor = 2\n')

    made = command("render", picture, "-o", "cat.mp4")

    assert made.code == 1
    assert f"toy-5b is damaged: {VAE} has 5 bytes and should have {len(FILES[VAE])}" in made.err
    assert "`framedaemon models pull toy-5b` puts it right" in made.err


def test_setup_brings_a_repository(command: Commands, hub: Hub, instance: Instance, models: Path) -> None:
    pytest.importorskip("torch", reason="torch is not installed")

    said = command("setup", "--yes")

    assert said.code == 0
    assert f"toy-5b is ready: {models / 'toy-5b'}" in said.out
    assert "toy is ready" in said.out


def test_setup_brings_nothing_that_only_a_gpu_is_quick_enough_for_where_there_is_none(
    command: Commands, hub: Hub, instance: Instance
) -> None:
    pytest.importorskip("torch", reason="torch is not installed")
    (instance.plugins / "toy.py").write_text(f"{PLUGIN}\n\nToy.wants_accelerator = True\n")
    instance.config.write_text(_SETTINGS.replace("threads = 1", 'threads = 1\ndevice = "cpu"'))

    said = command("setup")

    assert (said.code, hub.asked) == (0, [])
    assert "toy-5b" not in said.out
