"""The spool's folder: whose it is, who has it, and how far its records are done with.

It must not know what a record is.
"""

import fcntl
import os
import stat
import zlib
from contextlib import suppress
from pathlib import Path
from struct import Struct
from typing import Final, NamedTuple

_CURSOR: Final = Struct("<QQQI")  # a place, and its checksum


class SpoolError(Exception):
    """The spool cannot be used. One line that ends with the remedy."""


class Place(NamedTuple):
    """Where a record begins or ends; places are ordered as records are. `events` is how many were ever put before it."""

    segment: int
    offset: int
    events: int


class Folder:
    """The folder `path`, locked; made where it is not there.

    Raises:
        SpoolError: it is somebody else's, open to others, or in use.
        OSError: it cannot be made or opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.mkdir(mode=0o700)
        self._fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            self._check()
            self._cursor_fd = os.open(path / "cursor", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except BaseException:
            os.close(self._fd)
            raise

    def _check(self) -> None:
        status = os.fstat(self._fd)
        if status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) & 0o077:
            raise SpoolError(
                f"others than this user can get at the spool {self.path}; "
                f"run `chown {os.geteuid()} {self.path} && chmod 700 {self.path}`, or give another folder"
            )
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SpoolError(f"another producer uses the spool {self.path}; stop it, or give each a folder of its own") from None

    def cursor(self) -> Place:
        """Before which place everything is done; the beginning where that cannot be told, which costs duplicates alone."""
        raw = os.pread(self._cursor_fd, _CURSOR.size, 0)
        if len(raw) == _CURSOR.size and raw[-4:] == zlib.crc32(raw[:-4]).to_bytes(4, "little"):
            segment, offset, events, _ = _CURSOR.unpack(raw)
            return Place(segment, offset, events)
        return Place(0, 0, 0)

    def set_cursor(self, place: Place) -> None:
        """Note that everything before `place` is done. A cursor that lags because the disk fails costs duplicates alone."""
        raw = _CURSOR.pack(*place, 0)[:-4]
        with suppress(OSError):
            os.pwrite(self._cursor_fd, raw + zlib.crc32(raw).to_bytes(4, "little"), 0)

    def close(self) -> None:
        """Let others have it."""
        os.close(self._cursor_fd)
        os.close(self._fd)
