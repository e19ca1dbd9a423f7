"""The worker with the real engine on a real broker: connections that outlive their worker go on in the next one."""

import random
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import pytest

from fleetcap.broker import EmbeddedBroker
from fleetcap_proto import topics
from fleetcap_proto.v1 import exchange_pb2, raw_pb2
from tests.streams.kafka.harness import Topics, Worker, until_committed

pytestmark = [pytest.mark.kafka, pytest.mark.slow]
PARTITIONS = 2
CONNECTIONS = 6


class Conversation:
    """A keep-alive connection; each turn sends a request and a response, cut in the middle by a record's end."""

    def __init__(self, number: int) -> None:
        self.uuid = f"connection-{number}"
        self.partition = number % PARTITIONS
        self.turns = 0
        self._positions = [0, 0]

    def turn(self) -> list[bytes]:
        self.turns += 1
        request = b"GET /%d HTTP/1.1\r\nHost: h\r\n\r\n" % self.turns
        response = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
        pieces = [(1, request[:9]), (1, request[9:]), (0, response[:20]), (0, response[20:])]
        return [self._record(direction, payload) for direction, payload in pieces]

    def _record(self, direction: int, payload: bytes) -> bytes:
        batch = raw_pb2.RawBatch(node_id="n", event_count=1)
        batch.connection.uuid, batch.connection.sock, batch.connection.process.pid = self.uuid, 1, 7
        position = self._positions[direction]
        self._positions[direction] += len(payload)
        batch.events.add(
            kind=raw_pb2.EVENT_KIND_DATA,
            timestamp_ns=time.time_ns(),
            direction=direction,
            position=position,
            payload=payload,
        )
        return batch.SerializeToString()


def test_kills_in_the_middle_of_messages_lose_and_double_nothing(
    broker: EmbeddedBroker, make_topics: Callable[..., str], tmp_path: Path
) -> None:
    random.seed(11)
    where = Topics(broker.bootstrap_servers, make_topics(PARTITIONS), PARTITIONS)
    conversations = [Conversation(number) for number in range(CONNECTIONS)]
    waiting = [record for _ in range(40) for one in conversations for record in ((one, part) for part in one.turn())]
    while waiting:
        with Worker(where, tmp_path, "--real") as worker:
            worker.until_said("owns")
            for _ in range(330):  # not a multiple of a turn
                if waiting:
                    one, record = waiting.pop(0)
                    where.send_raw(one.uuid.encode(), record, one.partition)
                    where.flush()
            time.sleep(random.uniform(0, 0.3))
            worker.kill()
    with Worker(where, tmp_path, "--real") as worker:
        worker.until_said("owns")
        until_committed(where, worker)
        assert worker.stop() == 0, worker.said()
    seen: dict[str, list[tuple[int, str, int]]] = defaultdict(list)
    for message in where.read(topics.EXCHANGES):
        exchange = exchange_pb2.Exchange.FromString(message.value() or b"")
        seen[exchange.connection_uuid].append((exchange.number, exchange.request.http.target, exchange.response.http.status))
    assert seen == {one.uuid: [(n, f"/{n}", 200) for n in range(1, one.turns + 1)] for one in conversations}
    assert not where.read(topics.DEADLETTER)
