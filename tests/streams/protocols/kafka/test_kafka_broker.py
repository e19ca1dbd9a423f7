"""A real broker and librdkafka through a recording proxy: what is decoded is what the clients say they sent, got and counted."""

import logging
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from fleetcap.broker import HOST, BrokerOptions, EmbeddedBroker, free_ports
from fleetcap_streams.protocols.contract import Limits, Message, Opening, Role, Score
from fleetcap_streams.protocols.kafka import SPEC
from tests.streams.protocols.proxy import recording
from tests.streams.protocols.tapping import CLIENT, Conversation, beheaded, decoded, pairs

pytestmark = pytest.mark.kafka

RECORDS = 60
UNACKNOWLEDGED = 5
PATIENCE_S = 60
_SENT = re.compile(r"Sent (\w+)Request \(v(\d+), (\d+) bytes @ 0, CorrId (\d+)\)")
_GOT = re.compile(r"Received (\w+)Response \(v(\d+), (\d+) bytes, CorrId (\d+),")
_TOPICS = re.compile(rb" topics=\S+")
_NAMES = {"ApiVersion": "ApiVersions"}  # librdkafka's, where they are not Kafka's


class Log(logging.Handler):
    """What a client says of its requests and responses: API, version, size, number."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: Counter[tuple[object, ...]] = Counter()
        self.got: Counter[tuple[object, ...]] = Counter()

    def emit(self, record: logging.LogRecord) -> None:
        for pattern, found in ((_SENT, self.sent), (_GOT, self.got)):
            if match := pattern.search(record.getMessage()):
                name, *numbers = match.groups()
                version, size, number = map(int, numbers)
                found[_NAMES.get(name, name), version, size, number] += 1


@dataclass
class Spoken:
    """What was said, and what the clients say of it, each by its name."""

    connections: list[Conversation] = field(default_factory=list)
    logs: dict[str, Log] = field(default_factory=dict)
    delivered: int = 0
    consumed: int = 0

    def settings(self, port: int, name: str, **more: str | int) -> dict[str, Any]:
        """A client's configuration; what it says is kept from now on."""
        self.logs[name] = Log()
        logger = logging.getLogger(f"{__name__}.{name}")
        logger.setLevel(logging.DEBUG)
        logger.propagate = False
        logger.addHandler(self.logs[name])
        return {"bootstrap.servers": f"{HOST}:{port}", "client.id": name, "debug": "protocol", "logger": logger, **more}

    def of(self, name: str) -> list[Message]:
        """What is decoded of that client's connections."""
        found: list[Message] = []
        for talk in self.connections:
            messages = decoded(SPEC, talk)
            if messages and messages[0].attributes.get("client_id") == name:
                found += messages
        return found


def produce(spoken: Spoken, port: int) -> None:
    producer = Producer(spoken.settings(port, "producer", acks="all", **{"linger.ms": 5}))

    def delivered(error: object, _: object) -> None:
        spoken.delivered += error is None

    for number in range(RECORDS):
        producer.produce("orders", b"v" * number, key=b"%d" % number, on_delivery=delivered)
        if number % 20 == 19:
            producer.flush(PATIENCE_S)
    careless = Producer(spoken.settings(port, "careless", acks=0))
    for _ in range(UNACKNOWLEDGED):
        careless.produce("lost", b"nobody answers")
        careless.flush(PATIENCE_S)
    for each in (producer, careless):
        each.poll(1)


def consume(spoken: Spoken, port: int) -> None:
    settings = spoken.settings(port, "consumer", **{"group.id": "billing", "auto.offset.reset": "earliest"})
    consumer = Consumer(settings)
    consumer.subscribe(["orders"])
    for _ in range(PATIENCE_S * 10):
        found = consumer.poll(0.1)
        spoken.consumed += found is not None and not found.error()
        if spoken.consumed == RECORDS:
            break
    consumer.commit(asynchronous=False)
    consumer.close()


@pytest.fixture(scope="module")
def spoken() -> Spoken:
    (port,) = free_ports(1)
    said = Spoken()
    with recording(port) as recorder:
        # A client is told by the broker where to go on, and has to come through the proxy then too.
        advertised = {"advertised.listeners": f"PLAINTEXT://{HOST}:{recorder.port}"}
        with EmbeddedBroker(BrokerOptions(port=port, heap_mb=256, properties=advertised)):
            admin = AdminClient(said.settings(recorder.port, "admin"))
            for made in admin.create_topics([NewTopic("orders", 3), NewTopic("lost", 1)]).values():
                made.result(PATIENCE_S)
            produce(said, recorder.port)
            consume(said, recorder.port)
            admin.poll(1)
    said.connections.extend(recorder.connections)
    return said


