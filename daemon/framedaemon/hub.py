"""A model hub asked what a repository holds, and its files brought here, each one's hash checked.

    look_up ─▶ Listing: commit, licence, files with size and hash ─▶ bring: <folder>/vae/x.safetensors.part grows
                                                                             <folder>/vae/x.safetensors  hash is right

Through huggingface_hub, with its settings: HF_TOKEN, HF_ENDPOINT, HF_HUB_OFFLINE, proxies. Its own downloads into a
folder begin a file anew after a kill, and compare no hash (2.4.0); here a file goes on at its first missing byte.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from framedaemon.disk import refuse_full_disk
from framedaemon.errors import FramedaemonError
from framedaemon.identity import hash_file, version_of

if TYPE_CHECKING:
    from huggingface_hub import ModelInfo

Progress = Callable[[int, int], None]
"""Bytes that are here, and bytes in all."""

_BLOCK = 1 << 16  # bytes: what is lost of a connection that breaks; huggingface_hub's own are 10 MB
_SILENCE_SECONDS = 60.0  # a hub that says nothing for so long is gone


@dataclass(frozen=True, slots=True)
class HubFile:
    """A file of a repository, as its hub lists it."""

    path: str
    """Within the repository, parted by ``/``."""
    bytes: int
    sha256: str
    """In hex; empty for a small file, which git keeps itself."""
    blob: str
    """What git calls such a file by: the sha1 of its content and size."""


@dataclass(frozen=True, slots=True)
class Listing:
    """A repository at one commit."""

    repo: str
    commit: str
    licence: str
    """As its card says."""
    gated: bool
    files: tuple[HubFile, ...]

    def file(self, path: str) -> HubFile | None:
        """The file at ``path``; None where there is none."""
        return next((file for file in self.files if file.path == path), None)


def look_up(repo: str, revision: str) -> Listing:
    """What the hub says of a repository. Raises FramedaemonError, in a sentence that says what to do."""
    from huggingface_hub import HfApi, constants

    constants.HF_HUB_DISABLE_TELEMETRY = True  # else it is told which packages are here, and by whom it is run
    with _explained(repo, revision):
        api = HfApi(library_name="framedaemon", library_version=version_of("framedaemon"))
        said = api.model_info(repo, revision=revision, files_metadata=True, timeout=_SILENCE_SECONDS)
    files = tuple(
        HubFile(
            sibling.rfilename,
            sibling.lfs.size if sibling.lfs is not None else sibling.size or 0,
            sibling.lfs.sha256 if sibling.lfs is not None else "",
            sibling.blob_id or "",
        )
        for sibling in said.siblings or ()
    )
    return Listing(repo, said.sha or revision, _licence(said), bool(said.gated), files)


def bring(listing: Listing, files: Sequence[HubFile], folder: Path, progress: Progress) -> list[dict[str, Any]]:
    """Have ``files`` below ``folder``; what lies there already is taken where its hash is right.

    Returns each one's ``path``, ``bytes`` and ``sha256``. Raises FramedaemonError, DiskFull; what is here by then
    stays, and the next call goes on with it.
    """
    total, done, listed = sum(file.bytes for file in files), 0, []
    for file in files:
        sha256 = _bring(listing, file, folder, _counted(progress, done, total))
        listed.append({"path": file.path, "bytes": file.bytes, "sha256": sha256})
        done += file.bytes
        progress(done, total)
    return listed


def _counted(progress: Progress, before: int, total: int) -> Callable[[int], None]:
    return lambda here: progress(before + here, total)


def here_of(file: HubFile, folder: Path) -> int:
    """Bytes of ``file`` that lie below ``folder``, whole or in part."""
    sizes = [path.stat().st_size for path in _places(file, folder) if path.is_file()]
    return min(max(sizes, default=0), file.bytes)


def _places(file: HubFile, folder: Path) -> tuple[Path, Path]:
    """Where it lies once it is whole, and where it grows."""
    place = folder / file.path
    return place, place.with_name(f"{place.name}.part")


def _bring(listing: Listing, file: HubFile, folder: Path, here: Callable[[int], None]) -> str:
    """One file; returns its sha256."""
    place, part = _places(file, folder)
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.is_file():
        sha256 = _right_hash(place, file)
        if sha256 is not None:
            part.unlink(missing_ok=True)
            return sha256
        place.unlink()
    resumed = part.is_file()
    while True:
        _take(listing, file, part, here)
        sha256 = _right_hash(part, file)
        if sha256 is not None:
            part.replace(place)
            return sha256
        part.unlink()
        if not resumed:
            raise FramedaemonError(
                f"{file.path} came damaged, and was thrown away: its hash is not the one that the hub has of it. "
                "Try again; a proxy or a mirror on the way may be at fault"
            )
        resumed = False  # what lay here was of no use: once more, from the first byte


def _take(listing: Listing, file: HubFile, part: Path, here: Callable[[int], None]) -> None:
    """What is missing of ``part``. A connection that breaks is made anew, as long as each one brings some."""
    from huggingface_hub import constants, hf_hub_url
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import (  # type: ignore[attr-defined]  # offered, but by no __all__
        build_hf_headers,
        disable_progress_bars,
    )

    disable_progress_bars()
    constants.DOWNLOAD_CHUNK_SIZE = _BLOCK
    if part.is_file() and part.stat().st_size > file.bytes:
        part.unlink()
    headers = build_hf_headers(library_name="framedaemon", library_version=version_of("framedaemon"))
    headers["Accept-Encoding"] = "identity"  # packed, a file could not be gone on with
    url = hf_hub_url(listing.repo, file.path, revision=listing.commit)
    try:
        with _explained(listing.repo, listing.commit), _Part(part, here) as growing:
            http_get(url, growing, resume_size=growing.tell(), headers=headers, expected_size=file.bytes)
            os.fsync(growing.fileno())
    except OSError as error:
        refuse_full_disk(error, part)
        raise FramedaemonError(
            f"{file.path} could not be fetched: {error}. Try again, it goes on from there"
        ) from error


class _Part(io.FileIO):
    """A file that grows at its end, and tells how far it is."""

    def __init__(self, path: Path, here: Callable[[int], None]) -> None:
        super().__init__(path, "a")
        self._here = here

    def write(self, data: Any) -> int:
        """All of ``data``: a disk that runs full takes less at first, and says why at the next try."""
        left = memoryview(data)
        while left:
            left = left[super().write(left) :]
        self._here(self.tell())
        return len(data)


def _right_hash(path: Path, file: HubFile) -> str | None:
    """The sha256 of what lies at ``path``, where it is what the hub has; else None."""
    if path.stat().st_size != file.bytes:
        return None
    sha256 = hash_file(path)
    if file.sha256:
        return sha256 if sha256 == file.sha256 else None
    data = path.read_bytes()
    blob = hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
    return sha256 if file.blob in ("", blob) else None


def _licence(said: ModelInfo) -> str:
    """What the card says; a licence of nobody else's has a name of its own."""
    card: Any = said.card_data
    found = getattr(card, "license", None)
    if found in (None, "other"):
        found = getattr(card, "license_name", None) or found
    return ", ".join(found) if isinstance(found, list) else str(found or "none that its card names")


