"""Losses as data and as metrics: totals by cause and connection, when they are due, and what a scrape sees."""

import threading
import urllib.request
from typing import Any

import pytest

from fleetcap_producer import metrics
from fleetcap_producer.capture import CaptureOptions, run_capture
from fleetcap_producer.health import Counts, Health, merged
from fleetcap_producer.losses import KeyLoss, Losses
from fleetcap_producer.packing import Packed, Packer
from fleetcap_proto.v1 import activity_pb2, raw_pb2
from fleetcap_streams.engine.engine import Engine
from fleetcap_streams.engine.values import ActivityOut, Record
from fleetcap_streams.protocols.registry import default_registry
from tests.producer.test_capture import ListSink, ListTap

COUNTS = Counts(
    events=10,
    payload_bytes=1000,
    records=3,
    lost_events={"spool full": 4, "never": 0},
    lost_bytes={"spool full": 400},
    lost_by_key={b"one": KeyLoss(1, 100), b"two": KeyLoss(3, 300)},
    spool_bytes=77,
)


def _record(key: bytes, events: int, size: int) -> Packed:
    return Packed(key, bytes(size), events)


def test_losses_are_counted_by_cause_and_by_connection() -> None:
    losses = Losses()
    losses.add("full", _record(b"one", 2, 10))
    losses.add("full", _record(b"two", 1, 5))
    losses.add("failed", _record(b"one", 3, 20))
    assert losses.events() == {"full": 3, "failed": 3}
    assert losses.sizes() == {"full": 15, "failed": 20}
    assert losses.by_key() == {b"one": KeyLoss(5, 30), b"two": KeyLoss(1, 5)}


def test_connections_beyond_those_remembered_are_counted_together() -> None:
    losses = Losses()
    for n in range(5000):
        losses.add("full", _record(f"{n}".encode(), 1, 1))
    by_key = losses.by_key()
    assert len(by_key) <= 4097
    assert sum(one.events for one in by_key.values()) == 5000
    assert by_key[b""].events == 5000 - 4096


def test_sums_of_several_places_meet() -> None:
    assert merged({"a": 1, "b": 2}, {"b": 3}) == {"a": 1, "b": 5}


def test_a_record_is_due_now_and_then_and_says_what_was_counted() -> None:
    health = Health("node", "boot", lambda: COUNTS, interval_s=10.0, wall_ns=lambda: 5)
    (packed,) = health.due(0.0)
    assert [health.due(second) for second in (0.5, 1.0, 8.9)] == [[], [], []]
    assert len(health.due(10.0)) == 1
    batch = raw_pb2.RawBatch.FromString(packed.value)
    assert (packed.key, packed.events, batch.event_count, batch.node_id) == (b"node", 1, 1, "node")
    told = batch.events[0].activity.health
    assert (told.captured_events, told.captured_bytes, told.spool_bytes, told.started_ns) == (10, 1000, 77, 5)
    assert dict(told.lost_events) == {"spool full": 4}
    assert [(one.uuid, one.events, one.bytes) for one in told.connections] == [("two", 3, 300), ("one", 1, 100)]


def test_the_worker_puts_it_out_as_an_activity_of_the_node() -> None:
    packed = Health("node", "boot", lambda: COUNTS, wall_ns=lambda: 5).last()
    (output,) = Engine(default_registry()).feed([Record(0, packed.key, packed.value, 1000)])
    assert isinstance(output, ActivityOut)
    assert output.activity.kind == activity_pb2.ACTIVITY_KIND_NODE_HEALTH
    assert (output.activity.node_id, output.activity.timestamp_ns) == ("node", 5)
    assert output.activity.health.lost_events["spool full"] == 4


def test_a_capture_sends_it_at_the_start_and_at_the_end() -> None:
    tap = ListTap(threading.Event(), [], left=[])
    sink = ListSink()
    health = Health("node", "boot", lambda: COUNTS)
    summary = run_capture(tap, Packer("node", "boot"), sink, tap.stop_event, CaptureOptions(report=lambda _: None, health=health))
    kinds = [raw_pb2.RawBatch.FromString(one.value).events[0].activity.kind for one in sink.packed]
    assert kinds == [activity_pb2.ACTIVITY_KIND_NODE_HEALTH] * 2
    assert summary.records == 2


@pytest.fixture
def served() -> Any:
    server, port = metrics.serve("127.0.0.1", 0, lambda: COUNTS)
    yield port
    server.shutdown()
    server.server_close()


def test_a_scrape_sees_every_cause(served: int) -> None:
    with urllib.request.urlopen(f"http://127.0.0.1:{served}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    assert "fleetcap_captured_events_total 10.0" in lines
    assert 'fleetcap_lost_events_total{cause="spool full"} 4.0' in lines
    assert 'fleetcap_lost_events_total{cause="never"} 0.0' in lines
    assert 'fleetcap_lost_bytes_total{cause="spool full"} 400.0' in lines
    assert "fleetcap_spool_bytes 77.0" in lines
