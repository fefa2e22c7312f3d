"""What must be true of an instance after every crash, and what must be true of it in the end.

After a crash, before anything is started again, and while the daemon rests:
- the ledger opens, is sound, and each of its jobs has ended at most once;
- each dropped picture lies in exactly one place, whole: input/, tmp/jobs/, input/done/ or input/failed/;
- nothing visible is partial: each video decodes to the frames that an undisturbed daemon makes, each receipt is whole;
- no job has two videos, and what a worker has begun is recorded as an attempt;
- a picture lies in done/ only beside its published video, and in failed/ only beside its reason.
In the end: each picture is in done/ with its video and receipt, or in failed/ with a reason; nothing else is left.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import av

from framedaemon.instance import Instance
from framedaemon.workspace import COPYING

Kind: TypeAlias = Literal["lost", "doubled", "partial", "differing", "ledger", "litter"]


@dataclass(frozen=True, slots=True)
class Dropped:
    """A picture that was put into input/."""

    name: str
    """Of the file in input/; no two are alike."""
    sha256: str
    """Of the file's bytes."""
    frames: str | None
    """`frames_digest` of the video that an undisturbed daemon makes of it; None: it is refused or defeated."""
    sidecar: str | None = None
    """Of its sidecar's bytes, SHA-256."""

    @property
    def stem(self) -> str:
        return Path(self.name).stem


@dataclass(frozen=True, slots=True)
class Violation:
    """A promise that was broken."""

    kind: Kind
    what: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.what}"


def frames_digest(video: Path) -> str:
    """SHA-256 of the decoded frames of a video, with their times. Raises av.FFmpegError where it does not decode."""
    digest = hashlib.sha256()
    with av.open(str(video)) as file:
        for frame in file.decode(video=0):
            digest.update(f"{frame.time} {frame.format.name} {frame.width}x{frame.height}".encode())
            digest.update(frame.to_ndarray().tobytes())
    return digest.hexdigest()


def after_a_crash(instance: Instance, drops: Sequence[Dropped]) -> list[Violation]:
    """Every promise that does not hold at this moment, no daemon running."""
    found = [*_ledger(instance), *_attempted(instance), *_receipts(instance)]
    places = _places(instance)
    videos = _videos(instance)
    moving = _moving(instance)
    for drop in drops:
        found += _placed(drop.name, drop.sha256, places.get(drop.name, []), drop.name in moving)
        if drop.sidecar is not None:
            beside = f"{drop.stem}.toml"
            found += _placed(beside, drop.sidecar, places.get(beside, []), drop.name in moving)
        found += _pictured(drop, videos.get(drop.stem, []))
        found += _put_away(instance, drop, videos.get(drop.stem, []))
    return found


def in_the_end(instance: Instance, drops: Sequence[Dropped]) -> list[Violation]:
    """Every promise that does not hold once the daemon has come to rest."""
    found = [*after_a_crash(instance, drops), *unexplained(instance, drops)]
    found += [Violation("litter", str(path)) for path in _litter(instance, drops)]
    states = Counter(_query(instance, "SELECT state FROM jobs WHERE ended IS NULL"))
    return [*found, *(Violation("ledger", f"{count} jobs are still {state}") for (state,), count in states.items())]


def unexplained(instance: Instance, drops: Iterable[Dropped]) -> Iterator[Violation]:
    """Which of ``drops``, all of them closed, did not end as a video with its receipt, or with a reason."""
    videos = _videos(instance)
    for drop in drops:
        made, put_away = bool(videos.get(drop.stem)), (instance.done / drop.name).exists()
        explained = (instance.failed / drop.name).exists() and _text(instance.failed / f"{drop.stem}.error.txt")
        if drop.frames is None and (made or not explained):
            yield Violation("lost", f"{drop.name} is not in failed/ with a reason")
        elif drop.frames is not None and not (made and put_away):
            why = f": {explained[:500]}" if explained else ""
            yield Violation("lost", f"{drop.name} gave {'a' if made else 'no'} video, done/: {put_away}{why}")
        elif drop.frames is not None and not (instance.output / f"{drop.stem}.json").exists():
            yield Violation("lost", f"{drop.name} has no receipt")


def unended_states(instance: Instance) -> set[str]:
    """The states that a crash left jobs and drops in, other than waiting in the queue."""
    query = (
        "SELECT state FROM jobs WHERE ended IS NULL AND state != 'queued'"
        " UNION SELECT state FROM drops WHERE state IN ('claiming', 'closing')"
    )
    return {str(state) for (state,) in _query(instance, query)}


def closed(instance: Instance) -> set[str]:
    """Names of the files in input/ whose jobs have all ended, and that were put away."""
    rows = _query(instance, "SELECT name FROM drops WHERE state = 'closed'")
    return {name.decode() for (name,) in rows if isinstance(name, bytes)}


