"""A file whose position is the reader's own, as Python's libraries want a file."""

from __future__ import annotations

import errno
import io
import os
from typing import Any


class PositionalFile(io.RawIOBase):
    """A descriptor read by `pread`: a process that is forked later shares no position with it.

    The descriptor is the caller's to close.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor, self._position = descriptor, 0

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """The new position."""
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size()}[whence]
        if start + offset < 0:
            raise OSError(errno.EINVAL, "before the start of the file")
        self._position = start + offset
        return self._position

    def readinto(self, buffer: Any) -> int:
        """How many bytes were read into the buffer; 0 at the end."""
        count = os.preadv(self._descriptor, [buffer], self._position)
        self._position += count
        return count

    def _size(self) -> int:
        return os.fstat(self._descriptor).st_size
