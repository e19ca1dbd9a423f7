"""What the tap leaves out, because it was told to or because there is no room, and that it says so."""

import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fleetcap_producer.config import Filters, TapConfig
from fleetcap_producer.errors import TapError
from fleetcap_producer.tap import Tap
from tests.integration.tap_harness import (
    CLOSED,
    DATA,
    OPENED,
    RECEIVED,
    SENT,
    Program,
    Server,
    Session,
    make_certificate,
    server,
    skip_unless_capturing,
    totals,
)

pytestmark = pytest.mark.ebpf


@pytest.fixture(scope="module", autouse=True)
def _capturing() -> None:
    skip_unless_capturing()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def peer(certificate: Path) -> Iterator[Server]:
    with server(certificate) as running:
        yield running


def client(peer: Server, command: str = "keepalive", *arguments: str, user: int | None = None) -> Program:
    return Program(command, peer.host, str(peer.port), *arguments, user=user)


@pytest.mark.parametrize(
    ("filters", "user"),
    [(lambda wanted: Filters(pids=[wanted.pid]), None), (lambda _: Filters(uids=[12345]), 12345)],
    ids=["pid", "uid"],
)
def test_only_the_process_asked_for(peer: Server, filters: Callable[[Program], Filters], user: int | None) -> None:
    wanted, other = client(peer, user=user), client(peer)
    with Session(TapConfig("node", filters(wanted))) as tap:
        carried = wanted.go()
        other.go()
        (seen,) = tap.closed(wanted.pid)
        tap.settle()
        assert seen.carried() == carried[0]
        assert {event.connection.process.pid for event in tap.events} == {wanted.pid}


def test_only_the_command_asked_for(peer: Server) -> None:
    url = f"https://127.0.0.1:{peer.port}/100"
    with Session(TapConfig("node", Filters(comms=["curl"]))) as tap:
        client(peer).go()
        curl = subprocess.Popen(["curl", "-sk", url], stdout=subprocess.DEVNULL)
        curl.communicate(timeout=20)
        tap.closed(curl.pid)
        tap.settle()
        assert {event.connection.process.comm for event in tap.events} == {"curl"}


def test_only_the_port_asked_for(peer: Server, certificate: Path) -> None:
    with server(certificate) as second, Session(TapConfig("node", Filters(ports=[peer.port]))) as tap:
        wanted, other, memory = client(peer), client(second), client(second, "memory", "100")
        carried = wanted.go()
        other.go()
        memory.go()
        (seen,) = tap.closed(wanted.pid)
        tap.settle()
        assert seen.carried() == carried[0]
        assert {event.connection.process.pid for event in tap.events} == {wanted.pid, peer.pid}


@pytest.fixture
def cgroup() -> Iterator[Path]:
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    roots = [Path(fields[1]) for fields in mounts if fields[2] == "cgroup2"]
    if not roots:
        pytest.skip("no unified cgroup hierarchy is mounted here; mount -t cgroup2 none /sys/fs/cgroup")
    group = roots[0] / f"fleetcap-test-{os.getpid()}"
    (group / "inner").mkdir(parents=True)
    yield group
    for place in (group / "inner", group):
        for pid in (place / "cgroup.procs").read_text().split():
            (roots[0] / "cgroup.procs").write_text(pid)
        place.rmdir()


def test_only_the_cgroup_asked_for_and_those_below_it(peer: Server, cgroup: Path) -> None:
    direct, inner, other = client(peer), client(peer), client(peer)
    (cgroup / "cgroup.procs").write_text(str(direct.pid))
    (cgroup / "inner" / "cgroup.procs").write_text(str(inner.pid))
    with Session(TapConfig("node", Filters(cgroups=[f"/{cgroup.name}"]))) as tap:
        for program in (other, direct, inner):
            program.go()
        tap.closed(direct.pid)
        tap.closed(inner.pid)
        tap.settle()
        assert {event.connection.process.pid for event in tap.events} == {direct.pid, inner.pid}


@pytest.mark.parametrize("denied_ip", ["127.0.0.1", "::"])
def test_a_denied_endpoint_is_captured_in_no_process(peer: Server, certificate: Path, denied_ip: str) -> None:
    with server(certificate) as second, Session(TapConfig("node", denied=[(denied_ip, peer.port)])) as tap:
        refused, wanted = client(peer), client(second)
        refused.go()
        wanted.go()
        tap.closed(wanted.pid)
        tap.closed(second.pid)
        tap.settle()
        assert tap.seen(refused.pid, peer.pid) == []


def test_our_own_process_is_not_captured(peer: Server) -> None:
    from tests.integration import tap_traffic  # noqa: PLC0415  used in this process here, run by all others

    with Session(TapConfig("node")) as tap:
        tap_traffic.keepalive(peer.host, peer.port)
        tap.closed(peer.pid)
        tap.settle()
        assert tap.seen(os.getpid()) == []


