"""A conversation to try the Kafka parser on, and the small builders it is made of."""

from struct import pack

from tests.streams.protocols.tapping import CLIENT, SERVER, Conversation


def kafka(body: bytes) -> bytes:
    """A Kafka frame."""
    return pack(">i", len(body)) + body


def kafka_asks(
    key: int, version: int, number: int, body: bytes = b"", client: bytes | None = b"app-1", tags: bytes = b""
) -> bytes:
    """A Kafka request; `tags` are what a flexible version's header ends with."""
    return kafka(pack(">hhi", key, version, number) + kafka_text(client) + tags + body)


def kafka_text(text: bytes | None) -> bytes:
    return pack(">h", -1) if text is None else pack(">h", len(text)) + text


def kafka_compact(text: bytes) -> bytes:
    return bytes((len(text) + 1,)) + text


def kafka_batch(records: int, size: int = 20) -> bytes:
    """A record batch of magic 2, as far as it is looked at."""
    rest = pack(">ibIhiqqqhii", 0, 2, 0, 0, records - 1, 0, 0, -1, -1, -1, records) + bytes(size)
    return pack(">qi", 0, len(rest)) + rest


def kafka_produces(number: int, topic: bytes, records: int, acks: int = 1) -> bytes:
    """A Produce request of version 8 with one partition."""
    batch = kafka_batch(records)
    topics = pack(">i", 1) + kafka_text(topic) + pack(">iii", 1, 0, len(batch)) + batch
    return kafka_asks(0, 8, number, kafka_text(None) + pack(">hi", acks, 1500) + topics)


def kafka_produced(number: int, topic: bytes, error: int = 0) -> bytes:
    """The answer to it."""
    partition = pack(">ihqqqi", 0, error, 7, -1, 0, 0) + kafka_text(None)
    return kafka(pack(">ii", number, 1) + kafka_text(topic) + pack(">i", 1) + partition + pack(">i", 0))


def kafka_fetches(number: int, topic: bytes) -> bytes:
    """A Fetch request of version 12, with a session and one partition."""
    partition = pack(">iiqiqi", 0, 3, 100, -1, 0, 1 << 20) + b"\0"
    topics = b"\2" + kafka_compact(topic) + b"\2" + partition + b"\0"
    return kafka_asks(1, 12, number, pack(">iiiibii", -1, 500, 1, 1 << 20, 0, 0, -1) + topics + b"\1\1\0", tags=b"\0")


def kafka_fetched(number: int, topic: bytes, *batches: bytes, error: int = 0) -> bytes:
    """The answer to it."""
    records = b"".join(batches)
    size = len(records) + 1
    varint = bytes((size & 0x7F | 0x80, size >> 7)) if size > 0x7F else bytes((size,))
    partition = pack(">ihqqq", 0, error, 9, 9, 0) + b"\1" + pack(">i", -1) + varint + records + b"\0"
    return kafka(pack(">i", number) + b"\0" + pack(">ihi", 0, 0, 77) + b"\2" + kafka_compact(topic) + b"\2" + partition + b"\0\0")


KAFKA_BROKERS = b"\2" + pack(">i", 1) + kafka_compact(b"broker-1") + pack(">i", 9092) + b"\0\0"
KAFKA_IDS = {b"orders": bytes(range(16)), b"news": bytes(range(16, 32))}
KAFKA_TOPICS = b"".join(
    pack(">h", 0)
    + kafka_compact(name)
    + topic
    + b"\0\2"
    + pack(">hiii", 0, 0, 1, 3)
    + b"\2\0\0\0\1\2\0\0\0\1\1\0"
    + pack(">i", -1)
    + b"\0"
    for name, topic in KAFKA_IDS.items()
)
KAFKA: Conversation = (
    (CLIENT, kafka_asks(18, 3, 0, kafka_compact(b"app") + kafka_compact(b"1.0") + b"\0", tags=b"\0")),
    (
        SERVER,
        kafka(
            pack(">ih", 0, 0) + b"\3" + pack(">hhh", 0, 0, 11) + b"\0" + pack(">hhh", 1, 0, 17) + b"\0" + pack(">i", 0) + b"\0"
        ),
    ),
    (CLIENT, kafka_asks(17, 0, 1, kafka_text(b"PLAIN"))),
    (SERVER, kafka(pack(">ihi", 1, 0, 1) + kafka_text(b"PLAIN"))),
    (CLIENT, kafka(b"\0app\0hunter2")),
    (SERVER, kafka(b"")),
    (CLIENT, kafka_asks(3, 12, 2, b"\0\1\0\0", tags=b"\0")),
    (SERVER, kafka(pack(">i", 2) + b"\0" + pack(">i", 0) + KAFKA_BROKERS + b"\0" + pack(">i", 1) + b"\3" + KAFKA_TOPICS + b"\0")),
    (CLIENT, kafka_produces(3, b"orders", 5) + kafka_produces(4, b"news", 1)),
    (SERVER, kafka_produced(3, b"orders") + kafka_produced(4, b"news", 6)),
    (CLIENT, kafka_produces(5, b"news", 300, acks=0) + kafka_fetches(6, b"news")),
    (SERVER, kafka_fetched(6, b"news", kafka_batch(300), kafka_batch(2, 90))),
    (CLIENT, kafka_asks(12, 4, 7, kafka_compact(b"billing") + pack(">i", 9) + b"\2m\0\0", tags=b"\0")),
    (SERVER, kafka(pack(">i", 7) + b"\0" + pack(">ih", 0, 27) + b"\0")),
    (CLIENT, kafka_asks(1, 40, 8, b"who knows", tags=b"\0")),
    (SERVER, kafka(pack(">i", 8) + b"\0whatever")),
    (CLIENT, kafka_fetches(9, b"orders")),
    (SERVER, kafka_fetched(9, b"orders", kafka_batch(11))),
    (CLIENT, kafka_produces(10, b"orders", 2)),
    (SERVER, kafka_produced(10, b"orders")),
    (CLIENT, kafka_fetches(11, b"nothing")),
    (SERVER, kafka_fetched(11, b"nothing", error=3)),
)
