"""What hears what happens: metrics and notices, registered like anybody's plugin, and the process of strangers'.

They do their work in threads of their own: whatever becomes of a target or of a scraper, jobs go on.
"""

from __future__ import annotations

from framedaemon.bystanders import Bystanders
from framedaemon.instance import Instance
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
        """Do as these say from now on."""
        self._notices.equip(settings.notify)
        self._metrics.equip(settings)
        self._bystanders.equip(settings)

    def close(self) -> None:
        """Tell the last, within a bounded time."""
        self._bystanders.close(_LAST_SECONDS)
        self._notices.close(_LAST_SECONDS)
        self._metrics.close()
