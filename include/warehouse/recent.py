"""Contents of small files, kept for as long as the very same file is there: a page reads some two hundred each time."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable
from threading import Lock
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    import pyarrow as pa

_Stamp = tuple[int, int, int, int]


class Recent:
    """The contents read last, at most `most_bytes` of them in memory. Several threads may ask.

    A file is the same if device, inode, size and time of change are: partitions are replaced by renaming a new file.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most, self._bytes, self._lock = most_bytes, 0, Lock()
        self._found: OrderedDict[tuple[_Stamp, object], pa.Table] = OrderedDict()

    def get(self, file: BinaryIO, what: object, read: Callable[[], pa.Table]) -> pa.Table:
        """What `read` gives of the open `file`; `what` tells apart what may be read of it."""
        found = os.fstat(file.fileno())
        key = ((found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns), what)
        with self._lock:
            if key in self._found:
                self._found.move_to_end(key)
                return self._found[key]
        content = read()
        with self._lock:
            if key not in self._found and content.nbytes <= self._most // 16:
                self._found[key] = content
                self._bytes += content.nbytes
            while self._bytes > self._most:
                self._bytes -= self._found.popitem(last=False)[1].nbytes
        return content
