"""Sidecars that are sound TOML and speak of what recipes speak of, with any value in any place."""

from __future__ import annotations

from pathlib import Path

import pytest
import tomli
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from framedaemon.plugins import load_plugins
from fuzz.targets import KINDS, Target

OPTIONS = sorted(
    {"use", "factor", "fps", "loop", "speed", "dedupe", "priority", "output", "__proto__", ""}
    | {key for kind in ("generate", "interpolate", "encode") for stage in load_plugins(None).stages(kind)
       for key in stage.options.model_fields}
)  # fmt: skip
SAID = [
    "auto",
    "none",
    "camera",
    "flow",
    "ffmpeg",
    "h264",
    "gif",
    "png",
    "mp4",
    "24000/1001",
    "1/0",
    "5/2",
    "-1",
    "../x",
    "$(id)",
]

texts = st.one_of(st.sampled_from(SAID), st.text(max_size=20))
numbers = st.one_of(
    st.integers(-3, 200), st.integers(), st.floats(), st.sampled_from([2**31, 2**63 - 1, 1e308, 1e-308])
)
values = st.recursive(
    st.one_of(st.booleans(), numbers, texts),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(texts, inner, max_size=4)),
    max_leaves=8,
)
stages = st.dictionaries(st.one_of(st.sampled_from(OPTIONS), texts), values, max_size=6)
jobs = st.dictionaries(st.sampled_from(["generate", "interpolate", "encode"]), st.one_of(stages, stages, values))
sidecars = st.fixed_dictionaries(
    {}, optional={"generate": stages, "interpolate": stages, "encode": stages, "priority": values,
                  "job": st.one_of(st.lists(jobs, max_size=4), values), "other": values},
)  # fmt: skip


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Target:
    return KINDS["recipes"].make(tmp_path_factory.mktemp("recipes"))


@given(sidecar=sidecars)
@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
def test_any_sidecar_is_planned_or_refused_in_words(target: Target, sidecar: dict[str, object]) -> None:
    target(written(sidecar).encode("utf-8", "surrogatepass"))


@given(sidecar=sidecars)
@settings(max_examples=50)
def test_what_is_written_here_is_toml(sidecar: dict[str, object]) -> None:
    """Or the test above would be about tomli's refusals only."""
    assert written(tomli.loads(written(sidecar))) == written(sidecar)


def test_a_megabyte_of_sidecar_is_not_even_parsed(target: Target, tmp_path: Path) -> None:
    target(b"a = 1\n" * 200_000)


def written(value: object) -> str:
    """``value`` as TOML: the keys of the outermost table on lines of their own, all else inline."""
    assert isinstance(value, dict)
    return "".join(f"{_text(str(key))} = {_inline(inner)}\n" for key, inner in value.items())


def _inline(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_text(str(key))} = {_inline(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_inline, value)) + "]"
    return _text(value) if isinstance(value, str) else repr(value)


def _text(text: str) -> str:
    """Every character that is not plain as its escape; half a surrogate pair, which TOML lacks, as a question mark."""
    return '"' + "".join(_escaped(letter) for letter in text) + '"'


def _escaped(letter: str) -> str:
    if letter.isalnum() and letter.isascii():
        return letter
    return "?" if "\ud800" <= letter <= "\udfff" else f"\\U{ord(letter):08x}"
