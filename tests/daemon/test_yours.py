"""What authors begin with, as it stands here; as it is written for them, and with its own tests: `test_authoring`."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

from fakes import empty_registry
from framedaemon import yours
from framedaemon.authoring import KINDS, STAGE_OF, PluginKind

FOLDER = Path(yours.__file__).parent


@pytest.mark.parametrize("kind", KINDS)
def test_each_is_a_plugin_that_offers_one_thing_of_its_kind(kind: PluginKind) -> None:
    registry = empty_registry()

    registry.add("yours", "tests", import_module(f"framedaemon.yours.{kind}"))

    words = {"policy": "memory policy", "observer": "observer"}
    assert registry.plugins["yours"].offers == (words.get(kind) or f"{STAGE_OF[kind]} yours",)


def test_each_has_its_tests() -> None:
    names = {path.name for path in FOLDER.glob("*.py")} - {"__init__.py"}

    assert names == {f"{kind}.py" for kind in KINDS} | {f"test_{kind}.py" for kind in KINDS}


def test_the_generic_word_says_nothing_else() -> None:
    """It is replaced wherever it stands."""
    texts = [path.read_text(encoding="utf-8") for kind in KINDS for path in FOLDER.glob(f"*{kind}.py")]

    assert not any(sentence in text for text in texts for sentence in (" is yours", "of yours", "yours is"))
