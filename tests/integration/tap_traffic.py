"""The programs that the tap's tests watch: TLS servers and clients, run as processes of their own.

Each waits for a line on standard input, works, and prints JSON: what each of its connections carried, by length and SHA-256.
"""

import asyncio
import ctypes
import hashlib
import json
import os
import random
import socket
import ssl
import sys
import threading
from collections.abc import Callable

CHUNK = 65536


class Side:
    """Counts what one connection carried, as the program saw it."""

    def __init__(self, local_port: int, remote_port: int) -> None:
        self.ports = local_port, remote_port
        self.hashes = hashlib.sha256(), hashlib.sha256()
        self.lengths = [0, 0]

    def add(self, direction: int, data: bytes) -> bytes:
        self.hashes[direction].update(data)
        self.lengths[direction] += len(data)
        return data

    def report(self) -> dict[str, object]:
        return {
            "local_port": self.ports[0],
            "remote_port": self.ports[1],
            "received": [self.lengths[0], self.hashes[0].hexdigest()],
            "sent": [self.lengths[1], self.hashes[1].hexdigest()],
        }


class Plain:
    """A blocking TLS connection that counts."""

    def __init__(self, tls: ssl.SSLSocket) -> None:
        self.tls = tls
        self.side = Side(tls.getsockname()[1], tls.getpeername()[1])
        self.buffer = b""

    def send(self, data: bytes) -> None:
        self.side.add(1, data)
        self.tls.sendall(data)

    def receive(self) -> bytes:
        return self.side.add(0, self.tls.recv(CHUNK))

    def exactly(self, size: int) -> bytes:
        while len(self.buffer) < size:
            data = self.receive()
            if not data:
                raise EOFError
            self.buffer += data
        found, self.buffer = self.buffer[:size], self.buffer[size:]
        return found

    def line(self) -> bytes:
        while b"\n" not in self.buffer:
            data = self.receive()
            if not data:
                raise EOFError
            self.buffer += data
        found, _, self.buffer = self.buffer.partition(b"\n")
        return found


def payload(size: int) -> bytes:
    return random.Random(size).randbytes(size)


def client_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def connect(host: str, port: int) -> Plain:
    return Plain(client_context().wrap_socket(socket.create_connection((host, port))))


def serve(host: str, certificate: str) -> None:
    """Lines `get N` are answered by N bytes, lines `put N` and N bytes by `ok`, an HTTP GET by one response."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, 0), family=family, backlog=512)
    done: list[dict[str, object]] = []
    report({"port": listener.getsockname()[1], "pid": os.getpid()})

    def handle(raw: socket.socket) -> None:
        with raw, context.wrap_socket(raw, server_side=True) as tls:
            plain = Plain(tls)
            try:
                while answer(plain):
                    pass
            except (EOFError, OSError):
                pass
            done.append(plain.side.report())

    def accept() -> None:
        while True:
            threading.Thread(target=handle, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    sys.stdin.readline()
    report({"connections": done})


def answer(plain: Plain) -> bool:
    command, _, rest = plain.line().partition(b" ")
    if command == b"get":
        plain.send(payload(int(rest)))
    elif command == b"put":
        plain.exactly(int(rest))
        plain.send(b"ok")
    elif command == b"GET":
        while plain.line().strip():
            pass
        size = int(rest.split()[0].partition(b"?")[0].strip(b"/") or b"0")
        plain.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        plain.send(payload(size))
    else:
        return False
    return True


def get(plain: Plain, size: int) -> None:
    plain.send(b"get %d\n" % size)
    plain.exactly(size)


def keepalive(host: str, port: int, rounds: str = "5") -> list[Side]:
    plain = connect(host, port)
    for size in range(int(rounds)):
        get(plain, 100 * (size + 1))
    plain.tls.close()
    return [plain.side]


def download(host: str, port: int, size: str) -> list[Side]:
    plain = connect(host, port)
    get(plain, int(size))
    plain.tls.close()
    return [plain.side]


def upload(host: str, port: int, size: str) -> list[Side]:
    plain = connect(host, port)
    plain.send(b"put %d\n" % int(size))
    plain.send(payload(int(size)))
    plain.exactly(2)
    plain.tls.close()
    return [plain.side]


def many(host: str, port: int, count: str) -> list[Side]:
    sides = []
    for number in range(int(count)):
        plain = connect(host, port)
        get(plain, 10 + number)
        plain.tls.close()
        sides.append(plain.side)
    return sides


def threads(host: str, port: int, rounds: str) -> list[Side]:
    """Four threads take turns on one connection, as OpenSSL wants it: one call on an object at a time."""
    plain = connect(host, port)
    lock = threading.Lock()

    def ask() -> None:
        for _ in range(int(rounds)):
            with lock:
                get(plain, 3000)

    workers = [threading.Thread(target=ask) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    plain.tls.close()
    return [plain.side]


def fork(host: str, port: int) -> list[Side]:
    """The parent asks once, then its child goes on with the same connection."""
    plain = connect(host, port)
    get(plain, 50)
    child = os.fork()
    if not child:
        get(plain, 70)
        os._exit(0)
    os.waitpid(child, 0)
    plain.tls.close()
    sys.stderr.write(str(child))
    return [plain.side]


def memory(host: str, port: int, size: str) -> list[Side]:
    """asyncio does TLS in memory; the socket calls are elsewhere."""

    async def talk() -> Side:
        reader, writer = await asyncio.open_connection(host, port, ssl=client_context())
        side = Side(writer.get_extra_info("sockname")[1], port)
        writer.write(side.add(1, b"get %d\n" % int(size)))
        await writer.drain()
        side.add(0, await reader.readexactly(int(size)))
        writer.close()
        await writer.wait_closed()
        return side

    return [asyncio.run(talk())]


class Native:
    """One SSL object of libssl itself, for what Python's ssl module does not do."""

    def __init__(self, library: str) -> None:
        lib = self.lib = ctypes.CDLL(library)
        void, number, text, size = ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t
        for name in ("TLS_client_method", "SSL_CTX_new", "SSL_new"):
            getattr(lib, name).restype = void
        for name in ("SSL_CTX_new", "SSL_new", "SSL_connect", "SSL_free", "SSL_clear", "SSL_shutdown"):
            getattr(lib, name).argtypes = [void]
        for name in ("SSL_set_fd", "SSL_set_rfd", "SSL_set_wfd"):
            getattr(lib, name).argtypes = [void, number]
        for name in ("SSL_peek", "SSL_read", "SSL_write"):
            getattr(lib, name).argtypes = [void, text, number]
        for name in ("SSL_read_ex", "SSL_write_ex"):
            getattr(lib, name).argtypes = [void, text, size, ctypes.POINTER(size)]
        self.tls = lib.SSL_new(lib.SSL_CTX_new(lib.TLS_client_method()))
        self.buffer = ctypes.create_string_buffer(100)

    def connect(self, raw: socket.socket) -> Side:
        assert self.lib.SSL_set_fd(self.tls, raw.fileno()) == 1
        assert self.lib.SSL_connect(self.tls) == 1
        return Side(raw.getsockname()[1], raw.getpeername()[1])

    def write(self, side: Side, data: bytes) -> None:
        assert self.lib.SSL_write(self.tls, side.add(1, data), len(data)) == len(data)

    def read(self, side: Side, most: int) -> None:
        count = self.lib.SSL_read(self.tls, self.buffer, most)
        assert count > 0
        side.add(0, self.buffer.raw[:count])


