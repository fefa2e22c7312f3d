from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from framedaemon.errors import SettingsError
from framedaemon.layers import read_request
from framedaemon.recipe import Recipe
from framedaemon.settings import DefaultSettings, Settings, parse_bytes, read_settings, show_bytes
from framedaemon.stages import EncoderOptions, GeneratorOptions

ROOT = Path(__file__).resolve().parents[2]
KEYS = [
    (section, key)
    for section, field in Settings.model_fields.items()
    if section != "defaults" and field.default is not None
    for key in type(field.default).model_fields
]


def _problems(tmp_path: Path, text: str) -> tuple[str, ...]:
    (tmp_path / "config.toml").write_text(text)
    with pytest.raises(SettingsError) as caught:
        read_settings(tmp_path / "config.toml")
    return caught.value.problems


@pytest.fixture
def uncommented(tmp_path: Path) -> Settings:
    """config.toml of the project with every setting in force."""
    text = (ROOT / "config.toml").read_text(encoding="utf-8")
    (tmp_path / "config.toml").write_text(re.sub(r"^#(?! )", "", text, flags=re.MULTILINE), encoding="utf-8")
    return read_settings(tmp_path / "config.toml")


def test_a_missing_file_means_the_defaults(tmp_path: Path) -> None:
    assert read_settings(tmp_path / "config.toml") == Settings()


def test_the_projects_config_file_is_the_defaults() -> None:
    assert read_settings(ROOT / "config.toml") == Settings()


def test_every_key_stands_in_the_projects_config_file_at_its_default(uncommented: Settings) -> None:
    said = [(section, key) for section, key in KEYS if key in getattr(uncommented, section).model_fields_set]

    assert said == KEYS
    assert uncommented.model_copy(update={"defaults": DefaultSettings()}) == Settings()


def test_the_recipe_in_the_projects_config_file_is_the_default_one(uncommented: Settings) -> None:
    (recipe,) = read_request([uncommented.defaults.layer()]).recipes

    assert recipe.interpolate == Recipe().interpolate
    assert recipe.generate.fit("generate", GeneratorOptions, "") == GeneratorOptions()
    assert recipe.encode.fit("encode", EncoderOptions, "") == EncoderOptions()


def test_all_problems_are_said_at_once_with_file_and_key(tmp_path: Path) -> None:
    problems = _problems(
        tmp_path,
        """
        [inbox]
        settle_seconds = -1
        setle_seconds = 3
        background = "red"
        watch = "always"
        [disk]
        keep_free_bytes = "2 XB"
        ballast_bytes = "-1 MiB"
        [worker]
        device = "gpu"
        threads = 1.5
        [inbx]
        [plugins]
        disabled = ["camera", 3]
        [log]
        max_bytes = 0
        """,
    )

    assert sorted(problems) == [
        "config.toml [disk] ballast_bytes: '-1 MiB' is not a number of bytes: write 500000000, '500 MB' or '2 GiB'",
        "config.toml [disk] keep_free_bytes: '2 XB' is not a number of bytes: write 500000000, '500 MB' or '2 GiB'",
        "config.toml [inbox] background: 'red' is not a colour: write it like '#1a2b3c'",
        "config.toml [inbox] setle_seconds: is not known here; did you mean 'settle_seconds'?",
        "config.toml [inbox] settle_seconds: -1 is not in 0..3600",
        "config.toml [inbox] watch: 'always' is not one of 'auto', 'events', 'poll'",
        "config.toml [log] max_bytes: 0 is not at least 10000",
        "config.toml [plugins] disabled 2: 3 is not text in quotes",
        "config.toml [worker] device: 'gpu' is not a device: write auto, cpu, cuda, cuda:0 or mps",
        "config.toml [worker] threads: 1.5 is not a whole number",
        "config.toml inbx: is not known here; did you mean 'inbox'?",
    ]


def test_a_wrong_default_recipe_stops_the_start(tmp_path: Path) -> None:
    problems = _problems(tmp_path, "[defaults.encode]\nbit_depth = 9\n[defaults.interpolate]\nfactor = 2\nfps = 30")

    assert problems == (
        "config.toml [defaults.interpolate] fps: cannot stand beside factor; keep one of them",
        "config.toml [defaults.encode] bit_depth: 9 is not one of 8, 10",
    )


def test_broken_toml_stops_the_start(tmp_path: Path) -> None:
    assert _problems(tmp_path, "[inbox]\nwatch = poll") == (
        "config.toml line 2: invalid value; text must stand in quotes",
    )


def test_a_linked_config_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "real.toml").write_text("[log]\nkeep = 3")
    (tmp_path / "config.toml").symlink_to("real.toml")

    assert read_settings(tmp_path / "config.toml").log.keep == 3


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        Settings().log.keep = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("value", "count"),
    [(0, 0), (512, 512), ("512", 512), ("8 MiB", 8 * 2**20), ("8MiB", 8 * 2**20), ("1.5 gb", 1_500_000_000)],
)
def test_bytes_are_read_with_their_unit(value: object, count: int) -> None:
    assert parse_bytes(value) == count


@pytest.mark.parametrize("value", [True, 1.5, "", "MiB", "8 MB/s", "1e9", None, "٣ GB", "8\n"])
def test_what_is_no_number_of_bytes_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="is not a number of bytes"):
        parse_bytes(value)


@pytest.mark.parametrize(
    ("count", "shown"),
    [(0, "0 B"), (1023, "1023 B"), (2**31, "2 GiB"), (1_500_000_000, "1.4 GiB"), (2**50, "1024 TiB")],
)
def test_bytes_are_shown_with_the_largest_fitting_unit(count: int, shown: str) -> None:
    assert show_bytes(count) == shown
