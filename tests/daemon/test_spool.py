from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from framedaemon.clip import Frame
from framedaemon.spool import spool


def _noise(count: int, dtype: type[np.uint8] | type[np.uint16] = np.uint8) -> list[Frame]:
    random = np.random.default_rng(1)
    return [random.integers(0, np.iinfo(dtype).max, (24, 32, 3), dtype, endpoint=True) for _ in range(count)]


@pytest.mark.parametrize("where", ["memory", "png"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_frames_come_back_bit_for_bit_and_in_order(
    tmp_path: Path, where: Literal["memory", "png"], dtype: type[np.uint8] | type[np.uint16]
) -> None:
    frames = _noise(4, dtype)

    back = list(spool(iter(frames), where, tmp_path / "frames"))

    assert [frame.dtype for frame in back] == [np.dtype(dtype)] * 4
    np.testing.assert_array_equal(np.stack(back), np.stack(frames))


def test_every_frame_is_taken_before_the_first_is_given_back(tmp_path: Path) -> None:
    source = iter(_noise(3))

    spool(source, "png", tmp_path / "frames")

    assert next(source, None) is None
    assert len(list((tmp_path / "frames").iterdir())) == 3


def test_a_frame_that_was_given_back_takes_no_disk_any_more(tmp_path: Path) -> None:
    back = spool(iter(_noise(3)), "png", tmp_path / "frames")

    next(back)
    next(back)

    assert [path.name for path in (tmp_path / "frames").iterdir()] == ["frame_000002.png"]


def test_what_an_earlier_attempt_left_is_not_taken_for_frames(tmp_path: Path) -> None:
    spool(iter(_noise(5)), "png", tmp_path / "frames")

    assert len(list(spool(iter(_noise(2)), "png", tmp_path / "frames"))) == 2
    assert list((tmp_path / "frames").iterdir()) == []
