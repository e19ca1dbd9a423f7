"""Shipping to a real broker: order, partitions, and what the broker refuses."""

from collections.abc import Callable

import pytest

from fleetcap.broker import EmbeddedBroker
from fleetcap.topics import TopicSpec, ensure
from fleetcap_producer.shipping import Shipper, ShipperOptions, ShippingError
from tests.integration.numbered import numbers, read_all, record

pytestmark = pytest.mark.kafka


def _murmur2(data: bytes) -> int:
    """The hash of Kafka's Java clients (Utils.murmur2 of kafka-clients), from its definition, as unsigned 32 bits."""
    mask, multiplier = 0xFFFFFFFF, 0x5BD1E995
    value = (0x9747B28C ^ len(data)) & mask
    whole = len(data) - len(data) % 4
    for begin in range(0, whole, 4):
        word = int.from_bytes(data[begin : begin + 4], "little") * multiplier & mask
        word = (word ^ word >> 24) * multiplier & mask
        value = (value * multiplier & mask) ^ word
    if rest := data[whole:]:
        value = (value ^ int.from_bytes(rest, "little")) * multiplier & mask
    value = (value ^ value >> 13) * multiplier & mask
    return value ^ value >> 15


@pytest.fixture
def raw_topic(make_topics: Callable[..., str]) -> str:
    return f"{make_topics(partitions=5)}fleetcap.raw.v1"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # From the test of Kafka's own Utils.murmur2, there as signed numbers.
        ("21", -973932308),
        ("foobar", -790332482),
        ("a-little-bit-long-string", -985981536),
        ("a-little-bit-longer-string", -1486304829),
        ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        ("abc", 479470107),
    ],
)
def test_the_hash_these_tests_compare_with_is_kafkas(text: str, expected: int) -> None:
    assert _murmur2(text.encode()) == expected & 0xFFFFFFFF


def test_every_key_goes_where_javas_clients_would_put_it(broker: EmbeddedBroker, raw_topic: str) -> None:
    options = {"bootstrap.servers": broker.bootstrap_servers}
    shipper = Shipper(options, ShipperOptions(topic=raw_topic))
    keys = [f"{'k' * (n % 7)}{n}" for n in range(200)]
    for key in keys:
        shipper.send(record(key, [0]), 1.0)
    shipper.close(20.0)
    assert shipper.losses() == {}
    found = {(message.key() or b"").decode(): message.partition() for message in read_all(options, raw_topic, len(keys))}
    assert found == {key: (_murmur2(key.encode()) & 0x7FFFFFFF) % 5 for key in keys}


def test_order_within_a_connection_is_kept(broker: EmbeddedBroker, raw_topic: str) -> None:
    options = {"bootstrap.servers": broker.bootstrap_servers}
    shipper = Shipper(options, ShipperOptions(topic=raw_topic))
    for n in range(0, 6000, 3):
        shipper.send(record(f"c{n // 3 % 7}", [n, n + 1, n + 2]), 1.0)
    shipper.close(20.0)
    found = numbers(read_all(options, raw_topic, 2000))
    assert found == {f"c{c}": [n for n in range(6000) if n // 3 % 7 == c] for c in range(7)}


def test_a_topic_that_does_not_exist_is_named_and_not_created(broker: EmbeddedBroker, topic_prefix: str) -> None:
    options = {"bootstrap.servers": broker.bootstrap_servers}
    for _ in range(2):
        with pytest.raises(ShippingError, match=f"topic {topic_prefix}none does not exist.*fleetcap topics create"):
            Shipper(options, ShipperOptions(topic=f"{topic_prefix}none"))


def test_the_brokers_addresses_are_known_for_the_tap_to_leave_out(broker: EmbeddedBroker, raw_topic: str) -> None:
    shipper = Shipper({"bootstrap.servers": f"localhost:{broker.port}"}, ShipperOptions(topic=raw_topic))
    assert ("127.0.0.1", broker.port) in shipper.endpoints()
    shipper.close(1.0)


def test_a_record_the_topic_refuses_is_counted_and_the_rest_arrives(broker: EmbeddedBroker, topic_prefix: str) -> None:
    options = {"bootstrap.servers": broker.bootstrap_servers}
    topic = f"{topic_prefix}small"
    ensure(options, [TopicSpec(topic, 1, 1, {"max.message.bytes": "20000"})])
    # Sent one by one, because a broker takes or refuses what was sent together as a whole; and not compressible away.
    shipper = Shipper({**options, "compression.type": "none"}, ShipperOptions(topic=topic))
    for positions, size in [([0], 20), ([1, 2, 3, 4], 30_000), ([5], 20)]:
        shipper.send(record("one", positions, size), 1.0)
        assert shipper.flush(20.0) == 0
    shipper.close(20.0)
    assert shipper.losses() == {"record too large for the topic": 4}
    assert shipper.lost_bytes == len(record("one", [1, 2, 3, 4], 30_000).value)
    assert numbers(read_all(options, topic, 2)) == {"one": [0, 5]}
