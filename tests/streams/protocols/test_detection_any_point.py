"""Whatever is missing of a connection's beginning, it is taken for what it is or for nothing known, never for something else."""

from pathlib import Path

import pytest

from fleetcap_streams.protocols.connection_parser import ConnectionParser
from fleetcap_streams.protocols.contract import Direction, End, Limits
from fleetcap_streams.protocols.registry import default_registry
from tests.differential.second_opinion import TRACES
from tests.streams.protocols.tapping import connections_of, has_tshark

OWN = {
    "dns": {"dns"},
    "kafka": {"kafka"},
    "http": {"http1", "http2", "grpc", "websocket"},
    "mongo": {"mongodb"},
    "mysql": {"mysql"},
    "amqp": {"amqp"},
    "nats": {"nats"},
    "postgre": {"postgresql"},
    "redis": {"redis"},
}
UNKNOWN = {"", "raw"}
MOST_EVENTS = 24  # of a connection, from its beginning
MOST_PLACES = 60  # at which the beginning is cut off

CAPTURES = sorted(path for path in TRACES.glob("*/*.pcap"))
Event = tuple[Direction, bytes]


def behind(talk: list[Event], place: int) -> list[Event]:
    """What is left when so many bytes of the beginning were not seen."""
    rest = []
    for direction, data in talk:
        left, place = data[place:], max(place - len(data), 0)
        if left:
            rest.append((direction, left))
    return rest


def detected(talk: list[Event], *, joined: bool) -> str:
    parser = ConnectionParser(default_registry(), Limits(), joined=joined, client=None)
    for time_ns, (direction, data) in enumerate(talk, 1):
        list(parser.receive(direction, data, time_ns))
    for direction in Direction:
        list(parser.receive(direction, End.CLOSED, len(talk) + 1))
    return parser.protocol


def places(talk: list[Event]) -> list[int]:
    """Edges of events, and places between them at even distances."""
    edges, size = [], 0
    for _, data in talk:
        size += len(data)
        edges.append(size)
    between = range(1, size, max(size // MOST_PLACES, 1))
    return sorted({*edges[:-1], *between})


@pytest.mark.skipif(not has_tshark(), reason="tshark is not here, which reads the captures")
@pytest.mark.parametrize("capture", CAPTURES, ids=[f"{path.parent.name}/{path.stem}" for path in CAPTURES])
def test_a_capture_is_never_taken_for_another_protocol(capture: Path):
    own = OWN.get(capture.parent.name, set()) | UNKNOWN
    for talk in connections_of(capture).values():
        events = list(talk)[:MOST_EVENTS]
        assert detected(events, joined=True) in own
        for place in places(events):
            assert detected(behind(events, place), joined=True) in own, f"without its first {place} bytes"
