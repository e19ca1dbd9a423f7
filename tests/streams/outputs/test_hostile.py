"""No record that the engine accepts may make an output that cannot be written: one such would stop its partition for good."""

import json

from hypothesis import given
from hypothesis import strategies as st

from fleetcap_proto import topics
from fleetcap_proto.v1 import connection_pb2, event_pb2, exchange_pb2, raw_pb2
from fleetcap_streams.engine.engine import Engine
from fleetcap_streams.engine.values import Output, Record
from fleetcap_streams.kafka.outgoing import Source
from fleetcap_streams.outputs import json_lines, messages
from fleetcap_streams.outputs.records import Encoder
from fleetcap_streams.protocols.registry import default_registry

SOURCE = Source("fleetcap.raw.v1", 0, 1)
# The edges of every field width, where sums and conversions go over.
number = st.sampled_from([0, 1, 100, (1 << 31) - 1, 1 << 31, (1 << 32) - 1, (1 << 63) - 1, 1 << 63, (1 << 64) - 1])
payload = st.sampled_from(
    [
        b"GET / HTTP/1.1\r\nHost: h\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 99999 \xff\r\nX-\xff: \xfe\xff\r\n\r\n",
        b"\x00\x01\xff",
        b"text\0more",
        b"",
    ]
)


@st.composite
def events(draw: st.DrawFn) -> raw_pb2.RawEvent:
    event = raw_pb2.RawEvent(
        kind=draw(st.sampled_from([raw_pb2.EVENT_KIND_DATA] * 3 + [raw_pb2.EVENT_KIND_OPENED, raw_pb2.EVENT_KIND_CLOSED])),
        timestamp_ns=draw(number),
        direction=draw(st.sampled_from(["DIRECTION_RECEIVED", "DIRECTION_SENT"])),
        position=draw(number),
        payload=draw(payload),
        length=draw(st.sampled_from([0, 0, 1 << 63, (1 << 64) - 1])),
    )
    if event.kind == raw_pb2.EVENT_KIND_CLOSED:
        event.closed.received_bytes, event.closed.sent_bytes = draw(number), draw(number)
    return event


@st.composite
def batches(draw: st.DrawFn) -> bytes:
    batch = raw_pb2.RawBatch(node_id="n", events=draw(st.lists(events(), min_size=1, max_size=4)))
    batch.connection.uuid, batch.connection.sock = "c", draw(number)
    # What a newer producer may know and this version does not.
    known = draw(st.sampled_from([0, 1, 2, 99, -1]))
    batch.connection.role, batch.connection.source = known, known  # type: ignore[assignment] # not every one is an enum's
    batch.connection.process.pid = draw(st.sampled_from([0, (1 << 32) - 1]))
    batch.connection.process.start_ns = draw(number)
    return batch.SerializeToString()


def decoded(values: list[bytes]) -> list[Output]:
    engine = Engine(default_registry())
    return [*engine.feed(Record(offset, b"c", value, offset) for offset, value in enumerate(values)), *engine.drain()]


def as_json(topic: str, value: bytes) -> str:
    match topic:
        case topics.EVENTS:
            return json_lines.line(json_lines.event(event_pb2.LogEntry.FromString(value).event_payload))
        case topics.EXCHANGES:
            return json_lines.line(json_lines.exchange(exchange_pb2.Exchange.FromString(value)))
        case topics.CONNECTIONS:
            return json_lines.line(json_lines.connection(connection_pb2.ConnectionRecord.FromString(value)))
        case _:
            return "{}"


@given(st.lists(batches(), min_size=1, max_size=4), st.booleans())
def test_whatever_was_accepted_can_be_written_and_shown(values: list[bytes], ecapture: bool):  # noqa: FBT001 - drawn
    encode = Encoder(ecapture=ecapture)
    for output in decoded(values):
        for alike in encode(output, SOURCE):
            for value in alike.values:
                if not (ecapture and alike.topic == topics.EVENTS):
                    json.loads(as_json(alike.topic, value))


def test_what_a_newer_producer_says_of_a_connection_is_passed_on():
    batch = raw_pb2.RawBatch(events=[raw_pb2.RawEvent(kind=raw_pb2.EVENT_KIND_OPENED)])
    batch.connection.uuid, batch.connection.role = "c", 99  # type: ignore[assignment] # no role of this version
    (opened, *_) = decoded([batch.SerializeToString()])
    record = connection_pb2.ConnectionRecord.FromString(Encoder()(opened, SOURCE)[0].values[0])
    assert record.connection.role == 99
    assert json_lines.connection(record)["role"] is None


def test_a_number_too_large_for_its_field_stands_as_text():
    (attribute,) = messages.attributes({"n": 1 << 70})
    assert attribute.text == str(1 << 70)
