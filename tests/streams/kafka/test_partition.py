from collections.abc import Iterable
from typing import Any

import pytest

from fleetcap_proto import topics
from fleetcap_streams.engine.values import Record
from fleetcap_streams.kafka.outgoing import Outgoing, Source
from fleetcap_streams.kafka.partition import Batch, Partition, PartitionLimits
from tests.streams.kafka.standin import StandIn, encode


def records(*offsets: int) -> list[Record]:
    return [Record(offset, b"k", b"+x", 1000 + offset) for offset in offsets]


def batch(start: int, *offsets: int) -> Batch:
    return Batch(0, 0, start, offsets[-1] + 1, records(*offsets))


def partition(limits: PartitionLimits | None = None, begin: int | None = 0) -> Partition:
    made = Partition("raw", 0, StandIn(), encode, limits or PartitionLimits())
    made.begin_at(begin)
    return made


@pytest.mark.parametrize(
    ("begin", "given", "wanted"),
    [
        (None, batch(7, 7, 8), [7, 8]),
        (0, batch(0, 0, 1, 2), [0, 1, 2]),
        (2, batch(0, 0, 1, 2, 3), [2, 3]),
        (5, batch(0, 0, 1, 2), []),
        (2, batch(0, 0, 5, 6), [5, 6]),
        (2, batch(2, 5, 6), [5, 6]),
    ],
    ids=["from anywhere", "all", "again and new", "all again", "never were records", "never were records, at its start"],
)
def test_a_batch_is_taken_from_where_the_last_one_ended(begin: int | None, given: Batch, wanted: list[int]) -> None:
    assert [record.offset for record in partition(begin=begin).wanted(given) or ()] == wanted


def test_a_batch_behind_missing_records_is_not_taken() -> None:
    assert partition(begin=2).wanted(batch(3, 3, 4)) is None


def test_a_checkpoint_holds_everything_since_the_last_one() -> None:
    made = partition()
    made.feed(records(0, 1))
    first = made.take()
    made.feed(records(2))
    second = made.take()
    assert first is not None
    assert second is not None
    assert [value for alike in first.outputs for value in alike.values] == [b"1 x", b"2 x"]
    assert (first.next_offset, first.states) == (2, [(b"k", b"2 1 1001")])
    assert [value for alike in second.outputs for value in alike.values] == [b"3 x"]
    assert (second.next_offset, second.states) == (3, [(b"k", b"3 2 1002")])
    assert made.take() is None


def test_an_offset_that_moved_on_without_records_is_checkpointed_too() -> None:
    made = partition()
    made.advance(5)
    checkpoint = made.take()
    assert checkpoint is not None
    assert (checkpoint.next_offset, checkpoint.outputs, checkpoint.states) == (5, [], [])


def test_nothing_is_checkpointed_before_anything_was_read() -> None:
    assert partition(begin=None).take() is None
    assert partition(begin=3).take() is None


@pytest.mark.parametrize("limits", [PartitionLimits(records=3), PartitionLimits(bytes=600)])
def test_what_waits_is_limited(limits: PartitionLimits) -> None:
    made = partition(limits)
    made.feed(records(0, 1))
    assert not made.full
    made.feed(records(2))
    assert made.full
    made.take()
    assert not made.full


def test_outputs_carry_their_records_log_time() -> None:
    made = partition()
    made.feed(records(0, 4))
    checkpoint = made.take()
    assert checkpoint is not None
    assert [output.timestamp_ms for output in checkpoint.outputs] == [1000, 1004]


def test_an_output_too_large_for_its_topic_becomes_a_dead_letter() -> None:
    def large(_output: Any, _source: Source) -> Iterable[Any]:
        return (Outgoing(topics.EVENTS, b"k", (b"z" * 5000,), (), 0),)

    made = Partition("raw", 3, StandIn(), large, PartitionLimits(topics={topics.EVENTS: 1000, topics.DEADLETTER: 2000}))
    made.begin_at(0)
    made.feed(records(0))
    checkpoint = made.take()
    assert checkpoint is not None
    (letter,) = checkpoint.outputs
    assert (letter.topic, letter.key) == (topics.DEADLETTER, b"raw-3-0")


def test_a_state_too_large_to_keep_is_dropped_and_counted() -> None:
    made = partition(PartitionLimits(state=10))
    made.feed(records(0))
    checkpoint = made.take()
    assert checkpoint is not None
    assert checkpoint.states == [(b"k", None)]
    assert checkpoint.dropped == 1


def test_states_to_forget_are_forgotten_once_and_before_new_ones() -> None:
    made = partition()
    made.begin_at(0, [b"old", b"k"])
    made.feed(records(0))
    first = made.take()
    made.feed(records(1))
    second = made.take()
    assert first is not None
    assert second is not None
    assert first.states == [(b"old", None), (b"k", None), (b"k", b"1 0 1000")]
    assert [key for key, _ in second.states] == [b"k"]
