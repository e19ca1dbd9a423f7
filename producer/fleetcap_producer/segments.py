"""One file of the spool: a head, then records, each with a checksum of its head and one of its content.

It owns the form of the file. A damaged content costs its record alone; a damaged head costs the rest of the file, since where
the next record begins is not known then. It must not know which file is read or written when.
"""

import os
import zlib
from pathlib import Path
from struct import Struct
from typing import Final, NamedTuple

from fleetcap_producer.packing import Packed

_MAGIC: Final = b"fcspool\x01"
# magic, number of the segment, events that were ever put before it, checksum of these
_HEAD: Final = Struct("<8sQQI")
# length of the key, of the value, events, checksum of key and value, checksum of the four before
_RECORD: Final = Struct("<IIIII")
_MOST_RECORD: Final = 64 << 20  # no record comes near it; a length beyond it is damage that the checksum did not tell
_READ_AHEAD: Final = 1 << 20

HEAD_BYTES: Final = _HEAD.size
UNKNOWN: Final = -1


class Found(NamedTuple):
    """A record in a segment and where the next one begins. `packed` is None where the content is damaged or cut off."""

    packed: Packed | None
    events: int
    end: int


def encoded(packed: Packed) -> bytes:
    """A record as it stands in a segment."""
    head = _RECORD.pack(len(packed.key), len(packed.value), packed.events, zlib.crc32(packed.value, zlib.crc32(packed.key)), 0)
    return b"".join((head[:-4], _checksum(head[:-4]), packed.key, packed.value))


def encoded_size(packed: Packed) -> int:
    """How many bytes that takes."""
    return _RECORD.size + len(packed.key) + len(packed.value)


def encoded_head(number: int, before: int) -> bytes:
    """The beginning of the segment `number`, before which `before` events were ever put."""
    head = _HEAD.pack(_MAGIC, number, before, 0)[:-4]
    return head + _checksum(head)


class Reader:
    """Reads one segment, also while it is being written. The descriptor is taken over."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._ahead = b""
        self._ahead_at = 0

    def before(self, number: int) -> int:
        """How many events were ever put before this segment; `UNKNOWN` where its head is damaged."""
        raw = self._bytes(0, HEAD_BYTES)
        if len(raw) < HEAD_BYTES or raw[-4:] != _checksum(raw[:-4]):
            return UNKNOWN
        magic, told, before, _ = _HEAD.unpack(raw)
        return int(before) if magic == _MAGIC and told == number else UNKNOWN

    def record(self, at: int) -> Found | None:
        """The record that begins at `at`; None where there is none, or none that can be told from damage."""
        head = self._bytes(at, _RECORD.size)
        if len(head) < _RECORD.size or head[-4:] != _checksum(head[:-4]):
            return None
        key_size, size, events, checksum, _ = _RECORD.unpack(head)
        if key_size + size > _MOST_RECORD:
            return None
        end = at + _RECORD.size + key_size + size
        body = self._bytes(at + _RECORD.size, key_size + size)
        whole = len(body) == key_size + size and zlib.crc32(body) == checksum
        return Found(Packed(body[:key_size], body[key_size:], events) if whole else None, events, end)

    def close(self) -> None:
        """Let go of the descriptor."""
        os.close(self._fd)

    def _bytes(self, at: int, size: int) -> bytes:
        start = at - self._ahead_at
        if start < 0 or start + size > len(self._ahead):
            self._ahead = os.pread(self._fd, max(size, _READ_AHEAD), at)
            self._ahead_at, start = at, 0
        return self._ahead[start : start + size]


class Writer:
    """Writes one new segment.

    Raises:
        OSError: it cannot be made; nothing is left of it.
    """

    def __init__(self, path: Path, number: int, before: int) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        self.size = 0
        try:
            self.write(encoded_head(number, before))
        except OSError:
            self.close()
            path.unlink()
            raise

    def write(self, raw: bytes) -> None:
        """Put `raw` at the end, all of it or nothing.

        Raises:
            OSError: the disk is full, or broken.
        """
        done = 0
        try:
            while done < len(raw):
                done += os.pwrite(self._fd, raw[done:] if done else raw, self.size + done)
        except OSError:
            os.ftruncate(self._fd, self.size)
            raise
        self.size += len(raw)

    def sync(self) -> None:
        """Wait until it is on the disk."""
        os.fsync(self._fd)

    def close(self) -> None:
        """Let go of the descriptor."""
        os.close(self._fd)


def _checksum(raw: bytes) -> bytes:
    return zlib.crc32(raw).to_bytes(4, "little")
