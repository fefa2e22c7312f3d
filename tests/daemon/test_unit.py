from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from framedaemon.errors import SettingsError
from framedaemon.systemd import EXTEND_SECONDS
from framedaemon.unit import Facts, check_name, drop_in_text, mount_unit, served_by, template_text, unit_text

FACTS = Facts(
    root=Path("/srv/videos"),
    command=("/opt/venv/bin/python", "/opt/venv/bin/framedaemon"),
    user="ada",
    groups=("render", "video"),
    reads=(Path("/opt/venv"), Path("/usr")),
)
AT_HOME = replace(
    FACTS,
    root=Path("/home/ada/videos"),
    reads=(
        Path("/home/ada/venv"),
        Path("/home/ada/venv/lib"),
        Path("/usr"),
        Path("/home/ada/.cache/framedaemon/models"),
    ),
)

needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")


def _lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def test_an_instance_outside_homes_sees_no_home_at_all() -> None:
    lines = _lines(unit_text(FACTS))

    assert "ProtectHome=yes" in lines
    assert 'ReadWritePaths="/srv/videos"' in lines
    assert not [line for line in lines if line.startswith("Bind")]


def test_an_instance_in_a_home_sees_of_it_what_it_needs_and_no_more() -> None:
    lines = _lines(unit_text(AT_HOME))

    assert "ProtectHome=tmpfs" in lines
    assert [line for line in lines if line.startswith("Bind")] == [
        'BindPaths="/home/ada/videos"',
        'BindReadOnlyPaths="-/home/ada/venv"',
        'BindReadOnlyPaths="-/home/ada/.cache/framedaemon/models"',
    ]


def test_a_folder_beyond_a_link_may_be_written_to_and_its_share_comes_first_but_is_not_required() -> None:
    lines = _lines(unit_text(replace(FACTS, writes=(Path("/mnt/nas"),), mounts=(Path("/mnt/nas"),))))

    assert 'ReadWritePaths="/srv/videos" "/mnt/nas"' in lines
    assert {"Wants=mnt-nas.mount", "After=mnt-nas.mount", 'RequiresMountsFor="/srv/videos"'} <= set(lines)


def test_the_job_and_its_halt_end_before_systemd_loses_patience() -> None:
    lines = _lines(unit_text(replace(FACTS, stop_seconds=600, halt_seconds=40, start_seconds=200)))

    assert {"TimeoutStopSec=670", "TimeoutStartSec=260", f"WatchdogSec={EXTEND_SECONDS:.0f}"} <= set(lines)


def test_memory_is_limited_when_settings_say_so() -> None:
    assert "MemoryMax=8589934592" in _lines(unit_text(replace(FACTS, memory_max_bytes=8 * 2**30)))
    assert "MemoryMax" not in unit_text(FACTS)


def test_starts_are_tried_again_more_and_more_rarely_where_systemd_knows_how() -> None:
    assert "RestartSteps" not in unit_text(replace(FACTS, release=253))
    assert {"RestartSteps=10", "RestartMaxDelaySec=300"} <= set(_lines(unit_text(replace(FACTS, release=254))))


def test_what_would_break_torch_or_hide_the_card_is_named_with_its_reason_and_not_set() -> None:
    text = unit_text(FACTS)

    for harmful in ("MemoryDenyWriteExecute=", "PrivateDevices=", "ProcSubset="):
        assert harmful in text
        assert not [line for line in _lines(text) if line.startswith(harmful)]
    assert "DeviceAllow=char-nvidia-uvm rw" in text


def test_a_persons_own_unit_has_what_needs_no_root() -> None:
    lines = _lines(unit_text(replace(FACTS, user=None)))

    assert "WantedBy=default.target" in lines and "NoNewPrivileges=yes" in lines
    assert not [line for line in lines if line.startswith(("User=", "ProtectSystem=", "DevicePolicy=", "Capability"))]


def test_template_and_drop_in_say_together_what_the_one_unit_says() -> None:
    whole, shared, own = (set(_lines(text(FACTS))) for text in (unit_text, template_text, drop_in_text))

    described = {line for line in whole | shared if line.startswith("Description=")}
    assert shared | own | described == whole | described
    assert not [line for line in shared if "/srv/videos" in line]


def test_a_unit_tells_whose_instance_it_serves() -> None:
    odd = replace(FACTS, root=Path("/srv/100 % mine"))

    assert served_by(unit_text(odd)) == served_by(drop_in_text(odd)) == odd.root
    assert served_by("[Service]\nExecStart=/bin/true\n") is None
    assert 'FRAMEDAEMON_INSTANCE=/srv/100 %% mine"' in unit_text(odd)


@pytest.mark.parametrize("name", ['/srv/a"b', "/srv/a\nb", "/srv/a:b", "/srv/a\\b", "/srv/a\udcffb"])
def test_a_folder_that_a_unit_cannot_name_is_refused(name: str) -> None:
    with pytest.raises(SettingsError, match="cannot name"):
        unit_text(replace(FACTS, root=Path(name)))


@pytest.mark.parametrize("name", ["", "a/b", "a b", "-a", "a@b", "x" * 65, "ä", "a\n"])
def test_a_name_that_systemd_would_read_otherwise_is_refused(name: str) -> None:
    with pytest.raises(SettingsError):
        check_name(name)


@needs_systemd
@pytest.mark.parametrize("folder", ["/mnt/nas", "/mnt/my nas/a-b.c", "/.hidden/x", "/mnt/größe"])
def test_mounts_are_called_as_systemd_calls_them(folder: str) -> None:
    said = subprocess.run(
        ["systemd-escape", "--path", "--suffix=mount", folder], capture_output=True, text=True, check=True
    )

    assert mount_unit(Path(folder)) == said.stdout.strip()


@needs_systemd
@pytest.mark.parametrize("facts", [FACTS, AT_HOME, replace(FACTS, user=None)], ids=["srv", "home", "user"])
def test_systemd_has_no_complaints_and_calls_it_well_shut_in(facts: Facts, tmp_path: Path) -> None:
    unit = tmp_path / "framedaemon-tested.service"
    real = replace(facts, command=("/bin/true",))
    unit.write_text(unit_text(real), encoding="utf-8")
    scope = ["--user"] if facts.user is None else []

    said = subprocess.run(
        ["systemd-analyze", *scope, "verify", unit], capture_output=True, text=True, env=_environ(tmp_path), check=False
    )

    assert said.stderr + said.stdout == ""
    assert facts.user is None or _exposure(unit) <= 2.0


def _exposure(unit: Path) -> float:
    said = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", unit],
        capture_output=True,
        text=True,
        check=True,
    )
    return float(said.stdout.splitlines()[-1].split(": ")[1].split()[0])


def _environ(runtime: Path) -> dict[str, str]:
    return {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "XDG_RUNTIME_DIR": str(runtime), "HOME": str(runtime)}
