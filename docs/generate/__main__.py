"""Writes what the documents say of the code: tables of settings, pages of reference, the manual page, shell completion.

    python docs/generate            write them: `make reference`
    python docs/generate --check    write nothing, name those that are stale, end with 1 if any is

What a page says is what a docstring, a field or a help text says: mend it there.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections.abc import Iterable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import tomli
from fields import allowed, field_docs
from manual import COMPLETIONS, INSTANCE_HELP, commands, completion, example_of, manual, prose, synopsis
from pydantic import BaseModel

import framedaemon
from framedaemon.events import ALL_EVENTS, Event, event_name
from framedaemon.hooks import HOOKS_VERSION, Hooks
from framedaemon.plugins import Registry, load_plugins
from framedaemon.settings import Settings
from framedaemon.stages import EncoderOptions, GeneratorOptions, InterpolatorOptions, StageKind

ROOT = Path(__file__).resolve().parents[2]
GENERATED = "<!-- Written by docs/generate: `make reference`. -->"
KINDS: dict[StageKind, tuple[str, type[BaseModel]]] = {
    "generate": ("Generators", GeneratorOptions),
    "interpolate": ("Interpolators", InterpolatorOptions),
    "encode": ("Encoders", EncoderOptions),
}


def written() -> dict[str, str]:
    """Every file that is written, by its path in the project, with its text."""
    return {
        "docs/settings.md": settings_page((ROOT / "docs/settings.md").read_text(encoding="utf-8")),
        "docs/reference/commands.md": _page(command_page()),
        "docs/reference/stages.md": _page(stage_page(load_plugins(None))),
        "docs/reference/events.md": _page(event_page()),
        "docs/reference/hooks.md": _page(hook_page()),
        "share/man/man1/framedaemon.1": manual(),
        **{path: completion(shell) for shell, path in COMPLETIONS.items()},
    }


def settings_page(page: str) -> str:
    """``page`` with the table of each section as the code has it; what stands around the tables is left alone.

    A section that the page lacks is put in before the last.
    """
    config = tomli.loads(re.sub(r"^#(?! )", "", (ROOT / "config.toml").read_text(encoding="utf-8"), flags=re.M))
    for section, field in Settings.model_fields.items():
        model = type(field.default)
        if section == "defaults":  # recipes have a page of their own
            continue
        if f"\n## [{section}]\n" not in page:
            chapter = f"## [{section}]\n\n{inspect.getdoc(model)}\n\n| key |\n\n"
            page = page.replace("## [defaults]\n", f"{chapter}## [defaults]\n")
        head, mark, rest = page.partition(f"\n## [{section}]\n")
        chapter, next_mark, after = rest.partition("\n## ")
        before, _, table = chapter.partition("| key |")
        below = table.partition("\n\n")[2]
        page = f"{head}{mark}{before}{_settings(model, config[section])}\n\n{below}".rstrip() + f"\n{next_mark}{after}"
    return page


def _settings(model: type[BaseModel], defaults: dict[str, Any]) -> str:
    docs = field_docs(model)
    rows = [
        (f"`{key}`", f"`{_toml(defaults[key])}`", allowed(field, key), docs[key])
        for key, field in model.model_fields.items()
    ]
    return _table(("key", "default", "allowed", "meaning"), rows)


def command_page() -> Iterator[str]:
    """Every command with its usage, what it does, what it takes, an example."""
    yield "# Commands"
    yield (
        "`framedaemon COMMAND --help` says the same, and so does `man framedaemon`. Exit codes: 0 all is well; 1 a "
        "picture did not become a video, or something asked for is not there; 2 wrong usage, or settings that cannot "
        "be used."
    )
    yield f"Every command but `init` takes `--instance DIR` too: {INSTANCE_HELP}"
    for command in commands():
        yield f"## framedaemon {command.path}".rstrip()
        yield f"    {synopsis(command)}"
        yield from prose(command.help)
        if command.params:
            yield _table(("takes", "meaning"), ((f"`{one.shown}`", one.help) for one in command.params))
        if example := example_of(command.help):
            yield f"Example: `{example}`"


def stage_page(registry: Registry) -> Iterator[str]:
    """Every stage that is shipped, with every key that its table of a recipe takes."""
    yield "# Stages and their keys"
    yield (
        "What `[generate]`, `[interpolate]` and `[encode]` of a recipe may say beside what "
        "[recipes](../recipes.md#keys) lists for all of them. `framedaemon plugins` lists the stages on your machine, "
        "with what each still lacks there."
    )
    for kind, (title, shared) in KINDS.items():
        common = field_docs(shared)
        yield f"## {title}"
        if common:
            yield f"Every one of them takes, in `[{kind}]`:"
            yield _keys(shared, common)
        for stage in registry.stages(kind):
            own = {key: doc for key, doc in field_docs(stage.options).items() if common.get(key) != doc}
            yield f"### {stage.name}"
            yield f"{stage.summary[:1].upper()}{stage.summary[1:]}."
            yield _keys(stage.options, own) if own else "No keys of its own."


def _keys(model: type[BaseModel], docs: dict[str, str]) -> str:
    rows = []
    for key, doc in docs.items():
        field = model.model_fields[key]
        default = "" if field.is_required() or field.default in (None, "") else f"`{_toml(field.default)}`"
        rows.append((f"`{key}`", default, allowed(field, key), doc))
    return _table(("key", "default", "allowed", "meaning"), rows)


def event_page() -> Iterator[str]:
    """Every event that the hook `happened` is told of, with its fields and its name in the log."""
    yield "# Events"
    yield (
        "What plugins hear through [`happened`](hooks.md#happened), what notifications are made of, and what stands in "
        "`output/logs/framedaemon.jsonl` under the name given here. `job` is the job's id, as `framedaemon jobs` lists "
        "it; `name` is the dropped file's, relative to `input/`; `attempt` counts from 1; `reason` is for people."
    )
    for event in ALL_EVENTS:
        yield f"## {event.__name__}"
        yield f"In the log: `{_log_name(event)}`."
        yield from prose(inspect.getdoc(event) or "")
        types = inspect.get_annotations(event)
        yield _table(
            ("field", "is", "meaning"),
            ((f"`{name}`", f"`{types[name]}`", doc) for name, doc in field_docs(event).items()),
        )


def hook_page() -> Iterator[str]:
    """Every hook with its signature, and every public name."""
    yield "# Hooks and public names"
    yield (
        f"Version {HOOKS_VERSION} of the hooks, `framedaemon.HOOKS_VERSION`. [Writing a plugin](../plugins.md) shows "
        "how to use them."
    )
    for name, hook in vars(Hooks).items():
        if not name.startswith("_"):
            arguments = [parameter for parameter in inspect.signature(hook).parameters if parameter != "self"]
            yield f"## {name}"
            yield f"    {name}({', '.join(arguments)})"
            yield from prose(inspect.getdoc(hook) or "")
    yield "## What a plugin may import"
    yield "From `framedaemon`; what stands here stays."
    yield _table(("name", "is"), ((f"`{name}`", _said_of(name)) for name in framedaemon.__all__))


def _said_of(name: str) -> str:
    """The first paragraph of a public thing's docstring; of a mere name for something, what it stands for."""
    thing = getattr(framedaemon, name)
    if inspect.isclass(thing) or inspect.isfunction(thing):
        return (inspect.getdoc(thing) or "").partition("\n\n")[0]
    home = import_module(f"framedaemon.{framedaemon._HOME_OF[name]}")
    for line in ast.parse(inspect.getsource(home)).body:
        targets = line.targets if isinstance(line, ast.Assign) else [getattr(line, "target", None)]
        if name in [getattr(target, "id", "") for target in targets] and getattr(line, "value", None):
            return f"`{ast.unparse(line.value)}`"  # type: ignore[attr-defined]  # an assignment of either kind
    return ""


