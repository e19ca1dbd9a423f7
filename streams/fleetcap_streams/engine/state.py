"""A connection as bytes and back: what a checkpoint writes and a restart reads.

The form is MessagePack: a version, what the lifecycle needs, then the fields in order. A state is bounded because everything
in it is: the window of reassembly, the parser's snapshot, the bodies held by open exchanges.
"""

from dataclasses import fields
from typing import Any

import msgspec

from fleetcap_streams.engine.connection import Connection, Phase
from fleetcap_streams.engine.exchanges import Exchanges, Open
from fleetcap_streams.engine.limits import EngineLimits
from fleetcap_streams.engine.reassembly import Piece, Stream
from fleetcap_streams.engine.values import ConnectionInfo, Endpoint, Totals
from fleetcap_streams.protocols.connection_parser import ConnectionParser
from fleetcap_streams.protocols.contract import Direction, Http, Message, Role
from fleetcap_streams.protocols.registry import Registry

VERSION = 2
# What is saved as it stands; the rest needs a form of its own.
PLAIN = (
    "opened_ns",
    "last_ns",
    "segment",
    "message_count",
    "exchange_count",
    "segment_exchanges",
    "destroyed",
    "spoken",
    "notes",
)
# By place, since the names would be half of the state of a silent connection: new fields go to the end.
INFO = tuple(field.name for field in fields(ConnectionInfo) if field.name != "uuid")
LABELS, LOCAL, REMOTE = (INFO.index(name) for name in ("labels", "local", "remote"))
TOTALS = tuple(field.name for field in fields(Totals))
MESSAGE = tuple(field.name for field in fields(Message))
HTTP = tuple(field.name for field in fields(Http))


class UnreadableStateError(ValueError):
    """A saved state is of another version of fleetcap."""


class Frozen(msgspec.Struct, gc=False):
    """A connection of which there is a saved state, and of it only what the lifecycle asks for."""

    uuid: str
    phase: Phase
    since_ms: int
    offset: int  # of the last record that touched it
    saved: bytes


_FORM = msgspec.msgpack.Decoder(
    tuple[int, int, int, int, msgspec.Raw, msgspec.Raw, msgspec.Raw, msgspec.Raw, msgspec.Raw, msgspec.Raw]
)


def frozen(uuid: str, saved: bytes) -> Frozen:
    """What `save` saved, without making a connection of it.

    Raises:
        UnreadableStateError: it was saved in another form.
    """
    try:
        version, phase, since_ms, offset, *_ = _FORM.decode(saved)
    except msgspec.DecodeError as error:
        raise UnreadableStateError(f"connection {uuid}: not a state that fleetcap saved") from error
    _check(uuid, version)
    return Frozen(uuid, Phase(phase), since_ms, offset, saved)


def _check(uuid: str, version: int) -> None:
    if version != VERSION:
        raise UnreadableStateError(f"connection {uuid}: state version {version}, this fleetcap reads {VERSION}")


def save(connection: Connection) -> bytes:
    """The connection's state, without its UUID."""
    return msgspec.msgpack.encode(
        (
            VERSION,
            int(connection.phase),
            connection.since_ms,
            connection.offset,
            _save_info(connection.info),
            [getattr(connection, name) for name in PLAIN],
            [_save_stream(stream) for stream in connection.streams],
            connection.threads,
            None if connection.parser is None else connection.parser.snapshot(),
            None if connection.exchanges is None else _save_exchanges(connection.exchanges),
        )
    )


def load(uuid: str, saved: bytes, registry: Registry, limits: EngineLimits) -> Connection:
    """The connection that `save` saved.

    Raises:
        UnreadableStateError: it was saved in another form.
    """
    version, phase, since_ms, offset, info, plain, streams, threads, parser, exchanges = msgspec.msgpack.decode(saved)
    _check(uuid, version)
    connection = Connection(_load_info(uuid, info), registry)
    connection.phase, connection.since_ms, connection.offset = Phase(phase), since_ms, offset
    for name, value in zip(PLAIN, plain, strict=True):
        setattr(connection, name, value)
    connection.streams = (_load_stream(streams[0]), _load_stream(streams[1]))
    received, sent = ([(time_ns, tuple(thread)) for time_ns, thread in moved] for moved in threads)
    connection.threads = (received, sent)
    if parser is not None:
        connection.parser = ConnectionParser.restore(registry, limits.parser, parser)
    if exchanges is not None:
        connection.exchanges = _load_exchanges(exchanges, limits.parser.pending)
    return connection


def _values(thing: object, names: tuple[str, ...]) -> list[Any]:
    return [getattr(thing, name) for name in names]


def _save_info(info: ConnectionInfo) -> list[Any]:
    values = _values(info, INFO)
    values[LOCAL] = (info.local.ip, info.local.port)
    values[REMOTE] = (info.remote.ip, info.remote.port)
    return values


def _load_info(uuid: str, values: list[Any]) -> ConnectionInfo:
    values[LOCAL] = Endpoint(*values[LOCAL])
    values[REMOTE] = Endpoint(*values[REMOTE])
    values[LABELS] = tuple((name, value) for name, value in values[LABELS])
    return ConnectionInfo(uuid, *values)


def _save_stream(stream: Stream) -> tuple[int, list[Any], list[Piece]]:
    return stream.next, _values(stream.totals, TOTALS), stream.waiting


def _load_stream(saved: list[Any]) -> Stream:
    next_position, totals, waiting = saved
    stream = Stream(next_position, Totals(*totals))
    stream.waiting = [Piece(*piece) for piece in waiting]
    stream.waiting_bytes = sum(len(piece.payload) for piece in stream.waiting)
    return stream


def _save_exchanges(exchanges: Exchanges) -> list[Any]:
    return [
        (number, _save_message(entry.request), _save_message(entry.response), [_save_message(each) for each in entry.interim])
        for number, entry in exchanges.open.items()
    ]


def _load_exchanges(saved: list[Any], limit: int) -> Exchanges:
    exchanges = Exchanges(limit)
    for number, request, response, interim in saved:
        entry = Open(_load_message(request), _load_message(response), [_message(each) for each in interim])
        exchanges.open[number] = entry
        exchanges.held += sum(len(message.body) for message in entry.messages())
    return exchanges


def _save_message(message: Message | None) -> list[Any] | None:
    if message is None:
        return None
    values = _values(message, MESSAGE)
    values[MESSAGE.index("http")] = None if message.http is None else _values(message.http, HTTP)
    values[MESSAGE.index("direction")] = int(message.direction)
    values[MESSAGE.index("role")] = message.role.value
    values[MESSAGE.index("attributes")] = dict(message.attributes)
    return values


def _load_message(saved: list[Any] | None) -> Message | None:
    return None if saved is None else _message(saved)


def _message(saved: list[Any]) -> Message:
    values = dict(zip(MESSAGE, saved, strict=True))
    values["direction"] = Direction(values["direction"])
    values["role"] = Role(values["role"])
    values["notes"] = tuple(values["notes"])
    if values["http"] is not None:
        http = Http(*values["http"])
        http.headers = [(name, value) for name, value in http.headers]
        http.trailers = [(name, value) for name, value in http.trailers]
        values["http"] = http
    return Message(**values)
