"""MySQL's packets: numbers and strings in them, what each may look like, and where one may begin.

A packet is a length of three bytes, a sequence number that counts within one command and its answer, and a payload. Source: the
MySQL internals documentation, "Client/Server Protocol", and MariaDB's.
"""

import re
from collections.abc import Iterator
from enum import IntEnum
from typing import Final

from fleetcap_streams.protocols.contract import Score

HEADER: Final = 4
FULL: Final = 0xFFFFFF  # a payload of this length goes on in the next packet
TAIL: Final = 12  # bytes by which an answer, or a compressed packet, shows that it may be one
SHORT: Final = 5  # a payload of up to so many bytes proves little
LOOK: Final = 8192  # bytes of a payload by which it is judged


class Command(IntEnum):
    """First byte of what a client asks."""

    QUIT = 0x01
    INIT_DB = 0x02
    QUERY = 0x03
    FIELD_LIST = 0x04
    CREATE_DB = 0x05
    DROP_DB = 0x06
    REFRESH = 0x07
    SHUTDOWN = 0x08
    STATISTICS = 0x09
    PROCESS_INFO = 0x0A
    PROCESS_KILL = 0x0C
    DEBUG = 0x0D
    PING = 0x0E
    CHANGE_USER = 0x11
    BINLOG_DUMP = 0x12
    TABLE_DUMP = 0x13
    REGISTER_SLAVE = 0x15
    STMT_PREPARE = 0x16
    STMT_EXECUTE = 0x17
    STMT_SEND_LONG_DATA = 0x18
    STMT_CLOSE = 0x19
    STMT_RESET = 0x1A
    SET_OPTION = 0x1B
    STMT_FETCH = 0x1C
    BINLOG_DUMP_GTID = 0x1E
    RESET_CONNECTION = 0x1F
    STMT_BULK_EXECUTE = 0xFA


COMMANDS: Final = {int(command): command for command in Command}
TEXTS: Final = (Command.INIT_DB, Command.QUERY, Command.CREATE_DB, Command.DROP_DB, Command.STMT_PREPARE)
UNANSWERED: Final = (Command.QUIT, Command.STMT_CLOSE, Command.STMT_SEND_LONG_DATA)
_NAMED: Final = (Command.INIT_DB, Command.CREATE_DB, Command.DROP_DB)
_LONGEST_NAME: Final = 1 + 4 * 64  # of a database, in bytes of UTF-8
_SIZES: Final = {
    Command.QUIT: 1,
    Command.STATISTICS: 1,
    Command.PROCESS_INFO: 1,
    Command.DEBUG: 1,
    Command.PING: 1,
    Command.RESET_CONNECTION: 1,
    Command.REFRESH: 2,
    Command.SET_OPTION: 3,
    Command.PROCESS_KILL: 5,
    Command.STMT_CLOSE: 5,
    Command.STMT_RESET: 5,
    Command.STMT_FETCH: 9,
}
_SQL: Final = re.compile(rb"[\s;]*(?:/\*|--|#|\(|@|\{|[A-Za-z]{2})[^\x00-\x08\x0e-\x1f]*")
_ATTRIBUTES: Final = b"\0\1"  # no query attributes, in one set (MySQL 8.0.23 on)


def header(data: bytes, at: int) -> tuple[int, int]:
    """Length and sequence number of a packet whose header is there."""
    return data[at] | data[at + 1] << 8 | data[at + 2] << 16, data[at + 3]


def integer(data: bytes, at: int) -> tuple[int, int]:
    """A length-encoded integer and where it ends; -1 where it is none or cut off."""
    if at >= len(data):
        return -1, at
    first = data[at]
    if first < 0xFB:
        return first, at + 1
    size = {0xFC: 2, 0xFD: 3, 0xFE: 8}.get(first, 0)
    end = at + 1 + size
    return (int.from_bytes(data[at + 1 : end], "little"), end) if size and end <= len(data) else (-1, at + 1)


def string(data: bytes, at: int) -> tuple[bytes | None, int]:
    """A length-encoded string and where it ends; None for NULL, and for one whose length cannot be read."""
    length, start = integer(data, at)
    return (None, start) if length < 0 else (data[start : start + length], start + length)


def zero_ended(data: bytes, at: int) -> tuple[bytes, int]:
    """A string that a zero ends, and where; one that was cut off goes as far as it came."""
    end = data.find(b"\0", at)
    return (data[at:], len(data)) if end < 0 else (data[at:end], end + 1)


def is_size(command: int, length: int) -> bool:
    """Whether a command may be so long."""
    known = COMMANDS.get(command)
    if known in _NAMED:
        return 2 <= length <= _LONGEST_NAME
    return known is not None and _SIZES.get(known, length) == length


def is_command(payload: bytes, length: int) -> bool:
    """Whether this is a command, and by its content could be nothing else. `payload` are its first bytes, at most `LOOK`."""
    command = COMMANDS.get(payload[0]) if payload else None
    if command is None or not is_size(command, length):
        return False
    if command in TEXTS:
        body = payload[3:67] if payload[1:3] == _ATTRIBUTES else payload[1:65]
        return bool(body and (_SQL.fullmatch(body) if command in (Command.QUERY, Command.STMT_PREPARE) else min(body) >= 0x20))
    if command is Command.STMT_EXECUTE:
        return len(payload) >= 10 and payload[5] <= 0x0F and payload[6:10] == b"\1\0\0\0"
    return command in _SIZES


def is_ok(payload: bytes, length: int) -> bool:
    """Whether this is an OK packet by its structure."""
    if not 7 <= length <= LOOK or payload[:1] not in (b"\0", b"\xfe"):
        return False
    affected, at = integer(payload, 1)
    inserted, at = integer(payload, at)
    return affected >= 0 and inserted >= 0 and at + 4 <= length and (at + 4 == length or payload[0] == 0)


