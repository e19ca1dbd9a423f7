"""The records of the ring buffer as Python reads them: the other side of `fleetcap_bpf/record.h`.

The `ctypes` structures state every offset for the test that compares both sides; the hot path reads with `struct` alone.
"""

import ctypes
import ipaddress
import struct
from typing import NamedTuple

COMM_SIZE = 16
COMMAND_LINE_SIZE = 1024
FILE_NAME_SIZE = 40
CHUNK_SIZE = 16384

KIND_DATA, KIND_CONNECTION, KIND_CLOSED = 1, 2, 3
KIND_SECRET = 16

RANDOM_SIZE = 32
SECRET_SIZE = 64
LABEL_SIZE = 64
SECRET_LAYOUTS = 8
NO_POINTER = 0xFFFFFFFF

_UNKNOWN = bytes(16)
_MAPPED = bytes(10) + b"\xff\xff"


class DataRecord(ctypes.Structure):
    """`struct fc_data`; the captured bytes follow it."""

    _fields_ = (
        ("kind", ctypes.c_uint32),
        ("direction", ctypes.c_uint32),
        ("connection", ctypes.c_uint64),
        ("time", ctypes.c_uint64),
        ("position", ctypes.c_uint64),
        ("length", ctypes.c_uint64),
        ("captured", ctypes.c_uint32),
        ("tid", ctypes.c_uint32),
        ("comm", ctypes.c_char * COMM_SIZE),
    )


class ConnectionRecord(ctypes.Structure):
    """`struct fc_connection`."""

    _fields_ = (
        ("kind", ctypes.c_uint32),
        ("tgid", ctypes.c_uint32),
        ("connection", ctypes.c_uint64),
        ("first_seen", ctypes.c_uint64),
        ("session", ctypes.c_uint64),
        ("sock", ctypes.c_uint64),
        ("born", ctypes.c_uint64),
        ("opened", ctypes.c_uint64),
        ("inode", ctypes.c_uint64),
        ("process_start", ctypes.c_uint64),
        ("tid", ctypes.c_uint32),
        ("uid", ctypes.c_uint32),
        ("parent", ctypes.c_uint32),
        ("fd", ctypes.c_int32),
        ("role", ctypes.c_uint32),
        ("begun", ctypes.c_uint32),
        ("tls_version", ctypes.c_uint32),
        ("local_port", ctypes.c_uint32),
        ("remote_port", ctypes.c_uint32),
        ("source", ctypes.c_uint32),
        ("command_line_length", ctypes.c_uint32),
        ("library", ctypes.c_uint32),
        ("local", ctypes.c_uint8 * 16),
        ("remote", ctypes.c_uint8 * 16),
        ("comm", ctypes.c_char * COMM_SIZE),
        ("command_line", ctypes.c_char * COMMAND_LINE_SIZE),
    )


class ClosedRecord(ctypes.Structure):
    """`struct fc_closed`."""

    _fields_ = (
        ("kind", ctypes.c_uint32),
        ("padding", ctypes.c_uint32),
        ("sock", ctypes.c_uint64),
        ("born", ctypes.c_uint64),
        ("time", ctypes.c_uint64),
    )


class SecretRecord(ctypes.Structure):
    """`struct fc_secret`."""

    _fields_ = (
        ("kind", ctypes.c_uint32),
        ("tgid", ctypes.c_uint32),
        ("tid", ctypes.c_uint32),
        ("length", ctypes.c_uint32),
        ("connection", ctypes.c_uint64),
        ("time", ctypes.c_uint64),
        ("label", ctypes.c_char * LABEL_SIZE),
        ("client_random", ctypes.c_uint8 * RANDOM_SIZE),
        ("secret", ctypes.c_uint8 * SECRET_SIZE),
    )


class SecretLayout(ctypes.Structure):
    """`struct fc_secret_layout`."""

    _fields_ = (("pointer", ctypes.c_uint32), ("client_random", ctypes.c_uint32))


class SessionKey(ctypes.Structure):
    """`struct fc_session_key`."""

    _fields_ = (("tgid", ctypes.c_uint32), ("padding", ctypes.c_uint32), ("ssl", ctypes.c_uint64))


class Session(ctypes.Structure):
    """`struct fc_session`."""

    _fields_ = (("connection", ctypes.c_uint64), ("freed", ctypes.c_uint32), ("fd", ctypes.c_int32))


