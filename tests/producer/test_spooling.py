"""Records by way of the disk while Kafka is away: order, what a killed process leaves, and what an ended one does."""

from collections import deque
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetcap_producer.packing import Packed
from fleetcap_producer.shipping import Settled
from fleetcap_producer.spool import FULL, Spool, SpoolOptions
from fleetcap_producer.spooling import SpoolingOptions, SpoolingSink

UNSENT = "not sent before the end"


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class FakeKafka:
    """A client with room for some records, whose broker answers only while it is there."""

    def __init__(self, clock: Clock, room: int = 1000) -> None:
        self.clock = clock
        self.room = room
        self.there = True
        self.queue: deque[tuple[Packed, Settled]] = deque()
        self.written: list[int] = []
        self.refuse: set[int] = set()

    def offer(self, packed: Packed, settled: Settled) -> bool:
        if len(self.queue) >= self.room:
            return False
        self.queue.append((packed, settled))
        return True

    def poll(self) -> None:
        while self.there and self.queue:
            packed, settled = self.queue.popleft()
            number = int(packed.value[:6])
            if number in self.refuse:
                settled("refused")
            else:
                self.written.append(number)
                settled("")

    def flush(self, timeout_s: float) -> int:
        self.clock.now += timeout_s
        self.poll()
        return len(self.queue)

    def close(self, timeout_s: float) -> None:
        assert timeout_s == 0.0
        while self.queue:
            self.queue.popleft()[1](UNSENT)


def _record(number: int, size: int = 30) -> Packed:
    return Packed(b"key", f"{number:06}".encode().ljust(size, b"."), 3)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def _sink(folder: Path, kafka: FakeKafka, *, window: int = 1 << 20, most: int = 1 << 20) -> SpoolingSink:
    spool = Spool(folder, SpoolOptions(most, 1024))
    return SpoolingSink(kafka, spool, SpoolingOptions(1.0, window), kafka.clock)


def test_nothing_touches_the_disk_while_kafka_answers(tmp_path: Path, clock: Clock) -> None:
    kafka = FakeKafka(clock)
    sink = _sink(tmp_path / "s", kafka)
    for n in range(50):
        sink.send(_record(n), 1.0)
        sink.poll()
        clock.now += 0.5
    assert kafka.written == list(range(50))
    assert sink.kept_bytes == 0
    assert not list((tmp_path / "s").glob("*.spool"))


def test_an_outage_goes_to_disk_and_comes_back_in_order_before_what_is_new(tmp_path: Path, clock: Clock) -> None:
    kafka = FakeKafka(clock)
    sink = _sink(tmp_path / "s", kafka)
    for n in range(30):
        kafka.there = not 5 <= n < 20
        sink.send(_record(n), 1.0)
        if n == 12:
            assert sink.spooling
            assert sink.kept_bytes
        sink.poll()
        clock.now += 0.4
    sink.poll()
    assert kafka.written == list(range(30))
    assert not sink.spooling
    assert sink.kept_bytes == 0
    assert sink.losses() == {}


def test_a_killed_process_leaves_what_kafka_did_not_answer_for(tmp_path: Path, clock: Clock) -> None:
    kafka = FakeKafka(clock)
    sink = _sink(tmp_path / "s", kafka)
    for n in range(3):
        sink.send(_record(n), 1.0)
        sink.poll()
    kafka.there = False
    for n in range(3, 20):
        sink.send(_record(n), 1.0)
        sink.poll()
        clock.now += 0.4
    sink._spool._folder.close()  # as the kernel does to a process that is killed
    again = FakeKafka(clock)
    second = _sink(tmp_path / "s", again)
    second.send(_record(20), 1.0)
    second.poll()
    second.poll()
    assert again.written == list(range(3, 21))


def test_an_end_while_kafka_is_away_leaves_everything_on_disk_and_loses_nothing(tmp_path: Path, clock: Clock) -> None:
    kafka = FakeKafka(clock)
    sink = _sink(tmp_path / "s", kafka)
    kafka.there = False
    for n in range(5):
        sink.send(_record(n), 1.0)
    begun = clock.now
    sink.close(30.0)
    assert clock.now - begun < 5, "it does not wait for a Kafka that does not answer"
    assert sink.losses() == {}
    again = FakeKafka(clock)
    second = _sink(tmp_path / "s", again)
    second.close(30.0)
    assert again.written == list(range(5))
    assert not list((tmp_path / "s").glob("*.spool"))


def test_an_end_waits_for_a_kafka_that_answers(tmp_path: Path, clock: Clock) -> None:
    kafka = FakeKafka(clock, room=2)
    sink = _sink(tmp_path / "s", kafka)
    for n in range(40):
        sink.send(_record(n), 1.0)
    sink.close(30.0)
    assert kafka.written == list(range(40))
    assert sink.losses() == {}


def test_what_kafka_refuses_is_counted_and_holds_nothing_back(tmp_path: Path, clock: Clock) -> None:
    kafka = FakeKafka(clock, room=2)
    kafka.refuse = {1, 7}
    sink = _sink(tmp_path / "s", kafka)
    for n in range(10):
        sink.send(_record(n), 1.0)
    sink.close(30.0)
    assert kafka.written == [0, 2, 3, 4, 5, 6, 8, 9]
    assert sink.losses() == {"refused": 6}


def test_sent_is_written_and_lost_when_the_spool_overflows(tmp_path: Path, clock: Clock) -> None:
    kafka = FakeKafka(clock)
    sink = _sink(tmp_path / "s", kafka, most=4096)
    kafka.there = False
    for n in range(300):
        sink.send(_record(n), 1.0)
        sink.poll()
        clock.now += 0.1
    kafka.there = True
    for _ in range(20):
        sink.poll()
    lost = sink.losses()[FULL]
    assert lost > 0
    assert 3 * len(kafka.written) + lost == 3 * 300
    assert kafka.written == sorted(set(kafka.written))


@given(
    st.lists(
        st.one_of(st.just("send"), st.just("poll"), st.just("there"), st.just("away"), st.just("wait"), st.just("kill")),
        max_size=150,
    )
)
def test_every_record_is_written_in_order_whatever_happens_to_kafka_and_the_process(
    tmp_path_factory: pytest.TempPathFactory, steps: list[str]
) -> None:
    clock = Clock()
    folder = tmp_path_factory.mktemp("any") / "s"
    kafka = FakeKafka(clock, room=5)
    sink = _sink(folder, kafka, window=100)
    written: list[int] = []
    sent = 0
    direct: set[int] = set()  # only in memory when the process was killed
    for step in steps:
        match step:
            case "send":
                sink.send(_record(sent), 1.0)
                sent += 1
            case "poll":
                sink.poll()
            case "there" | "away":
                kafka.there = step == "there"
            case "wait":
                clock.now += 0.7
            case "kill":
                if not sink.spooling:
                    direct |= {int(packed.value[:6]) for packed, _ in kafka.queue}
                written += kafka.written
                sink._spool._folder.close()
                kafka = FakeKafka(clock, room=5)
                sink = _sink(folder, kafka, window=100)
    kafka.there = True
    sink.close(1000.0)
    written += kafka.written
    assert sink.losses() == {}
    assert set(range(sent)) - set(written) <= direct
    first = list(dict.fromkeys(written))
    assert first == sorted(first), "a record overtook another"