def is_error(payload: bytes, length: int) -> bool:
    """Whether this is an ERR packet with a state."""
    return 9 <= length <= LOOK and payload[:1] == b"\xff" and payload[3:4] == b"#" and payload[4:9].isalnum()


def is_column(payload: bytes, length: int) -> bool:
    """Whether this describes a column: six strings, then twelve bytes."""
    if payload[:4] != b"\3def":
        return False
    at = 4
    for _ in range(5):
        value, at = string(payload, at)
        if value is None or at > length:
            return False
    return payload[at : at + 1] == b"\x0c" and at + 13 <= length


def is_answer(payload: bytes, length: int, sequence: int) -> bool:
    """Whether this is a packet of a server that by its content could be nothing else."""
    if payload[:1] == b"\xfe" and length == 5:
        return sequence > 1
    ok = is_ok(payload, length) and ((sequence == 1 and payload[0] == 0) or (sequence > 1 and payload[:3] == b"\xfe\0\0"))
    return ok or is_error(payload, length) or (sequence > 1 and is_column(payload, length))


_ASKED: Final = re.compile(rb"(?s)\x00(?=[\x01-\x0e\x11-\x1f\xfa])")
_ANSWERED: Final = re.compile(
    rb"(?s)(?=\xff..#[0-9A-Z]{5}|\x03def|(?<=\x05\x00\x00.)\xfe|(?<=\x00\x00\x01)\x00|(?<=\x00\x00.)\xfe\x00\x00)"
)
_COLUMN_COUNT: Final = re.compile(rb"(?s)\x01\x00\x00\x01[\x01-\xfa]..\x00\x02\x03def")
_COLUMN_COUNT_BEGUN: Final = re.compile(rb"(?s).{5}(?:.{0,2}|..\x00|..\x00\x02|..\x00\x02\x03d?e?)\Z")
_COUNTED: Final = 13


def _places(data: bytes, at: int, *, client: bool) -> Iterator[int]:
    """Where a packet may begin, by the bytes that stand out in it."""
    pattern, back = (_ASKED, 3) if client else (_ANSWERED, 4)
    for match in pattern.finditer(data, at):
        if match.start() - back >= at:
            yield match.start() - back


def _may_be_command(payload: bytes, length: int) -> bool:
    """Whether the first bytes of a payload leave it open that this is a command."""
    command = payload[0]
    if not is_size(command, length):
        return False
    if command in TEXTS:
        body = payload[3:67] if payload[1:3] == _ATTRIBUTES else payload[1:65]
        return len(body) < 4 or bool(_SQL.fullmatch(body)) or (command in _NAMED and min(body) >= 0x20)
    if command == Command.STMT_EXECUTE:
        return length >= 10 and payload[5:6] <= b"\x0f" and b"\1\0\0\0".startswith(payload[6:10])
    return command in _SIZES


def _may_be_answer(payload: bytes, length: int, sequence: int) -> bool:
    """Whether the first bytes of a payload leave it open that this is a packet of a server."""
    if length > LOOK or not sequence:
        return False
    match payload[0]:
        case 0x00:
            return sequence == 1 and length >= 7
        case 0xFE:
            return sequence > 1 and (length == 5 or (length >= 7 and b"\xfe\0\0".startswith(payload[:3])))
        case 0xFF:
            return length >= 9 and payload[3:4] in (b"", b"#")
        case 0x03:
            return b"\3def".startswith(payload[:4])
    return False


def anchor(data: bytes, at: int, *, client: bool) -> Score:
    """Whether a packet of the client, or of the server, begins here: judged by all of it, or by its first `LOOK` bytes."""
    if len(data) < at + HEADER + 1:
        return Score.MORE
    length, sequence = header(data, at)
    if not client and data[at : at + HEADER] == b"\1\0\0\1" and 0 < data[at + HEADER] < 0xFB:
        counted = data[at : at + _COUNTED]
        return Score.YES if _COLUMN_COUNT.match(counted) else Score.MORE if _COLUMN_COUNT_BEGUN.match(counted) else Score.NO
    payload = data[at + HEADER : at + HEADER + min(length, LOOK)]
    if not length or (client and sequence):
        return Score.NO
    if not (_may_be_command(payload, length) if client else _may_be_answer(payload, length, sequence)):
        return Score.NO
    if len(payload) < min(length, LOOK):
        return Score.MORE
    fits = is_command(payload, length) if client else is_answer(payload, length, sequence)
    return Score.YES if fits else Score.NO


def find(data: bytes, at: int, *, client: bool, least: int = 1) -> tuple[int, bool]:
    """The first packet of the client, or of the server, by its content, of at least so many bytes."""
    for place in _places(data, at, client=client):
        if len(data) >= place + HEADER and header(data, place)[0] < least:
            continue
        verdict = anchor(data, place, client=client)
        if verdict is not Score.NO:
            return place, verdict is Score.YES
    # What stands out may begin in bytes to come: for a command from its fifth byte on, for an answer some more.
    return max(at, len(data) - (HEADER if client else TAIL)), False


def first(data: bytes, *found: tuple[int, bool]) -> tuple[int, bool]:
    """The first of several places that were found. What only might begin in the last bytes does not hold up what is sure."""
    sure = [place for place, certain in found if certain]
    doubts = [place for place, certain in found if not certain]
    if sure and min(sure) <= min((place for place in doubts if place < len(data) - TAIL), default=len(data)):
        return min(sure), True
    return min(doubts), False
