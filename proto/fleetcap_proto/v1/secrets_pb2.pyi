from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class KeyLogEntry(_message.Message):
    __slots__ = ("label", "client_random", "secret", "connection_uuid", "node_id", "timestamp_ns")
    LABEL_FIELD_NUMBER: _ClassVar[int]
    CLIENT_RANDOM_FIELD_NUMBER: _ClassVar[int]
    SECRET_FIELD_NUMBER: _ClassVar[int]
    CONNECTION_UUID_FIELD_NUMBER: _ClassVar[int]
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_NS_FIELD_NUMBER: _ClassVar[int]
    label: str
    client_random: bytes
    secret: bytes
    connection_uuid: str
    node_id: str
    timestamp_ns: int
    def __init__(self, label: _Optional[str] = ..., client_random: _Optional[bytes] = ..., secret: _Optional[bytes] = ..., connection_uuid: _Optional[str] = ..., node_id: _Optional[str] = ..., timestamp_ns: _Optional[int] = ...) -> None: ...
