"""Everything that can be set about a worker."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from fleetcap_proto import topics
from fleetcap_streams.engine.limits import EngineLimits
from fleetcap_streams.errors import ConfigurationError
from fleetcap_streams.kafka.checkpoint import Names
from fleetcap_streams.kafka.cluster import Cluster
from fleetcap_streams.kafka.transport import FetchLimits

TABLE = "connections"
LOG_LEVELS = ("debug", "info", "warning", "error")
LOG_FORMATS = ("text", "json")


@dataclass(frozen=True, slots=True)
class WorkerConfig:
    """How one worker runs. Times are milliseconds.

    Workers with the same `group` share the partitions, and a group's name is part of its states' topic: under another name a
    worker begins anew. `topic_prefix` stands before every topic's name, or before the raw topic's only where `output_prefix` is
    given for the others. `kafka_options` are librdkafka's.
    """

    bootstrap_servers: str
    group: str = "fleetcap"
    topic_prefix: str = ""
    output_prefix: str | None = None
    kafka_options: Mapping[str, str] = field(default_factory=dict)
    limits: EngineLimits = field(default_factory=EngineLimits)
    fetch: FetchLimits = field(default_factory=FetchLimits)
    checkpoint_interval_ms: int = 200
    tick_interval_ms: int = 500
    # A killed worker's partitions move to others after this long without a heartbeat.
    session_timeout_ms: int = 10_000
    # With work to do and without a checkpoint for so long, the worker ends, to be started again by whoever supervises it.
    stall_timeout_ms: int = 120_000
    # Static membership (KIP-345): a worker that comes back under this name within the session takes its partitions up again
    # and the others do not notice. Empty: none.
    instance_id: str = ""
    web_host: str = "127.0.0.1"
    web_port: int | None = None  # None: Faust's web pages are not served
    log_level: str = "info"
    log_format: str = "text"

    def cluster(self) -> Cluster:
        """Where Kafka is."""
        return Cluster(self.bootstrap_servers, self.kafka_options)

    def names(self) -> Names:
        """What checkpoints are written under; the changelog's name is the one Faust gives it."""
        outputs = self.topic_prefix if self.output_prefix is None else self.output_prefix
        return Names(self.group, self.topic_prefix + topics.RAW, f"{self.group}-{TABLE}-changelog", outputs)

    def validate(self) -> None:
        """Check what the types do not.

        Raises:
            ConfigurationError: a value is out of range.
        """
        for name in ("checkpoint_interval_ms", "tick_interval_ms", "session_timeout_ms", "stall_timeout_ms"):
            if getattr(self, name) <= 0:
                raise ConfigurationError(f"{name} is {getattr(self, name)}; it has to be more than 0")
        if self.log_level not in LOG_LEVELS:
            raise ConfigurationError(f"log level {self.log_level} is unknown; use one of {', '.join(LOG_LEVELS)}")
        if self.log_format not in LOG_FORMATS:
            raise ConfigurationError(f"log format {self.log_format} is unknown; use one of {', '.join(LOG_FORMATS)}")
        if not self.bootstrap_servers.strip():
            raise ConfigurationError("no Kafka address is given; use --bootstrap-servers HOST:PORT")
        if not self.group:
            raise ConfigurationError("the group's name is empty; give it one")
