"""HTTP/2 decoding on one core: the whole parser beside hyperframe and one `hpack.Decoder` call per header block.

Both read the same bytes, which the `h2` library made: small exchanges as browsers, API clients and gRPC have them. What the
libraries give is frames and header lists only; the parser gives whole messages, with bodies, hashes and exchanges.

    python bench/http2.py [--exchanges N] [--rounds N]
"""

import argparse
import math
import random
import time
from collections.abc import Callable
from typing import NamedTuple, cast

from h2.config import H2Configuration
from h2.connection import H2Connection
from hpack import Decoder
from hyperframe.frame import ContinuationFrame, Frame, HeadersFrame

from fleetcap_streams.protocols.contract import Direction, Limits
from fleetcap_streams.protocols.http2.frames import FrameType
from fleetcap_streams.protocols.http2.hpack import Decoder as HeaderDecoder
from fleetcap_streams.protocols.http2.parser import Http2Parser
from fleetcap_streams.protocols.http2.reader import FrameReader, Sink, Times

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
Chunks = list[tuple[Direction, bytes]]
Headers = list[tuple[str, str]]


class Exchange(NamedTuple):
    """One request and its response."""

    request: Headers
    request_body: bytes
    response: Headers
    response_body: bytes
    trailers: Headers


def repeated(_number: int, _rng: random.Random) -> Exchange:
    """The same again and again, as a load generator sends it."""
    request = [(":method", "GET"), (":scheme", "https"), (":authority", "shop.example.test"), (":path", "/health")]
    response = [(":status", "200"), ("content-type", "text/plain"), ("content-length", "2")]
    return Exchange([*request, ("user-agent", "load/1.0"), ("accept", "*/*")], b"", response, b"ok", [])


def api(number: int, rng: random.Random) -> Exchange:
    """An API client: other paths and identifiers in every request, a date that changes now and then."""
    request = [
        (":method", "GET"),
        (":scheme", "https"),
        (":authority", "api.example.test"),
        (":path", f"/v1/users/{rng.randrange(100_000)}?fields=name,mail"),
        ("user-agent", "python-httpx/0.27"),
        ("accept", "application/json"),
        ("authorization", "Bearer 0123456789abcdef0123456789abcdef"),
        ("x-request-id", f"{rng.getrandbits(128):032x}"),
    ]
    body = b'{"name": "somebody", "mail": "somebody@example.test", "id": %d}' % number
    response = [
        (":status", "200"),
        ("date", f"Mon, 01 Jan 2024 00:{number // 6000:02}:{number // 100 % 60:02} GMT"),
        ("content-type", "application/json"),
        ("content-length", str(len(body))),
        ("server", "envoy"),
        ("x-envoy-upstream-service-time", str(rng.randrange(30))),
    ]
    return Exchange(request, b"", response, body, [])


def unary(number: int, rng: random.Random) -> Exchange:
    """A gRPC call."""
    request = [
        (":method", "POST"),
        (":scheme", "http"),
        (":authority", "cart:7070"),
        (":path", rng.choice(["/shop.Cart/Get", "/shop.Cart/Add", "/shop.Catalog/List"])),
        ("content-type", "application/grpc"),
        ("user-agent", "grpc-go/1.60.0"),
        ("te", "trailers"),
        ("grpc-timeout", f"{rng.randrange(900_000, 999_999)}u"),
    ]
    message = b"\0" + (8).to_bytes(4) + number.to_bytes(8)
    response = [(":status", "200"), ("content-type", "application/grpc")]
    return Exchange(request, message, response, message, [("grpc-status", "0"), ("grpc-message", "")])


