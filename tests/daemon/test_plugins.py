from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fakes import Blend, Raw, Squares, empty_registry, machine, offering, plugin, registry_of
from framedaemon.errors import JobRejected, OutOfMemory, PluginBroken
from framedaemon.events import Event, JobClaimed
from framedaemon.memory import DefaultMemoryPolicy
from framedaemon.plugins import PluginInfo, Registry, load_plugins
from framedaemon.stages import Estimate, GeneratorOptions, Placement
from framedaemon.task import StageTask
from weighty import row_for

TASK, ESTIMATE = StageTask("generate", "squares", 64, 48, 8), Estimate(ram=1000)
CLAIMED = JobClaimed("1-1", "photo.jpg")
HEARS = """
from framedaemon import hookimpl

@hookimpl
def happened(event):
    pass
"""
Install = Callable[[str, str], None]


def _place(registry: Registry, attempt: int = 0) -> Placement:
    return registry.place(TASK, ESTIMATE, machine(), attempt)


def _drop_in(folder: Path, name: str, code: str, mode: int = 0o644) -> Path:
    path = folder / f"{name}.py"
    path.write_text(code)
    path.chmod(mode)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "plugins"
    folder.mkdir(mode=0o755)
    return folder


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Installs a module as a distribution with an entry point, as pip would."""
    site = tmp_path / "site"
    site.mkdir()

    def install(name: str, code: str) -> None:
        (site / f"installed_{name}.py").write_text(code)
        facts = site / f"installed_{name}-1.2.dist-info"
        facts.mkdir()
        (facts / "METADATA").write_text(f"Metadata-Version: 2.1\nName: installed-{name}\nVersion: 1.2\n")
        (facts / "entry_points.txt").write_text(f"[framedaemon]\n{name} = installed_{name}\n")
        monkeypatch.syspath_prepend(str(site))
        monkeypatch.delitem(sys.modules, f"installed_{name}", raising=False)

    return install


# --- what is offered


def test_stages_are_found_by_kind_and_name() -> None:
    squares = Squares()

    registry = registry_of(squares, Blend(), Raw())

    assert registry.stage("generate", "squares") is squares
    assert registry.plugins["fakes"].stages == ("generate squares", "interpolate blend", "encode raw")


def test_stages_are_listed_by_preference_then_name() -> None:
    registry = registry_of(Squares(name="b"), Squares(name="a"), Squares(name="best", preference=50))

    assert [stage.name for stage in registry.stages("generate")] == ["best", "a", "b"]


def test_a_stage_that_is_not_there_is_refused_with_those_that_are_and_what_is_broken() -> None:
    registry = registry_of(Squares(), Squares(name="camera"))
    registry.plugins["wan"] = PluginInfo("wan", "x", "broken", reason="no torch")

    with pytest.raises(JobRejected, match="no 'wan' here; there are: camera, squares; plugin wan is broken: no torch"):
        registry.stage("generate", "wan")


def test_where_nothing_is_offered_that_is_said() -> None:
    with pytest.raises(JobRejected, match=r"\[encode\] use: there is no 'raw' here; there are: none"):
        registry_of(Squares()).stage("encode", "raw")


# --- what is wrong with a plugin


class Half:
    name = "half"
    summary = "lacks most of it"


def _with(**facts: Any) -> Squares:
    stage = Squares()
    for name, value in facts.items():
        setattr(stage, name, value)
    return stage


@pytest.mark.parametrize(
    ("stages", "said"),
    [
        ([Half()], r"generators\(\): Half lacks options, accepts, preference, unready, promise, estimate, load"),
        ([Squares], r"Squares is a class, not a stage: return Squares\(\)"),
        ([_with(name="Has Spaces")], "'Has Spaces' is no stage name"),
        ([_with(name="")], "'' is no stage name"),
        ([_with(name="line\n")], "is no stage name"),
        ([_with(name=7)], "7 is no stage name"),
        ([_with(name="auto")], "'auto' means something else"),
        ([_with(name="none")], "'none' means something else"),
        ([Squares(), Squares()], "there is a 'squares' already"),
        ([_with(options=GeneratorOptions())], "options must be a class below GeneratorOptions"),
        ([_with(options=dict)], "options must be a class below GeneratorOptions"),
        ([_with(preference="high")], "squares: preference must be a whole number, not 'high'"),
        ([_with(weights=[row_for(b"1", name="squares-1")])], "squares: weights must be a tuple of Weights"),
        ([_with(weights=("squares-1",))], "squares: weights must be a tuple of Weights"),
        ([_with(weights=(row_for(b"1"),))], "squares: its weights 'toy-1' must be called squares- and something"),
        ([_with(accepts="picture")], "squares: accepts must be a set of footage and picture, not 'picture'"),
        ([_with(accepts={"song"})], "accepts must be a set of"),
        (None, "TypeError: 'NoneType' object is not iterable"),
    ],
)
def test_a_plugin_with_a_stage_that_would_break_jobs_is_refused(stages: object, said: str) -> None:
    registry = empty_registry()

    with pytest.raises(PluginBroken, match=said):
        registry.add("bad", "tests", plugin(generators=lambda: stages))

    assert registry.stages("generate") == []
    assert not registry.manager.has_plugin("bad")


def test_nothing_of_a_refused_plugin_stays() -> None:
    heard: list[Event] = []
    registry = empty_registry()
    bad = plugin(
        generators=lambda: [Squares()],
        encoders=lambda: [Half()],
        memory_policy=lambda: Placement(reason="bad"),
        happened=lambda event: heard.append(event),
    )

    with pytest.raises(PluginBroken):
        registry.add("bad", "tests", bad)
    registry.tell(CLAIMED)

    assert registry.stages("generate") == []
    assert _place(registry).reason == "on the CPU"
    assert heard == []


def test_a_second_plugin_with_a_stage_of_the_same_name_is_refused_and_the_first_stays() -> None:
    first = Squares()
    registry = registry_of(first)

    with pytest.raises(PluginBroken, match="there is a 'squares' already"):
        registry.add("second", "tests", offering(Squares(), Blend()))

    assert registry.stage("generate", "squares") is first
    assert registry.stages("interpolate") == []


def test_a_second_plugin_of_the_same_name_is_refused_and_the_first_goes_on() -> None:
    heard: list[Event] = []
    registry = empty_registry()
    registry.add("bell", "tests", plugin(happened=lambda event: heard.append(event)))

    with pytest.raises(PluginBroken, match="there is a plugin bell already"):
        registry.add("bell", "tests", plugin())
    registry.tell(CLAIMED)

    assert heard == [CLAIMED]


def test_a_hook_that_does_not_exist_is_named_and_the_next_plugin_is_not_blamed() -> None:
    registry = empty_registry()

    with pytest.raises(PluginBroken, match="paint"):
        registry.add("bad", "tests", plugin(paint=lambda: [Squares()]))
    registry.add("good", "tests", offering(Squares()))

    assert registry.plugins["good"].state == "ready"


def test_a_hook_with_an_argument_that_does_not_exist_is_named_and_the_next_plugin_is_not_blamed() -> None:
    registry = empty_registry()

    with pytest.raises(PluginBroken, match="weather"):
        registry.add("bad", "tests", plugin(happened=lambda weather: None))
    registry.add("good", "tests", offering(Squares()))

    assert registry.tell(CLAIMED) == []


# --- installed plugins and files


def test_an_installed_plugin_is_loaded_and_says_where_it_comes_from(install: Install) -> None:
    install("bell", HEARS)

    registry = load_plugins(None)

    assert registry.plugins["bell"] == PluginInfo("bell", "installed-bell 1.2", "ready", hooks=("happened",))


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("raise SystemExit", "SystemExit"),
        ("raise GeneratorExit", "GeneratorExit (installed_aaa.py, line 1)"),
        (
            "requires_hooks = 2",
            "it was made for version 2 of the hooks, and this framedaemon has 1: update",
        ),
        ("requires_hooks = '1'", "requires_hooks is a whole number, not '1'"),
        ("def f(:\n", "SyntaxError: invalid syntax"),
        ("from framedaemon import hookimpl\n@hookimpl\ndef generators():\n    return [object()]", "object lacks name"),
        (
            "from framedaemon import hookimpl\n@hookimpl\ndef generators():\n    raise SystemExit('bye')",
            "SystemExit: bye",
        ),
    ],
)
def test_a_broken_installed_plugin_is_kept_with_its_reason_and_the_rest_load(
    install: Install, code: str, said: str
) -> None:
    install("aaa", code)
    install("zzz", HEARS)

    registry = load_plugins(None)

    assert [info.name for info in registry.broken()] == ["aaa"]
    assert said in registry.plugins["aaa"].reason
    assert registry.plugins["zzz"].state == "ready"


@pytest.mark.parametrize(
    "code",
    ["import time\ntime.sleep(60)", "while True:\n    pass", "import threading\nthreading.Event().wait()"],
    ids=["sleeps", "spins", "waits"],
)
def test_a_plugin_that_hangs_while_it_is_loaded_is_broken_and_the_rest_load(
    folder: Path, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    monkeypatch.setattr("framedaemon.plugins.LOAD_SECONDS", 0.2)
    _drop_in(folder, "aaa", code)
    _drop_in(folder, "zzz", HEARS)

    registry = load_plugins(folder)

    assert registry.plugins["aaa"].reason.startswith("took longer than 0.2 s (aaa.py, line ")
    assert registry.plugins["zzz"].state == "ready"


def test_a_plugin_for_this_version_of_the_hooks_or_an_older_one_is_loaded(folder: Path) -> None:
    _drop_in(folder, "made_for_one", f"requires_hooks = 1\n{HEARS}")

    assert load_plugins(folder).plugins["made_for_one"].offers == ("observer",)


def test_a_plugin_that_was_set_aside_is_not_even_imported(folder: Path) -> None:
    _drop_in(folder, "deadly", "import os\nos._exit(3)")

    registry = load_plugins(folder, aside={"deadly": "the worker ended with exit code 3 while it was loaded"})

    assert registry.plugins["deadly"].reason == "the worker ended with exit code 3 while it was loaded"


def test_whoever_watches_is_told_whose_code_runs(folder: Path) -> None:
    _drop_in(folder, "aaa", HEARS)
    told: list[str] = []

    registry = load_plugins(folder, entering=told.append)
    registry.add("mine", "tests", plugin(memory_policy=lambda: Placement(reason="mine")))
    _place(registry)

    assert told[-4:] == ["aaa", "", "mine", ""]


def test_ctrl_c_means_the_command_and_no_plugin(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A daemon has a handler of its own for it, and there only a plugin can raise it."""
    _drop_in(folder, "aaa", "raise KeyboardInterrupt")
    monkeypatch.setattr(signal, "getsignal", lambda number: signal.default_int_handler)
    with pytest.raises(KeyboardInterrupt):
        load_plugins(folder)

    monkeypatch.setattr(signal, "getsignal", lambda number: signal.SIG_IGN)
    assert load_plugins(folder).plugins["aaa"].reason == "KeyboardInterrupt (aaa.py, line 1)"


