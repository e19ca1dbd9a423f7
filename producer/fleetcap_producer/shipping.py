"""Shipping: packed records go to the raw topic, in order, once, or are counted.

The only module here that imports a Kafka client. It must not know what a record means, but for one thing: how many events a
lost one held, which the record itself says.

Losing nothing without a word rests on three things. The producer is idempotent, so what it sends again after a broken
connection is written once and in its old order. Nothing is given up because of time alone: only the queue's bound, a refusal
by the broker or the end of the program can cost a record. And each of those is counted, in events, by cause.
"""

import logging
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from fleetcap_producer.losses import Losses
from fleetcap_producer.packing import Packed
from fleetcap_proto import topics
from fleetcap_proto.v1 import raw_pb2

_log = logging.getLogger(__name__)

# Blocking calls into the client are cut into pieces of this length, because signals are handled between them only.
_SLICE_S = 0.1
_QUIET_S = 30.0  # the client repeats the same complaint at every attempt to connect

_TRUE = frozenset({"true", "t", "1"})
_ALL = frozenset({"all", "-1"})


def _is_one_of(allowed: frozenset[str]) -> Callable[[Any], bool]:
    return lambda value: str(value).strip().lower() in allowed


def _is_between(low: int, high: int) -> Callable[[Any], bool]:
    return lambda value: str(value).strip().isdecimal() and low <= int(value) <= high


# Options that order or idempotence rest on, what they may be, and why; librdkafka's aliases included.
_FIXED: Final[Mapping[str, tuple[Callable[[Any], bool], str]]] = {
    "enable.idempotence": (_is_one_of(_TRUE), "must stay true, or a resent record is written twice"),
    "acks": (_is_one_of(_ALL), "must stay all, or a record is lost with its leader"),
    "request.required.acks": (_is_one_of(_ALL), "must stay all, or a record is lost with its leader"),
    "max.in.flight": (_is_between(1, 5), "must be 1 to 5, or a resent record overtakes others"),
    "max.in.flight.requests.per.connection": (_is_between(1, 5), "must be 1 to 5, or a resent record overtakes others"),
    "retries": (_is_between(1, 2**31 - 1), "must be at least 1, or a broken connection loses records"),
    "message.send.max.retries": (_is_between(1, 2**31 - 1), "must be at least 1, or a broken connection loses records"),
    "queuing.strategy": (_is_one_of(frozenset({"fifo"})), "must stay fifo, or records change places"),
    "partitioner": (_is_one_of(frozenset({"murmur2_random"})), "must stay murmur2_random, on which all clients agree"),
    "delivery.report.only.error": (_is_one_of(_TRUE), "must stay true: failures alone are counted"),
    "transactional.id": (lambda _: False, "cannot be used: the producer is idempotent, not transactional"),
}

_CAUSES: Final = {
    "_PURGE_QUEUE": "not sent before the end",
    "_PURGE_INFLIGHT": "sent but unanswered at the end",
    "_MSG_TIMED_OUT": "delivery timed out",
    "MSG_SIZE_TOO_LARGE": "record too large for the topic",
}
QUEUE_FULL: Final = "queue to Kafka full"
# The program ended before Kafka took the record, or before it said so.
UNSENT: Final = frozenset({_CAUSES["_PURGE_QUEUE"], _CAUSES["_PURGE_INFLIGHT"]})


# Is told why a record was not written; nothing where it was.
Settled = Callable[[str], None]


class ShippingError(Exception):
    """Records cannot be shipped, now or any more. One line that ends with the remedy."""


@dataclass(frozen=True, slots=True)
class ShipperOptions:
    """`queue_bytes` bounds what waits in memory while Kafka is away.

    `needed_at_start`: an unreachable Kafka is an error. `tracked`: records are given by `offer`, which tells what became of each.
    """

    topic: str = topics.RAW
    queue_bytes: int = 512 * 1024 * 1024
    start_timeout_s: float = 10.0
    needed_at_start: bool = True
    tracked: bool = False