def test_connections_older_than_the_tap_are_joined(peer: Server) -> None:
    program = Program("linger", peer.host, str(peer.port))
    assert program.first_line() == {"connected": True}
    with Session(TapConfig("node")) as tap:
        program.go()
        (seen,) = tap.closed(program.pid)
        assert seen.connection.joined
        assert seen.kinds()[0] == DATA
        assert OPENED not in seen.kinds()
        assert seen.connection.remote.port == peer.port
        assert seen.streams[SENT].data() == b"get 30\n"
        assert totals(seen) == (30, 7)


def test_a_call_over_the_limit_is_cut_and_the_cut_is_known(peer: Server) -> None:
    program = client(peer, "upload", "300000")
    with Session(TapConfig("node", Filters(pids=[program.pid]), max_call_bytes=65536)) as tap:
        program.go()
        (seen,) = tap.closed(program.pid)
        sent = seen.streams[SENT]
        (_, total) = totals(seen)
        assert total == sent.end == len("put 300000\n") + 300000
        assert sent.missing == 300000 - 65536
        assert sent.captured() == total - sent.missing
        assert tap.tap.losses()["call longer than captured"] == 1
        assert tap.tap.lost_bytes()["call longer than captured"] == sent.missing


@pytest.mark.parametrize("command", ["download", "many"])
def test_a_full_ring_buffer_loses_only_what_is_counted(peer: Server, command: str) -> None:
    size = {"download": "5000000", "many": "100"}[command]
    program = client(peer, command, size)
    config = TapConfig("node", Filters(pids=[program.pid]), ring_pages=2 if command == "many" else 16)
    with Session(config, pause_s=2.0) as tap:
        carried = {one["local_port"]: one for one in program.go()}
        tap.stop()
        seen = tap.seen(program.pid)
        lost = sum(tap.tap.lost_bytes().values())
        captured = sum(stream.captured() for one in seen for stream in one.streams)
        told = sum(one[side][0] for one in carried.values() for side in ("received", "sent"))  # type: ignore[index]
        assert lost > 0
        assert captured + lost == told
        causes = ("kernel ring buffer full", "bodies shed", "connections shed")
        assert sum(tap.tap.losses()[cause] for cause in causes) > 0
        for one in seen:
            assert one.kinds().count(CLOSED) == 1
            truth = carried[one.connection.local.port]
            assert totals(one) == (truth["received"][0], truth["sent"][0])  # type: ignore[index]
            assert one.streams[RECEIVED].end <= truth["received"][0]  # type: ignore[index]


def test_what_was_captured_before_a_stop_comes_out_after_it(peer: Server) -> None:
    tap = Tap(TapConfig("node"))
    tap.start()
    try:
        program = client(peer)
        program.go()
        tap.stop()
        events = []
        while some := tap.drain(0.0):
            events += some
        mine = [event for event in events if event.connection.process.pid == program.pid]
        assert mine[0].kind == OPENED
        assert mine[-1].kind == CLOSED
        assert not any(tap.losses().values())
        client(peer).go()
        assert tap.drain(0.0) == []
    finally:
        tap.close()
    assert not any(tap.losses().values())


def test_a_drain_without_events_takes_its_time_and_no_more() -> None:
    with Session(TapConfig("node", Filters(pids=[1]), discover=False)) as session:
        session._stop.set()
        session._thread.join()
        before = time.monotonic()
        assert session.tap.drain(0.2) == []
        assert time.monotonic() - before >= 0.2


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (TapConfig("node", libraries=[Path("/nonexistent/libssl.so.3")]), "/nonexistent/libssl.so.3"),
        (TapConfig("node", libraries=[Path("/bin/sh")]), "/bin/sh"),
        (TapConfig("node", Filters(cgroups=["/no/such/group"])), "cgroup"),
        (TapConfig("node", denied=[("broker.example", 9092)]), "broker.example"),
        (TapConfig("node", ring_pages=3), "3 pages"),
    ],
    ids=["missing library", "no TLS library", "missing cgroup", "name for address", "ring size"],
)
def test_a_wrong_configuration_is_one_line_that_names_it(config: TapConfig, said: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(TapError) as raised:
        Tap(config).start()
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)
    assert raised.value.remedy
    assert capfd.readouterr().err == ""


@pytest.mark.slow
def test_programs_too_long_for_the_verifier_capture_less_of_a_call(peer: Server, caplog: pytest.LogCaptureFixture) -> None:
    program = client(peer, "upload", "300000")
    config = TapConfig("node", Filters(pids=[program.pid]), max_call_bytes=1 << 31)
    with Session(config) as tap:
        program.go()
        (seen,) = tap.closed(program.pid)
        assert seen.streams[SENT].end == 300000 + len("put 300000\n")
        assert seen.streams[SENT].missing > 0
    assert "the kernel refused programs" in caplog.text


def test_a_socket_that_speaks_no_tls_is_not_told_of() -> None:
    with Session(TapConfig("node")) as tap:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
            code = f"import socket; s = socket.create_connection(('127.0.0.1', {port})); s.send(b'x'); s.close()"
            program = subprocess.Popen(["python3", "-c", code])
            program.communicate(timeout=20)
        tap.settle()
        assert tap.seen(program.pid) == []
