"""What goes into the engine and what comes out of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple, TypeAlias

from fleetcap_proto.v1 import activity_pb2, secrets_pb2
from fleetcap_streams.protocols.contract import Message


class Record(NamedTuple):
    """One record of the raw topic, readable or not. `log_time_ms` is the broker's append timestamp."""

    offset: int
    key: bytes | None
    value: bytes | None
    log_time_ms: int


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One end of a socket; ip empty where not known."""

    ip: str = ""
    port: int = 0

    def __str__(self) -> str:
        """`ip:port`, IPv6 in brackets, as in the reference's tuples."""
        return f"[{self.ip}]:{self.port}" if ":" in self.ip else f"{self.ip}:{self.port}"


@dataclass(frozen=True, slots=True)
class ConnectionInfo:
    """Who and where a connection is; the plain form of the schema's `Connection`, plus its node."""

    uuid: str
    node_id: str = ""
    boot_id: str = ""
    revision: int = 0
    pid: int = 0
    comm: str = ""
    process_start_ns: int = 0
    uid: int = 0
    command_line: str = ""
    parent_pid: int = 0
    container_id: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    tid: int = 0
    fd: int | None = None
    local: Endpoint = Endpoint()
    remote: Endpoint = Endpoint()
    sock: int = 0
    role: int = 0  # the schema's Role
    source: int = 0  # the schema's Source
    library: str = ""
    tls_version: int = 0
    joined: bool = False

    def event_uuid(self, direction: int, tid: int, comm: str) -> str:
        """The reference's event UUID as it stands on output: no `sock:` prefix, no trailing socket address."""
        fd = 0 if self.fd is None else self.fd
        plain = f"{self.pid}_{tid or self.tid}_{comm or self.comm}_{fd}_{int(direction)}"
        return f"{plain}_{self.local}-{self.remote}" if self.sock else plain


class CloseReason(Enum):
    """Why a segment ended; the values are the schema's."""

    DESTROYED = 1
    IDLE = 2
    DESTROY_LOST = 3
    INPUT_ENDED = 4
    OVER_LIMIT = 5


@dataclass(slots=True)
class Totals:
    """What crossed one direction, as far as the engine got to see it."""

    bytes: int = 0
    missing_bytes: int = 0
    gaps: int = 0
    duplicate_bytes: int = 0
    messages: int = 0


@dataclass(slots=True)
class MessageOut:
    """A decoded message; `number` counts the connection's messages from 1."""

    connection: ConnectionInfo
    message: Message
    number: int


@dataclass(slots=True)
class ExchangeOut:
    """A request with its response; one of them may be None. `number` counts the connection's exchanges from 1."""

    connection: ConnectionInfo
    number: int
    request: Message | None
    response: Message | None
    interim: Sequence[Message]

    @property
    def latency_ns(self) -> int | None:
        """First byte of the request to first byte of the final response, or None where either is missing."""
        if self.request is None or self.response is None:
            return None
        return self.response.start_ns - self.request.start_ns


@dataclass(slots=True)
class ConnectionOut:
    """A connection was first seen (`reason` None) or a segment of it ended."""

    connection: ConnectionInfo
    reason: CloseReason | None
    opened_ns: int
    closed_ns: int
    protocol: str
    received: Totals
    sent: Totals
    exchanges: int
    segment: int
    notes: tuple[str, ...]


@dataclass(slots=True)
class ActivityOut:
    """A finished fact, put out as it came in."""

    activity: activity_pb2.Activity


@dataclass(slots=True)
class SecretOut:
    """Key material, put out as it came in."""

    key: secrets_pb2.KeyLogEntry


@dataclass(slots=True)
class DeadLetterOut:
    """A record that could not be read, untouched, and why."""

    record: Record
    reason: str


@dataclass(slots=True)
class EncodedOut:
    """Whole exchanges of a connection as the serialized records of their messages and of themselves, each in order."""

    connection: ConnectionInfo
    messages: list[bytes]
    exchanges: list[bytes]


Output: TypeAlias = EncodedOut | MessageOut | ExchangeOut | ConnectionOut | ActivityOut | SecretOut | DeadLetterOut
