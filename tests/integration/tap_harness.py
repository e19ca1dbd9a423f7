"""Runs a tap beside the programs it watches, and puts together what it saw."""

import hashlib
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import pytest

from fleetcap_producer import checks
from fleetcap_producer.captured import Captured
from fleetcap_producer.config import TapConfig
from fleetcap_producer.tap import Tap
from fleetcap_proto.v1 import common_pb2, raw_pb2

TRAFFIC = Path(__file__).with_name("tap_traffic.py")
RECEIVED, SENT = common_pb2.DIRECTION_RECEIVED, common_pb2.DIRECTION_SENT
DATA, OPENED, CLOSED = raw_pb2.EVENT_KIND_DATA, raw_pb2.EVENT_KIND_OPENED, raw_pb2.EVENT_KIND_CLOSED
PATIENCE_S = 20.0


def skip_unless_capturing() -> None:
    failed = [check for check in checks.run_all() if not check.ok and check.name != "process namespace"]
    if failed:
        pytest.skip(f"this machine cannot capture: {failed[0].name}: {failed[0].detail}; {failed[0].remedy}")


@dataclass
class Stream:
    """One direction of a connection, by position."""

    pieces: dict[int, bytes] = field(default_factory=dict)
    missing: int = 0
    end: int = 0

    def add(self, event: Captured) -> None:
        assert event.position not in self.pieces, "two events at one position"
        self.pieces[event.position] = event.payload
        length = event.length or len(event.payload)
        self.missing += length - len(event.payload)
        self.end = max(self.end, event.position + length)

    def data(self) -> bytes:
        return b"".join(self.pieces[position] for position in sorted(self.pieces))

    def captured(self) -> int:
        return sum(map(len, self.pieces.values()))

    def seen(self) -> list[object]:
        """As the programs report what they carried; positions must meet."""
        at = 0
        for position in sorted(self.pieces):
            assert position == at, f"a gap before {position}"
            at += len(self.pieces[position])
        return [at, hashlib.sha256(self.data()).hexdigest()]


@dataclass
class Seen:
    """What was captured of one connection."""

    connection: common_pb2.Connection
    events: list[Captured] = field(default_factory=list)
    streams: tuple[Stream, Stream] = field(default_factory=lambda: (Stream(), Stream()))

    def kinds(self) -> list[int]:
        return [event.kind for event in self.events]

    def closed(self) -> Captured:
        (event,) = [event for event in self.events if event.kind == CLOSED]
        return event

    def carried(self) -> dict[str, object]:
        return {
            "local_port": self.connection.local.port,
            "remote_port": self.connection.remote.port,
            "received": self.streams[RECEIVED].seen(),
            "sent": self.streams[SENT].seen(),
        }


class Session:
    """A running tap whose events are gathered in the background."""

    def __init__(self, config: TapConfig, pause_s: float = 0.0) -> None:
        self.tap = Tap(config)
        self.events: list[Captured] = []
        self.pause_s = pause_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._gather, daemon=True)

    def __enter__(self) -> Self:
        self.tap.start()
        self._thread.start()
        return self

    def _gather(self) -> None:
        while not self._stop.is_set():
            if self.pause_s:
                self._stop.wait(self.pause_s)
            self.events.extend(self.tap.drain(0.05))

    def stop(self) -> None:
        """Detach and take the rest."""
        if not self._stop.is_set():
            self._stop.set()
            self._thread.join()
            self.tap.stop()
            while events := self.tap.drain(0.0):
                self.events.extend(events)

    def __exit__(self, *_: object) -> None:
        self.stop()
        self.tap.close()

    def seen(self, *pids: int) -> list[Seen]:
        """Connections of these processes, in the order in which they came."""
        found: dict[str, Seen] = {}
        for event in list(self.events):
            if event.connection.process.pid in pids:
                seen = found.setdefault(event.connection.uuid, Seen(event.connection))
                seen.events.append(event)
                if event.kind == DATA:
                    seen.streams[event.direction].add(event)
        return list(found.values())

    def wait(self, ready: Callable[[], object], what: str) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not ready():
            assert time.monotonic() < deadline, f"not seen in time: {what}"
            time.sleep(0.02)

    def closed(self, pid: int, count: int = 1) -> list[Seen]:
        """The connections of a process, once `count` of them are closed."""

        def ready() -> bool:
            return sum(CLOSED in seen.kinds() for seen in self.seen(pid)) >= count

        self.wait(ready, f"{count} closed connections of process {pid}")
        return self.seen(pid)

    def settle(self) -> None:
        """Until what was captured before has surely been gathered."""
        time.sleep(0.3)


class Program:
    """One of the traffic programs, waiting for `go`."""

    def __init__(self, *arguments: str, **options: Any) -> None:
        self.process = subprocess.Popen(
            [options.pop("python", sys.executable), str(TRAFFIC), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **options,
        )
        self.pid = self.process.pid

    def first_line(self) -> Any:
        assert self.process.stdout
        return json.loads(self.process.stdout.readline())

    def go(self) -> list[dict[str, object]]:
        """Let it work; what it says its connections carried."""
        out, self.errors = self.process.communicate("go\n", timeout=60)
        assert self.process.returncode == 0, self.errors
        connections: list[dict[str, object]] = json.loads(out)["connections"]
        return connections


@dataclass(frozen=True)
class Server:
    host: str
    port: int
    pid: int
    program: Program


@contextmanager
def server(certificate: Path, host: str = "127.0.0.1") -> Iterator[Server]:
    program = Program("serve", host, str(certificate))
    told = program.first_line()
    try:
        yield Server(host, told["port"], told["pid"], program)
    finally:
        program.process.kill()
        program.process.communicate()


def make_certificate(folder: Path) -> Path:
    """A key and a certificate for localhost in one file."""
    file = folder / "server.pem"
    kind = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=localhost")
    subprocess.run(
        ["openssl", "req", "-x509", *kind, "-keyout", str(file), "-out", str(folder / "cert.pem")],
        check=True,
        capture_output=True,
    )
    file.write_bytes(file.read_bytes() + (folder / "cert.pem").read_bytes())
    return file


def by_port(seen: list[Seen]) -> dict[int, Seen]:
    return {one.connection.local.port: one for one in seen}


def totals(seen: Seen) -> tuple[int | None, int | None]:
    closed = seen.closed()
    return closed.received_total, closed.sent_total
