"""What a partition's records lead to: the life of connections by both clocks, and what comes out of each."""

import pytest

from fleetcap_proto.v1 import activity_pb2, common_pb2, raw_pb2, secrets_pb2
from fleetcap_streams.engine.engine import Engine
from fleetcap_streams.engine.limits import EngineLimits
from fleetcap_streams.engine.values import (
    ActivityOut,
    CloseReason,
    ConnectionOut,
    DeadLetterOut,
    ExchangeOut,
    MessageOut,
    Output,
    SecretOut,
)
from fleetcap_streams.protocols.contract import Direction
from fleetcap_streams.protocols.registry import default_registry
from tests.streams.talk import START_NS, Log, Talk

REQUEST = b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n"
RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def engine(**limits: int) -> Engine:
    return Engine(default_registry(), EngineLimits(**limits))  # type: ignore[arg-type]


def told(outputs: list[Output]) -> list[str]:
    """Outputs as a short transcript."""
    lines = []
    for output in outputs:
        match output:
            case MessageOut(message=message):
                name = "sent" if message.direction is Direction.SENT else "received"
                lines.append(f"{name} {message.protocol}{'' if message.complete else ' incomplete'}")
            case ExchangeOut(request=request, response=response):
                method = request.http.method if request and request.http else "-"
                status = response.http.status if response and response.http else "-"
                lines.append(f"exchange {method} {status}")
            case ConnectionOut(reason=reason):
                lines.append("opened" if reason is None else f"closed {reason.name}")
            case DeadLetterOut(reason=reason):
                lines.append(f"dead: {reason}")
            case ActivityOut() | SecretOut():
                lines.append(type(output).__name__)
    return lines


EXCHANGE = ["sent http1", "received http1", "exchange GET 200"]


def test_a_socket_lives_until_its_destroy_and_both_directions_end_with_it():
    talk, log = Talk(), Log()
    log.add(talk, talk.sent(REQUEST), talk.received(RESPONSE, 5))
    log.add(talk, talk.sent(REQUEST, 60_000), talk.received(RESPONSE, 60_010), at=60_020)
    log.add(talk, talk.closed(60_030), at=60_030)
    assert told(engine().feed(log.records)) == ["opened", *EXCHANGE, *EXCHANGE, "closed DESTROYED"]


def test_one_parser_serves_a_socket_across_idle_times():
    talk, log = Talk(), Log()
    log.add(talk, talk.sent(REQUEST[:9]))
    log.add(talk, talk.sent(REQUEST[9:], 5000), at=5000)
    log.add(talk, talk.received(RESPONSE, 9000), at=9000)
    assert told(engine().feed(log.records)) == ["opened", *EXCHANGE]


def test_without_a_socket_a_second_of_event_time_between_two_events_ends_the_segment():
    talk, log = Talk(sock=0), Log()
    log.add(talk, talk.sent(REQUEST), talk.received(RESPONSE, 5), talk.sent(REQUEST, 1006), talk.received(RESPONSE, 1010))
    outputs = engine().feed(log.records)
    assert told(outputs) == ["opened", *EXCHANGE, "closed IDLE", "opened", *EXCHANGE]
    assert [output.segment for output in outputs if isinstance(output, ConnectionOut)] == [1, 1, 2]


def test_exactly_the_timeout_is_not_longer_than_it():
    talk, log = Talk(sock=0), Log()
    log.add(talk, talk.sent(REQUEST), talk.received(RESPONSE, 1000))
    assert told(engine().feed(log.records)) == ["opened", *EXCHANGE]


def test_log_time_ends_a_segment_only_after_the_timeout_and_the_grace():
    talk, log = Talk(sock=0), Log()
    log.add(talk, talk.sent(REQUEST), talk.received(RESPONSE, 5))
    log.tick(1499)
    log.tick(1500)
    under_test = engine()
    assert told(under_test.feed(log.records[:2])) == ["opened", *EXCHANGE]
    assert told(under_test.feed(log.records[2:])) == ["closed IDLE"]


def test_any_record_of_the_partition_moves_log_time_but_no_nodes_clock_does():
    quiet, other, log = Talk("quiet", sock=0), Talk("other", sock=0), Log()
    log.add(quiet, quiet.sent(REQUEST))
    log.add(other, other.sent(REQUEST, 3_600_000), at=10)  # an hour ahead by its own clock
    log.add(other, other.received(RESPONSE, 3_600_001), at=20)
    assert told(engine().feed(log.records)) == ["opened", "sent http1", "opened", *EXCHANGE]
    log.add(other, other.sent(REQUEST, 3_600_002), at=1500)
    assert "closed IDLE" in told(engine().feed(log.records))


