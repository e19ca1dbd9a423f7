"""Whether a connection speaks Kafka, by the requests in it."""

from fleetcap_streams.protocols.contract import Opening, Score
from fleetcap_streams.protocols.kafka import wire
from fleetcap_streams.protocols.kafka.searching import has_request


def probe(opening: Opening) -> Score:
    """YES where a direction begins with a request of a named client, or of one whose number the other direction answers.

    Where the tap joined, MAYBE if there is a request of a named client further on.
    """
    ways = ((opening.received, opening.sent), (opening.sent, opening.received))
    scores = [_begins(*way) for way in ways if way[0]]
    if Score.YES in scores:
        return Score.YES
    if opening.joined:
        return Score.MAYBE if any(has_request(asking) for asking, _ in ways) else Score.MORE
    return max(scores, default=Score.MORE)


def _begins(asking: bytes, answering: bytes) -> Score:
    """Whether the first of two directions begins with a request."""
    score = wire.is_request(asking, 0)
    if score is not Score.MAYBE:
        return score
    if len(answering) < wire.RESPONSE:
        return Score.MORE
    size, correlation = wire.read_response(answering, 0)
    answered = wire.PREFIX <= size <= wire.MOST and correlation == int.from_bytes(asking[8 : wire.SHORT_HEADER], "big")
    return Score.YES if answered else Score.NO
