"""Whether a connection speaks PostgreSQL's protocol: by the client's startup, or in the middle by the shape of messages."""

import re
from typing import Final

from fleetcap_streams.protocols.contract import Opening, Score
from fleetcap_streams.protocols.framing import State
from fleetcap_streams.protocols.postgresql import wire

_PARAMETER: Final = re.compile(rb"[A-Za-z_][A-Za-z0-9_.]{0,62}\0")  # after 8 bytes that Kafka's Metadata request has as well
_PARAMETER_BEGUN: Final = re.compile(rb"(?:[A-Za-z_][A-Za-z0-9_.]{0,62})?\Z")
_FAR: Final = 1024  # bytes in which a message is looked for where the tap joined


def probe(opening: Opening) -> Score:
    """YES for a startup, or for a message with content that proves it."""
    scores = [_direction(data) for data in (opening.received, opening.sent)]
    if Score.YES in scores:
        return Score.YES
    if not opening.joined:
        return min(scores)
    return Score.MAYBE if any(wire.find(data[:_FAR], 0, wire.BOTH)[1] for data in opening[:2]) else Score.MORE


def _direction(data: bytes) -> Score:
    if not data:
        return Score.MORE
    return _startup(data) if data[0] == 0 else max(wire.anchor(data, 0, (table,)) for table in wire.BOTH)


def _startup(data: bytes) -> Score:
    state, size = wire.startup(data, 0)
    if state is State.MORE:
        code = data[4:7]
        fits = b"\0\0".startswith(data[:2]) and (b"\0\3\0".startswith(code) or b"\4\xd2\x16".startswith(code))
        return Score.MORE if fits else Score.NO
    if state is not State.DONE or data[4:6] != b"\0\3":
        return Score.YES if state is State.DONE else Score.NO
    if _PARAMETER.match(data, 8) and size > 12:
        return Score.YES
    return Score.MORE if _PARAMETER_BEGUN.match(data, 8) else Score.NO
