"""Whether a connection speaks NATS: by the first unit of a direction, as clients' libraries and servers write it."""

import re
from typing import Final

from fleetcap_streams.protocols.contract import Opening, Score
from fleetcap_streams.protocols.framing import INVALID, MORE
from fleetcap_streams.protocols.nats import wire

_FAR: Final = 4096  # bytes within which a direction is decided
_GREETING: Final = re.compile(rb"(INFO|CONNECT) \{")
_KEYS: Final = {  # any of these in the JSON; other protocols that have the verb have no JSON behind it
    b"INFO": (b'"server_id"', b'"max_payload"', b'"nonce"'),
    b"CONNECT": (b'"verbose"', b'"pedantic"', b'"lang"', b'"no_responders"', b'"auth_token"', b'"tls_required"'),
}
_KEEPALIVE: Final = re.compile(rb"(PING|PONG)\r\n")
_SIZED: Final = re.compile(rb"H?(?:PUB|MSG) [^\r\n]{1,1200} [0-9]{1,8}\r\n")


def probe(opening: Opening) -> Score:
    """YES for a unit with all that belongs to it; MAYBE for one further on where the tap joined, and for PING with its PONG."""
    directions = (opening.received, opening.sent)
    scores = [_first(data[:_FAR]) for data in directions]
    if Score.YES in scores:
        return Score.YES
    kept = [_KEEPALIVE.match(data) for data in directions]
    if kept[0] and kept[1] and kept[0][1] != kept[1][1]:
        return Score.MAYBE
    if Score.MAYBE in scores:
        return Score.MAYBE
    if not opening.joined:
        return min(scores)
    return _further_on(directions)


def _further_on(directions: tuple[bytes, bytes]) -> Score:
    if any(_found(data[:_FAR]) for data in directions):
        return Score.MAYBE
    return Score.NO if all(len(data) >= _FAR for data in directions) else Score.MORE


def _first(data: bytes) -> Score:
    """What the first unit of a direction tells alone."""
    if not data:
        return Score.MORE
    if _GREETING.match(data):
        return _greeting(data)
    if not wire.STRONG.match(data):
        more = len(data) < _FAR and (_KEEPALIVE.match(data) or wire.written(data, 0) is not False)
        return Score.MORE if more else Score.NO
    step = wire.unit(data, 0)
    if step is INVALID or step is MORE:
        return Score.NO
    if data.startswith(b"+OK"):  # also POP3's, and Redis's
        return Score.MORE if len(data) < _FAR else Score.NO
    size = step[1]
    if size > _FAR:
        return Score.MAYBE
    if len(data) < size:
        return Score.MORE
    return Score.YES if data.startswith(wire.TRAILER, size - len(wire.TRAILER)) else Score.NO


def _greeting(data: bytes) -> Score:
    verb, _, rest = data.partition(b" ")
    line, ended, _ = rest.partition(b"\n")
    if any(key in line for key in _KEYS[verb]):
        return Score.YES
    return Score.NO if ended or len(data) >= _FAR else Score.MORE


def _found(data: bytes) -> bool:
    """Whether a unit with a payload, all of it, stands somewhere."""
    at = data.find(b"\n") + 1
    while at:
        if _SIZED.match(data, at):
            _, size = wire.unit(data, at)
            if size and at + size <= len(data) and data.startswith(wire.TRAILER, at + size - len(wire.TRAILER)):
                return True
        at = data.find(b"\n", at) + 1
    return False