def peek(host: str, port: int, library: str = "libssl.so.3") -> list[Side]:
    """SSL_peek looks at bytes that SSL_read and SSL_read_ex then take; a read of nothing fails."""
    native = Native(library)
    with socket.create_connection((host, port)) as raw:
        side = native.connect(raw)
        native.write(side, b"get 4")
        moved = ctypes.c_size_t()
        assert native.lib.SSL_write_ex(native.tls, side.add(1, b"0\n"), 2, ctypes.byref(moved)) == 1
        assert native.lib.SSL_peek(native.tls, native.buffer, 100) == 40
        native.read(side, 15)
        assert native.lib.SSL_read_ex(native.tls, native.buffer, 100, ctypes.byref(moved)) == 1
        side.add(0, native.buffer.raw[: moved.value])
        raw.setblocking(False)
        raw_error = native.lib.SSL_read(native.tls, native.buffer, 100)
        assert raw_error < 0
    native.lib.SSL_free(native.tls)
    return [side]


def reuse(host: str, port: int, library: str = "libssl.so.3") -> list[Side]:
    """One SSL object, taken from connection to connection by SSL_clear."""
    native, sides = Native(library), []
    for number in range(3):
        raw = socket.create_connection((host, port))
        side = native.connect(raw)
        native.write(side, b"get 40\n")
        native.read(side, 100)
        native.lib.SSL_shutdown(native.tls)
        raw.close()
        assert native.lib.SSL_clear(native.tls) == 1, number
        sides.append(side)
    return sides


def freed(host: str, port: int, library: str = "libssl.so.3") -> list[Side]:
    """SSL objects and sockets in turn, so that both allocators hand out the same addresses again."""
    sides = []
    for _ in range(20):
        sides += peek(host, port, library)
    return sides


def linger(host: str, port: int) -> list[Side]:
    """Connects before it waits, so that the connection is older than what it does with it."""
    plain = connect(host, port)
    # The session tickets of TLS 1.3 wait behind the handshake.
    report({"connected": True})
    sys.stdin.readline()
    get(plain, 30)
    plain.tls.close()
    return [plain.side]


def report(what: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


CLIENTS: dict[str, Callable[..., list[Side]]] = {
    function.__name__: function
    for function in (keepalive, download, upload, many, threads, fork, memory, peek, reuse, freed, linger)
}


def main() -> None:
    command, *arguments = sys.argv[1:]
    if command == "serve":
        serve(*arguments)
        return
    host, port, *rest = arguments
    if command != "linger":
        sys.stdin.readline()
    sides = CLIENTS[command](host, int(port), *rest)
    report({"connections": [side.report() for side in sides]})


if __name__ == "__main__":
    main()