@contextmanager
def _explained(repo: str, revision: str) -> Iterator[None]:
    """What the hub answers, in words that say what to do. Raises FramedaemonError."""
    from huggingface_hub import constants, errors, get_token

    def said(reason: str) -> FramedaemonError:
        return FramedaemonError(f"{repo}: {reason}")

    page = f"{constants.ENDPOINT}/{repo}"
    try:
        yield
    except errors.OfflineModeIsEnabled as error:
        raise said("nothing is fetched: $HF_HUB_OFFLINE is set") from error
    except errors.GatedRepoError as error:
        if get_token() is None:
            todo = f"accept its licence at {page}, signed in, and then `hf auth login` here, or set $HF_TOKEN"
        else:
            todo = f"accept its licence at {page} with the account of your token; some are given leave by hand, later"
        raise said(f"its people want to know who takes it: {todo}") from error
    except errors.RevisionNotFoundError as error:
        raise said(f"it has no revision {revision!r}: {page} shows its branches and commits") from error
    except errors.EntryNotFoundError as error:
        raise said(f"a file is gone that was listed at {revision}: try again") from error
    except errors.RepositoryNotFoundError as error:
        raise said(
            "there is no such repository on the hub, or it is private: look at its name, and for a private one "
            "`hf auth login` here, or set $HF_TOKEN"
        ) from error
    except errors.HfHubHTTPError as error:
        raise said(_refusal(error.response.status_code)) from error
    except errors.HFValidationError as error:
        raise said(f"that is no name of a repository: {error}") from error
    except (ValueError, KeyError) as error:  # no JSON, or not what is agreed: another page in the hub's place
        raise said(f"{constants.ENDPOINT} gave an answer that cannot be used: {error}") from error
    except errors.HTTPError as error:  # type: ignore[attr-defined]  # of the client beneath: no answer at all
        reason = str(error) or type(error).__name__
        raise said(f"{constants.ENDPOINT} cannot be reached: {reason}. Try again, it goes on from there") from error


def _refusal(status: int) -> str:
    if status == 401:
        return "the hub does not take your token: `hf auth login` anew, or set another $HF_TOKEN"
    if status == 403:
        return "your token does not allow to read it: one of the kind 'read' does, by `hf auth login` or $HF_TOKEN"
    if status == 429:
        return "the hub asks for a pause: try again in some minutes, it goes on from there"
    return f"the hub answered HTTP {status}: try again later, it goes on from there"
