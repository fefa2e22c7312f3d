"""Weights of networks: where they lie, and that they are what was put there.

    Weights    ─▶ pulled once (`catalogue`) ─▶ <models>/rife-4.25.safetensors ─▶ open_weights, hash checked
                                               <models>/rife-4.25.json            the record: its sha256, its source
    Repository ─▶ pulled once               ─▶ <models>/wan-ti2v-5b/          ─▶ open_repository, sizes checked
                                               <models>/wan-ti2v-5b.json          the record: of each file size and hash

What strangers publish is a pickle more often than not. It is converted once, when it is pulled; what is opened for a
job is safetensors, which can hold nothing but numbers. Of a repository no pickle is fetched. A folder of a person's own
stays where it is, and its record says where. This module reads only; nothing here fetches or writes.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Mapping, Sequence
from contextlib import suppress
from math import prod
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

from framedaemon.errors import StageFailed
from framedaemon.identity import hash_file
from framedaemon.published import NAME, Repository, Row, check_name

if TYPE_CHECKING:
    from torch import Tensor

_LONGEST_HEADER = 100 << 20  # bytes, as safetensors itself has it


def models_folder(chosen: str, root: Path, environ: Mapping[str, str]) -> Path:
    """Where weights lie, for an instance in ``root`` whose settings say ``chosen``; it need not be there.

    Without a choice the user's cache folder, so that all instances of a person share one copy. A service's user may
    have no home of its own (``/nonexistent``, ``/``): then it is the instance's tmp/, which the daemon can write to. A
    service that is shut in sees nothing but this folder of its home, and what it lies in is root's.
    """
    if chosen:
        return root / Path(chosen).expanduser()
    cache = environ.get("XDG_CACHE_HOME", "")
    if Path(cache).is_absolute():  # as the XDG specification says, a relative one is none
        return Path(cache) / "framedaemon" / "models"
    with suppress(RuntimeError):  # there is no such user
        home = Path(environ.get("HOME") or Path.home())
        models = home / ".cache" / "framedaemon" / "models"
        if _is_ours(models) or _is_ours(home):
            return models
    return root / "tmp" / "models"


def _is_ours(folder: Path) -> bool:
    try:
        return folder.stat().st_uid == os.geteuid()
    except OSError:
        return False


def file_of(models: Path, name: str) -> Path:
    """Where the tensors of ``name`` lie, or would."""
    return models / f"{check_name(name)}.safetensors"


def record_of(models: Path, name: str) -> Path:
    """Where it is written what ``file_of`` is."""
    return models / f"{check_name(name)}.json"


def folder_of(models: Path, name: str) -> Path:
    """Where the repository ``name`` lies, or would: a person's own folder where the record says so."""
    return models / str(read_record(models, name).get("folder", check_name(name)))


def find_weights(models: Path, name: str) -> Path | None:
    """The file, or the folder, that holds the weights called ``name``; None where it is not there.

    Cheap: nothing of it is read. A folder without a record was not put there by us, and is none.
    """
    path = file_of(models, name)
    if path.is_file():
        return path
    folder = folder_of(models, name)
    return folder if is_repository(read_record(models, name)) and folder.is_dir() else None


def is_repository(record: Mapping[str, Any]) -> bool:
    """Whether this is the record of a folder, not of a single file."""
    return isinstance(record.get("files"), list)


def stored_names(models: Path) -> list[str]:
    """Of the files and folders that are weights; whatever else lies there is nobody's. Each may be damaged."""
    files = {path.stem for path in models.glob("*.safetensors") if NAME.fullmatch(path.stem)}
    records = {path.stem for path in models.glob("*.json") if NAME.fullmatch(path.stem)}
    return sorted(files | {name for name in records if is_repository(read_record(models, name))})


def choose_weights(models: Path, stage: str, rows: Sequence[Row], word: str) -> str:
    """The name of the weights that ``word`` means to ``stage``: a name, with or without the stage's own before it.

    ``auto`` means the first of ``rows`` that is there, else the first of a person's own of their form (file or whole
    pipeline), else the first of ``rows``. A stage without rows takes pipelines; where none is there, ``auto`` means a
    name that nothing has. A file without a record was not put there by us, and is not taken unasked.
    """
    if word != "auto":
        return word if word.startswith(f"{stage}-") else f"{stage}-{word}"
    wanted = "pipeline" if not rows or isinstance(rows[0], Repository) else "file"
    records = {name: read_record(models, name) for name in stored_names(models) if name.startswith(f"{stage}-")}
    own = [name for name, record in records.items() if record and _form(record) == wanted]
    there = (name for name in (*(row.name for row in rows), *own) if find_weights(models, name) is not None)
    return next(there, rows[0].name if rows else f"{stage}-auto")


def _form(record: Mapping[str, Any]) -> str:
    if not is_repository(record):
        return "file"
    return "pipeline" if any(file["path"] == "model_index.json" for file in record["files"]) else "files"