def _log_name(event: type[Event]) -> str:
    return event_name(event.__new__(event))


def _toml(value: object) -> str:
    """A value as TOML has it."""
    if isinstance(value, (tuple, list)):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:_}" if isinstance(value, int) and value >= 1_000_000 else str(value)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    return "\n".join(lines + [f"| {' | '.join(_cell(cell) for cell in row)} |" for row in rows])


def _cell(text: str) -> str:
    """Text that fits into one cell of a table."""
    return re.sub(r"\s+", " ", text.replace("``", "`")).replace("|", "\\|").strip()


def _page(blocks: Iterable[str]) -> str:
    title, *rest = [block for block in blocks if block]
    return "\n\n".join([title, GENERATED, *rest]) + "\n"


def main(check: bool) -> int:
    """Write what is stale, or only name it. The number of files that are stale in the end."""
    stale = {name: text for name, text in written().items() if not _holds(ROOT / name, text)}
    for name, text in stale.items():
        print(f"{name} is stale: make reference" if check else f"{name} written")
        if not check:
            (ROOT / name).parent.mkdir(parents=True, exist_ok=True)
            (ROOT / name).write_text(text, encoding="utf-8")
    return len(stale) if check else 0


def _holds(path: Path, text: str) -> bool:
    return path.exists() and path.read_text(encoding="utf-8") == text


if __name__ == "__main__":
    sys.exit(min(main(check=sys.argv[1:] == ["--check"]), 1))
