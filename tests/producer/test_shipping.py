"""Shipping without a broker: which options are refused, what happens where Kafka is not, and that every loss is counted."""

import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from fleetcap_producer import shipping
from fleetcap_producer.captured import Captured
from fleetcap_producer.packing import Packed, Packer
from fleetcap_producer.shipping import QUEUE_FULL, Shipper, ShipperOptions, ShippingError, producer_options
from fleetcap_proto.v1 import common_pb2, raw_pb2

NOWHERE = "127.0.0.1:1"


def _packed(events: int = 3) -> Packed:
    packer = Packer("node", "boot")
    connection = common_pb2.Connection(uuid="one")
    packer.add([Captured(connection, raw_pb2.EVENT_KIND_DATA, 1, payload=b"x" * 500)] * events, 0.0)
    (packed,) = packer.flush()
    return packed


class FakeClient:
    """Stands for the Kafka client at its edge: a queue with room for some records, and errors on demand."""

    def __init__(self, options: dict[str, Any]) -> None:
        self.options = options
        self.room = 2
        self.sent: list[tuple[bytes, bytes]] = []
        self.refusal: KafkaError | None = None
        self.polls: list[float] = []

    def __len__(self) -> int:
        return len(self.sent)

    def produce(self, _topic: str, value: bytes, key: bytes) -> None:
        if self.refusal is not None:
            raise KafkaException(self.refusal)
        if len(self.sent) >= self.room:
            raise BufferError
        self.sent.append((key, value))

    def poll(self, timeout: float) -> int:
        self.polls.append(timeout)
        return 0

    def list_topics(self, timeout: float) -> Any:
        assert timeout

        class Listed:
            topics = {"fleetcap.raw.v1": None}  # noqa: RUF012 - what the client gives

        return Listed()


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], tuple[Shipper, FakeClient]]]:
    """Make a shipper that talks to a fake client."""
    made: list[FakeClient] = []

    def create(options: dict[str, Any]) -> FakeClient:
        made.append(FakeClient(options))
        return made[-1]

    monkeypatch.setattr(shipping, "Producer", create)
    return lambda: (Shipper({"bootstrap.servers": NOWHERE}), made[-1])  # type: ignore[return-value]


@pytest.mark.parametrize(
    "option",
    [
        {"enable.idempotence": False},
        {"enable.idempotence": "false"},
        {"acks": "1"},
        {"acks": 0},
        {"request.required.acks": "leader"},
        {"max.in.flight": 6},
        {"max.in.flight.requests.per.connection": "1000000"},
        {"max.in.flight": "many"},
        {"retries": 0},
        {"message.send.max.retries": "0"},
        {"queuing.strategy": "lifo"},
        {"partitioner": "consistent_random"},
        {"delivery.report.only.error": False},
        {"transactional.id": "mine"},
    ],
    ids=str,
)
def test_options_that_break_order_or_idempotence_are_refused_by_name(option: dict[str, Any]) -> None:
    with pytest.raises(ShippingError) as caught:
        producer_options({"bootstrap.servers": NOWHERE, **option}, 1 << 20)
    ((name, value),) = option.items()
    assert f"{name}={value}" in str(caught.value)
    assert "leave it out" in str(caught.value)


@pytest.mark.parametrize(
    "option",
    [
        {"enable.idempotence": "true"},
        {"acks": "all"},
        {"acks": -1},
        {"max.in.flight": 1},
        {"retries": "5"},
        {"partitioner": "murmur2_random"},
        {"linger.ms": 50},
        {"compression.type": "zstd"},
        {"security.protocol": "SASL_SSL"},
        {"sasl.mechanism": "PLAIN"},
        {"sasl.username": "user"},
        {"ssl.ca.location": "/etc/ssl/certs/ca.pem"},
        {"message.timeout.ms": 1000},
    ],
    ids=str,
)
def test_every_other_option_is_passed_on_and_wins(option: dict[str, Any]) -> None:
    merged = producer_options({"bootstrap.servers": NOWHERE, **option}, 1 << 20)
    assert option.items() <= merged.items()


def test_the_fixed_options_hold_where_nothing_is_given() -> None:
    merged = producer_options({"bootstrap.servers": NOWHERE}, 64 << 20)
    assert merged["enable.idempotence"] is True
    assert merged["acks"] == "all"
    assert merged["partitioner"] == "murmur2_random"
    assert merged["queue.buffering.max.kbytes"] == 64 * 1024
    assert merged["message.timeout.ms"] == 0


def test_no_servers_is_told() -> None:
    with pytest.raises(ShippingError, match="bootstrap"):
        Shipper({})