def test_a_disabled_plugin_is_not_even_imported(install: Install) -> None:
    install("bad", "raise SystemExit(3)")

    registry = load_plugins(None, disabled=["bad"])

    assert registry.plugins["bad"].state == "disabled"
    assert "installed_bad" not in sys.modules


def test_a_file_in_the_instances_plugins_folder_is_a_plugin(folder: Path) -> None:
    path = _drop_in(folder, "bell", HEARS)

    registry = load_plugins(folder)

    assert registry.plugins["bell"] == PluginInfo("bell", str(path), "ready", hooks=("happened",))


def test_a_file_may_define_dataclasses(folder: Path) -> None:
    """They look their module up in sys.modules while it is being executed."""
    code = "from __future__ import annotations\nimport dataclasses\n@dataclasses.dataclass\nclass A:\n    b: int\n"
    _drop_in(folder, "shapes", code)

    assert load_plugins(folder).plugins["shapes"].state == "ready"


def test_a_broken_file_is_kept_with_its_reason_and_leaves_no_module_behind(folder: Path) -> None:
    _drop_in(folder, "bad", "x = 1\nraise ValueError('no model')")
    _drop_in(folder, "good", HEARS)

    registry = load_plugins(folder)

    bad = registry.plugins["bad"]
    assert (bad.state, bad.reason) == ("broken", "ValueError: no model (bad.py, line 2)")
    assert bad.trace.splitlines()[1:3] == [
        f'  File "{folder}/bad.py", line 2, in <module>',
        "    raise ValueError('no model')",
    ]
    assert registry.plugins["good"].state == "ready"
    assert "framedaemon_instance_plugins.bad" not in sys.modules


