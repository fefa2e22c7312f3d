"""Builds the package, looks into it, installs it where nothing else is, and has it make the demo's video.

    python .ci/package.py          with a Python that has `build` and `hatchling`

It ends with 1, and a sentence, at the first thing wrong.

Nothing is left behind but what `--keep FOLDER` asks for: the wheel and the sdist.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from email.parser import Parser
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
EPOCH = "1700000000"
NEEDED = (
    "framedaemon/py.typed",
    "framedaemon/config.toml",
    "framedaemon/demo/rocket.jpg",
    "framedaemon/demo/LICENCE.txt",
    "data/share/man/man1/framedaemon.1",
    "data/share/bash-completion/completions/framedaemon",
    "data/share/zsh/site-functions/_framedaemon",
    "data/share/fish/vendor_completions.d/framedaemon.fish",
    "dist-info/licenses/LICENSE",
    "dist-info/licenses/NOTICE",
)
UNWANTED = re.compile(r"(^|/)(tests?|\.[^/]*|__pycache__|.*\.py[co]|.*\.(log|sqlite3|safetensors|env|pem|key))(/|$)")


def main() -> None:
    """Go through it all, and say what was found."""
    keep = argparse.ArgumentParser()
    keep.add_argument("--keep", type=Path, metavar="FOLDER")
    kept = keep.parse_args().keep
    with tempfile.TemporaryDirectory(prefix="framedaemon-package-") as name:
        work = Path(name)
        sdist = _build(ROOT, work / "sdist", "--sdist")
        with tarfile.open(sdist) as archive:
            archive.extractall(work, filter="data")
        source = work / sdist.name.removesuffix(".tar.gz")
        wheel = _build(source, work / "wheel", "--wheel")
        _look(sdist, wheel)
        _same(wheel, _build(source, work / "again", "--wheel"), "the same source gives another wheel")
        _same(sdist, _build(source, work / "resdist", "--sdist"), "an sdist of the sdist is another")
        _install_and_try(wheel, work)
        if kept:
            kept.mkdir(parents=True, exist_ok=True)
            for file in (sdist, wheel):
                shutil.copy(file, kept)


def _build(source: Path, out: Path, kind: str) -> Path:
    """The archive that ``source`` gives."""
    # By the hatchling that is pinned, not by the newest one: another might give other bytes.
    _run(sys.executable, "-m", "build", "--no-isolation", kind, "--outdir", out, source, SOURCE_DATE_EPOCH=EPOCH)
    (archive,) = out.iterdir()
    return archive


def _look(sdist: Path, wheel: Path) -> None:
    """Hold both to what a stranger expects of them: contents, metadata, a page that an index can show."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        facts = Parser().parsestr(archive.read(next(name for name in names if name.endswith("/METADATA"))).decode())
    with tarfile.open(sdist) as source:
        sources = [member.name.partition("/")[2] for member in source.getmembers()]
    missing = [need for need in NEEDED if not any(name.endswith(need) for name in names)]
    _check(not missing, f"the wheel lacks {missing}")
    strange = [name for name in [*names, *sources] if UNWANTED.search(name) and name != ".gitignore"]
    _check(not strange, f"what does not belong there: {strange}")
    modules = {
        str(path.relative_to(ROOT / top)) for top in ("daemon", "plugins") for path in (ROOT / top).rglob("*.py")
    }
    _check(modules <= set(names), f"the wheel lacks {sorted(modules - set(names))}")
    _check(wheel.name.split("-")[1] == facts["Version"] == _version(), f"versions differ: {wheel.name}, {_version()}")
    _check(facts["License-Expression"] == "Apache-2.0", "no licence is named")
    page = facts.get_payload()
    _check(
        isinstance(page, str) and facts["Description-Content-Type"] == "text/markdown", "there is no page for an index"
    )
    relative = re.findall(r"\]\((?!https?:)[^)]*\)", str(page))
    _check(not relative, f"the page for an index links to what is not there: {relative}")
    print(f"{wheel.name}: {len(names)} files, {wheel.stat().st_size // 1024} kB; {sdist.name}: {len(sources)} files")


def _version() -> str:
    """As the code has it, which CHANGELOG.md's newest entry must agree with."""
    code = (ROOT / "daemon/framedaemon/__init__.py").read_text(encoding="utf-8")
    (version,) = re.findall(r'^__version__ = "(.*)"$', code, re.MULTILINE)
    return str(version)


def _same(one: Path, other: Path, otherwise: str) -> None:
    _check(one.read_bytes() == other.read_bytes(), otherwise)


def _install_and_try(wheel: Path, work: Path) -> None:
    """An empty environment outside the checkout, pinned as users are told to; then what a newcomer types."""
    _run(sys.executable, "-m", "venv", work / "empty")
    python, framedaemon = work / "empty/bin/python", work / "empty/bin/framedaemon"
    pip = (python, "-m", "pip", "--disable-pip-version-check")
    _run(*pip, "install", "-qq", "--constraint", ROOT / "constraints.txt", wheel)
    _run(*pip, "check")
    _run(framedaemon, "init", work / "videos")
    _run(framedaemon, "demo", "--instance", work / "videos")
    video = work / "videos/output/rocket.mp4"
    _check(video.stat().st_size > 100_000, f"{video} is no video")
    said = _run(framedaemon, "--version").strip()
    print(f"{said}, installed from the wheel into an empty environment: the demo made {video.name}")


def _run(*command: str | Path, **environ: str) -> str:
    """What a command says; its failure ends all."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "FRAMEDAEMON_"))}
    done = subprocess.run(command, env=clean | environ, cwd=tempfile.gettempdir(), capture_output=True, text=True)
    _check(done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return done.stdout


def _check(holds: bool, otherwise: str) -> None:
    if not holds:
        sys.exit(f"package: {otherwise}")


if __name__ == "__main__":
    main()
