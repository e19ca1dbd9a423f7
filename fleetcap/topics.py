"""Creation of the topics, once and explicitly, and the table of how each is to be.

It owns partitions, retention and sizes. It must not know what is in the topics; their names and messages stand in
`fleetcap_proto.topics`.
"""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException

# Public names that the package's type stubs forget to export.
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, ResourceType  # type: ignore[attr-defined]

from fleetcap.kafka.errors import TopicsError
from fleetcap_proto import topics

# The same for every topic, because an output goes to its source's partition number. Twelve divides evenly among 1, 2, 3, 4,
# 6 and 12 workers, lets a small cluster grow to a dozen of them, and costs an idle broker nothing worth counting.
PARTITIONS: Final = 12
CLUSTER_DEFAULT: Final = -1  # the brokers' own default.replication.factor (KIP-464)

_MINUTE = 60 * 1000
_HOUR = 60 * _MINUTE
_DAY = 24 * _HOUR
_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """How one topic is to be; `config` as Kafka names and writes it."""

    name: str
    partitions: int
    replication: int
    config: Mapping[str, str]


def _config(retention_ms: int, segment_ms: int, max_bytes: int, timestamps: str = "CreateTime") -> dict[str, str]:
    return {
        "cleanup.policy": "delete",
        "retention.ms": str(retention_ms),
        # Only whole segments are deleted, so a segment has to end well before its records do; the default is a week.
        "segment.ms": str(segment_ms),
        "max.message.bytes": str(max_bytes),
        "message.timestamp.type": timestamps,
    }


# Raw: the append timestamp *is* the log time that the engine goes by, so no node's clock may set it. A day is long enough to
# mend a worker and replay. Records are packed to less than 1 MiB; twice that leaves room for a single event over its limit.
# Outputs: the worker stamps each with the log time of the record that led to it, so that a replay writes the same; hence
# CreateTime. An exchange holds two heads and two bodies up to their limits.
# Secrets go soonest: what is not kept cannot leak. Dead letters stay longest, until somebody has looked at them; they hold
# a raw record and its error, so they must be allowed to be larger than one.
_CONFIGS: Final = {
    topics.RAW: _config(_DAY, _HOUR, 2 * _MIB, "LogAppendTime"),
    topics.EVENTS: _config(7 * _DAY, 6 * _HOUR, 4 * _MIB),
    topics.EXCHANGES: _config(7 * _DAY, 6 * _HOUR, 4 * _MIB),
    topics.CONNECTIONS: _config(7 * _DAY, 6 * _HOUR, 1 * _MIB),
    topics.SECRETS: _config(6 * _HOUR, 10 * _MINUTE, 1 * _MIB),
    topics.ACTIVITY: _config(7 * _DAY, 6 * _HOUR, 1 * _MIB),
    topics.DEADLETTER: _config(14 * _DAY, 6 * _HOUR, 3 * _MIB),
}


def specs(prefix: str = "", partitions: int = PARTITIONS, replication: int = CLUSTER_DEFAULT) -> tuple[TopicSpec, ...]:
    """All topics of fleetcap; `prefix` stands before every name, so that several installations can share a cluster."""
    return tuple(TopicSpec(prefix + name, partitions, replication, _CONFIGS[name]) for name in topics.ALL)


@dataclass(frozen=True, slots=True)
class Report:
    """What was done. `differences` are one line each, with a remedy; empty where every topic is as its spec says."""

    created: tuple[str, ...] = ()
    existing: tuple[str, ...] = ()
    differences: tuple[str, ...] = ()


def ensure(options: Mapping[str, Any], wanted: Iterable[TopicSpec], timeout_s: float = 15.0) -> Report:
    """Create the topics that are missing and compare the others with their specs; changes nothing that exists.

    `options` are librdkafka's, `bootstrap.servers` among them. Returns when the new topics can be written to.

    Raises:
        TopicsError: Kafka is not reachable, refuses, or is not done within `timeout_s` seconds.
    """
    client = _client(options)
    servers = str(options.get("bootstrap.servers", ""))
    everything = tuple(wanted)
    found = _partitions(client, servers, timeout_s)
    missing = [spec for spec in everything if spec.name not in found]
    created = _create(client, missing, timeout_s)
    _await_leaders(client, [spec for spec in missing if spec.name in created], servers, timeout_s)
    existing = [spec for spec in everything if spec.name not in created]
    return Report(
        created=tuple(created),
        existing=tuple(spec.name for spec in existing),
        differences=tuple(_differences(client, existing, servers, timeout_s)),
    )


