"""fleetcap itself, as the demo runs it: an embedded broker, and the commands that a user would call, each in its own process.

It must not know the traffic.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from fleetcap.broker import BrokerOptions, EmbeddedBroker
from fleetcap.demo import processes
from fleetcap.demo.errors import DemoError
from fleetcap.topics import ensure, specs

_ATTACH_S = 90.0  # compiling the probes takes most of it, on a busy machine longer
# Fewer than fleetcap's own number: one worker on a small machine, and a first screen that comes soon.
_PARTITIONS = 4
_COLUMNS = 120  # of the table, where no terminal says it


class Stage:
    """What runs; a context manager that ends all of it, in reverse order."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._stack = ExitStack()
        self._running: dict[str, subprocess.Popen[str]] = {}
        self._servers = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def bootstrap_servers(self) -> str:
        """Where Kafka is, once `start_broker` has been called."""
        return self._servers

    def start_broker(self) -> str:
        """Start Kafka, create the topics, and return its address.

        Raises:
            BrokerError, TopicsError: it cannot be had.
        """
        data = self.folder / "kafka"
        data.mkdir(mode=0o700)
        broker = self._stack.enter_context(EmbeddedBroker(BrokerOptions(data=data)))
        self._servers = broker.bootstrap_servers
        ensure({"bootstrap.servers": self._servers}, specs(partitions=_PARTITIONS, replication=1))
        return self._servers

    def start_worker(self) -> None:
        """Start `fleetcap worker`."""
        self._start("worker", "--group", "fleetcap-demo")

    def start_capture(self, ports: Sequence[int]) -> None:
        """Start `fleetcap capture` for connections with one of these ports, and wait until its probes are attached.

        Raises:
            DemoError: it ended instead.
        """
        self._start("capture", *(part for port in ports for part in ("--port", str(port))))
        deadline = time.monotonic() + _ATTACH_S
        while "capturing" not in self.log("capture").read_text(errors="replace"):
            self.check()
            if time.monotonic() > deadline:
                raise DemoError(f"`fleetcap capture` did not attach within {_ATTACH_S:g} s; see {self.log('capture')}")
            time.sleep(0.05)

    def stop_capture(self) -> str:
        """End it, which brings out everything it holds; returns the last line it said, its summary."""
        processes.stop(self._running.pop("capture"))
        return processes.last_line(self.log("capture"))

    def start_tail(self) -> None:
        """Start `fleetcap tail`, with its table on our own standard output."""
        out = sys.stdout
        wide = {} if out.isatty() else {"COLUMNS": str(_COLUMNS)}
        self._start("tail", "--from", "beginning", "--format", "table", output=out.fileno(), more=wide)

    def stop_tail(self) -> None:
        """End it."""
        processes.stop(self._running.pop("tail"), patience_s=5)

    def run(self, *arguments: str) -> None:
        """Run a command of fleetcap to its end.

        Raises:
            DemoError: it failed.
        """
        done = self._run(*arguments)
        if done.returncode:
            complaint = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
            raise DemoError(f"`fleetcap {' '.join(arguments)}` failed: {complaint}")

    def can_capture(self) -> tuple[bool, str]:
        """What `fleetcap doctor` says; where not, why not."""
        if os.geteuid() != 0:
            return False, "this is not root, and only root may load eBPF programs"
        done = self._run("doctor")
        faults = [line.removeprefix("no").strip() for line in done.stdout.splitlines() if line.startswith("no ")]
        why = faults[0] if faults else (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        return done.returncode == 0, why

    def check(self) -> None:
        """See that everything that was started still runs.

        Raises:
            DemoError: something ended by itself.
        """
        for name, process in self._running.items():
            if process.poll() is not None:
                log = self.log(name)
                raise DemoError(f"`fleetcap {name}` ended by itself (exit code {process.returncode}): {processes.last_line(log)}")

    def log(self, name: str) -> Path:
        """Where a command's complaints go."""
        return self.folder / f"{name}.log"

    def _start(self, name: str, *arguments: str, output: int | None = None, more: Mapping[str, str] | None = None) -> None:
        environment = self._environment() | dict(more or {})
        process = processes.start(self._command(name, *arguments), self.log(name), output=output, environment=environment)
        self._running[name] = process
        self._stack.callback(processes.stop, process)

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = self._command(*arguments)
        return subprocess.run(
            command, check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=self._environment()
        )

    def _command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "fleetcap", *arguments]

    def _environment(self) -> dict[str, str]:
        # Whatever the user has set for a fleet must not reach the demo.
        nothing = self.folder / "fleetcap.toml"
        nothing.touch()
        others = {name: value for name, value in os.environ.items() if not name.startswith("FLEETCAP_")}
        return others | {"FLEETCAP_CONFIG": str(nothing), "FLEETCAP_BOOTSTRAP_SERVERS": self._servers or "127.0.0.1:9"}


def wait_until(condition: Callable[[], bool], timeout_s: float, alive: Callable[[], None]) -> bool:
    """Wait until `condition` holds; False where it did not in time. `alive` raises where waiting is of no use."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        alive()
        time.sleep(0.1)
    return True
