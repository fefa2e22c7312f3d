"""What a look through input/ costs with many files in it.

    python benchmarks/intake_10000.py [--files 10000] [--folder DIR]

Prints milliseconds of CPU for: the first scan, a scan while everything settles, the scan at which all has settled (each
file is opened once and asked for a writer by a lease), and a scan of what is known; beside them a bare os.scandir with
stat, the least that any scan must do.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from framedaemon.inbox import Inbox
from framedaemon.settings import InboxSettings


def main() -> None:
    """Fill a folder, scan it, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--folder", type=Path, default=None, help="where to make the files; default: a temporary one")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        root = Path(folder)
        for n in range(options.files):
            (root / f"picture-{n:05}.jpg").write_bytes(b"picture")
        report(root, options.files)


def report(root: Path, files: int) -> None:
    """Time the four kinds of scan; the median of five each where it can be repeated."""
    settings = InboxSettings(settle_seconds=2.0)
    inbox = Inbox(root, settings)
    bare = median(lambda: bare_scan(root))
    first = median(lambda: Inbox(root, settings).scan(0.0))
    inbox.scan(0.0)
    settling = median(lambda: inbox.scan(1.0))
    settled = median(lambda: settle(root, settings))
    taken = len(inbox.scan(3.0).arrivals)
    known = median(lambda: inbox.scan(4.0))
    print(f"files {files}, arrivals {taken}")
    print(f"os.scandir with stat            {bare:8.1f} ms")
    print(f"first scan                      {first:8.1f} ms   {first / bare:5.2f} x")
    print(f"scan while all settle           {settling:8.1f} ms   {settling / bare:5.2f} x")
    print(f"two scans, all settled, leases  {settled:8.1f} ms   {(settled - first) / files * 1000:5.1f} us a file")
    print(f"scan of known arrivals          {known:8.1f} ms   {known / bare:5.2f} x")
    print(f"peak memory                     {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:8.1f} MiB")


def settle(root: Path, settings: InboxSettings) -> None:
    """A first scan and the one at which everything has settled."""
    inbox = Inbox(root, settings)
    inbox.scan(0.0)
    inbox.scan(3.0)


def bare_scan(root: Path) -> int:
    """What the operating system alone costs."""
    with os.scandir(root) as entries:
        return sum(entry.stat(follow_symlinks=False).st_size for entry in entries)


def median(work: Callable[[], object]) -> float:
    """Milliseconds of CPU, of this process and of the kernel for it: nothing here waits."""
    times = []
    for _ in range(5):
        began = time.process_time()
        work()
        times.append((time.process_time() - began) * 1000)
    return statistics.median(times)


if __name__ == "__main__":
    main()
