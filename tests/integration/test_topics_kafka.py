"""Topics on a real broker."""

from typing import Any

import pytest
from confluent_kafka.admin import AdminClient

from fleetcap.broker import EmbeddedBroker
from fleetcap.topics import TopicSpec, ensure, specs

pytestmark = pytest.mark.kafka


@pytest.fixture
def options(broker: EmbeddedBroker) -> dict[str, Any]:
    return {"bootstrap.servers": broker.bootstrap_servers}


def test_creation_is_idempotent(options: dict[str, Any], topic_prefix: str) -> None:
    wanted = specs(topic_prefix, 3)
    first = ensure(options, wanted)
    second = ensure(options, wanted)
    assert set(first.created) == {spec.name for spec in wanted}
    assert (first.existing, first.differences) == ((), ())
    assert second.created == ()
    assert set(second.existing) == {spec.name for spec in wanted}
    assert second.differences == ()


def test_topics_are_made_as_their_specs_say(options: dict[str, Any], topic_prefix: str) -> None:
    ensure(options, specs(topic_prefix, 3))
    listed = AdminClient(options).list_topics(timeout=10).topics
    assert {len(listed[spec.name].partitions) for spec in specs(topic_prefix)} == {3}


def test_only_what_is_missing_is_created(options: dict[str, Any], topic_prefix: str) -> None:
    wanted = specs(topic_prefix, 2)
    ensure(options, wanted[:3])
    report = ensure(options, wanted)
    assert set(report.created) == {spec.name for spec in wanted[3:]}
    assert set(report.existing) == {spec.name for spec in wanted[:3]}


def test_another_number_of_partitions_is_reported_and_not_changed(options: dict[str, Any], topic_prefix: str) -> None:
    ensure(options, specs(topic_prefix, 2)[:1])
    (line,) = ensure(options, specs(topic_prefix, 5)[:1]).differences
    assert "has 2 partitions instead of 5" in line
    assert len(AdminClient(options).list_topics(timeout=10).topics[f"{topic_prefix}fleetcap.raw.v1"].partitions) == 2


def test_another_timestamp_type_on_the_raw_topic_is_reported(options: dict[str, Any], topic_prefix: str) -> None:
    raw = specs(topic_prefix, 1)[0]
    wrong = TopicSpec(raw.name, 1, 1, {**raw.config, "message.timestamp.type": "CreateTime"})
    ensure(options, [wrong])
    (line,) = ensure(options, [raw]).differences
    assert "message.timestamp.type=CreateTime instead of LogAppendTime" in line
