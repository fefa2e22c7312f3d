"""Faults that last for a while: a daemon at work has to bear one, and to go on by itself when it is over."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, suppress
from pathlib import Path
from typing import TypeAlias

from torture.disks import missing
from torture.invariants import Violation
from torture.report import Row
from torture.stream import Stream, Stuck
from torture.workbench import Daemon, Workbench, wait_until

Strike: TypeAlias = Callable[[Path], AbstractContextManager[None]]
"""Does something to a folder, and undoes it; raises FileExistsError where the daemon made that impossible."""

# A fault lasts at most so long: a job is at its end by then, its video waits, its picture waits.
_SECONDS = 3.0


Fault: TypeAlias = Callable[[Workbench, int, random.Random], Row]


def where_possible(faults: Mapping[str, Fault]) -> dict[str, Fault]:
    """The faults as they are where filesystems can be mounted; elsewhere each says that it is left out."""

    def leave_out(name: str) -> Fault:
        def left_out(bench: Workbench, trials: int, rng: random.Random) -> Row:
            print(f"left out: {missing()}")
            return Row(name)

        return left_out

    return {name: leave_out(name) for name in faults} if missing() else dict(faults)


def suffer(
    stream: Stream,
    trials: int,
    folders: Sequence[Path],
    strikes: Sequence[Strike],
    restarted: bool,
    before: tuple[str, ...] = (),
) -> None:
    """Strike one of ``folders`` again and again while a daemon, run by ``before``, works off the stream.

    ``restarted``: it is killed and started while the fault lasts.
    """
    rng, row = stream.rng, stream.row
    daemon = Daemon(stream.instance, *before)
    try:
        for _ in stream.bench.trials(trials):
            stream.linger()
            folder, strike = rng.choice(folders), rng.choice(strikes)
            with ExitStack() as undo:
                undo.enter_context(strike(folder))
                time.sleep(rng.uniform(0.0, _SECONDS))
                if restarted:
                    daemon.kill()
                    daemon = Daemon(stream.instance, *before)
                    time.sleep(rng.uniform(0.0, _SECONDS))
                with daemon.stopped():
                    undo.close()
                    stream.struck(f"{folder.name}/ {strike.__name__}")
            if restarted:
                wait_until(lambda it=daemon: not it.running or _runs(it), "the daemon to start, or to say why not")  # type: ignore[misc]
                daemon = daemon if daemon.running else Daemon(stream.instance, *before)
            stream.feed_until_finished()
            if row.violations:
                return
        stream.rest()
        with daemon.stopped():
            stream.rested()
        if not daemon.running:
            row.add([Violation("lost", f"the daemon ended by itself, with {daemon.process.returncode}")], trials=0)
    except (Stuck, FileExistsError) as error:
        row.add([Violation("lost", str(error))], trials=0)
    finally:
        daemon.kill()


def _runs(daemon: Daemon) -> bool:
    """Whether it is past all that may keep a daemon from starting: it holds the lock."""
    with suppress(OSError):
        return daemon.instance.lock.read_text().strip() == str(daemon.process.pid)
    return False
