"""Before anything starts: is Kafka there, are the topics as the worker needs them? Creates the changelog, nothing else."""

from dataclasses import dataclass
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException

# Public names that the package's type stubs forget to export.
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, ResourceType  # type: ignore[attr-defined]

from fleetcap_proto import topics
from fleetcap_streams.errors import ConfigurationError, KafkaUnreachableError, TopicsError
from fleetcap_streams.kafka.checkpoint import Names
from fleetcap_streams.kafka.cluster import Cluster

TIMEOUT_S: Final = 10.0
CREATE: Final = "create the topics with `fleetcap topics create`"
STATE_BYTES: Final = 2 * 1024 * 1024
CHANGELOG: Final = {
    "cleanup.policy": "compact",
    "max.message.bytes": str(STATE_BYTES),
    # Only closed segments are compacted, and a recovery reads all that is not: the default of 1 GiB would be many seconds.
    "segment.bytes": str(64 * 1024 * 1024),
    "segment.ms": str(10 * 60 * 1000),
    "min.cleanable.dirty.ratio": "0.2",
    "delete.retention.ms": str(60 * 60 * 1000),
}


@dataclass(frozen=True, slots=True)
class Layout:
    """What was found: partitions of the raw topic, and max.message.bytes by topic name without prefix."""

    partitions: int
    limits: dict[str, int]
    state_limit: int


def partitions(cluster: Cluster, names: Names) -> int:
    """How many the raw topic has.

    Raises:
        KafkaUnreachableError: no broker answers.
        TopicsError: there is no such topic.
    """
    found = _partitions(_client(cluster), cluster)
    if names.source not in found:
        raise TopicsError(f"missing: topic {names.source}; {CREATE}")
    return found[names.source]


def check(cluster: Cluster, names: Names) -> Layout:
    """Check everything and create the changelog where it is missing.

    Raises:
        KafkaUnreachableError: no broker answers.
        TopicsError: a topic is missing, has too few partitions, or stamps records with the wrong clock.
    """
    client = _client(cluster)
    found = _partitions(client, cluster)
    count = _check_partitions(found, names)
    if names.changelog not in found:
        _create(client, names.changelog, count)
    elif found[names.changelog] != count:
        raise TopicsError(
            f"topic {names.changelog} has {found[names.changelog]} partitions and {names.source} has {count}; "
            "states cannot be moved between partitions: use another group name"
        )
    configs = {name: _config(client, names.full(name)) for name in topics.ALL}
    if configs[topics.RAW].get("message.timestamp.type", "LogAppendTime") != "LogAppendTime":
        raise TopicsError(
            f"topic {names.source} stamps records with the senders' clocks, but log time has to be the broker's; "
            "set message.timestamp.type=LogAppendTime with kafka-configs.sh"
        )
    limits = {name: int(config["max.message.bytes"]) for name, config in configs.items() if "max.message.bytes" in config}
    state = _config(client, names.changelog).get("max.message.bytes", STATE_BYTES)
    return Layout(count, limits, int(state))


def _client(cluster: Cluster) -> Any:
    try:
        return AdminClient(cluster.client())
    except (KafkaException, ValueError, TypeError) as error:
        raise ConfigurationError(f"cannot use these Kafka options: {_text(error)}; see librdkafka's CONFIGURATION.md") from error


def _partitions(client: Any, cluster: Cluster) -> dict[str, int]:
    try:
        listed = client.list_topics(timeout=TIMEOUT_S)
    except KafkaException as error:
        raise KafkaUnreachableError(
            f"cannot reach Kafka at {cluster.bootstrap_servers or '(no address given)'}: {_text(error)}; "
            "check the address and its TLS/SASL options, or start a broker with `fleetcap broker`"
        ) from error
    return {name: len(topic.partitions) for name, topic in listed.topics.items() if topic.error is None}


def _check_partitions(found: dict[str, int], names: Names) -> int:
    missing = [names.full(name) for name in topics.ALL if names.full(name) not in found]
    if missing:
        raise TopicsError(f"missing: topic{'s' if len(missing) > 1 else ''} {', '.join(missing)}; {CREATE}")
    partitions = found[names.source]
    for name in topics.OUTPUTS:
        if found[names.prefix + name] < partitions:
            raise TopicsError(
                f"topic {names.prefix + name} has {found[names.prefix + name]} partitions and {names.source} has {partitions}; "
                f"an output goes to its source's partition: add partitions with kafka-topics.sh, or delete it and {CREATE}"
            )
    return partitions


def _create(client: Any, name: str, partitions: int) -> None:
    topic = NewTopic(name, num_partitions=partitions, replication_factor=-1, config=CHANGELOG)
    (future,) = client.create_topics([topic], operation_timeout=TIMEOUT_S, request_timeout=TIMEOUT_S).values()
    try:
        future.result()
    except KafkaException as error:
        # Another worker of the group starts at the same time; both would create the same.
        if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
            raise TopicsError(
                f"cannot create topic {name}: {_text(error)}; check your rights and how many brokers there are"
            ) from error


def _config(client: Any, name: str) -> dict[str, str]:
    """A topic's configuration, empty where reading it is not allowed: then Kafka's defaults are assumed."""
    (future,) = client.describe_configs([ConfigResource(ResourceType.TOPIC, name)], request_timeout=TIMEOUT_S).values()
    try:
        return {key: entry.value for key, entry in future.result().items()}
    except KafkaException:
        return {}


def _text(error: BaseException) -> str:
    inner = error.args[0] if error.args else error
    return inner.str() if isinstance(inner, KafkaError) else str(inner)
