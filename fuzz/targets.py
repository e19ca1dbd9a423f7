"""What is fuzzed and what must hold; knows nothing of the fuzzer that drives it.

A parser's input is a transcript: for each step one byte that says what happens (data, a gap, an end, a save), in which
direction, then a length and so many bytes.
"""

import io
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final, TypeAlias

from fleetcap.inputs.errors import InputError
from fleetcap.inputs.json_events import JsonRecords
from fleetcap.inputs.packets import PacketRecords
from fleetcap.inputs.pcap import read_pcap
from fleetcap.inputs.pcapng import read_pcapng
from fleetcap.recording import read_stream
from fleetcap_streams.protocols.connection_parser import ConnectionParser
from fleetcap_streams.protocols.contract import (
    Chunk,
    Direction,
    End,
    Gap,
    Limits,
    Message,
    ProtocolSpec,
    SwitchProtocol,
    WrongProtocol,
)
from fleetcap_streams.protocols.registry import default_registry

Target: TypeAlias = Callable[[bytes], None]
Step: TypeAlias = tuple[Direction, Chunk] | None
# Small, so that a short input can go over each of them.
LIMITS: Final = Limits(body=256, head=1024, headers=20, pending=8, decompressed=4096, detection=512)
# What a parser keeps besides its buffers: tables, counts, open streams.
MOST_SNAPSHOT_BYTES: Final = 1 << 20
_DATA, _GAP, _IDLE, _SAVE = 200, 230, 243, 250  # control bytes below these mean it; above the last: the end


def steps(data: bytes) -> Iterator[Step]:
    """The transcript that bytes stand for; None: save and restore. Ends when the connection does."""
    place = 0
    while place < len(data):
        control = data[place]
        direction = Direction(control & 1)
        size = data[place + 1] if place + 1 < len(data) else 0
        place += 2
        if control < _DATA:
            yield direction, data[place : place + size]
            place += size
        elif control < _GAP:
            yield direction, Gap(size)
        elif control < _IDLE:
            yield direction, End.IDLE
        elif control < _SAVE:
            yield None
        else:
            break
    for direction in Direction:
        yield direction, End.CLOSED


def parse(spec: ProtocolSpec, data: bytes) -> None:
    """One protocol's parser, whatever its probe would have said."""
    parser = spec.create(LIMITS)
    spoken = False
    for time_ns, step in enumerate(steps(data), 1):
        if step is None:
            saved = parser.snapshot()
            assert len(saved) <= MOST_SNAPSHOT_BYTES, f"a snapshot has {len(saved)} bytes"
            parser = spec.restore(LIMITS, saved)
            continue
        direction, chunk = step
        try:
            messages = parser.receive(direction, chunk, time_ns)
        except SwitchProtocol:
            return
        except WrongProtocol:
            assert not spoken, "a parser changed its mind after its first message"
            return
        spoken = spoken or bool(messages)
        for message in messages:
            check(message)


def connect(data: bytes) -> None:
    """A whole connection, detection and all; a parser's failure is a defect even though it is contained."""
    registry = default_registry()
    parser = ConnectionParser(registry, LIMITS, joined=bool(data and data[0] & 2), client=None)
    for time_ns, step in enumerate(steps(data), 1):
        if step is None:
            parser = ConnectionParser.restore(registry, LIMITS, parser.snapshot())
            continue
        for message in parser.receive(*step, time_ns):
            check(message)
        assert not parser.failure, parser.failure


def check(message: Message) -> None:
    """What holds of every message."""
    assert len(message.body) <= LIMITS.body, f"{message.protocol} keeps {len(message.body)} bytes of a body"
    assert message.missing_bytes >= 0
    assert message.body_size >= 0
    assert not (message.complete and message.missing_bytes), f"{message.protocol}: complete, with bytes missing"


def _pcap(data: bytes) -> None:
    _drain(PacketRecords("input", "node").records(read_pcap("input", io.BytesIO(b"\xd4\xc3\xb2\xa1" + data))))


def _pcapng(data: bytes) -> None:
    _drain(PacketRecords("input", "node").records(read_pcapng("input", io.BytesIO(b"\x0a\x0d\x0d\x0a" + data))))


def _json_lines(data: bytes) -> None:
    _drain(JsonRecords("input", "node").records(io.BytesIO(data)))


def _recording(data: bytes) -> None:
    _drain(read_stream("input", io.BytesIO(b"FLEETCAP" + data)))


def _drain(records: Iterator[object]) -> None:
    try:
        for _ in records:
            pass
    except InputError:
        return


TARGETS: Final[dict[str, Target]] = {
    **{spec.name: partial(parse, spec) for spec in default_registry()},
    "connection": connect,
    "pcap": _pcap,
    "pcapng": _pcapng,
    "json_lines": _json_lines,
    "recording": _recording,
}
