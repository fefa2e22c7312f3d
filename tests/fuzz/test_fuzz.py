"""A short run of each fuzzing campaign, the same every time, and what longer ones found."""

from __future__ import annotations

import random
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from framedaemon.formats import _SIGNATURES, HEIF, identify
from framedaemon.opening import Limits, open_source
from fuzz.mutations import mend_png, mutate
from fuzz.targets import KINDS

CAMPAIGN = Path(__file__).parent / "campaign.py"
FOUND = Path(__file__).parent / "found"


@pytest.mark.parametrize(("target", "runs"), [("pictures", 400), ("footage", 200), ("recipes", 600), ("names", 60)])
def test_nothing_but_refusals_falls_out(target: str, runs: int) -> None:
    """In a process of its own: a decoder that crashes must not take the tests along."""
    words = [sys.executable, CAMPAIGN, "120", target, "--seed", "1", "--runs", str(runs)]

    done = subprocess.run(words, capture_output=True, text=True)

    assert done.returncode == 0, done.stdout + done.stderr
    assert f'"runs": {runs}' in done.stdout


@pytest.mark.parametrize("path", sorted(FOUND.glob("*/*")), ids=lambda path: f"{path.parent.name}-{path.name}")
def test_what_fuzzing_found_stays_mended(path: Path, tmp_path: Path) -> None:
    target = KINDS[path.parent.name].make(tmp_path)

    target(path.read_bytes())


def test_a_campaign_tells_and_keeps_what_falls_out(tmp_path: Path) -> None:
    """By a module of ours that is broken on purpose."""
    (tmp_path / "first").mkdir()
    (tmp_path / "first" / "sitecustomize.py").write_text("import framedaemon.inbox as i; i._ignored = None")
    words = [sys.executable, CAMPAIGN, "60", "names", "--seed", "1", "--runs", "1", "--keep", str(tmp_path)]

    done = subprocess.run(words, capture_output=True, text=True, env={"PYTHONPATH": str(tmp_path / "first")})

    assert done.returncode == 1
    assert "TypeError" in done.stdout
    assert [path.suffix for path in sorted((tmp_path / "names" / "found").iterdir())] == [".bin", ".txt"]


def test_a_spoilt_png_has_its_checksums_mended() -> None:
    """Or nothing behind them would be reached."""
    seed = next(data for data in KINDS["pictures"].seeds() if data.startswith(b"\x89PNG"))
    header = bytearray(seed)
    header[19] ^= 1  # the width

    mended = mend_png(bytes(header))

    (checksum,) = struct.unpack_from(">I", mended, 29)
    assert checksum == zlib.crc32(mended[12:29]) != struct.unpack_from(">I", seed, 29)[0]


def test_mutations_change_nearly_everything_they_touch() -> None:
    chance, seeds = random.Random(1), list(KINDS["recipes"].seeds())

    changed = [mutate(seeds[0], chance, seeds) != seeds[0] for _ in range(200)]

    assert sum(changed) > 180


def test_every_format_that_is_read_has_a_seed() -> None:
    """But HEIC, which is an extra."""
    read = {form.label for _, form in _SIGNATURES if form.kind != "other"} - {HEIF.label}

    seeded = {identify(data).label for kind in ("pictures", "footage") for data in KINDS[kind].seeds()}

    assert seeded - {HEIF.label} == read


@pytest.mark.parametrize("data", [pytest.param(data, id=str(i)) for i, data in enumerate(KINDS["pictures"].seeds())])
def test_every_seed_is_a_sound_picture(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(data)

    source = open_source(tmp_path / "x", "x", Limits())

    assert {source.width, source.height} in ({24, 18}, {17, 16})
