"""A bounded queue of records on disk: segments that are only appended to, and a cursor that tells what is done with.

    <number>.spool ─▶ <number>.spool ─▶ <number>.spool        cursor: all before this place is done
    read here                           written here

It owns the files, their bound and their permissions. It must not know Kafka, nor what a record means; how many events one has
it is told.

What was appended survives the end of the process however it ends, because it is in the kernel's hands by then; a power cut can
cost what the kernel had not yet written. An earlier process's segments are read and never written again, so a record that was
cut off by its end harms none behind it.
"""

import os
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, NamedTuple

from fleetcap_producer.losses import Losses
from fleetcap_producer.packing import Packed
from fleetcap_producer.segments import HEAD_BYTES, UNKNOWN, Found, Reader, Writer, encoded, encoded_size
from fleetcap_producer.spool_folder import Folder, Place, SpoolError

FULL: Final = "spool full"
DAMAGED: Final = "spool damaged"
FAILED: Final = "spool's disk failed"

SUFFIX: Final = ".spool"
_DIGITS: Final = 12

DropPolicy = Literal["newest", "oldest"]


class Spooled(NamedTuple):
    """A record that was read, and the place behind it."""

    packed: Packed
    end: Place


@dataclass(frozen=True, slots=True)
class SpoolOptions:
    """`most_bytes` bounds all segments together. Once they are full, the newest or the oldest records are dropped."""

    most_bytes: int = 1 << 30
    segment_bytes: int = 16 << 20
    drop: DropPolicy = "newest"

    def __post_init__(self) -> None:
        if not HEAD_BYTES < self.segment_bytes <= self.most_bytes:
            raise ValueError(f"segments of {self.segment_bytes} bytes do not fit into {self.most_bytes}; give a larger spool")


@dataclass(slots=True)
class _Segment:
    number: int
    path: Path
    before: int  # events that were ever put before it
    size: int


