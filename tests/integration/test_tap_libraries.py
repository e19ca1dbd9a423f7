"""Libraries wherever they are: the system's, copies, containers' own, deleted ones, and nginx that links the system's."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleetcap_producer import libraries
from fleetcap_producer.config import Filters, TapConfig
from fleetcap_proto.v1 import common_pb2
from tests.integration.tap_harness import (
    PATIENCE_S,
    RECEIVED,
    SENT,
    TRAFFIC,
    Program,
    Server,
    Session,
    make_certificate,
    server,
    skip_unless_capturing,
)

pytestmark = pytest.mark.ebpf


@pytest.fixture(scope="module", autouse=True)
def _capturing() -> None:
    skip_unless_capturing()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def peer(certificate: Path) -> Iterator[Server]:
    with server(certificate) as running:
        yield running


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A libssl of our own."""
    system = libraries.system_libraries()[0]
    return Path(shutil.copy(system, tmp_path / "libssl.so.3"))


def using(library: Path, peer: Server) -> Program:
    """A client that waits with this library in its memory."""
    arguments = "keepalive", peer.host, str(peer.port)
    program = Program(*arguments, env={**os.environ, "LD_LIBRARY_PATH": str(library.parent)})
    wait_mapped(program.pid)
    return program


def wait_mapped(pid: int) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not libraries.mapped_libraries(pid):
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("rescan_s", [0.1, 300.0], ids=["by looking", "by the kernel's word"])
def test_a_library_of_a_process_started_later(peer: Server, copy: Path, rescan_s: float) -> None:
    with Session(TapConfig("node", rescan_s=rescan_s)) as tap:
        program = using(copy, peer)
        tap.wait(lambda: str(copy) in tap.tap.libraries(), "the copy")
        second = using(copy, peer)
        for one in (program, second):
            carried = one.go()
            (seen,) = tap.closed(one.pid)
            assert seen.carried() == carried[0]
            assert seen.connection.library == str(copy)
        assert tap.tap.libraries().count(str(copy)) == 1


def test_a_library_is_told_of_a_process_already_gone(peer: Server, copy: Path) -> None:
    with Session(TapConfig("node", libraries=[copy]), pause_s=2.0) as tap:
        program = using(copy, peer)
        carried = program.go()
        (seen,) = tap.closed(program.pid)
        assert seen.carried() == carried[0]
        assert seen.connection.library == str(copy)


def test_a_library_whose_file_is_gone(peer: Server, copy: Path) -> None:
    program = using(copy, peer)
    copy.unlink()
    with Session(TapConfig("node")) as tap:
        carried = program.go()
        (seen,) = tap.closed(program.pid)
        assert seen.carried() == carried[0]
        assert seen.connection.library == str(copy)


