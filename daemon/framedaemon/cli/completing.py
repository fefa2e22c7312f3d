"""What the Tab key offers where a word is not of the command line but of the instance: jobs, states, stages, names.

A shell asks at every Tab and shows nothing else meanwhile, so whatever goes wrong here means that nothing is offered.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import closing, redirect_stderr, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

if TYPE_CHECKING:
    from framedaemon.instance import Instance
    from framedaemon.ledger import JobState, Ledger
    from framedaemon.stages import StageKind

_MOST = 50
_LOOKED_AT = 1000  # the newest: a ledger may hold those of years

Offer = Callable[[Any, str], list[tuple[str, str]]]
"""Asked with the context of the command and the word so far: words, each with what it is. typer's `autocompletion`."""


def states(ctx: Any, incomplete: str) -> list[tuple[str, str]]:
    """The states of jobs."""
    from framedaemon.rows import JobState

    return [(state, "") for state in get_args(JobState) if state.startswith(incomplete)]


def kinds(ctx: Any, incomplete: str) -> list[tuple[str, str]]:
    """How jobs end that can be tried again."""
    from framedaemon.rows import RetryKind

    return [(kind, "") for kind in get_args(RetryKind) if kind.startswith(incomplete)]


def open_jobs(ctx: Any, incomplete: str) -> list[tuple[str, str]]:
    """Ids of jobs that have not ended, each with its picture's name."""
    return _jobs(ctx, incomplete, ("queued", "waiting", "running", "publishing"))


def failed_jobs(ctx: Any, incomplete: str) -> list[tuple[str, str]]:
    """Ids of jobs that ended without a video."""
    return _jobs(ctx, incomplete, ("failed", "quarantined", "cancelled"))


def any_jobs(ctx: Any, incomplete: str) -> list[tuple[str, str]]:
    """Ids of jobs, the newest first."""
    return _jobs(ctx, incomplete, ())


def previewed(ctx: Any, incomplete: str) -> list[tuple[str, str]]:
    """Names of pictures that wait to be approved."""
    from framedaemon.approval import waiting_in

    with suppress(Exception):
        instance = _instance(ctx)
        with closing(_ledger(instance)) as ledger:
            return _begin((str(one.name) for one in waiting_in(instance, ledger)), incomplete)
    return []


def stages(kind: StageKind, *more: str) -> Offer:
    """Names of the stages of a kind that are there, and ``more`` words that may stand in their place."""

    def offer(ctx: Any, incomplete: str) -> list[tuple[str, str]]:
        from framedaemon.plugins import load_plugins

        with suppress(Exception), Path(os.devnull).open("w") as nothing, redirect_stderr(nothing):
            registry = load_plugins(_instance(ctx).plugins)
            offered = [(stage.name, stage.summary) for stage in registry.stages(kind)]
            return [
                (name, help) for name, help in [*offered, *((word, "") for word in more)] if name.startswith(incomplete)
            ]
        return []

    return offer


def weights(ctx: Any, incomplete: str) -> list[tuple[str, str]]:
    """Names of weights that can be pulled."""
    from framedaemon.plugins import load_plugins
    from framedaemon.published import rows_of

    with suppress(Exception), Path(os.devnull).open("w") as nothing, redirect_stderr(nothing):
        registry = load_plugins(None)
        rows = (row.name for kind in _kinds() for stage in registry.stages(kind) for row in rows_of(stage))
        return _begin(rows, incomplete)
    return []


def _kinds() -> tuple[StageKind, ...]:
    from framedaemon.stages import StageKind

    return get_args(StageKind)


def _jobs(ctx: Any, incomplete: str, of: tuple[JobState, ...]) -> list[tuple[str, str]]:
    from framedaemon.naming import show

    with suppress(Exception), closing(_ledger(_instance(ctx))) as ledger:
        rows = [row for row in ledger.jobs(*of, limit=_LOOKED_AT) if row.id.startswith(incomplete)]
        return [(row.id, show(row.name)) for row in rows[:_MOST]]
    return []


def _begin(words: Iterable[str], incomplete: str) -> list[tuple[str, str]]:
    return [(word, "") for word in dict.fromkeys(words) if word.startswith(incomplete)][:_MOST]


def _instance(ctx: Any) -> Instance:
    """The one that the words typed so far mean."""
    from framedaemon.instance import find_instance

    given = ctx.params.get("instance")
    return find_instance(Path(given).expanduser() if given else None, os.environ)


def _ledger(instance: Instance) -> Ledger:
    from framedaemon.ledger import Ledger

    return Ledger(instance.ledger, read_only=True)
