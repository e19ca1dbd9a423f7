"""Fills raw topics, runs workers as processes, and compares what readers of committed records see with what went in."""

import signal
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from fleetcap_proto import topics

ROOT = Path(__file__).parents[3]


class Topics:
    """One prefix's topics on one broker; `sent` is how many records each key got.

    `into`: the outputs and the group have this prefix instead, beside others that read the same raw topic.
    """

    def __init__(self, bootstrap_servers: str, prefix: str, partitions: int, into: str | None = None) -> None:
        self.bootstrap_servers = bootstrap_servers
        self.prefix = prefix
        self.into = into
        self.partitions = partitions
        self.sent: dict[bytes, int] = defaultdict(int)
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap_servers,
                "enable.idempotence": True,
                "linger.ms": 5,
                "message.max.bytes": 2 * 1024 * 1024,
                "log_level": 0,
            }
        )

    def full(self, topic: str) -> str:
        return (self.prefix if topic == topics.RAW or self.into is None else self.into) + topic

    def send(self, key: int, padding: int = 100) -> None:
        """The next record of a key; its partition follows from the key."""
        name = b"k%d" % key
        self.sent[name] += 1
        self.send_raw(name, b"+%d %s" % (self.sent[name], b"x" * padding), key % self.partitions)

    def send_raw(self, key: bytes | None, value: bytes | None, partition: int) -> None:
        while True:
            try:
                self._producer.produce(self.prefix + topics.RAW, value, key, partition)
            except BufferError:
                self._producer.poll(0.1)
            else:
                self._producer.poll(0)
                return

    def flush(self) -> None:
        assert self._producer.flush(60) == 0

    def ends(self, topic: str = topics.RAW) -> list[int]:
        return self._ends(topic, "read_committed")

    def _ends(self, topic: str, isolation: str) -> list[int]:
        consumer = self._consumer(isolation)
        try:
            return [
                consumer.get_watermark_offsets(TopicPartition(self.full(topic), number), timeout=20)[1]
                for number in range(self.partitions)
            ]
        finally:
            consumer.close()

    def committed(self) -> list[int]:
        """The group's offsets, as any standard tool sees them; 0 where there is none yet."""
        consumer = self._consumer()
        try:
            wanted = [TopicPartition(self.prefix + topics.RAW, number) for number in range(self.partitions)]
            return [max(found.offset, 0) for found in consumer.committed(wanted, timeout=20)]
        except KafkaException as error:
            if error.args[0].code() not in (KafkaError.NOT_COORDINATOR, KafkaError.COORDINATOR_LOAD_IN_PROGRESS):
                raise
            return [0] * self.partitions  # the broker has only just started; who waits for an offset asks again
        finally:
            consumer.close()

    def read(self, topic: str, patience_s: float = 120) -> list[Message]:
        """Everything that readers of committed records see, once it is decided for all that stands in the topic.

        The group's offsets may be committed some time before an output topic knows it: its reader then finds an end that is
        too early. So this reads to where the log ends for those who read everything.
        """
        ends = self._ends(topic, "read_uncommitted")
        consumer = self._consumer()
        consumer.assign([TopicPartition(self.full(topic), number, 0) for number in range(self.partitions)])
        unread = set(range(self.partitions))
        messages: list[Message] = []
        deadline = time.monotonic() + patience_s
        try:
            while unread:
                assert time.monotonic() < deadline, f"{topic}: what partitions {unread} hold is not decided"
                for message in consumer.consume(1000, 0.5):
                    error, number = message.error(), message.partition()
                    if error is None:
                        messages.append(message)
                    elif error.code() == KafkaError._PARTITION_EOF and (message.offset() or 0) >= ends[number or 0]:
                        unread.discard(number or 0)
            return messages
        finally:
            consumer.close()

    def check_events(self) -> None:
        """Each record led to one output, once, in order, with nothing of its key's state lost on the way."""
        seen: dict[bytes, list[bytes]] = defaultdict(list)
        for message in self.read(topics.EVENTS):
            key, value = message.key(), message.value()
            assert isinstance(key, bytes)
            assert isinstance(value, bytes)
            assert message.partition() == int(key[1:]) % self.partitions
            seen[key].append(b" ".join(value.split()[:2]))
        expected = {key: [b"%d %d" % (n, n) for n in range(1, count + 1)] for key, count in self.sent.items()}
        assert {key: len(values) for key, values in seen.items()} == {key: len(values) for key, values in expected.items()}
        assert seen == expected

    def _consumer(self, isolation: str = "read_committed") -> Consumer:
        return Consumer(
            {
                "bootstrap.servers": self.bootstrap_servers,
                "group.id": f"{self.into or self.prefix}group",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "isolation.level": isolation,
                "log_level": 0,
            }
        )


class Worker:
    """A worker process around the stand-in engine; killed at the latest when its block ends."""

    def __init__(self, where: Topics, folder: Path, *options: str, environment: Mapping[str, str] | None = None) -> None:
        self.log = folder / f"worker-{time.monotonic_ns()}.log"
        command = [sys.executable, "-m", "tests.streams.kafka.standin", where.bootstrap_servers, where.prefix, *options]
        command += ["--into", where.into] if where.into is not None else []
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.kill()

    def running(self) -> bool:
        return self.process.poll() is None

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """Ask it to stop, and give its exit code."""
        self.until_said("starting")  # earlier there is no handler yet, and the signal just ends the process
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    def said(self) -> str:
        return self.log.read_text()

    def until_said(self, text: str) -> None:
        until(lambda: text in self.said(), self)

    def resident_bytes(self) -> int:
        fields = Path(f"/proc/{self.process.pid}/statm").read_text().split()
        return int(fields[1]) * 4096


def until(reached: Callable[[], bool], *workers: Worker, patience_s: float = 120) -> None:
    """Wait until something is so, while these workers live."""
    deadline = time.monotonic() + patience_s
    while not reached():
        for worker in workers:
            assert worker.running(), worker.said()
        assert time.monotonic() < deadline, [worker.said() for worker in workers]
        time.sleep(0.1)


def until_committed(where: Topics, *workers: Worker, patience_s: float = 120) -> None:
    """Wait until everything sent so far is consumed for good."""
    ends = where.ends()
    until(lambda: all(done >= end for done, end in zip(where.committed(), ends, strict=True)), *workers, patience_s=patience_s)


class Traffic:
    """Sends records of `keys` keys in turn, in the background, until the block ends."""

    def __init__(self, where: Topics, keys: int = 20, pause_s: float = 0.0005) -> None:
        self._where = where
        self._keys = keys
        self._pause_s = pause_s
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._over.set()
        self._thread.join()
        self._where.flush()

    def _run(self) -> None:
        for key in self._forever():
            self._where.send(key)
            time.sleep(self._pause_s)

    def _forever(self) -> Iterator[int]:
        while True:
            for key in range(self._keys):
                if self._over.is_set():
                    return
                yield key
