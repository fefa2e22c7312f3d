"""Which plugins a worker may load, and whose code runs in it: what all jobs depend on, and none of them asked for.

A worker says whose code it enters, when it loads plugins and when it asks them where a job can work. Where it hangs or
dies then, that plugin is at fault and no job: the next worker is started without it, and has the job.
"""

from __future__ import annotations

from pathlib import Path

from framedaemon.log import get_log
from framedaemon.plugins import LOAD_SECONDS

# A plugin that hangs is interrupted after LOAD_SECONDS by its own process; one that cannot be is killed with it.
PATIENCE_SECONDS = LOAD_SECONDS + 10.0


class Trust:
    """Of one instance. Files that changed are trusted anew."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._aside: dict[str, str] = {}
        self._files: list[tuple[str, int]] = []
        self._plugin = ""
        self._since = 0.0

    def begin(self) -> dict[str, str]:
        """A worker is started; the plugins that it must not load, and why."""
        if self.outdated:
            self._aside.clear()
        self._files, self._plugin = self._look(), ""
        return dict(self._aside)

    @property
    def outdated(self) -> bool:
        """Whether files of plugins have changed since the worker was started."""
        return self._look() != self._files

    def entered(self, plugin: str, now: float) -> None:
        """The worker runs code of ``plugin`` from now on; with "", its own again."""
        self._plugin, self._since = plugin, now

    @property
    def due(self) -> float | None:
        """When it is to be through with that."""
        return self._since + PATIENCE_SECONDS if self._plugin else None

    def hangs(self, now: float) -> bool:
        """Whether it is not, and should be."""
        return self.due is not None and now >= self.due

    def blame(self, reason: str) -> bool:
        """The worker has failed. Whether a plugin is to blame; it is not loaded again then."""
        if not self._plugin:
            return False
        self._aside[self._plugin] = f"set aside until its file changes or the daemon is started again: {reason}"
        get_log().warning("plugin_broken", plugin=self._plugin, reason=reason)
        return True

    def _look(self) -> list[tuple[str, int]]:
        """The files of the instance's plugins, with the times at which they were changed."""
        try:
            return sorted((path.name, path.stat().st_mtime_ns) for path in self._folder.glob("*.py"))
        except OSError:
            return []