def test_an_unreachable_kafka_is_one_line_with_its_address_the_cause_and_a_remedy() -> None:
    with socket.socket() as taken:  # bound and not listening: nobody else gets it, and nothing answers
        taken.bind(("127.0.0.1", 0))
        servers = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(ShippingError) as caught:
            Shipper({"bootstrap.servers": servers}, ShipperOptions(start_timeout_s=0.5))
    text = str(caught.value)
    assert f"cannot reach Kafka at {servers}" in text
    assert "refused" in text
    assert "fleetcap broker" in text
    assert "\n" not in text


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"no.such.option": "x"}, "no.such.option"),
        ({"linger.ms": "soon"}, "cannot use these Kafka options"),
        ({"security.protocol": "ssl", "ssl.ca.location": "/no/such/file"}, "ssl.ca.location"),
        ({"security.protocol": "sasl_plaintext", "sasl.mechanism": "NONSENSE"}, "NONSENSE"),
    ],
)
def test_an_option_the_client_refuses_is_one_line_and_keeps_secrets(options: dict[str, str], said: str) -> None:
    with pytest.raises(ShippingError) as caught:
        Shipper({"bootstrap.servers": NOWHERE, "sasl.password": "hunter2", **options})
    assert said in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_records_are_keyed_and_counted(fake: Callable[[], tuple[Shipper, FakeClient]]) -> None:
    shipper, client = fake()
    packed = _packed()
    shipper.send(packed, 0.0)
    assert client.sent == [(b"one", packed.value)]
    assert (shipper.records, shipper.bytes, shipper.queued) == (1, len(packed.value), 1)
    assert shipper.losses() == {}


def test_a_full_queue_is_waited_for_and_then_costs_the_newest_record(fake: Callable[[], tuple[Shipper, FakeClient]]) -> None:
    shipper, client = fake()
    for _ in range(2):
        shipper.send(_packed(), 0.0)
    shipper.send(_packed(events=7), wait_s=0.01)
    assert any(client.polls), "it waited for room"
    assert len(client.sent) == 2
    assert shipper.losses() == {QUEUE_FULL: 7}
    assert (shipper.lost_records, shipper.lost_bytes) == (1, len(_packed(events=7).value))


def test_room_that_comes_while_waiting_loses_nothing(
    fake: Callable[[], tuple[Shipper, FakeClient]], monkeypatch: pytest.MonkeyPatch
) -> None:
    shipper, client = fake()
    client.room = 0

    def poll(_timeout: float) -> int:
        client.room = 1
        return 0

    monkeypatch.setattr(client, "poll", poll)
    shipper.send(_packed(), wait_s=60.0)
    assert len(client.sent) == 1
    assert shipper.losses() == {}


def test_a_record_the_client_refuses_at_once_is_counted(fake: Callable[[], tuple[Shipper, FakeClient]]) -> None:
    shipper, client = fake()
    client.refusal = KafkaError(KafkaError.MSG_SIZE_TOO_LARGE)
    shipper.send(_packed(events=4), 0.0)
    assert shipper.losses() == {"record too large for the topic": 4}


def test_a_failed_delivery_is_counted_by_cause_with_its_events_and_bytes(fake: Callable[[], tuple[Shipper, FakeClient]]) -> None:
    shipper, client = fake()

    class Failed:
        def key(self) -> bytes:
            return b"one"

        def value(self) -> bytes:
            return _packed(events=5).value

    report = client.options["on_delivery"]
    report(KafkaError(KafkaError._MSG_TIMED_OUT), Failed())
    report(KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED), Failed())
    report(None, Failed())
    assert shipper.losses() == {"delivery timed out": 5, "refused by Kafka (TOPIC_AUTHORIZATION_FAILED)": 5}
    assert (shipper.lost_records, shipper.lost_bytes) == (2, 2 * len(_packed(events=5).value))


def test_a_client_that_failed_for_good_is_an_error_with_its_reason(fake: Callable[[], tuple[Shipper, FakeClient]]) -> None:
    shipper, client = fake()
    client.options["error_cb"](KafkaError(KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER, "sequence lost", fatal=True))
    with pytest.raises(ShippingError, match="sequence lost"):
        shipper.poll()


@pytest.mark.parametrize(
    ("servers", "found"),
    [
        ("127.0.0.1:9093", {("127.0.0.1", 9093)}),
        ("127.0.0.1", {("127.0.0.1", 9092)}),
        ("[::1]:9094, 127.0.0.2:1", {("::1", 9094), ("127.0.0.2", 1)}),
        ("[::1]", {("::1", 9092)}),
        ("SSL://127.0.0.1:9093,", {("127.0.0.1", 9093)}),
        ("no-such-host.invalid:9092,127.0.0.3:2", {("127.0.0.3", 2)}),
        ("", set()),
    ],
)
def test_bootstrap_servers_become_addresses(servers: str, found: set[tuple[str, int]]) -> None:
    assert shipping._addresses(servers) == found
