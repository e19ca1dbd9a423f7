from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Direction(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DIRECTION_RECEIVED: _ClassVar[Direction]
    DIRECTION_SENT: _ClassVar[Direction]

class Role(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ROLE_UNSPECIFIED: _ClassVar[Role]
    ROLE_CLIENT: _ClassVar[Role]
    ROLE_SERVER: _ClassVar[Role]

class Source(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SOURCE_UNSPECIFIED: _ClassVar[Source]
    SOURCE_OPENSSL: _ClassVar[Source]
    SOURCE_SOCKET: _ClassVar[Source]
    SOURCE_GNUTLS: _ClassVar[Source]
    SOURCE_NSS: _ClassVar[Source]
    SOURCE_GO_TLS: _ClassVar[Source]
    SOURCE_PACKETS: _ClassVar[Source]
DIRECTION_RECEIVED: Direction
DIRECTION_SENT: Direction
ROLE_UNSPECIFIED: Role
ROLE_CLIENT: Role
ROLE_SERVER: Role
SOURCE_UNSPECIFIED: Source
SOURCE_OPENSSL: Source
SOURCE_SOCKET: Source
SOURCE_GNUTLS: Source
SOURCE_NSS: Source
SOURCE_GO_TLS: Source
SOURCE_PACKETS: Source

class Endpoint(_message.Message):
    __slots__ = ("ip", "port")
    IP_FIELD_NUMBER: _ClassVar[int]
    PORT_FIELD_NUMBER: _ClassVar[int]
    ip: str
    port: int
    def __init__(self, ip: _Optional[str] = ..., port: _Optional[int] = ...) -> None: ...

class Process(_message.Message):
    __slots__ = ("pid", "comm", "start_ns", "uid", "command_line", "parent_pid", "container_id", "labels")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    PID_FIELD_NUMBER: _ClassVar[int]
    COMM_FIELD_NUMBER: _ClassVar[int]
    START_NS_FIELD_NUMBER: _ClassVar[int]
    UID_FIELD_NUMBER: _ClassVar[int]
    COMMAND_LINE_FIELD_NUMBER: _ClassVar[int]
    PARENT_PID_FIELD_NUMBER: _ClassVar[int]
    CONTAINER_ID_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    pid: int
    comm: str
    start_ns: int
    uid: int
    command_line: str
    parent_pid: int
    container_id: str
    labels: _containers.ScalarMap[str, str]
    def __init__(self, pid: _Optional[int] = ..., comm: _Optional[str] = ..., start_ns: _Optional[int] = ..., uid: _Optional[int] = ..., command_line: _Optional[str] = ..., parent_pid: _Optional[int] = ..., container_id: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ...) -> None: ...

class Connection(_message.Message):
    __slots__ = ("uuid", "revision", "process", "tid", "fd", "local", "remote", "sock", "role", "source", "library", "tls_version", "joined")
    UUID_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    PROCESS_FIELD_NUMBER: _ClassVar[int]
    TID_FIELD_NUMBER: _ClassVar[int]
    FD_FIELD_NUMBER: _ClassVar[int]
    LOCAL_FIELD_NUMBER: _ClassVar[int]
    REMOTE_FIELD_NUMBER: _ClassVar[int]
    SOCK_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    LIBRARY_FIELD_NUMBER: _ClassVar[int]
    TLS_VERSION_FIELD_NUMBER: _ClassVar[int]
    JOINED_FIELD_NUMBER: _ClassVar[int]
    uuid: str
    revision: int
    process: Process
    tid: int
    fd: int
    local: Endpoint
    remote: Endpoint
    sock: int
    role: Role
    source: Source
    library: str
    tls_version: int
    joined: bool
    def __init__(self, uuid: _Optional[str] = ..., revision: _Optional[int] = ..., process: _Optional[_Union[Process, _Mapping]] = ..., tid: _Optional[int] = ..., fd: _Optional[int] = ..., local: _Optional[_Union[Endpoint, _Mapping]] = ..., remote: _Optional[_Union[Endpoint, _Mapping]] = ..., sock: _Optional[int] = ..., role: _Optional[_Union[Role, str]] = ..., source: _Optional[_Union[Source, str]] = ..., library: _Optional[str] = ..., tls_version: _Optional[int] = ..., joined: _Optional[bool] = ...) -> None: ...
