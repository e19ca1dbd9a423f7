from fleetcap_proto.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ActivityKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ACTIVITY_KIND_UNSPECIFIED: _ClassVar[ActivityKind]
    ACTIVITY_KIND_SHELL_LINE: _ClassVar[ActivityKind]
    ACTIVITY_KIND_QUERY: _ClassVar[ActivityKind]
    ACTIVITY_KIND_NODE_HEALTH: _ClassVar[ActivityKind]
ACTIVITY_KIND_UNSPECIFIED: ActivityKind
ACTIVITY_KIND_SHELL_LINE: ActivityKind
ACTIVITY_KIND_QUERY: ActivityKind
ACTIVITY_KIND_NODE_HEALTH: ActivityKind

class NodeHealth(_message.Message):
    __slots__ = ("started_ns", "captured_events", "captured_bytes", "lost_events", "lost_bytes", "connections", "spool_bytes")
    class LostEventsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    class LostBytesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    STARTED_NS_FIELD_NUMBER: _ClassVar[int]
    CAPTURED_EVENTS_FIELD_NUMBER: _ClassVar[int]
    CAPTURED_BYTES_FIELD_NUMBER: _ClassVar[int]
    LOST_EVENTS_FIELD_NUMBER: _ClassVar[int]
    LOST_BYTES_FIELD_NUMBER: _ClassVar[int]
    CONNECTIONS_FIELD_NUMBER: _ClassVar[int]
    SPOOL_BYTES_FIELD_NUMBER: _ClassVar[int]
    started_ns: int
    captured_events: int
    captured_bytes: int
    lost_events: _containers.ScalarMap[str, int]
    lost_bytes: _containers.ScalarMap[str, int]
    connections: _containers.RepeatedCompositeFieldContainer[ConnectionLoss]
    spool_bytes: int
    def __init__(self, started_ns: _Optional[int] = ..., captured_events: _Optional[int] = ..., captured_bytes: _Optional[int] = ..., lost_events: _Optional[_Mapping[str, int]] = ..., lost_bytes: _Optional[_Mapping[str, int]] = ..., connections: _Optional[_Iterable[_Union[ConnectionLoss, _Mapping]]] = ..., spool_bytes: _Optional[int] = ...) -> None: ...

class ConnectionLoss(_message.Message):
    __slots__ = ("uuid", "events", "bytes")
    UUID_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    uuid: str
    events: int
    bytes: int
    def __init__(self, uuid: _Optional[str] = ..., events: _Optional[int] = ..., bytes: _Optional[int] = ...) -> None: ...

class Activity(_message.Message):
    __slots__ = ("kind", "node_id", "timestamp_ns", "process", "text", "exit_status", "program", "truncated", "health")
    KIND_FIELD_NUMBER: _ClassVar[int]
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_NS_FIELD_NUMBER: _ClassVar[int]
    PROCESS_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    EXIT_STATUS_FIELD_NUMBER: _ClassVar[int]
    PROGRAM_FIELD_NUMBER: _ClassVar[int]
    TRUNCATED_FIELD_NUMBER: _ClassVar[int]
    HEALTH_FIELD_NUMBER: _ClassVar[int]
    kind: ActivityKind
    node_id: str
    timestamp_ns: int
    process: _common_pb2.Process
    text: str
    exit_status: int
    program: str
    truncated: bool
    health: NodeHealth
    def __init__(self, kind: _Optional[_Union[ActivityKind, str]] = ..., node_id: _Optional[str] = ..., timestamp_ns: _Optional[int] = ..., process: _Optional[_Union[_common_pb2.Process, _Mapping]] = ..., text: _Optional[str] = ..., exit_status: _Optional[int] = ..., program: _Optional[str] = ..., truncated: _Optional[bool] = ..., health: _Optional[_Union[NodeHealth, _Mapping]] = ...) -> None: ...
