"""A scheduler that a pipeline uses like its own, though it begins in the middle of its timesteps."""

from __future__ import annotations

from functools import wraps
from typing import Any

import torch
from torch import Tensor

State = dict[str, Any]
"""What `ContinuedScheduler.state` gives: tensors, numbers, and lists of both, by the names of attributes."""


class ContinuedScheduler:
    """Stands for a scheduler of diffusers in a pipeline that denoises steps ``start`` to ``stop`` only.

    The pipeline asks it for the timesteps of the whole denoise, and goes through those in between. The scheduler itself
    knows all of them at every step, since its order falls towards the last (``lower_order_final``).
    """

    def __init__(self, scheduler: Any, start: int = 0, stop: int | None = None, state: State | None = None) -> None:
        """``state``: what `state` gave after step ``start - 1`` of a denoise with as many steps; needed if ``start``.

        Raises ValueError for a ``start`` without it.
        """
        if start and state is None:
            raise ValueError(f"step {start} needs the scheduler's state after the one before")
        self._scheduler = scheduler
        self._start, self._stop = start, stop
        self._given = state or {}
        self._fresh: dict[str, Any] = {}
        self.set_timesteps = self._setting(scheduler.set_timesteps)

    def _setting(self, set_timesteps: Any) -> Any:
        @wraps(set_timesteps)  # pipelines look at its signature
        def setting(*args: Any, **keywords: Any) -> None:
            set_timesteps(*args, **keywords)
            self._fresh = {key: _copied(value) for key, value in vars(self._scheduler).items()}
            for key, value in self._given.items():
                setattr(self._scheduler, key, _on(self._scheduler.timesteps.device, _copied(value)))

        return setting

    @property
    def timesteps(self) -> Tensor:
        """Those that the pipeline is to go through."""
        timesteps: Tensor = self._scheduler.timesteps
        return timesteps[self._start : self._stop]

    @property
    def all_timesteps(self) -> Tensor:
        """Those of the whole denoise."""
        timesteps: Tensor = self._scheduler.timesteps
        return timesteps

    @property
    def state(self) -> State:
        """What `set_timesteps` would not bring back: whatever steps have changed since."""
        now = vars(self._scheduler)
        return {key: _copied(value) for key, value in now.items() if not _same(value, self._fresh.get(key))}

    @property  # type: ignore[misc]  # object has it writable
    def __class__(self) -> Any:
        """Pipelines ask for the class of their scheduler, and for what is registered under its name."""
        return type(self._scheduler)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._scheduler, name)


def _copied(value: Any) -> Any:
    """Lists are changed in place; tensors are not."""
    return list(value) if isinstance(value, list) else value


def _same(value: Any, other: Any) -> bool:
    if isinstance(value, list) and isinstance(other, list):
        return len(value) == len(other) and all(map(_same, value, other))
    if isinstance(value, Tensor) or isinstance(other, Tensor):
        return value is other
    return type(value) is type(other) and bool(value == other)


def _on(device: torch.device, value: Any) -> Any:
    """Tensors of more than one number work with latents, and lie where those do."""
    if isinstance(value, list):
        return [_on(device, one) for one in value]
    return value.to(device) if isinstance(value, Tensor) and value.ndim else value
