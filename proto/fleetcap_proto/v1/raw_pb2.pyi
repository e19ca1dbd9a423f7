from fleetcap_proto.v1 import activity_pb2 as _activity_pb2
from fleetcap_proto.v1 import common_pb2 as _common_pb2
from fleetcap_proto.v1 import secrets_pb2 as _secrets_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class EventKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    EVENT_KIND_UNSPECIFIED: _ClassVar[EventKind]
    EVENT_KIND_DATA: _ClassVar[EventKind]
    EVENT_KIND_OPENED: _ClassVar[EventKind]
    EVENT_KIND_CLOSED: _ClassVar[EventKind]
    EVENT_KIND_ACTIVITY: _ClassVar[EventKind]
    EVENT_KIND_KEY: _ClassVar[EventKind]
EVENT_KIND_UNSPECIFIED: EventKind
EVENT_KIND_DATA: EventKind
EVENT_KIND_OPENED: EventKind
EVENT_KIND_CLOSED: EventKind
EVENT_KIND_ACTIVITY: EventKind
EVENT_KIND_KEY: EventKind

class RawEvent(_message.Message):
    __slots__ = ("kind", "timestamp_ns", "direction", "position", "payload", "length", "tid", "comm", "closed", "activity", "key")
    KIND_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_NS_FIELD_NUMBER: _ClassVar[int]
    DIRECTION_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    LENGTH_FIELD_NUMBER: _ClassVar[int]
    TID_FIELD_NUMBER: _ClassVar[int]
    COMM_FIELD_NUMBER: _ClassVar[int]
    CLOSED_FIELD_NUMBER: _ClassVar[int]
    ACTIVITY_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    kind: EventKind
    timestamp_ns: int
    direction: _common_pb2.Direction
    position: int
    payload: bytes
    length: int
    tid: int
    comm: str
    closed: Closed
    activity: _activity_pb2.Activity
    key: _secrets_pb2.KeyLogEntry
    def __init__(self, kind: _Optional[_Union[EventKind, str]] = ..., timestamp_ns: _Optional[int] = ..., direction: _Optional[_Union[_common_pb2.Direction, str]] = ..., position: _Optional[int] = ..., payload: _Optional[bytes] = ..., length: _Optional[int] = ..., tid: _Optional[int] = ..., comm: _Optional[str] = ..., closed: _Optional[_Union[Closed, _Mapping]] = ..., activity: _Optional[_Union[_activity_pb2.Activity, _Mapping]] = ..., key: _Optional[_Union[_secrets_pb2.KeyLogEntry, _Mapping]] = ...) -> None: ...

class Closed(_message.Message):
    __slots__ = ("received_bytes", "sent_bytes")
    RECEIVED_BYTES_FIELD_NUMBER: _ClassVar[int]
    SENT_BYTES_FIELD_NUMBER: _ClassVar[int]
    received_bytes: int
    sent_bytes: int
    def __init__(self, received_bytes: _Optional[int] = ..., sent_bytes: _Optional[int] = ...) -> None: ...

class Tick(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Sealed(_message.Message):
    __slots__ = ("key_id", "salt", "number", "ciphertext")
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    SALT_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    CIPHERTEXT_FIELD_NUMBER: _ClassVar[int]
    key_id: str
    salt: bytes
    number: int
    ciphertext: bytes
    def __init__(self, key_id: _Optional[str] = ..., salt: _Optional[bytes] = ..., number: _Optional[int] = ..., ciphertext: _Optional[bytes] = ...) -> None: ...

class RawBatch(_message.Message):
    __slots__ = ("node_id", "boot_id", "event_count", "connection", "events", "tick", "sealed")
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    BOOT_ID_FIELD_NUMBER: _ClassVar[int]
    EVENT_COUNT_FIELD_NUMBER: _ClassVar[int]
    CONNECTION_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    TICK_FIELD_NUMBER: _ClassVar[int]
    SEALED_FIELD_NUMBER: _ClassVar[int]
    node_id: str
    boot_id: str
    event_count: int
    connection: _common_pb2.Connection
    events: _containers.RepeatedCompositeFieldContainer[RawEvent]
    tick: Tick
    sealed: Sealed
    def __init__(self, node_id: _Optional[str] = ..., boot_id: _Optional[str] = ..., event_count: _Optional[int] = ..., connection: _Optional[_Union[_common_pb2.Connection, _Mapping]] = ..., events: _Optional[_Iterable[_Union[RawEvent, _Mapping]]] = ..., tick: _Optional[_Union[Tick, _Mapping]] = ..., sealed: _Optional[_Union[Sealed, _Mapping]] = ...) -> None: ...
