"""The process in which strangers' plugins hear what happens; started, and if need be killed, by `bystanders`.

    to it                                 from it
    {"root", "disabled", "aside"}         {"at": plugin} …, {"broken": [[plugin, why]]}, {"hear": [plugin]}
    {"event", "facts"}, each time         {"at": plugin} …, {"muted": [[plugin, why]]}

One JSON object a line. The other end closing its socket is the order to die.
"""

from __future__ import annotations

import json
import os
import signal
import socket
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from framedaemon.events import ALL_EVENTS, Event, event_facts
from framedaemon.instance import Instance
from framedaemon.plugins import load_plugins

_BY_NAME = {kind.__name__: kind for kind in ALL_EVENTS}


def write_event(event: Event) -> bytes:
    """The event as a line."""
    return json.dumps({"event": type(event).__name__, "facts": event_facts(event)}).encode("ascii") + b"\n"


def read_event(line: bytes) -> Event:
    """The event that a line tells."""
    told = json.loads(line)
    event: Event = TypeAdapter(_BY_NAME[told["event"]]).validate_python(told["facts"])
    return event


def main(handle: int) -> None:
    """Load the plugins and tell them what comes in by the socket ``handle``, until it closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the service, which decides
    connection = socket.socket(fileno=handle)

    def say(**facts: Any) -> None:
        connection.sendall(json.dumps(facts).encode("ascii") + b"\n")

    try:
        with connection.makefile("rb") as lines:
            setup = json.loads(lines.readline())
            folder = Instance(Path(setup["root"])).plugins
            registry = load_plugins(folder, setup["disabled"], setup["aside"], lambda plugin: say(at=plugin))
            say(broken=[[plugin.name, plugin.reason] for plugin in registry.broken()])
            say(hear=[plugin.name for plugin in registry.plugins.values() if "happened" in plugin.hooks])
            for line in lines:
                muted = registry.tell(read_event(line))
                say(muted=[[plugin.name, plugin.reason] for plugin in muted])
    finally:
        os.killpg(os.getpgrp(), signal.SIGKILL)  # threads and children of plugins too