def test_a_library_that_only_a_container_has(peer: Server, copy: Path, tmp_path: Path) -> None:
    inside = tmp_path / "root"
    inside.mkdir()
    script = 'mount -t tmpfs none "$1" && cp "$2" "$1" && export LD_LIBRARY_PATH="$1" && shift 2 && exec "$@"'
    client = ["python3", str(TRAFFIC), "keepalive", peer.host, str(peer.port)]
    process = subprocess.Popen(
        ["unshare", "--mount", "sh", "-c", script, "sh", str(inside), str(copy), *client],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    wait_mapped(process.pid)
    name = str(inside / copy.name)
    assert not Path(name).exists()
    with Session(TapConfig("node", Filters(pids=[process.pid]))) as tap:
        assert name in tap.tap.libraries()
        process.communicate("go\n", timeout=30)
        (seen,) = tap.closed(process.pid)
        assert seen.connection.library == name


def test_only_the_library_named(peer: Server, copy: Path) -> None:
    program, other = using(copy, peer), Program("keepalive", peer.host, str(peer.port))
    with Session(TapConfig("node", libraries=[copy], discover=False)) as tap:
        assert tap.tap.libraries() == [str(copy)]
        other.go()
        program.go()
        tap.closed(program.pid)
        tap.settle()
        assert tap.seen(other.pid, peer.pid) == []


@pytest.mark.slow
def test_a_hundred_short_lived_programs_with_a_library_of_their_own(peer: Server, copy: Path) -> None:
    url = f"https://127.0.0.1:{peer.port}/100"
    # Nothing but the kernel's word can find it: the next look at /proc comes long after the test.
    with Session(TapConfig("node", Filters(comms=["curl"]), rescan_s=300)) as tap:
        environment = {**os.environ, "LD_LIBRARY_PATH": str(copy.parent)}
        deadline = time.monotonic() + PATIENCE_S
        while str(copy) not in tap.tap.libraries():
            assert time.monotonic() < deadline
            subprocess.run(["curl", "-sk", url], stdout=subprocess.DEVNULL, env=environment, timeout=20, check=True)
        pids = []
        for _ in range(100):
            curl = subprocess.Popen(["curl", "-sk", "--http1.1", url], stdout=subprocess.PIPE, env=environment)
            body, _ = curl.communicate(timeout=20)
            assert len(body) == 100
            pids.append(curl.pid)
        for pid in pids:
            (seen,) = tap.closed(pid)
            assert seen.streams[SENT].data().startswith(b"GET /100 HTTP/1.1\r\n")
            assert seen.streams[RECEIVED].data().endswith(body)


NGINX = """
daemon off; master_process off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 64; }}
http {{
  access_log off; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{ listen 127.0.0.1:{port} ssl; ssl_certificate {certificate}; ssl_certificate_key {certificate}; root {folder}; }}
}}
"""


@pytest.fixture
def nginx(tmp_path: Path, certificate: Path) -> Iterator[tuple[int, int]]:
    """Process and port of an nginx that serves `tmp_path`."""
    program = shutil.which("nginx")
    if program is None:
        pytest.skip("nginx is not installed; install nginx-light")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (tmp_path / "large").write_bytes(os.urandom(400_000))
    (tmp_path / "small").write_text("hello from nginx\n")
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents[:2]:
        parent.chmod(0o755)
    configuration = tmp_path / "nginx.conf"
    configuration.write_text("user root;" + NGINX.format(folder=tmp_path, port=port, certificate=certificate))
    process = subprocess.Popen([program, "-e", str(tmp_path / "error.log"), "-c", str(configuration)])
    deadline = time.monotonic() + PATIENCE_S
    while socket.socket().connect_ex(("127.0.0.1", port)):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    yield process.pid, port
    process.terminate()
    process.wait(timeout=20)


def test_nginx_as_a_server(nginx: tuple[int, int], tmp_path: Path) -> None:
    pid, port = nginx
    with Session(TapConfig("node", Filters(comms=["nginx", "curl"]))) as tap:
        base = f"https://127.0.0.1:{port}"
        curl = subprocess.Popen(["curl", "-sk", "--http1.1", f"{base}/small", f"{base}/large"], stdout=subprocess.PIPE)
        body, _ = curl.communicate(timeout=30)
        (seen,) = tap.closed(pid)
        (client,) = tap.closed(curl.pid)
        assert seen.connection.role == common_pb2.ROLE_SERVER
        assert seen.connection.process.comm == "nginx"
        assert not seen.connection.joined
        requests, responses = seen.streams[RECEIVED].data(), seen.streams[SENT].data()
        assert requests.count(b"GET /") == 2
        assert responses.endswith((tmp_path / "large").read_bytes())
        assert body == (tmp_path / "small").read_bytes() + (tmp_path / "large").read_bytes()
        assert client.streams[RECEIVED].seen() == seen.streams[SENT].seen()
        assert client.streams[SENT].seen() == seen.streams[RECEIVED].seen()
        assert not any(tap.tap.losses().values())
