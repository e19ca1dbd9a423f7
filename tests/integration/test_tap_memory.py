"""Connections whose TLS runs in memory get the sockets that their bytes are sent on, and never another's."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fleetcap_producer.config import TapConfig
from tests.integration.matrix_programs import need
from tests.integration.tap_harness import CLOSED, RECEIVED, SENT, Seen, Session, make_certificate, skip_unless_capturing

pytestmark = pytest.mark.ebpf

HERE = Path(__file__).parent
RUNTIMES = {
    "asyncio": [sys.executable, str(HERE / "memory_traffic.py")],
    "node": ["node", str(HERE / "memory_traffic.js")],
}
CONNECTIONS = 50
ROUNDS = 5
_REQUEST = re.compile(rb"GET /(\w+)/\d+ HTTP/1.1\r\n")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificate(tmp_path_factory.mktemp("tls"))


class Runs:
    """One of the programs, which says something, waits for a line, and ends."""

    def __init__(self, command: list[str]) -> None:
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.pid = self.process.pid
        assert self.process.stdout
        self.said = json.loads(self.process.stdout.readline())

    def finish(self) -> None:
        self.process.communicate("go\n", timeout=60)
        assert self.process.returncode == 0


@contextmanager
def serving(runtime: str, certificate: Path) -> Iterator[Runs]:
    server = Runs([*RUNTIMES[runtime], "serve", str(certificate)])
    try:
        yield server
    finally:
        server.process.kill()
        server.process.communicate()


def asking(runtime: str, server: Runs, connections: int = CONNECTIONS, rounds: int = ROUNDS) -> Runs:
    return Runs([*RUNTIMES[runtime], "ask", str(server.said), str(connections), str(rounds)])


def named(seen: Seen, direction: int) -> set[bytes]:
    """The ports that the requests on a connection name."""
    return set(_REQUEST.findall(seen.streams[direction].data())) - {b"any"}


def check(client: list[Seen], server: list[Seen], ports: list[int], server_port: int, rounds: int) -> None:
    assert sorted(one.connection.local.port for one in client) == sorted(ports)
    assert sorted(one.connection.remote.port for one in server) == sorted(ports)
    for one in client:
        assert (one.connection.remote.ip, one.connection.remote.port) == ("127.0.0.1", server_port)
        assert named(one, SENT) == {b"%d" % one.connection.local.port}
    for one in server:
        assert one.connection.local.port == server_port
        assert named(one, RECEIVED) == {b"%d" % one.connection.remote.port}
    for one in (*client, *server):
        requests, answers = sorted(range(2), key=lambda direction: b"GET " not in one.streams[direction].data())
        assert one.streams[requests].data().count(b"GET /") == rounds
        assert one.streams[answers].data().count(b"HTTP/1.1 200 OK\r\n") == rounds
        assert one.connection.fd > 2
        assert CLOSED in one.kinds()


@pytest.mark.parametrize("syscalls", [False, True], ids=["tracepoints", "system calls"])
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_many_at_once_each_has_its_own_socket(certificate: Path, runtime: str, *, syscalls: bool) -> None:
    skip_unless_capturing()
    if not need(RUNTIMES[runtime][0]):
        pytest.skip(f"{RUNTIMES[runtime][0]} is not installed")
    with Session(TapConfig("node-1", rescan_s=0.2, older=syscalls)) as tap, serving(runtime, certificate) as server:
        attached(tap, runtime, server)
        client = asking(runtime, server)
        client.finish()
        seen = tap.closed(client.pid, CONNECTIONS)
        at_server = [one for one in tap.closed(server.pid, CONNECTIONS) if one.connection.remote.port in client.said]
        check(seen, at_server, client.said, server.said, ROUNDS)
        assert not any(one.connection.joined for one in seen)


def test_a_relay_of_the_same_bytes_is_not_their_sender(certificate: Path) -> None:
    """Client and relay are one process, so each record is sent twice by it; only the first time is it the connection's."""
    skip_unless_capturing()
    with Session(TapConfig("node-1", rescan_s=0.2)) as tap, serving("asyncio", certificate) as server:
        client = Runs([*RUNTIMES["asyncio"], "relayed", str(server.said), str(CONNECTIONS), str(ROUNDS)])
        client.finish()
        seen = tap.closed(client.pid, CONNECTIONS)
        assert sorted(one.connection.local.port for one in seen) == sorted(client.said)
        for one in seen:
            assert named(one, SENT) == {b"%d" % one.connection.local.port}
            assert one.connection.remote.port != server.said


def attached(tap: Session, runtime: str, server: Runs) -> None:
    """A program that never ran before is probed within moments of its start."""

    def ready() -> bool:
        first = asking(runtime, server, 1, 2)
        first.finish()
        tap.settle()
        return bool(tap.seen(first.pid))

    tap.wait(ready, f"a connection of {runtime}")


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_joined_in_the_middle_the_socket_is_found(certificate: Path, runtime: str) -> None:
    skip_unless_capturing()
    if not need(RUNTIMES[runtime][0]):
        pytest.skip(f"{RUNTIMES[runtime][0]} is not installed")
    with serving(runtime, certificate) as server:
        client = asking(runtime, server)
        with Session(TapConfig("node-1", rescan_s=0.2)) as tap:
            attached(tap, runtime, server)
            client.finish()
            seen = tap.closed(client.pid, CONNECTIONS)
            at_server = [one for one in tap.closed(server.pid, CONNECTIONS) if one.connection.remote.port in client.said]
            check(seen, at_server, client.said, server.said, ROUNDS - 1)
            assert all(one.connection.joined for one in seen)
