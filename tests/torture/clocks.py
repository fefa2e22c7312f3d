"""The clock set back and forth while jobs run and wait, and files from other times: nothing waits for a clock.

The machine's own clock is left alone: a shim under the C library, built here with gcc, moves the wall clock of the
daemon and its worker by as many seconds as a file says.
"""

from __future__ import annotations

import os
import random
import shutil
import struct
import subprocess
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from framedaemon.instance import Instance
from torture.faulty import faulty_instance, left_behind
from torture.invariants import Dropped, Violation, after_a_crash, in_the_end, unended_states
from torture.report import Row
from torture.workbench import Daemon, Workbench, unended, wait_until

_SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile long long *offset;

static long long moved(void) {
    static const long long none = 0;
    if (!offset) {
        const char *name = getenv("SHIFTED_CLOCK");
        int file = name ? open(name, O_RDONLY | O_CLOEXEC) : -1;
        void *page = file >= 0 ? mmap(NULL, sizeof none, PROT_READ, MAP_SHARED, file, 0) : MAP_FAILED;
        offset = page == MAP_FAILED ? &none : page;
        if (file >= 0) close(file);
    }
    return *offset;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int failed = real(clock, now);
    if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += moved();
    return failed;
}

int gettimeofday(struct timeval *now, void *zone) {
    struct timespec exact;
    int failed = clock_gettime(CLOCK_REALTIME, &exact);
    if (!failed && now) { now->tv_sec = exact.tv_sec; now->tv_usec = exact.tv_nsec / 1000; }
    return failed;
}

time_t time(time_t *now) {
    struct timespec exact;
    clock_gettime(CLOCK_REALTIME, &exact);
    if (now) *now = exact.tv_sec;
    return exact.tv_sec;
}
"""

DAY = 86_400
YEAR = 365 * DAY

# A job that waits may wait this long once the clock was set: its retry, a scan, a worker's start on a slow machine.
_PATIENCE_SECONDS = 180.0

# Summer time ends in central Europe at this moment, and clocks on the wall go from 3 back to 2.
_BACK_TO_WINTER = 1_792_890_000


class Clock:
    """The wall clock of whoever is started with `environment`."""

    def __init__(self, folder: Path) -> None:
        source, self._library = folder / "shim.c", folder / "shim.so"
        source.write_text(_SHIM, "utf-8")
        subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", self._library, source, "-ldl"], check=True)
        self._offset = folder / "offset"
        self.set_by(0)

    def set_by(self, seconds: int) -> None:
        """Show ``seconds`` more than the machine's clock does, from now on."""
        with self._offset.open("r+b" if self._offset.exists() else "wb") as file:
            file.write(struct.pack("q", seconds))

    @property
    def environment(self) -> Mapping[str, str]:
        return {"LD_PRELOAD": str(self._library), "SHIFTED_CLOCK": str(self._offset)}


def lacking() -> str | None:
    """Why the clock cannot be moved here; None where it can."""
    return None if shutil.which("gcc") else "gcc is not here"


def clock_set(name: str, seconds: int, bench: Workbench, trials: int, rng: random.Random) -> Row:
    """The clock is set by ``seconds`` while a job waits for its second attempt."""
    row, instance, clock = Row(name), faulty_instance(bench, name.replace(" ", "-")), _clock(bench)
    instance.config.write_text(instance.config.read_text("utf-8").replace("retry_seconds = 0", "retry_seconds = 3.0"))
    daemon = Daemon(instance, environment=clock.environment)
    drops: list[Dropped] = []
    try:
        for number in bench.trials(trials):
            clock.set_by(0 if number % 2 else -seconds)  # where the last trial has left it
            drops += _failing_once(bench, instance, number)
            wait_until(lambda: "waiting" in unended_states(instance), "the first attempt to fail")
            clock.set_by(seconds if number % 2 else 0)
            row.add(_all_done(daemon, instance, drops))
            if row.violations:
                break
    finally:
        daemon.kill()
    row.add([*in_the_end(instance, drops), *left_behind(instance)], trials=0)
    return row


def to_and_fro(bench: Workbench, trials: int, rng: random.Random) -> Row:
    """The clock is set at random moments, by seconds or by years, and now and then the daemon is killed as well."""
    row, instance, clock = Row("clock to and fro"), faulty_instance(bench, "fro"), _clock(bench)
    drops: list[Dropped] = []
    daemon = Daemon(instance, environment=clock.environment)
    try:
        for number in bench.trials(trials):
            drops += _failing_once(bench, instance, number)
            time.sleep(rng.uniform(0.0, 2.0))
            clock.set_by(rng.choice([-1, 1]) * int(10 ** rng.uniform(0.0, 8.0)))
            if rng.random() < 0.3:
                daemon.kill()
                row.add(after_a_crash(instance, drops), trials=0)
                daemon = Daemon(instance, environment=clock.environment)
            row.trials += 1
        row.add(_all_done(daemon, instance, drops), trials=0)
    finally:
        daemon.kill()
    row.add([*in_the_end(instance, drops), *left_behind(instance)], trials=0)
    return row


