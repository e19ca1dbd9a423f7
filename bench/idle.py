"""What connections cost that are open and silent: memory for each, time of an event of another one beside them, and time to
take them all back after a crash. Engine only; states are taken as a checkpoint takes them.

.venv/bin/python -m bench.idle [--connections 1000000] [--restored 100000] [--rounds 5]
"""

import argparse
import gc
import statistics
import time
from collections.abc import Iterator

from h2.config import H2Configuration
from h2.connection import H2Connection

from bench.memory import resident_kib
from bench.traffic import Connection, data_record
from fleetcap_proto.v1 import common_pb2
from fleetcap_streams.engine.engine import Engine
from fleetcap_streams.engine.limits import EngineLimits
from fleetcap_streams.engine.values import Record
from fleetcap_streams.fast.loading import shortcut
from fleetcap_streams.protocols.registry import default_registry

START_MS = 1_700_000_000_000
APART_MS = 5  # between two connections: the first fall silent while the last still open
FEW = 1000
BUSY = 100  # connections that go on beside the silent ones
SAMPLE = 20_000  # of HTTP/2, which takes long to make


def engine_of(connections: int) -> Engine:
    limits = EngineLimits(connections=connections + BUSY)
    return Engine(default_registry(), limits, shortcut(limits))


class Partition:
    """An engine with its own log: what is fed gets the next offset."""

    def __init__(self, connections: int) -> None:
        self.engine = engine_of(connections)
        self.offset = 0
        self.now_ms = START_MS

    def feed(self, key: str, value: bytes) -> None:
        self.engine.feed([Record(self.offset, key.encode(), value, self.now_ms)])
        self.offset += 1

    def checkpoint(self) -> int:
        """Bytes of all states that changed."""
        return sum(len(state or b"") for _, state in self.engine.changed())

    def open_all(self, connections: Iterator[tuple[str, bytes]]) -> None:
        """Let each have its say and fall silent, with a checkpoint for every hundred of them."""
        for number, (key, value) in enumerate(connections):
            self.feed(key, value)
            self.now_ms += APART_MS
            if number % 100 == 0:
                self.checkpoint()
        self.now_ms += 2000
        self.feed("tick", b"")
        self.checkpoint()


def http1(count: int) -> Iterator[tuple[str, bytes]]:
    for number in range(count):
        connection = Connection(number)
        yield connection.uuid, connection.record(1)


def http2(count: int) -> Iterator[tuple[str, bytes]]:
    for number in range(count):
        yield f"node.boot.h2.{number}", data_record(f"node.boot.h2.{number}", number, spoken(number))


def spoken(number: int) -> list[tuple[common_pb2.Direction, bytes]]:
    """Preface, settings and one exchange, as the h2 library speaks them."""
    client = H2Connection(H2Configuration(client_side=True))
    server = H2Connection(H2Configuration(client_side=False))
    client.initiate_connection()
    server.initiate_connection()
    request = [(":method", "GET"), (":scheme", "https"), (":authority", "shop.example.test"), (":path", f"/v1/items/{number}")]
    client.send_headers(1, [*request, ("user-agent", "fleet/1.0"), ("x-request-id", f"{number:032x}")], end_stream=True)
    asked = client.data_to_send()
    server.receive_data(asked)
    server.send_headers(1, [(":status", "200"), ("content-type", "application/json"), ("etag", f'"{number:x}"')])
    server.send_data(1, b'{"id": 1}', end_stream=True)
    return [(common_pb2.DIRECTION_SENT, asked), (common_pb2.DIRECTION_RECEIVED, server.data_to_send())]


def busy_time(partition: Partition, busy: list[Connection], records: int) -> float:
    """Microseconds of processor time for an event of the busy connections, checkpoints among them."""
    values = [(one.uuid, one.record(4)) for _ in range(records // len(busy)) for one in busy]
    began = time.process_time()
    for number, (key, value) in enumerate(values):
        partition.feed(key, value)
        partition.now_ms += number % 2
        if number % 500 == 0:
            partition.checkpoint()
    return (time.process_time() - began) / (len(values) * 8) * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--connections", type=int, default=1_000_000)
    parser.add_argument("--restored", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    print("| silent connections | resident memory of each |\n| --- | --- |")
    partitions = []
    for name, kind, count in (("HTTP/2", http2, SAMPLE), ("HTTP/1", http1, FEW), ("HTTP/1", http1, options.connections)):
        gc.collect()
        before = resident_kib()
        partitions.append(Partition(count))
        partitions[-1].open_all(kind(count))
        gc.collect()
        if count > FEW:
            print(f"| {count:,} {name} | {(resident_kib() - before) * 1024 / count:,.0f} bytes |", flush=True)
    _, few, many = partitions
    crews = [[Connection(10_000_000 + 1000 * number + one) for one in range(BUSY)] for number in range(2)]
    rounds = [[busy_time(few, crews[0], 2000), busy_time(many, crews[1], 2000)] for _ in range(options.rounds)]
    costs = [statistics.median(column) for column in zip(*rounds, strict=True)]
    print("\n| silent connections beside it | µs an event |\n| --- | --- |")
    print(
        f"| {FEW:,} | {costs[0]:.2f} |\n| {options.connections:,} | {costs[1]:.2f} |\nratio {costs[1] / costs[0]:.2f}", flush=True
    )
    restored(options.restored)


def restored(count: int) -> None:
    before = Partition(count)
    states: dict[str, bytes] = {}
    for key, value in http1(count):
        before.feed(key, value)
        states.update((uuid, state) for uuid, state in before.engine.changed() if state is not None)
    after = engine_of(count)
    began = time.process_time()
    for uuid, state in states.items():
        after.restore(uuid, state)
    after.feed([Record(before.offset, b"", b"", START_MS)])
    took = time.process_time() - began
    print(f"\n{count:,} states of {sum(map(len, states.values())) / count:.0f} bytes taken back in {took:.2f} s")


if __name__ == "__main__":
    main()
