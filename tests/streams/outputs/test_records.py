"""What each output becomes on its topic."""

from fleetcap_proto import topics
from fleetcap_proto.v1 import activity_pb2, connection_pb2, ecapture_pb2, event_pb2, exchange_pb2, secrets_pb2
from fleetcap_streams.engine.engine import Engine
from fleetcap_streams.engine.values import ActivityOut, DeadLetterOut, MessageOut, Output, Record, SecretOut
from fleetcap_streams.kafka.outgoing import Source
from fleetcap_streams.outputs.records import Encoder, OutRecords
from fleetcap_streams.protocols.registry import default_registry
from tests.streams.talk import START_NS, Log, Talk

SOURCE = Source("fleetcap.raw.v1", 3, 42)
REQUEST = b"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello"
RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Odd: \xff\r\n\r\nok"


def outputs() -> list[Output]:
    talk, log = Talk(), Log()
    log.add(talk, talk.sent(REQUEST, tid=77), talk.received(RESPONSE, 5), talk.closed(9))
    return Engine(default_registry()).feed(log.records)


def records(*, encoder: Encoder | None = None) -> list[OutRecords]:
    """Each of them alone."""
    return [
        alike._replace(values=(value,))
        for output in outputs()
        for alike in (encoder or Encoder())(output, SOURCE)
        for value in alike.values
    ]


def test_each_output_has_its_topic_and_the_connection_as_key():
    found = records()
    assert [record.topic for record in found] == [
        topics.CONNECTIONS,
        topics.EVENTS,
        topics.EVENTS,
        topics.EXCHANGES,
        topics.CONNECTIONS,
    ]
    assert {record.key for record in found} == {b"node-1:c1"}


def test_an_event_has_the_references_shape():
    entry = event_pb2.LogEntry.FromString(records()[1].values[0])
    assert entry.log_type == event_pb2.LOG_TYPE_EVENT
    event = entry.event_payload
    assert event.uuid == "1234_77_curl_3_1_192.0.2.1:40000-198.51.100.2:443"
    assert (event.pid, event.pname, event.type, event.timestamp) == (1234, "curl", 1, START_NS)
    assert (event.src_ip, event.src_port, event.dst_ip, event.dst_port) == ("192.0.2.1", 40000, "198.51.100.2", 443)
    assert (event.payload, event.length, event.raw) == (REQUEST, len(REQUEST), b"")


def test_the_other_numbering_is_read_by_the_other_schema():
    ours = event_pb2.LogEntry.FromString(records()[1].values[0]).event_payload
    theirs = ecapture_pb2.EcaptureLogEntry.FromString(records(encoder=Encoder(ecapture=True))[1].values[0])
    assert theirs.log_type == event_pb2.LOG_TYPE_EVENT
    for field in ecapture_pb2.EcaptureEvent.DESCRIPTOR.fields:
        assert getattr(theirs.event_payload, field.name) == getattr(ours, field.name)


def test_an_exchange_holds_both_messages_and_the_latency():
    exchange = exchange_pb2.Exchange.FromString(records()[3].values[0])
    assert exchange.latency_ns == 5_000_000
    assert (exchange.request.http.method, exchange.request.http.target, exchange.request.http.authority) == ("POST", "/a", "h")
    assert (exchange.request.body, exchange.request.body_size, len(exchange.request.body_sha256)) == (b"hello", 5, 32)
    assert exchange.response.http.status == 200
    assert [(header.name, header.value) for header in exchange.response.http.headers][1] == ("X-Odd", "ÿ")
    assert (exchange.process.pid, exchange.process.comm, exchange.local.port) == (1234, "curl", 40000)


def test_a_connection_is_told_when_it_opens_and_when_it_ends():
    opened, closed = (connection_pb2.ConnectionRecord.FromString(records()[index].values[0]) for index in (0, -1))
    assert opened.state == connection_pb2.CONNECTION_STATE_OPENED
    assert (opened.sent.bytes, opened.exchanges) == (0, 0)
    assert closed.state == connection_pb2.CONNECTION_STATE_CLOSED
    assert closed.close_reason == connection_pb2.CLOSE_REASON_DESTROYED
    assert (closed.sent.bytes, closed.received.bytes, closed.exchanges) == (len(REQUEST), len(RESPONSE), 1)
    assert closed.protocol == "http1"


def test_raw_bytes_that_their_text_form_does_not_hold_stand_beside_it():
    talk, log = Talk(), Log()
    log.add(talk, talk.sent(b"text\0more"), talk.received(b"\x00\x01"), talk.closed(1))
    found = Engine(default_registry()).feed(log.records)
    events = [
        event_pb2.LogEntry.FromString(Encoder()(output, SOURCE)[0].values[0]).event_payload
        for output in found
        if isinstance(output, MessageOut)
    ]
    assert {(event.payload[:8], event.raw) for event in events} == {(b"text", b"text\0more"), (b"00000000", b"\x00\x01")}


def test_a_dead_letter_is_the_record_untouched_with_its_place_and_reason():
    record = Record(42, b"k\xff", b"\xff\xfe", 5)
    (letter,) = Encoder()(DeadLetterOut(record, "why"), SOURCE)
    assert letter == OutRecords(
        topics.DEADLETTER,
        b"fleetcap.raw.v1-3-42",
        (b"\xff\xfe",),
        [
            ("fleetcap-error", b"why"),
            ("fleetcap-source-topic", b"fleetcap.raw.v1"),
            ("fleetcap-source-partition", b"3"),
            ("fleetcap-source-offset", b"42"),
            ("fleetcap-source-key", b"k\xff"),
        ],
    )


def test_key_material_is_written_only_when_asked_for():
    secret = SecretOut(secrets_pb2.KeyLogEntry(label="CLIENT_RANDOM", client_random=b"r" * 32, secret=b"s"))
    assert Encoder()(secret, SOURCE) == []
    (record,) = Encoder(secrets=True)(secret, SOURCE)
    assert (record.topic, record.key) == (topics.SECRETS, b"r" * 32)


def test_activity_is_keyed_by_its_node():
    (record,) = Encoder()(ActivityOut(activity_pb2.Activity(node_id="n", text="ls")), SOURCE)
    assert (record.topic, record.key) == (topics.ACTIVITY, b"n")
    assert activity_pb2.Activity.FromString(record.values[0]).text == "ls"


def test_the_same_output_always_has_the_same_bytes():
    assert records() == records()