def open_weights(models: Path, name: str) -> dict[str, Tensor]:
    """The tensors of ``name``, on the CPU, as they were stored.

    The file's hash is checked first, once in a process as long as the file is not touched. Raises StageFailed, with the
    command that mends it, for a file that is missing or not what it was.
    """
    fault = fault_of(models, name)
    if fault is not None:
        raise StageFailed(f"{fault}; {_mend(models, name)} puts it right")
    from safetensors.torch import load_file

    return load_file(file_of(models, name))


def open_repository(models: Path, name: str) -> Path:
    """The folder of the repository ``name``: each file of its record is there, with the size that it should have.

    Hashes are left to `framedaemon models verify`: a repository may have 126 GB. Raises StageFailed, with the command
    that mends it.
    """
    fault = fault_of(models, name)
    if fault is None and not is_repository(read_record(models, name)):
        raise StageFailed(f"{name} is a file of weights, and a folder with a model_index.json is needed")
    if fault is not None:
        raise StageFailed(f"{fault}; {_mend(models, name)} puts it right")
    return folder_of(models, name)


def tensor_sizes(path: Path) -> dict[str, tuple[int, int]]:
    """How many numbers and bytes each tensor of the safetensors file at ``path`` has, by its header alone: no torch.

    Raises ValueError, in a sentence, for a file that is none, or damaged.
    """
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > _LONGEST_HEADER:
                raise ValueError("its header is too long")
            header = json.loads(file.read(length))
        tensors = {name: entry for name, entry in header.items() if name != "__metadata__"}
        return {
            name: (prod(entry["shape"]), entry["data_offsets"][1] - entry["data_offsets"][0])
            for name, entry in tensors.items()
        }
    except (OSError, ValueError, struct.error, LookupError, TypeError, AttributeError) as error:
        raise ValueError(f"{path.parent.name}/{path.name} is damaged") from error


def fault_of(models: Path, name: str) -> str | None:
    """Why the stored weights called ``name`` cannot be trusted, in words; None where they are as they were stored.

    A file's hash is checked, of a repository the names and sizes, and whether `framedaemon models verify` found damage.
    It names no folder, as it is read beside pictures too, by whoever may drop some.
    """
    record = read_record(models, name)
    if is_repository(record):
        return misfit_of(models, name) or record.get("damage")
    path = file_of(models, name)
    if not path.is_file():
        return f"the weights {name} are missing"
    recorded = read_record(models, name).get("sha256")
    if recorded is None:
        return f"{path.name} has no record beside it of what it should be"
    found = _hash(path)
    return None if found == recorded else f"{path.name} is damaged: its sha256 is {found} and should be {recorded}"


def misfit_of(models: Path, name: str) -> str | None:
    """Which file of the repository ``name`` is missing, or of another size than it should be, in words."""
    folder, record = folder_of(models, name), read_record(models, name)
    if not folder.is_dir():
        return f"the folder of {name} is missing"
    for listed in record["files"]:
        path = folder / str(listed["path"])
        found = path.stat().st_size if path.is_file() else None
        if found is None:
            return f"{name} is damaged: {listed['path']} is missing"
        if found != listed["bytes"]:
            return f"{name} is damaged: {listed['path']} has {found} bytes and should have {listed['bytes']}"
    return None


def read_record(models: Path, name: str) -> dict[str, Any]:
    """What was written down of the stored weights called ``name``; empty where there is nothing that can be read."""
    try:
        record = json.loads(record_of(models, name).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def how_to_get(models: Path, name: str, stage: str, rows: Sequence[Row]) -> str:
    """What to do, in words with the command, so that the weights ``name`` are there for ``stage``."""
    if any(row.name == name for row in rows) or read_record(models, name):
        return f"{_mend(models, name)} brings it"
    word = quote(name.removeprefix(f"{stage}-"))
    return (
        f"`framedaemon models list` shows what there is, and `framedaemon models add PATH --for {stage} --as {word}` "
        "takes in what is yours"
    )


def _mend(models: Path, name: str) -> str:
    """The command that stores the weights anew."""
    record = read_record(models, name)
    if "original" not in record:  # which only files and folders of a person's own have
        return f"`framedaemon models pull {name}`"
    stage = record.get("stage", "")
    original = quote(str(record["original"]))  # a person's own name, and this line is there to be pasted
    added = f"`framedaemon models add {original} --for {stage} --as {name.removeprefix(f'{stage}-')}`"
    return f"`framedaemon models remove {name}` and then {added}"


_hashed: dict[Path, tuple[tuple[int, int, int], str]] = {}


def _hash(path: Path) -> str:
    """The file's sha256, remembered for as long as its size, time and inode stay."""
    status = path.stat()
    state = (status.st_size, status.st_mtime_ns, status.st_ino)
    known = _hashed.get(path)
    if known is None or known[0] != state:
        known = _hashed[path] = (state, hash_file(path))
    return known[1]
