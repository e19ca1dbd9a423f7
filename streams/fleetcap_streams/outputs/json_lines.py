"""Messages of the schema as JSON objects, one a line; `docs/json.md` describes them.

Every object begins with `kind`, `protocol`, `connection` and `timestamp_ns`; the rest depends on the kind and the protocol.
Bytes that are text stand as text, others as base64 with an `…_encoding` beside them; hashes are hexadecimal.
"""

import base64
import json
import math
from typing import Any, Final

from fleetcap_proto.v1 import common_pb2, connection_pb2, event_pb2, exchange_pb2
from fleetcap_streams.outputs.messages import whole_message

_ROLES = {common_pb2.ROLE_CLIENT: "client", common_pb2.ROLE_SERVER: "server"}
_SOURCES: Final = frozenset(common_pb2.Source.values()) - {common_pb2.SOURCE_UNSPECIFIED}
_TLS_VERSIONS: Final = {0x0301: "1.0", 0x0302: "1.1", 0x0303: "1.2", 0x0304: "1.3"}  # RFC 8446 section 4.2.1
_DIRECTIONS = {common_pb2.DIRECTION_RECEIVED: "received", common_pb2.DIRECTION_SENT: "sent"}
_REASONS: Final = {
    number: name.removeprefix("CLOSE_REASON_").lower() for name, number in connection_pb2.CloseReason.items() if number
}
_LONGEST_CHARACTER = 4  # bytes in UTF-8
# Names that every message has. A protocol's own fact of such a name gets the protocol's before it.
_TAKEN: Final = frozenset(
    [
        "kind",
        "protocol",
        "connection",
        "timestamp_ns",
        "number",
        "direction",
        "start_ns",
        "end_ns",
        "body_size",
        "body",
        "body_encoding",
        "body_sha256",
        "encoded_size",
        "complete",
        "missing_bytes",
        "notes",
        "node",
        "process",
        "local",
        "remote",
        "role",
    ]
)


def line(value: dict[str, Any]) -> str:
    """An object as one line, without the newline."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def exchange(value: exchange_pb2.Exchange) -> dict[str, Any]:
    """A request with its response."""
    first = value.request if value.HasField("request") else value.response
    return {
        **_head("exchange", value.protocol, value.connection_uuid, first.start_ns),
        "number": value.number,
        "latency_ns": value.latency_ns if value.HasField("latency_ns") else None,
        "request": _message(value.request) if value.HasField("request") else None,
        "response": _message(value.response) if value.HasField("response") else None,
        **({"interim": [_message(each) for each in value.interim]} if value.interim else {}),
        **_who(value.node_id, value.process, value.local, value.remote, value.role),
    }


def message(value: exchange_pb2.Message, connection: common_pb2.Connection, node_id: str) -> dict[str, Any]:
    """A message that belongs to no exchange."""
    return {
        **_head("message", value.protocol, connection.uuid, value.start_ns),
        "number": value.number,
        "direction": _DIRECTIONS[value.direction],
        **_message(value),
        **_who(node_id, connection.process, connection.local, connection.remote, connection.role),
    }


def event(value: event_pb2.Event) -> dict[str, Any]:
    """A record of the events topic: one that belongs to no exchange as `message` shows it, others in the reference's shape."""
    if value.HasField("message"):
        who = common_pb2.Connection(
            uuid=value.connection_uuid,
            process=value.process,
            local=common_pb2.Endpoint(ip=value.src_ip, port=value.src_port),
            remote=common_pb2.Endpoint(ip=value.dst_ip, port=value.dst_port),
            role=value.role,
        )
        return message(whole_message(value), who, value.node_id)
    return {
        **_head("message", value.protocol, value.connection_uuid, value.timestamp),
        "number": value.number,
        "direction": _DIRECTIONS.get(value.type, str(value.type)),  # type: ignore[call-overload] # an int on the wire
        "uuid": value.uuid,
        "complete": value.complete,
        "missing_bytes": value.missing_bytes,
        "length": value.length,
        **_data("payload", value.payload),
        **(_data("raw", value.raw) if value.raw else {}),
        "process": {"pid": value.pid, "comm": value.pname},
        "local": {"ip": value.src_ip, "port": value.src_port},
        "remote": {"ip": value.dst_ip, "port": value.dst_port},
    }