class Shipper:
    """A sink that writes to Kafka; `kafka` are librdkafka's options, which override ours where that is safe.

    Not for use by several threads at once.

    Raises:
        ShippingError: an option is wrong, Kafka cannot be reached, or the topic does not exist.
    """

    def __init__(self, kafka: Mapping[str, Any], options: ShipperOptions | None = None) -> None:
        self._options = options or ShipperOptions()
        self._servers = str(kafka.get("bootstrap.servers") or kafka.get("metadata.broker.list") or "")
        self.lost = Losses()
        self._complaint = ""
        self._complained_s = float("-inf")
        self._fatal = ""
        self.records = 0
        self.bytes = 0
        self.lost_records = 0
        self.lost_bytes = 0
        merged = producer_options(kafka, self._options.queue_bytes)
        self._producer = self._create({**merged, "delivery.report.only.error": not self._options.tracked})
        self._check()

    @property
    def queued(self) -> int:
        """Records that were taken and are not yet known to be written."""
        return len(self._producer)

    def send(self, packed: Packed, wait_s: float) -> None:
        """Take one record; where the queue is full, wait up to `wait_s` seconds for room, then drop this record and count it.

        While it waits, the kernel's buffer fills up behind it, which is where a short outage belongs.

        Raises:
            ShippingError: the client has failed for good.
        """
        deadline = time.monotonic() + wait_s
        while not self._produce(packed):
            left = deadline - time.monotonic()
            if left <= 0:
                self._lose(QUEUE_FULL, packed)
                return
            self._producer.poll(min(left, _SLICE_S))
            self._raise_if_fatal()

    def offer(self, packed: Packed, settled: Settled) -> bool:
        """Take one record if there is room; `settled` is called once, from `poll`, `flush` or `close`, when its fate is known.

        Raises:
            ShippingError: the client has failed for good.
        """

        def report(error: KafkaError | None, _message: Message) -> None:
            settled("" if error is None else _cause(error))

        try:
            self._producer.produce(self._options.topic, packed.value, packed.key, on_delivery=report)
        except BufferError:
            return False
        except KafkaException as error:
            self._producer.poll(0)
            self._raise_if_fatal()
            settled(_cause(error.args[0]))
            return True
        self.records += 1
        self.bytes += len(packed.value)
        return True

    def poll(self) -> None:
        """Let the client report what failed.

        Raises:
            ShippingError: the client has failed for good.
        """
        self._producer.poll(0)
        self._raise_if_fatal()

    def flush(self, timeout_s: float) -> int:
        """Wait until everything is written, at most `timeout_s` seconds; return how many records are not."""
        deadline = time.monotonic() + timeout_s
        while len(self._producer) and (left := deadline - time.monotonic()) > 0:
            self._producer.flush(min(left, _SLICE_S))
        self._producer.poll(0)
        return len(self._producer)

    def close(self, timeout_s: float) -> None:
        """Wait until everything is written, at most `timeout_s` seconds; what is not by then is dropped and counted."""
        if self.flush(timeout_s):
            self._producer.purge()
            self.flush(timeout_s=2.0)

    def losses(self) -> Mapping[str, int]:
        """Events lost here, by cause."""
        return self.lost.events()

    def endpoints(self) -> frozenset[tuple[str, int]]:
        """Every ip and port of the brokers, as far as known now: the bootstrap servers and those they tell of.

        Traffic to these is ours, and a tap that saw it would feed itself.
        """
        known = _addresses(self._servers)
        try:
            brokers = self._producer.list_topics(self._options.topic, timeout=self._options.start_timeout_s).brokers
        except KafkaException:
            return known
        return known.union(*(_resolve(broker.host, broker.port) for broker in brokers.values()))

    def _create(self, merged: dict[str, Any]) -> Producer:
        callbacks = {"on_delivery": self._on_failure, "error_cb": self._on_error}
        try:
            return Producer({**merged, **callbacks})
        except (KafkaException, ValueError, TypeError) as error:
            raise ShippingError(f"cannot use these Kafka options: {_text(error)}; see librdkafka's CONFIGURATION.md") from error

    def _check(self) -> None:
        """Kafka must be there at the start, so that a wrong address is not an empty capture."""
        topic = self._options.topic
        try:
            # All topics: asking for one by name would create it where a cluster allows that, with the wrong settings.
            found = self._producer.list_topics(timeout=self._options.start_timeout_s).topics
        except KafkaException as error:
            self._producer.poll(0)
            if not self._options.needed_at_start:
                _log.warning(
                    "Kafka at %s cannot be reached now: %s; records wait on disk", self._servers, self._complaint or _text(error)
                )
                return
            raise ShippingError(
                f"cannot reach Kafka at {self._servers}: {self._complaint or _text(error)}; "
                "check the address and its TLS/SASL options, or start a broker with `fleetcap broker`"
            ) from error
        if topic not in found:
            raise ShippingError(f"topic {topic} does not exist at {self._servers}; create it with `fleetcap topics create`")

    def _produce(self, packed: Packed) -> bool:
        try:
            self._producer.produce(self._options.topic, packed.value, packed.key)
        except BufferError:
            return False
        except KafkaException as error:
            self._lose(_cause(error.args[0]), packed)
            self._producer.poll(0)
            self._raise_if_fatal()
            return True
        self.records += 1
        self.bytes += len(packed.value)
        return True

    def _lose(self, cause: str, packed: Packed) -> None:
        self.lost.add(cause, packed)
        self.lost_records += 1
        self.lost_bytes += len(packed.value)

    def _on_failure(self, error: KafkaError | None, message: Message) -> None:
        if error is None:
            return
        value = message.value() or b""
        # Counted by the record's own word, so that the many that arrive need no bookkeeping.
        self._lose(_cause(error), Packed(message.key() or b"", value, raw_pb2.RawBatch.FromString(value).event_count))

    def _on_error(self, error: KafkaError) -> None:
        text = error.str()
        if error.fatal():
            self._fatal = text
        now = time.monotonic()
        if error.code() != KafkaError._ALL_BROKERS_DOWN:  # noqa: SLF001 - public, by librdkafka's name for a local error
            self._complaint = text
        if self.records and now - self._complained_s > _QUIET_S:
            self._complained_s = now
            where = "on disk" if self._options.tracked else "in memory"
            _log.warning("Kafka: %s; records wait %s until it is back", self._complaint or text, where)

    def _raise_if_fatal(self) -> None:
        if self._fatal:
            raise ShippingError(f"Kafka refuses this producer for good: {self._fatal}; mend that and start the capture again")