def _ledger(instance: Instance) -> Iterator[Violation]:
    verdict = _query(instance, "PRAGMA integrity_check")
    if verdict != [("ok",)]:
        yield Violation("ledger", f"integrity check: {verdict[:3]}")
    doubled = _query(
        instance, "SELECT output, count(*) FROM jobs WHERE state = 'done' GROUP BY output HAVING count(*) > 1"
    )
    unended = _query(
        instance,
        "SELECT job_id FROM attempts JOIN jobs ON jobs.id = job_id"
        " WHERE jobs.ended IS NOT NULL AND attempts.ended IS NULL",
    )
    gaps = _query(instance, "SELECT job_id FROM attempts GROUP BY job_id HAVING max(number) != count(*)")
    for rows, what in ((doubled, "one video of two jobs"), (unended, "attempt open"), (gaps, "attempt missing")):
        for row in rows:
            yield Violation("ledger", f"{what}: {row}")


def _query(instance: Instance, query: str) -> list[tuple[object, ...]]:
    """Ask a copy: opening the ledger itself would already begin to mend it.

    One that cannot be read answers nothing, and its integrity check says why.
    """
    if not instance.ledger.exists():
        return [("ok",)] if query.startswith("PRAGMA") else []
    with tempfile.TemporaryDirectory() as folder:
        for suffix in ("", "-wal"):
            file = instance.ledger.with_name(f"{instance.ledger.name}{suffix}")
            if file.exists():
                shutil.copy(file, folder)
        db = sqlite3.connect(Path(folder) / instance.ledger.name)
        try:
            has_schema = db.execute("SELECT 1 FROM sqlite_master WHERE name = 'jobs'").fetchone()
            return db.execute(query).fetchall() if has_schema or query.startswith("PRAGMA") else []
        except sqlite3.DatabaseError as error:
            return [(str(error),)] if query.startswith("PRAGMA") else []
        finally:
            db.close()


def _places(instance: Instance) -> dict[str, list[Path]]:
    """Every file in input/ and among the claimed ones, by name."""
    found: dict[str, list[Path]] = {}
    for path in (*instance.input.rglob("*"), *instance.jobs.glob("*/source/*")):
        if path.is_file() and not path.name.startswith(COPYING):
            found.setdefault(path.name, []).append(path)
    return found


def _moving(instance: Instance) -> set[str]:
    """Pictures on their way between two filesystems: while a move is recorded, the original stands beside its copy."""
    rows = _query(instance, "SELECT name FROM drops WHERE state IN ('claiming', 'closing')")
    return {name.decode() for (name,) in rows if isinstance(name, bytes)}


def _attempted(instance: Instance) -> Iterator[Violation]:
    """The worker's log of a job is the first thing that it writes: by then its attempt must be in the ledger."""
    untried = {id for (id,) in _query(instance, "SELECT id FROM jobs WHERE attempts = 0")}
    for log in (instance.logs / "jobs").glob("*.jsonl"):
        if log.stem in untried:
            yield Violation("ledger", f"{log.stem} was begun, but no attempt is recorded")


def _placed(name: str, sha256: str, places: Sequence[Path], moving: bool) -> Iterator[Violation]:
    if not places:
        yield Violation("lost", f"{name} is nowhere")
    if len(places) > (2 if moving else 1):
        yield Violation("doubled", f"{name} lies in {', '.join(map(str, places))}")
    for path in places:
        if hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
            yield Violation("partial", f"{path} is not what was dropped")


def _videos(instance: Instance) -> dict[str, list[Path]]:
    """What stands in output/, by the name of its picture: a numbered second one counts as that picture's."""
    found: dict[str, list[Path]] = {}
    for path in instance.output.iterdir():
        if path.is_file() and path.suffix != ".json" and not path.name.startswith("."):
            found.setdefault(path.stem.partition("-")[0], []).append(path)
    return found


def _pictured(drop: Dropped, videos: Sequence[Path]) -> Iterator[Violation]:
    if len(videos) > 1:
        yield Violation("doubled", f"{drop.name} gave {', '.join(path.name for path in videos)}")
    for path in videos:
        try:
            digest = frames_digest(path)
        except (av.FFmpegError, IndexError) as error:
            yield Violation("partial", f"{path.name} does not decode: {error}")
        else:
            if digest != drop.frames:
                yield Violation("differing", f"{path.name} has other frames than an undisturbed run")


def _put_away(instance: Instance, drop: Dropped, videos: Sequence[Path]) -> Iterator[Violation]:
    if (instance.done / drop.name).exists() and not videos:
        yield Violation("lost", f"{drop.name} was put into done/, but there is no video")
    if (instance.failed / drop.name).exists() and not (instance.failed / f"{drop.stem}.error.txt").exists():
        yield Violation("lost", f"{drop.name} was put into failed/ without a reason")


def _receipts(instance: Instance) -> Iterator[Violation]:
    for path in instance.output.glob("*.json"):
        try:
            facts = json.loads(path.read_text("utf-8"))
        except ValueError:
            yield Violation("partial", f"{path.name} is not whole")
        else:
            if not (path.parent / facts["video"]["file"]).exists():
                yield Violation("partial", f"{path.name} tells of a video that is not there")


def _litter(instance: Instance, drops: Sequence[Dropped]) -> Iterable[Path]:
    """What nobody owns once all is done, and videos that nobody asked for."""
    yield from instance.jobs.iterdir()
    for folder in (instance.input, instance.output):
        yield from folder.rglob(f"{COPYING}*")
    wanted = {drop.stem for drop in drops}
    yield from (path for stem, paths in _videos(instance).items() if stem not in wanted for path in paths)


def _text(path: Path) -> str:
    return path.read_text("utf-8") if path.exists() else ""
