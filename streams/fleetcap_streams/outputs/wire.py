"""Writes the protobuf encoding by hand where messages are made by the hundred thousand.

A serialized message may be put together from serialized parts (protobuf, "Encoding"), so what is the same for all messages of
a connection, or for all that have the same head, is serialized once by the generated classes and remembered as bytes. Fields
are written in the order of their numbers: the result is, byte for byte, what the generated classes would write, and a test
holds the two together.
"""

from collections.abc import Iterable
from functools import lru_cache
from struct import Struct
from typing import Final, cast

from fleetcap_proto.v1 import common_pb2, event_pb2, exchange_pb2
from fleetcap_streams.engine.values import ConnectionInfo, ConnectionOut, ExchangeOut, MessageOut
from fleetcap_streams.outputs import messages
from fleetcap_streams.outputs.text import as_payload
from fleetcap_streams.protocols.contract import Http, Message, Role

_SMALL: Final = 1 << 14
_TIMES: Final = Struct("<BQBQ").pack  # fields 3 and 4, fixed64
_TIMES_SENT: Final = Struct("<BBBQBQ").pack  # field 2, a varint of 1, before them
_REMEMBERED: Final = 4096  # parts of each kind; all are forgotten at once beyond it: a rare, cheap loss
_LONG_HEAD: Final = 4096  # bytes; longer ones seldom come again, and thousands of them would be a gigabyte
_AS_SENT: Final = "http1"  # the protocol whose heads are the very bytes; others only show theirs in this form
_LONG_VALUE: Final = 256  # characters of a header; the same holds
_UINT32: Final = 0xFFFFFFFF


def _long_varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


_VARINTS: Final = [_long_varint(number) for number in range(_SMALL)]


def varint(number: int) -> bytes:
    """A number that is not negative, as protobuf writes it."""
    return _VARINTS[number] if number < _SMALL else _long_varint(number)


class Wire:
    """Encodes the outputs that come with every message and every connection. Remembers parts, so one serves one worker."""

    __slots__ = ("_alones", "_connections", "_ends", "_events", "_heads", "_notes")

    def __init__(self) -> None:
        self._events: dict[tuple[str, int, int, int, str], tuple[bytes, bytes]] = {}
        self._ends: dict[tuple[str, int, str], tuple[bytes, bytes]] = {}
        self._heads: dict[bytes, bytes] = {}
        self._alones: dict[tuple[str, int], bytes] = {}
        self._connections: dict[tuple[str, int], bytes] = {}
        self._notes: dict[tuple[str, tuple[str, ...]], tuple[bytes, bytes]] = {}

    def log_entry(self, output: MessageOut) -> bytes:
        """A `LogEntry` with its event."""
        info, message = output.connection, output.message
        before, after = self.event_parts(info, message)
        head, body = message.head, message.body
        payload = as_payload(head, body)
        time_ns = min(message.start_ns, messages.INT64_MAX)
        event = b"".join(
            (
                b"\x08" + _long_varint(time_ns) if time_ns else b"",
                before,
                _number(b"\x50", min(len(head) + message.body_size, _UINT32)),
                _data(b"\x5a", payload),
                after,
                _number(b"\x70", output.number),
                b"\x78\x01" if message.complete else b"",
                _number(b"\x80\x01", min(message.missing_bytes, messages.UINT64_MAX)),
                b"" if head or payload == body else _data(b"\x8a\x01", body),
                self._alone(output) if message.role is Role.SINGLE else b"",
            )
        )
        return b"\x08\x02\x12" + varint(len(event)) + event

    def exchange(self, output: ExchangeOut) -> bytes:
        """An `Exchange`."""
        info, latency_ns = output.connection, output.latency_ns
        first = output.response or output.request
        before, after = self.exchange_parts(info, first.protocol if first else "")
        parts = [before, _number(b"\x20", output.number), after]
        if output.request is not None:
            parts.append(_part(b"\x4a", self.message(output.request)))
        if output.response is not None:
            parts.append(_part(b"\x52", self.message(output.response)))
        if latency_ns is not None:
            parts.append(b"\x58" + varint(max(latency_ns, 0)))
        parts += [_part(b"\x62", self.message(each)) for each in output.interim]
        return b"".join(parts)

    def connection_record(self, output: ConnectionOut) -> bytes:
        """A `ConnectionRecord`."""
        info = output.connection
        key = (info.uuid, info.revision)
        who = self._connections.get(key)
        if who is None:
            who = messages.connection_record_of(info).SerializeToString(deterministic=True)
            _remember(self._connections, key, who)
        return who + messages.connection_record_rest(output).SerializeToString()

    def message(self, message: Message, left_out: int = 0) -> bytes:
        """A `Message`, without so many bytes at the beginning of its body."""
        protocol, notes = self._protocol_and_notes(message)
        body = message.body[left_out:]
        return b"".join(
            (
                protocol,
                _direction_and_times(message),
                _data(b"\x2a", body) if body else b"",
                _number(b"\x30", message.body_size),
                _data(b"\x3a", message.body_sha256),
                _number(b"\x40", message.encoded_size),
                b"\x48\x01" if message.complete else b"",
                _number(b"\x50", min(message.missing_bytes, messages.UINT64_MAX)),
                notes,
                self._http(message),
                _attributes(message) if message.attributes else b"",
            )
        )

    def _alone(self, output: MessageOut) -> bytes:
        """Fields 18 to 22: of a message that belongs to no exchange."""
        info, message = output.connection, output.message
        key = (info.uuid, info.revision)
        who = self._alones.get(key)
        if who is None:
            event = event_pb2.Event(node_id=info.node_id, process=messages.process(info), role=cast("common_pb2.Role", info.role))
            who = event.SerializeToString(deterministic=True)
            _remember(self._alones, key, who)
        whole = self.message(message, 0 if message.head else len(message.body))
        return _part(b"\x92\x01", whole + _number(b"\x70", output.number)) + (b"" if message.head else b"\x98\x01\x01") + who

    def event_parts(self, info: ConnectionInfo, message: Message) -> tuple[bytes, bytes]:
        """Fields 2 to 9, and 12 and 13."""
        key = (info.uuid, info.revision, message.direction, message.tid, message.comm)
        found = self._events.get(key)
        if found is None or not found[1].startswith(b"\x62" + _text(message.protocol)):
            plain = Message(message.protocol, message.direction, Role.REQUEST, 0, 0, 0, complete=False)
            plain.tid, plain.comm = message.tid, message.comm
            event = messages.event(MessageOut(info, plain, 0))
            event.ClearField("protocol")
            event.ClearField("connection_uuid")
            found = event.SerializeToString(), b"\x62" + _text(message.protocol) + b"\x6a" + _text(info.uuid)
            _remember(self._events, key, found)
        return found

    def exchange_parts(self, info: ConnectionInfo, protocol: str) -> tuple[bytes, bytes]:
        """Fields 1 to 3, and 5 to 8."""
        key = (info.uuid, info.revision, protocol)
        found = self._ends.get(key)
        if found is None:
            whole = messages.exchange(ExchangeOut(info, 0, None, None, []))
            names = exchange_pb2.Exchange(connection_uuid=whole.connection_uuid, node_id=whole.node_id, protocol=protocol)
            whole.ClearField("connection_uuid")
            whole.ClearField("node_id")
            found = names.SerializeToString(), whole.SerializeToString(deterministic=True)
            _remember(self._ends, key, found)
        return found

    def _protocol_and_notes(self, message: Message) -> tuple[bytes, bytes]:
        key = (message.protocol, message.notes)
        found = self._notes.get(key)
        if found is None:
            protocol = exchange_pb2.Message(protocol=message.protocol).SerializeToString()
            found = protocol, exchange_pb2.Message(notes=message.notes).SerializeToString()
            _remember(self._notes, key, found)
        return found

    def _http(self, message: Message) -> bytes:
        """Field 12. A head as sent says the same whenever it comes, so most are looked up; trailers are no part of it."""
        http, head = message.http, message.head
        if http is None:
            return b""
        if http.trailers or not head or message.protocol != _AS_SENT:
            return _part(b"\x62", _http(http))
        found = self._heads.get(head)
        if found is None:
            found = _part(b"\x62", _http(http))
            if len(head) <= _LONG_HEAD:
                _remember(self._heads, head, found)
        return found


