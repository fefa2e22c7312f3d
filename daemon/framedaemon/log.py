"""Structured logs: JSON lines in output/logs/; colours on a terminal, fields in systemd's journal, JSON on a pipe.

    output/logs/framedaemon.jsonl     the daemon, rotated
    output/logs/jobs/<job>.jsonl      one for each job: its plan, its stages, what went wrong, with tracebacks

Events are past tense with underscores, facts are keys with units. Names of files come from strangers: what does not
print is escaped. A log that cannot be written never stops the daemon.
"""

from __future__ import annotations

import logging
import logging.handlers
import os
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

import structlog

from framedaemon.journal import JournalHandler, is_journal
from framedaemon.naming import show
from framedaemon.settings import LogSettings

DAEMON_LOG = "framedaemon.jsonl"

_SHARED: list[structlog.typing.Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.format_exc_info,
]

Log = structlog.stdlib.BoundLogger


def get_log() -> Log:
    """The logger that everything here writes to."""
    log: Log = structlog.stdlib.get_logger("framedaemon")
    return log


def set_up(settings: LogSettings, folder: Path | None, stream: TextIO | None) -> None:
    """Send logs to ``folder`` (rotated files) and to ``stream`` (see above)."""
    logging.raiseExceptions = False  # a full disk must not turn every line into a traceback on stderr
    structlog.configure(
        processors=[*_SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger("framedaemon")
    root.setLevel(settings.level.upper())
    root.propagate = False
    close()
    if folder is not None:
        root.addHandler(_file(folder / DAEMON_LOG, settings.max_bytes, settings.keep))
    if stream is not None:
        into_journal = is_journal(stream, os.environ)
        handler = JournalHandler() if into_journal else logging.StreamHandler(stream)
        root.addHandler(_formatted(handler, _renderer(stream)))


def close() -> None:
    """Flush and close every log."""
    root = logging.getLogger("framedaemon")
    for handler in list(root.handlers):
        _close(root, handler)


@contextmanager
def job_log(path: Path, job: str, name: str) -> Iterator[Log]:
    """A job's own log: every line written within goes to ``path`` too, and carries the job."""
    handler = _file(path)
    root = logging.getLogger("framedaemon")
    root.addHandler(handler)
    try:
        with structlog.contextvars.bound_contextvars(job=job, name=show(name)):
            yield get_log()
    finally:
        _close(root, handler)


def _file(path: Path, max_bytes: int = 0, keep: int = 0) -> logging.Handler:
    """JSON lines in ``path``. It is opened with the first line, and again while it cannot be: no error leaves it.

    Its folder is made, but none above it: an output/ that is gone must not be made by a log.
    """
    with suppress(OSError):
        path.parent.mkdir(exist_ok=True)
    handler = logging.handlers.RotatingFileHandler(
        path, maxBytes=max_bytes, backupCount=keep, encoding="utf-8", delay=True
    )
    return _formatted(handler, structlog.processors.JSONRenderer())


def _close(root: logging.Logger, handler: logging.Handler) -> None:
    root.removeHandler(handler)
    with suppress(OSError):  # what was not written yet may find the disk full
        handler.close()


def _formatted(handler: logging.Handler, renderer: structlog.typing.Processor) -> logging.Handler:
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_SHARED,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _printable, renderer],
        )
    )
    return handler


def _renderer(stream: TextIO) -> structlog.typing.Processor:
    if stream.isatty():
        return structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    return structlog.processors.JSONRenderer()


def _printable(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The event, when, how grave and what first; every text on one line but a traceback, which keeps its lines."""
    ordered = {key: event.pop(key) for key in ("timestamp", "level", "event") if key in event}
    for key, value in {**ordered, **event}.items():
        if isinstance(value, str):
            lines = value.split("\n") if key == "exception" else [value]
            value = "\n".join(show(line) for line in lines)
        ordered[key] = value
    return ordered
