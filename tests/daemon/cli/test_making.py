"""render, explain and replay, as a person types them."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest

from commands import PATIENT, PROGRAM, Commands, wait_until
from framedaemon.instance import Instance
from living import drop, files_below, make_instance


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Instance:
    """The one that is meant when none is named."""
    made = make_instance(tmp_path / "instance")
    monkeypatch.setenv("FRAMEDAEMON_INSTANCE", str(made.root))
    monkeypatch.chdir(tmp_path)
    return made


def receipt_of(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text())  # type: ignore[no-any-return]  # an object, as all receipts are


def test_one_line_makes_a_video_with_all_that_it_says(command: Commands, instance: Instance, tmp_path: Path) -> None:
    drop(instance, "test.png").rename("test.png")
    line = "render test.png --frames 5 --interpolate blend --fps 30 --seed 7 --set encode.crf=16 -o out.mp4"

    said = command(*line.split())

    facts = receipt_of(Path("out.json"))
    assert (said.code, said.out.partition(":")[0]) == (0, str(tmp_path / "out.mp4"))
    assert (facts["seed"], facts["recipe"]["encode"]["crf"], facts["frames"]["drawn"]) == (7, 16, 5)
    assert _rate_and_frames("out.mp4") == (Fraction(30), 31)  # 5 frames at 4 a second last to the time 1
    assert files_below(tmp_path) - files_below_with(instance) == {"test.png", "out.mp4", "out.json"}


def test_rendering_works_outside_any_instance(
    command: Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    drop(Instance(tmp_path / "elsewhere"), "test.png").rename("test.png")

    said = command("render", "test.png", "--frames", "3", "--interpolate", "none", "-o", "out.mkv")

    assert said.code == 0
    assert files_below(tmp_path) == {"test.png", "out.mkv", "out.json"}


def test_the_result_goes_to_stdout_and_the_way_there_to_stderr(command: Commands, instance: Instance) -> None:
    said = command("render", drop(instance, "test.png"), "--frames", "10", "-o", "out.mp4")

    assert said.out.splitlines() == [said.out.strip()]
    assert "19 of 19 frames" in said.err
    assert len(said.err.splitlines()) < 30


def test_the_size_that_is_said_is_the_videos_where_an_odd_one_was_cropped(
    command: Commands, instance: Instance
) -> None:
    odd = ["--generate", "camera", "--set", "generate.width=33", "--set", "generate.height=33"]

    said = command("render", drop(instance, "test.png"), *odd, "--frames", "2", "-o", "out.mp4")

    assert "out.mp4: 32x32, 3 frames" in said.out


def test_on_a_terminal_there_is_a_bar(instance: Instance) -> None:
    ours, theirs = pty.openpty()
    words = ["render", str(drop(instance, "test.png")), "-o", "out.mp4"]

    done = subprocess.run([*PROGRAM, *words], stdout=subprocess.PIPE, stderr=theirs, timeout=60)
    os.close(theirs)
    shown = _read_all(ours)

    assert done.returncode == 0
    assert "5/5" in shown


@pytest.mark.parametrize(
    "name",
    ["-rf.png", "a b;rm $(x) 'z'.png", "new\nline.png", "写真 🐈.png", "[red]100%d.png", os.fsdecode(b"caf\xe9.png")],
)
def test_odd_names_are_rendered_and_said_on_one_line(command: Commands, instance: Instance, name: str) -> None:
    drop(instance, "plain.png").rename(name)
    output = name.replace(".png", ".mp4")

    said = command("render", "-o", f"./{output}", "--", name)
    explained = command("explain", "--", name)

    assert (said.code, len(said.out.splitlines())) == (0, 1)
    assert Path(output).is_file()
    assert receipt_of(Path(output.replace(".mp4", ".json")))["source"]["name"] == name
    assert (explained.code, explained.out.splitlines()[0][-13:]) == (0, "picture 32x32")


def test_a_video_that_is_there_is_replaced_only_when_told(command: Commands, instance: Instance) -> None:
    path = drop(instance, "test.png")
    Path("out.mp4").write_text("dear")

    refused = command("render", path, "-o", "out.mp4")
    before = Path("out.mp4").read_text()
    replaced = command("render", path, "-o", "out.mp4", "--overwrite")

    assert (refused.code, before) == (1, "dear")
    assert "--overwrite" in refused.err
    assert replaced.code == 0
    assert Path("out.mp4").stat().st_size > 500


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_leaves_nothing_behind(instance: Instance, tmp_path: Path, number: int) -> None:
    (instance.plugins / "patient.py").write_text(PATIENT)
    path = drop(instance, "test.png")
    before = files_below(tmp_path)
    words = ["render", str(path), "--generate", "patient", "-o", "out.mp4"]
    process = subprocess.Popen([*PROGRAM, *words], stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        wait_until(lambda: any(tmp_path.glob(".framedaemon_*/generate/drawing")), "the work")
        os.killpg(process.pid, number)
        (instance.tmp / "go").touch()

        assert process.wait(30) != 0
    finally:
        process.kill()
    left = {name for name in files_below(tmp_path) if "__pycache__" not in name}
    assert left == before | {"instance/tmp/go"}
    assert [path.name for path in tmp_path.iterdir()] == ["instance"]


def test_a_failure_is_said_without_a_traceback(command: Commands, instance: Instance, tmp_path: Path) -> None:
    path = drop(instance, "test.png", '[generate]\nuse = "faulty"\nfault = "raise"\n')
    before = files_below(tmp_path)

    said = command("render", path, "-o", "out.mp4")

    assert (said.code, said.out) == (1, "")
    assert said.err.splitlines()[-1] == "framedaemon: faulty: RuntimeError: something broke"
    assert {name for name in files_below(tmp_path) if "__pycache__" not in name} == before


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["-o", "out.mp4", "--set", "crf=16"], 2, "write it as encode.crf=16"),
        (["-o", "out.mp4", "--set", "encode.crf"], 2, "write it as encode.crf=16"),
        (["-o", "out.mp4", "--set", "sound.loud=1"], 2, "after generate, interpolate or encode"),
        ([], 2, "--output"),
        (["-o", "out.mp4", "--frames", "many"], 2, "--frames"),
        (["-o", "out.mp4", "--instance", "nowhere"], 2, "nowhere is not a folder"),
        (["-o", "out.mp4", "--fps", "fast"], 1, "'fast' is not a frame rate"),
        (["-o", "out.mp4", "--set", "encode.crf=99"], 1, "99 is not in 0..51"),
        (["-o", "out.mp4", "--set", "encode.sharpness=1"], 1, "sharpness"),
        (["-o", "out.mp4", "--generate", "magic"], 1, "there is no 'magic' here"),
        (["-o", "out.avi"], 1, "'avi' is not one of mp4"),
        (["-o", "nowhere/out.mp4"], 1, "nowhere: is no folder"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_runs(
    command: Commands, instance: Instance, words: list[str], code: int, said: str
) -> None:
    answer = command("render", drop(instance, "test.png"), *words)

    assert (answer.code, answer.out) == (code, "")
    assert said in " ".join(answer.err.replace("│", " ").split())
    assert "Traceback" not in answer.err


@pytest.mark.parametrize(
    ("make", "code", "said"),
    [
        (lambda path: None, 2, "does not exist"),
        (lambda path: path.mkdir(), 2, "is a directory"),
        (lambda path: path.write_text("no picture"), 1, "is a text file"),
        (lambda path: path.touch(), 1, "is empty"),
    ],
)
def test_what_is_no_picture_is_refused(
    command: Commands, instance: Instance, make: Callable[[Path], object], code: int, said: str
) -> None:
    make(Path("bad.png"))

    answer = command("render", "bad.png", "-o", "out.mp4")

    assert answer.code == code
    assert said in " ".join(answer.err.replace("│", " ").split())


def test_values_on_the_command_line_are_toml_or_else_text(command: Commands, instance: Instance) -> None:
    words = ["generate.frames=4", "generate.prompt=a cat, asleep", 'encode.preset="fast"', "encode.faststart=false"]

    said = command("explain", drop(instance, "a.png"), "--json", *(w for word in words for w in ("--set", word)))

    generate, _, encode = (step["options"] for step in said.json[0]["steps"])
    assert (generate["frames"], generate["prompt"]) == (4, "a cat, asleep")
    assert (encode["preset"], encode["faststart"]) == ("fast", False)


def test_a_sidecar_that_asks_for_several_videos_gives_the_first_and_says_so(
    command: Commands, instance: Instance
) -> None:
    path = drop(instance, "test.png", "[[job]]\ngenerate.frames = 2\n[[job]]\n")

    said = command("render", path, "-o", "out.mp4")

    assert "asks for 2 videos; this is the first" in said.err
    assert receipt_of(Path("out.json"))["frames"]["drawn"] == 2


def test_explaining_runs_nothing_and_writes_nothing(command: Commands, instance: Instance, tmp_path: Path) -> None:
    path = drop(instance, "test.png", '[generate]\nuse = "faulty"\nfault = "kill"\n')
    before = _everything(tmp_path)

    said = command("explain", path)

    assert said.code == 0
    assert _everything(tmp_path) == before
    assert said.out.splitlines()[0] == "test.png: picture 32x32"
    assert {"drawn", "video", "memory", "disk", "time", "seed"} <= {line.split()[0] for line in said.out.splitlines()}


def test_the_plan_as_json_is_all_that_stdout_holds(command: Commands, instance: Instance) -> None:
    path = drop(instance, "test.png", "[[job]]\ngenerate.seed = 1\n[[job]]\ngenerate.seed = 2\n")
    (instance.plugins / "noisy.py").write_text("print('a plugin speaks')\n")

    said = command("explain", path, "--json", "--fps", "8")

    assert [(plan["seed"], plan["fps"], plan["frames"]) for plan in said.json] == [(1, "8", 5), (2, "8", 5)]


def test_a_replay_says_that_it_came_out_the_same(command: Commands, instance: Instance) -> None:
    path = drop(instance, "test.png")
    made = command("render", path, "--set", "encode.threads=1", "-o", "out.mp4", "--json").json

    said = command("replay", "out.json", "--source", path)
    facts = command("replay", "out.json", "--source", path, "-o", "again.mp4", "--json").json

    assert (said.code, said.out.splitlines()[-1]) == (0, "the same as the first one, byte for byte")
    assert (made["video"], made["bytes"]) == (str(Path("out.mp4").absolute()), Path("out.mp4").stat().st_size)
    assert (made["frames"], made["width"], made["height"]) == (5, 32, 32)
    assert facts["compared"] == "the same as the first one, byte for byte"
    assert Path("out-replay.mp4").read_bytes() == Path("out.mp4").read_bytes()


def test_a_replay_refuses_another_source_and_what_is_no_receipt(command: Commands, instance: Instance) -> None:
    command("render", drop(instance, "test.png"), "-o", "out.mp4")
    Path("notes.json").write_text("{}")

    other = command("replay", "out.json", "--source", drop(instance, "another.png"))
    notes = command("replay", "notes.json")
    gone = command("replay", "out.json")

    assert (other.code, notes.code, gone.code) == (1, 1, 1)
    assert "its sha256 differs" in other.err
    assert "is not a receipt" in notes.err
    assert "--source" in gone.err
    assert not Path("out-replay.mp4").exists()


def files_below_with(instance: Instance) -> set[str]:
    """The instance's own files, as seen from the folder it lies in."""
    return {f"{instance.root.name}/{name}" for name in files_below(instance.root)}


def _everything(folder: Path) -> dict[str, int]:
    """Every file and folder with its time of change; Python's own cache of plugins left out."""
    found = [folder, *folder.rglob("*")]
    kept = [path for path in found if path.name != "plugins" and "__pycache__" not in str(path)]
    return {str(path): path.lstat().st_mtime_ns for path in kept}


def _rate_and_frames(path: str) -> tuple[Fraction | None, int]:
    with av.open(path) as file:
        return file.streams.video[0].average_rate, sum(1 for _ in file.decode(video=0))


def _read_all(handle: int) -> str:
    """What was written to a terminal whose other end is closed."""
    data = b""
    try:
        while block := os.read(handle, 65536):
            data += block
    except OSError:
        pass  # Linux says EIO at the end
    os.close(handle)
    return data.decode()
