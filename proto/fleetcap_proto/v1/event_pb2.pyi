from fleetcap_proto.v1 import common_pb2 as _common_pb2
from fleetcap_proto.v1 import exchange_pb2 as _exchange_pb2
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class LogType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LOG_TYPE_HEARTBEAT: _ClassVar[LogType]
    LOG_TYPE_PROCESS_LOG: _ClassVar[LogType]
    LOG_TYPE_EVENT: _ClassVar[LogType]
LOG_TYPE_HEARTBEAT: LogType
LOG_TYPE_PROCESS_LOG: LogType
LOG_TYPE_EVENT: LogType

class LogEntry(_message.Message):
    __slots__ = ("log_type", "event_payload")
    LOG_TYPE_FIELD_NUMBER: _ClassVar[int]
    EVENT_PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    log_type: LogType
    event_payload: Event
    def __init__(self, log_type: _Optional[_Union[LogType, str]] = ..., event_payload: _Optional[_Union[Event, _Mapping]] = ...) -> None: ...

class Event(_message.Message):
    __slots__ = ("timestamp", "uuid", "pid", "pname", "src_ip", "src_port", "dst_ip", "dst_port", "type", "length", "payload", "protocol", "connection_uuid", "number", "complete", "missing_bytes", "raw", "message", "body_in_payload", "node_id", "process", "role")
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    UUID_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    PNAME_FIELD_NUMBER: _ClassVar[int]
    SRC_IP_FIELD_NUMBER: _ClassVar[int]
    SRC_PORT_FIELD_NUMBER: _ClassVar[int]
    DST_IP_FIELD_NUMBER: _ClassVar[int]
    DST_PORT_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    LENGTH_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    CONNECTION_UUID_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    COMPLETE_FIELD_NUMBER: _ClassVar[int]
    MISSING_BYTES_FIELD_NUMBER: _ClassVar[int]
    RAW_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    BODY_IN_PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    PROCESS_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    timestamp: int
    uuid: str
    pid: int
    pname: str
    src_ip: str
    src_port: int
    dst_ip: str
    dst_port: int
    type: int
    length: int
    payload: bytes
    protocol: str
    connection_uuid: str
    number: int
    complete: bool
    missing_bytes: int
    raw: bytes
    message: _exchange_pb2.Message
    body_in_payload: bool
    node_id: str
    process: _common_pb2.Process
    role: _common_pb2.Role
    def __init__(self, timestamp: _Optional[int] = ..., uuid: _Optional[str] = ..., pid: _Optional[int] = ..., pname: _Optional[str] = ..., src_ip: _Optional[str] = ..., src_port: _Optional[int] = ..., dst_ip: _Optional[str] = ..., dst_port: _Optional[int] = ..., type: _Optional[int] = ..., length: _Optional[int] = ..., payload: _Optional[bytes] = ..., protocol: _Optional[str] = ..., connection_uuid: _Optional[str] = ..., number: _Optional[int] = ..., complete: _Optional[bool] = ..., missing_bytes: _Optional[int] = ..., raw: _Optional[bytes] = ..., message: _Optional[_Union[_exchange_pb2.Message, _Mapping]] = ..., body_in_payload: _Optional[bool] = ..., node_id: _Optional[str] = ..., process: _Optional[_Union[_common_pb2.Process, _Mapping]] = ..., role: _Optional[_Union[_common_pb2.Role, str]] = ...) -> None: ...
