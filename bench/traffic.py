"""Records of the raw topic in any number: keep-alive HTTP/1.1 connections of small exchanges, as a producer ships them."""

from collections.abc import Iterator

from fleetcap_proto.v1 import common_pb2, raw_pb2

START_NS = 1_700_000_000_000_000_000
REQUEST = (
    b"GET /api/v1/items/%d?page=2 HTTP/1.1\r\nHost: api.example.com\r\nUser-Agent: curl/7.88.1\r\nAccept: */*\r\n"
    b"X-Request-Id: 7f3c%06d\r\n\r\n"
)
RESPONSE = (
    b"HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Mon, 23 Nov 2026 04:%02d:%02d GMT\r\nContent-Type: application/json\r\n"
    b'Content-Length: 27\r\nConnection: keep-alive\r\n\r\n{"id": 123, "name": "item"}'
)


def data_record(uuid: str, number: int, spoken: list[tuple[common_pb2.Direction, bytes]]) -> bytes:
    """A record with the first bytes of a connection, an event for each piece."""
    batch = raw_pb2.RawBatch(node_id="node", boot_id="boot", event_count=len(spoken))
    batch.connection.uuid, batch.connection.sock, batch.connection.process.pid = uuid, 0xFFFF888000000000 + number, 7
    positions = [0, 0]
    for place, (direction, payload) in enumerate(spoken):
        batch.events.add(
            kind=raw_pb2.EVENT_KIND_DATA,
            timestamp_ns=START_NS + place * 1_000_000,
            direction=direction,
            position=positions[direction],
            payload=payload,
        )
        positions[direction] += len(payload)
    return batch.SerializeToString()


class Connection:
    """One connection that goes on and on."""

    def __init__(self, number: int) -> None:
        self.uuid = f"node-{number % 50}.boot.{number}"
        self._number = number
        self._positions = [0, 0]
        self._exchanges = 0

    def record(self, exchanges: int) -> bytes:
        """The next record, with so many exchanges of two events each."""
        batch = raw_pb2.RawBatch(
            node_id=f"node-{self._number % 50}",
            boot_id="boot",
            event_count=2 * exchanges,
            connection=common_pb2.Connection(
                uuid=self.uuid,
                process=common_pb2.Process(pid=1000 + self._number, comm="client", start_ns=1),
                tid=1000 + self._number,
                fd=5,
                local=common_pb2.Endpoint(ip="192.0.2.1", port=10_000 + self._number % 50_000),
                remote=common_pb2.Endpoint(ip="198.51.100.7", port=443),
                sock=0xFFFF888000000000 + self._number,
                role=common_pb2.ROLE_CLIENT,
            ),
            events=[event for _ in range(exchanges) for event in self._exchange()],
        )
        return batch.SerializeToString()

    def _exchange(self) -> Iterator[raw_pb2.RawEvent]:
        number = self._exchanges
        self._exchanges += 1
        time_ns = START_NS + number * 2_000_000
        yield self._event(common_pb2.DIRECTION_SENT, REQUEST % (number % 1000, number), time_ns)
        answer = RESPONSE % (number // 60 % 60, number % 60)
        yield self._event(common_pb2.DIRECTION_RECEIVED, answer, time_ns + 800_000)

    def _event(self, direction: common_pb2.Direction, payload: bytes, time_ns: int) -> raw_pb2.RawEvent:
        position = self._positions[direction]
        self._positions[direction] += len(payload)
        return raw_pb2.RawEvent(
            kind=raw_pb2.EVENT_KIND_DATA, timestamp_ns=time_ns, direction=direction, position=position, payload=payload
        )
