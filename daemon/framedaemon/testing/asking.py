"""Questions to a stage that an author did not think of: every option at its limits, and beyond."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, Literal, get_args, get_origin

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from framedaemon import JobRejected
from framedaemon.stages import Options
from framedaemon.testing.stopwatch import Stopwatch

PATIENCE = 2.0
"""Seconds: a plan is made while a person waits, on machines slower than yours."""

_BY_TYPE: dict[type, tuple[object, ...]] = {
    bool: (False, True),
    int: (-1, 0, 1, 2**31, 10**30),
    float: (-1.0, -0.0, 0.0, 5e-324, 0.5, 1.0, 1e308),
    str: ("", "\0", "ünï 写真", "-i /etc/passwd", "../..", "x" * 100_000),
}


def values_of(field: FieldInfo) -> Iterator[object]:
    """What a recipe might say for a field: its limits and their neighbours, and what is typical of trouble."""
    for limit in field.metadata:
        for name in ("ge", "gt", "le", "lt"):
            bound = getattr(limit, name, None)
            if isinstance(bound, (int, float)):
                yield from (bound, bound - 1, bound + 1)
                yield from (math.nextafter(bound, towards) for towards in (-math.inf, math.inf))
    for kind in _leaves(field.annotation):
        yield from (kind[0],) if isinstance(kind, tuple) else _BY_TYPE.get(kind, ())


def check_answers(options: Options, ask: Callable[[Any], object]) -> None:
    """Ask with every option of ``options`` at every value that its class lets through.

    The stage may answer, or refuse by JobRejected. Raises AssertionError, naming the option, for all else.
    """
    kind, given = type(options), options.model_dump(exclude_unset=True)
    for name, field in kind.model_fields.items():
        for value in values_of(field):
            try:
                asked = kind(**{**given, name: value})
            except ValidationError:
                continue  # refused before any stage is asked
            _check_answer(asked, f"{name} = {_shown(value)}", ask)


def _check_answer(options: Options, said: str, ask: Callable[[Any], object]) -> None:
    watch = Stopwatch()
    try:
        ask(options)
    except JobRejected:
        pass
    except Exception as error:
        raise AssertionError(
            f"with {said} in a recipe it raised {type(error).__name__}: {error}. Either the option's field has a "
            "range, Field(…, ge=…, le=…), or promise and estimate refuse it in words: raise JobRejected"
        ) from error
    seconds = watch.seconds
    assert seconds < PATIENCE, f"with {said} it took {seconds:.1f} s to answer: promise and estimate only count"


def _leaves(annotation: Any) -> Iterator[Any]:
    """The types in an annotation; a literal's values each in a tuple."""
    if get_origin(annotation) is Literal:
        yield from ((value,) for value in get_args(annotation))
    elif get_args(annotation):
        for part in get_args(annotation):
            yield from _leaves(part)
    else:
        yield annotation


def _shown(value: object) -> str:
    said = repr(value)
    return said if len(said) < 60 else f"{said[:20]}… ({len(said)} characters)"