@pytest.mark.parametrize("mode", [0o664, 0o646])
def test_a_file_that_others_can_write_is_not_run(folder: Path, mode: int) -> None:
    path = _drop_in(folder, "open_to_all", "raise AssertionError('it was run')", mode)

    registry = load_plugins(folder)

    assert registry.plugins["open_to_all"].reason == f"{path} can be written by others: chmod go-w {path}"


def test_a_folder_that_others_can_write_is_not_trusted(folder: Path) -> None:
    _drop_in(folder, "fine", "raise AssertionError('it was run')")
    folder.chmod(0o775)

    assert load_plugins(folder).plugins["fine"].reason.startswith(f"{folder} can be written by others")


def test_a_file_with_the_name_of_an_installed_plugin_is_refused_and_the_installed_one_stays(
    install: Install, folder: Path
) -> None:
    install("bell", HEARS)
    path = _drop_in(folder, "bell", HEARS)

    registry = load_plugins(folder)

    assert registry.plugins["bell"].origin == "installed-bell 1.2"
    (broken,) = registry.broken()
    assert broken == PluginInfo(
        "bell", str(path), "broken", reason="there is a plugin bell already, from installed-bell 1.2"
    )


def test_an_instance_without_a_plugins_folder_has_what_is_installed(tmp_path: Path) -> None:
    assert load_plugins(tmp_path / "missing").plugins == load_plugins(None).plugins


