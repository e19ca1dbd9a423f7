"""Whether a connection speaks AMQP 0-9-1: by the protocol header, or by a frame that proves itself."""

from typing import Final

from fleetcap_streams.protocols.amqp import wire
from fleetcap_streams.protocols.contract import Opening, Score

_FAR: Final = 16 * 1024  # bytes in which a frame is looked for where the tap joined


def probe(opening: Opening) -> Score:
    """YES where a direction begins with a header or such a frame; where the tap joined MAYBE, if there is one further on."""
    directions = (opening.received, opening.sent)
    scores = [_first(data) for data in directions]
    for score in (Score.YES, Score.MAYBE):
        if score in scores:
            return score
    if not opening.joined:
        return min(scores)
    if any(wire.find(data[:_FAR], 0)[1] for data in directions):
        return Score.MAYBE
    return Score.NO if all(len(data) >= _FAR for data in directions) else Score.MORE


def _first(data: bytes) -> Score:
    score = wire.protocol_header(data[: wire.HEADER_SIZE])
    return wire.proven(data, 0) if score is Score.NO else score
