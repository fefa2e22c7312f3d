"""What is said of one plugin; the command that says it is tested in cli/test_plugins.py."""

from __future__ import annotations

import pytest

from fakes import Squares, empty_registry, offering, plugin
from framedaemon.errors import JobRejected
from framedaemon.stages import Estimate
from framedaemon.trying import ask


class Wrong(Squares):
    """Answers with whatever ``answer`` is."""

    answer: object = None

    def promise(self, takes: object, options: object) -> object:  # type: ignore[override]  # that is what is wrong
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer if self.answer != "estimate" else super().promise(takes, options)  # type: ignore[arg-type]

    def estimate(self, takes: object, gives: object, options: object) -> Estimate:
        return Estimate()


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("a clip", "generate squares: AssertionError: promise() answers with a ClipSpec, not with 'a clip'"),
        ("estimate", "generate squares: AssertionError: estimate() says that it takes no time at all"),
        (JobRejected("no trees in it"), "generate squares refuses the photo that comes along: no trees in it"),
        (KeyError("model"), "generate squares: KeyError: 'model' (test_trying.py, line "),
    ],
)
def test_what_no_plan_can_be_made_of_is_said(answer: object, said: str) -> None:
    stage, registry = Wrong(), empty_registry()
    stage.answer = answer
    registry.add("mine", "tests", offering(stage))

    (problem,) = ask(registry, registry.plugins["mine"])

    assert problem.startswith(said)


def test_a_stage_that_lacks_something_says_what() -> None:
    registry = empty_registry()
    registry.add("mine", "tests", offering(Squares(lacks="no brush: apt install brush")))

    assert "no brush: apt install brush" in ask(registry, registry.plugins["mine"])[0]


def test_a_policy_that_breaks_is_named() -> None:
    registry = empty_registry()
    registry.add("mine", "tests", plugin(memory_policy=lambda: 1 // 0))

    (problem,) = ask(registry, registry.plugins["mine"])

    assert "memory policy mine broke: ZeroDivisionError" in problem


def test_a_sound_plugin_has_no_problems() -> None:
    registry = empty_registry()
    registry.add("mine", "tests", offering(Squares()))

    assert ask(registry, registry.plugins["mine"]) == []