# --- telling what happened


def test_every_plugin_hears_what_happened_although_one_raises() -> None:
    heard: list[Event] = []
    registry = empty_registry()
    registry.add("first", "tests", plugin(happened=lambda event: heard.append(event)))
    registry.add("bad", "tests", plugin(happened=lambda event: 1 // 0))
    registry.add("last", "tests", plugin(happened=lambda event: heard.append(event)))

    muted = registry.tell(CLAIMED)

    assert heard == [CLAIMED, CLAIMED]
    assert muted == []


@pytest.mark.parametrize("error", [ValueError("no bell"), SystemExit("no bell")])
def test_a_plugin_that_raises_three_times_in_a_row_is_muted(error: BaseException) -> None:
    called: list[Event] = []

    def happened(event: Event) -> None:
        called.append(event)
        raise error

    registry = empty_registry()
    registry.add("bad", "tests", plugin(happened=happened))

    muted = [registry.tell(CLAIMED) for _ in range(5)]

    assert [[info.name for info in infos] for infos in muted] == [[], [], ["bad"], [], []]
    assert len(called) == 3
    assert registry.plugins["bad"].state == "broken"
    reason = f"raised 3 times in a row from happened(): {type(error).__name__}: no bell (test_plugins.py, line"
    assert registry.plugins["bad"].reason.startswith(reason)


def test_a_plugin_that_raises_now_and_then_is_not_muted() -> None:
    turns = iter([1, 0, 0, 1] * 10)
    registry = empty_registry()
    registry.add("shaky", "tests", plugin(happened=lambda event: 1 // next(turns)))

    muted = [registry.tell(CLAIMED) for _ in range(40)]

    assert muted == [[]] * 40


def test_an_observer_need_not_take_the_event() -> None:
    rung: list[int] = []
    registry = empty_registry()
    registry.add("bell", "tests", plugin(happened=lambda: rung.append(1)))

    registry.tell(CLAIMED)

    assert rung == [1]


# --- memory policies


def test_without_another_the_shipped_policy_answers() -> None:
    expected = DefaultMemoryPolicy().memory_policy(TASK, ESTIMATE, machine(), 1)

    assert _place(empty_registry(), 1) == expected


def test_a_users_policy_is_asked_first_and_may_pass() -> None:
    registry = empty_registry()
    registry.add("mine", "tests", plugin(memory_policy=lambda attempt: Placement(tile=64) if attempt else None))

    assert _place(registry, 0).reason == "on the CPU"
    assert _place(registry, 1) == Placement(tile=64)


def _raises() -> Placement:
    raise RuntimeError("no idea")


def _exits() -> Placement:
    raise SystemExit("no idea")


def _ends_the_iteration() -> Placement:
    raise GeneratorExit("no idea")


@pytest.mark.parametrize(
    ("policy", "kind"),
    [(_raises, "RuntimeError"), (_exits, "SystemExit"), (_ends_the_iteration, "GeneratorExit")],
)
def test_a_policy_that_breaks_is_replaced_and_that_is_said(policy: Callable[[], Placement], kind: str) -> None:
    registry = empty_registry()
    registry.add("mine", "tests", plugin(memory_policy=policy))

    placement = _place(registry)

    assert placement.reason.startswith(f"on the CPU (memory policy mine broke: {kind}: no idea (test_plugins.py, line")
    assert placement.device == "cpu"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("the GPU", "it answered 'the GPU', which is no Placement"),
        (Placement("cuda:7"), "device 'cuda:7' is not here"),
        (Placement(threads=0, batch=-1), "threads 0, batch -1: at least 1"),
        (Placement(tile=0), "tile 0: at least 1"),
    ],
)
def test_a_policy_that_answers_nonsense_is_replaced_and_that_is_said(answer: object, said: str) -> None:
    registry = empty_registry()
    registry.add("mine", "tests", plugin(memory_policy=lambda: answer))

    assert _place(registry).reason == f"on the CPU (memory policy mine broke: {said})"


def test_a_policy_that_hangs_is_interrupted_and_the_next_one_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("framedaemon.plugins.LOAD_SECONDS", 0.05)
    registry = empty_registry()
    registry.add("mine", "tests", plugin(memory_policy=lambda: time.sleep(60)))

    assert _place(registry).reason.startswith("on the CPU (memory policy mine broke: took longer than 0.05 s")


def test_a_policy_that_has_nothing_smaller_says_so() -> None:
    def policy() -> Placement:
        raise OutOfMemory("nothing smaller")

    registry = empty_registry()
    registry.add("mine", "tests", plugin(memory_policy=policy))

    with pytest.raises(OutOfMemory, match="nothing smaller"):
        _place(registry)
