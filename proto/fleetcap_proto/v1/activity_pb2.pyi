from fleetcap_proto.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ActivityKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ACTIVITY_KIND_UNSPECIFIED: _ClassVar[ActivityKind]
    ACTIVITY_KIND_SHELL_LINE: _ClassVar[ActivityKind]
    ACTIVITY_KIND_QUERY: _ClassVar[ActivityKind]
ACTIVITY_KIND_UNSPECIFIED: ActivityKind
ACTIVITY_KIND_SHELL_LINE: ActivityKind
ACTIVITY_KIND_QUERY: ActivityKind

class Activity(_message.Message):
    __slots__ = ("kind", "node_id", "timestamp_ns", "process", "text", "exit_status", "program", "truncated")
    KIND_FIELD_NUMBER: _ClassVar[int]
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_NS_FIELD_NUMBER: _ClassVar[int]
    PROCESS_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    EXIT_STATUS_FIELD_NUMBER: _ClassVar[int]
    PROGRAM_FIELD_NUMBER: _ClassVar[int]
    TRUNCATED_FIELD_NUMBER: _ClassVar[int]
    kind: ActivityKind
    node_id: str
    timestamp_ns: int
    process: _common_pb2.Process
    text: str
    exit_status: int
    program: str
    truncated: bool
    def __init__(self, kind: _Optional[_Union[ActivityKind, str]] = ..., node_id: _Optional[str] = ..., timestamp_ns: _Optional[int] = ..., process: _Optional[_Union[_common_pb2.Process, _Mapping]] = ..., text: _Optional[str] = ..., exit_status: _Optional[int] = ..., program: _Optional[str] = ..., truncated: _Optional[bool] = ...) -> None: ...
