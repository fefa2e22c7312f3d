from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framedaemon.sidecars import Pair, is_last, is_sidecar, owner_of, pair_of, pair_up

TOML = ["a.toml", "a.TOML", "a.jpg.toml", "b.toml", "defaults.toml", ".toml", "a.last.toml"]
LASTS = ["a.last.jpg", "a.LAST.png", "a.jpg.last.webp", "b.last.jpg", "a.last.last.jpg"]
NAMES = st.lists(st.sampled_from([*TOML, *LASTS, "a", "a.jpg", "a.png", ""]))


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


# Last pictures


@pytest.mark.parametrize("last", ["photo.last.jpg", "photo.LAST.PNG", "photo.last.heic", "photo.jpg.last.tif"])
def test_a_picture_finds_the_one_that_it_is_to_end_with(last: str) -> None:
    assert pair_up(["photo.jpg", last, "other.last.jpg"]) == {"photo.jpg": Pair(None, last=last)}


@pytest.mark.parametrize(
    "other", ["photo.last", "photo.last.mp4", "photolast.jpg", "photo.last.jpg.txt", "last.jpg", ".last.jpg"]
)
def test_other_names_are_not_of_last_pictures(other: str) -> None:
    assert not is_last(other)
    assert owner_of(other) is None


def test_one_last_picture_serves_all_pictures_of_its_stem_that_have_none_of_their_own() -> None:
    assert pair_up(["photo.jpg", "photo.png", "photo.webp", "photo.last.jpg", "photo.png.last.jpg", "photo.toml"]) == {
        "photo.jpg": Pair("photo.toml", last="photo.last.jpg"),
        "photo.png": Pair("photo.toml", last="photo.png.last.jpg"),
        "photo.webp": Pair("photo.toml", last="photo.last.jpg"),
    }


def test_two_last_pictures_are_refused_beside_two_sidecars() -> None:
    pair = pair_of("photo.jpg", ["photo.last.jpg", "photo.last.png", "photo.toml", "photo.TOML"])

    assert pair.refusal == (
        "has several sidecars, photo.TOML and photo.toml; keep one of them; "
        "has several last pictures, photo.last.jpg and photo.last.png; keep one of them"
    )


def test_what_belongs_to_a_picture_says_to_which() -> None:
    assert [owner_of(name) for name in ("photo.toml", "photo.jpg.toml", "a.b.last.png", "a.last.last.jpg")] == [
        "photo",
        "photo.jpg",
        "a.b",
        "a.last",
    ]


@given(NAMES)
def test_every_file_is_a_picture_or_belongs_to_one(names: list[str]) -> None:
    pairs = pair_up(names)

    assert sorted(pairs) == sorted({name for name in names if name not in (*TOML, *LASTS)})
    assert {name for pair in pairs.values() for name in pair.beside} <= set(names)
    assert all(is_last(pair.last) for pair in pairs.values() if pair.last is not None)
    assert all(is_sidecar(pair.sidecar) for pair in pairs.values() if pair.sidecar is not None)
