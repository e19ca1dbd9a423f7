"""Conversations that the `h2` library makes, with what was said in them: the truth that a tap's messages are held against."""

import random
from dataclasses import dataclass, field

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.settings import SettingCodes

from fleetcap_streams.protocols.contract import Chunk, Direction, End, Gap, Message, Parser

Headers = list[tuple[str, str]]
CLIENT, SERVER = Direction.SENT, Direction.RECEIVED


@dataclass
class Said:
    """One message as its sender knows it."""

    stream: int
    direction: Direction
    headers: Headers
    body: bytes = b""
    trailers: Headers = field(default_factory=list)


@dataclass
class Conversation:
    """Bytes in the order in which they were sent, and what they say."""

    client: H2Connection = field(default_factory=lambda: H2Connection(H2Configuration(client_side=True, header_encoding="utf-8")))
    server: H2Connection = field(
        default_factory=lambda: H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
    )
    sent: list[tuple[Direction, bytes]] = field(default_factory=list)
    said: list[Said] = field(default_factory=list)

    def begin(self) -> "Conversation":
        self.client.initiate_connection()
        self.server.initiate_connection()
        self.flush()
        return self

    def flush(self) -> None:
        """Carry what both have to say until neither has anything more."""
        moved = True
        while moved:
            moved = False
            for side, other, direction in ((self.client, self.server, CLIENT), (self.server, self.client, SERVER)):
                data = side.data_to_send()
                if data:
                    moved = True
                    self.sent.append((direction, data))
                    other.receive_data(data)

    def request(self, headers: Headers, body: bytes = b"", trailers: Headers | None = None, pieces: int = 1) -> int:
        stream = self.client.get_next_available_stream_id()
        self._say(self.client, CLIENT, stream, headers, body, trailers or [], pieces)
        return stream

    def respond(
        self, stream: int, headers: Headers, body: bytes = b"", trailers: Headers | None = None, pieces: int = 1, padding: int = 0
    ) -> None:
        self._say(self.server, SERVER, stream, headers, body, trailers or [], pieces, padding)

    def _say(
        self,
        side: H2Connection,
        direction: Direction,
        stream: int,
        headers: Headers,
        body: bytes,
        trailers: Headers,
        pieces: int,
        padding: int = 0,
    ) -> None:
        side.send_headers(stream, headers, end_stream=not body and not trailers)
        step = max(1, -(-len(body) // pieces))
        for start in range(0, len(body), step):
            last = start + step >= len(body) and not trailers
            side.send_data(stream, body[start : start + step], end_stream=last, pad_length=padding or None)
            self.flush()
        if trailers:
            side.send_headers(stream, trailers, end_stream=True)
        self.flush()
        self.said.append(Said(stream, direction, headers, body, trailers))

    def table_sizes(self, client: int, server: int) -> None:
        """Both peers change the header table that they allow the other one."""
        self.client.update_settings({SettingCodes.HEADER_TABLE_SIZE: client})
        self.server.update_settings({SettingCodes.HEADER_TABLE_SIZE: server})
        self.flush()


def headers_of(message: Message) -> Headers:
    """Pseudo-header and other fields of a decoded message, as they were sent."""
    http = message.http
    assert http is not None
    if http.status:
        return [(":status", str(http.status)), *http.headers]
    scheme = str(message.attributes.get("scheme", ""))
    return [(":method", http.method), (":scheme", scheme), (":authority", http.authority), (":path", http.target), *http.headers]


def random_conversation(seed: int, exchanges: int = 12) -> Conversation:
    """Requests and responses of all shapes, interleaved."""
    rng = random.Random(seed)
    talk = Conversation().begin()
    for number in range(exchanges):
        if rng.random() < 0.15:
            talk.table_sizes(rng.choice([0, 100, 1000, 4096, 20000]), rng.choice([0, 100, 1000, 4096, 20000]))
        method = rng.choice(["GET", "POST", "PUT"])
        path = rng.choice(["/", "/index.html", f"/item/{rng.randrange(5)}", f"/very/{'long/' * rng.randrange(30)}{number}"])
        headers = [(":method", method), (":scheme", "https"), (":authority", "example.test"), (":path", path)]
        headers += [(f"x-{rng.randrange(6)}", rng.choice(["a", "b" * 40, str(rng.random())])) for _ in range(rng.randrange(5))]
        body = rng.randbytes(rng.choice([1, 100, 3000])) if method != "GET" else b""
        trailers = [("x-end", str(number % 3))] if rng.random() < 0.2 else []
        stream = talk.request(headers, body, trailers, pieces=rng.choice([1, 2, 5]))
        answer = [(":status", rng.choice(["200", "204", "404", "418"])), ("server", "test"), ("x-number", str(number % 4))]
        answer += [("set-cookie", f"id={rng.randrange(3)}")] if rng.random() < 0.3 else []
        body = rng.randbytes(rng.choice([0, 1, 200, 5000]))
        trailers = [("grpc-status", "0"), ("x-n", str(number))] if rng.random() < 0.3 else []
        talk.respond(stream, answer, body, trailers, pieces=rng.choice([1, 3]), padding=rng.choice([0, 0, 7, 200]))
    return talk


def run(parser: Parser, chunks: list[tuple[Direction, Chunk]], *, end: End | None = End.CLOSED) -> list[Message]:
    """Give a parser chunks, one millisecond apart, and perhaps the end of both directions."""
    messages: list[Message] = []
    for count, (direction, chunk) in enumerate(chunks):
        messages += parser.receive(direction, chunk, count * 1_000_000)
    if end is not None:
        for direction in Direction:
            messages += parser.receive(direction, end, len(chunks) * 1_000_000)
    return messages


def cut(data: list[tuple[Direction, bytes]], missing: dict[Direction, tuple[int, int]]) -> list[tuple[Direction, Chunk]]:
    """The chunks without the bytes from one position up to another of a direction's stream, with a `Gap` in their place."""
    chunks: list[tuple[Direction, Chunk]] = []
    position = dict.fromkeys(Direction, 0)
    for direction, chunk in data:
        start = position[direction]
        position[direction] += len(chunk)
        low, high = missing.get(direction, (0, 0))
        low, high = max(low, start), min(high, start + len(chunk))
        if low >= high:
            chunks.append((direction, chunk))
            continue
        pieces: tuple[Chunk, ...] = (chunk[: low - start], Gap(high - low), chunk[high - start :])
        chunks += [(direction, piece) for piece in pieces if piece]
    return chunks
