"""What must stand in the output topics, and whether it does: the same engine, over the same raw topic, with nothing around it.

For each partition of each output topic the whole sequence is known, byte for byte; what readers of committed records see has
to be its beginning at any time, and all of it in the end. What is lost, doubled and out of order is then counted by key.
"""

import time
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, TypeAlias

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition

from fleetcap_proto import topics
from fleetcap_proto.v1 import exchange_pb2
from fleetcap_streams.engine.engine import Engine
from fleetcap_streams.engine.values import Record
from fleetcap_streams.kafka.outgoing import Source
from fleetcap_streams.outputs.records import Encoder
from fleetcap_streams.protocols.registry import default_registry

Place: TypeAlias = tuple[str, int]
"""A topic without prefix, and a partition."""
Headers: TypeAlias = tuple[tuple[str, bytes], ...]
PATIENCE_S: Final = 180.0


class Out(NamedTuple):
    key: bytes | None
    value: bytes | None
    headers: Headers
    timestamp_ms: int


@dataclass(slots=True)
class Difference:
    """Sums over all keys. A doubled output is one too many of the same; one that nothing explains is foreign."""

    lost: int = 0
    doubled: int = 0
    foreign: int = 0
    disordered: int = 0
    examples: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.lost or self.doubled or self.foreign or self.disordered)

    def __str__(self) -> str:
        sums = f"{self.lost} lost, {self.doubled} doubled, {self.foreign} foreign, {self.disordered} out of order"
        return "; ".join([sums, *self.examples[:3]])

    def add(self, where: str, wanted: Sequence[Out], seen: Sequence[Out]) -> None:
        """Compare what one key of one place was to get with what it got."""
        missing, extra = Counter(wanted) - Counter(seen), Counter(seen) - Counter(wanted)
        known = set(wanted)
        self.lost += missing.total()
        self.doubled += sum(count for out, count in extra.items() if out in known)
        self.foreign += sum(count for out, count in extra.items() if out not in known)
        self.disordered += not missing and not extra and list(wanted) != list(seen)
        at = next((n for n, (a, b) in enumerate(zip(wanted, seen, strict=False)) if a != b), min(len(wanted), len(seen)))
        self.examples.append(f"{where}: {len(wanted)} wanted, {len(seen)} seen, different from the {at}th on")


