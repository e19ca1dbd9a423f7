"""Builds records of the raw topic in a test: what a connection said, in order, by both clocks."""

from dataclasses import dataclass, field

from fleetcap_proto.v1 import common_pb2, raw_pb2
from fleetcap_streams.engine.values import Record

START_NS = 1_700_000_000_000_000_000
START_MS = START_NS // 1_000_000


@dataclass
class Talk:
    """One connection as a producer ships it. Times are milliseconds since the start of the test."""

    uuid: str = "node-1:c1"
    sock: int = 0xFFFF888000001000
    role: int = common_pb2.ROLE_CLIENT
    joined: bool = False
    pid: int = 1234
    position: list[int] = field(default_factory=lambda: [0, 0])

    def connection(self) -> common_pb2.Connection:
        return common_pb2.Connection(
            uuid=self.uuid,
            process=common_pb2.Process(pid=self.pid, comm="curl", start_ns=5),
            tid=self.pid,
            fd=3,
            local=common_pb2.Endpoint(ip="192.0.2.1", port=40000),
            remote=common_pb2.Endpoint(ip="198.51.100.2", port=443),
            sock=self.sock,
            role=common_pb2.Role.Name(self.role),
            joined=self.joined,
        )

    def data(self, direction: int, payload: bytes, at: float = 0, *, length: int = 0, tid: int = 0) -> raw_pb2.RawEvent:
        event = raw_pb2.RawEvent(
            kind=raw_pb2.EVENT_KIND_DATA,
            timestamp_ns=START_NS + int(at * 1_000_000),
            direction=common_pb2.Direction.Name(direction),
            position=self.position[direction],
            payload=payload,
            length=length,
            tid=tid,
        )
        self.position[direction] += length or len(payload)
        return event

    def sent(self, payload: bytes, at: float = 0, *, tid: int = 0) -> raw_pb2.RawEvent:
        return self.data(1, payload, at, tid=tid)

    def received(self, payload: bytes, at: float = 0, *, tid: int = 0) -> raw_pb2.RawEvent:
        return self.data(0, payload, at, tid=tid)

    def closed(self, at: float = 0, *, totals: tuple[int, int] | None = None) -> raw_pb2.RawEvent:
        received, sent = totals or self.position
        return raw_pb2.RawEvent(
            kind=raw_pb2.EVENT_KIND_CLOSED,
            timestamp_ns=START_NS + int(at * 1_000_000),
            closed=raw_pb2.Closed(received_bytes=received, sent_bytes=sent),
        )

    def batch(self, *events: raw_pb2.RawEvent) -> raw_pb2.RawBatch:
        return raw_pb2.RawBatch(
            node_id="node-1", boot_id="boot", connection=self.connection(), events=events, event_count=len(events)
        )


class Log:
    """A partition of the raw topic: offsets count up, log time is given with each record."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    def add(self, talk: Talk, *events: raw_pb2.RawEvent, at: float = 0) -> "Log":
        return self.raw(talk.uuid.encode(), talk.batch(*events).SerializeToString(), at=at)

    def tick(self, at: float) -> "Log":
        return self.raw(None, raw_pb2.RawBatch(tick=raw_pb2.Tick()).SerializeToString(), at=at)

    def raw(self, key: bytes | None, value: bytes | None, at: float = 0) -> "Log":
        self.records.append(Record(len(self.records), key, value, START_MS + int(at)))
        return self
