"""A TCP proxy on the loopback that writes down what goes through it, and how to start a server to stand behind it."""

import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from fleetcap_streams.protocols.contract import Direction
from tests.streams.protocols.tapping import CLIENT, SERVER

HOST = "127.0.0.1"
DEADLINE_S = 60


@dataclass
class Recorder:
    """What passed, for each connection in the order in which it did."""

    target: int
    connections: list[list[tuple[Direction, bytes]]] = field(default_factory=list)
    _threads: list[threading.Thread] = field(default_factory=list)
    _listener: socket.socket = field(init=False)

    def __post_init__(self) -> None:
        self._listener = socket.create_server((HOST, 0))
        self.port = self._listener.getsockname()[1]
        self._start(self._accept)

    def _start(self, work: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection((HOST, self.target))
            except OSError:  # it is gone already, and a client wants it back
                client.close()
                continue
            seen: list[tuple[Direction, bytes]] = []
            self.connections.append(seen)
            self._start(self._pump, client, server, CLIENT, seen)
            self._start(self._pump, server, client, SERVER, seen)

    def _pump(self, source: socket.socket, sink: socket.socket, way: Direction, seen: list[tuple[Direction, bytes]]) -> None:
        try:
            while data := source.recv(65536):
                seen.append((way, data))
                sink.sendall(data)
        except OSError:
            pass
        for end in (source, sink):
            with_shutdown(end)

    def close(self) -> None:
        with_shutdown(self._listener)
        self._listener.close()
        for thread in list(self._threads):
            thread.join(DEADLINE_S)


def with_shutdown(end: socket.socket) -> None:
    """End both ways of a socket that may have ended already."""
    try:
        end.shutdown(socket.SHUT_RDWR)
    except OSError:
        return


@contextmanager
def recording(target: int) -> Iterator[Recorder]:
    """A proxy before a port; its record is whole when the block is left."""
    recorder = Recorder(target)
    try:
        yield recorder
    finally:
        recorder.close()


def free_port() -> int:
    with socket.create_server((HOST, 0)) as probe:
        return int(probe.getsockname()[1])


@contextmanager
def serving(
    command: Sequence[str], port: int, user: str | None = None, environment: Mapping[str, str] | None = None
) -> Iterator[None]:
    """A server that is there while the block runs; `environment` is all that it gets, where it is given."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, user=user, env=environment)
    try:
        deadline = time.monotonic() + DEADLINE_S
        while not _answers(port):
            assert process.poll() is None, f"{command[0]} ended with {process.returncode}"
            assert time.monotonic() < deadline, f"{command[0]} does not answer"
            time.sleep(0.1)
        yield
    finally:
        process.terminate()
        try:
            process.wait(DEADLINE_S)
        except subprocess.TimeoutExpired:
            process.kill()


def _answers(port: int) -> bool:
    try:
        socket.create_connection((HOST, port), timeout=1).close()
    except OSError:
        return False
    return True
