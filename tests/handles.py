"""A process that has used up its file handles."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_handle_left() -> Iterator[None]:
    """Whatever this process opens meanwhile, there is no file handle for it."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.dup(0)  # of those that are free
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
