"""What can go wrong, named by what the daemon does next.

    FramedaemonError
    ├── SettingsError   do not start
    ├── JobRejected     move the picture aside, never retry
    ├── StageFailed     retry, then move aside
    ├── OutOfMemory     the same job again, in a smaller placement
    ├── DiskFull        wait for room, then go on
    ├── Halted          the same job goes on later, uncounted
    └── PluginBroken    mute the plugin, go on without it

Every message says where, what was found and what was allowed:
``cat.toml [encode] crf: 99 is not in 0..51``.
"""

from __future__ import annotations

from collections.abc import Iterable


class FramedaemonError(Exception):
    """An error whose message is meant for the person who runs the daemon."""


_MOST_PROBLEMS = 50  # a hostile sidecar has thousands, and each is written into logs and beside the picture


class _Problems(FramedaemonError):
    """Carries every problem found, so that a person can mend them in one go; of a great many, the first."""

    def __init__(self, problems: str | Iterable[str]) -> None:
        self.problems = (problems,) if isinstance(problems, str) else tuple(problems)
        if len(self.problems) > _MOST_PROBLEMS + 1:
            more = f"and {len(self.problems) - _MOST_PROBLEMS} more problems"
            self.problems = (*self.problems[:_MOST_PROBLEMS], more)
        super().__init__("\n".join(self.problems))

    def __reduce__(self) -> tuple[type[_Problems], tuple[tuple[str, ...]]]:
        return type(self), (self.problems,)


class SettingsError(_Problems):
    """The instance cannot be run as it is configured: mend it and start again."""


class JobRejected(_Problems):
    """This picture or its recipe can never become a video as it is."""


class StageFailed(FramedaemonError):
    """A stage broke while working; another try may succeed."""


class OutOfMemory(FramedaemonError):
    """A stage asked for more memory than there is; a smaller placement may fit."""


class DiskFull(FramedaemonError):
    """There is no room left where frames or videos are written."""


class Halted(FramedaemonError):
    """A stage was asked to end, and did; what it left on disk lets another attempt go on."""

    def __init__(self, where: str = "between two frames") -> None:
        super().__init__(f"halted {where}")


class PluginBroken(FramedaemonError):
    """A plugin could not be loaded, or keeps raising from its hooks."""
