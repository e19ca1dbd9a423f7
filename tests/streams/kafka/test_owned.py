"""An owned partition around a client that fails: what comes after a checkpoint of unknown fate is never written."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from fleetcap_streams.engine.values import Record
from fleetcap_streams.kafka import owned
from fleetcap_streams.kafka.checkpoint import AbortedError, Names
from fleetcap_streams.kafka.cluster import Cluster
from fleetcap_streams.kafka.owned import OwnedPartition, Parts, Surroundings
from fleetcap_streams.kafka.partition import Batch, Checkpoint, PartitionLimits
from fleetcap_streams.kafka.recovery import Saved
from tests.streams.kafka.standin import StandIn, encode


class FakeKafka:
    """Every client that a partition makes, and what they made durable."""

    def __init__(self, fail: Callable[[int], None]) -> None:
        self.durable: list[Checkpoint] = []
        self.attempts = 0
        self.clients = 0
        self.hung = False
        self.fail = fail
        self.seeks: list[int] = []
        self.movable = True

    def client(self, *_: Any) -> "FakeCheckpointer":
        self.clients += 1
        return FakeCheckpointer(self, self.clients)

    def saved(self, *_: Any) -> Saved:
        states = {key: value for one in self.durable for key, value in one.states if value is not None}
        return Saved(states, self.durable[-1].next_offset if self.durable else None)

    def values(self) -> list[bytes | None]:
        return [value for one in self.durable for alike in one.outputs for value in alike.values]


class FakeCheckpointer:
    def __init__(self, kafka: FakeKafka, number: int) -> None:
        self._kafka = kafka
        self._number = number

    @property
    def hung(self) -> bool:
        return self._kafka.hung and self._number == 1

    def open(self) -> None:
        pass

    def write(self, checkpoint: Checkpoint) -> None:
        self._kafka.attempts += 1
        self._kafka.fail(self._kafka.attempts)
        self._kafka.durable.append(checkpoint)

    def abandon(self) -> None:
        pass

    def close(self) -> None:
        pass


def batch(*offsets: int) -> Batch:
    return Batch(0, 0, offsets[0], offsets[-1] + 1, [Record(offset, b"k", b"+x", offset) for offset in offsets])


async def recovered(kafka: FakeKafka, monkeypatch: pytest.MonkeyPatch) -> OwnedPartition:
    monkeypatch.setattr(owned, "Checkpointer", kafka.client)
    monkeypatch.setattr(owned, "read_saved", kafka.saved)
    monkeypatch.setattr(owned, "WATCH_S", 0.01)

    async def seek(_number: int, offset: int) -> int | None:
        kafka.seeks.append(offset)
        return len(kafka.seeks) if kafka.movable else None

    def failed(error: BaseException) -> None:
        raise error

    names = Names("g", "raw", "changelog")
    around = Surroundings(Cluster("h:1"), names, None, Parts(StandIn, encode), PartitionLimits(), seek, failed)
    made = OwnedPartition(0, around)
    await made.recover()
    return made


def test_an_aborted_checkpoint_is_made_again_from_the_last_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(attempt: int) -> None:
        if attempt == 2:
            raise AbortedError("as the test wants it")

    async def scenario() -> FakeKafka:
        kafka = FakeKafka(fail)
        made = await recovered(kafka, monkeypatch)
        for offset in (0, 1):
            await made.feed(batch(offset))
            await made.checkpoint()
        assert kafka.seeks == [1]
        await made.feed(batch(1, 2))
        await made.checkpoint()
        return kafka

    assert asyncio.run(scenario()).values() == [b"1 x", b"2 x", b"3 x"]


def test_a_client_that_hangs_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    never = threading.Event()

    def fail(attempt: int) -> None:
        if attempt == 1:
            never.wait(60)

    async def scenario() -> FakeKafka:
        kafka = FakeKafka(fail)
        made = await recovered(kafka, monkeypatch)
        await made.feed(batch(0))
        writing = made.start_checkpoint()
        kafka.hung = True
        assert writing is not None
        await writing
        assert (kafka.clients, kafka.seeks) == (2, [0])
        await made.feed(batch(0, 1))
        await made.checkpoint()
        return kafka

    assert asyncio.run(scenario()).values() == [b"1 x", b"2 x"]


@pytest.mark.parametrize("way", ["aborted", "hung"])
def test_nothing_is_written_after_a_failure_while_giving_up(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    go_on = threading.Event()

    def fail(attempt: int) -> None:
        if attempt == 1:
            go_on.wait(60)
            raise AbortedError("as the test wants it")

    async def scenario() -> FakeKafka:
        kafka = FakeKafka(fail)
        made = await recovered(kafka, monkeypatch)
        await made.feed(batch(0))
        made.start_checkpoint()
        await made.feed(batch(1))  # waits for a checkpoint of its own
        releasing = asyncio.create_task(made.release(30))
        await asyncio.sleep(0.05)
        if way == "hung":
            kafka.hung = True
        else:
            go_on.set()
        await releasing
        return kafka

    kafka = asyncio.run(scenario())
    assert (kafka.attempts, kafka.durable) == (1, [])


def test_a_gap_is_gone_back_for_once_and_then_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> FakeKafka:
        kafka = FakeKafka(lambda _attempt: None)
        made = await recovered(kafka, monkeypatch)
        await made.feed(batch(0))
        await made.feed(batch(5))  # something went missing on the way
        await made.feed(batch(6))  # fetched before the consumer was moved back
        assert kafka.seeks == [1]
        await made.feed(batch(9)._replace(seeks=1))  # and after: there is nothing before it any more
        await made.checkpoint()
        return kafka

    (checkpoint,) = asyncio.run(scenario()).durable
    assert checkpoint.next_offset == 10
    assert [value for alike in checkpoint.outputs for value in alike.values] == [b"1 x", b"2 x"]


def test_a_gap_is_not_believed_while_the_consumer_cannot_be_moved(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> FakeKafka:
        kafka = FakeKafka(lambda _attempt: None)
        made = await recovered(kafka, monkeypatch)
        await made.feed(batch(0))
        kafka.movable = False
        for _ in range(3):
            await made.feed(batch(5)._replace(seeks=9))
        assert kafka.seeks == [1, 1, 1]
        kafka.movable = True
        await made.feed(batch(5)._replace(seeks=9))
        await made.feed(batch(1, 2)._replace(seeks=10))
        await made.checkpoint()
        return kafka

    (checkpoint,) = asyncio.run(scenario()).durable
    assert checkpoint.next_offset == 3
