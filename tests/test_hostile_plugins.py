"""Plugins that raise, hang, leak, lie and kill, in one life of a daemon: each costs its own job, and no other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from framedaemon.instance import Instance
from framedaemon.ledger import JobRow
from framedaemon.plugins import new_registry
from framedaemon.printed import WORKER_OUTPUT
from living import CONFIG, drop, files_below, jobs_of, living, make_instance, tick_until

# Everything goes wrong in the generator that a recipe names, where and as it says.
HOSTILE = """
import os, sys, threading, time
from contextlib import contextmanager
from fractions import Fraction

import numpy as np

from framedaemon import ClipSpec, Estimate, GeneratorOptions, hookimpl


LEFT = []


class HostileOptions(GeneratorOptions):
    at: str = ""
    how: str = ""


def do(options, where):
    if options.at == where:
        HOWS[options.how]()


def throw(kind):
    raise kind("on purpose")


def leak():
    os.chdir("/")
    os.umask(0o777)
    os.environ.clear()
    os.closerange(0, 3)
    LEFT.extend(open("/dev/null") for _ in range(1000))
    for _ in range(60):
        threading.Thread(target=time.sleep, args=(600,), daemon=True).start()


def shout():
    for _ in range(300):
        os.write(1, b"x" * 100_000)
        os.write(2, b"y" * 100_000)


def fork():
    if os.fork() == 0:  # and the child has the pipe to ffmpeg, which waits for its end
        os.setsid()
        time.sleep(600)


HOWS = {
    "raise": lambda: throw(RuntimeError),
    "interrupt": lambda: throw(KeyboardInterrupt),
    "generator exit": lambda: throw(GeneratorExit),
    "exit": lambda: sys.exit("on purpose"),
    "die": lambda: os._exit(7),
    "hang": lambda: time.sleep(600),
    "close everything": lambda: (os.closerange(0, 200), time.sleep(600)),
    "leak": leak,
    "shout": shout,
    "fork": fork,
}


class Hostile:
    name = "hostile"
    summary = "does as it is told"
    options = HostileOptions
    accepts = frozenset({"picture"})
    preference = -1

    def unready(self, machine):
        return None

    def promise(self, takes, options):
        do(options, "promise")
        return ClipSpec(32, 32, 3, Fraction(4))

    def estimate(self, takes, gives, options):
        do(options, "estimate")
        return Estimate() if options.how != "nonsense" else "a lot"

    @contextmanager
    def load(self, placement, options):
        do(options, "load")
        yield lambda source, scratch: draw(options)


def draw(options):
    buffer = np.zeros((32, 32, 3), np.uint8)
    for index in range(3):
        if index == 1:
            do(options, "frames")
            if options.at == "lie" and options.how == "few":
                return
        shade = np.linspace(0, 200, 32, dtype=np.uint8)[:, None, None]
        np.copyto(buffer, np.roll(shade, index, 0))
        frame = buffer.copy()
        if options.at == "lie":
            frame = {"type": frame.astype(np.float32) * np.nan}.get(options.how, frame)
        yield frame
    while options.at == "lie" and options.how == "many":
        yield frame


@hookimpl
def generators():
    return [Hostile()]
