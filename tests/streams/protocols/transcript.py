"""A connection as a list of things that happen, fed to a parser in all the ways in which a tap may see them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from fleetcap_streams.protocols.connection_parser import ConnectionParser
from fleetcap_streams.protocols.contract import Chunk, Direction, End, Limits, Message
from fleetcap_streams.protocols.registry import default_registry

RECEIVED, SENT = Direction.RECEIVED, Direction.SENT
LIMITS = Limits()
REGISTRY = default_registry()

Step: TypeAlias = tuple[Direction, Chunk]


@dataclass
class Heard:
    """What a parser made of a transcript."""

    messages: list[Message]
    parser: ConnectionParser

    def plain(self) -> list[tuple[object, ...]]:
        return [plain(message) for message in self.messages]


def plain(message: Message) -> tuple[object, ...]:
    """All of a message but its times, which depend on how it was cut."""
    http = message.http
    return (
        message.protocol,
        message.direction,
        message.role,
        message.exchange,
        message.head,
        message.body,
        message.body_size,
        message.body_sha256,
        message.encoded_size,
        message.complete,
        message.missing_bytes,
        message.notes,
        None if http is None else (http.method, http.target, http.authority, http.version, http.status, http.reason),
        None if http is None else (tuple(http.headers), tuple(http.trailers)),
    )


def hear(
    steps: Iterable[Step],
    limits: Limits = LIMITS,
    *,
    joined: bool = False,
    client: Direction | None = None,
    restore_at: Iterable[int] = (),
) -> Heard:
    """Feed steps at times 1, 2, …; at the given step numbers the parser is written down and taken up again."""
    parser = ConnectionParser(REGISTRY, limits, joined, client)
    restores = set(restore_at)
    messages: list[Message] = []
    for number, (direction, chunk) in enumerate(steps):
        if number in restores:
            parser = ConnectionParser.restore(REGISTRY, limits, parser.snapshot())
        messages += parser.receive(direction, chunk, number + 1)
    assert parser.failure == ""
    return Heard(messages, parser)


def bytewise(steps: Iterable[Step]) -> list[Step]:
    """Every byte on its own."""
    return [part for step in steps for part in cut(step, range(1, 1 << 20))]


def cut(step: Step, places: Iterable[int]) -> Iterator[Step]:
    """One step cut at places."""
    direction, chunk = step
    if not isinstance(chunk, bytes) or not chunk:
        yield step
        return
    start = 0
    for place in places:
        if place >= len(chunk):
            break
        yield direction, chunk[start:place]
        start = place
    yield direction, chunk[start:]


def mirrored(steps: Iterable[Step]) -> list[Step]:
    """The same connection as the other side sees it."""
    return [(direction.other, chunk) for direction, chunk in steps]


def closed(steps: Sequence[Step], why: End = End.CLOSED) -> list[Step]:
    return [*steps, (RECEIVED, why), (SENT, why)]


def response(body: bytes = b"", *fields: bytes, status: bytes = b"200 OK", version: bytes = b"1.1") -> bytes:
    lines = [b"HTTP/" + version + b" " + status, b"Content-Length: %d" % len(body), *fields]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def request(target: bytes = b"/", *fields: bytes, method: bytes = b"GET", body: bytes = b"") -> bytes:
    length = (b"Content-Length: %d" % len(body),) if body else ()
    return b"\r\n".join([method + b" " + target + b" HTTP/1.1", b"Host: a.example", *fields, *length]) + b"\r\n\r\n" + body
