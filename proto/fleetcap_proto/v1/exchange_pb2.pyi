from fleetcap_proto.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Header(_message.Message):
    __slots__ = ("name", "value")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    name: str
    value: str
    def __init__(self, name: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...

class Http(_message.Message):
    __slots__ = ("method", "target", "authority", "version", "status", "reason", "headers", "trailers")
    METHOD_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    AUTHORITY_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    HEADERS_FIELD_NUMBER: _ClassVar[int]
    TRAILERS_FIELD_NUMBER: _ClassVar[int]
    method: str
    target: str
    authority: str
    version: str
    status: int
    reason: str
    headers: _containers.RepeatedCompositeFieldContainer[Header]
    trailers: _containers.RepeatedCompositeFieldContainer[Header]
    def __init__(self, method: _Optional[str] = ..., target: _Optional[str] = ..., authority: _Optional[str] = ..., version: _Optional[str] = ..., status: _Optional[int] = ..., reason: _Optional[str] = ..., headers: _Optional[_Iterable[_Union[Header, _Mapping]]] = ..., trailers: _Optional[_Iterable[_Union[Header, _Mapping]]] = ...) -> None: ...

class Attribute(_message.Message):
    __slots__ = ("name", "text", "number", "real", "flag", "data", "list")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    REAL_FIELD_NUMBER: _ClassVar[int]
    FLAG_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    LIST_FIELD_NUMBER: _ClassVar[int]
    name: str
    text: str
    number: int
    real: float
    flag: bool
    data: bytes
    list: AttributeList
    def __init__(self, name: _Optional[str] = ..., text: _Optional[str] = ..., number: _Optional[int] = ..., real: _Optional[float] = ..., flag: _Optional[bool] = ..., data: _Optional[bytes] = ..., list: _Optional[_Union[AttributeList, _Mapping]] = ...) -> None: ...

class AttributeList(_message.Message):
    __slots__ = ("items",)
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[Attribute]
    def __init__(self, items: _Optional[_Iterable[_Union[Attribute, _Mapping]]] = ...) -> None: ...

class Message(_message.Message):
    __slots__ = ("protocol", "direction", "start_ns", "end_ns", "body", "body_size", "body_sha256", "encoded_size", "complete", "missing_bytes", "notes", "http", "attributes", "number")
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    DIRECTION_FIELD_NUMBER: _ClassVar[int]
    START_NS_FIELD_NUMBER: _ClassVar[int]
    END_NS_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    BODY_SIZE_FIELD_NUMBER: _ClassVar[int]
    BODY_SHA256_FIELD_NUMBER: _ClassVar[int]
    ENCODED_SIZE_FIELD_NUMBER: _ClassVar[int]
    COMPLETE_FIELD_NUMBER: _ClassVar[int]
    MISSING_BYTES_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    HTTP_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    protocol: str
    direction: _common_pb2.Direction
    start_ns: int
    end_ns: int
    body: bytes
    body_size: int
    body_sha256: bytes
    encoded_size: int
    complete: bool
    missing_bytes: int
    notes: _containers.RepeatedScalarFieldContainer[str]
    http: Http
    attributes: _containers.RepeatedCompositeFieldContainer[Attribute]
    number: int
    def __init__(self, protocol: _Optional[str] = ..., direction: _Optional[_Union[_common_pb2.Direction, str]] = ..., start_ns: _Optional[int] = ..., end_ns: _Optional[int] = ..., body: _Optional[bytes] = ..., body_size: _Optional[int] = ..., body_sha256: _Optional[bytes] = ..., encoded_size: _Optional[int] = ..., complete: _Optional[bool] = ..., missing_bytes: _Optional[int] = ..., notes: _Optional[_Iterable[str]] = ..., http: _Optional[_Union[Http, _Mapping]] = ..., attributes: _Optional[_Iterable[_Union[Attribute, _Mapping]]] = ..., number: _Optional[int] = ...) -> None: ...

class Exchange(_message.Message):
    __slots__ = ("connection_uuid", "node_id", "protocol", "number", "process", "local", "remote", "role", "request", "response", "latency_ns", "interim")
    CONNECTION_UUID_FIELD_NUMBER: _ClassVar[int]
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    PROCESS_FIELD_NUMBER: _ClassVar[int]
    LOCAL_FIELD_NUMBER: _ClassVar[int]
    REMOTE_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    LATENCY_NS_FIELD_NUMBER: _ClassVar[int]
    INTERIM_FIELD_NUMBER: _ClassVar[int]
    connection_uuid: str
    node_id: str
    protocol: str
    number: int
    process: _common_pb2.Process
    local: _common_pb2.Endpoint
    remote: _common_pb2.Endpoint
    role: _common_pb2.Role
    request: Message
    response: Message
    latency_ns: int
    interim: _containers.RepeatedCompositeFieldContainer[Message]
    def __init__(self, connection_uuid: _Optional[str] = ..., node_id: _Optional[str] = ..., protocol: _Optional[str] = ..., number: _Optional[int] = ..., process: _Optional[_Union[_common_pb2.Process, _Mapping]] = ..., local: _Optional[_Union[_common_pb2.Endpoint, _Mapping]] = ..., remote: _Optional[_Union[_common_pb2.Endpoint, _Mapping]] = ..., role: _Optional[_Union[_common_pb2.Role, str]] = ..., request: _Optional[_Union[Message, _Mapping]] = ..., response: _Optional[_Union[Message, _Mapping]] = ..., latency_ns: _Optional[int] = ..., interim: _Optional[_Iterable[_Union[Message, _Mapping]]] = ...) -> None: ...