def test_log_time_never_runs_back():
    talk, log = Talk(sock=0), Log()
    log.tick(5000)
    log.add(talk, talk.sent(REQUEST), at=0)  # after a leader change
    log.tick(1600)
    log.tick(6500)
    under_test = engine()
    assert told(under_test.feed(log.records[:3])) == ["opened", "sent http1"]
    assert told(under_test.feed(log.records[3:])) == ["exchange GET -", "closed IDLE"]


def test_a_socket_whose_destroy_was_lost_ends_by_the_longer_timeout_and_says_so():
    talk, log = Talk(), Log()
    log.add(talk, talk.sent(REQUEST))
    log.tick(1_799_000)
    log.tick(1_800_000)
    assert told(engine().feed(log.records)) == ["opened", "sent http1", "exchange GET -", "closed DESTROY_LOST"]


def test_a_socket_given_up_too_early_goes_on_where_it_was():
    talk, log = Talk(), Log()
    log.add(talk, talk.sent(REQUEST), talk.received(RESPONSE))
    log.tick(1_800_000)
    log.add(talk, talk.sent(REQUEST, 2_000_000), talk.received(RESPONSE, 2_000_001), at=2_000_000)
    outputs = engine().feed(log.records)
    assert told(outputs) == ["opened", *EXCHANGE, "closed DESTROY_LOST", "opened", *EXCHANGE]
    assert [output.number for output in outputs if isinstance(output, ExchangeOut)] == [1, 2]


def test_bytes_that_come_after_the_destroy_are_put_out_in_a_segment_marked_late():
    talk, log = Talk(), Log()
    log.add(talk, talk.sent(REQUEST), talk.closed(1, totals=(len(RESPONSE), len(REQUEST))))
    log.add(talk, raw_late := talk.received(RESPONSE, 2), at=2)
    raw_late.position = len(RESPONSE)
    log.tick(2000)
    outputs = engine().feed(log.records)
    assert told(outputs)[:4] == ["opened", "sent http1", "exchange GET -", "closed DESTROYED"]
    closed = outputs[-1]
    assert isinstance(closed, ConnectionOut)
    assert closed.reason is CloseReason.IDLE
    assert closed.notes == ("late",)


def test_bytes_that_come_twice_after_the_destroy_are_not_put_out_twice():
    talk, log = Talk(), Log()
    event = talk.sent(REQUEST)
    log.add(talk, event, talk.received(RESPONSE, 1), talk.closed(2))
    log.add(talk, event, at=10)
    log.tick(5000)
    outputs = engine().feed(log.records)
    assert told(outputs).count("sent http1") == 1
    assert isinstance(outputs[-1], ConnectionOut)
    assert outputs[-1].sent.duplicate_bytes == len(REQUEST)


def test_a_loss_at_the_very_end_is_known_from_the_kernels_count():
    talk, log = Talk(), Log()
    log.add(talk, talk.sent(REQUEST), talk.closed(1, totals=(100, len(REQUEST))))
    closed = engine().feed(log.records)[-1]
    assert isinstance(closed, ConnectionOut)
    assert (closed.received.missing_bytes, closed.received.gaps) == (100, 1)
    assert closed.sent.missing_bytes == 0


def test_messages_carry_the_thread_that_moved_their_first_byte():
    talk, log = Talk(), Log()
    log.add(talk, talk.sent(REQUEST, 0, tid=7), talk.received(RESPONSE[:5], 1, tid=8), talk.received(RESPONSE[5:], 2, tid=9))
    messages = [output.message for output in engine().feed(log.records) if isinstance(output, MessageOut)]
    assert [message.tid for message in messages] == [7, 8]


