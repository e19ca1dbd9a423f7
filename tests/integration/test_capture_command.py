"""The command as it runs on a node: privileges given up, records encrypted, metrics served, SIGHUP, and nothing left behind."""

import base64
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from confluent_kafka import Consumer, TopicPartition

from fleetcap.broker import EmbeddedBroker
from fleetcap_producer.privileges import ATTACHING, READING
from fleetcap_proto.sealing import is_sealed, opened
from fleetcap_proto.v1 import raw_pb2
from tests.integration.tap_harness import Server, make_certificate, server, skip_unless_capturing

pytestmark = [pytest.mark.ebpf, pytest.mark.kafka, pytest.mark.slow]

SECRET = bytes(range(32))


@pytest.fixture(scope="module", autouse=True)
def _capturing() -> None:
    skip_unless_capturing()


@pytest.fixture
def peer(tmp_path: Path) -> Iterator[Server]:
    with server(make_certificate(tmp_path)) as running:
        yield running


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as one:
        return int(one.getsockname()[1])


class Capture:
    """`fleetcap capture` as a process of its own."""

    def __init__(self, config: Path, said: Path) -> None:
        self._said = said
        with said.open("w") as stderr:
            command = [sys.executable, "-m", "fleetcap", "capture", "--config", str(config)]
            self.process = subprocess.Popen(command, stderr=stderr)
        self.wait(lambda: "capturing" in self.said(), "that it captures")

    def said(self) -> str:
        return self._said.read_text()

    def wait(self, ready: Callable[[], object], what: str) -> None:
        deadline = time.monotonic() + 60
        while not ready():
            assert self.process.poll() is None, self.said()
            assert time.monotonic() < deadline, f"not in time: {what}; {self.said()}"
            time.sleep(0.1)

    def status(self, name: str) -> list[str]:
        """A field of every thread's status."""
        found = []
        for task in Path(f"/proc/{self.process.pid}/task").iterdir():
            with contextlib.suppress(FileNotFoundError):
                lines = (task / "status").read_text().splitlines()
                found.append(next(line.split()[1] for line in lines if line.startswith(name + ":")))
        return found


@contextlib.contextmanager
def _capture(config: Path, said: Path) -> Iterator[Capture]:
    running = Capture(config, said)
    try:
        yield running
    finally:
        running.process.kill()
        running.process.wait()


def _config(tmp_path: Path, servers: str, prefix: str, **more: str) -> Path:
    keys = tmp_path / "keys"
    keys.touch(mode=0o600)
    keys.write_text(f"k1 {base64.b64encode(SECRET).decode()}\n")
    config = tmp_path / "fleetcap.toml"
    values = {
        "bootstrap_servers": f'"{servers}"',
        "topic_prefix": f'"{prefix}"',
        "node_id": '"node"',
        "comms": '["curl"]',
        "exclude_uids": "[54321]",
        "spool": f'"{tmp_path / "spool"}"',
        "record_keys": f'"{keys}"',
        **more,
    }
    config.write_text("".join(f"{name} = {value}\n" for name, value in values.items()))
    return config


def _curl(peer: Server, path: str, uid: int | None = None) -> None:
    url = f"https://127.0.0.1:{peer.port}/100?{path}"
    subprocess.run(["curl", "-sk", url], check=True, stdout=subprocess.DEVNULL, timeout=20, user=uid)


def _raw(servers: str, topic: str) -> list[tuple[bytes, bytes]]:
    consumer = Consumer({"bootstrap.servers": servers, "group.id": topic, "log_level": 0})
    found: list[tuple[bytes, bytes]] = []
    for number in consumer.list_topics(topic, timeout=20).topics[topic].partitions:
        _, end = consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=20)
        consumer.assign([TopicPartition(topic, number, 0)])
        messages = consumer.consume(end, timeout=20) if end else []
        found += [(message.key() or b"", message.value() or b"") for message in messages]
    consumer.close()
    return found


def _payloads(servers: str, topic: str) -> bytes:
    keys = {"k1": SECRET}.get
    plain = [opened(key, value, keys) for key, value in _raw(servers, topic)]
    return b"".join(event.payload for value in plain for event in raw_pb2.RawBatch.FromString(value).events)


