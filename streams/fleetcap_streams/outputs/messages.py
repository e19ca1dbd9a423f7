"""Values of the engine as messages of the schema. The one way out: records and JSON are both made from these."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, cast

from fleetcap_proto.v1 import common_pb2, connection_pb2, event_pb2, exchange_pb2
from fleetcap_streams.engine.values import ConnectionInfo, ConnectionOut, ExchangeOut, MessageOut, Totals
from fleetcap_streams.outputs.text import as_payload
from fleetcap_streams.protocols.contract import Attribute, Http, Message, Role

DIRECTIONS = (common_pb2.DIRECTION_RECEIVED, common_pb2.DIRECTION_SENT)
# What a record claims (positions, times, lengths) may be anything that its field can hold, and sums of such are larger still.
# The generated classes raise on what does not fit, so it is cut to the most that does.
INT64_MAX: Final = (1 << 63) - 1
UINT64_MAX: Final = (1 << 64) - 1
OPENED, CLOSED = connection_pb2.CONNECTION_STATE_OPENED, connection_pb2.CONNECTION_STATE_CLOSED


def connection(info: ConnectionInfo) -> common_pb2.Connection:
    """Who and where."""
    return common_pb2.Connection(
        uuid=info.uuid,
        revision=info.revision,
        process=process(info),
        tid=info.tid,
        fd=info.fd,
        local=common_pb2.Endpoint(ip=info.local.ip, port=info.local.port),
        remote=common_pb2.Endpoint(ip=info.remote.ip, port=info.remote.port),
        sock=info.sock,
        role=cast("common_pb2.Role", info.role),
        source=cast("common_pb2.Source", info.source),
        library=info.library,
        tls_version=info.tls_version,
        joined=info.joined,
    )


def process(info: ConnectionInfo) -> common_pb2.Process:
    """The process that holds the connection."""
    return common_pb2.Process(
        pid=info.pid,
        comm=info.comm,
        start_ns=info.process_start_ns,
        uid=info.uid,
        command_line=info.command_line,
        parent_pid=info.parent_pid,
        container_id=info.container_id,
        labels=dict(info.labels),
    )


def message(value: Message, number: int = 0) -> exchange_pb2.Message:
    """One decoded unit."""
    return exchange_pb2.Message(
        protocol=value.protocol,
        direction=DIRECTIONS[value.direction],
        start_ns=value.start_ns,
        end_ns=value.end_ns,
        body=value.body,
        body_size=value.body_size,
        body_sha256=value.body_sha256,
        encoded_size=value.encoded_size,
        complete=value.complete,
        missing_bytes=min(value.missing_bytes, UINT64_MAX),
        notes=value.notes,
        http=None if value.http is None else http(value.http),
        attributes=attributes(value.attributes),
        number=number,
    )


def event(output: MessageOut) -> event_pb2.Event:
    """A message in the reference's shape."""
    info, value = output.connection, output.message
    payload = as_payload(value.head, value.body)
    plain = bool(value.head) or payload == value.body
    found = event_pb2.Event(
        timestamp=min(value.start_ns, INT64_MAX),
        uuid=info.event_uuid(value.direction, value.tid, value.comm),
        pid=info.pid,
        pname=value.comm or info.comm,
        src_ip=info.local.ip,
        src_port=info.local.port,
        dst_ip=info.remote.ip,
        dst_port=info.remote.port,
        type=int(value.direction),
        length=min(len(value.head) + value.body_size, 0xFFFFFFFF),
        payload=payload,
        protocol=value.protocol,
        connection_uuid=info.uuid,
        number=output.number,
        complete=value.complete,
        missing_bytes=min(value.missing_bytes, UINT64_MAX),
        raw=b"" if plain else value.body,
    )
    if value.role is Role.SINGLE:
        _complete(found, output)
    return found


def _complete(event: event_pb2.Event, output: MessageOut) -> None:
    """What is said of a message by its exchange, it has to say itself where it belongs to none."""
    info, value = output.connection, output.message
    event.message.CopyFrom(message(value, output.number))
    event.body_in_payload = not value.head
    if event.body_in_payload:
        event.message.ClearField("body")
    event.node_id = info.node_id
    event.process.CopyFrom(process(info))
    event.role = cast("common_pb2.Role", info.role)


def whole_message(event: event_pb2.Event) -> exchange_pb2.Message:
    """The message that an event completes, with its body. Only of events that have a `message`."""
    found = exchange_pb2.Message()
    found.CopyFrom(event.message)
    if event.body_in_payload:
        found.body = event.raw or event.payload
    return found


