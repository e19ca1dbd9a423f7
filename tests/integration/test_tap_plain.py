"""Plain sockets on the ports that were asked for are captured whole; what never was in memory is a gap of its true size."""

import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fleetcap_producer.config import TapConfig
from fleetcap_proto.v1 import common_pb2
from tests.integration.tap_harness import (
    CLOSED,
    OPENED,
    PATIENCE_S,
    RECEIVED,
    SENT,
    Program,
    Seen,
    Session,
    make_certificate,
    server,
    skip_unless_capturing,
    totals,
)

pytestmark = pytest.mark.ebpf

BODY = bytes(range(256)) * 1200

# Two ends in one process of its own, which the tap does not leave out: it sends by each system call and prints what came.
CALLS = """
import os, socket, sys
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
client = socket.create_connection(listener.getsockname())
peer, _ = listener.accept()
def exactly(count):
    data = b""
    while len(data) < count:
        data += peer.recv(count - len(data))
    return data
client.send(b"send."); assert exactly(5) == b"send."
os.write(client.fileno(), b"write."); assert os.read(peer.fileno(), 100) == b"write."
os.writev(client.fileno(), [b"wri", b"", b"tev."])
into = [bytearray(2), bytearray(20)]
assert os.readv(peer.fileno(), into) == 7
client.sendmsg([b"send", b"msg."]); assert peer.recvmsg(100)[0] == b"sendmsg."
client.sendmsg([b"%03d," % number for number in range(100)]); exactly(400)
client.send(b"peek."); assert peer.recv(100, socket.MSG_PEEK) == b"peek."; exactly(5)
client.close()
assert peer.recv(1) == b""
"""
CALLED = b"send.write.writev.sendmsg." + b"".join(b"%03d," % number for number in range(100)) + b"peek."


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


