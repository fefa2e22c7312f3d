"""doctor as it is called: once for all that is looked at, and how it is printed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from commands import Commands
from framedaemon.doctor import _guarded as guarded
from framedaemon.doctor.finding import Finding
from living import make_instance

# Asks, and says whether torch or a plugin was loaded meanwhile into the process that asks.
ASKING = """
import sys; from framedaemon.cli import main
sys.argv = ["framedaemon", "doctor", "--json"]
try: main()
finally: print(*sorted({"torch", "cv2", "framedaemon_ffmpeg"} & set(sys.modules)), file=sys.stderr)
"""


def test_doctor_looks_at_everything_and_loads_nothing_itself(tmp_path: Path) -> None:
    instance = make_instance(tmp_path)
    (instance.plugins / "mine.py").write_text("print('a plugin speaks'); import there_is_no_such_module\n")
    environment = os.environ | {"FRAMEDAEMON_INSTANCE": str(tmp_path), "IMAGEIO_FFMPEG_EXE": "/nowhere/ffmpeg"}

    said = subprocess.run([sys.executable, "-c", ASKING], capture_output=True, text=True, env=environment)

    found = json.loads(said.stdout)
    errors = [one["said"] for one in found["findings"] if one["state"] == "error"]
    groups = list(dict.fromkeys(one["group"] for one in found["findings"]))
    assert groups == [
        *("python", "folders", "machine", "ledger", "clock", "daemon", "settings", "plugins", "weights", "gpu"),
        *("encoders",),
    ]
    assert found["errors"] == len(errors)
    assert any("plugin mine is broken" in error for error in errors)
    assert any("/nowhere/ffmpeg is not there" in error for error in errors)
    assert (said.returncode, said.stderr.strip()) == (1, "")


def test_each_finding_is_a_line_of_80_columns_and_its_command_can_be_pasted(
    command: Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = "words " * 30
    found = [
        Finding("disk", "room", "ok", "there is room"),
        Finding("disk", "rights", "warning", long, f"chmod {'x' * 100}"),
        Finding("gpu", "torch", "ok", "it works"),
    ]
    monkeypatch.setattr("framedaemon.doctor.examine", lambda patient: iter(found))

    said = command("doctor", "--instance", tmp_path)

    lines = said.out.splitlines()
    assert lines[:3] == ["disk", "  ok       there is room", f"  warning  {' '.join(['words'] * 11)}"]
    assert f"           > chmod {'x' * 100}" in lines
    assert lines[-4:] == ["gpu", "  ok       it works", "", "1 warning, 2 ok"]
    assert max(len(line) for line in lines if "chmod" not in line) <= 80
    assert (said.code, "\x1b" in said.out) == (0, False)


def test_a_check_that_breaks_is_one_line() -> None:
    def check() -> Iterator[Finding]:
        yield Finding("disk", "room", "ok", "there is room")
        raise KeyError("surprise")

    first, second = guarded("disk", check)

    assert first.state == "ok"
    assert (second.state, second.said) == ("error", "this could not be looked at: KeyError: 'surprise'")
