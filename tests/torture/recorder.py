"""A disk that remembers: image files behind FUSE, each write and each flush noted in the order in which it came.

    ext4 ─▶ loop device ─▶ POINT (a file that FUSE serves) ─▶ this process ─▶ IMAGE, and LOG

A process of its own, since it serves the filesystem that the tests work on; it ends when its stdin does.

    python recorder.py LOG IMAGE POINT [IMAGE POINT …]

LOG is a row of `HEAD` with the bytes written behind it; a flush has none. Source: linux/fuse.h, protocol 7.31.
"""

from __future__ import annotations

import ctypes
import errno
import os
import selectors
import struct
import sys
from contextlib import suppress

HEAD = struct.Struct("<IIQ")
"""Of a record in the log: which disk, how many bytes, where on it."""

# linux/fuse.h: what is asked for a single regular file. Requests that want no answer are below.
_GETATTR, _SETATTR, _OPEN, _READ, _WRITE, _FSYNC, _INIT = 3, 4, 14, 15, 16, 20, 26
_RELEASE, _FLUSH, _DESTROY = 18, 25, 38
_UNANSWERED = {2, 36, 42}  # forget, interrupt, batch forget
_BIG_WRITES, _MAX_PAGES, _KEEP_CACHE = 1 << 5, 1 << 22, 1 << 1

_REQUEST = struct.Struct("<IIQQIIIHH")
_ANSWER = struct.Struct("<IiQ")
_PIECE = struct.Struct("<QQI")  # of a read or a write: handle, offset, size
_WRITE_HEAD = 40  # bytes of fuse_write_in, before the data
_LARGEST = 1 << 20


class Disk:
    """One image, served as the file ``point``."""

    def __init__(self, number: int, image: str, point: str, log: int) -> None:
        self._number = number
        self._log = log
        self._image = os.open(image, os.O_RDWR)
        self._size = os.fstat(self._image).st_size
        self.handle = os.open("/dev/fuse", os.O_RDWR)
        options = f"fd={self.handle},rootmode=100000,user_id=0,group_id=0,max_read={_LARGEST}"
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.mount(b"recorder", os.fsencode(point), b"fuse", 0, options.encode()) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), point)

    def serve(self) -> bool:
        """Answer one request; False once the file is unmounted."""
        try:
            request = os.read(self.handle, _LARGEST + 8192)
        except OSError as error:
            return error.errno != errno.ENODEV
        _, code, unique, *_ = _REQUEST.unpack_from(request)
        if code not in _UNANSWERED:
            try:
                answer, failure = self._answer(code, request[_REQUEST.size :]), 0
            except OSError as error:
                answer, failure = b"", -(error.errno or errno.EIO)
            with suppress(FileNotFoundError):  # who asked does not wait any more
                os.write(self.handle, _ANSWER.pack(_ANSWER.size + len(answer), failure, unique) + answer)
        return True

    def _answer(self, code: int, request: bytes) -> bytes:
        if code == _WRITE:
            _, offset, size = _PIECE.unpack_from(request)
            data = request[_WRITE_HEAD : _WRITE_HEAD + size]
            os.write(self._log, HEAD.pack(self._number, size, offset) + data)
            os.pwrite(self._image, data, offset)
            return struct.pack("<II", size, 0)
        if code == _READ:
            _, offset, size = _PIECE.unpack_from(request)
            return os.pread(self._image, size, offset)
        if code == _FSYNC:
            os.write(self._log, HEAD.pack(self._number, 0, 0))
            return b""
        if code == _INIT:
            flags = _BIG_WRITES | _MAX_PAGES
            return struct.pack("<4I2H2I2H8I", 7, 31, _LARGEST, flags, 64, 48, _LARGEST, 1, 256, 0, *[0] * 8)
        if code == _OPEN:
            return struct.pack("<QII", 0, _KEEP_CACHE, 0)
        if code in (_GETATTR, _SETATTR):
            file = struct.pack("<6Q10I", 1, self._size, self._size // 512, *[0] * 6, 0o100600, 1, 0, 0, 0, 4096, 0)
            return struct.pack("<QII", 1 << 30, 0, 0) + file
        if code in (_RELEASE, _FLUSH, _DESTROY):
            return b""
        raise OSError(errno.ENOSYS, "not needed for one file")


def main(log: str, *images_and_points: str) -> None:
    """Serve until every disk is unmounted, or nobody is there any more."""
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    pairs = zip(images_and_points[::2], images_and_points[1::2], strict=True)
    with selectors.DefaultSelector() as selector:
        for number, (image, point) in enumerate(pairs):
            disk = Disk(number, image, point, handle)
            selector.register(disk.handle, selectors.EVENT_READ, disk)
        selector.register(sys.stdin, selectors.EVENT_READ)
        print("ready", flush=True)
        while len(selector.get_map()) > 1:
            for key, _ in selector.select():
                if not isinstance(key.data, Disk):
                    return
                if not key.data.serve():
                    selector.unregister(key.fileobj)


if __name__ == "__main__":
    main(*sys.argv[1:])
