"""Content codings (RFC 9110 section 8.4): bytes in, decoded bytes out in bounded pieces.

A decoder never holds more output than one piece, so a bomb costs time only, and as much of it as the one who takes the pieces
allows. It knows nothing of messages.
"""

import zlib
from collections.abc import Callable, Sequence
from typing import Final, Protocol, TypeAlias

import brotli
import zstandard

Sink: TypeAlias = Callable[[bytes], None]

PIECE: Final = 64 * 1024  # output per step
MAX_CODINGS: Final = 4  # applied to one body; nobody sends more, and each multiplies a bomb
_ZLIB_SLICE: Final = 4 * 1024  # input per step: zlib copies what it has not used yet, once for each piece or gzip member
_ZSTD_SLICE: Final = 256  # input per step: 4 bytes may become a block of 128 KiB, and all of a step's output is held
_ZSTD_WINDOW: Final = 8 * 1024 * 1024  # RFC 9659: more is not allowed in HTTP


class DecodeError(Exception):
    """The bytes are not what their coding says."""


class OutputLimit(Exception):  # noqa: N818 - a bound that was met, nobody's fault
    """More would come out than is allowed."""


class Decoder(Protocol):
    """One coding of one body."""

    finished: bool  # the coding's own end was seen, and nothing was begun after it

    def push(self, data: bytes, sink: Sink) -> None:
        """Decode and hand on.

        Raises:
            DecodeError: what came before it may not have been handed on entirely.
        """


class _Inflate:
    """gzip (RFC 1952, several members) and deflate, which is zlib (RFC 1950) or, from some servers, bare (RFC 1951)."""

    def __init__(self, *, gzip: bool) -> None:
        self.finished = False
        self._gzip = gzip
        self._begin = b""
        self._engine: zlib._Decompress | None = zlib.decompressobj(wbits=31) if gzip else None

    def push(self, data: bytes, sink: Sink) -> None:
        if self._engine is None:
            data = self._begin = self._begin + data
            if len(data) < 2:
                return
            zlib_header = data[0] & 0x0F == 8 and (data[0] << 8 | data[1]) % 31 == 0
            self._engine = zlib.decompressobj(wbits=15 if zlib_header else -15)
        for start in range(0, len(data), _ZLIB_SLICE):
            self._step(data[start : start + _ZLIB_SLICE], sink)

    def _step(self, data: bytes, sink: Sink) -> None:
        more = True
        while data or more:
            if self.finished and not self._next_member(data):
                return
            engine = self._engine
            assert engine is not None  # noqa: S101 - set by push
            try:
                piece = engine.decompress(data, PIECE)
            except zlib.error as error:
                raise DecodeError from error
            if piece:
                sink(piece)
            self.finished = engine.eof
            data = engine.unused_data if engine.eof else engine.unconsumed_tail
            more = len(piece) == PIECE and not engine.eof

    def _next_member(self, data: bytes) -> bool:
        """What follows the end is another gzip member, or padding that some servers send and everybody ignores."""
        if not self._gzip or data[:1] != b"\x1f":
            return False
        self._engine = zlib.decompressobj(wbits=31)
        self.finished = False
        return True


class _Brotli:
    """RFC 7932."""

    def __init__(self) -> None:
        self.finished = False
        self._engine = brotli.Decompressor()

    def push(self, data: bytes, sink: Sink) -> None:
        while not self.finished:
            try:
                piece = self._engine.process(data, output_buffer_limit=PIECE)
            except brotli.error as error:
                raise DecodeError from error
            data = b""
            if piece:
                sink(piece)
            self.finished = self._engine.is_finished()
            if self._engine.can_accept_more_data() and len(piece) < PIECE:  # else the limit may have held some back
                return


class _Zstd:
    """RFC 8878, several frames."""

    def __init__(self) -> None:
        self.finished = False
        self._context = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW)
        self._frame = self._context.decompressobj(write_size=PIECE)

    def push(self, data: bytes, sink: Sink) -> None:
        for start in range(0, len(data), _ZSTD_SLICE):
            self._step(data[start : start + _ZSTD_SLICE], sink)

    def _step(self, data: bytes, sink: Sink) -> None:
        while data:
            if self.finished:
                self._frame = self._context.decompressobj(write_size=PIECE)
            try:
                piece = self._frame.decompress(data)
            except zstandard.ZstdError as error:
                raise DecodeError from error
            if piece:
                sink(piece)
            self.finished = self._frame.eof
            data = self._frame.unused_data if self.finished else b""


_CODINGS: Final[dict[str, Callable[[], Decoder]]] = {
    "gzip": lambda: _Inflate(gzip=True),
    "x-gzip": lambda: _Inflate(gzip=True),
    "deflate": lambda: _Inflate(gzip=False),
    "br": _Brotli,
    "zstd": _Zstd,
}


def known(coding: str) -> bool:
    """Whether a coding, in lower case, can be decoded."""
    return coding in _CODINGS


class Chain:
    """Several codings of one body, in the order in which they are taken off; `limit` bytes at most come out of each."""

    __slots__ = ("_decoders", "_room")

    def __init__(self, codings: Sequence[str], limit: int) -> None:
        self._decoders = [_CODINGS[coding]() for coding in codings]
        self._room = [limit] * len(codings)

    def push(self, data: bytes, sink: Sink) -> None:
        """Decode through all of them.

        Raises:
            DecodeError: by any of them.
            OutputLimit: one of them would give more than the limit; up to it everything was handed on.
        """
        self._push(0, data, sink)

    def _push(self, level: int, data: bytes, sink: Sink) -> None:
        last = level + 1 == len(self._decoders)

        def take(piece: bytes) -> None:
            room = self._room[level]
            self._room[level] = room - len(piece)
            kept = piece if len(piece) <= room else piece[:room]
            if last:
                sink(kept)
            else:
                self._push(level + 1, kept, sink)
            if len(piece) > room:
                raise OutputLimit

        self._decoders[level].push(data, take)

    @property
    def finished(self) -> bool:
        """Every coding's own end was seen."""
        return all(decoder.finished for decoder in self._decoders)
