"""Commands against a real broker: what goes into the raw topic comes out of `tail`, the same as `decode` gives without Kafka."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fleetcap.broker import EmbeddedBroker
from fleetcap.recording import RecordingWriter, read_recording
from fleetcap_proto import topics
from tests.streams.talk import Log, Talk

pytestmark = pytest.mark.kafka
STATUSES = (b"200 OK", b"201 Created", b"404 Not Found", b"500 Internal Server Error", b"503 Service Unavailable")
COMMAND = (sys.executable, "-m", "fleetcap")


class Command:
    """`fleetcap`, pointed at one test's topics."""

    def __init__(self, servers: str, prefix: str) -> None:
        self._where = {"FLEETCAP_BOOTSTRAP_SERVERS": servers, "FLEETCAP_TOPIC_PREFIX": prefix, "FLEETCAP_GROUP": f"{prefix}group"}

    def __call__(self, *arguments: str | Path) -> str:
        done = subprocess.run(
            [*COMMAND, *map(str, arguments)], capture_output=True, text=True, timeout=120, check=False, env=self._env()
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def tail(self, *arguments: str) -> list[dict[str, object]]:
        said = self("tail", "--from", "beginning", "--format", "json", *arguments)
        return [json.loads(line) for line in said.splitlines()]

    @contextmanager
    def start(self, *arguments: str | Path) -> Iterator[subprocess.Popen[bytes]]:
        """A command that runs until told to stop; killed at the latest when its block ends."""
        process = subprocess.Popen(
            [*COMMAND, *map(str, arguments)], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=self._env()
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    def _env(self) -> dict[str, str]:
        return {**os.environ, **self._where}


@pytest.fixture
def command(broker: EmbeddedBroker, make_topics: Callable[..., str]) -> Command:
    return Command(broker.bootstrap_servers, make_topics(partitions=3))


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path, log = tmp_path / "traffic.fcap", Log()
    for number, status in enumerate(STATUSES):
        talk = Talk(f"node-1:c{number}", pid=1000 + number)
        request = b"GET /%d HTTP/1.1\r\nHost: h%d.example\r\n\r\n" % (number, number)
        response = b"HTTP/1.1 %b\r\nContent-Length: 3\r\n\r\nyes" % status
        # In two records, so that order within a connection shows.
        log.add(talk, talk.sent(request, number), talk.received(response[:20], number + 5))
        log.add(talk, talk.received(response[20:], number + 6), talk.closed(number + 7))
    log.raw(b"k", b"\xff\xff")
    with RecordingWriter(path) as writer:
        for record in log.records:
            writer.write(0, record)
    return path


def ordered(objects: list[dict[str, object]]) -> list[str]:
    """Partitions have no order among each other."""
    return sorted(json.dumps(one, sort_keys=True) for one in objects)


def test_a_file_imported_and_read_back_has_the_same_records(command: Command, recording: Path, tmp_path: Path):
    command("import", recording)
    again = tmp_path / "again.fcap"
    command("record", "--output", again)
    before, after = (
        sorted((one.record.key or b"", one.record.value or b"") for one in read_recording(path)) for path in (recording, again)
    )
    assert after == before
    for key in {key for key, _ in before}:
        first, second = (
            [one.record.value for one in read_recording(path) if one.record.key == key] for path in (recording, again)
        )
        assert first == second, "order within a connection"
        assert len({one.partition for one in read_recording(again) if one.record.key == key}) == 1


def test_the_topics_are_listed_with_what_they_hold(command: Command, recording: Path):
    command("import", recording)
    listed = {line.split()[0].partition("fleetcap.")[2]: line.split()[1:] for line in command("topics", "list").splitlines()}
    assert listed["raw.v1"] == ["3", "partitions", str(2 * len(STATUSES) + 1), "records"]
    assert listed["events.v1"] == ["3", "partitions", "0", "records"]
    assert len(listed) == len(topics.ALL)


def test_a_recording_that_is_terminated_is_whole(command: Command, recording: Path, tmp_path: Path):
    command("import", recording)
    path = tmp_path / "followed.fcap"
    with command.start("record", "--follow", "--output", path) as process:
        # Written through while it still runs, so that a crash costs little.
        deadline = time.monotonic() + 60
        while not path.is_file() or path.stat().st_size < recording.stat().st_size:
            time.sleep(0.1)
            assert process.poll() is None
            assert time.monotonic() < deadline
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    assert len(list(read_recording(path))) == 2 * len(STATUSES) + 1


def test_the_worker_writes_what_decode_prints(command: Command, recording: Path):
    decoded = [json.loads(line) for line in command("decode", recording, "--format", "json").splitlines()]
    exchanges = [one for one in decoded if one["kind"] == "exchange"]
    assert len(exchanges) == len(STATUSES)
    command("import", recording)
    with command.start("worker") as worker:
        assert ordered(command.tail("--count", str(len(STATUSES)))) == ordered(exchanges)
        closed = [one for one in command.tail("--topic", "connections", "-n", str(2 * len(STATUSES))) if one["state"] == "closed"]
        assert ordered(closed) == ordered([one for one in decoded if one["kind"] == "connection"])
        (letter,) = command.tail("--topic", "deadletter", "--count", "1")
        assert [letter["error"]] == [one["error"] for one in decoded if one["kind"] == "error"]
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(60) == 0
    failed = command.tail("--status", "5xx", "--exit-when-idle", "2")
    assert sorted(one["request"]["target"] for one in failed) == ["/3", "/4"]  # type: ignore[index]
    assert len(command.tail("--process", "1002", "--topic", "events", "--exit-when-idle", "2")) == 2
