"""Gaps in, filled gaps out, a few gaps looked at ahead of the one being drawn.

    gaps ─▶ Sight ─▶ Sight ─▶ Sight ─▶ …        two flows each, found in the pool
              │        │        │
           before    drawn    after              where frames are shared: the same object

The motion on both sides of a gap bends the paths within it; at a cut, at either end of the clip and where a frame is
not shared (a held duplicate lies between) that side counts as unknown.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from functools import cached_property
from itertools import islice
from typing import Any, TypeVar

import cv2
import numpy as np

from framedaemon import CUT, Filled, Frame, Gap, OutOfMemory, flow_agreement
from framedaemon_flow.between import aim, bend, carry, draw, strips
from framedaemon_flow.effort import Effort, scale_for
from framedaemon_flow.motion import Field, Grey, Motion, find_flow, reduce

T = TypeVar("T")

CUT_AGREEMENT = 0.2
"""Scene cuts lie below, the hardest motion above: docs/flow.md has both distributions."""

_CV_NO_MEMORY = -4  # OpenCV's StsNoMem


class Here(Executor):
    """Does at once, in the caller's thread, what is submitted."""

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """A future that is done, or failed, already."""
        future: Future[T] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001  (the future raises it where its result is asked for)
            future.set_exception(error)
        return future


class Sight:
    """A gap, and the motion in it, which is being looked for."""

    def __init__(self, gap: Gap, grey0: Grey, grey1: Grey, pool: Executor, effort: Effort) -> None:
        self.gap = gap
        self.grey1 = grey1
        self._flows = (
            pool.submit(find_flow, grey0, grey1, effort),
            pool.submit(find_flow, grey1, grey0, effort),
        )

    @cached_property
    def motion(self) -> Motion | None:
        """Waits until it is found; None across a scene cut."""
        motion = Motion(self._flows[0].result(), self._flows[1].result())
        return None if flow_agreement(motion.forward, motion.backward) < CUT_AGREEMENT else motion

    def forget(self) -> None:
        """Look no further, if it was not begun."""
        for flow in self._flows:
            flow.cancel()


class Filler:
    """Fills gaps by the threads of a pool."""

    def __init__(self, pool: Executor, effort: Effort, ahead: int) -> None:
        """ahead: gaps whose motion is looked for while one is drawn, 1 at least."""
        self._pool = pool
        self._effort = effort
        self._ahead = ahead

    def fill(self, gaps: Iterable[Gap]) -> Iterator[Filled]:
        """One answer a gap, in order. Raises OutOfMemory where there is no room for a gap's flow or frames."""
        sights = self._look(gaps)
        waiting: deque[Sight] = deque()
        before: Sight | None = None
        try:
            while True:
                waiting.extend(islice(sights, 1 + self._ahead - len(waiting)))
                if not waiting:
                    return
                sight = waiting.popleft()
                yield self._answer(before, sight, waiting[0] if waiting else None)
                before = sight
        except (MemoryError, cv2.error) as error:
            if isinstance(error, cv2.error) and error.code != _CV_NO_MEMORY:
                raise
            raise OutOfMemory("flow: no memory for the motion between two frames or for what it fills in") from error
        finally:
            for sight in waiting:
                sight.forget()

    def _look(self, gaps: Iterable[Gap]) -> Iterator[Sight]:
        last: Sight | None = None
        for gap in gaps:
            grey0 = last.grey1 if last is not None and last.gap.x1 is gap.x0 else reduce(gap.x0)
            last = Sight(gap, grey0, reduce(gap.x1), self._pool, self._effort)
            yield last

    def _answer(self, before: Sight | None, sight: Sight, after: Sight | None) -> Filled:
        motion, gap = sight.motion, sight.gap
        if motion is None:
            return CUT
        earlier = before.motion if before is not None and before.gap.x1 is gap.x0 else None
        later = after.motion if after is not None and after.gap.x0 is gap.x1 else None
        bents = self._bend(motion, earlier, later)
        return [self._draw(gap, motion, bents, float(time)) for time in gap.times]

    def _bend(self, motion: Motion, earlier: Motion | None, later: Motion | None) -> tuple[Field | None, Field | None]:
        """The accelerations on x0's pixels and on x1's: where one side is not known, the other's."""
        first = self._pool.submit(bend, motion.forward, earlier.backward) if earlier is not None else None
        second = self._pool.submit(bend, motion.backward, later.forward) if later is not None else None
        bent0 = first.result() if first is not None else None
        bent1 = second.result() if second is not None else None
        if bent0 is None and bent1 is not None:
            bent0 = carry(bent1, motion.forward)
        elif bent1 is None and bent0 is not None:
            bent1 = carry(bent0, motion.backward)
        return bent0, bent1

    def _draw(self, gap: Gap, motion: Motion, bents: tuple[Field | None, Field | None], time: float) -> Frame:
        out = np.empty_like(gap.x0)
        scale = scale_for(*out.shape[:2])
        aims = (
            self._pool.submit(aim, motion.forward, bents[0], time, scale),
            self._pool.submit(aim, motion.backward, bents[1], 1 - time, scale),
        )
        found = (aims[0].result(), aims[1].result())
        drawn = [
            self._pool.submit(draw, out, rows, (gap.x0, gap.x1), found, time, scale) for rows in strips(out.shape[0])
        ]
        for strip in drawn:
            strip.result()
        return out
