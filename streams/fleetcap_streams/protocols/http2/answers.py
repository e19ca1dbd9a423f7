"""How a finished half becomes a `Message`. Knows no other stream."""

from collections.abc import Sequence
from typing import Final

from fleetcap_streams.protocols import sha256
from fleetcap_streams.protocols.contract import Attribute, Direction, Http, Message, Role
from fleetcap_streams.protocols.http2 import notes
from fleetcap_streams.protocols.http2.half import Half
from fleetcap_streams.protocols.http2.heads import VERSION, Head

NAME: Final = "http2"


def build(half: Half, direction: Direction, role: Role, numbers: tuple[int, int], said: Sequence[str]) -> Message:
    """The message that a half came to. `numbers` are its stream and its exchange, `said` what else is to be noted."""
    head, complete = half.head, half.complete
    stream, exchange = numbers
    attributes: dict[str, Attribute] = {"stream_id": stream}
    if half.body is None and not half.holed and not half.codings:  # most bodies: nothing, or one piece
        body = half.first
        size = encoded_size = len(body)
        digest = sha256.EMPTY if not size else sha256.digest(body) if complete else b""
        of_body: tuple[str, ...] = ()
    else:
        body, size, digest, encoded_size, of_body = half.finish(complete=complete)
    if head is None:
        http, raw = Http(version=VERSION, trailers=half.trailers), b""
    else:
        http, raw = head.http, head.raw
        if half.trailers:
            http = Http(http.method, http.target, http.authority, VERSION, http.status, "", http.headers, half.trailers)
        if head.attributes:
            attributes.update(head.attributes)
        if head.notes or head.partly:
            said = (*head.notes, *said)
            if head.partly and not half.codings and half.layer is None and encoded_size:
                of_body, digest = (*of_body, notes.CODING_UNCERTAIN), b""
        complete = complete and not head.broken
    protocol = NAME
    if half.watch is not None:
        half.watch.now_ns = half.end_ns
        attributes.update(half.watch.finish(half.trailers, complete=complete))
    if half.layer is not None:
        protocol = half.layer.name
        attributes.update(half.layer.finish(half.trailers))
    return Message(
        protocol,
        direction,
        role,
        exchange,
        half.start_ns,
        half.end_ns,
        raw,
        body,
        size,
        digest if complete else b"",
        encoded_size,
        complete and not half.holed,
        half.missing,
        (*said, *half.notes, *of_body) if said or half.notes or of_body else (),
        http,
        attributes,
    )


def length_is_wrong(half: Half, head: Head, method: str, role: Role) -> bool:
    """Whether DATA is not as long as the head says (RFC 9113 section 8.1.1); what answers HEAD has none."""
    size = half.body.encoded_size if half.body is not None else len(half.first)
    if head.length is None or half.holed or head.length == size:
        return False
    return role is Role.REQUEST or size > 0 or not (method in ("HEAD", "") or head.status == 304)
