"""explain for graphics cards that are not at hand, as a person types it."""

from __future__ import annotations

from pathlib import Path

import pytest

from commands import Commands
from framedaemon.instance import Instance
from framedaemon.memory import total_ram
from framedaemon.settings import show_bytes
from living import drop, files_below, make_instance

GIB = 2**30

# A generator of two phases that is not ready, and refuses to come near a CPU: a drop-in file.
PAINTER = """
from fractions import Fraction

from framedaemon import ClipSpec, Estimate, GeneratorOptions, JobRejected, Phase, hookimpl

GIB = 2**30


class Painter:
    name = "painter"
    summary = "paints with 20 GiB of weights"
    options = GeneratorOptions
    accepts = frozenset({"picture"})
    preference = 90

    def unready(self, machine):
        return "brushes are missing"

    def promise(self, takes, options):
        return ClipSpec(512, 512, options.frames or 8, Fraction(8))

    def estimate(self, takes, gives, options):
        paint = Phase("paint", weights=20 * GIB, streams=20 * GIB, layer=GIB // 4, work=GIB)
        varnish = Phase("varnish", work=8 * GIB, tiled=True, spill=3 * GIB)
        return Estimate(ram=GIB, disk=GIB, seconds=9000, accelerated=90, phases=(paint, varnish), not_on_cpu="weeks")

    def load(self, placement, options):
        raise AssertionError("explaining loads nothing")


@hookimpl
def generators():
    return [Painter()]
"""


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Instance:
    """The one that is meant when none is named, with a painter."""
    made = make_instance(tmp_path / "instance")
    (made.plugins / "painter.py").write_text(PAINTER)
    monkeypatch.setenv("FRAMEDAEMON_INSTANCE", str(made.root))
    monkeypatch.chdir(tmp_path)
    return made


def _explain(command: Commands, instance: Instance, words: str) -> list[str]:
    said = command("explain", drop(instance, "a.png"), "--generate", "painter", *words.split())
    assert said.code == 0
    return [" ".join(line.split()) for line in said.out.splitlines()]


def test_each_card_has_its_line_with_what_fits_it_and_why(command: Commands, instance: Instance) -> None:
    words = "--vram 24GiB --vram 12GiB --vram 4GiB --vram 1GiB --ram 32GiB"

    said = _explain(command, instance, words)

    clip = "1 min 30 s 512x512, 3 frames at 8 fps, 8 bit"
    assert said[:5] == [
        "with 32 GiB of main memory",
        "card stage largest phase on the card in memory on disk time how, and why",
        f"24GiB painter paint 21 GiB 1 GiB 1 GiB {clip}: weights on the device",
        f"12GiB painter paint 11.2 GiB 11 GiB 1 GiB {clip}: weights in float8: else paint 21 GiB of 12 GiB free",
        "4GiB painter varnish 2 GiB 21 GiB 4 GiB "
        f"{clip}: weights layer by layer from main memory, tiles of 256: else paint 21 GiB, varnish 8 GiB",
    ]
    assert "1GiB painter, 3 frames of 512x512, fits nowhere here: cuda:0 has 1 GiB free, main memory 32 GiB." in said[6]


def test_without_a_size_of_main_memory_it_is_all_that_this_machine_has(command: Commands, instance: Instance) -> None:
    said = _explain(command, instance, "--vram 24GiB")

    assert said[0] == f"with {show_bytes(total_ram())} of main memory"


def test_cards_are_told_as_json_too(command: Commands, instance: Instance, tmp_path: Path) -> None:
    path = drop(instance, "a.png")
    before = files_below(tmp_path)

    line = f"explain {path} --generate painter --vram 24GiB --vram 1GiB --ram 32GiB --json"
    large, small = command(*line.split()).json

    step = large["plan"]["steps"][0]
    assert (large["vram_bytes"], large["ram_bytes"], large["reason"]) == (24 * GIB, 32 * GIB, "")
    assert step["phases"][0] == {"name": "paint", "working_bytes": 21 * GIB, "waiting_bytes": 0}
    assert (small["plan"], small["reason"][:26]) == (None, "painter, 3 frames of 512x5")
    assert {name for name in files_below(tmp_path) if "__pycache__" not in name} == before


def test_what_is_not_ready_is_refused_where_it_is_to_work(command: Commands, instance: Instance) -> None:
    said = command("explain", drop(instance, "a.png"), "--generate", "painter")

    assert said.code == 1
    assert "painter cannot work here: brushes are missing" in said.err


@pytest.mark.parametrize("words", ["--vram much", "--vram 8GB --ram much"])
def test_a_size_that_is_none_is_refused(command: Commands, instance: Instance, words: str) -> None:
    said = command("explain", drop(instance, "a.png"), *words.split())

    assert said.code == 2
    assert "'much' is not a number of bytes" in " ".join(said.err.replace("│", " ").split())


def test_a_model_that_is_not_here_is_counted_as_it_is_published(command: Commands, instance: Instance) -> None:
    line = f"explain {drop(instance, 'a.png')} --generate wan --set generate.size=480p --vram 24GB --ram 64GB --json"

    (card,) = command(*line.split()).json

    step = card["plan"]["steps"][0]
    assert [phase["name"] for phase in step["phases"]] == ["text", "condition", "high noise", "low noise", "decode"]
    assert step["placement"]["storage"] == "float8"
    assert "[generate] weights: wan-i2v-a14b-bf16 is not here: counted as it is published" in card["plan"]["notes"]


def test_an_ordinary_explanation_says_what_each_phase_takes(command: Commands, instance: Instance) -> None:
    small = PAINTER.replace("2**30", "2**20").replace('"brushes are missing"', "None").replace('"weeks"', '""')
    (instance.plugins / "painter.py").write_text(small)

    said = command("explain", drop(instance, "a.png"), "--generate", "painter")

    assert said.code == 0
    assert "one after the other: paint 42 MiB, varnish 8 MiB" in said.out