def exchange(output: ExchangeOut) -> exchange_pb2.Exchange:
    """A request with its response."""
    info = output.connection
    first = output.request or output.response
    return exchange_pb2.Exchange(
        connection_uuid=info.uuid,
        node_id=info.node_id,
        protocol=(output.response or first).protocol if first else "",
        number=output.number,
        process=process(info),
        local=common_pb2.Endpoint(ip=info.local.ip, port=info.local.port),
        remote=common_pb2.Endpoint(ip=info.remote.ip, port=info.remote.port),
        role=cast("common_pb2.Role", info.role),
        request=None if output.request is None else message(output.request),
        response=None if output.response is None else message(output.response),
        # Clocks of threads on several processors may disagree by less than an event takes; time never runs back for a reader.
        latency_ns=None if output.latency_ns is None else max(output.latency_ns, 0),
        interim=[message(each) for each in output.interim],
    )


def connection_record(output: ConnectionOut) -> connection_pb2.ConnectionRecord:
    """A connection that was first seen, or a segment of it that ended."""
    record = connection_record_of(output.connection)
    record.MergeFrom(connection_record_rest(output))
    return record


def connection_record_of(info: ConnectionInfo) -> connection_pb2.ConnectionRecord:
    """The part that says who and where: the first fields."""
    return connection_pb2.ConnectionRecord(connection=connection(info), node_id=info.node_id, boot_id=info.boot_id)


def connection_record_rest(output: ConnectionOut) -> connection_pb2.ConnectionRecord:
    """All other fields."""
    return connection_pb2.ConnectionRecord(
        state=OPENED if output.reason is None else CLOSED,
        close_reason=None if output.reason is None else connection_pb2.CloseReason.Name(output.reason.value),
        opened_ns=output.opened_ns,
        closed_ns=output.closed_ns,
        protocol=output.protocol,
        received=_totals(output.received),
        sent=_totals(output.sent),
        exchanges=output.exchanges,
        segment=output.segment,
        notes=output.notes,
    )


def http(value: Http, *, headers: bool = True) -> exchange_pb2.Http:
    """What HTTP alone has; without its `headers`, and trailers, where they are written by other means."""
    return exchange_pb2.Http(
        method=value.method,
        target=value.target,
        authority=value.authority,
        version=value.version,
        status=value.status,
        reason=value.reason,
        headers=_headers(value.headers) if headers else (),
        trailers=_headers(value.trailers) if headers else (),
    )


def attributes(values: Mapping[str, Attribute]) -> list[exchange_pb2.Attribute]:
    """Facts of a protocol that has no message type of its own; what is None is left out."""
    return [_attribute(name, item) for name, item in values.items() if item is not None]


def _headers(pairs: Iterable[tuple[str, str]]) -> list[exchange_pb2.Header]:
    return [exchange_pb2.Header(name=name, value=value) for name, value in pairs]


def _totals(totals: Totals) -> connection_pb2.DirectionTotals:
    return connection_pb2.DirectionTotals(
        bytes=totals.bytes,
        missing_bytes=min(totals.missing_bytes, UINT64_MAX),
        gaps=totals.gaps,
        duplicate_bytes=min(totals.duplicate_bytes, UINT64_MAX),
        messages=totals.messages,
    )


def _attribute(name: str, value: Attribute) -> exchange_pb2.Attribute:
    match value:
        case bool():  # before int, which it is too
            return exchange_pb2.Attribute(name=name, flag=value)
        case int() if -INT64_MAX <= value <= INT64_MAX:
            return exchange_pb2.Attribute(name=name, number=value)
        case int():
            return exchange_pb2.Attribute(name=name, text=str(value))
        case float():
            return exchange_pb2.Attribute(name=name, real=value)
        case str():
            return exchange_pb2.Attribute(name=name, text=value)
        case bytes():
            return exchange_pb2.Attribute(name=name, data=value)
        case Mapping():
            items = [_attribute(key, item) for key, item in value.items()]
            return exchange_pb2.Attribute(name=name, list=exchange_pb2.AttributeList(items=items))
        case Sequence():
            items = [_attribute("", item) for item in value]
            return exchange_pb2.Attribute(name=name, list=exchange_pb2.AttributeList(items=items))
        case None:
            return exchange_pb2.Attribute(name=name)