def test_latency_is_from_first_byte_to_first_byte():
    talk, log = Talk(), Log()
    log.add(
        talk, talk.sent(REQUEST[:5]), talk.sent(REQUEST[5:], 3), talk.received(RESPONSE[:4], 10), talk.received(RESPONSE[4:], 90)
    )
    exchange = next(output for output in engine().feed(log.records) if isinstance(output, ExchangeOut))
    assert exchange.latency_ns == 10_000_000
    assert exchange.request is not None
    assert exchange.request.start_ns == START_NS


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        (b"k", None, "the value is empty"),
        (b"k", b"", "the value is empty"),
        (b"k", b"\xff" * 20, "the value is not a RawBatch"),
        (b"k", raw_pb2.RawBatch(node_id="n").SerializeToString(), "it has no events and is no tick"),
        (b"other", Talk().batch(Talk().sent(b"x")).SerializeToString(), "the key is not the connection's UUID"),
        (None, Talk().batch(Talk().sent(b"x")).SerializeToString(), "the key is not the connection's UUID"),
        (
            b"node-1:c1",
            Talk().batch(raw_pb2.RawEvent(kind="EVENT_KIND_UNSPECIFIED")).SerializeToString(),
            "event 0 is of the unknown kind 0",
        ),
        (
            b"k",
            raw_pb2.RawBatch(events=[Talk().sent(b"x")]).SerializeToString(),
            "event 0 belongs to a connection, but the record names none",
        ),
        (b"k", b"x" * 5_000_000, "the value has 5000000 bytes, more than the limit of 4194304"),
    ],
)
def test_what_cannot_be_read_is_a_dead_letter_with_its_reason_and_the_rest_goes_on(
    key: bytes | None, value: bytes | None, reason: str
):
    talk, log = Talk(), Log()
    log.add(talk, talk.sent(REQUEST))
    log.raw(key, value)
    log.add(talk, talk.received(RESPONSE, 1))
    outputs = engine().feed(log.records)
    assert told(outputs) == ["opened", "sent http1", f"dead: {reason}", "received http1", "exchange GET 200"]
    dead = next(output for output in outputs if isinstance(output, DeadLetterOut))
    assert (dead.record.key, dead.record.value, dead.record.offset) == (key, value, 1)


def test_a_record_cut_anywhere_is_a_dead_letter_and_never_half_a_batch():
    talk = Talk()
    value = talk.batch(talk.sent(b"one"), talk.sent(b"two"), talk.received(b"three")).SerializeToString()
    for cut in range(len(value)):
        outputs = engine().feed(Log().raw(talk.uuid.encode(), value[:cut]).records)
        assert len(outputs) == 1, cut
        assert isinstance(outputs[0], DeadLetterOut), cut


def test_facts_pass_by_the_engine_and_are_completed_by_their_batch():
    batch = raw_pb2.RawBatch(
        node_id="node-1",
        events=[
            raw_pb2.RawEvent(
                kind="EVENT_KIND_ACTIVITY",
                timestamp_ns=5,
                activity=activity_pb2.Activity(kind="ACTIVITY_KIND_SHELL_LINE", text="ls", process=common_pb2.Process(pid=1)),
            ),
            raw_pb2.RawEvent(
                kind="EVENT_KIND_KEY", timestamp_ns=6, key=secrets_pb2.KeyLogEntry(label="CLIENT_RANDOM", client_random=b"r")
            ),
        ],
    )
    activity, secret = engine().feed(Log().raw(b"node-1", batch.SerializeToString()).records)
    assert isinstance(activity, ActivityOut)
    assert (activity.activity.node_id, activity.activity.timestamp_ns, activity.activity.text) == ("node-1", 5, "ls")
    assert isinstance(secret, SecretOut)
    assert (secret.key.node_id, secret.key.timestamp_ns) == ("node-1", 6)


def test_when_the_input_ends_everything_buffered_comes_out():
    talk, log = Talk(), Log()
    log.add(talk, talk.sent(REQUEST), talk.received(RESPONSE[:-1], 1))
    under_test = engine()
    under_test.feed(log.records)
    assert told(under_test.drain()) == ["received http1 incomplete", "exchange GET 200", "closed INPUT_ENDED"]
    assert len(under_test) == 0


def test_ended_connections_are_remembered_for_a_while_and_then_forgotten():
    talk, log = Talk(), Log()
    log.add(talk, talk.sent(REQUEST), talk.closed(1))
    log.tick(599_999)
    log.tick(600_000)
    under_test = engine()
    under_test.feed(log.records[:2])
    assert len(under_test) == 1
    assert [state is None for _, state in under_test.changed()] == [False]
    under_test.feed(log.records[2:])
    assert len(under_test) == 0
    assert list(under_test.changed()) == [(talk.uuid, None)]


def test_the_next_deadline_tells_when_a_silent_partition_needs_a_tick():
    talk, log = Talk(), Log()
    log.add(talk, talk.sent(REQUEST))
    start = log.records[0].log_time_ms
    under_test = engine()
    assert under_test.next_deadline_ms() is None
    under_test.feed(log.records)
    assert under_test.next_deadline_ms() == start + 1500
    under_test.feed(Log().tick(1500).records)
    assert under_test.next_deadline_ms() == start + 1_800_000


def test_too_many_connections_cut_the_longest_quiet_one():
    log = Log()
    for number in range(4):
        talk = Talk(f"c{number}")
        log.add(talk, talk.sent(REQUEST), at=number)
    outputs = engine(connections=3).feed(log.records)
    assert [output.connection.uuid for output in outputs if isinstance(output, ConnectionOut) and output.reason] == ["c0"]
    assert outputs[-3] == next(output for output in outputs if isinstance(output, ConnectionOut) and output.reason)
