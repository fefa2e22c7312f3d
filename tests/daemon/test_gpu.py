"""Cards as NVIDIA's own library tells of them: nvidia-ml-py talks to a library that is compiled here."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from framedaemon.gpu import Card, Patient, Unwatched, Watch, read_card
from framedaemon.offspring import MARK
from framedaemon.settings import GpuSettings, SettingsError, read_settings

GIB = 2**30
SETTINGS = GpuSettings()

# What the driver's library exports, by the signatures of nvml.h; its facts stand in the file $FAKE_NVML:
# a line a card: uuid, celsius, busy percent, pid and bytes of a process that computes, pid and bytes of one that shows.
LIBRARY = r"""
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
typedef struct { char uuid[80]; unsigned celsius, busy, pids[2]; unsigned long long bytes[2]; } card;
typedef struct { unsigned pid; unsigned long long used; unsigned instance, compute; } process;
typedef struct { unsigned gpu, memory; } utilization;
static card cards[4]; static unsigned count;
static int load(void) {
    const char *path = getenv("FAKE_NVML"); FILE *file = path ? fopen(path, "r") : 0; card *c = cards;
    if (!file) return 9;  /* NVML_ERROR_DRIVER_NOT_LOADED */
    for (count = 0; fscanf(file, "%79s %u %u %u %llu %u %llu", c->uuid, &c->celsius, &c->busy, &c->pids[0],
                           &c->bytes[0], &c->pids[1], &c->bytes[1]) == 7; count++) c++;
    fclose(file); return 0;
}
int nvmlInitWithFlags(unsigned flags) { return load(); }
int nvmlShutdown(void) { return 0; }
const char *nvmlErrorString(int code) { return code == 9 ? "Driver Not Loaded" : "Not Found"; }
int nvmlDeviceGetCount_v2(unsigned *n) { *n = count; return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned i, card **c) { if (i >= count) return 6; *c = &cards[i]; return 0; }
int nvmlDeviceGetUUID(card *c, char *to, unsigned size) { strncpy(to, c->uuid, size); return 0; }
int nvmlDeviceGetTemperature(card *c, int sensor, unsigned *to) { *to = c->celsius; return 0; }
int nvmlDeviceGetUtilizationRates(card *c, utilization *to) { to->gpu = c->busy; to->memory = 0; return 0; }
static int running(card *c, int kind, unsigned *n, process *to) {
    if (!c->pids[kind]) { *n = 0; return 0; }
    if (*n < 1) { *n = 1; return 7; }  /* NVML_ERROR_INSUFFICIENT_SIZE */
    *n = 1; to->pid = c->pids[kind]; to->used = c->bytes[kind]; to->instance = to->compute = 0; return 0;
}
int nvmlDeviceGetComputeRunningProcesses_v3(card *c, unsigned *n, process *to) { return running(c, 0, n, to); }
int nvmlDeviceGetGraphicsRunningProcesses_v3(card *c, unsigned *n, process *to) { return running(c, 1, n, to); }
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """It is loaded under the name by which nvidia-ml-py asks the system for the driver's; without facts it fails."""
    pytest.importorskip("pynvml")
    compiler = shutil.which("cc")
    if compiler is None or Path("/proc/driver/nvidia/version").exists():
        pytest.skip("there is no C compiler, or there is a driver")
    folder = tmp_path_factory.mktemp("nvml")
    (folder / "nvml.c").write_text(LIBRARY)
    name = "libnvidia-ml.so.1"
    subprocess.run(
        [compiler, "-shared", "-fPIC", f"-Wl,-soname,{name}", "-o", folder / name, folder / "nvml.c"], check=True
    )
    ctypes.CDLL(str(folder / name))
    return folder


