"""What is compared: how each variant is started on a raw topic, as a process that commits its group's offsets."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent.parent / "kafka_streams"

QUIX: Final = Path(__file__).parent.parent / "quix"
ROOT: Final = Path(__file__).parent.parent.parent

Command = Callable[[str, str, Path], list[str]]
"""Bootstrap servers, group and an empty folder, to a command line."""


@dataclass(frozen=True, slots=True)
class Variant:
    """How to start one, and how many cores it gets."""

    command: Command
    cores: int = 1


def _plain(kind: str) -> Command:
    return lambda servers, group, _: [sys.executable, "-m", "bench.stream.plain", kind, servers, group]


def _worker(processes: int) -> Command:
    return lambda servers, group, _: [
        *(sys.executable, "-m", "fleetcap", "worker", "-b", servers, "--group", group),
        *("--processes", str(processes), "--log-level", "warning"),
    ]


def _stock_faust(servers: str, group: str, folder: Path) -> list[str]:
    return [sys.executable, "-m", "bench.stream.stock_faust", servers, group, str(folder)]


def _quix(servers: str, group: str, folder: Path) -> list[str]:
    path = ":".join(str(ROOT / part) for part in (".", "streams", "proto"))
    return ["env", f"PYTHONPATH={path}", str(QUIX / ".venv/bin/python"), str(QUIX / "app.py"), servers, group, str(folder)]


def _kafka_streams(guarantee: str) -> Command:
    def command(servers: str, group: str, folder: Path) -> list[str]:
        jars = f"{HERE}/target/bench-kafka-streams-1.jar:{HERE}/target/jars/*"
        java = ["java", "-Xmx1g", "-XX:+UseParallelGC", "-cp", jars]
        return [*java, "fleetcap.bench.App", servers, group, guarantee, str(folder), "1"]

    return command


VARIANTS: Final[dict[str, Variant]] = {
    "pass-through": Variant(_plain("pass-through")),
    "no framework, at least once": Variant(_plain("no-framework")),
    "fleetcap, exactly once": Variant(_worker(1)),
    "Kafka Streams, at least once": Variant(_kafka_streams("at_least_once")),
    "Kafka Streams, exactly once": Variant(_kafka_streams("exactly_once_v2")),
    "Quix Streams, exactly once": Variant(_quix),
    "stock Faust, at least once": Variant(_stock_faust),
    "fleetcap, two processes": Variant(_worker(2), cores=2),
}


def build(variants: Iterable[str]) -> None:
    """Make the peers that are asked for, where they are not yet made."""
    names = set(variants)
    if any(name.startswith("Kafka Streams") for name in names):
        if not shutil.which("mvn"):
            raise SystemExit("Maven is needed to build bench/kafka_streams: apt-get install maven")
        subprocess.run(["mvn", "--quiet", "--batch-mode", "package"], cwd=HERE, check=True)
    if any(name.startswith("Quix") for name in names):
        python = QUIX / ".venv/bin/python"
        if not python.exists():
            subprocess.run([sys.executable, "-m", "venv", str(QUIX / ".venv")], check=True)
        lock = ["--require-hashes", "-r", str(QUIX / "requirements.lock")]
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *lock], check=True)
