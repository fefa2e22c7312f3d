"""Whether anybody still has a file open for writing, asked of the Linux kernel by a read lease.

A lease is granted only while nobody has the file open for writing: it catches the writer that is silent but not
done. Where leases do not exist (network mounts, other people's files, systems other than Linux) nothing is known.

A lease that is being broken signals its holder: SIGIO, which kills a process that does not expect it. We hold one
for microseconds, and have the kernel send SIGURG instead, which a process ignores unless it asked for it. So this
needs no signal handler and is safe in any thread.
"""

from __future__ import annotations

import errno
import fcntl
import signal
import sys

# The kernel has no leases here, or not for us: network and FUSE mounts, a file of another owner.
_UNSUPPORTED = {errno.EINVAL, errno.ENOLCK, errno.EACCES, errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.ENOTTY}


def has_writer(fd: int) -> bool | None:
    """Whether somebody has the regular file behind ``fd``, opened for reading, open for writing; None: unknown."""
    if sys.platform != "linux":
        return None
    try:
        fcntl.fcntl(fd, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EBUSY):
            return True
        if error.errno in _UNSUPPORTED:
            return None
        raise
    fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return False
