"""The terminal as a screen of its own: drawn line by line, left as it was found, whatever ends us."""

from __future__ import annotations

import os
import select
import signal
import sys
import termios
import tty
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, NoReturn

from rich.console import Console
from rich.text import Text

# xterm's: the other screen, no cursor, no line that goes on in the next one; and back.
_ENTER = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J"
_LEAVE = "\x1b[?7h\x1b[?25h\x1b[?1049l"


def knows_unicode() -> bool:
    """Whether what reads stdout gets lines and bars as they are; else ASCII has to do."""
    return (sys.stdout.encoding or "").lower().replace("-", "").startswith("utf")


class Terminal:
    """Use it as a context. Ctrl-C, SIGTERM and SIGHUP raise KeyboardInterrupt within; Ctrl-Z goes and comes back."""

    def __init__(self) -> None:
        self._console = Console(highlight=False, markup=False, soft_wrap=True)
        self._drawn: list[str] = []
        self._keys = sys.stdin is not None and sys.stdin.isatty()
        self._mode: list[Any] = []
        self._woken, self._waking = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._signals: dict[int, Any] = {}

    @staticmethod
    def possible() -> bool:
        """Whether there is a terminal that can be drawn on."""
        return sys.stdout.isatty() and os.environ.get("TERM", "dumb") not in ("", "dumb", "unknown")

    @property
    def size(self) -> tuple[int, int]:
        """Columns and lines, as they are now."""
        size = os.get_terminal_size(sys.stdout.fileno())
        return size.columns or 80, size.lines or 24

    def __enter__(self) -> Terminal:
        handlers = {
            signal.SIGWINCH: self._resized,
            signal.SIGTSTP: self._suspend,
            signal.SIGTERM: _interrupt,
            signal.SIGHUP: _interrupt,
        }
        self._signals = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]  # a name that it cannot show
        self._open()
        return self

    def __exit__(self, *exception: object) -> None:
        self._close()
        for number, handler in self._signals.items():
            signal.signal(number, handler)
        os.close(self._woken)
        os.close(self._waking)

    def draw(self, lines: Sequence[Text]) -> None:
        """Show these lines, and write only those that have changed."""
        with self._console.capture() as captured:
            self._console.print(Text("\n").join(lines), end="")
        rows = captured.get().split("\n")
        rows += [""] * (self.size[1] - len(rows))
        changed = [
            f"\x1b[{number};1H\x1b[2K{row}"
            for number, row in enumerate(rows, start=1)
            if number > len(self._drawn) or row != self._drawn[number - 1]
        ]
        self._drawn = rows
        self._write("".join(changed))

    def redraw(self) -> None:
        """Write all lines the next time: others may have written over them."""
        self._drawn = []
        self._write("\x1b[2J")

    def key(self, seconds: float) -> str | None:
        """What is typed within ``seconds``; None when they are over, or the terminal was resized."""
        watched = [self._woken, *([sys.stdin.fileno()] if self._keys else [])]
        ready, _, _ = select.select(watched, [], [], seconds)
        if self._woken in ready:
            with suppress(BlockingIOError):
                os.read(self._woken, 4096)
            self.redraw()
            return None
        if not ready:
            return None
        pressed = os.read(sys.stdin.fileno(), 1024).decode("utf-8", "replace")
        return pressed or "q"  # nothing more will ever come

    def _open(self) -> None:
        if self._keys:
            self._mode = termios.tcgetattr(sys.stdin)
            tty.setcbreak(sys.stdin)
        self._drawn = []
        self._write(_ENTER)

    def _close(self) -> None:
        with suppress(OSError):  # the terminal may be gone
            self._write(_LEAVE)
        if self._keys:
            with suppress(termios.error):
                termios.tcsetattr(sys.stdin, termios.TCSADRAIN, self._mode)

    def _write(self, text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()

    def _resized(self, number: int, frame: FrameType | None) -> None:
        with suppress(BlockingIOError):
            os.write(self._waking, b"r")

    def _suspend(self, number: int, frame: FrameType | None) -> None:
        self._close()
        os.kill(os.getpid(), signal.SIGSTOP)
        self._open()
        self._resized(number, frame)


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


@contextmanager
def until_interrupted() -> Iterator[None]:
    """Ctrl-C is how people leave: no error."""
    with suppress(KeyboardInterrupt):
        yield
