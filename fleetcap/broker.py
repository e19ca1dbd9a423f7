"""The embedded broker: real Apache Kafka, one node in KRaft mode, for the demo, for tests and for trying things out.

It owns formatting the storage, starting, killing and stopping the Java process; its jars come from `fleetcap.kafka.jars`. It
must not know topics. One node holds one copy of everything; `properties` make it a node of a cluster, as tests want it.
"""

import atexit
import hashlib
import os
import random
import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from fleetcap.kafka.errors import BrokerError
from fleetcap.kafka.jars import RESOURCES, ensure_jars

JAVA_FLOOR: Final = 17  # Kafka 4's brokers need it (KIP-1013)
HOST: Final = "127.0.0.1"
NODE_ID: Final = 1

_INSTALL_JAVA = "install one (apt-get install default-jre-headless) or use --bootstrap-servers with a broker of your own"
# A port that is also handed out for outgoing connections may be taken while the broker restarts, even by a client that
# connects to the very port and so to itself. Hence fixed ports come from below the kernel's usual range of those.
_PORTS = range(20_000, 32_000)


@dataclass(frozen=True, slots=True)
class BrokerOptions:
    """How to run the broker. `data` None: a temporary folder, removed at the end; `port` 0: a free one.

    `properties` are broker properties that are added to ours, or replace them. `cluster` is the id that the nodes of a cluster
    share, 22 characters of base64; empty: a new one.
    """

    data: Path | None = None
    port: int = 0
    heap_mb: int = 512
    start_timeout_s: float = 60.0
    properties: Mapping[str, str] = field(default_factory=dict)
    cluster: str = ""


