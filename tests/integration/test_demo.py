"""The main job, end to end, on real traffic: what the demo's clients logged against what is on the topics."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from fleetcap.demo import recorded, servers, traffic
from fleetcap.demo.compare import expected
from fleetcap.demo.stage import Stage, wait_until
from fleetcap.demo.truth import Exchange
from fleetcap.demo.watching import Watch
from fleetcap_proto.v1 import common_pb2, connection_pb2, exchange_pb2

ROOT = Path(__file__).parents[2]
PATIENCE_S = 60.0

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def _able() -> None:
    if os.geteuid() != 0:
        pytest.skip("capturing needs root")
    for program in ("curl", "openssl", servers.NGINX):
        if not shutil.which(program):
            pytest.skip(f"{program} is not installed; scripts/setup --for test installs it")


def _demo(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "fleetcap.demo", *arguments]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def _below(pid: int) -> list[int]:
    """Processes that descend from one."""
    parents: dict[int, list[int]] = defaultdict(list)
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            head, _, rest = stat.read_text().rpartition(")")
        except OSError:
            continue
        parents[int(rest.split()[1])].append(int(head.split()[0]))
    children = parents[pid]
    return children + [one for child in children for one in _below(child)]


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.ebpf
@pytest.mark.usefixtures("_able")
def test_the_demo_shows_everything_once_and_ends_well() -> None:
    demo = _demo("--once")
    out, _ = demo.communicate(timeout=300)
    assert demo.returncode == 0, out
    rows = {line.strip() for line in out.splitlines()}
    # Each thing that the demo promises, as a row of `fleetcap tail`: process, side, method, status, target.
    for words in (
        ("curl/", "→", "GET", "200", "/hello"),
        ("python/", "→", "POST", "201", "/notes"),
        ("python/", "→", "GET", "200", "/gzip"),
        ("python/", "→", "GET", "200", "/chunked"),
        ("python/", "←", "GET", "200", "/bytes?size=5000000", "5.0 MB"),
        ("python/", "→", "POST", "201", "/upload"),
        ("python/", "→", "GET", "200", "/hello?thread=2&number=2"),
        ("python/", "→", "GET", "200", "[::1]"),
        ("nginx/", "←", "GET", "404", "/missing"),
    ):
        assert any(all(word in row for word in words) for row in rows), f"{words} is not shown:\n{out}"
    assert "lost      0\n" in out
    sent = next(int(line.split()[1]) for line in out.splitlines() if line.strip().startswith("sent"))
    assert f"decoded   {2 * sent} of {2 * sent}" in out


@pytest.mark.ebpf
@pytest.mark.usefixtures("_able")
def test_ctrl_c_brings_out_the_rest_sums_up_and_leaves_nothing_running() -> None:
    demo = _demo()
    assert demo.stdout
    shown: list[str] = []
    for line in demo.stdout:
        shown.append(line)
        if "/bytes?size=20000" in line:  # of the gentle traffic, after the first round
            break
    children = _below(demo.pid)
    assert len(children) >= 5
    demo.send_signal(signal.SIGINT)
    rest, _ = demo.communicate(timeout=120)
    assert "lost " in rest, "".join(shown) + rest
    assert demo.returncode == 0, "".join(shown) + rest
    assert [pid for pid in children if _alive(pid)] == []


def test_a_machine_that_cannot_capture_sees_the_recording() -> None:
    if not recorded.CAPTURE.exists():
        pytest.fail(f"{recorded.CAPTURE} is not there; CONTRIBUTING.md says how to make it")
    demo = _demo("--replay")
    out, _ = demo.communicate(timeout=200)
    assert demo.returncode == 0, out
    sides = 2 * len(recorded.made())
    assert f"decoded   {sides} of {sides}" in out


@dataclass(frozen=True, slots=True)
class Seen:
    """What was made, and what was on the topics after it."""

    made: list[Exchange]
    exchanges: list[exchange_pb2.Exchange]
    closed: list[connection_pb2.ConnectionRecord]
    unreadable: int
    decoded: list[str]  # what `fleetcap decode` printed of what `fleetcap record` wrote
    tailed: list[str]  # what `fleetcap tail` printed of what the worker wrote


def _fleetcap(*arguments: str | Path) -> list[str]:
    command = [sys.executable, "-m", "fleetcap", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout.splitlines()


@pytest.fixture(scope="module")
def seen(_able: None) -> Iterator[Seen]:
    with tempfile.TemporaryDirectory() as name, Stage(Path(name)) as stage:
        Path(name).chmod(0o711)
        (Path(name) / "servers").mkdir()
        stage.start_broker()
        stage.start_worker()
        with servers.running(Path(name) / "servers") as running:
            stage.start_capture(sorted({one.port for one in running.all}))
            made = [exchange for scenario in traffic.scenarios(running) for exchange in scenario.run()]
            watch = Watch(stage.bootstrap_servers)
            watch.start()
            try:
                connections = {one.side for one in expected(made)}
                wait_until(lambda: len(watch.exchanges()) >= 2 * len(made), PATIENCE_S, stage.check)
                wait_until(lambda: len(watch.closed()) >= len(connections), PATIENCE_S, stage.check)
                time.sleep(1)  # for what should not come
            finally:
                watch.stop()
            recording = Path(name) / "circle.fcap"
            _fleetcap("record", "--output", recording, "-b", stage.bootstrap_servers)
            decoded = _fleetcap("decode", recording, "--format", "json")
            topics_shown = ("--topic", "exchanges", "--topic", "connections")
            from_worker = ("--from", "beginning", "--exit-when-idle", "3", "--format", "json", "-b", stage.bootstrap_servers)
            tailed = _fleetcap("tail", *topics_shown, *from_worker)
            yield Seen(made, watch.exchanges(), watch.closed(), watch.unreadable(), decoded, tailed)


def _by_connection(seen: Seen) -> dict[tuple[int, str, int, str, int], list[exchange_pb2.Exchange]]:
    found = defaultdict(list)
    for one in sorted(seen.exchanges, key=lambda exchange: exchange.number):
        found[one.process.pid, one.local.ip, one.local.port, one.remote.ip, one.remote.port].append(one)
    return found


@pytest.mark.ebpf
def test_each_exchange_is_there_once_for_each_side_and_in_order(seen: Seen) -> None:
    wanted = defaultdict(list)
    for made in seen.made:
        client, server = (made.client.ip, made.client.port), (made.server.ip, made.server.port)
        wanted[(made.client_pid, *client, *server)].append((made.method, made.target, made.status))
        wanted[(made.server_pid, *server, *client)].append((made.method, made.target, made.status))
    found = {
        side: [(one.request.http.method, one.request.http.target, one.response.http.status) for one in exchanges]
        for side, exchanges in _by_connection(seen).items()
    }
    assert found == wanted


def _pairs(seen: Seen) -> Iterator[tuple[Exchange, exchange_pb2.Exchange, bool]]:
    """Each exchange as logged and as decoded, and whether the decoded one is the client's side."""
    by_connection = {side: iter(exchanges) for side, exchanges in _by_connection(seen).items()}
    for made in seen.made:
        client, server = (made.client.ip, made.client.port), (made.server.ip, made.server.port)
        yield made, next(by_connection[(made.client_pid, *client, *server)]), True
        yield made, next(by_connection[(made.server_pid, *server, *client)]), False


