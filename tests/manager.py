"""A service manager for tests: what systemd would hear."""

from __future__ import annotations

import socket


class Manager:
    """Hears what a service says."""

    def __init__(self, address: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self._socket.setblocking(False)

    def heard(self) -> list[list[str]]:
        """The lines of each datagram since the last call."""
        found = []
        try:
            while True:
                found.append(self._socket.recv(4096).decode().split("\n"))
        except BlockingIOError:
            return found

    def close(self) -> None:
        self._socket.close()