def seen(messages: Iterable[Message], *roles: Role) -> Counter[tuple[object, ...]]:
    """The same of what is decoded; librdkafka counts a response without its length and number."""
    found: Counter[tuple[object, ...]] = Counter()
    for message in messages:
        if message.role in roles:
            facts = message.attributes
            size = message.body_size - (8 if message.role is Role.RESPONSE else 0)
            found[facts["api_name"], facts["api_version"], size, facts["correlation_id"]] += 1
    return found


@pytest.mark.parametrize("name", ["producer", "careless"])
def test_what_a_producer_sent_and_got_is_what_is_decoded(spoken: Spoken, name: str):
    messages = spoken.of(name)
    assert seen(messages, Role.REQUEST, Role.SINGLE) == spoken.logs[name].sent
    assert seen(messages, Role.RESPONSE) == spoken.logs[name].got


@pytest.mark.parametrize("name", ["admin", "consumer"])
def test_all_that_a_client_tells_of_is_decoded(spoken: Spoken, name: str):
    messages, log = spoken.of(name), spoken.logs[name]
    assert sum(log.sent.values()) > 3
    # While it closes it tells no more.
    assert not log.sent - seen(messages, Role.REQUEST)
    assert not log.got - seen(messages, Role.RESPONSE)


def counted(messages: Iterable[Message]) -> int:
    found = [message.attributes.get("records", 0) for message in messages]
    return sum(count for count in found if isinstance(count, int))


def test_records_are_those_that_were_delivered_and_consumed(spoken: Spoken):
    assert spoken.delivered == spoken.consumed == RECORDS
    produced = [message for message in spoken.of("producer") if message.attributes["api_name"] == "Produce"]
    # What a partition refuses, as one that has just been made may, is sent again.
    refused = {message.exchange for message in produced if "error_code" in message.attributes}
    assert counted(message for message in produced if message.exchange not in refused) == RECORDS
    assert counted(message for message in spoken.of("consumer") if message.attributes["api_name"] == "Fetch") == RECORDS
    single = [message for message in spoken.of("careless") if message.role is Role.SINGLE]
    assert [message.attributes["records"] for message in single] == [1] * UNACKNOWLEDGED
    assert all(message.attributes["acks"] == 0 for message in single)


def test_topics_and_groups_have_their_names(spoken: Spoken):
    by_api = {message.attributes["api_name"]: message for message in spoken.of("consumer") if message.role is Role.REQUEST}
    assert by_api["JoinGroup"].attributes["group"] == "billing"
    assert {"Fetch", "OffsetCommit", "LeaveGroup", "FindCoordinator"} <= set(by_api)
    named = {topic for message in spoken.of("consumer") for topic in message.attributes.get("topics", ())}  # type: ignore[union-attr]
    assert named == {"orders"}


def test_every_connection_is_known_and_whole(spoken: Spoken):
    for talk in spoken.connections:
        received, sent = (b"".join(data for way, data in talk if way is direction) for direction in (CLIENT.other, CLIENT))
        if not sent:
            continue
        assert SPEC.probe(Opening(received, sent, joined=False, client=CLIENT)) is Score.YES
        assert SPEC.probe(Opening(received, sent, joined=True, client=None)) is Score.YES
        for message in decoded(SPEC, talk):
            assert message.complete
            assert set(message.notes) <= {"bytes-left"}  # librdkafka's request for the metadata of all topics has some
            assert message.role is not Role.RESPONSE or message.exchange


def test_joined_anywhere_nothing_wrong_is_told(spoken: Spoken):
    talk = max(spoken.connections, key=len)
    truth = unnamed(decoded(SPEC, talk))
    size = sum(len(data) for _, data in talk)
    for start in range(1, size, max(size // 200, 1)):
        assert unnamed(decoded_from(talk, start)) <= truth, start


def unnamed(messages: Iterable[Message]) -> set[tuple[bytes, bytes]]:
    """Pairs without their topics: a name that was told before the tap joined is not known to it."""
    return {(_TOPICS.sub(b"", asked), _TOPICS.sub(b"", answer)) for asked, answer in pairs(messages)}


def decoded_from(talk: Conversation, start: int) -> list[Message]:
    parser = SPEC.create(Limits())
    return [message for way, chunk in beheaded(talk, start) for message in parser.receive(way, chunk, 0)]
