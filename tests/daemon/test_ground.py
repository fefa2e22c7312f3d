"""In processes of its own: it sees to what belongs to a whole process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

BEGIN = "import os, signal, threading, time\nfrom framedaemon.ground import Ground\nground = Ground()\nground.wear()\n"


def _said(code: str, folder: Path) -> str:
    done = subprocess.run([sys.executable, "-c", BEGIN + code], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout


def test_folder_umask_and_signals_are_put_back(tmp_path: Path) -> None:
    code = """
before = os.umask(0o027), os.umask(0o027)
ground = Ground()
os.chdir("/"), os.umask(0), signal.signal(signal.SIGINT, signal.SIG_DFL), signal.signal(signal.SIGCHLD, signal.SIG_IGN)
ground.restore()
print(os.getcwd(), oct(os.umask(0)), signal.getsignal(signal.SIGINT).name, signal.getsignal(signal.SIGCHLD).name)
"""

    assert _said(code, tmp_path) == f"{tmp_path} 0o27 SIG_IGN SIG_DFL\n"


def test_what_is_left_behind_is_counted_from_the_first_job_on(tmp_path: Path) -> None:
    code = """
for _ in range(40):
    threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
files = [open("/dev/null") for _ in range(130)]
print(ground.wear())
os._exit(0) if not print(end="", flush=True) else None
"""

    assert _said(code, tmp_path) == "40 threads and 130 open files\n"


def test_a_little_more_is_nobodys_leak(tmp_path: Path) -> None:
    code = "files = [open('/dev/null') for _ in range(20)]\nprint(repr(ground.wear()))"

    assert _said(code, tmp_path) == "''\n"
