"""Shipping while things break: a broker that dies or stays away, lost acknowledgements, refused logins and certificates."""

import contextlib
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fleetcap.broker import BrokerOptions, EmbeddedBroker
from fleetcap.topics import ensure, specs
from fleetcap_producer.shipping import QUEUE_FULL, Shipper, ShipperOptions, ShippingError
from tests.integration.numbered import numbers, read_all, record

pytestmark = [pytest.mark.kafka, pytest.mark.slow]


@dataclass(frozen=True)
class Own:
    """A broker of this module's own."""

    broker: EmbeddedBroker
    secure: str
    certificate: Path
    proxy: "Proxy"
    topic: str

    @property
    def options(self) -> dict[str, Any]:
        return {"bootstrap.servers": self.broker.bootstrap_servers}


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def _certificate(folder: Path) -> tuple[Path, Path]:
    """A self-signed certificate for 127.0.0.1, and one file with its key and itself, as Kafka wants it."""
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    both = folder / "both.pem"
    both.write_text(key.read_text() + certificate.read_text())
    return certificate, both


class Proxy:
    """Stands between clients and a listener of the broker. A cut lets requests through, swallows their answers and hangs up."""

    def __init__(self, upstream: int) -> None:
        self.upstream = upstream
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.server.getsockname()[1]
        self.cuts = 0
        self._cut = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        self._cut.set()

    def close(self) -> None:
        self.server.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self.server.accept()
            except OSError:
                return
            try:
                broker = socket.create_connection(("127.0.0.1", self.upstream))
            except OSError:
                client.close()
                continue
            threading.Thread(target=self._pump, args=(client, broker, False), daemon=True).start()
            threading.Thread(target=self._pump, args=(broker, client, True), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket, answers: bool) -> None:  # noqa: FBT001
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if answers and self._cut.is_set():
                    self._cut.clear()
                    self.cuts += 1
                    break
                target.sendall(data)
        for one in (source, target):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        source.close()


@pytest.fixture(scope="module")
def own_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[EmbeddedBroker, str, Path, Proxy]]:
    if not shutil.which("openssl"):
        pytest.skip("openssl makes the certificate")
    certificate, both = _certificate(tmp_path_factory.mktemp("tls"))
    plain, controller, secure, behind = _free_ports(4)
    proxy = Proxy(behind)
    module = "org.apache.kafka.common.security.plain.PlainLoginModule"
    bound = {"PLAINTEXT": plain, "CONTROLLER": controller, "SASL_SSL": secure, "LOSSY": behind}
    told = {"PLAINTEXT": plain, "SASL_SSL": secure, "LOSSY": proxy.port}
    properties = {
        "listeners": ",".join(f"{name}://127.0.0.1:{port}" for name, port in bound.items()),
        "advertised.listeners": ",".join(f"{name}://127.0.0.1:{port}" for name, port in told.items()),
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_SSL:SASL_SSL,LOSSY:PLAINTEXT",
        "controller.quorum.voters": f"1@127.0.0.1:{controller}",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(both),
        "sasl.enabled.mechanisms": "PLAIN",
        "listener.name.sasl_ssl.plain.sasl.jaas.config": f'{module} required user_node="letmein";',
    }
    with EmbeddedBroker(BrokerOptions(port=plain, heap_mb=256, properties=properties)) as broker:
        yield broker, f"127.0.0.1:{secure}", certificate, proxy
    proxy.close()


@pytest.fixture
def own(own_broker: tuple[EmbeddedBroker, str, Path, Proxy], topic_prefix: str) -> Own:
    broker, secure, certificate, proxy = own_broker
    broker.start()
    ensure({"bootstrap.servers": broker.bootstrap_servers}, specs(topic_prefix, 3)[:1])
    return Own(broker, secure, certificate, proxy, f"{topic_prefix}fleetcap.raw.v1")


def test_records_whose_acknowledgement_was_lost_are_sent_again_and_written_once_in_order(own: Own) -> None:
    shipper = Shipper({"bootstrap.servers": f"127.0.0.1:{own.proxy.port}"}, ShipperOptions(topic=own.topic))
    before, total = own.proxy.cuts, 3000
    for n in range(total):
        shipper.send(record(f"c{n % 5}", [n], 200), 1.0)
        if n % 300 == 150:
            own.proxy.cut()
        if n % 30 == 0:
            time.sleep(0.01)  # so that records go out in many requests, several of them on their way at a cut
    shipper.close(60.0)
    assert own.proxy.cuts - before >= 3
    assert shipper.losses() == {}
    found = numbers(read_all(own.options, own.topic, total))
    assert found == {f"c{c}": list(range(c, total, 5)) for c in range(5)}


