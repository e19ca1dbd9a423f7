"""The demo's own TLS server: HTTP/1.1 over Python's `ssl`, on both loopback addresses, until its standard input is closed.

Run as `python -m fleetcap.demo.server CERTIFICATE KEY`. It prints one line of JSON, its ports by address, when it listens.
It must not know fleetcap, and takes from the standard library alone.
"""

import contextlib
import gzip
import json
import socket
import socketserver
import ssl
import sys
import threading
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

ADDRESSES: Final = ("127.0.0.1", "::1")
CHUNK: Final = 16 * 1024
PIECE: Final = 256 * 1024
_TEXT: Final = b"The quick brown fox jumps over the lazy dog.\n"
_LARGEST: Final = 64 * 1024 * 1024
_PATIENCE_S: Final = 30.0


@cache
def noise(size: int) -> bytes:
    """The same bytes for the same size, of every value, hard to compress: a linear congruential generator's high bytes."""
    state = size or 1
    out = bytearray()
    for _ in range(min(size, 65_521)):  # a prime, so that repeats do not fall on chunk boundaries
        state = (state * 6364136223846793005 + 1442695040888963407) & (2**64 - 1)
        out.append(state >> 56)
    return (bytes(out) * (size // max(len(out), 1) + 1))[:size]


class Handler(BaseHTTPRequestHandler):
    """Answers by path; whatever is asked for is made on the spot."""

    protocol_version = "HTTP/1.1"
    timeout = _PATIENCE_S
    disable_nagle_algorithm = True  # head and body are two writes, and the second must not wait for an ACK of the first

    def do_GET(self) -> None:
        """Whatever the path says, of `size` bytes."""
        parts = urlsplit(self.path)
        size = min(int(parse_qs(parts.query).get("size", ["1000"])[0]), _LARGEST)
        match parts.path:
            case "/hello":
                self._answer(b"hello, world\n")
            case "/gzip":
                self._answer(gzip.compress(_TEXT * (size // len(_TEXT) + 1), mtime=0), ("Content-Encoding", "gzip"))
            case "/chunked":
                self._answer_chunked(noise(size))
            case "/bytes":
                self._answer(noise(size), ("Content-Type", "application/octet-stream"))
            case "/empty":
                self._answer(b"", status=204)
            case _:
                self._answer(b"there is nothing here\n", status=404)

    def do_HEAD(self) -> None:
        """The same, without its body."""
        self.do_GET()

    def do_POST(self) -> None:
        """Take a body in and say how large it was."""
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self._answer(json.dumps({"received": len(body)}).encode(), ("Content-Type", "application/json"), status=201)

    def _answer(self, body: bytes, *headers: tuple[str, str], status: int = 200) -> None:
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            # As servers that read files do it; a call of more than 1 MiB would be captured in part.
            for start in range(0, len(body), PIECE):
                self.wfile.write(body[start : start + PIECE])

    def _answer_chunked(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.send_header("Trailer", "X-Length")
        self.end_headers()
        for start in range(0, len(body), CHUNK):
            chunk = body[start : start + CHUNK]
            self.wfile.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
        self.wfile.write(b"0\r\nX-Length: %d\r\n\r\n" % len(body))

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Say nothing: the clients log."""


class Server(ThreadingHTTPServer):
    """One listener. The handshake is made in the connection's own thread, so a slow client holds nobody up."""

    daemon_threads = True

    def __init__(self, address: str, context: ssl.SSLContext) -> None:
        self.address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._context = context
        super().__init__((address, 0), Handler)

    def server_bind(self) -> None:
        """Not HTTPServer's own, which asks the resolver for our name and may wait for it."""
        socketserver.TCPServer.server_bind(self)

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Serve one connection, in its own thread."""
        request.settimeout(_PATIENCE_S)
        with self._context.wrap_socket(request, server_side=True) as secure:
            Handler(secure, client_address, self)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is its own business."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


def main() -> None:
    """Serve until the end of standard input."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*sys.argv[1:3])
    ports = {}
    for address in ADDRESSES:
        # A machine without IPv6 shows one scenario less.
        with contextlib.suppress(OSError):
            server = Server(address, context)
            ports[address] = server.server_address[1]
            threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdout.write(json.dumps(ports) + "\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    main()
