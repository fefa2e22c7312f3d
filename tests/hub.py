"""A model hub for tests: a server on this machine that a real huggingface_hub talks to, with moods."""

from __future__ import annotations

import hashlib
import importlib
import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from answering import answering

# An interpolator whose weights are the hub's repository: a drop-in file.
PLUGIN = """
from contextlib import contextmanager

from framedaemon import (
    Estimate, InterpolatorOptions, Repository, choose_weights, find_weights, hookimpl, open_repository
)

FILES = ("model_index.json", "vae/*", "transformer/*")


class Options(InterpolatorOptions):
    weights: str = "auto"


class Toy:
    name = "toy"
    summary = "brightens by its weights"
    options = Options
    preference = 1000  # before all that are shipped
    weights = (Repository("toy-5b", "a toy", "Apache-2.0", "Ada, Toy-5B", "somebody/Toy-5B", "main", 800_000, FILES),)

    def unready(self, machine):
        if find_weights(machine.models, self.chosen_weights(machine.models, Options())[0]) is None:
            return "weights missing: framedaemon models pull toy-5b"

    def chosen_weights(self, models, options):
        return (choose_weights(models, self.name, self.weights, options.weights),)

    def estimate(self, takes, gives, options):
        return Estimate(ram=32 * takes.frame_bytes, seconds=0.1)

    @contextmanager
    def load(self, placement, options):
        shift = (open_repository(placement.models, options.weights) / "vae" / "config.json").is_file()

        def fill(gaps):
            for gap in gaps:
                yield [(gap.x0 // 2 + gap.x1 // 2 + shift) for _ in gap.times]

        yield fill


@hookimpl
def interpolators():
    return [Toy()]
"""

_ADDRESS = "/{repo_id}/resolve/{revision}/{filename}"
COMMIT = "a" * 40
REPO = "somebody/Toy-5B"
INDEX = {
    "_class_name": "ToyPipeline",
    "_diffusers_version": "0.42.1",
    "vae": ["diffusers", "AutoencoderKLWan"],
    "transformer": ["diffusers", "WanTransformer3DModel"],
    "image_encoder": [None, None],
}
FILES: dict[str, bytes] = {
    "README.md": b"# a toy",
    ".gitattributes": b"*.safetensors filter=lfs",
    "toy-5b-original.safetensors": b"the same, once more" * 1000,
    "model_index.json": json.dumps(INDEX).encode(),
    "vae/config.json": b'{"_class_name": "AutoencoderKLWan"}',
    "vae/diffusion_pytorch_model.safetensors": bytes(range(256)) * 2048,
    "vae/diffusion_pytorch_model.bin": b"a pickle" * 1000,
    "transformer/config.json": b'{"_class_name": "WanTransformer3DModel"}',
    "transformer/diffusion_pytorch_model.safetensors.index.json": b'{"weight_map": {}}',
    "transformer/diffusion_pytorch_model-00001-of-00002.safetensors": b"first shard " * 20_000,
    "transformer/diffusion_pytorch_model-00002-of-00002.safetensors": b"second shard " * 20_000,
}
VAE = "vae/diffusion_pytorch_model.safetensors"
SHARDS = tuple(path for path in FILES if "-of-" in path)
NEEDED = ("model_index.json", *sorted(path for path in FILES if "/" in path and not path.endswith(".bin")))
BYTES = sum(len(FILES[path]) for path in NEEDED)


