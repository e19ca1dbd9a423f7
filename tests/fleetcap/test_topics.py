"""The table of topics, and what happens where Kafka is not to be had. Creation itself is in the integration tests."""

import socket

import pytest

from fleetcap.kafka.errors import TopicsError
from fleetcap.topics import PARTITIONS, TopicSpec, ensure, specs
from fleetcap_proto import topics


def test_every_topic_has_a_spec_and_all_have_the_same_partitions() -> None:
    table = specs()
    assert [spec.name for spec in table] == list(topics.ALL)
    assert {spec.partitions for spec in table} == {PARTITIONS}


def test_a_prefix_stands_before_every_name() -> None:
    assert [spec.name for spec in specs("east.")] == [f"east.{name}" for name in topics.ALL]


def test_only_the_raw_topic_is_stamped_by_the_broker() -> None:
    stamped = [spec.name for spec in specs() if spec.config["message.timestamp.type"] == "LogAppendTime"]
    assert stamped == [topics.RAW]


def test_a_dead_letter_can_hold_the_largest_raw_record_and_its_error() -> None:
    by_name = {spec.name: int(spec.config["max.message.bytes"]) for spec in specs()}
    assert by_name[topics.DEADLETTER] > by_name[topics.RAW]


def test_secrets_are_kept_for_less_time_than_anything_else() -> None:
    kept = {spec.name: int(spec.config["retention.ms"]) + int(spec.config["segment.ms"]) for spec in specs()}
    assert min(kept, key=kept.__getitem__) == topics.SECRETS


@pytest.mark.parametrize("spec", specs(), ids=lambda spec: spec.name)
def test_segments_end_well_before_their_records_so_that_retention_is_kept(spec: TopicSpec) -> None:
    assert int(spec.config["segment.ms"]) * 4 <= int(spec.config["retention.ms"])


def test_an_unreachable_kafka_is_one_line_with_the_servers_and_a_remedy() -> None:
    with socket.socket() as taken:  # bound and not listening: nobody else gets it, and nothing answers
        taken.bind(("127.0.0.1", 0))
        servers = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(TopicsError) as caught:
            ensure({"bootstrap.servers": servers}, specs(), timeout_s=0.3)
    assert servers in str(caught.value)
    assert "fleetcap broker" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_option_that_librdkafka_does_not_know_is_named() -> None:
    with pytest.raises(TopicsError, match=r"no\.such\.option"):
        ensure({"bootstrap.servers": "127.0.0.1:1", "no.such.option": "x"}, specs())
