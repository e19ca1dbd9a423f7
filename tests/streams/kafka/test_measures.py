from prometheus_client import generate_latest

from fleetcap_proto import topics
from fleetcap_streams.engine.engine import Engine
from fleetcap_streams.engine.values import CloseReason, ConnectionInfo, ConnectionOut, Totals
from fleetcap_streams.kafka.measures import TIMED, Measures
from fleetcap_streams.kafka.outgoing import Outgoing, Source
from fleetcap_streams.kafka.partition import Checkpoint
from fleetcap_streams.protocols.registry import default_registry
from tests.streams.talk import Log, Talk


def lines(measures: Measures) -> set[str]:
    return {line for line in generate_latest(measures.registry).decode().splitlines() if not line.startswith("#")}


def test_what_is_durable_is_counted_by_topic() -> None:
    measures = Measures()
    outputs = [
        Outgoing(topics.EVENTS, b"k", (b"12", b"34"), (), 0),
        Outgoing(topics.DEADLETTER, b"k", (b"12",), (), 0),
    ]
    measures.durable(3, Checkpoint(outputs, [(b"key", b"state"), (b"old", None)], 10, dropped=1, unreadable=2), 7, 0.15)
    measures.not_made()
    assert {
        f'fleetcap_outputs_total{{topic="{topics.EVENTS}"}} 2.0',
        f'fleetcap_outputs_total{{topic="{topics.DEADLETTER}"}} 1.0',
        f'fleetcap_output_bytes_total{{topic="{topics.EVENTS}"}} 6.0',
        'fleetcap_records_total{partition="3"} 7.0',
        "fleetcap_state_bytes_total 11.0",
        'fleetcap_checkpoint_seconds_bucket{le="0.1"} 0.0',
        'fleetcap_checkpoint_seconds_bucket{le="0.2"} 1.0',
        "fleetcap_checkpoints_not_made_total 1.0",
        "fleetcap_states_dropped_total 1.0",
        "fleetcap_states_unreadable_total 2.0",
    } <= lines(measures)


def test_some_records_are_timed_by_their_protocol() -> None:
    talk, log = Talk(), Log()
    request, response = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    for at in range(2 * TIMED):
        log.add(talk, talk.sent(request), talk.received(response, at))
    measures = Measures()
    timed, plain = measures.metering(Engine(default_registry())), Engine(default_registry())
    for record in log.records:
        assert timed.feed((record,)) == plain.feed((record,))
    assert dict(timed.changed()) == dict(plain.changed())
    assert len(timed) == len(plain) == 1
    sizes = [len(record.value or b"") for record in log.records]
    assert f'fleetcap_cost_bytes_total{{protocol="http1"}} {float(sizes[TIMED - 1] + sizes[2 * TIMED - 1])}' in lines(measures)


def test_losses_are_counted_when_a_connection_ends() -> None:
    measures = Measures()
    encode = measures.counting(lambda _output, _source: ())
    for reason in (None, CloseReason.DESTROYED):
        totals = Totals(gaps=1, missing_bytes=40), Totals(gaps=2, missing_bytes=2)
        encode(ConnectionOut(ConnectionInfo("c"), reason, 0, 0, "http1", *totals, 0, 1, ()), Source("t", 0, 0))
    assert {
        "fleetcap_gaps_total 3.0",
        "fleetcap_missing_bytes_total 42.0",
        'fleetcap_segments_ended_total{reason="destroyed"} 1.0',
    } <= lines(measures)


def test_a_partition_that_was_given_up_has_no_lag_any_more() -> None:
    measures = Measures()
    measures.own((0, 1), ())
    measures.at(0, lag_records=5, lag_s=1.5, connections=2, waiting_bytes=3)
    assert {'fleetcap_lag_records{partition="0"} 5.0', 'fleetcap_lag_seconds{partition="0"} 1.5'} <= lines(measures)
    measures.own((1,), (0, 1))
    assert "fleetcap_partitions 1.0" in lines(measures)
    assert not any(line.startswith("fleetcap_lag_records{") for line in lines(measures))
