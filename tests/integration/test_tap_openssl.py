"""Real TLS programs under the tap: each byte they sent and received is there, by connection, in order, with who and where."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleetcap_producer.config import TapConfig
from fleetcap_proto.v1 import common_pb2
from tests.integration.tap_harness import (
    CLOSED,
    DATA,
    OPENED,
    RECEIVED,
    SENT,
    Program,
    Server,
    Session,
    by_port,
    make_certificate,
    server,
    skip_unless_capturing,
    totals,
)

pytestmark = pytest.mark.ebpf


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module", params=["tracepoints", "system calls"])
def tap(request: pytest.FixtureRequest) -> Iterator[Session]:
    skip_unless_capturing()
    with Session(TapConfig("node-1", older=request.param == "system calls")) as session:
        yield session


@pytest.fixture
def peer(certificate: Path) -> Iterator[Server]:
    with server(certificate) as running:
        yield running


def run(peer: Server, client: str, *arguments: str) -> tuple[Program, list[dict[str, object]]]:
    program = Program(client, peer.host, str(peer.port), *arguments)
    return program, program.go()


@pytest.mark.parametrize(
    ("client", "arguments"),
    [
        ("keepalive", ("5",)),
        ("upload", ("300000",)),
        ("download", ("5000000",)),
        ("threads", ("25",)),
        ("peek", ()),
    ],
)
def test_all_bytes_of_both_sides_are_captured(tap: Session, peer: Server, client: str, arguments: tuple[str, ...]) -> None:
    program, carried = run(peer, client, *arguments)
    (seen,) = tap.closed(program.pid)
    assert seen.carried() == carried[0]
    assert seen.kinds()[0] == OPENED
    assert seen.kinds()[-1] == CLOSED
    assert totals(seen) == (carried[0]["received"][0], carried[0]["sent"][0])  # type: ignore[index]
    (other,) = tap.closed(peer.pid)
    assert other.carried() == {
        "local_port": carried[0]["remote_port"],
        "remote_port": carried[0]["local_port"],
        "received": carried[0]["sent"],
        "sent": carried[0]["received"],
    }


def test_who_and_where_is_told(tap: Session, peer: Server) -> None:
    program, carried = run(peer, "keepalive", "1")
    (seen,) = tap.closed(program.pid)
    connection = seen.connection
    assert (connection.local.ip, connection.remote.ip) == ("127.0.0.1", "127.0.0.1")
    assert connection.remote.port == peer.port
    assert connection.role == common_pb2.ROLE_CLIENT
    assert not connection.joined
    assert connection.fd > 2
    assert connection.sock
    assert connection.tls_version == 0x0304
    assert connection.library.endswith("libssl.so.3")
    process = connection.process
    assert process.comm.startswith("python")
    assert process.command_line.endswith(f"tap_traffic.py keepalive 127.0.0.1 {peer.port} 1")
    assert (process.uid, process.parent_pid) == (os.getuid(), os.getpid())
    assert process.start_ns > 0
    (other,) = tap.closed(peer.pid)
    assert other.connection.role == common_pb2.ROLE_SERVER
    assert other.connection.uuid != connection.uuid
    assert other.connection.remote.port == carried[0]["local_port"]


def test_times_follow_the_order_of_request_and_response(tap: Session, peer: Server) -> None:
    program, _ = run(peer, "keepalive", "5")
    (seen,) = tap.closed(program.pid)
    times = [event.timestamp_ns for event in seen.events]
    assert times == sorted(times)


def test_ipv6(tap: Session, certificate: Path) -> None:
    with server(certificate, "::1") as peer:
        program, carried = run(peer, "keepalive")
        (seen,) = tap.closed(program.pid)
        assert (seen.connection.local.ip, seen.connection.remote.ip) == ("::1", "::1")
        assert seen.carried() == carried[0]


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_curl(tap: Session, certificate: Path, host: str) -> None:
    with server(certificate, host) as peer:
        url = f"https://{f'[{host}]' if ':' in host else host}:{peer.port}/40000"
        curl = subprocess.Popen(["curl", "-sk", "--http1.1", url], stdout=subprocess.PIPE)
        body, _ = curl.communicate(timeout=20)
        (seen,) = tap.closed(curl.pid)
        assert seen.streams[SENT].data().startswith(b"GET /40000 HTTP/1.1\r\n")
        assert seen.streams[RECEIVED].data().endswith(body)
        assert len(body) == 40000
        assert seen.connection.process.comm == "curl"


def test_short_connections_of_one_process_stay_apart(tap: Session, peer: Server) -> None:
    program, carried = run(peer, "many", "60")
    seen = tap.closed(program.pid, 60)
    assert len(seen) == 60
    assert all(one.kinds().count(OPENED) == one.kinds().count(CLOSED) == 1 for one in seen)
    assert {port: one.carried() for port, one in by_port(seen).items()} == {one["local_port"]: one for one in carried}
    others = tap.closed(peer.pid, 60)
    assert len(others) == 60
    assert all(one.kinds()[-1] == CLOSED for one in seen + others)


@pytest.mark.parametrize(("client", "count"), [("reuse", 3), ("freed", 20)])
def test_reused_objects_and_addresses_join_nothing(tap: Session, peer: Server, client: str, count: int) -> None:
    program, carried = run(peer, client)
    seen = tap.closed(program.pid, count)
    assert len(seen) == count
    assert {port: one.carried() for port, one in by_port(seen).items()} == {one["local_port"]: one for one in carried}
    assert not any(one.connection.joined for one in seen)


def test_threads_are_told_apart_on_one_connection(tap: Session, peer: Server) -> None:
    program, _ = run(peer, "threads", "5")
    (seen,) = tap.closed(program.pid)
    senders = {event.tid or seen.connection.tid for event in seen.events if event.kind == DATA and event.direction == SENT}
    assert len(senders) == 4
    assert program.pid not in senders


def test_a_forked_child_has_its_own_connection_and_one_destroy_ends_both(tap: Session, peer: Server) -> None:
    program, _ = run(peer, "fork")
    child = int(program.errors)
    (parent,) = tap.closed(program.pid)
    (inherited,) = tap.closed(child)
    assert parent.streams[SENT].data() == b"get 50\n"
    assert inherited.streams[SENT].data() == b"get 70\n"
    assert parent.connection.sock == inherited.connection.sock
    assert parent.connection.uuid != inherited.connection.uuid
    assert inherited.connection.joined
    assert parent.closed().timestamp_ns == inherited.closed().timestamp_ns


def test_tls_in_memory_has_the_socket_that_its_records_are_sent_on(tap: Session, peer: Server) -> None:
    program, carried = run(peer, "memory", "70000")
    (seen,) = tap.closed(program.pid)
    assert seen.connection.sock
    assert seen.connection.local.port == carried[0]["local_port"]
    assert (seen.connection.remote.ip, seen.connection.remote.port) == (peer.host, peer.port)
    assert not seen.connection.joined
    assert seen.streams[RECEIVED].seen() == carried[0]["received"]
    assert seen.streams[SENT].seen() == carried[0]["sent"]
    assert set(seen.kinds()) <= {OPENED, DATA, CLOSED}


def test_openssl_client_and_server(tap: Session, certificate: Path) -> None:
    listener = subprocess.Popen(
        ["openssl", "s_server", "-accept", "127.0.0.1:0", "-cert", str(certificate), "-key", str(certificate), "-naccept", "1"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert listener.stdin
    assert listener.stdout
    while not (line := listener.stdout.readline()).startswith(b"ACCEPT"):
        pass
    port = int(line.rpartition(b":")[2])
    client = subprocess.Popen(
        ["openssl", "s_client", "-quiet", "-connect", f"127.0.0.1:{port}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert client.stdin
    assert client.stdout
    client.stdin.write(b"from the client\n")
    client.stdin.flush()
    listener.stdin.write(b"from the server\n")
    listener.stdin.flush()
    assert client.stdout.readline() == b"from the server\n"
    while b"from the client" not in listener.stdout.readline():
        pass
    # What the client shows now it read after its SSL_write had returned, which is when bytes are captured.
    listener.stdin.write(b"again\n")
    listener.stdin.flush()
    assert client.stdout.readline() == b"again\n"
    client.kill()
    client.communicate()
    listener.communicate(timeout=20)
    (one,) = tap.closed(client.pid)
    assert one.streams[SENT].data() == b"from the client\n"
    assert one.streams[RECEIVED].data() == b"from the server\nagain\n"
    (other,) = tap.closed(listener.pid)
    assert other.streams[RECEIVED].data() == b"from the client\n"


def test_a_server_that_uses_openssl_through_a_bio(tap: Session, certificate: Path) -> None:
    options = "-accept", "127.0.0.1:0", "-cert", str(certificate), "-key", str(certificate), "-naccept", "1", "-www"
    listener = subprocess.Popen(["openssl", "s_server", *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert listener.stdout
    while not (line := listener.stdout.readline()).startswith(b"ACCEPT"):
        pass
    url = f"https://127.0.0.1:{int(line.rpartition(b':')[2])}/"
    curl = subprocess.Popen(["curl", "-sk", "--http1.0", url], stdout=subprocess.PIPE)
    body, _ = curl.communicate(timeout=20)
    listener.communicate(timeout=20)
    (seen,) = tap.closed(listener.pid)
    (client,) = tap.closed(curl.pid)
    assert seen.streams[RECEIVED].data() == client.streams[SENT].data()
    assert seen.streams[RECEIVED].data().startswith(b"GET / HTTP/1.0\r\n")
    assert seen.streams[SENT].data() == client.streams[RECEIVED].data()
    assert seen.streams[SENT].data().endswith(body)
    assert len(body) > 100


def test_nothing_was_lost(tap: Session) -> None:
    assert {cause: count for cause, count in tap.tap.losses().items() if count} == {}