@dataclass
class Hub:
    """What it has, how it behaves, and what it was asked."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=lambda: dict(FILES))
    commit: str = COMMIT
    card: dict[str, Any] = field(default_factory=lambda: {"license": "apache-2.0"})
    gated: bool = False
    token: str = "hf_good"
    """What it gives a gated repository to; another one it knows, and gives nothing."""
    status: int = 200
    """Another one than 200 is all that it answers."""
    page: bytes | None = None
    """What it answers instead to whatever it is asked."""
    damaged: set[str] = field(default_factory=set)
    """Files that come with a byte changed."""
    cut: dict[str, int] = field(default_factory=dict)
    """Bytes after which the next connection for a file is closed."""
    halts: tuple[str, int] | None = None
    """A file, and the bytes of it after which it waits for `go`."""
    go: threading.Event = field(default_factory=threading.Event)
    asked: list[dict[str, str]] = field(default_factory=list)
    """Of each request the headers, its ``method``, ``path`` and ``host``."""

    def fetched(self) -> list[tuple[str, str]]:
        """The files that were sent, each with the range that was asked for."""
        sent = [a for a in self.asked if a["path"].startswith("/store/")]
        return [(a["path"].removeprefix("/store/"), a.get("range", "")) for a in sent]

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        path = unquote(urlsplit(request.path).path)
        headers = {key.lower(): value for key, value in request.headers.items()}
        self.asked.append({"method": request.command, "path": path, **headers})
        if self.status != 200 or self.page is not None:
            _say(request, self.status, body=self.page or b"")
        elif (found := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/(.+))?", path)) is not None:
            self._info(request, found[1], found[2] or "main")
        elif (found := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path)) is not None:
            self._resolve(request, found[3], headers.get("authorization", ""))
        elif path.startswith("/store/"):
            self._send(request, path.removeprefix("/store/"), headers.get("range", ""))
        else:
            _say(request, 404)

    def _info(self, request: BaseHTTPRequestHandler, repo: str, revision: str) -> None:
        if repo != REPO:
            _say(request, 404, {"X-Error-Code": "RepoNotFound"})
        elif revision not in ("main", self.commit):
            _say(request, 404, {"X-Error-Code": "RevisionNotFound"})
        else:
            siblings = [_sibling(path, data) for path, data in self.files.items()]
            gated = "manual" if self.gated else False
            said = {"id": repo, "sha": self.commit, "gated": gated, "cardData": self.card, "siblings": siblings}
            _say(request, 200, {"Content-Type": "application/json"}, json.dumps(said).encode())

    def _resolve(self, request: BaseHTTPRequestHandler, path: str, authorization: str) -> None:
        if self.gated and authorization != f"Bearer {self.token}":
            _say(request, 403 if authorization else 401, {"X-Error-Code": "GatedRepo"})
        elif path not in self.files:
            _say(request, 404, {"X-Error-Code": "EntryNotFound"})
        else:
            store = self.url.replace("127.0.0.1", "localhost")  # as the real one: large files lie at another host
            digest = hashlib.sha256(self.files[path]).hexdigest()
            headers = {"Location": f"{store}/store/{path}", "ETag": f'"{digest}"', "X-Repo-Commit": self.commit}
            _say(request, 302, headers)

    def _send(self, request: BaseHTTPRequestHandler, path: str, asked_range: str) -> None:
        data = bytearray(self.files[path])
        if path in self.damaged:
            data[len(data) // 2] ^= 1
        wanted = re.fullmatch(r"bytes=(\d+)-", asked_range)
        start = int(wanted[1]) if wanted is not None else 0
        body = bytes(data[start:])
        request.send_response(206 if wanted else 200)
        if wanted:
            request.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        if self.halts is not None and self.halts[0] == path and start < self.halts[1]:
            request.wfile.write(body[: self.halts[1] - start])
            request.wfile.flush()
            self.go.wait(60)
            body = body[self.halts[1] - start :]
        request.wfile.write(body[: self.cut.pop(path, None)])


def _sibling(path: str, data: bytes) -> dict[str, Any]:
    blob = hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
    said: dict[str, Any] = {"rfilename": path, "size": len(data), "blobId": blob}
    if not path.endswith((".json", ".md", ".gitattributes")):
        said["lfs"] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 130}
    return said


def _say(
    request: BaseHTTPRequestHandler, status: int, headers: Mapping[str, str] | None = None, body: bytes = b""
) -> None:
    request.send_response(status)
    for key, value in (headers or {}).items():
        request.send_header(key, value)
    request.send_header("Content-Length", str(len(body)))
    request.end_headers()
    request.wfile.write(body)


@contextmanager
def serving() -> Iterator[Hub]:
    """A running hub on this machine."""
    served = Hub()

    with answering(served.answer) as served.url:
        try:
            yield served
        finally:
            served.go.set()


@contextmanager
def spoken_to(served: Hub, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The huggingface_hub of this process, imported by then or not, talks to ``served`` and to nobody else."""
    huggingface_hub = pytest.importorskip("huggingface_hub", reason="huggingface_hub is not installed")
    constants = importlib.import_module("huggingface_hub.constants")
    for name, value in environment(served).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(constants, "ENDPOINT", served.url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", served.url + _ADDRESS)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", "/nonexistent/token")
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", False)
    huggingface_hub.close_session()
    yield
    huggingface_hub.close_session()


def environment(served: Hub) -> dict[str, str]:
    """What makes huggingface_hub, in a process of its own, talk to ``served`` and to nobody else."""
    return {
        "HF_ENDPOINT": served.url,
        "HF_HUB_OFFLINE": "0",
        "HF_HOME": "/nonexistent",
        "HF_TOKEN": "",
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
    }
