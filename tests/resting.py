"""An instance whose ledger knows of pictures that were put away, and of their videos: for tests of what is removed."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path, PurePosixPath

from framedaemon.instance import Instance
from framedaemon.ledger import Ledger
from framedaemon.retention import Removed, Stale, find_leftovers, find_stale, remove
from framedaemon.settings import RetentionSettings
from living import files_below, make_instance

DAY = 86_400.0
MONTH = RetentionSettings(done_days=30, failed_days=30)


class House:
    """An instance, and pictures that were put away in it just now, as the ledger has it."""

    def __init__(self, folder: Path) -> None:
        self.instance: Instance = make_instance(folder)
        self.ledger = Ledger(self.instance.ledger)
        self.now = time.time()
        self._count = 0

    def put_away(
        self, rests: str, sidecar: str | None = None, at: float | None = None, size: int = 10, named: str = ""
    ) -> str:
        """A picture of ``size`` bytes that lies at ``rests`` since ``at``, with its log; returns the drop's id."""
        at = self.now if at is None else at
        id = self.claim(named or rests.partition("/")[2], sidecar, at)
        if rests.startswith("done"):
            self.publish(id, 1, f"{PurePosixPath(rests).stem}-{self._count}.mp4")
        self.ledger.finish(f"{id}-1", "done" if rests.startswith("done") else "failed", "", at)
        self.ledger.close_drop(id, rests)
        self.write(rests, size)
        return id

    def claim(self, name: str, sidecar: str | None = None, at: float | None = None) -> str:
        self._count += 1
        at = self.now if at is None else at
        id = f"20260101T000000-{self._count:08x}"
        self.ledger.claiming([(id, name, sidecar, None)], at)
        self.ledger.add_job(id, 1, "{}", id, 0, at)
        self.ledger.set_drop(id, "open")
        log = self.instance.logs / "jobs" / f"{id}-1.jsonl"
        log.parent.mkdir(exist_ok=True)
        log.write_text("{}\n")
        return id

    def publish(self, id: str, job: int, output: str) -> Path:
        """A video of that job, of 20 bytes, with the receipt beside it."""
        video = self.instance.output / output
        video.parent.mkdir(parents=True, exist_ok=True)
        video.write_bytes(output.ljust(20).encode()[:20])
        published = {"file": video.name, "bytes": 20, "sha256": sha256(video.read_bytes()).hexdigest()}
        video.with_suffix(".json").write_text(json.dumps({"job": f"{id}-{job}", "video": published}))
        self.ledger.publishing(f"{id}-{job}", output)
        return video

    def write(self, name: str, size: int = 10) -> Path:
        path = self.instance.input / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(size))
        return path

    def stale(self, settings: RetentionSettings = MONTH, days: float = 0) -> list[Stale]:
        """What is to go so many days from now."""
        now = self.now + days * DAY
        return [*find_leftovers(self.instance, self.ledger), *find_stale(self.instance, self.ledger, settings, now)]

    def prune(self, settings: RetentionSettings = MONTH, days: float = 0) -> Removed:
        """Remove it."""
        return remove(self.instance, self.stale(settings, days))

    @property
    def left(self) -> set[str]:
        return files_below(self.instance.input)

    @property
    def logs(self) -> set[str]:
        return files_below(self.instance.logs / "jobs")


@contextmanager
def resting(folder: Path) -> Iterator[House]:
    """A house in ``folder``, its ledger closed in the end."""
    made = House(folder)
    yield made
    made.ledger.close()
