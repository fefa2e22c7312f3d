"""TOML that strangers write, turned into typed values or into sentences about what is wrong with it.

    bytes ─ read_toml ─▶ Table ─ fit ─▶ a frozen pydantic model
                  └────────┴──── TomlError: every problem, with file and key

A sidecar comes from whoever can write to a share, so what is read is bounded: bytes, depth, numbers that are
numbers, no control characters. tomli stands up to hostile keys; tomllib takes seconds on 40 kB of dots.
"""

from __future__ import annotations

import difflib
import math
import os
import re
import stat
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import tomli
from pydantic import BaseModel, JsonValue, ValidationError
from pydantic_core import ErrorDetails

TomlValue: TypeAlias = JsonValue
"""Dates and times are not among them: nothing here is one."""
Table: TypeAlias = dict[str, JsonValue]

MAX_BYTES = 64 * 1024
MAX_DEPTH = 8
MAX_KEYS = 200
"""Of one table that fills a model; each of the thousands that fit into a file costs a search for what was meant."""

M = TypeVar("M", bound=BaseModel)


class TomlError(ValueError):
    """A file, or a table of it, cannot be used; what reads it says what that means for a job or a start."""

    def __init__(self, problems: str | Iterable[str]) -> None:
        self.problems = (problems,) if isinstance(problems, str) else tuple(problems)
        super().__init__("\n".join(self.problems))


def load_toml(path: Path, where: str, follow: bool = True) -> Table:
    """The file's table. ``where`` is what messages call the file; ``follow=False`` refuses links.

    Raises TomlError for a file that cannot be read or used; FileNotFoundError passes through.
    """
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW)
    try:
        if not follow and path.is_symlink():
            raise TomlError(f"{where}: is a link; put the file itself here")
        handle = os.open(path, flags)
        try:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise TomlError(f"{where}: is not a regular file")
            with os.fdopen(handle, "rb", closefd=False) as file:
                data = file.read(MAX_BYTES + 1)
        finally:
            os.close(handle)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise TomlError(f"{where}: cannot be read: {error.strerror}") from error
    return read_toml(data, where)


def read_toml(data: bytes, where: str) -> Table:
    """The table that ``data`` holds: UTF-8 with or without a BOM, or the UTF-16 of Windows editors.

    Raises TomlError, with the line where there is one.
    """
    if len(data) > MAX_BYTES:
        raise TomlError(f"{where}: is larger than {MAX_BYTES // 1024} kB")
    text = _decode(data, where)
    try:
        table = tomli.loads(text)
    except tomli.TOMLDecodeError as error:
        raise TomlError(_syntax(error, where)) from error
    except RecursionError:
        raise TomlError(f"{where}: is nested deeper than {MAX_DEPTH} tables") from None
    except ValueError as error:  # Python's own limit on the digits of a number
        raise TomlError(f"{where}: holds a number with too many digits") from error
    problems = list(_unusable(table, where))
    if problems:
        raise TomlError(problems)
    return table