@contextmanager
def running(port: int, *command: str) -> Iterator[int]:
    """A server, once it listens."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                assert time.monotonic() < deadline, f"{command[0]} does not listen"
                assert process.poll() is None, f"{command[0]} ended"
                time.sleep(0.05)
        yield process.pid
    finally:
        process.terminate()
        process.wait(20)


def needed(program: str) -> str:
    found = shutil.which(program) or shutil.which(program, path="/usr/sbin")
    if found is None:
        pytest.skip(f"{program} is not installed")
    return found


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def tap(port: int) -> Iterator[Session]:
    skip_unless_capturing()
    with Session(TapConfig("node-1", plain=(port,), rescan_s=0.2)) as session:
        yield session


def carried(seen: Seen) -> tuple[bytes, bytes]:
    """What crossed it, where nothing is missing."""
    for stream in seen.streams:
        stream.seen()
        assert not stream.missing
    return seen.streams[RECEIVED].data(), seen.streams[SENT].data()


def moved(seen: Seen) -> bool:
    return any(stream.end for stream in seen.streams)


def with_data(found: list[Seen], holds: Callable[[Seen], bool] = moved) -> Seen:
    (seen,) = [one for one in found if holds(one)]
    return seen


def test_http_is_seen_at_both_ends(tap: Session, port: int, tmp_path: Path) -> None:
    (tmp_path / "body").write_bytes(BODY)
    # http.server copies files by send(2).
    with running(port, sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1", "-d", str(tmp_path)) as pid:
        client = subprocess.Popen([needed("curl"), "-s", f"http://127.0.0.1:{port}/body"], stdout=subprocess.PIPE)
        assert client.communicate(timeout=30)[0] == BODY
        asked = with_data(tap.closed(client.pid))
        answered = with_data(tap.closed(pid))
    received, sent = carried(asked)
    assert sent.startswith(b"GET /body HTTP/1.1\r\n")
    assert received.endswith(b"\r\n\r\n" + BODY)
    assert carried(answered) == (sent, received)
    assert asked.connection.source == common_pb2.SOURCE_SOCKET
    assert (asked.connection.role, answered.connection.role) == (common_pb2.ROLE_CLIENT, common_pb2.ROLE_SERVER)
    assert (asked.connection.remote.ip, asked.connection.remote.port) == ("127.0.0.1", port)
    assert answered.connection.remote.port == asked.connection.local.port
    assert asked.kinds()[0] == OPENED
    assert totals(asked) == (len(received), len(sent))
    assert not asked.connection.joined


def test_every_way_to_send_and_receive(tap: Session, port: int) -> None:
    process = subprocess.Popen([sys.executable, "-c", CALLS, str(port)])
    assert process.wait(30) == 0
    ends = tap.closed(process.pid, 2)
    assert {carried(one) for one in ends} == {(b"", CALLED), (CALLED, b"")}


def test_redis(tap: Session, port: int) -> None:
    with running(port, needed("redis-server"), "--port", str(port), "--save", "", "--bind", "127.0.0.1") as pid:
        client = subprocess.Popen(
            [needed("redis-cli"), "-p", str(port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        told, _ = client.communicate(b"SET name value\nGET name\n", timeout=30)
        assert told.splitlines() == [b"OK", b"value"]
        received, sent = carried(with_data(tap.closed(client.pid)))
        assert b"*3\r\n$3\r\nSET\r\n$4\r\nname\r\n$5\r\nvalue\r\n" in sent
        assert received.endswith(b"+OK\r\n$5\r\nvalue\r\n")
        tap.settle()
        assert (sent, received) in [carried(one) for one in tap.seen(pid)]


NGINX = """
daemon off; master_process off; error_log stderr crit; pid {folder}/pid;
events {{}}
http {{ sendfile on; access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
server {{ listen 127.0.0.1:{port}; root {folder}; }} }}
"""


def test_what_sendfile_sends_is_a_gap_of_its_size(tap: Session, port: int, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(BODY)
    (tmp_path / "nginx.conf").write_text(NGINX.format(folder=tmp_path, port=port))
    tmp_path.chmod(0o755)
    with running(port, needed("nginx"), "-c", str(tmp_path / "nginx.conf"), "-p", str(tmp_path)) as pid:
        client = subprocess.Popen([needed("curl"), "-s", f"http://127.0.0.1:{port}/file"], stdout=subprocess.PIPE)
        assert client.communicate(timeout=30)[0] == BODY
        received, _ = carried(with_data(tap.closed(client.pid)))
        tap.wait(lambda: any(CLOSED in one.kinds() and one.streams[SENT].end for one in tap.seen(pid)), "the server's end")
        answered = with_data(tap.seen(pid), lambda one: one.streams[SENT].end > 0)
    assert received.endswith(b"\r\n\r\n" + BODY)
    head = received[: -len(BODY)]
    assert answered.streams[SENT].data() == head
    assert answered.streams[SENT].missing == len(BODY)
    assert answered.streams[SENT].end == len(received)
    assert totals(answered)[SENT] == len(received)
    assert tap.tap.lost_bytes()["moved outside process memory"] == len(BODY)


def test_other_ports_are_left_alone(tap: Session, tmp_path: Path) -> None:
    other = free_port()
    with running(other, sys.executable, "-m", "http.server", str(other), "--bind", "127.0.0.1", "-d", str(tmp_path)) as pid:
        client = subprocess.Popen([needed("curl"), "-s", f"http://127.0.0.1:{other}/"], stdout=subprocess.DEVNULL)
        assert client.wait(30) == 0
    tap.settle()
    assert tap.seen(client.pid, pid) == []


@pytest.mark.parametrize("kind", ["keepalive", "memory"])
def test_tls_on_a_plain_port_is_captured_once(tmp_path: Path, kind: str) -> None:
    skip_unless_capturing()
    with (
        server(make_certificate(tmp_path)) as peer,
        Session(TapConfig("node-1", plain=(peer.port,), rescan_s=0.2)) as tap,
    ):
        program = Program(kind, peer.host, str(peer.port), "5")
        program.go()
        tap.closed(program.pid)
        tap.settle()
        assert [one.connection.source for one in tap.seen(program.pid)] == [common_pb2.SOURCE_OPENSSL]
        assert {one.connection.source for one in tap.seen(peer.pid)} == {common_pb2.SOURCE_OPENSSL}


def test_a_connection_joined_in_the_middle(port: int) -> None:
    """The tap leaves its own process out, so the other end is what is seen."""
    skip_unless_capturing()
    echo = "import socket, sys\npeer, _ = socket.create_server(('127.0.0.1', int(sys.argv[1]))).accept()\n"
    echo += "while data := peer.recv(100): peer.sendall(data)"
    process = subprocess.Popen([sys.executable, "-c", echo, str(port)])
    with connected(port) as client:
        client.sendall(b"before")
        assert client.recv(100) == b"before"
        with Session(TapConfig("node-1", plain=(port,), discover=False)) as tap:
            client.sendall(b"after")
            assert client.recv(100) == b"after"
            client.shutdown(socket.SHUT_WR)
            assert process.wait(20) == 0
            client.close()
            (seen,) = tap.closed(process.pid)
    assert carried(seen) == (b"after", b"after")
    assert seen.connection.joined


@contextmanager
def connected(port: int) -> Iterator[socket.socket]:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            client = socket.create_connection(("127.0.0.1", port))
            break
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    with client:
        yield client
