"""What the client asks: commands with their statements and parameters, also of statements prepared before."""

from typing import Final

import msgspec

from fleetcap_streams.protocols.contract import Attribute
from fleetcap_streams.protocols.mysql import handshake
from fleetcap_streams.protocols.mysql.handshake import Capability
from fleetcap_streams.protocols.mysql.values import UNSIGNED, binary
from fleetcap_streams.protocols.mysql.wire import COMMANDS, TEXTS, Command, integer, string
from fleetcap_streams.protocols.remembered import Remembered
from fleetcap_streams.protocols.shown import VALUES, text, texts

_BY_STATEMENT: Final = (
    Command.STMT_EXECUTE,
    Command.STMT_BULK_EXECUTE,
    Command.STMT_FETCH,
    Command.STMT_RESET,
    Command.STMT_CLOSE,
    Command.STMT_SEND_LONG_DATA,
)
_LAST_PREPARED: Final = 0xFFFFFFFF  # MariaDB: the statement whose answer has not come yet
_COUNT_SENT: Final = 0x08  # MySQL: the number of parameters stands in the message


class Statement(msgspec.Struct, array_like=True):
    """A prepared statement."""

    text: bytes
    parameters: int
    types: list[int]  # of the parameters, as they were sent last
    columns: list[int]  # types of what it returns
    names: list[str]


class Request(msgspec.Struct):
    """A command as it is shown. `text` is at most as long as a body may be."""

    text: bytes
    facts: dict[str, Attribute]
    statement: int = -1
    cut: bool = False
    unknown: bool = False  # the statement is not known


def read(payload: bytes, length: int, statements: Remembered[Statement], capabilities: int, limit: int) -> Request:
    """A command by the first bytes of it, of which there are `length`."""
    command = COMMANDS[payload[0]]
    name = "COM_" + command.name
    if command in TEXTS:
        at = _statement_at(payload, capabilities) if command is Command.QUERY else 1
        body = payload[at : at + limit]
        facts: dict[str, Attribute] = {"command": name}
        if command is Command.INIT_DB:
            facts["database"] = text(body)
        return Request(body, facts, cut=length - at > limit)
    if command is Command.CHANGE_USER:
        return Request(b"", {"command": name, **handshake.change_user(payload, capabilities).facts("login")})
    if command is Command.FIELD_LIST:
        return Request(b"", {"command": name, "table": text(payload[1:].partition(b"\0")[0])})
    if command in _BY_STATEMENT:
        return _of_statement(command, payload, statements, capabilities, limit)
    if command is Command.PROCESS_KILL:
        return Request(b"", {"command": name, "process_id": int.from_bytes(payload[1:5], "little")})
    return Request(b"", {"command": name})


def _statement_at(payload: bytes, capabilities: int) -> int:
    """Where the statement begins: MySQL 8 may put attributes before it, as parameters with names."""
    if not capabilities & Capability.QUERY_ATTRIBUTES and payload[1:3] != b"\0\1":
        return 1
    count, at = integer(payload, 1)
    sets, at = integer(payload, at)
    if count < 0 or sets != 1:
        return 1
    return _parameters(payload, at, count, [], named=True)[2] if count else at


def _of_statement(command: Command, payload: bytes, statements: Remembered[Statement], capabilities: int, limit: int) -> Request:
    number = int.from_bytes(payload[1:5], "little")
    if number == _LAST_PREPARED and statements.entries:
        number = int(next(reversed(statements.entries)))
    facts: dict[str, Attribute] = {"command": "COM_" + command.name, "statement_id": number}
    known = statements.get(str(number))
    if command is Command.STMT_CLOSE:
        statements.forget(str(number))
    if known is None:
        return Request(b"", facts, number, unknown=True)
    if command is Command.STMT_EXECUTE:
        facts |= _execution(payload, known, capabilities)
    return Request(known.text[:limit], facts, number)


def _execution(payload: bytes, statement: Statement, capabilities: int) -> dict[str, Attribute]:
    """The parameters of an execution."""
    at, count = 10, statement.parameters
    named = bool(capabilities & Capability.QUERY_ATTRIBUTES)
    if named and len(payload) > 5 and payload[5] & _COUNT_SENT:
        count, at = integer(payload, at)
    if count <= 0:
        return {}
    values, types, _ = _parameters(payload, at, count, statement.types, named=named)
    statement.types = types
    return {"parameters": texts(values), "parameter_count": count}


def _parameters(
    payload: bytes, at: int, count: int, types: list[int], *, named: bool
) -> tuple[list[bytes | None], list[int], int]:
    """Values, their types, and where they end: NULLs' bits, whether types follow, types, values."""
    nulls = payload[at : at + (count + 7) // 8]
    at += len(nulls)
    if payload[at : at + 1] == b"\1":
        at += 1
        types = []
        while len(types) < count and at + 2 <= len(payload):
            types.append(int.from_bytes(payload[at : at + 2], "little"))
            at += 2
            if named:
                _, at = string(payload, at)
    else:
        at += 1
    values: list[bytes | None] = []
    for place, kind in enumerate(types[:count]):
        if at > len(payload):
            break
        value = None
        if place // 8 >= len(nulls) or not nulls[place // 8] >> place % 8 & 1:
            value, at = binary(kind & 0xFF, payload, at, unsigned=bool(kind & UNSIGNED))
        if len(values) < VALUES:
            values.append(value)
    return values, types, at
