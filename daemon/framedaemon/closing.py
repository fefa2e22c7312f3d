"""How jobs and drops end: videos appear in output/, pictures are put away, and a crash in between changes nothing.

    job    video made ─▶ row 'publishing' with its name ─▶ rename into output/ ─▶ receipt beside it ─▶ row 'done'
    drop   every job ended ─▶ row 'closing' with its place ─▶ picture to input/done/ or failed/ ─▶ row 'closed'
                                                    (waiting/, where a video of it is a preview)

Each step is recorded before it is taken, and recognised if it was taken when the daemon starts again.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any

from framedaemon.approval import clear_finished, is_approved, previews
from framedaemon.errors import StageFailed
from framedaemon.instance import Instance
from framedaemon.ledger import AttemptRow, DropRow, JobRow, Ledger
from framedaemon.log import get_log
from framedaemon.naming import APPROVED, WAITING, free_paths, mirrored, show
from framedaemon.shares import Shares
from framedaemon.workspace import SHEET, Workspace, move, move_aside, real_folder, write_atomically

RECEIPT_SUFFIX = ".json"
SHEET_SUFFIX = ".jpg"


class Closing:
    """Publishes videos and puts pictures away."""

    def __init__(self, instance: Instance, ledger: Ledger) -> None:
        self._instance = instance
        self._ledger = ledger
        self._shares = Shares(instance)

    def publish(self, job: JobRow, now: float) -> Path:
        """Make the job's finished video and receipt visible and the job done; returns where the video is.

        Raises OSError (a full disk, a vanished output/): call it again then, as after a crash; StageFailed when the
        video is nowhere, or its receipt damaged, so that it has to be made again.
        """
        folder = Workspace(self._instance.jobs / job.drop_id).job(job.number)
        facts = _read_receipt(folder / "receipt.json")
        with self._shares.held(self._instance.output) as output:
            made = next((path for path in folder.glob("video*")), None)
            target = output / job.output if job.output is not None else None
            if made is not None and target is not None and os.path.lexists(target):
                target = move_aside(made, target)  # copied across filesystems, its original not yet removed
            elif made is not None:
                target = self._move_out(job, made, output)
            if target is None:
                raise StageFailed(f"the finished video is not in {show(folder)} any more")
            sheet = self._move_sheet(folder / SHEET, target)
            if facts is not None:
                self._write_receipt(facts, target, sheet)
                (folder / "receipt.json").unlink()
            clear_finished(output, self._ledger, job)
        self._ledger.finish(job.id, "done", "", now)
        shutil.rmtree(folder, ignore_errors=True)  # checkpoints: other jobs of its drop may need the room
        return self._instance.output / target.relative_to(output)

    def close_drop(self, drop: DropRow) -> None:
        """Put the picture of a drop whose jobs have all ended where it belongs, with the reasons if any failed.

        Raises OSError; call it again then, as after a crash.
        """
        jobs = self._ledger.jobs_of(drop.id)
        failed = [job for job in jobs if job.state != "done"]
        workspace = Workspace(self._instance.jobs / drop.id)
        shown = [job for job in jobs if previews(job)]
        folder = self._instance.failed if failed else self._instance.waiting if shown else self._instance.done
        rests = self._put_away(drop, workspace.source, folder.name, self._explain(drop, failed) if failed else None)
        self._ledger.close_drop(drop.id, str(rests))
        workspace.remove()
        if folder == self._instance.waiting:
            look_at = [show(str(self._instance.output / job.output)) for job in shown if job.output is not None]
            approve = f"framedaemon approve {shlex.quote(show(str(mirrored(str(rests)))))}"
            get_log().info("preview_waits", name=show(drop.name), look_at=look_at, approve=approve)

    def _move_out(self, job: JobRow, made: Path, output: Path) -> Path:
        folder = output / PurePosixPath(job.stem).parent
        folder.mkdir(parents=True, exist_ok=True)
        endings = (made.suffix, RECEIPT_SUFFIX, *([SHEET_SUFFIX] if (made.parent / SHEET).exists() else []))
        while True:
            target, *_ = free_paths(folder, PurePosixPath(job.stem).name, endings)
            self._ledger.publishing(job.id, str(target.relative_to(output)))
            try:
                move(made, target)
            except FileExistsError:
                continue  # somebody took the name this very moment
            return target

    def _move_sheet(self, made: Path, video: Path) -> Path | None:
        """Put a preview's contact sheet beside it; None where there is none, or an earlier call did."""
        name = video.name if video.is_dir() else video.stem
        return move_aside(made, video.with_name(f"{name}{SHEET_SUFFIX}")) if made.exists() else None

    def _write_receipt(self, facts: dict[str, Any], video: Path, sheet: Path | None) -> None:
        """Put the receipt beside the video, with the names that the video and its contact sheet got."""
        facts["video"]["file"] = video.name
        name = video.name if video.is_dir() else video.stem
        if "sheet" in facts:
            facts["sheet"]["file"] = sheet.name if sheet is not None else f"{name}{SHEET_SUFFIX}"
        data = json.dumps(facts, indent=2, ensure_ascii=True) + "\n"
        write_atomically(video.parent / f"{name}{RECEIPT_SUFFIX}", data.encode("ascii"))

    def _put_away(self, drop: DropRow, source: Path, folder: str, reason: str | None) -> PurePosixPath:
        """Move the picture and what belongs to it to where they rest, ``reason`` beside them, and follow no link there.

        ``folder``: done or failed. Returns where the picture is, below input/.
        """
        below = PurePosixPath(folder) / mirrored(drop.name).parent
        if drop.rests is not None:  # after a crash it goes where it was going: its sidecar may be there already
            below = PurePosixPath(drop.rests).parent
        with self._shares.held(self._instance.input) as held:
            if folder == WAITING:
                with suppress(OSError), real_folder(held, APPROVED / mirrored(drop.name).parent, make=True):
                    pass  # where it is to be moved
            try:
                with real_folder(held, below, make=drop.rests is None, moved=True) as place:
                    return below / self._put_into(place, below, drop, source, reason)
            except OSError:
                if all(os.path.lexists(source / side) for side in drop.beside):
                    self._ledger.closing(drop.id, None)  # others may take the place meanwhile
                raise

    def _put_into(self, place: Path, below: PurePosixPath, drop: DropRow, source: Path, reason: str | None) -> str:
        """Fill ``place``, which is ``below`` input/; returns the name that the picture got."""
        name = PurePosixPath(drop.name)
        picture = source / name.name
        if drop.rests is not None:
            aside = place / PurePosixPath(drop.rests).name
        else:
            aside, *_ = free_paths(place, name.stem, (name.suffix, *drop.own_sides, ".error.txt"))
            self._ledger.closing(drop.id, str(below / aside.name))
        stem = aside.name.removesuffix(name.suffix)
        error_aside = aside.with_name(f"{stem}.error.txt")
        try:
            if reason is not None:
                write_atomically(error_aside, reason.encode("utf-8", "backslashreplace"))
            for side, ending in zip(drop.beside, drop.sides, strict=True):
                if os.path.lexists(source / side):
                    move_aside(source / side, aside.with_name(f"{stem}{ending}"))
            return (move_aside(picture, aside) if os.path.lexists(picture) else aside).name
        except OSError:
            error_aside.unlink(missing_ok=True)  # it comes again with the next try
            raise

    def _explain(self, drop: DropRow, failed: Sequence[JobRow]) -> str:
        """The .error.txt: what was wrong, what to do, and what was tried."""
        lines = [f"{show(PurePosixPath(drop.name).name)} did not become a video.", ""]
        for job in failed:
            title = f"Job {job.number} ({show(job.stem)}): " if len(failed) > 1 or job.number > 1 else ""
            lines += [f"{title}{_STATES[job.state]}", *(f"  {line}" for line in job.reason.splitlines()), ""]
            history = self._ledger.attempts(job.id)
            if len(history) > 1:
                lines += ["  What was tried:", *(f"  {_attempt(attempt)}" for attempt in history), ""]
        beside = " and ".join(drop.sides) if drop.last is not None else ".toml"
        lines.append(f"To try again, mend what is said above and move the picture (and its {beside}) back into input/.")
        if is_approved(drop.name):
            lines.append("A preview is made anew then; to have what was approved, move it back into input/approved/.")
        if (self._instance.logs / "jobs" / f"{failed[0].id}.jsonl").exists():  # not for what was refused unopened
            lines.append(f"More is in output/logs/jobs/{failed[0].id}.jsonl.")
        lines.append("")
        return "\n".join(lines)


def _read_receipt(written: Path) -> dict[str, Any] | None:
    """What the worker wrote down; None where an earlier call has put it beside the video. Raises StageFailed."""
    try:
        facts: dict[str, Any] = json.loads(written.read_text(encoding="ascii"))
        _ = facts["video"]["file"], facts.get("sheet", {}).get("file")
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise StageFailed(f"the finished video's receipt is damaged: {error}") from error
    return facts


_STATES = {
    "failed": "It cannot be made as it is:",
    "quarantined": "Every attempt failed; the last one said:",
    "cancelled": "It was cancelled.",
    "vanished": "Its file vanished while it was waiting:",
}


def _attempt(attempt: AttemptRow) -> str:
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(attempt.started))
    seconds = attempt.ended - attempt.started if attempt.ended is not None else -1.0
    took = f" after {seconds:.0f} s" if seconds >= 0 else ""  # less where the clock was set back meanwhile
    said = attempt.reason.partition("\n")[0]
    return f"{attempt.number}. {when}: {attempt.outcome or 'cut short'}{took}: {said}"
