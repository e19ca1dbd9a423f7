"""Bodies inside HTTP/1 and HTTP/2 responses and requests, cut in all the ways in which a tap may see them."""

from collections.abc import Iterable

from fleetcap_streams.protocols.contract import Message
from tests.streams.protocols.http2.conversation import CLIENT, SERVER, Conversation, Headers
from tests.streams.protocols.transcript import Step, closed, cut, hear, request

Facts = tuple[object, ...]


def facts(message: Message) -> Facts:
    """All of a message inside a body but its times and where it was."""
    told = {name: value for name, value in message.attributes.items() if name != "stream_id"}
    digest, size, complete = message.body_sha256, message.body_size, message.complete
    return message.role, message.body, size, digest, complete, message.missing_bytes, message.notes, told


def chunked(pieces: Iterable[bytes], *fields: bytes) -> list[bytes]:
    """A response with each piece as a chunk: the head, the chunks, the end."""
    head = b"\r\n".join([b"HTTP/1.1 200 OK", b"Transfer-Encoding: chunked", *fields, b"", b""])
    return [head, *(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces if piece), b"0\r\n\r\n"]


def over_http1(pieces: Iterable[bytes], content_type: bytes, *fields: bytes) -> list[Step]:
    parts = chunked(pieces, b"Content-Type: " + content_type, *fields)
    return closed([(CLIENT, request()), *((SERVER, part) for part in parts)])


def over_http2(pieces: Iterable[bytes], content_type: str, *fields: tuple[str, str], asks: Headers | None = None) -> list[Step]:
    talk = Conversation().begin()
    stream = talk.request([(":method", "GET"), (":scheme", "https"), (":authority", "a"), (":path", "/"), *(asks or [])])
    talk.server.send_headers(stream, [(":status", "200"), ("content-type", content_type), *fields])
    talk.flush()
    for piece in pieces:
        talk.server.send_data(stream, piece)
        talk.flush()
    talk.server.end_stream(stream)
    talk.flush()
    return closed(list(talk.sent))


def sliced(steps: Iterable[Step], size: int) -> list[Step]:
    """The same in pieces of `size` bytes."""
    return [part for step in steps for part in cut(step, range(size, 1 << 20, size))]


def inner(steps: Iterable[Step], protocol: str, restore_at: Iterable[int] = ()) -> list[Message]:
    """Messages of a protocol that a connection gives."""
    return [message for message in hear(steps, restore_at=restore_at).messages if message.protocol == protocol]