def _client(options: Mapping[str, Any]) -> AdminClient:
    # The client's own log lines would stand beside our one line; what they say comes back as errors.
    try:
        return AdminClient({"log_level": 0, **options})
    except (KafkaException, ValueError, TypeError) as error:
        raise TopicsError(f"cannot use these Kafka options: {_text(error)}; see librdkafka's CONFIGURATION.md") from error


def _partitions(client: AdminClient, servers: str, timeout_s: float) -> dict[str, int]:
    try:
        listed = client.list_topics(timeout=timeout_s)
    except KafkaException as error:
        raise TopicsError(
            f"cannot reach Kafka at {servers or '(no bootstrap.servers given)'}: {_text(error)}; "
            "check the address and its TLS/SASL options, or start a broker with `fleetcap broker`"
        ) from error
    return {name: len(topic.partitions) for name, topic in listed.topics.items() if topic.error is None}


def _create(client: AdminClient, missing: list[TopicSpec], timeout_s: float) -> list[str]:
    """The names that we created; those that somebody else created meanwhile are left out."""
    if not missing:
        return []
    new = [
        NewTopic(spec.name, num_partitions=spec.partitions, replication_factor=spec.replication, config=dict(spec.config))
        for spec in missing
    ]
    created = []
    for name, future in client.create_topics(new, operation_timeout=timeout_s, request_timeout=timeout_s).items():
        try:
            future.result()
            created.append(name)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise TopicsError(
                    f"cannot create topic {name}: {_text(error)}; check the name, your rights and how many brokers there are"
                ) from error
    return created


def _await_leaders(client: AdminClient, created: list[TopicSpec], servers: str, timeout_s: float) -> None:
    """Creation is done when the controller has it; brokers and leaders follow."""
    deadline = time.monotonic() + timeout_s
    waiting = {spec.name: spec.partitions for spec in created}
    while waiting:
        listed = client.list_topics(timeout=timeout_s).topics
        waiting = {
            name: count
            for name, count in waiting.items()
            if name not in listed or sum(one.leader >= 0 for one in listed[name].partitions.values()) < count
        }
        if waiting and time.monotonic() > deadline:
            raise TopicsError(f"Kafka at {servers} has no leader for {', '.join(waiting)} yet; check its brokers and try again")
        if waiting:
            time.sleep(0.05)


def _differences(client: AdminClient, existing: list[TopicSpec], servers: str, timeout_s: float) -> list[str]:
    if not existing:
        return []
    found = _partitions(client, servers, timeout_s)
    lines = [
        f"topic {spec.name} has {found.get(spec.name, 0)} partitions instead of {spec.partitions}; "
        "all topics need the same number: delete it and create it again, or choose another prefix"
        for spec in existing
        if found.get(spec.name) != spec.partitions
    ]
    return lines + _config_differences(client, existing, timeout_s)


def _config_differences(client: AdminClient, existing: list[TopicSpec], timeout_s: float) -> list[str]:
    resources = {ConfigResource(ResourceType.TOPIC, spec.name): spec for spec in existing}
    lines = []
    for resource, future in client.describe_configs(list(resources), request_timeout=timeout_s).items():
        try:
            actual = {name: entry.value for name, entry in future.result().items()}
        except KafkaException as error:
            lines.append(f"topic {resource.name}: its configuration cannot be read: {_text(error)}; grant DESCRIBE_CONFIGS")
            continue
        spec = resources[resource]
        lines += [
            f"topic {spec.name} has {name}={actual.get(name)} instead of {value}; "
            "change it with kafka-configs.sh, or keep it knowingly"
            for name, value in spec.config.items()
            if actual.get(name) != value
        ]
    return lines


def _text(error: BaseException) -> str:
    inner = error.args[0] if error.args else error
    return inner.str() if isinstance(inner, KafkaError) else str(inner)
