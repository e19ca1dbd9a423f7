"""What is compared: how each variant is started on a raw topic, as a process that commits its group's offsets."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent.parent / "kafka_streams"

Command = Callable[[str, str, Path], list[str]]
"""Bootstrap servers, group and an empty folder, to a command line."""


def _plain(kind: str) -> Command:
    return lambda servers, group, _: [sys.executable, "-m", "bench.stream.plain", kind, servers, group]


def _worker(servers: str, group: str, _: Path) -> list[str]:
    return [sys.executable, "-m", "fleetcap", "worker", "-b", servers, "--group", group, "--log-level", "warning"]


def _kafka_streams(guarantee: str) -> Command:
    def command(servers: str, group: str, folder: Path) -> list[str]:
        jars = f"{HERE}/target/bench-kafka-streams-1.jar:{HERE}/target/jars/*"
        java = ["java", "-Xmx1g", "-XX:+UseParallelGC", "-cp", jars]
        return [*java, "fleetcap.bench.App", servers, group, guarantee, str(folder), "1"]

    return command


VARIANTS: Final[dict[str, Command]] = {
    "pass-through": _plain("pass-through"),
    "no framework, at least once": _plain("no-framework"),
    "fleetcap, exactly once": _worker,
    "Kafka Streams, at least once": _kafka_streams("at_least_once"),
    "Kafka Streams, exactly once": _kafka_streams("exactly_once_v2"),
}


def build() -> None:
    """Make the Kafka Streams application, where it is not yet made."""
    if not shutil.which("mvn"):
        raise SystemExit("Maven is needed to build bench/kafka_streams: apt-get install maven")
    subprocess.run(["mvn", "--quiet", "--batch-mode", "package"], cwd=HERE, check=True)
