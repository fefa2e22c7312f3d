from __future__ import annotations

import pluggy
import pytest

from fakes import machine, plugin
from framedaemon.hooks import PROJECT, Hooks, hookimpl
from framedaemon.stages import Estimate, Placement
from framedaemon.task import StageTask

TASK = StageTask("generate", "camera", 64, 48, 8)


@pytest.fixture
def manager() -> pluggy.PluginManager:
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(Hooks)
    return manager


def _policy(manager: pluggy.PluginManager) -> object:
    return manager.hook.memory_policy(stage=TASK, estimate=Estimate(), machine=machine(), attempt=0)


def test_there_are_five_hooks(manager: pluggy.PluginManager) -> None:
    hooks = {name for name, hook in vars(manager.hook).items() if hook.has_spec()}

    assert hooks == {"generators", "interpolators", "encoders", "memory_policy", "happened"}


def test_an_implementation_names_only_the_arguments_it_uses(manager: pluggy.PluginManager) -> None:
    manager.register(plugin(memory_policy=lambda attempt: Placement(reason=f"attempt {attempt}")))

    assert _policy(manager) == Placement(reason="attempt 0")


def test_the_policy_registered_last_is_asked_first_and_none_passes_on(manager: pluggy.PluginManager) -> None:
    asked: list[str] = []
    manager.register(plugin(memory_policy=lambda: asked.append("first") or Placement(reason="first")), "a")
    manager.register(plugin(memory_policy=lambda: asked.append("last")), "b")

    assert _policy(manager) == Placement(reason="first")
    assert asked == ["last", "first"]


def test_an_argument_that_is_not_in_the_hook_is_refused(manager: pluggy.PluginManager) -> None:
    with pytest.raises(pluggy.PluginValidationError, match="weather"):
        manager.register(plugin(memory_policy=lambda weather: None))


def test_an_implementation_can_be_called_as_the_function_it_is() -> None:
    @hookimpl
    def generators() -> list[str]:
        return ["mine"]

    assert generators() == ["mine"]


@pytest.mark.parametrize("hook", ["generators", "interpolators", "encoders"])
def test_the_specification_itself_is_nobodys_implementation(hook: str) -> None:
    with pytest.raises(NotImplementedError):
        getattr(Hooks(), hook)()
