"""Conversations of known content, sent for as long as a test lasts: what must come out is known without any engine."""

import itertools
import random
import threading
import time
from collections import deque
from types import TracebackType
from typing import Final, Self

from confluent_kafka import Producer

from fleetcap_proto import topics
from fleetcap_proto.v1 import raw_pb2

OPEN: Final = 24  # connections at any time
TURNS: Final = (3, 60)  # of a connection until it closes


class Conversation:
    """A keep-alive connection: requests numbered from 1, each with its response, cut at odd places into raw records."""

    def __init__(self, number: int, partitions: int, rng: random.Random) -> None:
        self.uuid = f"connection-{number}"
        self.partition = number % partitions
        self.turns = 0
        self.left = rng.randint(*TURNS)
        self._rng = rng
        self._positions = [0, 0]

    def turn(self) -> list[bytes]:
        """Records of the next request and its response; after the last turn of the connection's end too."""
        self.turns += 1
        self.left -= 1
        body = b"%d " % self.turns * self._rng.randint(1, 300)
        request = b"GET /%d HTTP/1.1\r\nHost: h\r\n\r\n" % self.turns
        response = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
        records = [
            self._data(direction, piece) for direction, whole in ((1, request), (0, response)) for piece in self._cut(whole)
        ]
        return records if self.left else [*records, self._closed()]

    def _cut(self, whole: bytes) -> list[bytes]:
        at = self._rng.randrange(1, len(whole))
        return [whole[:at], whole[at:]]

    def _data(self, direction: int, payload: bytes) -> bytes:
        batch = self._batch()
        batch.events.add(
            kind=raw_pb2.EVENT_KIND_DATA,
            timestamp_ns=time.time_ns(),
            direction=direction,
            position=self._positions[direction],
            payload=payload,
        )
        self._positions[direction] += len(payload)
        return batch.SerializeToString()

    def _closed(self) -> bytes:
        batch = self._batch()
        batch.events.add(kind=raw_pb2.EVENT_KIND_CLOSED, timestamp_ns=time.time_ns())
        return batch.SerializeToString()

    def _batch(self) -> raw_pb2.RawBatch:
        batch = raw_pb2.RawBatch(node_id="n", event_count=1)
        batch.connection.uuid, batch.connection.sock, batch.connection.process.pid = self.uuid, 1, 7
        return batch


class Talk:
    """Sends in the background until its block ends; `turns` is how many exchanges each connection has had."""

    def __init__(self, bootstrap_servers: str, prefix: str, partitions: int, seed: int, pause_s: float = 0.004) -> None:
        self.turns: dict[str, int] = {}
        self._topic = prefix + topics.RAW
        self._partitions = partitions
        self._pause_s = pause_s
        self._rng = random.Random(seed)
        self._numbers = itertools.count()
        self._producer = Producer(
            {"bootstrap.servers": bootstrap_servers, "enable.idempotence": True, "linger.ms": 5, "log_level": 0}
        )
        self._failed: list[str] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.finish()

    def finish(self) -> None:
        """Stop, with everything delivered."""
        if not self._over.is_set():
            self._over.set()
            self._thread.join()
            assert self._producer.flush(120) == 0
            assert not self._failed, self._failed

    def _run(self) -> None:
        conversations: deque[Conversation] = deque()
        while not self._over.is_set():
            while len(conversations) < OPEN:
                conversations.append(Conversation(next(self._numbers), self._partitions, self._rng))
            one = conversations.popleft()
            for record in one.turn():
                self._send(one, record)
            self.turns[one.uuid] = one.turns
            if one.left:
                conversations.append(one)
            time.sleep(self._pause_s)

    def _send(self, one: Conversation, record: bytes) -> None:
        while True:
            try:
                self._producer.produce(self._topic, record, one.uuid.encode(), one.partition, on_delivery=self._delivered)
            except BufferError:
                self._producer.poll(0.1)
            else:
                self._producer.poll(0)
                return

    def _delivered(self, error: object, _message: object) -> None:
        if error is not None:
            self._failed.append(str(error))