def test_a_capture_is_locked_encrypted_measured_and_reloaded(
    broker: EmbeddedBroker, make_topics: Callable[..., str], peer: Server, tmp_path: Path
) -> None:
    servers, prefix, port = broker.bootstrap_servers, make_topics(), _free_port()
    config = _config(tmp_path, servers, prefix, web_port=str(port))
    topic = f"{prefix}fleetcap.raw.v1"
    with _capture(config, tmp_path / "said") as running:
        most = sum(1 << one for one in ATTACHING)
        starting = most | 1 << 24
        permitted = [int(one, 16) for one in running.status("CapPrm")]
        assert permitted.count(0) >= 3, "the threads of the client have none"
        assert all(one & ~starting == 0 for one in permitted)
        assert int(Path(f"/proc/{running.process.pid}/status").read_text().partition("CapPrm:\t")[2][:16], 16) & ~most == 0
        assert set(running.status("Seccomp")) == {"2"}
        assert set(running.status("NoNewPrivs")) == {"1"}
        _curl(peer, "first")
        running.wait(lambda: b"?first" in _payloads(servers, topic), "the request")
        _curl(peer, "excluded", uid=54321)
        config.write_text(config.read_text().replace("[54321]", "[54322]") + 'log_level = "debug"\n')
        running.process.send_signal(signal.SIGHUP)
        running.wait(lambda: "SIGHUP" in running.said(), "the reload")
        assert "log_level will count from the next start on" in running.said()
        _curl(peer, "second", uid=54321)
        running.wait(lambda: b"?second" in _payloads(servers, topic), "the request behind the reload")
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            assert "fleetcap_captured_events_total" in answer.read().decode()
        config.write_text("comms = [\n")
        running.process.send_signal(signal.SIGHUP)
        running.wait(lambda: "goes on as before" in running.said(), "the refusal of a broken file")
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(60) == 0
    raw = _raw(servers, topic)
    assert all(is_sealed(value) for _, value in raw)
    assert not any(b"?first" in value or b"curl" in value for _, value in raw)
    assert b"?excluded" not in _payloads(servers, topic)
    assert any(key == b"node" for key, _ in raw), "how the node fares"


def test_a_frozen_capture_sees_what_uses_the_systems_libraries(
    broker: EmbeddedBroker, make_topics: Callable[..., str], peer: Server, tmp_path: Path
) -> None:
    servers, prefix = broker.bootstrap_servers, make_topics()
    config = _config(tmp_path, servers, prefix, harden='"freeze"')
    with _capture(config, tmp_path / "said") as running:
        main = Path(f"/proc/{running.process.pid}/status").read_text().partition("CapPrm:\t")[2][:16]
        assert int(main, 16) & ~sum(1 << one for one in READING) == 0
        _curl(peer, "frozen")
        running.wait(lambda: b"?frozen" in _payloads(servers, f"{prefix}fleetcap.raw.v1"), "the request")


def test_a_killed_producer_leaves_no_probe_in_a_running_process(
    broker: EmbeddedBroker, make_topics: Callable[..., str], peer: Server, tmp_path: Path
) -> None:
    text = Path(f"/proc/{peer.pid}/maps").read_text()
    path = next(line.split()[-1] for line in text.splitlines() if "libssl" in line and "x" in line.split()[1])
    lines = [line.split() for line in text.splitlines() if line.endswith(path) and "x" in line.split()[1]]
    regions = [(int(one[0].split("-")[0], 16), int(one[0].split("-")[1], 16)) for one in lines]

    def code() -> bytes:
        with open(f"/proc/{peer.pid}/mem", "rb", buffering=0) as memory:  # noqa: PTH123  unbuffered
            whole = b""
            for low, high in regions:
                memory.seek(low)
                whole += memory.read(high - low)
            return whole

    before = code()
    config = _config(tmp_path, broker.bootstrap_servers, make_topics())
    for _ in range(3):
        with _capture(config, tmp_path / "said") as running:
            running.wait(lambda: code() != before, "probes in the process")
            os.kill(running.process.pid, signal.SIGKILL)
            running.process.wait(30)
        deadline = time.monotonic() + 20
        while code() != before and time.monotonic() < deadline:
            time.sleep(0.1)
        assert code() == before, "the library's code is as it was"
    events = Path("/sys/kernel/tracing/uprobe_events")
    if events.exists():
        assert "fleetcap" not in events.read_text()