def _http(http: Http) -> bytes:
    """An `Http`. A new head, such as one with a date in it, is made of headers that came before, but for a few."""
    line = messages.http(http, headers=False).SerializeToString()
    return b"".join((line, *_headers(0x3A, http.headers), *_headers(0x42, http.trailers)))


def _headers(tag: int, pairs: Iterable[tuple[str, str]]) -> list[bytes]:
    return [_header(tag, name, value) if len(value) <= _LONG_VALUE else _new_header(tag, name, value) for name, value in pairs]


def _new_header(tag: int, name: str, value: str) -> bytes:
    header = exchange_pb2.Header(name=name, value=value).SerializeToString()
    return bytes((tag,)) + varint(len(header)) + header


_header = lru_cache(_REMEMBERED)(_new_header)


def _remember(memory: dict, key: object, value: object) -> None:  # type: ignore[type-arg]
    if len(memory) >= _REMEMBERED:
        memory.clear()
    memory[key] = value


def _number(tag: bytes, number: int) -> bytes:
    return tag + varint(number) if number else b""


def _direction_and_times(message: Message) -> bytes:
    start_ns, end_ns = message.start_ns, message.end_ns
    if not (start_ns and end_ns):  # a clock that says 1970: left to the generated classes
        direction = messages.DIRECTIONS[message.direction]
        return exchange_pb2.Message(direction=direction, start_ns=start_ns, end_ns=end_ns).SerializeToString()
    return _TIMES_SENT(0x10, 1, 0x19, start_ns, 0x21, end_ns) if message.direction else _TIMES(0x19, start_ns, 0x21, end_ns)


def _data(tag: bytes, data: bytes) -> bytes:
    return tag + varint(len(data)) + data if data else b""


def _part(tag: bytes, part: bytes) -> bytes:
    """A message inside another: there even where it is empty."""
    return tag + varint(len(part)) + part


def _text(text: str) -> bytes:
    data = text.encode()
    return varint(len(data)) + data


def _attributes(message: Message) -> bytes:
    return exchange_pb2.Message(attributes=messages.attributes(message.attributes)).SerializeToString()
