"""Whether a connection speaks MySQL's protocol: by the server's greeting, or in the middle by what packets hold."""

import re
from typing import Final

from fleetcap_streams.protocols.contract import Opening, Score
from fleetcap_streams.protocols.mysql import handshake, talk, wire

_GREETING: Final = 128  # bytes within which the version of a greeting ends
_PROOF: Final = re.compile(
    rb"(?is)\x03def.[a-z_]|(?<=\x00)[\x03\x16](?:\x00\x01)?\s*"
    rb"(?:select|insert|update|delete|replace|set|show|begin|commit|rollback|create|alter|drop|use|call|with|start|/\*)\b"
)
_FAR: Final = 1024  # bytes in which a packet is looked for where the tap joined
_TINY: Final = 2  # bytes of a command without arguments


def probe(opening: Opening) -> Score:
    """YES for a greeting, and for a command or an answer that proves it by its content."""
    scores = [_direction(data) for data in (opening.received, opening.sent)]
    for score in (Score.YES, Score.MAYBE):
        if score in scores:
            return score
    if not opening.joined:
        return min(scores)
    return Score.MAYBE if any(_within(data[:_FAR]) for data in (opening.received, opening.sent)) else Score.MORE


def _direction(data: bytes) -> Score:
    if len(data) <= wire.HEADER:
        return Score.MORE
    length, sequence = wire.header(data, 0)
    if sequence == 0 and data[wire.HEADER] in handshake.PROTOCOLS and 20 <= length <= handshake.LONGEST:
        return _greets(data)
    if sequence == 0 and data[wire.HEADER] == 0xFF and 9 <= length <= 512:
        return _refuses(data, length)
    score = _anchors(data, 0)
    if score is not Score.YES or length > _TINY:
        return score
    # Five bytes that would be a ping or a quit stand in every binary protocol; what follows them has to fit too.
    return min(_anchors(data, wire.HEADER + length), Score.MAYBE)


def _anchors(data: bytes, at: int) -> Score:
    if len(data) <= at + wire.HEADER:
        return Score.MORE
    return max(wire.anchor(data, at, client=client) for client in (True, False))


def _within(data: bytes) -> bool:
    """Whether a packet that could be nothing else, or a compressed one, begins somewhere."""
    for match in _PROOF.finditer(data, wire.HEADER):
        at = match.start() - wire.HEADER
        client = not data.startswith(b"\x03def", at + wire.HEADER)
        if wire.anchor(data, at, client=client) is Score.YES:
            return True
    place, found = talk.find_compressed(data, 0)
    return found and bool(talk.COMPRESSED.match(data, place + talk.HEADER))


def _greets(data: bytes) -> Score:
    version, found, _ = data[wire.HEADER + 1 : _GREETING].partition(b"\0")
    if not all(0x20 <= byte < 0x7F for byte in version) or (len(data) >= _GREETING and not found):
        return Score.NO
    if len(data) < _GREETING and len(data) < wire.HEADER + wire.header(data, 0)[0]:
        return Score.MORE
    return Score.YES if handshake.greeting(data[wire.HEADER :]) is not None else Score.NO


def _refuses(data: bytes, length: int) -> Score:
    """An error in place of the greeting: this host may not connect, or too many have."""
    if len(data) < wire.HEADER + length:
        return Score.MORE
    code = int.from_bytes(data[5:7], "little")
    message = data[7 : wire.HEADER + length]
    return Score.YES if 1000 <= code < 5000 and all(byte >= 0x20 for byte in message) else Score.NO
