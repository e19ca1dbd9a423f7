"""Runs one variant for a while and measures it by its committed offsets, its processor time and its memory."""

import os
import re
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from confluent_kafka import Consumer, KafkaException, TopicPartition

from bench.overhead import cpu_seconds
from bench.stream.topic import PARTITIONS, Filled
from bench.stream.variants import Variant
from fleetcap_proto import topics

START_S: Final = 90  # within which the first offsets must be committed
LOG_LINES: Final = 20


@dataclass(frozen=True, slots=True)
class Window:
    """How long to measure, after how long a run-up (class loading, compilation, first connections)."""

    warm_s: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one run. Rates are a second of time; `cpu_us` is the variant's own processor time for each event."""

    events_s: float
    mb_s: float
    cpu_us: float
    peak_mb: float
    outputs: float  # records written for each event


class Progress:
    """What a group has committed, and what stands in the output topics."""

    def __init__(self, servers: str, group: str) -> None:
        self._consumer = Consumer({"bootstrap.servers": servers, "group.id": group, "log_level": 0})
        self._raw = [TopicPartition(topics.RAW, number) for number in range(PARTITIONS)]

    def offsets(self) -> list[int]:
        """Committed, one a partition."""
        try:
            return [max(found.offset, 0) for found in self._consumer.committed(self._raw, timeout=10)]
        except KafkaException:  # the coordinator is only just being made
            return [0] * PARTITIONS

    def outputs(self) -> int:
        """Records in the output topics, with the markers of transactions."""
        names = (topics.EVENTS, topics.EXCHANGES, topics.CONNECTIONS)
        places = [TopicPartition(name, number) for name in names for number in range(PARTITIONS)]
        return sum(self._consumer.get_watermark_offsets(place, timeout=10)[1] for place in places)

    def close(self) -> None:
        self._consumer.close()


def run(servers: str, group: str, variant: Variant, filled: Filled, window: Window) -> Figures:
    """Start a variant on the topic's beginning, measure, and end it."""
    with tempfile.TemporaryDirectory() as name:
        log = Path(name) / "log"
        last = (os.cpu_count() or 1) - 1
        cores = f"{max(0, last + 1 - variant.cores)}-{last}"
        words = ["taskset", "-c", cores, *variant.command(servers, group, Path(name))]
        with log.open("w") as out:
            process = subprocess.Popen(words, stdout=out, stderr=out, start_new_session=True)
        progress = Progress(servers, group)
        try:
            return _measure(process, progress, filled, window)
        except TimeoutError as error:
            said = "\n".join(log.read_text(errors="replace").splitlines()[-LOG_LINES:])
            raise SystemExit(f"{words[3:]} {error}; it said:\n{said}") from error
        finally:
            progress.close()
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _measure(process: subprocess.Popen[bytes], progress: Progress, filled: Filled, window: Window) -> Figures:
    begun = time.monotonic()
    while not any(progress.offsets()):
        if time.monotonic() - begun > START_S or process.poll() is not None:
            raise TimeoutError("committed nothing")
        time.sleep(0.05)
    written = progress.outputs()
    first = last = _sample(process, progress, filled)
    until = first[0] + window.warm_s
    while last[0] < until and not filled.all_read(last[3]):
        time.sleep(0.1)
        last = _sample(process, progress, filled)
    if not filled.all_read(last[3]):
        first, written = last, progress.outputs()
    until = last[0] + window.seconds
    while last[0] < until and not filled.all_read(last[3]):
        time.sleep(0.02)
        last = _sample(process, progress, filled)
    events, seconds = last[1] - first[1], last[0] - first[0]
    if not events:
        raise TimeoutError("committed nothing while it was measured")
    return Figures(
        events / seconds,
        (last[2] - first[2]) / seconds / 1e6,
        (last[4] - first[4]) / events * 1e6,
        sum(_peak_mb(pid) for pid in _tree(process.pid)),
        (progress.outputs() - written) / events,
    )


def _sample(process: subprocess.Popen[bytes], progress: Progress, filled: Filled) -> tuple[float, int, int, list[int], float]:
    """When, events and bytes done, offsets, processor seconds."""
    offsets = progress.offsets()
    return time.monotonic(), *filled.before(offsets), offsets, sum(map(cpu_seconds, _tree(process.pid)))


def _tree(pid: int) -> list[int]:
    """A process and those it began."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(one for child in children for one in _tree(int(child)))]


def _peak_mb(pid: int) -> float:
    peak = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    return int(peak[1]) / 1024 if peak else 0.0
