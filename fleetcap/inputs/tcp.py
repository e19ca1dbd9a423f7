"""Puts one direction of a TCP connection in order: sequence numbers become positions, holes become known.

Knows neither addresses nor the other direction, but for what that one acknowledged. Bytes that came first stay; what
covers them again is dropped, as receivers do. Holes are waited for, since what was lost on the way is sent again; a hole
that the receiver has acknowledged is one of the capture alone and will never be filled.
"""

from heapq import heappop, heappush
from typing import Final, NamedTuple

MASK: Final = 0xFFFFFFFF
_HALF: Final = 1 << 31
# No window is larger (RFC 7323 section 2.3), so what seems to be further back than this is not old but far ahead: the
# capture paused meanwhile.
_OLDEST: Final = 1 << 30
# Waiting behind one hole; as much as common systems let a receiver hold.
MOST_WAITING_BYTES: Final = 16 * 1024 * 1024
_MOST_WAITING: Final = 16_384
# Captures with several queues may show an acknowledgement before the bytes it is for.
_PATIENCE_NS: Final = 100_000_000
_PATIENCE: Final = 32  # segments of either direction


class Piece(NamedTuple):
    """Bytes at a position. Where `length` is more than there are, the rest is missing for good."""

    position: int
    payload: bytes
    length: int
    time_ns: int


class HalfStream:
    """One direction. `position` is that of the byte to come next, counted from where the stream, or the capture, began."""

    __slots__ = ("_acknowledged", "_doubt", "_doubt_ns", "_next", "_order", "_waiting", "fin", "position", "waiting_bytes")

    def __init__(self) -> None:
        self._next = -1  # sequence number that belongs to `position`; -1: not known yet
        self.position = 0
        self.fin: int | None = None  # position of the stream's end
        self.waiting_bytes = 0
        self._waiting: list[tuple[int, int, Piece]] = []
        self._order = 0
        self._acknowledged = 0
        self._doubt = 0  # segments since a hole was acknowledged
        self._doubt_ns = 0

    @property
    def begun(self) -> bool:
        """Whether it is known where positions count from."""
        return self._next >= 0

    @property
    def done(self) -> bool:
        """Whether all of it was given."""
        return self.fin is not None and self.position >= self.fin

    def begin(self, sequence: int) -> None:
        """Positions count from this sequence number."""
        self._next = sequence & MASK

    def distance(self, sequence: int) -> int:
        """How far ahead of `position` a sequence number is; negative: behind."""
        ahead = (sequence - self._next) & MASK
        return ahead - (MASK + 1) if ahead >= MASK + 1 - _OLDEST else ahead

    def accept(self, sequence: int, payload: bytes, length: int, time_ns: int) -> list[Piece]:
        """Take a segment; returns what is in order now."""
        position = self.position + self.distance(sequence)
        if position > self.position:
            self._wait(Piece(position, payload, length, time_ns))
            return self._if_hopeless(time_ns)
        out: list[Piece] = []
        self._give(Piece(position, payload, length, time_ns), out)
        self._follow(out)
        return out

    def acknowledge(self, sequence: int, time_ns: int, *, answered: bool) -> list[Piece]:
        """The receiver has all up to here. `answered`: it said something in return, so whatever came before was read."""
        position = self.position + self.distance(sequence)
        # Beyond the end of the stream there is one number for its FIN; nonsense far ahead must not release holes.
        if self._acknowledged < position <= self._known():
            self._acknowledged = position
        if not self._waiting or not self._hole_acknowledged():
            return []
        if answered:
            return self._release()
        return self._if_hopeless(time_ns)

    def end(self, sequence: int) -> None:
        """A FIN stands at this sequence number."""
        position = self.position + max(self.distance(sequence), 0)
        if self.fin is None:
            self.fin = position

    def flush(self, time_ns: int) -> list[Piece]:
        """Nothing more is coming: give everything, with the holes, up to the end where that is known."""
        out: list[Piece] = []
        while self._waiting:
            out += self._release()
        if self.fin is not None and self.fin > self.position:
            out.append(Piece(self.position, b"", self.fin - self.position, time_ns))
            self._move(self.fin - self.position)
        return out

    def _known(self) -> int:
        last = max((piece.position + piece.length for _, _, piece in self._waiting), default=self.position)
        return max(last, self.fin or 0) + 1

    def _wait(self, piece: Piece) -> None:
        heappush(self._waiting, (piece.position, self._order, piece))
        self._order += 1
        self.waiting_bytes += len(piece.payload)

    def _hole_acknowledged(self) -> bool:
        return self._waiting[0][0] <= self._acknowledged

    def _if_hopeless(self, time_ns: int) -> list[Piece]:
        if self.waiting_bytes > MOST_WAITING_BYTES or len(self._waiting) > _MOST_WAITING:
            return self._release()
        if not self._hole_acknowledged():
            return []
        if not self._doubt:
            self._doubt_ns = time_ns
        self._doubt += 1
        return self._release() if self._doubt > _PATIENCE or time_ns - self._doubt_ns > _PATIENCE_NS else []

    def _release(self) -> list[Piece]:
        """Give up on the first hole."""
        position, _, first = self._waiting[0]
        missing = position - self.position
        out = [Piece(self.position, b"", missing, first.time_ns)]
        self._move(missing)
        self._follow(out)
        return out

    def _follow(self, out: list[Piece]) -> None:
        while self._waiting and self._waiting[0][0] <= self.position:
            _, _, piece = heappop(self._waiting)
            self.waiting_bytes -= len(piece.payload)
            self._give(piece, out)

    def _give(self, piece: Piece, out: list[Piece]) -> None:
        seen = self.position - piece.position
        length = piece.length - seen
        if length <= 0:
            return
        out.append(Piece(self.position, piece.payload[seen:], length, piece.time_ns))
        self._move(length)

    def _move(self, length: int) -> None:
        self.position += length
        self._next = (self._next + length) & MASK
        self._doubt = 0
