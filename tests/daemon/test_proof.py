"""What nobody would put there on purpose is no proof; the usual cases stand in test_retention."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from framedaemon.identity import hash_video
from framedaemon.proof import doubt_of, receipt_of
from framedaemon.rows import VideoRow

VIDEO = VideoRow("id-1", "trip/cat.mp4", 0.0)


@pytest.fixture
def output(tmp_path: Path) -> Path:
    video = tmp_path / VIDEO.output
    video.parent.mkdir()
    video.write_bytes(b"a video")
    published = {"file": "cat.mp4", "bytes": 7, "sha256": hash_video(video)}
    video.with_suffix(".json").write_text(json.dumps({"job": "id-1", "video": published}))
    return tmp_path


def test_a_video_as_it_was_published_leaves_no_doubt(output: Path) -> None:
    assert doubt_of(output, VIDEO) is None


def test_no_link_is_followed_to_a_video(output: Path) -> None:
    (output / "trip").rename(output / "away")
    (output / "trip").symlink_to(output / "away")

    assert "is not there" in str(doubt_of(output, VIDEO))


def test_a_pipe_is_not_waited_for(output: Path) -> None:
    (output / VIDEO.output).unlink()
    os.mkfifo(output / VIDEO.output)

    assert doubt_of(output, VIDEO) == "output/trip/cat.mp4 is no video any more"


def test_a_pipe_in_the_receipts_place_is_not_waited_for(output: Path) -> None:
    receipt = (output / VIDEO.output).with_suffix(".json")
    receipt.unlink()
    os.mkfifo(receipt)

    assert receipt_of(receipt.parent, VIDEO) is None


def test_a_folder_of_pictures_is_known_by_what_sha256sum_prints(output: Path) -> None:
    frames = output / "frames"
    frames.mkdir()
    (frames / "b.png").write_bytes(b"two")
    (frames / "a.png").write_bytes(b"one")

    said = subprocess.run("sha256sum * | sha256sum", shell=True, cwd=frames, capture_output=True, text=True)

    assert said.stdout.split()[0] == hash_video(frames)