def _decode(data: bytes, where: str) -> str:
    utf16 = data.startswith((b"\xff\xfe", b"\xfe\xff"))
    try:
        text = data.decode("utf-16" if utf16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise TomlError(f"{where} line {line}: is not UTF-8 text; save the file as UTF-8") from error
    if "\0" in text:
        raise TomlError(f"{where}: is not UTF-8 text (it holds NUL bytes); save the file as UTF-8")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _syntax(error: tomli.TOMLDecodeError, where: str) -> str:
    twice = re.fullmatch(r"Cannot declare \('(.+)',?\) twice", error.msg)
    if twice is not None:
        name = twice[1].replace("', '", ".").removesuffix("'")
        return f"{where} line {error.lineno}: there is a table [{name}] already"
    said = error.msg[:1].lower() + error.msg[1:]
    hint = "; text must stand in quotes" if error.msg == "Invalid value" else ""
    return f"{where} line {error.lineno}: {said}{hint}"


def _unusable(table: Mapping[str, object], where: str) -> Iterable[str]:
    """A sentence for each value that TOML allows and we do not; walks without recursion."""
    left: list[tuple[object, tuple[str | int, ...]]] = [(table, ())]
    while left:
        value, loc = left.pop()
        if len(loc) > MAX_DEPTH:
            yield f"{_spot(where, loc[:2])}: is nested deeper than {MAX_DEPTH} tables"
            return
        if isinstance(value, dict):
            left += [(inner, (*loc, key)) for key, inner in reversed(value.items())]
        elif isinstance(value, list):
            left += [(inner, (*loc, index)) for index, inner in reversed(list(enumerate(value)))]
        elif isinstance(value, str):
            if any(not c.isprintable() and ord(c) < 160 and c not in "\n\t" for c in value):
                yield f"{_spot(where, loc)}: holds a control character"
        elif isinstance(value, float):
            if not math.isfinite(value):
                yield f"{_spot(where, loc)}: {value} is not a finite number"
        elif isinstance(value, int):
            if not -(2**63) <= value < 2**63:
                yield f"{_spot(where, loc)}: is too large a number"
        else:
            kind = type(value).__name__
            yield f"{_spot(where, loc)}: {value} is a {kind}, which nothing here takes; put it in quotes"


def fit(
    table: Mapping[str, JsonValue], model: type[M], where: str | Callable[[str], str], strict: bool | None = None
) -> M:
    """The model that ``table`` fills, or TomlError with every problem.

    ``where`` names the file, or is asked for the name of the file that set a key:
    ``cat.toml [encode]`` gives ``cat.toml [encode] crf: 99 is not in 0..51``.
    ``strict`` takes no "5" for 5 and no true for 1; None leaves that to the model.
    """
    if len(table) > MAX_KEYS:
        raise TomlError(f"{where if isinstance(where, str) else where('')}: has more than {MAX_KEYS} keys")
    try:
        return model.model_validate(dict(table), strict=strict)
    except ValidationError as error:
        raise TomlError(_describe(problem, model, where) for problem in error.errors()) from error


def _describe(problem: ErrorDetails, model: type[BaseModel], where: str | Callable[[str], str]) -> str:
    loc = tuple(problem["loc"])
    file = where if isinstance(where, str) else where(str(loc[0]) if loc else "")
    return f"{_spot(file, loc)}: {_complaint(problem, model)}"


def _spot(where: str, loc: tuple[str | int, ...]) -> str:
    """``config.toml [inbox] settle_seconds`` for ("inbox", "settle_seconds"); entries of lists count from 1."""
    names: list[str] = []
    for part in loc:
        if isinstance(part, int) and names:
            names[-1] += f" {part + 1}"
        else:
            names.append(show_key(str(part)))
    table = f" [{'.'.join(names[:-1])}]" if names[1:] else ""
    return " ".join([where + table, *names[-1:]])


def show_key(part: str) -> str:
    """A key for messages: bare where TOML lets it be, cut where it is endless."""
    bare = part.replace("_", "").replace("-", "").isalnum() and part.isascii()
    return part[:60] if bare else _show(part)


def _show(value: object) -> str:
    """A value as a person wrote it, near enough: "text", true, 99; never long."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (dict, list)):
        return "a table" if isinstance(value, dict) else "a list"
    if isinstance(value, str):
        quoted = ascii(value) if not value.isprintable() else f"'{value}'"
        return quoted if len(quoted) <= 60 else f"{quoted[:56]}…'"
    return str(value)


def _complaint(problem: ErrorDetails, model: type[BaseModel]) -> str:
    kind, given, context = problem["type"], _show(problem["input"]), problem.get("ctx", {})
    if kind == "extra_forbidden":
        return "is not known here" + did_you_mean(str(problem["loc"][-1]), _fields(model, problem["loc"][:-1]))
    if kind in _BOUNDS:
        return f"{given} is not {_bounds(kind, context, _fields(model, problem['loc'][:-1]), problem['loc'][-1])}"
    if kind == "literal_error":
        return f"{given} is not one of {context['expected'].replace(' or ', ', ')}"
    if kind == "value_error":
        return str(context["error"])
    if kind == "string_pattern_mismatch":
        return f"{given} is not of the form {context['pattern']}"
    if kind == "string_too_long":
        return f"is longer than {context['max_length']} characters"
    if kind == "too_long":
        return f"has more than {context['max_length']} entries"
    if kind == "missing":
        return "is missing"
    words = next((words for part, words in _TYPES.items() if kind.startswith(part)), None)
    return f"{given} is not {words}" if words else f"{given}: {problem['msg']}"


_TYPES = {
    "int": "a whole number",
    "float": "a number",
    "finite": "a finite number",
    "bool": "true or false",
    "string": "text in quotes",
    "tuple": "a list",
    "list": "a list",
    "dict": "a table",
    "model": "a table",
    "none_required": "empty",
}
_BOUNDS = {
    "greater_than_equal": ("ge", "at least"),
    "greater_than": ("gt", "above"),
    "less_than_equal": ("le", "at most"),
    "less_than": ("lt", "below"),
}


def _bounds(kind: str, context: dict[str, Any], fields: Mapping[str, Any], key: str | int) -> str:
    """``in 0..51`` where the field has both ends, else the one that was broken: ``at least 0``."""
    field = fields.get(str(key))
    limits = getattr(field, "metadata", ())
    ends = {name: getattr(limit, name) for limit in limits for name in ("ge", "le") if hasattr(limit, name)}
    if len(ends) == 2:
        return f"in {ends['ge']}..{ends['le']}"
    name, words = _BOUNDS[kind]
    return f"{words} {context[name]}"


def _fields(model: type[BaseModel], loc: tuple[int | str, ...]) -> Mapping[str, Any]:
    """The fields of the model that stands at ``loc``, or none when there is no model there."""
    for part in loc:
        field = model.model_fields.get(str(part))
        if field is None or not isinstance(field.annotation, type) or not issubclass(field.annotation, BaseModel):
            return {}
        model = field.annotation
    return model.model_fields


def did_you_mean(key: str, known: Iterable[str]) -> str:
    """``; did you mean 'settle_seconds'?``, or nothing when nothing is near."""
    wanted, names = key[:60].lower().replace("-", "_"), list(known)
    near = difflib.get_close_matches(wanted, names, n=1) or [
        name for name in names if len(wanted) > 2 and (name.startswith(wanted) or name.split("_")[0] == wanted)
    ]
    return f"; did you mean '{near[0]}'?" if near else ""
