"""What every memory policy must do, as tests to inherit.

Subclass `MemoryPolicyContract` in a test module and give it one fixture, ``policy``: your function `memory_policy`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from types import ModuleType
from typing import Any

import pluggy
import pytest

from framedaemon import Estimate, Machine, OutOfMemory, Phase, Placement, StageTask
from framedaemon.hooks import PROJECT, Hooks
from framedaemon.memory import DefaultMemoryPolicy
from framedaemon.stages import StageKind
from framedaemon.testing.stopwatch import Stopwatch

_MIB, _GIB = 1 << 20, 1 << 30

MACHINES = {
    "a small computer": Machine("cpu", vram=0, ram=700 * _MIB, cores=1),
    "a large computer": Machine("cpu", vram=0, ram=64 * _GIB, cores=16),
    "a small graphics card": Machine("cuda:0", vram=6 * _GIB, ram=12 * _GIB, cores=8),
    "a large graphics card": Machine("cuda:0", vram=24 * _GIB, ram=64 * _GIB, cores=16),
}
ESTIMATES = {
    "little": Estimate(vram=100 * _MIB, ram=100 * _MIB, seconds=10),
    "much": Estimate(vram=4 * _GIB, ram=500 * _MIB, weights=_GIB, seconds=100),
    "more than there is": Estimate(vram=200 * _GIB, ram=200 * _GIB, seconds=100),
    "phases": Estimate(
        ram=200 * _MIB,
        seconds=100,
        phases=(Phase("text", weights=300 * _MIB), Phase("draw", weights=_GIB, streams=_GIB, work=_GIB, tiled=True)),
    ),
    "no CPU": Estimate(vram=2 * _GIB, ram=100 * _MIB, seconds=10, not_on_cpu="it would take a week"),
}
KINDS: tuple[StageKind, ...] = ("generate", "interpolate", "encode")
LONGEST_LADDER = 20
"""A job that ran out of memory this often is given up."""
PATIENCE = 0.5
"""Seconds for an answer: it is asked for every stage of every job."""


class MemoryPolicyContract:
    """Tests for a memory policy; a subclass's name starts with ``Test``."""

    @pytest.fixture
    def policy(self) -> Callable[..., Any]:
        """The function, marked `@hookimpl`."""
        raise NotImplementedError("a fixture `policy` that returns your function memory_policy")

    @pytest.fixture(params=MACHINES)
    def machine(self, request: pytest.FixtureRequest) -> Machine:
        """Where jobs are to run."""
        return MACHINES[request.param]

    @pytest.fixture(params=KINDS)
    def task(self, request: pytest.FixtureRequest) -> StageTask:
        """The stage."""
        return StageTask(request.param, "anybody", width=1280, height=720, frames=81)

    def test_it_answers_quickly_with_a_placement_or_none(
        self, policy: Callable[..., Any], task: StageTask, machine: Machine
    ) -> None:
        watch = Stopwatch()

        _ladders(policy, task, machine)

        assert watch.seconds < PATIENCE, "it is asked for every stage of every job: only count"

    def test_it_says_the_same_each_time(self, policy: Callable[..., Any], task: StageTask, machine: Machine) -> None:
        once = _ladders(policy, task, machine)

        assert once == _ladders(policy, task, machine), "a job must be placed as `explain` said it would be"

    def test_it_uses_what_is_there(self, policy: Callable[..., Any], task: StageTask, machine: Machine) -> None:
        for _, placement in _answers(policy, task, machine):
            assert placement.device in ("cpu", machine.device), f"{placement.device} is not there: {machine}"
            assert 1 <= placement.threads <= machine.cores, f"{placement.threads} threads on {machine.cores} cores"
            assert placement.batch >= 1, "a batch is at least one frame"
            assert placement.tile is None or placement.tile >= 16, "a tile has 16 pixels at least"
            assert placement.reason, "say why in a few words: people read it in `explain`"

    def test_it_stays_within_the_memory_that_is_free(
        self, policy: Callable[..., Any], task: StageTask, machine: Machine
    ) -> None:
        """Of its own answers; None where nothing fits leaves the words to framedaemon's own policy."""
        for estimate, placement in _answers(policy, task, machine):
            needs = estimate.placed(placement, task.width, task.height)
            assert needs.ram <= machine.ram, (
                f"{placement} takes {needs.ram} bytes of {machine.ram}: ask Estimate.placed"
            )
            if placement.device != "cpu":
                assert needs.vram <= machine.vram, f"{placement} takes {needs.vram} of {machine.vram} on the device"

    def test_what_must_not_work_on_a_cpu_is_not_put_there(
        self, policy: Callable[..., Any], task: StageTask, machine: Machine
    ) -> None:
        answers = [placement for estimate, placement in _answers(policy, task, machine) if estimate.not_on_cpu]

        assert all(placement.device != "cpu" for placement in answers), "Estimate.not_on_cpu says why it must not"

    def test_each_answer_is_another_than_the_one_that_ran_out_of_memory(
        self, policy: Callable[..., Any], task: StageTask, machine: Machine
    ) -> None:
        for ladder in _ladders(policy, task, machine).values():
            for larger, smaller in pairwise(ladder):
                assert smaller != larger, f"{larger} ran out of memory, and is answered again: look at `attempt`"

    @pytest.mark.parametrize("estimate", ESTIMATES.values(), ids=list(ESTIMATES))
    def test_in_the_end_nothing_smaller_is_left(
        self, policy: Callable[..., Any], task: StageTask, estimate: Estimate, machine: Machine
    ) -> None:
        """With framedaemon's own policy behind it: where both have nothing smaller, OutOfMemory says so."""
        ask = _asked(policy, with_ours=True)

        with pytest.raises(OutOfMemory):
            for attempt in range(LONGEST_LADDER):
                ask(stage=task, estimate=estimate, machine=machine, attempt=attempt)


def _ladders(policy: Callable[..., Any], task: StageTask, machine: Machine) -> dict[str, list[Placement]]:
    """For each of `ESTIMATES` its own answers to one attempt after the other, until it has none."""
    return {name: list(_ladder(_asked(policy), task, estimate, machine)) for name, estimate in ESTIMATES.items()}


def _answers(policy: Callable[..., Any], task: StageTask, machine: Machine) -> Iterator[tuple[Estimate, Placement]]:
    """Each of those, with what it was asked about."""
    for name, ladder in _ladders(policy, task, machine).items():
        yield from ((ESTIMATES[name], placement) for placement in ladder)


def _ladder(ask: Callable[..., Any], task: StageTask, estimate: Estimate, machine: Machine) -> Iterator[Placement]:
    for attempt in range(LONGEST_LADDER):
        try:
            answer = ask(stage=task, estimate=estimate, machine=machine, attempt=attempt)
        except OutOfMemory:
            return
        if answer is None:
            return
        assert isinstance(answer, Placement), f"it answered {answer!r}: a Placement, or None to let the next one answer"
        yield answer


def _asked(policy: Callable[..., Any], with_ours: bool = False) -> Callable[..., Any]:
    """The policy as the daemon asks it: by name, each argument only where it is taken."""
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(Hooks)
    if with_ours:
        manager.register(DefaultMemoryPolicy())
    module = ModuleType("policy")
    module.memory_policy = policy  # type: ignore[attr-defined]  # what a plugin's module has
    manager.register(module)
    manager.check_pending()
    hook = manager.hook.memory_policy
    assert len(hook.get_hookimpls()) == 1 + with_ours, "it is not marked: write @hookimpl above the function"
    call: Callable[..., Any] = hook
    return call
