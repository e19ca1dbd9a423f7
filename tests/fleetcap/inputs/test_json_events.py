"""Lines of JSON: each form of them, whatever is wrong with one, and never a byte of payload in what is said of it."""

import base64
import io
import json

import pytest
from google.protobuf.json_format import MessageToDict
from hypothesis import given
from hypothesis import strategies as st

from fleetcap.inputs.errors import BadLineError
from fleetcap.inputs.json_events import JsonRecords
from fleetcap.recording import Recorded
from fleetcap_proto.v1 import raw_pb2, recording_pb2
from tests.streams.talk import START_MS, Talk


def read(*lines: object) -> list[Recorded]:
    text = b"".join(line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n" for line in lines)
    return list(JsonRecords("input", "node").records(io.BytesIO(text)))


def batch(record: Recorded) -> raw_pb2.RawBatch:
    return raw_pb2.RawBatch.FromString(record.record.value or b"")


def a_batch() -> raw_pb2.RawBatch:
    talk = Talk()
    return talk.batch(talk.sent(b"a\xff", 1), talk.received(b"b", 2), talk.closed(3))


@pytest.mark.parametrize("snake_case", [False, True])
def test_a_batch_stays_as_it_is(snake_case: bool):  # noqa: FBT001 - the two forms of protobuf's names
    (record,) = read(MessageToDict(a_batch(), preserving_proto_field_name=snake_case))
    assert batch(record) == a_batch()
    assert record.record.key == b"node-1:c1"
    assert record.record.log_time_ms == START_MS + 3


def test_an_event_may_bring_its_connection():
    talk = Talk()
    event = MessageToDict(talk.sent(b"abc"))
    connection = MessageToDict(talk.connection())
    (record,) = read({**event, "connection": connection, "nodeId": "n7"})
    assert batch(record).connection == talk.connection()
    assert (batch(record).node_id, batch(record).events[0].payload) == ("n7", b"abc")


def test_events_without_a_connection_are_of_one():
    talk = Talk()
    records = read(MessageToDict(talk.sent(b"abc")), b"\n", b"  \r\n", MessageToDict(talk.received(b"d")))
    assert [batch(record).connection.uuid for record in records] == ["node.events"] * 2
    assert [record.record.offset for record in records] == [0, 1]


def test_a_recorded_record_keeps_its_place_and_time():
    value = recording_pb2.RecordedRecord(
        partition=3, offset=9, key=b"node-1:c1", value=a_batch().SerializeToString(), log_time_ms=77
    )
    (record,) = read(MessageToDict(value))
    assert (record.partition, record.record.offset, record.record.log_time_ms) == (3, 9, 77)
    assert batch(record) == a_batch()


def test_ticks_need_no_key():
    (record,) = read({"tick": {}})
    assert record.record.key is None
    assert batch(record).HasField("tick")


def test_log_time_never_goes_back():
    early, late = Talk("a"), Talk("b")
    records = read(MessageToDict(late.batch(late.sent(b"x", 500))), MessageToDict(early.batch(early.sent(b"y", 1))))
    assert [record.record.log_time_ms - START_MS for record in records] == [500, 500]


def test_a_byte_order_mark_is_passed_over():
    assert len(read(b"\xef\xbb\xbf" + json.dumps(MessageToDict(a_batch())).encode())) == 1


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"{", "no JSON object"),
        (b"[1]", "no object"),
        (b'"text"', "no object"),
        (b"\xff\xfe", "UTF-8"),
        (b"[" * 100_000, "no JSON object"),
        ({"events": 5}, "no RawBatch"),
        ({"events": [{"kind": "EVENT_KIND_NOPE"}]}, "see its field events"),
        ({"kind": "EVENT_KIND_DATA", "payload": "secret!"}, "see its field payload"),
        ({"kind": "EVENT_KIND_DATA", "position": -1}, "see its field position"),
        ({"kind": "EVENT_KIND_DATA", "nonsense": 1}, "see its field nonsense"),
        ({"value": "secret!", "partition": 0}, "no RecordedRecord"),
        ({"connection": [1]}, "no RawBatch"),
    ],
)
def test_a_bad_line_is_named_and_never_quoted(line: object, why: str):
    with pytest.raises(BadLineError, match=f"input, line 2: .*{why}") as caught:
        read(MessageToDict(a_batch()), line)
    assert caught.value.number == 2
    assert "secret" not in str(caught.value)


@given(st.binary(max_size=60))
def test_whatever_a_payload_is_it_comes_through(payload: bytes):
    event = {"kind": "EVENT_KIND_DATA", "direction": "DIRECTION_SENT", "payload": base64.b64encode(payload).decode()}
    (record,) = read(event)
    assert batch(record).events[0].payload == payload


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["kind", "events", "connection", "payload", "position", "tick", "uuid", "process", "value", "labels"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(JSON)
def test_no_json_breaks_anything(value: object):
    try:
        read(value)
    except BadLineError:
        return
