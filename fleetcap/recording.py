"""Recording files: the raw topic, or a live capture, as a file that can be decoded or imported later.

It owns the file format that `recording.proto` describes (the magic, then records, each behind its length as a varint) and
its errors. It must not know what a record's value means: unreadable ones are kept like all others.
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Final, NamedTuple, Self

from google.protobuf.message import DecodeError

from fleetcap.inputs.errors import InputError
from fleetcap_producer.packing import Packed
from fleetcap_proto.v1 import recording_pb2
from fleetcap_streams.engine.values import Record

MAGIC: Final = b"FLEETCAP"
# Kafka itself refuses records of this size unless told otherwise on brokers, topics and clients alike, and it bounds what a
# damaged length can make the reader ask for.
MAX_RECORD_BYTES: Final = 64 * 1024 * 1024
_CHUNK = 256 * 1024
_VARINT_BYTES = 5  # enough for any length below 2**35


class RecordingError(InputError):
    """A recording cannot be read or written. One line: the file, the place, what to do."""


class NotARecordingError(RecordingError):
    """The file does not begin with the magic."""


class TruncatedError(RecordingError):
    """The file ends inside a record; everything before it was given. `offset` is where that record begins, in bytes."""

    def __init__(self, path: Path | str, offset: int) -> None:
        super().__init__(
            f"{path} ends inside the record that begins at byte {offset}; what stands before it was read, the rest is lost"
        )
        self.path = path
        self.offset = offset


class DamagedError(RecordingError):
    """What stands at `offset` bytes is no record, so nothing after it can be found."""

    def __init__(self, path: Path | str, offset: int, why: str) -> None:
        super().__init__(f"{path} is damaged at byte {offset}: {why}; what stands before it was read, record it again")
        self.path = path
        self.offset = offset


class RecordTooLargeError(RecordingError):
    """A record is over the limit; `offset` is where it begins, None while writing."""

    def __init__(self, path: Path | str, offset: int | None, size: int) -> None:
        where = "" if offset is None else f" at byte {offset}"
        super().__init__(
            f"{path}: the record{where} has {size} bytes and the limit is {MAX_RECORD_BYTES}; the file may be damaged"
        )
        self.path = path
        self.offset = offset
        self.size = size


class Recorded(NamedTuple):
    """A record and the partition it was in."""

    partition: int
    record: Record


class RecordingWriter:
    """Writes one recording; a context manager.

    A new file is never put in the place of one that holds anything: a recording cannot be had again. Whatever `flush`
    returned for is in the operating system's hands; `close` waits until it is on the disk. A crash costs at most what came
    after the last flush, and leaves a file that reads up to there.

    Raises:
        RecordingError: the file exists already, or cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.records = 0
        self.bytes = len(MAGIC)
        self._out = _open(path, "wb" if _holds_nothing(path) else "xb")
        self._message = recording_pb2.RecordedRecord()
        self._put(MAGIC)
        self.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def write(self, partition: int, record: Record) -> None:
        """Append one record.

        Raises:
            RecordTooLargeError: it is over the limit; the file is as it was.
            RecordingError: the disk is full or failed.
        """
        body = self._body(partition, record)
        if len(body) > MAX_RECORD_BYTES:
            raise RecordTooLargeError(self.path, None, len(body))
        whole = _varint(len(body)) + body
        self._put(whole)
        self.records += 1
        self.bytes += len(whole)

    def flush(self) -> None:
        """Hand everything to the operating system."""
        try:
            self._out.flush()
        except OSError as error:
            raise _cannot(self.path, "write", error) from error

    def close(self) -> None:
        """Put everything on the disk and close the file. Closing twice does nothing."""
        if self._out.closed:
            return
        try:
            with self._out:
                self._out.flush()
                os.fsync(self._out.fileno())
            _sync_folder(self.path)
        except OSError as error:
            raise _cannot(self.path, "write", error) from error

    def _body(self, partition: int, record: Record) -> bytes:
        message = self._message
        message.Clear()
        message.partition, message.offset, message.log_time_ms = partition, record.offset, record.log_time_ms
        if record.key is not None:
            message.key = record.key
        if record.value is not None:
            message.value = record.value
        return message.SerializeToString()

    def _put(self, data: bytes) -> None:
        try:
            self._out.write(data)
        except OSError as error:
            raise _cannot(self.path, "write", error) from error


