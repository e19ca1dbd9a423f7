"""The demo's Python clients, over `ssl` and `http.client`: each scenario logs every exchange that it made.

Run as `python -m fleetcap.demo.client SCENARIO HOST PORT CERTIFICATE [SIZE]`; prints lines of `truth.Exchange`.
It must not know fleetcap's pipeline, and takes from the standard library alone.
"""

import gzip
import http.client
import os
import socket
import ssl
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from fleetcap.demo.server import noise
from fleetcap.demo.truth import Address, Exchange, digest, log, own_comm

_PATIENCE_S: Final = 30.0
_THREADS = 3
_EACH = 3


@dataclass(frozen=True, slots=True)
class Call:
    """What a scenario needs to know. `size` is that of the body that it moves, in bytes."""

    scenario: str
    host: str
    port: int
    certificate: str
    size: int = 1000


class Client:
    """One connection, which stays open between exchanges, and the log of what crossed it."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._connection = http.client.HTTPSConnection(
            call.host, call.port, context=ssl.create_default_context(cafile=call.certificate), timeout=_PATIENCE_S
        )
        self._connection.connect()
        self._lock = threading.Lock()
        self._pid, self._comm = os.getpid(), own_comm()

    def exchange(self, method: str, target: str, body: bytes = b"") -> None:
        """Make one. Threads may share the connection: they take turns, since HTTP/1.1 has but one order."""
        with self._lock:
            self._connection.request(method, target, body=body or None)
            self._finish(method, target, body, self._connection.getresponse())

    def exchange_in_one_write(self, method: str, target: str, body: bytes) -> None:
        """Make one whose head and body are one call of SSL_write, whatever their size."""
        with self._lock:
            secure = self._socket()
            # With a timeout the socket does not block, and Python would call SSL_write again for every bit that fits.
            secure.settimeout(None)
            head = f"{method} {target} HTTP/1.1\r\nHost: {self._call.host}\r\nContent-Length: {len(body)}\r\n\r\n"
            secure.sendall(head.encode() + body)
            response = http.client.HTTPResponse(secure, method=method)
            response.begin()
            self._finish(method, target, body, response)

    def close(self) -> None:
        """Close it."""
        self._connection.close()

    def _finish(self, method: str, target: str, body: bytes, response: http.client.HTTPResponse) -> None:
        ends = self._socket()
        got = response.read()
        if response.getheader("Content-Encoding") == "gzip":
            got = gzip.decompress(got)
        log(
            Exchange(
                self._call.scenario, method, target, response.status, len(body), digest(body), len(got), digest(got),
                Address(*ends.getsockname()[:2]), Address(*ends.getpeername()[:2]), self._pid, self._comm,
            )
        )  # fmt: skip

    def _socket(self) -> socket.socket:
        if self._connection.sock is None:
            raise ConnectionError("the server closed the connection between two exchanges")
        return self._connection.sock


def keep_alive(client: Client, call: Call) -> None:
    """Several exchanges on one connection, of several kinds."""
    for method, target in (
        ("GET", "/hello"),
        ("GET", f"/bytes?size={call.size}"),
        ("HEAD", "/hello"),
        ("GET", "/missing"),
        ("GET", "/empty"),
    ):
        client.exchange(method, target)
    client.exchange("POST", "/notes", b'{"note": "five more to go"}')


def compressed(client: Client, call: Call) -> None:
    """A body with a content coding."""
    client.exchange("GET", f"/gzip?size={call.size}")


def chunked(client: Client, call: Call) -> None:
    """A body with a transfer coding, and a trailer."""
    client.exchange("GET", f"/chunked?size={call.size}")


def download(client: Client, call: Call) -> None:
    """A large response."""
    client.exchange("GET", f"/bytes?size={call.size}")


def upload(client: Client, call: Call) -> None:
    """A large request in one SSL_write."""
    client.exchange_in_one_write("POST", "/upload", noise(call.size))


def threads(client: Client, _: Call) -> None:
    """Several threads on one connection."""

    def work(name: int) -> None:
        for number in range(_EACH):
            client.exchange("GET", f"/hello?thread={name}&number={number}")

    workers = [threading.Thread(target=work, args=(name,), name=f"worker-{name}") for name in range(_THREADS)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


def hello(client: Client, _: Call) -> None:
    """The smallest one."""
    client.exchange("GET", "/hello")


SCENARIOS: Final[dict[str, Callable[[Client, Call], None]]] = {
    "keep-alive": keep_alive,
    "gzip": compressed,
    "chunked": chunked,
    "download": download,
    "upload": upload,
    "threads": threads,
    "ipv6": hello,
    "hello": hello,
}


def main() -> None:
    """Play one scenario."""
    scenario, host, port, certificate, *size = sys.argv[1:]
    call = Call(scenario, host, int(port), certificate, *(int(one) for one in size))
    client = Client(call)
    SCENARIOS[scenario](client, call)
    client.close()


if __name__ == "__main__":
    main()