def producer_options(kafka: Mapping[str, Any], queue_bytes: int) -> dict[str, Any]:
    """Ours, overridden by those given.

    Raises:
        ShippingError: one given would break order or idempotence, or there is no `bootstrap.servers`.
    """
    if not (kafka.get("bootstrap.servers") or kafka.get("metadata.broker.list")):
        raise ShippingError("no Kafka was given; give bootstrap servers as host:port")
    for name, value in kafka.items():
        if name in _FIXED and not _FIXED[name][0](value):
            raise ShippingError(f"Kafka option {name}={value}: {_FIXED[name][1]}; leave it out")
    ours = {
        "client.id": "fleetcap-producer",
        "enable.idempotence": True,
        "acks": "all",
        "partitioner": "murmur2_random",
        "compression.type": "lz4",  # zstd packs tighter, and costs a captured node several times the CPU
        "linger.ms": 5,
        "message.timeout.ms": 0,  # never given up because of time; memory is the bound
        "queue.buffering.max.messages": 0,  # bytes are the bound
        "queue.buffering.max.kbytes": max(1, queue_bytes // 1024),
        "reconnect.backoff.max.ms": 2000,
        "delivery.report.only.error": True,
        # What it would log comes as errors, too; unless somebody is debugging, those are enough.
        **({} if "debug" in kafka else {"log_level": 0}),
    }
    return {**ours, **kafka}


def _addresses(servers: str) -> frozenset[tuple[str, int]]:
    """Resolve `host:port,[v6]:port,ssl://host`, as librdkafka reads it; the port is 9092 where absent."""
    found: frozenset[tuple[str, int]] = frozenset()
    for server in filter(None, (part.strip() for part in servers.split(","))):
        where = server.rpartition("://")[2]
        host, _, port = where.rpartition(":") if not where.endswith("]") and where.count(":") else (where, "", "")
        found |= _resolve(host.strip("[]"), int(port) if port.isdecimal() else 9092)
    return found


def _resolve(host: str, port: int) -> frozenset[tuple[str, int]]:
    try:
        return frozenset((str(address[4][0]), port) for address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    except OSError:
        return frozenset()


def _cause(error: KafkaError) -> str:
    return _CAUSES.get(error.name(), f"refused by Kafka ({error.name()})")


def _text(error: BaseException) -> str:
    inner = error.args[0] if error.args else error
    return inner.str() if isinstance(inner, KafkaError) else str(inner)