@pytest.mark.ebpf
def test_bodies_have_the_right_size_and_hash(seen: Seen) -> None:
    for made, exchange, _ in _pairs(seen):
        request, response = exchange.request, exchange.response
        assert (request.body_size, request.body_sha256.hex()) == (made.request_size, made.request_sha256), made
        assert (response.body_size, response.body_sha256.hex()) == (made.response_size, made.response_sha256), made


@pytest.mark.ebpf
def test_processes_and_roles_are_right(seen: Seen) -> None:
    for made, exchange, client in _pairs(seen):
        assert exchange.process.comm == (made.client_comm if client else made.server_comm), made
        assert exchange.role == (common_pb2.ROLE_CLIENT if client else common_pb2.ROLE_SERVER), made


@pytest.mark.ebpf
def test_latency_is_above_nothing_and_below_the_whole_exchange(seen: Seen) -> None:
    for made, exchange, _ in _pairs(seen):
        request, response = exchange.request, exchange.response
        assert exchange.HasField("latency_ns"), made
        assert 0 < exchange.latency_ns <= response.end_ns - request.start_ns, made


@pytest.mark.ebpf
def test_the_server_is_not_slower_than_its_client_saw_it(seen: Seen) -> None:
    pairs = list(_pairs(seen))
    for (made, at_client, _), (_, at_server, _) in zip(pairs[::2], pairs[1::2], strict=True):
        # Small requests only: a large one is still being sent while the server reads its beginning.
        if made.request_size == 0:
            assert at_server.latency_ns <= at_client.latency_ns, made


@pytest.mark.ebpf
def test_an_interim_response_does_not_end_the_exchange(seen: Seen) -> None:
    posts = [exchange for made, exchange, _ in _pairs(seen) if (made.scenario, made.method) == ("curl", "POST")]
    assert len(posts) == 2
    for exchange in posts:
        assert [one.http.status for one in exchange.interim] == [100]
        assert exchange.response.http.status == 201


@pytest.mark.ebpf
def test_nothing_is_missing_and_every_connection_ended_with_its_socket(seen: Seen) -> None:
    assert seen.unreadable == 0
    assert len(seen.closed) == len({one.side for one in expected(seen.made)})
    for record in seen.closed:
        assert record.close_reason == connection_pb2.CLOSE_REASON_DESTROYED
        assert (record.received.missing_bytes, record.sent.missing_bytes) == (0, 0)
        assert (record.received.gaps, record.sent.gaps) == (0, 0)
        assert record.protocol == "http1"


@pytest.mark.ebpf
def test_captured_recorded_and_decoded_gives_what_the_worker_gave(seen: Seen) -> None:
    """The full circle: kernel to topic to file to engine, against kernel to topic to worker to topic."""
    by_worker = [line for line in seen.tailed if '"state":"opened"' not in line]
    assert len([line for line in by_worker if line.startswith('{"kind":"exchange"')]) == 2 * len(seen.made)
    assert sorted(seen.decoded) == sorted(by_worker)
