"""Reads fleetcap's output topics from their beginning, as any consumer would, and keeps what the demo has to compare.

It must not know what was expected.
"""

import threading
import time
from collections.abc import Callable
from contextlib import closing
from typing import Final

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition
from google.protobuf.message import DecodeError

from fleetcap.demo.errors import DemoError
from fleetcap_proto import topics
from fleetcap_proto.v1 import connection_pb2, exchange_pb2, raw_pb2

_WATCHED: Final = (topics.EXCHANGES, topics.CONNECTIONS, topics.DEADLETTER)
_TIMEOUT_S = 15.0


class Watch:
    """Everything on the output topics so far; read by a thread of its own between `start` and `stop`."""

    def __init__(self, bootstrap_servers: str) -> None:
        self._servers = bootstrap_servers
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch")
        self._exchanges: list[exchange_pb2.Exchange] = []
        self._connections: dict[str, connection_pb2.ConnectionRecord] = {}
        self._unreadable = 0
        self._failure = ""

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End. What was read stays."""
        self._stop.set()
        if self._thread.ident:
            self._thread.join()

    def exchanges(self) -> list[exchange_pb2.Exchange]:
        """All so far, in no particular order across connections.

        Raises:
            DemoError: they could not be read.
        """
        if self._failure:
            raise DemoError(self._failure)
        with self._lock:
            return list(self._exchanges)

    def closed(self) -> list[connection_pb2.ConnectionRecord]:
        """The records of connections that have ended."""
        with self._lock:
            return list(self._connections.values())

    def unreadable(self) -> int:
        """How many records ended in the dead-letter topic."""
        return self._unreadable

    def _run(self) -> None:
        try:
            with closing(_consumer(self._servers)) as consumer:
                consumer.assign(_partitions(consumer, _WATCHED))
                while not self._stop.is_set():
                    for message in consumer.consume(1000, timeout=0.1):
                        self._take(message)
        except (KafkaException, DecodeError) as error:
            self._failure = f"the output topics cannot be read: {error}; see the broker's log"

    def _take(self, message: Message) -> None:
        if message.error():
            raise KafkaException(message.error())
        value = message.value() or b""
        with self._lock:
            match message.topic():
                case topics.EXCHANGES:
                    self._exchanges.append(exchange_pb2.Exchange.FromString(value))
                case topics.CONNECTIONS:
                    record = connection_pb2.ConnectionRecord.FromString(value)
                    if record.state == connection_pb2.CONNECTION_STATE_CLOSED:
                        self._connections[record.connection.uuid] = record
                case _:
                    self._unreadable += 1


def raw_batches(bootstrap_servers: str, enough: Callable[[raw_pb2.RawBatch], bool], timeout_s: float) -> bool:
    """Read the raw topic from its beginning until `enough` says so for a record; False where it did not in time."""
    deadline = time.monotonic() + timeout_s
    with closing(_consumer(bootstrap_servers)) as consumer:
        consumer.assign(_partitions(consumer, (topics.RAW,)))
        while time.monotonic() < deadline:
            for message in consumer.consume(1000, timeout=0.1):
                if not message.error() and enough(raw_pb2.RawBatch.FromString(message.value() or b"")):
                    return True
    return False


def _consumer(servers: str) -> Consumer:
    # The group is never joined: partitions are assigned, and nothing is committed.
    options = {"auto.offset.reset": "earliest", "enable.auto.commit": False, "isolation.level": "read_committed"}
    return Consumer({"bootstrap.servers": servers, "group.id": "fleetcap-demo-watch", "log_level": 0, **options})


def _partitions(consumer: Consumer, names: tuple[str, ...]) -> list[TopicPartition]:
    found = consumer.list_topics(timeout=_TIMEOUT_S).topics
    return [TopicPartition(name, partition, 0) for name in names for partition in found[name].partitions]