class EmbeddedBroker:
    """One broker process; a context manager that starts it, waits until it answers, and stops it.

        start ──▶ running ──stop / kill──▶ down ──start──▶ running, same data and port ──close──▶ gone

    The process is killed when the thread that started it ends, however that happens.
    """

    def __init__(self, options: BrokerOptions | None = None) -> None:
        self._options = options or BrokerOptions()
        self._process: subprocess.Popen[bytes] | None = None
        self._temporary: Path | None = None
        self._data: Path | None = self._options.data
        self._port = self._options.port
        self._controller_port = 0
        self._java = ""

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    @property
    def port(self) -> int:
        """The client port; stays the same across restarts."""
        return self._port

    @property
    def bootstrap_servers(self) -> str:
        """What clients connect to."""
        return f"{HOST}:{self._port}"

    @property
    def data(self) -> Path:
        """Folder of the storage and of the broker's own log."""
        if self._data is None:
            raise BrokerError("the broker was never started, so it has no data folder yet")
        return self._data

    @property
    def log_file(self) -> Path:
        """What the broker says about itself; appended to by every start."""
        return self.data / "broker.log"

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        return self._process.pid if self.running() and self._process else None

    def running(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start and wait until clients are served. Does nothing where it already runs.

        Raises:
            BrokerError: no Java, no Maven (first start only), port taken, or died or silent during start.
        """
        if not self.running():
            self.launch()
            self.await_ready()

    def launch(self) -> None:
        """Start without waiting: a node of a cluster serves nobody before most of the others are there.

        Raises:
            BrokerError: no Java, no Maven (first start only), or port taken.
        """
        self._java = _find_java()
        jars = ensure_jars()
        self._prepare_data()
        self._choose_ports()
        configuration = self._write_configuration()
        self._format(jars, configuration)
        self._launch(jars, configuration)

    def stop(self, patience_s: float = 20.0) -> None:
        """Stop in order, and by force where that takes longer than `patience_s` seconds."""
        process = self._process
        if process is None:
            return
        process.terminate()
        try:
            process.wait(patience_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self._process = None

    def kill(self) -> None:
        """End it at once, as a crash would; `start` brings it back with the same data on the same port."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def restart(self) -> None:
        """Stop in order and start again, same data, same port."""
        self.stop()
        self.start()

    def close(self) -> None:
        """Stop, and remove the data folder where it is a temporary one."""
        try:
            self.stop()
        finally:
            if self._temporary is not None:
                shutil.rmtree(self._temporary, ignore_errors=True)
                self._temporary = self._data = None
            atexit.unregister(self.close)

    def wait(self) -> int:
        """Wait until the process ends by itself and return its exit code."""
        return self._process.wait() if self._process is not None else 0

    def _prepare_data(self) -> None:
        atexit.register(self.close)
        if self._data is None:
            self._temporary = self._data = Path(tempfile.mkdtemp(prefix="fleetcap-kafka-"))
        try:
            (self._data / "log").mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BrokerError(
                f"cannot make the broker's data folder {self._data}: {error.strerror}; give one you may write to"
            ) from error

    def _choose_ports(self) -> None:
        if self._port == 0:
            (self._port,) = free_ports(1)
        elif not _is_free(self._port):
            raise BrokerError(
                f"port {self._port} on {HOST} is taken; end what listens there, or give another port (0 finds a free one)"
            )
        if self._controller_port == 0 or not _is_free(self._controller_port):
            (self._controller_port,) = free_ports(1, other_than=self._port)

    def _write_configuration(self) -> Path:
        (self.data / "log4j2.properties").write_bytes((RESOURCES / "log4j2.properties").read_bytes())
        path = self.data / "server.properties"
        values = _properties(self.data, self._port, self._controller_port) | dict(self._options.properties)
        path.write_text("".join(f"{name}={value}\n" for name, value in values.items()))
        return path

    def _format(self, jars: Path, configuration: Path) -> None:
        if (self.data / "log" / "meta.properties").exists():
            return
        cluster = self._options.cluster or hashlib.sha256(os.urandom(16)).hexdigest()[:22]
        tool = ["kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(configuration)]
        done = subprocess.run(self._command(jars, *tool), check=False, capture_output=True)
        self.log_file.write_bytes(done.stdout + done.stderr)
        if done.returncode:
            raise BrokerError(
                f"cannot format {self.data} for Kafka: {_last_line(self.log_file)}; use another folder or remove this one"
            )

    def _launch(self, jars: Path, configuration: Path) -> None:
        command = self._command(jars, "kafka.Kafka", str(configuration))
        # Its own session, so that a Ctrl-C at the terminal reaches us alone and the broker is the last to stop.
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )

    def _command(self, jars: Path, *arguments: str) -> list[str]:
        # The parent-death signal survives even our SIGKILL; where setpriv is missing, atexit is left.
        guard = ["setpriv", "--pdeathsig", "KILL", "--"] if shutil.which("setpriv") else []
        heap = f"-Xmx{self._options.heap_mb}m"
        logging = f"-Dlog4j2.configurationFile={self.data / 'log4j2.properties'}"
        # One compiler tier and the serial collector start fastest and leave most of a small machine to others.
        return [*guard, self._java, heap, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", logging, "-cp", f"{jars}/*", *arguments]

    def await_ready(self) -> None:
        """Wait until clients are served.

        Raises:
            BrokerError: it died, or stayed silent for too long.
        """
        deadline = time.monotonic() + self._options.start_timeout_s
        while time.monotonic() < deadline:
            if not self.running():
                code, self._process = self.wait(), None
                raise BrokerError(
                    f"the broker died while starting (exit code {code}): {_last_line(self.log_file)}; see {self.log_file}"
                )
            if _answers(self._port):
                return
            time.sleep(0.1)
        self.kill()
        raise BrokerError(
            f"the broker did not answer on {self.bootstrap_servers} within {self._options.start_timeout_s:g} s: "
            f"{_last_line(self.log_file)}; see {self.log_file}, or give it more time"
        )


def _find_java() -> str:
    home = os.environ.get("JAVA_HOME")
    java = shutil.which("java", path=f"{home}/bin") if home else None
    java = java or shutil.which("java")
    if java is None:
        raise BrokerError(f"Kafka needs Java {JAVA_FLOOR} or newer and `java` is not on PATH; {_INSTALL_JAVA}")
    said = subprocess.run([java, "-version"], check=False, capture_output=True, text=True).stderr
    found = re.search(r'version "(?:1\.)?(\d+)', said)
    if found is None or int(found[1]) < JAVA_FLOOR:
        version = found[1] if found else "of unknown version"
        raise BrokerError(f"Kafka needs Java {JAVA_FLOOR} or newer and {java} is {version}; {_INSTALL_JAVA}")
    return java


def _properties(data: Path, port: int, controller_port: int) -> dict[str, str]:
    """One node with both roles; whatever is normally kept in three copies is kept in one."""
    return {
        "process.roles": "broker,controller",
        "node.id": str(NODE_ID),
        "controller.quorum.voters": f"{NODE_ID}@{HOST}:{controller_port}",
        "controller.listener.names": "CONTROLLER",
        "listeners": f"PLAINTEXT://{HOST}:{port},CONTROLLER://{HOST}:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://{HOST}:{port}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SSL:SSL,SASL_SSL:SASL_SSL",
        "log.dirs": str(data / "log"),
        "auto.create.topics.enable": "false",
        "default.replication.factor": "1",
        "min.insync.replicas": "1",
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": "4",  # fifty of each, the default, are most of a first consumer's wait
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "transaction.state.log.num.partitions": "4",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        "group.initial.rebalance.delay.ms": "0",
        # A broker that was killed is let in again only when its old session has run out, 9 s by default.
        "broker.session.timeout.ms": "3000",
        "broker.heartbeat.interval.ms": "500",
    }


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As the JVM does; otherwise connections of an earlier run that linger in TIME_WAIT look like a listener.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def free_ports(count: int, other_than: int = 0) -> list[int]:
    """Ports on loopback that nobody listens on and that are not handed out for outgoing connections.

    Raises:
        BrokerError: there are not so many.
    """
    found: list[int] = []
    for port in random.SystemRandom().sample(_PORTS, k=200):
        if port != other_than and _is_free(port):
            found.append(port)
            if len(found) == count:
                return found
    raise BrokerError(f"no free port on {HOST} between {_PORTS.start} and {_PORTS.stop}; give one")


def _answers(port: int) -> bool:
    # A plain connection first: the client library would go on trying, and logging, in the background.
    try:
        socket.create_connection((HOST, port), timeout=1).close()
    except OSError:
        return False
    client = AdminClient({"bootstrap.servers": f"{HOST}:{port}", "log_level": 0})
    try:
        return bool(client.list_topics(timeout=2).brokers)
    except KafkaException:
        return False


def _last_line(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    # A stack trace's last line says least; the last log line or exception above it says most.
    telling = [line for line in lines if not line.startswith(("at ", "..."))]
    return telling[-1][:300] if telling else "it said nothing"