class Spool:
    """The spool in `folder`, for one process at a time; what an earlier one left there comes out first.

    Not for use by several threads at once.

    Raises:
        SpoolError: the folder is open to others, in use, or cannot be made or read.
    """

    def __init__(self, folder: Path, options: SpoolOptions | None = None) -> None:
        self._options = options or SpoolOptions()
        self.lost = Losses()
        self._segments: deque[_Segment] = deque()
        self._writer: Writer | None = None
        self._reader: tuple[int, Reader] | None = None
        self._size = 0
        try:
            self._folder = Folder(folder)
            self._cursor = self._at = self._end = self._folder.cursor()
            self._next = self._cursor.segment + 1
            self._recover()
        except OSError as error:
            raise SpoolError(f"the spool {folder} cannot be used: {error.strerror}; give a folder on a local disk") from error

    @property
    def size(self) -> int:
        """What its segments take on disk, bytes."""
        return self._size

    @property
    def most_bytes(self) -> int:
        """What they may take at most."""
        return self._options.most_bytes

    @property
    def unread(self) -> bool:
        """Whether there are records that `read` has not given."""
        return self._at[:2] < self._end[:2]

    @property
    def end(self) -> Place:
        """Behind the last record."""
        return self._end

    def append(self, packed: Packed, *, only_copy: bool = True) -> Place | None:
        """Put a record at the end; the place behind it. None: it was dropped, and counted where it was the only copy."""
        size = encoded_size(packed)
        failure = "" if self._make_room(size) else FULL
        if not failure:
            try:
                writer = self._writer_for(size)
                writer.write(encoded(packed))
            except OSError:
                failure = FAILED
        if failure:
            if only_copy:
                self.lost.add(failure, packed)
            return None
        last = self._segments[-1]
        last.size = writer.size
        self._size += size
        self._end = Place(last.number, last.size, self._end.events + packed.events)
        return self._end

    def read(self) -> Spooled | None:
        """The next record; None: all were read. What turns out to be damaged is passed over, and counted."""
        while self.unread:
            segment = next(one for one in self._segments if one.number >= self._at.segment)
            if segment.number > self._at.segment:
                self._at = self._beginning(segment)
            elif self._at.offset >= segment.size:
                self._at = self._behind(segment, self._at.events)
            elif found := self._read(segment):
                return found
        return None

    def skip(self, until: Place) -> None:
        """Leave out what stands before `until` when reading."""
        self._at = max(self._at, until)

    def done(self, until: Place) -> None:
        """Nothing before `until` need ever be read again, also by a later process; segments before it are deleted."""
        if until <= self._cursor:
            return
        self._cursor = until
        self._folder.set_cursor(until)
        self._delete_done()

    def close(self) -> None:
        """Let go of the folder; what is not done with stays there."""
        with suppress(OSError):  # nothing can be done about it, and what was written may well be there
            if self._writer:
                self._writer.sync()
        self._close_writer()
        self._close_reader()
        self._folder.close()

    # writing

    def _make_room(self, size: int) -> bool:
        """Whether a record of this size may be put, after dropping the oldest segments where that is what is wanted."""
        while self._size + size + HEAD_BYTES > self._options.most_bytes:
            if self._options.drop == "newest" or not self._segments:
                return False
            self._lose_first()
        return True

    def _lose_first(self) -> None:
        first = self._segments[0]
        while self._at.segment <= first.number and (found := self.read()):
            if found.end.segment > first.number:
                self._at = self._beginning(self._segments[1])
                break
            self.lost.add(FULL, found.packed)
        self._delete_first()

    def _delete_done(self) -> None:
        while self._segments and self._cursor[:2] >= (self._segments[0].number, self._segments[0].size):
            self._delete_first()

    def _delete_first(self) -> None:
        first = self._segments.popleft()
        if not self._segments:
            self._close_writer()
        if self._reader and self._reader[0] == first.number:
            self._close_reader()
        first.path.unlink(missing_ok=True)
        self._size -= first.size

    def _writer_for(self, size: int) -> Writer:
        if self._writer and self._writer.size + size <= self._options.segment_bytes:
            return self._writer
        self._close_writer()
        number = self._next
        path = self._folder.path / f"{number:0{_DIGITS}}{SUFFIX}"
        self._writer = Writer(path, number, self._end.events)
        self._next += 1
        self._segments.append(_Segment(number, path, self._end.events, HEAD_BYTES))
        self._size += HEAD_BYTES
        return self._writer

    def _close_writer(self) -> None:
        if self._writer:
            self._writer.close()
            self._writer = None

    # reading

    def _read(self, segment: _Segment) -> Spooled | None:
        """The record at the present place. None: it is damaged, and the place is behind it, or behind its segment."""
        found = self._record(segment)
        if found is None or found.end > segment.size:
            after = self._behind(segment, self._at.events)
            self.lost.count(DAMAGED, b"", max(1, after.events - self._at.events), segment.size - self._at.offset)
            self._at = after
            return None
        self._at = Place(segment.number, found.end, self._at.events + found.events)
        if found.packed is None:
            self.lost.count(DAMAGED, b"", found.events, 0)
            return None
        return Spooled(found.packed, self._at)

    def _record(self, segment: _Segment) -> Found | None:
        try:
            if self._reader is None or self._reader[0] != segment.number:
                self._close_reader()
                self._reader = segment.number, _reader(segment.path)
            return self._reader[1].record(self._at.offset)
        except OSError:  # a disk that cannot be read is damage, like any other
            return None

    def _beginning(self, segment: _Segment) -> Place:
        before = segment.before if segment.before != UNKNOWN else self._at.events
        return Place(segment.number, HEAD_BYTES, before)

    def _behind(self, segment: _Segment, events: int) -> Place:
        """Where the next segment begins; `events` where nobody knows better how many were put before it."""
        later = next((one for one in self._segments if one.number > segment.number), None)
        if later is None:
            return self._end
        return Place(later.number, HEAD_BYTES, events if later.before == UNKNOWN else later.before)

    def _close_reader(self) -> None:
        if self._reader:
            self._reader[1].close()
            self._reader = None

    # what an earlier process left

    def _recover(self) -> None:
        for path in sorted(self._folder.path.glob(f"*{SUFFIX}")):
            number = path.name.removesuffix(SUFFIX)
            if number.isdecimal():
                self._adopt(path, int(number))
        if not self._segments:
            return
        self._at = max(self._cursor, self._beginning(self._segments[0]))
        self._end = self._measure(self._segments[-1])
        self._at = min(self._at, self._end)
        self._delete_done()

    def _adopt(self, path: Path, number: int) -> None:
        self._next = max(self._next, number + 1)
        size = path.lstat().st_size
        if size <= HEAD_BYTES or number < self._cursor.segment:  # nothing was put into it, or all of it is done
            path.unlink()
            return
        reader = _reader(path)
        self._segments.append(_Segment(number, path, reader.before(number), size))
        reader.close()
        self._size += size

    def _measure(self, last: _Segment) -> Place:
        """The end of the last segment, up to which its records are whole; a record cut off behind it is lost with its events."""
        reader = _reader(last.path)
        at, events = HEAD_BYTES, max(0, last.before)
        while (found := reader.record(at)) and found.end <= last.size:
            at, events = found.end, events + found.events
        if at < last.size:
            self.lost.count(DAMAGED, b"", found.events if found else 1, last.size - at)
            self._size -= last.size - at
            last.size = at
        reader.close()
        return Place(last.number, at, events)


def _reader(path: Path) -> Reader:
    return Reader(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC))
