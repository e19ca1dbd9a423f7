"""What a worker goes on from: states and offsets that one transaction wrote, and the end of a log that is really its end."""

import threading
from collections.abc import Iterator

import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from fleetcap.broker import EmbeddedBroker
from fleetcap_streams.errors import UndecidedError
from fleetcap_streams.kafka import recovery
from fleetcap_streams.kafka.checkpoint import AbandonedError, Checkpointer, Names, group_metadata
from fleetcap_streams.kafka.cluster import Cluster
from fleetcap_streams.kafka.partition import Checkpoint
from fleetcap_streams.kafka.recovery import Saved, read_saved, reconciled

STATES = {b"a": b"1", b"b": b"2"}


@pytest.mark.parametrize(
    ("position", "committed", "saved"),
    [
        (None, None, Saved(STATES, None)),
        (None, 7, Saved(STATES, 7)),
        (7, 7, Saved(STATES, 7)),
        (7, None, Saved(STATES, 7)),
        (7, 9, Saved(STATES, 9)),
        (7, 5, Saved({}, 5, (b"a", b"b"))),
    ],
    ids=["new", "of an older version", "as written", "offsets expired", "moved on by hand", "moved back by hand"],
)
def test_states_and_offset_agree_or_it_is_known_why_not(position: int | None, committed: int | None, saved: Saved) -> None:
    assert reconciled(dict(STATES), position, committed, "partition 0") == saved


@pytest.fixture
def names(broker: EmbeddedBroker, topic_prefix: str) -> Names:
    made = Names(f"{topic_prefix}group", f"{topic_prefix}raw", f"{topic_prefix}changelog")
    admin = AdminClient({"bootstrap.servers": broker.bootstrap_servers})
    for future in admin.create_topics([NewTopic(made.source, 1, 1), NewTopic(made.changelog, 1, 1)]).values():
        future.result()
    return made


@pytest.fixture
def hanging(broker: EmbeddedBroker, names: Names) -> Iterator[Producer]:
    """A transaction that has written to the changelog and is not ended."""
    producer = Producer({"bootstrap.servers": broker.bootstrap_servers, "transactional.id": f"{names.group}-other"})
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce(names.changelog, b"late", b"k", 0)
    producer.flush()
    yield producer
    producer.purge()


@pytest.mark.kafka
def test_a_checkpoint_is_read_as_it_was_written(broker: EmbeddedBroker, names: Names) -> None:
    cluster = Cluster(broker.bootstrap_servers)
    for n in (1, 2):
        checkpointer = Checkpointer(cluster, names, 0, group_metadata(cluster, names.group))
        checkpointer.open()
        assert read_saved(cluster, names, 0, lambda: False).next_offset == (None if n == 1 else 10)
        checkpointer.write(Checkpoint((), [(b"k", b"%d" % n), (b"gone", b"x" if n == 1 else None)], n * 10))
        checkpointer.close()
    assert read_saved(cluster, names, 0, lambda: False) == Saved({b"k": b"2"}, 20)


@pytest.mark.kafka
def test_an_offset_that_was_moved_back_forgets_the_states_for_good(broker: EmbeddedBroker, names: Names) -> None:
    cluster = Cluster(broker.bootstrap_servers)
    checkpointer = Checkpointer(cluster, names, 0, group_metadata(cluster, names.group))
    checkpointer.open()
    checkpointer.write(Checkpoint((), [(b"k", b"1")], 10))
    checkpointer._producer.begin_transaction()
    checkpointer._producer.send_offsets_to_transaction([TopicPartition(names.source, 0, 4)], group_metadata(cluster, names.group))
    checkpointer._producer.commit_transaction()
    assert read_saved(cluster, names, 0, lambda: False) == Saved({}, 4, (b"k",))


@pytest.mark.kafka
def test_nothing_is_taken_over_before_it_is_decided(broker: EmbeddedBroker, names: Names, hanging: Producer) -> None:
    found: list[Saved] = []
    cluster = Cluster(broker.bootstrap_servers)
    reading = threading.Thread(target=lambda: found.append(read_saved(cluster, names, 0, lambda: False)))
    reading.start()
    reading.join(1.5)
    assert (reading.is_alive(), found) == (True, [])
    hanging.commit_transaction(30)
    reading.join(30)
    assert found == [Saved({b"k": b"late"}, None)]


@pytest.mark.kafka
@pytest.mark.usefixtures("hanging")
def test_what_is_never_decided_ends_in_one_line(broker: EmbeddedBroker, names: Names, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recovery, "UNDECIDED_S", 0.5)
    with pytest.raises(UndecidedError, match="find-hanging"):
        read_saved(Cluster(broker.bootstrap_servers), names, 0, lambda: False)


@pytest.mark.kafka
@pytest.mark.usefixtures("hanging")
def test_waiting_ends_when_the_partition_is_given_up(broker: EmbeddedBroker, names: Names) -> None:
    answers = iter([False] * 20)
    with pytest.raises(AbandonedError):
        read_saved(Cluster(broker.bootstrap_servers), names, 0, lambda: next(answers, True))