class Oracle:
    """Reads along. `outputs_prefix`: where the outputs are, when not beside the raw topic."""

    def __init__(self, bootstrap_servers: str, prefix: str, partitions: int, outputs_prefix: str | None = None) -> None:
        self._servers = bootstrap_servers
        self._prefix = dict.fromkeys(topics.OUTPUTS, prefix if outputs_prefix is None else outputs_prefix)
        self._prefix[topics.RAW] = prefix
        self._partitions = range(partitions)
        registry = default_registry()
        self._engines = [Engine(registry) for _ in self._partitions]
        self._encode = Encoder()
        self._consumer = self._reader("read_committed", partition_eof=True)
        names = [topics.RAW, *topics.OUTPUTS]
        self._consumer.assign(
            [TopicPartition(self._prefix[name] + name, n, OFFSET_BEGINNING) for name in names for n in self._partitions]
        )
        self._plain = {self._prefix[name] + name: name for name in names}
        self._reached: dict[Place, int] = defaultdict(int)
        self.wanted: dict[Place, deque[Out]] = defaultdict(deque)
        self.seen: dict[Place, deque[Out]] = defaultdict(deque)
        self.right = 0  # outputs that were as they must be
        self.turns: dict[str, int] = defaultdict(int)  # exchanges seen of each connection, for the known content
        self.broken: list[str] = []  # where the known content is not as sent

    def close(self) -> None:
        self._consumer.close()

    def look(self, *, final: bool = False) -> Difference:
        """Read what is there by now and compare; `final`: nothing more may come, all of it must be there."""
        for name in self._prefix:
            self._read_to(name, self._ends(name))
        difference = Difference()
        for place in sorted({*self.wanted, *self.seen}):
            self._drop_equal(place)
            wanted, seen = self.wanted[place], self.seen[place]
            if (wanted and seen) or (final and (wanted or seen)):
                _by_key(difference, place, wanted, seen, final=final)
        return difference

    def _drop_equal(self, place: Place) -> None:
        wanted, seen = self.wanted[place], self.seen[place]
        while wanted and seen and wanted[0] == seen[0]:
            wanted.popleft()
            self._know(place, seen.popleft())
            self.right += 1

    def _know(self, place: Place, out: Out) -> None:
        if place[0] == topics.EXCHANGES:
            exchange = exchange_pb2.Exchange.FromString(out.value or b"")
            uuid = exchange.connection_uuid
            self.turns[uuid] += 1
            n = self.turns[uuid]
            if (exchange.number, exchange.request.http.target, exchange.response.http.status) != (n, f"/{n}", 200):
                self.broken.append(f"{uuid}: exchange {n} is {exchange.number} {exchange.request.http.target}")

    def _read_to(self, name: str, ends: Sequence[int]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while any(self._reached[name, number] < ends[number] for number in self._partitions):
            assert time.monotonic() < deadline, f"{name}: not decided up to {ends}, but up to {dict(self._reached)}"
            for message in self._consumer.consume(5000, 0.2):
                error, place = message.error(), (self._plain[message.topic() or ""], message.partition() or 0)
                if error is None:
                    self._take(place, message)
                    self._reached[place] = (message.offset() or 0) + 1
                elif error.code() == KafkaError._PARTITION_EOF:
                    self._reached[place] = max(self._reached[place], message.offset() or 0)

    def _take(self, place: Place, message: Message) -> None:
        name, number = place
        key, value, at = message.key(), message.value(), message.timestamp()[1]
        if name != topics.RAW:
            headers: Any = message.headers() or []
            self.seen[place].append(Out(key, value, tuple(sorted(headers)), at))
            return
        record = Record(message.offset() or 0, key, value, at)
        source = Source(self._prefix[name] + name, number, record.offset)
        for output in self._engines[number].feed((record,)):
            for alike in self._encode(output, source):
                headers = tuple(sorted(alike.headers))
                self.wanted[alike.topic, number].extend(Out(alike.key, value, headers, at) for value in alike.values)

    def _ends(self, name: str) -> list[int]:
        """Where the log ends, decided or not, so that the end of what is decided can be waited for."""
        asking = self._reader("read_uncommitted")
        deadline = time.monotonic() + PATIENCE_S
        try:
            while True:
                try:
                    return [
                        asking.get_watermark_offsets(TopicPartition(self._prefix[name] + name, n), timeout=10)[1]
                        for n in self._partitions
                    ]
                except KafkaException:
                    if time.monotonic() > deadline:
                        raise
        finally:
            asking.close()

    def _reader(self, isolation: str, *, partition_eof: bool = False) -> Consumer:
        return Consumer(
            {
                "bootstrap.servers": self._servers,
                "group.id": "oracle",
                "enable.auto.commit": False,
                "enable.partition.eof": partition_eof,
                "isolation.level": isolation,
                "reconnect.backoff.max.ms": 1000,
                "log_level": 0,
            }
        )


def _by_key(difference: Difference, place: Place, wanted: Iterable[Out], seen: Iterable[Out], *, final: bool) -> None:
    keys: dict[bytes | None, tuple[list[Out], list[Out]]] = defaultdict(lambda: ([], []))
    for side, outs in enumerate((wanted, seen)):
        for out in outs:
            keys[out.key][side].append(out)
    for key, (must, got) in keys.items():
        # While traffic goes on, either side may be ahead of the other.
        both = len(must) if final else min(len(must), len(got))
        if must[:both] != (got if final else got[:both]):
            difference.add(f"{place[0]}-{place[1]} {key!r}", must, got)
