"""Whether a video still lies in output/ as it was published: what must be known before its original may go.

    VideoRow (ledger: where it was put) ─┐
    receipt beside it (bytes, sha256)   ─┴─▶ the file itself ─▶ None: it is that video, or why it may not be

All of a video is read, since a cut or damaged one may have the right name and size. No link is followed: whoever may
write to output/ could lay one.
"""

from __future__ import annotations

import json
import stat
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any

from framedaemon.identity import hash_video
from framedaemon.naming import show
from framedaemon.rows import VideoRow
from framedaemon.workspace import real_folder, size_of

_LONGEST_RECEIPT_BYTES = 16 << 20  # a receipt has some 4 kB; whatever is larger was put there by somebody else


def doubt_of(output: Path, video: VideoRow) -> str | None:
    """Why the video in ``output`` may not be what was published, in words; None where it is, to the byte."""
    name = PurePosixPath(video.output)
    said = f"output/{show(str(name))}"
    try:
        with real_folder(output, name.parent) as folder:
            status = (folder / name.name).lstat()
            if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
                return f"{said} is no video any more"
            receipt = receipt_of(folder, video)
            if receipt is None:
                return f"nothing tells whether {said} is whole: its receipt is not beside it"
            return _misfit(folder / name.name, said, receipt[1]["video"])
    except (FileNotFoundError, NotADirectoryError):
        return f"its video {said} is not there: it was removed, moved or renamed"
    except OSError as error:
        return f"{said} cannot be read: {error.strerror or error}"


def receipt_of(folder: Path, video: VideoRow) -> tuple[str, dict[str, Any]] | None:
    """Name and content of the receipt that the daemon wrote of the video, where it lies in ``folder``."""
    name = PurePosixPath(video.output)
    for beside in dict.fromkeys((f"{name.stem}.json", f"{name.name}.json")):  # a folder of pictures has no suffix
        facts = read_json(folder / beside)
        with suppress(KeyError, TypeError):
            if facts["job"] == video.job and facts["video"]["file"] == name.name:
                return beside, facts
    return None


def _misfit(path: Path, said: str, published: dict[str, Any]) -> str | None:
    size = size_of(path)
    if size != published.get("bytes"):
        return f"{said} has {size} bytes, and had {published.get('bytes')} when it was published"
    recorded = published.get("sha256")
    if recorded is not None and hash_video(path) != recorded:
        return f"{said} is not the video that was published: as many bytes, but others"
    return None


def read_json(path: Path) -> Any:
    """What a file holds that may have been put there by anybody; None where it is no receipt, or none of ours."""
    with suppress(OSError, ValueError, RecursionError):
        status = path.lstat()
        if stat.S_ISREG(status.st_mode) and status.st_size <= _LONGEST_RECEIPT_BYTES:
            return json.loads(path.read_text(encoding="utf-8"))
    return None
