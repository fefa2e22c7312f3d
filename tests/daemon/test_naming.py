from __future__ import annotations

import os
import unicodedata
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from framedaemon.naming import (
    MAX_BYTES,
    first_free,
    free_path,
    free_paths,
    mirrored,
    numbered,
    output_path,
    output_stem,
    safe_name,
    show,
)

# What Linux allows as a name, as Python shows it.
DROPPED = st.binary(min_size=1, max_size=255).map(os.fsdecode) | st.text(min_size=1)
CLUSTERS = st.text("e\u0301a\u0308猫\U0001f469\u200d .-", max_size=300)
DEVICES = ("con", "prn", "aux", "nul", "com1", "lpt9", "com\u00b2", "conin$")


@given(DROPPED | CLUSTERS)
@example("...")
@example("-")
@example("\u0301" * 300 + ".png")
@example("con" + " " * 300)
def test_a_safe_name_is_safe_on_every_system(name: str) -> None:
    safe = safe_name(name)

    assert 0 < len(safe.encode("utf-8")) <= MAX_BYTES
    assert not set(safe) & set('/\\:*?"<>|\x00\n\x7f\u202e\u2028')
    assert safe[0] not in " .-"
    assert safe[-1] not in " ."
    assert safe.partition(".")[0].strip().lower() not in DEVICES
    assert unicodedata.is_normalized("NFC", safe)


@given(DROPPED | CLUSTERS)
def test_a_safe_name_is_left_as_it_is(name: str) -> None:
    assert safe_name(safe_name(name)) == safe_name(name)


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("photo.jpg", "photo"),
        ("My photo (1).JPG", "My photo (1)"),
        ("archive.tar.gz", "archive.tar"),
        ("photo", "photo"),
        (".jpg", "jpg"),
        ("-rf.png", "rf"),
        ("$(reboot).png", "$(reboot)"),
        ("a:b?.png", "a_b_"),
        ("new\nline.jpg", "new_line"),
        ("con.jpg", "_con"),
        ("aux.tar.gz", "_aux.tar"),
        ("trailing. .jpg", "trailing"),
        ("e\u0301te\u0301.jpg", "été"),
        ("\udcff\udc80.png", "__"),
        ("photo\u202egpj.exe", "photo_gpj"),
        ("\U0001f469\u200d\U0001f467.jpg", "\U0001f469\u200d\U0001f467"),
        ("...", "picture"),
    ],
)
def test_the_output_is_called_like_the_picture(name: str, stem: str) -> None:
    assert output_stem(name) == stem


def test_a_long_name_keeps_its_accents() -> None:
    assert output_stem("q\u0301" * 200 + ".png") == "q\u0301" * (MAX_BYTES // 3)


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("photo.jpg", "photo"),
        ("trip/day 1/photo.jpg", "trip/day 1/photo"),
        ("-x/con/photo.jpg", "x/_con/photo"),
        ("logs/photo.jpg", "_logs/photo"),
        ("LOGS.png", "_LOGS"),
        ("trip/logs/photo.jpg", "trip/logs/photo"),
    ],
)
def test_sub_folders_are_mirrored_beside_the_daemons_own(name: str, path: str) -> None:
    assert output_path(name) == PurePosixPath(path)


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("approved/trip/cat.jpg", "trip/cat.jpg"),
        ("waiting/cat.jpg", "cat.jpg"),
        ("trip/approved/cat.jpg", "trip/approved/cat.jpg"),
        ("approved/approved/cat.jpg", "approved/cat.jpg"),
        ("approved", "approved"),
        ("done/cat.jpg", "done/cat.jpg"),
    ],
)
def test_the_folders_of_previews_are_no_part_of_where_a_picture_belongs(name: str, path: str) -> None:
    assert mirrored(name) == PurePosixPath(path)


@pytest.mark.parametrize(("name", "path"), [("approved/cat.jpg", "cat"), ("approved/logs/cat.jpg", "_logs/cat")])
def test_approved_pictures_get_the_name_that_they_would_have_had_at_once(name: str, path: str) -> None:
    assert output_path(name) == PurePosixPath(path)


@given(st.lists(st.sampled_from(["..", ".", "a", "", "-", "logs", "approved"]), max_size=5))
def test_no_name_leads_out_of_the_output_folder(parts: list[str]) -> None:
    path = output_path("/".join(parts))

    assert not path.is_absolute()
    assert ".." not in path.parts


def test_the_first_of_a_name_has_no_number() -> None:
    assert [numbered("photo", n) for n in (1, 2, 10)] == ["photo", "photo-2", "photo-10"]


@given(DROPPED)
def test_a_shown_name_stays_on_its_line(name: str) -> None:
    shown = show(name)

    assert shown.replace("\u200c", "").replace("\u200d", "").isprintable()
    shown.encode("utf-8")


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Straße 猫 \U0001f469\u200d\U0001f467.jpg", "Straße 猫 \U0001f469\u200d\U0001f467.jpg"),
        ("new\nline\x1b[2J", "new\\nline\\x1b[2J"),
        ("\udcff\udc80", "\\xff\\x80"),
        ("\u202egpj", "\\u202egpj"),
        ("\ud800", "\\ud800"),
    ],
)
def test_only_what_misleads_is_escaped(name: str, shown: str) -> None:
    assert show(name) == shown


def test_a_taken_name_is_numbered(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"")
    (tmp_path / "photo-2.jpg").symlink_to("nowhere")

    assert free_path(tmp_path, "photo.jpg") == tmp_path / "photo-3.jpg"
    assert free_path(tmp_path, "photo.png") == tmp_path / "photo.png"


@pytest.mark.parametrize(("name", "second"), [("photo", "photo-2"), (".hidden", ".hidden-2"), ("a.b.c", "a.b-2.c")])
def test_the_number_goes_before_the_suffix(name: str, second: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"")

    assert free_path(tmp_path, name).name == second


def test_files_that_belong_together_get_the_same_number(tmp_path: Path) -> None:
    (tmp_path / "photo.error.txt").write_bytes(b"")

    places = free_paths(tmp_path, "photo", [".jpg", ".jpg.toml", ".error.txt"])

    assert [place.name for place in places] == ["photo-2.jpg", "photo-2.jpg.toml", "photo-2.error.txt"]


@given(st.binary(min_size=1, max_size=255).map(lambda name: os.fsdecode(name.replace(b"/", b"_").replace(b"\0", b"_"))))
def test_any_place_that_is_given_can_be_written_to(name: str) -> None:
    (place,) = free_paths(Path("/nowhere"), name, [".error.txt"])

    assert len(os.fsencode(place.name)) <= 255
    assert place.parent == Path("/nowhere")


@pytest.mark.parametrize("taken", [0, 1, 2, 3, 4, 7, 8, 1000])
def test_the_first_free_number_follows_those_that_are_taken(taken: int) -> None:
    assert first_free(lambda n: n <= taken) == taken + 1


def test_a_free_number_is_found_without_asking_for_each() -> None:
    asked: list[int] = []

    def taken(n: int) -> bool:
        asked.append(n)
        return n <= 10_000

    free = first_free(taken)

    assert free == 10_001
    assert len(asked) < 30


@given(st.sets(st.integers(1, 60)))
def test_a_number_between_gaps_is_free_too(taken: set[int]) -> None:
    assert first_free(lambda n: n in taken) not in taken