def talk(make: Callable[[int, random.Random], Exchange], count: int) -> Chunks:
    """What both peers send, a chunk for each write."""
    rng = random.Random(1)  # noqa: S311 - the same traffic in every run
    client, server = H2Connection(H2Configuration(client_side=True)), H2Connection(H2Configuration(client_side=False))
    client.initiate_connection()
    server.initiate_connection()
    chunks: Chunks = []

    def carry() -> None:
        for _ in range(2):
            for side, other, direction in ((client, server, Direction.SENT), (server, client, Direction.RECEIVED)):
                if data := side.data_to_send():
                    chunks.append((direction, data))
                    for event in other.receive_data(data):
                        size = getattr(event, "flow_controlled_length", 0)
                        if size:
                            other.acknowledge_received_data(size, getattr(event, "stream_id", 0))

    carry()
    for number in range(count):
        said = make(number, rng)
        stream = client.get_next_available_stream_id()
        client.send_headers(stream, said.request, end_stream=not said.request_body)
        if said.request_body:
            client.send_data(stream, said.request_body, end_stream=True)
        carry()
        server.send_headers(stream, said.response)
        server.send_data(stream, said.response_body, end_stream=not said.trailers)
        if said.trailers:
            server.send_headers(stream, said.trailers, end_stream=True)
        carry()
    return chunks


def with_libraries(chunks: Chunks) -> int:
    """Frames by hyperframe, header blocks by hpack; how many blocks there were."""
    decoders = {direction: Decoder() for direction in Direction}
    blocks = 0
    for direction, chunk in chunks:
        pos = len(PREFACE) if chunk.startswith(PREFACE) else 0
        view = memoryview(chunk)
        while pos < len(view):
            frame, length = Frame.parse_frame_header(view[pos : pos + 9])
            frame.parse_body(view[pos + 9 : pos + 9 + length])
            pos += 9 + length
            if isinstance(frame, HeadersFrame | ContinuationFrame):
                decoders[direction].decode(frame.data)
                blocks += 1
    return blocks


class _HeadersOnly:
    """A reader's sink that does with a frame what the libraries do, and no more."""

    def __init__(self) -> None:
        self.decoder = HeaderDecoder(64 * 1024, 1000, 256 * 1024)
        self.blocks = 0

    def frame(self, kind: int, _flags: int, _stream: int, payload: bytes, _times: Times) -> None:
        if kind in (FrameType.HEADERS, FrameType.CONTINUATION):
            self.decoder.decode(payload)
            self.blocks += 1

    def __getattr__(self, _name: str) -> Callable[..., None]:
        return _nothing


def _nothing(*_: object, **__: object) -> None:
    pass


def with_fleetcap_headers(chunks: Chunks) -> int:
    """Frames and header blocks only, like for like with the libraries."""
    sinks = {direction: _HeadersOnly() for direction in Direction}
    readers = {direction: FrameReader(cast("Sink", sink), 256 * 1024) for direction, sink in sinks.items()}
    for direction, chunk in chunks:
        readers[direction].feed(chunk, 1)
    return sum(sink.blocks for sink in sinks.values())


def with_fleetcap(chunks: Chunks) -> int:
    """Messages by the parser; how many there were."""
    parser = Http2Parser(Limits())
    return sum(len(parser.receive(direction, chunk, 1)) for direction, chunk in chunks)


def fastest(runs: list[Callable[[Chunks], int]], chunks: Chunks, rounds: int) -> list[float]:
    """Processor seconds of each one's fastest round; they take turns, so that a drift of the machine meets them alike."""
    best = [math.inf] * len(runs)
    for _ in range(rounds):
        for place, run in enumerate(runs):
            start = time.process_time()
            run(chunks)
            best[place] = min(best[place], time.process_time() - start)
    return best


def main() -> None:
    """Print a line for each kind of traffic."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--exchanges", type=int, default=2000)
    arguments.add_argument("--rounds", type=int, default=5)
    options = arguments.parse_args()
    print("µs an exchange, and times as fast as the libraries: frames and header lists only, and whole messages")
    print(f"{'traffic':10} {'libraries':>9} {'headers':>16} {'messages':>16} {'exchanges/s':>12} {'MB/s':>7}")
    for make in (repeated, api, unary):
        chunks = talk(make, options.exchanges)
        theirs, headers, ours = fastest([with_libraries, with_fleetcap_headers, with_fleetcap], chunks, options.rounds)
        size = sum(len(chunk) for _, chunk in chunks)
        per = 1e6 / options.exchanges
        print(
            f"{make.__name__:10} {theirs * per:9.1f} {headers * per:7.1f} ({theirs / headers:4.1f} x)"
            f" {ours * per:7.1f} ({theirs / ours:4.1f} x) {options.exchanges / ours:12.0f} {size / ours / 1e6:7.1f}"
        )


if __name__ == "__main__":
    main()