@pytest.fixture
def facts(library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "facts"
    monkeypatch.setenv("FAKE_NVML", str(path))
    return path


@pytest.fixture
def ours(tmp_path: Path) -> Iterator[int]:
    """A process of our own worker's."""
    command = [sys.executable, "-c", "input()"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, env={**os.environ, MARK: str(tmp_path)})
    yield process.pid
    process.kill()
    process.communicate()


def test_what_our_own_processes_hold_is_no_other_s(facts: Path, ours: int, tmp_path: Path) -> None:
    facts.write_text(f"GPU-aa 61 97 {ours} {9 * GIB} {os.getpid()} {3 * GIB}\n")

    assert read_card("cuda:0", "", str(tmp_path)) == Card(61, 97, 3 * GIB)


def test_a_process_that_computes_and_shows_is_counted_once(facts: Path) -> None:
    facts.write_text(f"GPU-aa 61 0 {os.getpid()} {GIB} {os.getpid()} {GIB}\n")

    assert read_card("auto", "", "nobody").others_bytes == GIB


@pytest.mark.parametrize(
    ("device", "uuid", "visible", "celsius"),
    [
        ("cuda", "", None, 50),
        ("cuda:1", "", None, 60),
        ("cuda:0", "", "1,0", 60),
        ("cuda:0", "", "GPU-bb", 60),
        ("cuda:0", "GPU-bbbb-2", "0", 60),  # what the worker says is what it works on
    ],
)
def test_a_card_is_found_as_torch_names_it(
    facts: Path, device: str, uuid: str, visible: str | None, celsius: int
) -> None:
    facts.write_text("GPU-aaaa-1 50 0 0 0 0 0\nGPU-bbbb-2 60 0 0 0 0 0\n")
    environ = {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}

    assert read_card(device, uuid, "nobody", environ).celsius == celsius


@pytest.mark.parametrize(
    ("text", "device", "visible", "said"),
    [
        (None, "cuda", "0", "Driver Not Loaded"),
        ("GPU-aa 50 0 0 0 0 0\n", "cuda:3", "0,1,2,3", "the driver says nothing of cuda:3"),
        ("GPU-aa 50 0 0 0 0 0\n", "cuda:1", "0", "CUDA_VISIBLE_DEVICES names no cuda:1"),
        ("GPU-aa 50 0 0 0 0 0\n", "cuda", "MIG-cc", "the driver knows no card MIG-cc"),
    ],
)
def test_a_card_that_cannot_be_read_says_why(
    facts: Path, text: str | None, device: str, visible: str, said: str
) -> None:
    facts.write_text(text) if text is not None else None

    with pytest.raises(Unwatched, match=said):
        read_card(device, "", "nobody", {"CUDA_VISIBLE_DEVICES": visible})


def test_without_nvidia_ml_py_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)

    with pytest.raises(Unwatched, match=r"pip install .framedaemon\[nvidia\]"):
        read_card("cuda", "", "nobody")


def test_a_card_once_too_hot_must_cool_well_below() -> None:
    watch = Watch()

    causes = [sorted(watch.judge(Card(celsius, 0, 0), SETTINGS, 0.0, busy=False)) for celsius in (89, 90, 76, 75, 89)]

    assert causes == [[], ["heat"], ["heat"], [], []]


def test_others_must_have_let_go_of_a_card_for_a_while() -> None:
    watch, game, none = Watch(), Card(60, 90, 5 * GIB), Card(60, 3, GIB)

    causes = [watch.judge(card, SETTINGS, now, busy=False) for now, card in enumerate((none, game, none), 100)]
    later = watch.judge(none, SETTINGS, 162.0, busy=False)

    assert causes == [
        {},
        {"others": "others hold 5 GiB of the graphics card's memory"},
        {"others": "others needed the graphics card 1 s ago"},
    ]
    assert later == {}


def test_how_busy_a_card_is_says_nothing_of_others_while_a_job_of_ours_is_at_work() -> None:
    ours, idle = Card(60, 100, 0), Watch()

    assert idle.judge(ours, SETTINGS, 0.0, busy=True) == {}
    assert idle.judge(ours, SETTINGS, 0.0, busy=False) == {"others": "others keep the graphics card 100 % busy"}


def test_what_is_0_is_not_looked_at() -> None:
    settings = GpuSettings(others_bytes=0, others_percent=0, hot_celsius=0)

    assert Watch().judge(Card(120, 100, 40 * GIB), settings, 0.0, busy=False) == {}


def test_a_card_cannot_be_cool_while_it_is_hot(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("[gpu]\nhot_celsius = 70\n")

    with pytest.raises(SettingsError, match=r"config.toml \[?gpu\]?: cool_celsius: 75 is not below hot_celsius, 70"):
        read_settings(tmp_path / "config.toml")


def test_a_driver_that_hangs_is_waited_for_once_and_asked_again_when_it_has_answered() -> None:
    card, answers = Card(40, 0, 0), threading.Event()
    asked: list[str] = []

    def read(device: str, uuid: str) -> Card:
        asked.append(device)
        answers.wait(60)
        return card

    patient = Patient(read, seconds=1.0)
    with pytest.raises(Unwatched, match="does not answer"):
        patient("cuda:0", "")
    with pytest.raises(Unwatched, match="does not answer"):
        patient("cuda:0", "")
    waited = list(asked)
    answers.set()
    _let_end("card")

    assert waited == ["cuda:0"]
    assert patient("cuda:0", "") == card


def test_what_cannot_be_learned_of_a_card_is_said_from_the_thread_too() -> None:
    def read(device: str, uuid: str) -> Card:
        raise Unwatched("there is no driver")

    with pytest.raises(Unwatched, match="there is no driver"):
        Patient(read)("cuda:0", "")


def test_a_card_that_no_thread_is_left_to_ask_about_is_not_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    patient = Patient(lambda device, uuid: Card(40, 0, 0))
    with monkeypatch.context() as limited:
        limited.setattr(threading.Thread, "start", _no_thread)
        with pytest.raises(Unwatched, match="can't start new thread"):
            patient("cuda:0", "")

    assert patient("cuda:0", "") == Card(40, 0, 0)


def _no_thread(thread: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


def _let_end(name: str) -> None:
    for thread in threading.enumerate():
        if thread.name == name:
            thread.join(60)