class State(ctypes.Structure):
    """`struct fc_state`."""

    _fields_ = (
        ("id", ctypes.c_uint64),
        ("position", ctypes.c_uint64 * 2),
        ("first_seen", ctypes.c_uint64),
        ("sock", ctypes.c_uint64),
        ("born", ctypes.c_uint64),
        ("other", ctypes.c_uint64),
        ("fd", ctypes.c_int32),
        ("begun", ctypes.c_uint32),
        ("announced", ctypes.c_uint32),
        ("unwanted", ctypes.c_uint32),
        ("turn", ctypes.c_uint64),
        ("direction", ctypes.c_uint32),
        ("padding", ctypes.c_uint32),
    )


class Socket(ctypes.Structure):
    """`struct fc_socket`."""

    _fields_ = (
        ("born", ctypes.c_uint64),
        ("opened", ctypes.c_uint64),
        ("role", ctypes.c_uint32),
        ("captured", ctypes.c_uint32),
        ("encrypted", ctypes.c_uint32),
        ("padding", ctypes.c_uint32),
    )


class LostClose(ctypes.Structure):
    """`struct fc_lost_close`."""

    _fields_ = (("sock", ctypes.c_uint64), ("time", ctypes.c_uint64))


class File(ctypes.Structure):
    """`struct fc_file`."""

    _fields_ = (("inode", ctypes.c_uint64), ("device", ctypes.c_uint32), ("padding", ctypes.c_uint32))


class Arrival(ctypes.Structure):
    """`struct fc_arrival`."""

    _fields_ = (
        ("file", File),
        ("tgid", ctypes.c_uint32),
        ("program", ctypes.c_uint32),
        ("name", ctypes.c_char * FILE_NAME_SIZE),
    )


# kind, direction, connection, time, position, length, captured, tid, comm
DATA = struct.Struct("=IIQQQQII16s")
_CONNECTION = struct.Struct("=II8Q3Ii8I16s16s16s")
_CLOSED = struct.Struct("=II3Q")


class Described(NamedTuple):
    """Who and where a connection is. Times are kernel nanoseconds; see `struct fc_connection` for what absence is."""

    tgid: int
    connection: int
    first_seen: int
    session: int
    sock: int
    born: int
    opened: int
    inode: int
    process_start: int
    tid: int
    uid: int
    parent: int
    fd: int
    role: int
    begun: int
    tls_version: int
    local_port: int
    remote_port: int
    source: int
    library: int
    local: str
    remote: str
    comm: str
    command_line: str


class Closed(NamedTuple):
    """A socket on which data was captured was destroyed."""

    sock: int
    born: int
    time: int


def text(name: bytes) -> str:
    """A NUL-ended name of the kernel as text; bytes that are not UTF-8 stay visible."""
    return name.partition(b"\0")[0].decode("utf-8", "backslashreplace")


def address(packed: bytes) -> str:
    """Sixteen bytes as the schema writes addresses: IPv4-mapped as IPv4, IPv6 shortest and without brackets, unknown empty."""
    if packed == _UNKNOWN:
        return ""
    if packed.startswith(_MAPPED):
        return str(ipaddress.IPv4Address(packed[12:]))
    return str(ipaddress.IPv6Address(packed))


def packed(ip: str) -> bytes:
    """The sixteen bytes of an address; those of an unspecified one (`0.0.0.0`, `::`) are all zero.

    Raises:
        ValueError: `ip` is no address.
    """
    parsed = ipaddress.ip_address(ip)
    if parsed.is_unspecified:
        return _UNKNOWN
    return parsed.packed if parsed.version == 6 else _MAPPED + parsed.packed


def _command_line(raw: bytes, length: int) -> str:
    """Arguments with blanks between; a cut one ends in an ellipsis."""
    shown = raw[: min(length, len(raw))].rstrip(b"\0").replace(b"\0", b" ").decode("utf-8", "replace")
    return shown + "…" if length > len(raw) else shown


def described(data: memoryview, at: int) -> Described:
    """The `struct fc_connection` at `at`."""
    fields = _CONNECTION.unpack_from(data, at)
    line_at = at + _CONNECTION.size
    line = _command_line(bytes(data[line_at : line_at + COMMAND_LINE_SIZE]), fields[20])
    local, remote, comm = fields[22:]
    return Described._make((fields[1], *fields[2:20], fields[21], address(local), address(remote), text(comm), line))


def closed(data: memoryview, at: int) -> Closed:
    """The `struct fc_closed` at `at`."""
    return Closed(*_CLOSED.unpack_from(data, at)[2:])