class RecordingSink:
    """A live capture's sink that writes to a recording instead of to Kafka.

    One partition, so that one log time goes through all of it; the log time is the wall clock's at writing, as the broker's
    would be, but never goes back.
    """

    def __init__(self, writer: RecordingWriter, clock: Callable[[], float] = time.time) -> None:
        self._writer = writer
        self._clock = clock
        self._log_time_ms = 0

    def send(self, packed: Packed, wait_s: float) -> None:  # noqa: ARG002 - a file has room at once or never
        """Write one record.

        Raises:
            RecordingError: the disk is full or failed.
        """
        self._log_time_ms = max(self._log_time_ms, int(self._clock() * 1000))
        self._writer.write(0, Record(self._writer.records, packed.key, packed.value, self._log_time_ms))

    def poll(self) -> None:
        """Hand what was written to the operating system, so that a crash costs no more than the last moment."""
        self._writer.flush()

    def close(self, timeout_s: float) -> None:  # noqa: ARG002 - a disk cannot be hurried
        """Put everything on the disk."""
        self._writer.close()

    def losses(self) -> Mapping[str, int]:
        """None: what cannot be written is an error."""
        return {}


def read_recording(path: Path) -> Iterator[Recorded]:
    """Give the records one by one, in the order of the file; never holds more than one and a chunk.

    Raises:
        NotARecordingError: at once, before any record.
        TruncatedError, DamagedError, RecordTooLargeError: when everything before that place was given.
        RecordingError: the file cannot be opened or read.
    """
    with _open(path, "rb") as source:
        yield from read_stream(path, source)


def read_stream(path: Path | str, source: IO[bytes]) -> Iterator[Recorded]:
    """The same from what is open already; `path` is only its name.

    Raises:
        RecordingError: as `read_recording`.
    """
    reader = _Reader(path, source)
    if reader.take(len(MAGIC)) != MAGIC:
        raise NotARecordingError(
            f"{path} is not a recording: it does not begin with {MAGIC.decode()}; give a file made by `fleetcap record`"
        )
    while (found := reader.next()) is not None:
        yield found


class _Reader:
    """A buffer over the file; `_start` is the place in the file of the buffer's unread part."""

    def __init__(self, path: Path | str, source: IO[bytes]) -> None:
        self._path = path
        self._source = source
        self._buffer = b""
        self._used = 0
        self._start = 0

    def take(self, size: int) -> bytes:
        """The next bytes; fewer where the file ends."""
        self._fill(size)
        data = self._buffer[self._used : self._used + size]
        self._used += len(data)
        self._start += len(data)
        return data

    def next(self) -> Recorded | None:
        """The next record, None at the end of the file."""
        begin = self._start
        size = self._length(begin)
        if size is None:
            return None
        if size > MAX_RECORD_BYTES:
            raise RecordTooLargeError(self._path, begin, size)
        body = self.take(size)
        if len(body) < size:
            raise TruncatedError(self._path, begin)
        return self._parse(body, begin)

    def _length(self, begin: int) -> int | None:
        self._fill(_VARINT_BYTES)
        size = 0
        for index, byte in enumerate(self._buffer[self._used : self._used + _VARINT_BYTES]):
            size |= (byte & 0x7F) << (7 * index)
            if byte < 0x80:
                self.take(index + 1)
                return size
        unread = len(self._buffer) - self._used
        if unread >= _VARINT_BYTES:
            raise DamagedError(self._path, begin, "no length stands there")
        if unread:
            raise TruncatedError(self._path, begin)
        return None

    def _parse(self, body: bytes, begin: int) -> Recorded:
        try:
            message = recording_pb2.RecordedRecord.FromString(body)
        except DecodeError as error:
            raise DamagedError(self._path, begin, "no record stands there") from error
        key = message.key if message.HasField("key") else None
        value = message.value if message.HasField("value") else None
        return Recorded(message.partition, Record(message.offset, key, value, message.log_time_ms))

    def _fill(self, size: int) -> None:
        """Read until the buffer holds `size` unread bytes or the file ends."""
        missing = size - (len(self._buffer) - self._used)
        if missing <= 0:
            return
        try:
            read = self._source.read(max(missing, _CHUNK))
        except OSError as error:
            raise _cannot(self._path, "read", error) from error
        self._buffer = self._buffer[self._used :] + read
        self._used = 0


def _varint(number: int) -> bytes:
    """Base 128, low group first, as protobuf writes lengths."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _open(path: Path, mode: str) -> IO[bytes]:
    try:
        return path.open(mode)
    except FileExistsError as error:
        raise RecordingError(f"{path} exists already; choose another name or remove it") from error
    except OSError as error:
        raise _cannot(path, "open", error) from error


def _holds_nothing(path: Path) -> bool:
    """Whether it is what a capture that could not start left behind."""
    return path.is_file() and path.stat().st_size <= len(MAGIC) and MAGIC.startswith(path.read_bytes())


def _sync_folder(path: Path) -> None:
    """A new file's name is on the disk only when its folder is."""
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _cannot(path: Path | str, what: str, error: OSError) -> RecordingError:
    return RecordingError(f"cannot {what} {path}: {error.strerror}; check the path, its permissions and the free space")