@pytest.mark.parametrize("how", ["kill", "stop"])
def test_a_broker_that_restarts_in_mid_traffic_costs_nothing_and_doubles_nothing(own: Own, how: str) -> None:
    shipper = Shipper(own.options, ShipperOptions(topic=own.topic))
    total = 4000
    for n in range(total):
        if n == total // 2:
            getattr(own.broker, how)()
        if n == total * 3 // 4:
            own.broker.start()
        shipper.send(record(f"c{n % 5}", [n], 200), 1.0)
        if n % 100 == 0:
            shipper.poll()
            time.sleep(0.005)  # so that some are written, some on their way and some not yet sent when it goes
    shipper.close(60.0)
    assert shipper.losses() == {}
    found = numbers(read_all(own.options, own.topic, total))
    assert found == {f"c{c}": list(range(c, total, 5)) for c in range(5)}


def test_while_kafka_is_away_memory_is_bounded_and_the_oldest_are_kept(own: Own) -> None:
    shipper = Shipper(own.options, ShipperOptions(topic=own.topic, queue_bytes=100_000))
    own.broker.kill()
    sent = 60
    for n in range(sent):
        shipper.send(record("one", [2 * n, 2 * n + 1], 2000), wait_s=0.0)
    kept = shipper.records
    assert 0 < kept < sent
    assert shipper.losses() == {QUEUE_FULL: 2 * (sent - kept)}
    assert shipper.bytes <= 100_000 + len(record("one", [0, 1], 2000).value)
    own.broker.start()
    shipper.close(60.0)
    assert shipper.losses() == {QUEUE_FULL: 2 * (sent - kept)}
    assert numbers(read_all(own.options, own.topic, kept)) == {"one": list(range(2 * kept))}


def test_what_cannot_be_shipped_before_the_end_is_counted(own: Own) -> None:
    shipper = Shipper(own.options, ShipperOptions(topic=own.topic))
    own.broker.kill()
    for n in range(10):
        shipper.send(record("one", [n] * 3), 0.0)
    shipper.close(0.3)
    assert sum(shipper.losses().values()) == 30
    assert set(shipper.losses()) <= {"not sent before the end", "sent but unanswered at the end"}
    assert shipper.queued == 0


CAPTURE = """
import sys, time
from fleetcap_producer.captured import Captured
from fleetcap_producer.capture import run_capture, stopped_by_signals
from fleetcap_producer.packing import Packer
from fleetcap_producer.shipping import Shipper, ShipperOptions
from fleetcap_proto.v1 import common_pb2

class Tap:
    stopped = False
    def start(self): print("started", flush=True)
    def stop(self): self.stopped = True; print("stopped", flush=True)
    def losses(self): return {}
    def drain(self, timeout_s):
        if self.stopped: return []
        time.sleep(0.01)
        return [Captured(common_pb2.Connection(uuid="one"), 1, 1, payload=b"x")]

shipper = Shipper({"bootstrap.servers": sys.argv[1]}, ShipperOptions(topic=sys.argv[2]))
with stopped_by_signals() as stop:
    run_capture(Tap(), Packer("node", "boot"), shipper, stop)
"""


def test_a_second_signal_ends_a_capture_at_once_that_waits_for_a_dead_kafka(own: Own) -> None:
    command = [sys.executable, "-c", CAPTURE, own.broker.bootstrap_servers, own.topic]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "started\n"
        own.broker.kill()
        process.terminate()
        assert process.stdout.readline() == "stopped\n"
        with pytest.raises(subprocess.TimeoutExpired):  # it has half a minute to bring out what it has
            process.wait(1.0)
        process.terminate()
        _, said = process.communicate(timeout=10)
    assert process.returncode == 143
    assert "ended at once" in said
    assert "Traceback" not in said


def _secure(own: Own, **more: str) -> dict[str, Any]:
    return {
        "bootstrap.servers": own.secure,
        "security.protocol": "SASL_SSL",
        "ssl.ca.location": str(own.certificate),
        "sasl.mechanism": "PLAIN",
        "sasl.username": "node",
        "sasl.password": "letmein",
        **more,
    }


def test_tls_with_sasl_works_by_options_alone(own: Own) -> None:
    shipper = Shipper(_secure(own), ShipperOptions(topic=own.topic))
    shipper.send(record("one", [1, 2]), 1.0)
    shipper.close(20.0)
    assert shipper.losses() == {}
    assert numbers(read_all(own.options, own.topic, 1)) == {"one": [1, 2]}
    assert ensure(_secure(own), specs(own.topic.removesuffix("fleetcap.raw.v1"), 3)[:1]).differences == ()


@pytest.mark.parametrize(
    ("change", "said"),
    [({"sasl.password": "wrong-secret"}, "uthentication"), ({"ssl.ca.location": "/etc/ssl/certs/ca-certificates.crt"}, "SSL")],
)
def test_a_refused_login_or_certificate_is_one_line_with_the_cause(own: Own, change: dict[str, str], said: str) -> None:
    with pytest.raises(ShippingError) as caught:
        Shipper(_secure(own, **change), ShipperOptions(topic=own.topic, start_timeout_s=3.0))
    text = str(caught.value)
    assert said in text
    assert "wrong-secret" not in text
    assert "\n" not in text
