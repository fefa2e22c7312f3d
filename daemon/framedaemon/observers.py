"""What hears what happens: metrics and notices, registered like anybody's plugin, and the process of strangers'.

They do their work in threads of their own: whatever becomes of a target or of a scraper, jobs go on.
"""

from __future__ import annotations

from collections.abc import Callable

from framedaemon.bystanders import Bystanders
from framedaemon.instance import Instance
from framedaemon.log import get_log
from framedaemon.metrics import Metrics
from framedaemon.notices import Notices
from framedaemon.plugins import Registry
from framedaemon.settings import Settings

# The end of a daemon waits no longer for a target that hangs; it is told at the next start.
_LAST_SECONDS = 5.0


class Observers:
    """Of one daemon."""

    def __init__(self, instance: Instance, registry: Registry) -> None:
        self._notices = Notices(instance)
        self._metrics = Metrics(instance)
        self._bystanders = Bystanders(instance, registry)
        registry.manager.register(self._notices, "framedaemon.notices")
        registry.manager.register(self._metrics, "framedaemon.metrics")
        registry.manager.register(self._bystanders, "framedaemon.bystanders")

    def equip(self, settings: Settings) -> None:
        """Do as these say from now on. What cannot be had for them costs a line in the log; read them again then."""
        wanted: tuple[tuple[str, Callable[[], None]], ...] = (
            ("notices", lambda: self._notices.equip(settings.notify)),
            ("metrics", lambda: self._metrics.equip(settings)),
            ("plugins", lambda: self._bystanders.equip(settings)),
        )
        for part, equip in wanted:
            try:
                equip()
            except (OSError, RuntimeError) as error:  # no file handle or no thread is left
                get_log().error("observers_off", part=part, reason=f"{error}; reload the settings when that is mended")

    def close(self) -> None:
        """Tell the last, within a bounded time."""
        self._bystanders.close(_LAST_SECONDS)
        self._notices.close(_LAST_SECONDS)
        self._metrics.close()
