"""The outer layer of a MySQL connection: packets as they are, or after the login within compressed ones.

A compressed packet has a header of its own (length, sequence number, length before compression) and holds any piece of the
stream of packets, compressed by zlib or zstd, or as it is where that length is zero. What cannot be decompressed becomes a
hole of known size in that stream. Where the login was not seen, compression shows by its header and the compressors' first bytes.
"""

import re
import zlib
from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec
import zstandard

from fleetcap_streams.protocols.contract import Direction, End, Gap, Limits, Message
from fleetcap_streams.protocols.framed import FramedParser, Lane
from fleetcap_streams.protocols.framing import MORE, Frame, Framing, State, Step
from fleetcap_streams.protocols.mysql import wire
from fleetcap_streams.protocols.mysql.session import Session
from fleetcap_streams.protocols.mysql.state import SessionState

HEADER: Final = 7
PIECE: Final = 64 * 1024  # decompressed at once
COMPRESSED: Final = re.compile(rb"\x78[\x01\x5e\x9c\xda]|\x28\xb5\x2f\xfd")
_ZSTD: Final = b"\x28\xb5\x2f\xfd"
_MARK: Final = re.compile(rb"(?s)(?<=.{7})(?:\x78[\x01\x5e\x9c\xda]|\x28\xb5\x2f\xfd)|(?<=.{4})\x00\x00\x00(?=.{5})")


class MySqlState(msgspec.Struct, array_like=True):
    """The session and, where it is compressed, the buffers of the stream within."""

    session: SessionState = msgspec.field(default_factory=SessionState)
    lanes: list[Lane] = msgspec.field(default_factory=lambda: [Lane(), Lane()])


class MySql(Framing):
    """One connection, compressed or not."""

    State = MySqlState
    state: MySqlState

    def __init__(self, limits: Limits, state: Any = None) -> None:
        self.state = MySqlState() if state is None else state
        self._session = Session(limits, self.state.session)
        self._inner = FramedParser(self._session, limits)
        self._inner.load(True, self.state.lanes)

    @property
    def exchanges(self) -> int:
        """The highest exchange number used."""
        return self._session.exchanges

    def find(self, direction: Direction, data: bytes, at: int, *, edge: bool) -> tuple[int, bool]:
        """A packet by its content, or a compressed one by its header and what it holds."""
        session = self.state.session
        if session.compressed is False:
            return self._session.find(direction, data, at, edge=edge)
        outer = find_compressed(data, at)
        if session.compressed:
            return outer
        inner = self._session.find(direction, data, at, edge=edge)
        place, certain = wire.first(data, outer, inner)
        if certain:
            session.compressed = (place, certain) == outer
            for lane in self.state.lanes:
                lane.seeking = session.compressed
        return place, certain

    def parse(self, direction: Direction, data: bytes, at: int) -> Step:
        """A packet of either kind."""
        if not self.state.session.compressed:
            return self._session.parse(direction, data, at)
        if len(data) < at + HEADER:
            return MORE
        return State.DONE, HEADER + wire.header(data, at)[0]

    def aligned(self, direction: Direction) -> bool:
        """As the session knows."""
        return self._session.aligned(direction)

    def stitch(self, direction: Direction, frame: Frame) -> Sequence[Message]:
        """Hand a packet to the session, or what a compressed one holds."""
        if not self.state.session.compressed:
            return self._session.stitch(direction, frame)
        if len(frame.data) < HEADER:
            return ()
        length = int.from_bytes(frame.data[4:HEADER], "little")
        held = frame.data[HEADER:]
        missing = (length or frame.size - HEADER) if frame.size > HEADER else 0
        messages: list[Message] = []
        for piece in _decompressed(held, length) if length else (held,):
            if piece:
                missing -= len(piece)
                messages += self._inner.receive(direction, piece, frame.end_ns, frame.start_ns)
        if missing > 0:
            messages += self._inner.receive(direction, Gap(missing), frame.end_ns)
        return messages

    def lost(self, direction: Direction, missing: int, time_ns: int) -> Sequence[Message]:
        """Bytes of either kind are missing."""
        if self.state.session.compressed:
            return self._inner.receive(direction, Gap(0), time_ns)
        return self._session.lost(direction, missing, time_ns)

    def ended(self, direction: Direction, end: End, time_ns: int) -> Sequence[Message]:
        """As in the contract."""
        if self.state.session.compressed:
            return self._inner.receive(direction, end, time_ns)
        return self._session.ended(direction, end, time_ns)


def _decompressed(data: bytes, length: int) -> Iterator[bytes]:
    """What is compressed in `data`, up to the length it is said to have, in bounded pieces, as far as it can be had."""
    try:
        yield from _unzstd(data, length) if data.startswith(_ZSTD) else _inflated(data, length)
    except (zlib.error, zstandard.ZstdError):
        return


def _inflated(data: bytes, length: int) -> Iterator[bytes]:
    engine = zlib.decompressobj()
    while length > 0:
        piece = engine.decompress(data, min(length, PIECE))
        if not piece:
            return
        yield piece
        length -= len(piece)
        data = engine.unconsumed_tail


def _unzstd(data: bytes, length: int) -> Iterator[bytes]:
    with zstandard.ZstdDecompressor(max_window_size=1 << 24).stream_reader(data) as reader:
        while length > 0 and (piece := reader.read(min(length, PIECE))):
            yield piece
            length -= len(piece)


def find_compressed(data: bytes, at: int) -> tuple[int, bool]:
    """The first compressed packet."""
    for match in _MARK.finditer(data, max(at, 0)):
        place = match.start() - (4 if match.group()[0] == 0 else HEADER)
        if place < at:
            continue
        if len(data) < place + wire.TAIL:
            return place, False
        if _is_compressed(data, place):
            return place, True
    return max(at, len(data) - wire.TAIL + 1), False


def _is_compressed(data: bytes, at: int) -> bool:
    """Whether a compressed packet begins here: by the compressor's sign, or by the packet in it that fills it."""
    size, length = wire.header(data, at)[0], int.from_bytes(data[at + 4 : at + HEADER], "little")
    if length:
        return 8 < size + HEADER < length + 64 and COMPRESSED.match(data, at + HEADER) is not None
    inner, sequence = wire.header(data, at + HEADER)
    if size != inner + wire.HEADER or not inner:
        return False
    # The client's packets both begin at 0; the server's first answer is 1 within and without.
    return sequence > 0 if data[at + 3] else sequence == 0 and wire.is_size(data[at + HEADER + wire.HEADER], inner)
