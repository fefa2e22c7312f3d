"""Serves `series` to Prometheus: on an address, in a file for node_exporter, or both, each in a thread of its own.

A port that is taken, a folder that is not there, a library that is missing: one line in the log says what to do, the
daemon goes on, and each reload tries again.
"""

from __future__ import annotations

import socket
import socketserver
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from framedaemon.audience import MetricsSettings, is_own, split_address
from framedaemon.events import Event
from framedaemon.hooks import hookimpl
from framedaemon.instance import Instance
from framedaemon.log import get_log
from framedaemon.series import Series
from framedaemon.settings import Settings

# Whoever connects and says nothing is let go.
_SILENCE_SECONDS = 10.0

# Beyond so many at once, whoever connects is let go: a thousand idle connections would be all file handles there are.
_MOST_SCRAPERS = 16


class Metrics:
    """Hears what happens, counts it, and tells whoever asks. A plugin of the daemon's own."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self._series: Series | None = None
        self._server: Server | None = None
        self._textfile: Textfile | None = None
        self._served = MetricsSettings()

    @property
    def port(self) -> int | None:
        """Where it can be asked; None where it cannot."""
        return self._server.port if self._server is not None else None

    @hookimpl
    def happened(self, event: Event) -> None:
        """Count it."""
        if self._series is not None:
            self._series.count(event)

    def equip(self, settings: Settings) -> None:
        """Serve as these say from now on; what was counted stays."""
        wanted = settings.metrics
        if self._series is not None and wanted == self._served and (self._server is not None or not wanted.listen):
            self._series.settings = settings
            return
        self.close()
        self._served = MetricsSettings()
        if not (wanted.listen or wanted.textfile):
            self._series = None
            return
        try:
            self._series = self._series or Series(self._instance, settings)
        except ImportError:
            get_log().error("metrics_off", reason="prometheus_client is missing: pip install 'framedaemon[metrics]'")
            return
        self._series.settings = settings
        if wanted.listen:
            self._listen(wanted.listen, self._series)
        if wanted.textfile:
            path = self._instance.root / wanted.textfile
            self._textfile = Textfile(path, wanted.textfile_seconds, self._series)
        self._served = wanted

    def close(self) -> None:
        """Be asked no more, and write the file a last time."""
        if self._server is not None:
            self._server.close()
        if self._textfile is not None:
            self._textfile.close()
        self._server = self._textfile = None

    def _listen(self, listen: str, series: Series) -> None:
        try:
            self._server = Server(*split_address(listen), series)
        except OSError as error:
            reason = f"{listen}: {error.strerror}; end what is there, or write another port, and reload"
            get_log().error("metrics_off", reason=reason)
            return
        get_log().info("metrics_served", address=listen, port=self._server.port)
        if not is_own(split_address(listen)[0]):
            get_log().warning(
                "metrics_public", reason=f"whoever reaches {listen} reads the metrics, unasked and in clear"
            )


class Server:
    """Answers scrapes, many at a time."""

    def __init__(self, host: str, port: int, series: Series) -> None:
        """Raises OSError where the address is not to be had."""
        from prometheus_client import MetricsHandler

        handler = type("Handler", (MetricsHandler.factory(series.registry),), {"timeout": _SILENCE_SECONDS})
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        kind = type("Scraped", (_Scraped,), {"address_family": family})
        self._server: socketserver.TCPServer = kind((host, port), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:
            self._server.server_close()
            raise

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Scraped(socketserver.ThreadingMixIn, socketserver.TCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False  # who hangs on a dead share hangs alone

    def __init__(self, *arguments: Any) -> None:
        self._free = threading.Semaphore(_MOST_SCRAPERS)
        super().__init__(*arguments)

    def process_request(self, request: Any, client_address: Any) -> None:
        """In a thread, while there are not too many."""
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except RuntimeError:  # there is no thread for it
            self._free.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """In that thread."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: object, client_address: object) -> None:
        """Who breaks off is let go without a word."""


class Textfile:
    """Writes the numbers into a file again and again, replaced whole."""

    def __init__(self, path: Path, seconds: float, series: Series) -> None:
        self._path = path
        self._seconds = seconds
        self._series = series
        self._closing = threading.Event()
        self._said = ""
        self._thread = threading.Thread(target=self._run, name="metrics file", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._closing.set()
        self._thread.join(_SILENCE_SECONDS)

    def _run(self) -> None:
        while True:
            self._write()
            if self._closing.wait(self._seconds):
                self._write()
                return

    def _write(self) -> None:
        from prometheus_client import generate_latest

        partial = self._path.with_suffix(".part")  # what does not end in .prom is not read
        try:
            partial.write_bytes(generate_latest(self._series.registry))
            partial.replace(self._path)
            self._said = ""
        except OSError as error:
            with suppress(OSError):
                partial.unlink()
            if str(error) != self._said:
                self._said = str(error)
                get_log().error("metrics_file_unwritten", path=str(self._path), reason=error.strerror or str(error))
