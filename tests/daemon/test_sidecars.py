from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framedaemon.sidecars import Pair, is_sidecar, pair_of, pair_up

NAMES = st.lists(
    st.sampled_from(["a", "a.jpg", "a.png", "a.toml", "a.TOML", "a.jpg.toml", "b.toml", "defaults.toml", ".toml", ""])
)


@pytest.mark.parametrize("sidecar", ["photo.toml", "photo.jpg.toml", "photo.TOML", "photo.jpg.Toml"])
def test_a_picture_finds_its_sidecar(sidecar: str) -> None:
    assert pair_of("photo.jpg", ["photo.jpg", sidecar, "other.toml"]) == Pair(sidecar)


@pytest.mark.parametrize("other", ["defaults.toml", "Photo.toml", "photo.png.toml", "photo.toml.txt", "photo2.toml"])
def test_other_files_are_not_its_sidecar(other: str) -> None:
    assert pair_of("photo.jpg", ["photo.jpg", other]) == Pair(None)


def test_one_sidecar_serves_all_pictures_of_its_stem() -> None:
    assert pair_up(["photo.jpg", "photo.png", "photo.toml"]) == {
        "photo.jpg": Pair("photo.toml"),
        "photo.png": Pair("photo.toml"),
    }


def test_a_picture_with_its_own_sidecar_leaves_the_common_one_to_the_others() -> None:
    assert pair_up(["photo.jpg", "photo.png", "photo.toml", "photo.jpg.toml"]) == {
        "photo.jpg": Pair("photo.jpg.toml"),
        "photo.png": Pair("photo.toml"),
    }


def test_two_sidecars_of_one_picture_are_refused() -> None:
    pair = pair_of("photo.jpg", ["photo.toml", "photo.jpg.toml"])

    assert pair == Pair("photo.jpg.toml", "has several sidecars, photo.jpg.toml and photo.toml; keep one of them")


def test_sidecars_that_differ_in_capitals_alone_are_refused() -> None:
    assert pair_of("photo.jpg", ["photo.toml", "photo.TOML"]).refusal is not None


def test_a_picture_without_suffix_has_one_name_for_its_sidecar() -> None:
    assert pair_of("photo", ["photo", "photo.toml"]) == Pair("photo.toml")


def test_a_folders_defaults_are_no_sidecar() -> None:
    assert not is_sidecar("defaults.toml")
    assert is_sidecar("photo.Toml")


@given(NAMES)
def test_every_file_is_a_picture_or_a_toml_file(names: list[str]) -> None:
    pairs = pair_up(names)

    assert sorted(pairs) == sorted({name for name in names if not name.lower().endswith(".toml")})
    assert {pair.sidecar for pair in pairs.values()} - {None} <= set(names)
