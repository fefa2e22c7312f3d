"""The finished parts of a long clip's video: encoded one by one, kept between attempts, joined at the end.

    cuts      0 ────── 240 ────── 480 ────── 720        see `cuts`
    files     000000.mp4  000001.mp4  (000002.mp4)      below segments/ in the job's workspace
    records   000000.json 000001.json                   written last: a file is believed by its record only

A record holds what the quality gate and the receipt need of the frames that are not drawn again, and names what they
were made of: source, recipe, clip, versions. A part whose record is not there, is torn, or belongs to something else
is made again, with all that follow it.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from base64 import b64decode, b64encode
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from framedaemon.fingerprint import Fingerprints
from framedaemon.identity import hash_file
from framedaemon.weave import Tally
from framedaemon.workspace import flush_folder, write_atomically


def key_of(*facts: object) -> str:
    """What parts are known by: the same for the same ``facts``, whose ``repr`` says all there is to them."""
    return hashlib.sha256(repr(facts).encode("utf-8", "backslashreplace")).hexdigest()


class Segments:
    """The parts of one clip in a folder of their own."""

    def __init__(self, folder: Path, key: str, cuts: Sequence[int], suffix: str) -> None:
        """cuts: where parts begin, and the end.  suffix: of the files, ``.mp4``."""
        self._folder = folder
        self._key = key
        self._cuts = cuts
        self._suffix = suffix

    def __len__(self) -> int:
        return len(self._cuts) - 1

    def restore(self, fingerprints: Fingerprints, tally: Tally) -> int:
        """How many parts are there already; fills both with what was kept of their frames.

        All else in the folder is removed: it is torn, of another clip, or behind a part that is not there.
        """
        self._folder.mkdir(exist_ok=True)
        flush_folder(self._folder.parent)
        kept = 0
        while kept < len(self) and self._take_up(kept, fingerprints, tally):
            kept += 1
        believed = {path.name for index in range(kept) for path in (self.path(index), self._record(index))}
        for path in self._folder.iterdir():
            if path.name not in believed:
                _remove(path)
        return kept

    def path(self, index: int) -> Path:
        """Where part ``index`` stands, or is to be written."""
        return self._folder / f"{index:06d}{self._suffix}"

    def paths(self) -> list[Path]:
        """Of all parts, in order."""
        return [self.path(index) for index in range(len(self))]

    def frames(self, index: int) -> tuple[int, int]:
        """The first output frame of part ``index``, and the first behind it."""
        return self._cuts[index], self._cuts[index + 1]

    def keep(self, index: int, fingerprints: Fingerprints, tally: Tally) -> None:
        """From now on believe part ``index``, whose file is written and flushed and whose frames are the latest.

        Raises OSError when the disk is full.
        """
        start, stop = self.frames(index)
        facts = {
            "key": self._key,
            "index": index,
            "sha256": hash_file(self.path(index)),
            "fingerprints": b64encode(fingerprints.since(start)).decode("ascii"),
            "marks": b64encode(tally.marks[start:stop]).decode("ascii"),
        }
        write_atomically(self._record(index), json.dumps(facts).encode("ascii"))

    def drop(self, index: int) -> None:
        """Remove what there is of part ``index``."""
        self._record(index).unlink(missing_ok=True)
        self.path(index).unlink(missing_ok=True)

    def discard(self) -> None:
        """Remove every part, records first: another attempt must not begin with them."""
        for index in range(len(self)):
            self._record(index).unlink(missing_ok=True)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _record(self, index: int) -> Path:
        return self._folder / f"{index:06d}.json"

    def _take_up(self, index: int, fingerprints: Fingerprints, tally: Tally) -> bool:
        """Whether part ``index`` is there and ours; its frames' fingerprints and marks are taken over then."""
        start, stop = self.frames(index)
        try:
            facts: Any = json.loads(self._record(index).read_text("ascii"))
            ours = facts["key"] == self._key and facts["index"] == index
            if not ours or facts["sha256"] != hash_file(self.path(index)):
                return False
            marks = b64decode(facts["marks"], validate=True)
            seen = Fingerprints(fingerprints.width, fingerprints.height)
            seen.extend(b64decode(facts["fingerprints"], validate=True))
        except (OSError, ValueError, KeyError, TypeError):
            return False
        if len(marks) != stop - start or len(seen) != stop - start:
            return False
        fingerprints.extend(seen.since(0))
        tally.marks += marks
        return True


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