"""
# What runs for every job, whoever's it is.
FOR_EVERYBODY = {
    "dies_at_import": "import os\nos._exit(3)\n",
    "interrupts_at_import": "raise KeyboardInterrupt\n",
    "dies_as_policy": (
        "import os\nfrom framedaemon import hookimpl\n\n@hookimpl\ndef memory_policy(stage):\n    os._exit(5)\n"
    ),
    "lies_as_policy": (
        "from framedaemon import Placement, hookimpl\n\n@hookimpl\ndef memory_policy(stage):\n"
        "    return Placement('cuda:9')\n"
    ),
}


class Case(NamedTuple):
    """A way to go wrong, and what comes of its job."""

    at: str
    how: str
    state: str
    said: str


CASES = (
    Case("promise", "raise", "quarantined", "RuntimeError: on purpose"),
    Case("promise", "interrupt", "quarantined", "KeyboardInterrupt: on purpose"),
    Case("promise", "die", "quarantined", "ended with exit code 7"),
    Case("estimate", "exit", "quarantined", "SystemExit: on purpose"),
    Case("nowhere", "nonsense", "quarantined", "hostile: estimate() gave a str, not a Estimate"),
    Case("load", "generator exit", "quarantined", "GeneratorExit: on purpose"),
    Case("load", "hang", "quarantined", "made no progress for 3 s"),
    Case("frames", "raise", "quarantined", "hostile: RuntimeError: on purpose"),
    Case("frames", "close everything", "quarantined", "the worker "),
    Case("frames", "shout", "done", ""),
    Case("frames", "fork", "quarantined", "made no progress for 3 s"),
    Case("frames", "leak", "done", ""),
    Case("lie", "few", "quarantined", "hostile: made 1 frames, promised were 3"),
    Case("lie", "many", "quarantined", "hostile: made more than"),
    Case("lie", "type", "quarantined", "hostile"),
)


def _name(case: Case) -> str:
    return f"{case.at}-{case.how}".replace(" ", "-") + ".png"


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    """An instance whose daemon met all of them, an honest job behind each few, and lived."""
    config = CONFIG.replace(
        "retry_seconds = 0", "retry_seconds = 0\nmax_attempts = 1\nstall_seconds = 3\nbreaker_jobs = 999"
    )
    instance = make_instance(tmp_path_factory.mktemp("hostile"), config)
    (instance.plugins / "hostile.py").write_text(HOSTILE)
    for name, code in FOR_EVERYBODY.items():
        (instance.plugins / f"{name}.py").write_text(code)
    for number, case in enumerate(CASES):
        recipe = f'[generate]\nuse = "hostile"\nat = "{case.at}"\nhow = "{case.how}"\n'
        drop(instance, f"{number:02}/{_name(case)}", recipe)
    for number in (0, 5, 10, 99):
        drop(instance, f"{number:02}/honest.png")
    drop(instance, "98/asks.png", '[generate]\nuse = "nobody"\n')
    with living(instance, new_registry()) as service:
        tick_until(service, lambda: service.idle, seconds=300.0)
    yield instance


@pytest.fixture(scope="module")
def rows(lived: Instance) -> dict[str, JobRow]:
    return {row.name: row for row in jobs_of(lived)}


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.at} {case.how}")
def test_a_plugin_harms_its_own_job_and_that_is_said(rows: dict[str, JobRow], case: Case) -> None:
    row = rows[f"{CASES.index(case):02}/{_name(case)}"]

    assert (row.state, case.said in row.reason) == (case.state, True), row.reason


def test_every_honest_job_succeeds_at_its_first_attempt(rows: dict[str, JobRow]) -> None:
    """Whatever was loaded beside it: plugins that kill at import, and that are asked for every job."""
    honest = [row for name, row in rows.items() if name.endswith("honest.png")]

    assert [(row.state, row.attempts) for row in honest] == [("done", 1)] * 4


def test_nothing_is_lost(lived: Instance, rows: dict[str, JobRow]) -> None:
    kept = {str(Path(name).relative_to(Path(name).parts[0])) for name in files_below(lived.input)}

    assert set(rows) <= kept, "each picture is in done/ or failed/"
    assert len(rows) == len(CASES) + 5


def test_those_who_brought_the_worker_down_are_named(rows: dict[str, JobRow]) -> None:
    """In the reason of any recipe that asks for what is not there."""
    reason = rows["98/asks.png"].reason

    assert "plugin dies_at_import is broken: set aside until its file changes" in reason
    assert "plugin dies_as_policy is broken: set aside until its file changes" in reason
    assert ("ended with exit code 3" in reason, "ended with exit code 5" in reason) == (True, True)
    assert "plugin interrupts_at_import is broken: KeyboardInterrupt (interrupts_at_import.py, line 1)" in reason


def test_what_they_print_is_bounded(lived: Instance) -> None:
    printed = [path.stat().st_size for path in lived.logs.glob(f"{WORKER_OUTPUT}*")]

    assert sum(printed) < 75_000_000
