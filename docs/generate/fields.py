"""What a class says of its fields: the text below each, and what a key of a pydantic model takes."""

from __future__ import annotations

import ast
import inspect
import textwrap
from typing import Any, Literal, get_args, get_origin

from pydantic import AfterValidator, BaseModel
from pydantic.fields import FieldInfo

from framedaemon.settings import parse_bytes, show_bytes


def field_docs(model: type) -> dict[str, str]:
    """What stands below each field of a class and of those that it is made from; "" where nothing does."""
    docs: dict[str, str] = {}
    for base in reversed(model.__mro__):
        if not (base.__module__.startswith("framedaemon") and getattr(base, "__annotations__", None)):
            continue
        body = ast.parse(textwrap.dedent(inspect.getsource(base))).body[0]
        assert isinstance(body, ast.ClassDef)
        for line, below in zip(body.body, [*body.body[1:], None], strict=True):
            if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name):
                doc = below.value.value if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant) else ""
                docs[line.target.id] = inspect.cleandoc(str(doc))
    known = model.model_fields if issubclass(model, BaseModel) else docs
    return {name: doc for name, doc in docs.items() if name in known}


def allowed(field: FieldInfo, key: str) -> str:
    """What a key takes, for people: its range, its choices, or its kind; a validator says it in its docstring."""
    said = next((m.func.__doc__ for m in field.metadata if isinstance(m, AfterValidator) and m.func.__doc__), None)
    if said is not None:
        return said.split("\n")[0].rstrip(".").replace("``", "`")
    words = _kind(field.annotation)
    show = _show_bytes if key.endswith("bytes") else str
    low = [bound for m in field.metadata for bound in [getattr(m, "ge", getattr(m, "gt", None))] if bound is not None]
    high = [bound for m in field.metadata for bound in [getattr(m, "le", getattr(m, "lt", None))] if bound is not None]
    above = any(_is(m, "Gt") for m in field.metadata)
    below = any(_is(m, "Lt") for m in field.metadata)
    top = f"{show(high[0])}" if high and high[0] < 2**60 else ""
    if low and top and not above and not below:
        return f"{show(low[0])} to {top}"
    bounds = [f"{'above' if above else 'at least'} {show(low[0])}"] if low else []
    bounds += [f"{'below' if below else 'at most'} {top}"] if top else []
    return ", ".join(bounds) or words


def _show_bytes(count: int) -> str:
    """A limit in bytes, exactly."""
    shown = show_bytes(count)
    return shown if parse_bytes(shown) == count else str(count)


def _is(constraint: object, *names: str) -> bool:
    return type(constraint).__name__ in names


def _kind(annotation: Any) -> str:
    """The values or the kind of value that an annotation means; what may be left out is not said."""
    args = [arg for arg in get_args(annotation) if arg is not type(None)]
    if get_origin(annotation) is Literal:
        return ", ".join(f"`{arg}`" for arg in args)
    if annotation in (list, tuple) or get_origin(annotation) in (list, tuple):
        tables = [arg for arg in args if isinstance(arg, type) and issubclass(arg, BaseModel)]
        return "a list of tables" if tables else f"a list of {len(args)}" if _pair(args) else "a list"
    if type(None) in get_args(annotation) and len(args) == 1:
        return _kind(args[0])
    if get_origin(annotation) is not None and hasattr(annotation, "__metadata__"):
        return _kind(args[0])
    plain = {bool: "`true`, `false`", int: "a whole number", float: "a number", str: "text"}
    named = {"Fraction": "a rate: `24`, `23.976`, `24000/1001`"}
    return plain.get(annotation) or named.get(getattr(annotation, "__name__", ""), "see the text")


def _pair(args: list[Any]) -> bool:
    return len(args) > 1 and Ellipsis not in args