def daylight_saving(bench: Workbench, trials: int, rng: random.Random) -> Row:
    """Summer time ends while a job waits: an hour of the wall clock comes twice, and nothing is to notice."""
    row, instance, clock = Row("daylight saving"), faulty_instance(bench, "summer"), _clock(bench)
    instance.config.write_text(instance.config.read_text("utf-8").replace("retry_seconds = 0", "retry_seconds = 3.0"))
    drops: list[Dropped] = []
    for number in bench.trials(trials):
        drops += _failing_once(bench, instance, number)
        daemon = Daemon(instance, environment={**clock.environment, "TZ": "Europe/Berlin"})
        try:
            clock.set_by(_BACK_TO_WINTER - 8 - int(time.time()))
            wait_until(lambda: "waiting" in unended_states(instance), "the first attempt to fail")
            clock.set_by(_BACK_TO_WINTER - 1 - int(time.time()))
            row.add(_all_done(daemon, instance, drops))
        finally:
            daemon.kill()
        if row.violations:
            break
    row.add([*in_the_end(instance, drops), *left_behind(instance)], trials=0)
    return row


def strange_mtimes(bench: Workbench, trials: int, rng: random.Random) -> Row:
    """Files from the future, from 1970 and before, and such whose mtime goes backwards while they settle."""
    row, instance = Row("strange mtimes"), faulty_instance(bench, "mtimes")
    instance.config.write_text(
        instance.config.read_text("utf-8").replace("settle_seconds = 0.0", "settle_seconds = 0.5")
    )
    drops: list[Dropped] = []
    daemon = Daemon(instance)
    try:
        for number in bench.trials(-(-trials // 4)):
            names = [f"picture{number}x{kind}.png" for kind in range(4)]
            drops += [bench.drop(instance, name, kind) for kind, name in enumerate(names)]
            now = time.time()
            for name, mtime in zip(names, (now + 50 * YEAR, 0.0, -30.0 * YEAR, now), strict=True):
                _date(instance.input / name, mtime)
            for step in range(5):
                time.sleep(0.2)
                _date(instance.input / names[3], now - step * DAY)
            row.add(_all_done(daemon, instance, drops), trials=4)
            if row.violations:
                break
    finally:
        daemon.kill()
    row.add([*in_the_end(instance, drops), *left_behind(instance)], trials=0)
    return row


def _clock(bench: Workbench) -> Clock:
    bench.folder.mkdir(parents=True, exist_ok=True)
    return Clock(bench.folder)


def _failing_once(bench: Workbench, instance: Instance, number: int) -> list[Dropped]:
    """A picture whose first attempt fails, and one whose does not."""
    asks = f'[generate]\nfault = "raise"\ntimes = 1\nkey = "failing{number}"\n'
    return [
        bench.drop(instance, f"failing{number}.png", number % 2, asks),
        bench.drop(instance, f"honest{number}.png", number % 2),
    ]


def _all_done(daemon: Daemon, instance: Instance, drops: list[Dropped]) -> list[Violation]:
    """What is wrong once every job has ended; they have to in time."""
    try:
        wait_until(
            lambda: unended(instance) == 0 and not any((instance.input / drop.name).exists() for drop in drops),
            "the jobs to end",
            _PATIENCE_SECONDS,
        )
    except AssertionError as error:
        return [Violation("lost", f"{error}: {unended(instance)} wait")]
    with daemon.stopped():
        return after_a_crash(instance, drops)


def _date(path: Path, mtime: float) -> None:
    """Set the file's mtime, if it is still there."""
    try:
        os.utime(path, (mtime, mtime))
    except FileNotFoundError:
        return


def _where_possible(
    fault: Callable[[Workbench, int, random.Random], Row],
) -> Callable[[Workbench, int, random.Random], Row]:
    def strike_where_possible(bench: Workbench, trials: int, rng: random.Random) -> Row:
        lacks = lacking()
        if lacks is not None:
            print(f"left out: {lacks}")
            return Row("clock")
        return fault(bench, trials, rng)

    return strike_where_possible


FAULTS: dict[str, Callable[[Workbench, int, random.Random], Row]] = {
    "clock set back a year": _where_possible(partial(clock_set, "clock set back a year", -YEAR)),
    "clock set ahead a year": _where_possible(partial(clock_set, "clock set ahead a year", YEAR)),
    "clock set back ten minutes": _where_possible(partial(clock_set, "clock set back ten minutes", -600)),
    "clock to and fro": _where_possible(to_and_fro),
    "daylight saving": _where_possible(daylight_saving),
    "strange mtimes": strange_mtimes,
}
