from fleetcap_proto.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ConnectionState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CONNECTION_STATE_UNSPECIFIED: _ClassVar[ConnectionState]
    CONNECTION_STATE_OPENED: _ClassVar[ConnectionState]
    CONNECTION_STATE_CLOSED: _ClassVar[ConnectionState]

class CloseReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CLOSE_REASON_UNSPECIFIED: _ClassVar[CloseReason]
    CLOSE_REASON_DESTROYED: _ClassVar[CloseReason]
    CLOSE_REASON_IDLE: _ClassVar[CloseReason]
    CLOSE_REASON_DESTROY_LOST: _ClassVar[CloseReason]
    CLOSE_REASON_INPUT_ENDED: _ClassVar[CloseReason]
    CLOSE_REASON_OVER_LIMIT: _ClassVar[CloseReason]
CONNECTION_STATE_UNSPECIFIED: ConnectionState
CONNECTION_STATE_OPENED: ConnectionState
CONNECTION_STATE_CLOSED: ConnectionState
CLOSE_REASON_UNSPECIFIED: CloseReason
CLOSE_REASON_DESTROYED: CloseReason
CLOSE_REASON_IDLE: CloseReason
CLOSE_REASON_DESTROY_LOST: CloseReason
CLOSE_REASON_INPUT_ENDED: CloseReason
CLOSE_REASON_OVER_LIMIT: CloseReason

class DirectionTotals(_message.Message):
    __slots__ = ("bytes", "missing_bytes", "gaps", "duplicate_bytes", "messages")
    BYTES_FIELD_NUMBER: _ClassVar[int]
    MISSING_BYTES_FIELD_NUMBER: _ClassVar[int]
    GAPS_FIELD_NUMBER: _ClassVar[int]
    DUPLICATE_BYTES_FIELD_NUMBER: _ClassVar[int]
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    bytes: int
    missing_bytes: int
    gaps: int
    duplicate_bytes: int
    messages: int
    def __init__(self, bytes: _Optional[int] = ..., missing_bytes: _Optional[int] = ..., gaps: _Optional[int] = ..., duplicate_bytes: _Optional[int] = ..., messages: _Optional[int] = ...) -> None: ...

class ConnectionRecord(_message.Message):
    __slots__ = ("connection", "node_id", "boot_id", "state", "close_reason", "opened_ns", "closed_ns", "protocol", "received", "sent", "exchanges", "segment", "notes")
    CONNECTION_FIELD_NUMBER: _ClassVar[int]
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    BOOT_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    CLOSE_REASON_FIELD_NUMBER: _ClassVar[int]
    OPENED_NS_FIELD_NUMBER: _ClassVar[int]
    CLOSED_NS_FIELD_NUMBER: _ClassVar[int]
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    RECEIVED_FIELD_NUMBER: _ClassVar[int]
    SENT_FIELD_NUMBER: _ClassVar[int]
    EXCHANGES_FIELD_NUMBER: _ClassVar[int]
    SEGMENT_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    connection: _common_pb2.Connection
    node_id: str
    boot_id: str
    state: ConnectionState
    close_reason: CloseReason
    opened_ns: int
    closed_ns: int
    protocol: str
    received: DirectionTotals
    sent: DirectionTotals
    exchanges: int
    segment: int
    notes: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, connection: _Optional[_Union[_common_pb2.Connection, _Mapping]] = ..., node_id: _Optional[str] = ..., boot_id: _Optional[str] = ..., state: _Optional[_Union[ConnectionState, str]] = ..., close_reason: _Optional[_Union[CloseReason, str]] = ..., opened_ns: _Optional[int] = ..., closed_ns: _Optional[int] = ..., protocol: _Optional[str] = ..., received: _Optional[_Union[DirectionTotals, _Mapping]] = ..., sent: _Optional[_Union[DirectionTotals, _Mapping]] = ..., exchanges: _Optional[int] = ..., segment: _Optional[int] = ..., notes: _Optional[_Iterable[str]] = ...) -> None: ...
