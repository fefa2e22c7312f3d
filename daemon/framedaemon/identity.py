"""What two results have in common, or not: the bytes of their files, and the versions of what made their pixels."""

from __future__ import annotations

import hashlib
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

# Those whose version changes pixels.
_PACKAGES = (
    "framedaemon", "numpy", "opencv-python-headless", "pillow", "av", "imageio-ffmpeg", "torch", "openvino",
    "diffusers",
)  # fmt: skip


def hash_file(path: Path) -> str:
    """The file's sha256, in hex."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def hash_video(path: Path) -> str:
    """The sha256 of a video: of its file, or for a folder of pictures of what `sha256sum *` prints in it."""
    if not path.is_dir():
        return hash_file(path)
    lines = (f"{hash_file(picture)}  {picture.name}\n" for picture in sorted(path.iterdir()))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def versions() -> dict[str, str]:
    """Of what makes the pixels, as far as it is installed."""
    return {"python": platform.python_version(), **{p: v for p in _PACKAGES if (v := version_of(p)) is not None}}


def version_of(package: str) -> str | None:
    """The installed version of a package; None where it is not there."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None
