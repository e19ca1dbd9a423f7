"""Reads records of the raw topic: bytes become a checked `RawBatch`, or a reason why they cannot.

A record is taken whole or not at all, so every event in it is checked before the first is used.
"""

from google.protobuf.message import DecodeError

from fleetcap_proto.sealing import Keys, SealedError, is_sealed, opened
from fleetcap_proto.v1 import common_pb2, raw_pb2
from fleetcap_streams.engine.values import ConnectionInfo, Endpoint, Record

KNOWN_KINDS = frozenset(raw_pb2.EventKind.values()) - {raw_pb2.EVENT_KIND_UNSPECIFIED}


class UnreadableRecordError(ValueError):
    """The record cannot be used; the text says why and never holds any of its bytes."""


def unsealed(record: Record, keys: Keys) -> Record:
    """A record whose value is no longer encrypted; the same where it never was.

    Raises:
        UnreadableRecordError: its key is not known, or it was changed.
    """
    value = record.value
    if not value or not is_sealed(value):
        return record
    try:
        return record._replace(value=opened(record.key or b"", value, keys))
    except SealedError as error:
        raise UnreadableRecordError(str(error)) from error


def read_batch(record: Record, limit: int) -> raw_pb2.RawBatch:
    """Parse and check a record's value.

    Raises:
        UnreadableRecordError: it is empty, larger than `limit` bytes, not a RawBatch, cut, or contradicts itself.
    """
    value = record.value
    if not value:
        raise UnreadableRecordError("the value is empty")
    if len(value) > limit:
        raise UnreadableRecordError(f"the value has {len(value)} bytes, more than the limit of {limit}")
    try:
        batch = raw_pb2.RawBatch.FromString(value)
    except DecodeError as error:
        raise UnreadableRecordError("the value is not a RawBatch") from error
    _check(batch, record.key)
    return batch


def _check(batch: raw_pb2.RawBatch, key: bytes | None) -> None:
    if batch.HasField("sealed"):
        raise UnreadableRecordError(f"it is encrypted with the key {batch.sealed.key_id!r}, and no keys were given here")
    if batch.event_count and batch.event_count != len(batch.events):
        raise UnreadableRecordError(f"cut: {len(batch.events)} of {batch.event_count} events are there")
    if batch.HasField("tick"):
        return
    if not batch.events:
        raise UnreadableRecordError("it has no events and is no tick")
    uuid = batch.connection.uuid
    if uuid and (key is None or key.decode("utf-8", "replace") != uuid):
        raise UnreadableRecordError("the key is not the connection's UUID")
    for index, event in enumerate(batch.events):
        _check_event(index, event, uuid)


def _check_event(index: int, event: raw_pb2.RawEvent, uuid: str) -> None:
    if event.kind not in KNOWN_KINDS:
        raise UnreadableRecordError(f"event {index} is of the unknown kind {event.kind}")
    if event.kind <= raw_pb2.EVENT_KIND_CLOSED and not uuid:
        raise UnreadableRecordError(f"event {index} belongs to a connection, but the record names none")
    if event.kind != raw_pb2.EVENT_KIND_DATA:
        return
    if event.direction not in (common_pb2.DIRECTION_RECEIVED, common_pb2.DIRECTION_SENT):
        raise UnreadableRecordError(f"event {index} has the unknown direction {event.direction}")
    if event.length and event.length < len(event.payload):
        raise UnreadableRecordError(f"event {index} says it is shorter than its payload")


def connection_info(batch: raw_pb2.RawBatch) -> ConnectionInfo:
    """The plain form of a batch's connection; a copy, since a part of a parsed message keeps the whole of it in memory."""
    connection = batch.connection
    process = connection.process
    return ConnectionInfo(
        uuid=connection.uuid,
        node_id=batch.node_id,
        boot_id=batch.boot_id,
        revision=connection.revision,
        pid=process.pid,
        comm=process.comm,
        process_start_ns=process.start_ns,
        uid=process.uid,
        command_line=process.command_line,
        parent_pid=process.parent_pid,
        container_id=process.container_id,
        labels=tuple(sorted(process.labels.items())),
        tid=connection.tid,
        fd=connection.fd if connection.HasField("fd") else None,
        local=Endpoint(connection.local.ip, connection.local.port),
        remote=Endpoint(connection.remote.ip, connection.remote.port),
        sock=connection.sock,
        role=connection.role,
        source=connection.source,
        library=connection.library,
        tls_version=connection.tls_version,
        joined=connection.joined,
    )
