"""`fleetcap broker` and `fleetcap topics`."""

import signal
import sys
import threading
from pathlib import Path

from fleetcap.broker import BrokerOptions, EmbeddedBroker
from fleetcap.consuming import held
from fleetcap.kafka.errors import TopicsError
from fleetcap.settings import Settings
from fleetcap.topics import CLUSTER_DEFAULT, PARTITIONS, ensure, specs


def serve(settings: Settings, port: int, data: Path | None, *, create: bool) -> int:
    """Run the embedded broker until a signal comes; returns the exit code."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with EmbeddedBroker(BrokerOptions(data=data, port=port)) as broker:
        if create:
            ensure({"bootstrap.servers": broker.bootstrap_servers}, specs(settings.topic_prefix))
        sys.stdout.write(f"{broker.bootstrap_servers}\n")
        sys.stdout.flush()
        kept = f"data stays in {data}" if data else "data goes when it stops; --data-dir keeps it"
        sys.stderr.write(f"Kafka is ready at {broker.bootstrap_servers}; {kept}. Ctrl-C stops it.\n")
        while not stop.wait(0.5):
            if not broker.running():
                sys.stderr.write(f"the broker died; see {broker.log_file}\n")
                return 1
    return 0


def create_topics(settings: Settings, partitions: int | None, replication: int | None) -> int:
    """Create what is missing and tell what differs; returns the exit code."""
    wanted = specs(settings.topic_prefix, partitions or PARTITIONS, replication or CLUSTER_DEFAULT)
    report = ensure(settings.client_options(), wanted)
    for name in report.created:
        sys.stdout.write(f"created {name}\n")
    for name in report.existing:
        sys.stdout.write(f"exists  {name}\n")
    for line in report.differences:
        sys.stderr.write(f"{line}\n")
    if any("partitions" in line for line in report.differences):
        raise TopicsError("topics differ from what fleetcap needs; see the lines above")
    return 0


def list_topics(settings: Settings) -> int:
    """Print each topic and what it holds; returns the exit code, 1 where a topic is missing."""
    names = [spec.name for spec in specs(settings.topic_prefix)]
    found = held(settings, names)
    for name in names:
        topic = found.get(name)
        sys.stdout.write(f"{name:<28} {topic.partitions:>3} partitions {topic.records:>12,} records\n" if topic else "")
    missing = [name for name in names if name not in found]
    if missing:
        sys.stderr.write(f"missing: {', '.join(missing)}; create them with `fleetcap topics create`\n")
    return 1 if missing else 0
