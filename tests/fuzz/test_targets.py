"""A short run of every fuzz target, the same each time: real conversations, bent in every way, and anything at all."""

import random
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetcap.inputs.packets import PacketRecords
from fleetcap.inputs.pcap import read_pcap
from fleetcap_proto.v1 import raw_pb2
from fuzz.targets import TARGETS

TRACES = sorted((Path(__file__).parents[1] / "vectors" / "deepflow-traces").glob("*/*.pcap"))
MOST_BYTES = 3000  # of a transcript; enough for each capture's first messages


@cache
def transcript(path: Path) -> bytes:
    """A capture's conversations as the steps that a target takes."""
    out = bytearray()
    with path.open("rb") as file:
        for recorded in PacketRecords("x", "x").records(read_pcap("x", file)):
            for event in raw_pb2.RawBatch.FromString(recorded.record.value or b"").events:
                for start in range(0, len(event.payload), 255):
                    piece = event.payload[start : start + 255]
                    out += bytes((event.direction, len(piece))) + piece
    return bytes(out[:MOST_BYTES])


def bent(data: bytes, rng: random.Random) -> Iterator[bytes]:
    """The same with bytes changed, lost, repeated, and saves, gaps and ends put between."""
    yield data
    for _ in range(3):
        changed = bytearray(data)
        for _ in range(rng.randrange(1, 8)):
            place = rng.randrange(len(changed) + 1)
            match rng.randrange(4):
                case 0:
                    changed[place : place + 1] = bytes([rng.randrange(256)])
                case 1:
                    del changed[place : place + rng.randrange(1, 40)]
                case 2:
                    changed[place:place] = changed[place : place + rng.randrange(1, 40)]
                case _:
                    changed[place:place] = bytes([rng.randrange(200, 256), rng.randrange(256)])
        yield bytes(changed)


@pytest.mark.parametrize("name", TARGETS)
def test_bent_conversations_break_nothing(name: str) -> None:
    rng = random.Random(name)
    for path in TRACES:
        for data in bent(transcript(path), rng):
            TARGETS[name](data)


@pytest.mark.parametrize("name", TARGETS)
def test_nothing_at_all_breaks_anything(name: str) -> None:
    @settings(max_examples=60, derandomize=True, database=None)
    @given(st.binary(max_size=300))
    def run(data: bytes) -> None:
        TARGETS[name](data)

    run()
