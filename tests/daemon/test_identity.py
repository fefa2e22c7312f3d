"""What two results have in common."""

from __future__ import annotations

import hashlib
import platform
from importlib.metadata import version
from pathlib import Path

from framedaemon.identity import hash_file, version_of, versions


def test_a_files_hash_is_that_of_all_its_bytes(tmp_path: Path) -> None:
    data = bytes(range(256)) * 9000
    (tmp_path / "file").write_bytes(data)

    assert hash_file(tmp_path / "file") == hashlib.sha256(data).hexdigest()


def test_versions_are_those_of_what_is_installed() -> None:
    said = versions()

    assert said["python"] == platform.python_version()
    assert said["framedaemon"] == version("framedaemon")
    assert None not in said.values()


def test_a_package_that_is_not_there_has_no_version() -> None:
    assert version_of("no-such-package-anywhere") is None