def connection(value: connection_pb2.ConnectionRecord) -> dict[str, Any]:
    """A connection that was first seen, or ended."""
    opened = value.state == connection_pb2.CONNECTION_STATE_OPENED
    reason = _REASONS.get(value.close_reason)
    who = value.connection
    return {
        **_head("connection", value.protocol, who.uuid, value.opened_ns if opened else value.closed_ns),
        "state": "opened" if opened else "closed",
        "reason": None if opened else reason,
        "opened_ns": value.opened_ns,
        "closed_ns": None if opened else value.closed_ns,
        "received": _totals(value.received),
        "sent": _totals(value.sent),
        "exchanges": value.exchanges,
        "segment": value.segment,
        "source": common_pb2.Source.Name(who.source).removeprefix("SOURCE_").lower() if who.source in _SOURCES else None,
        "library": who.library,
        "tls_version": _TLS_VERSIONS.get(who.tls_version),
        "joined": who.joined,
        "notes": list(value.notes),
        **_who(value.node_id, who.process, who.local, who.remote, who.role),
    }


def error(reason: str, where: str) -> dict[str, Any]:
    """A record that could not be read; `where` names it."""
    return {**_head("error", "", "", 0), "error": reason, "record": where}


def _head(kind: str, protocol: str, uuid: str, timestamp_ns: int) -> dict[str, Any]:
    return {"kind": kind, "protocol": protocol, "connection": uuid, "timestamp_ns": timestamp_ns}


def _who(
    node_id: str,
    process: common_pb2.Process,
    local: common_pb2.Endpoint,
    remote: common_pb2.Endpoint,
    role: common_pb2.Role,
) -> dict[str, Any]:
    return {
        "node": node_id,
        "process": _process(process),
        "local": {"ip": local.ip, "port": local.port},
        "remote": {"ip": remote.ip, "port": remote.port},
        "role": _ROLES.get(role),
    }


def _process(process: common_pb2.Process) -> dict[str, Any]:
    """Pid and name, and what else is known."""
    more = {
        "start_ns": process.start_ns,
        "uid": process.uid,
        "command_line": process.command_line,
        "parent_pid": process.parent_pid,
        "container_id": process.container_id,
        "labels": dict(sorted(process.labels.items())),
    }
    known = {name: value for name, value in more.items() if value or (name == "uid" and process.start_ns)}
    return {"pid": process.pid, "comm": process.comm, **known}


def _message(value: exchange_pb2.Message) -> dict[str, Any]:
    return {
        **(_http(value.http) if value.HasField("http") else {}),
        **{_own_name(each.name, value.protocol): _attribute(each) for each in value.attributes},
        "start_ns": value.start_ns,
        "end_ns": value.end_ns,
        "body_size": value.body_size,
        **_data("body", value.body, cut=len(value.body) < value.body_size),
        "body_sha256": value.body_sha256.hex(),
        "encoded_size": value.encoded_size,
        **({"trailers": _pairs(value.http.trailers)} if value.HasField("http") else {}),
        "complete": value.complete,
        "missing_bytes": value.missing_bytes,
        "notes": list(value.notes),
    }


def _http(http: exchange_pb2.Http) -> dict[str, Any]:
    request = {"method": http.method, "target": http.target, "authority": http.authority}
    response = {"status": http.status, "reason": http.reason}
    return {**(response if http.status else request), "version": http.version, "headers": _pairs(http.headers)}


def _own_name(name: str, protocol: str) -> str:
    return f"{protocol}_{name}" if name in _TAKEN else name


def _pairs(headers: Any) -> list[list[str]]:
    return [[header.name, header.value] for header in headers]


def _data(name: str, data: bytes, *, cut: bool = False) -> dict[str, str]:
    try:
        return {name: data.decode()}
    except UnicodeDecodeError as error:
        if cut and error.end == len(data) and len(data) - error.start < _LONGEST_CHARACTER:
            return {name: data[: error.start].decode()}  # text, cut inside its last character
        return {name: base64.b64encode(data).decode(), f"{name}_encoding": "base64"}


def _attribute(attribute: exchange_pb2.Attribute) -> Any:
    match attribute.WhichOneof("value"):
        case "list":
            items = attribute.list.items
            named = any(item.name for item in items)
            return {item.name: _attribute(item) for item in items} if named else [_attribute(item) for item in items]
        case "data":
            return _data("data", attribute.data)
        case "real" if not math.isfinite(attribute.real):
            return str(attribute.real)  # JSON has no number for it (RFC 8259 section 6)
        case None:
            return None
        case field:
            return getattr(attribute, field)


def _totals(totals: connection_pb2.DirectionTotals) -> dict[str, int]:
    return {field.name: getattr(totals, field.name) for field in totals.DESCRIPTOR.fields}
