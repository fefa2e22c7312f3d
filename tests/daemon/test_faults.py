"""What `stage_fault` and `placement_fault` find is tested where plugins are loaded and asked: test_plugins.py."""

from __future__ import annotations

from types import ModuleType

import pytest

from framedaemon.errors import PluginBroken
from framedaemon.faults import check_version


@pytest.mark.parametrize("needed", [1, 0])
def test_a_plugin_for_these_hooks_or_older_ones_is_welcome(needed: int) -> None:
    module = ModuleType("a_plugin")
    module.requires_hooks = needed  # type: ignore[attr-defined]

    check_version(module)


@pytest.mark.parametrize("needed", [2, True, "1", None, 1.0])
def test_another_is_refused(needed: object) -> None:
    module = ModuleType("a_plugin")
    module.requires_hooks = needed  # type: ignore[attr-defined]

    with pytest.raises(PluginBroken):
        check_version(module)
