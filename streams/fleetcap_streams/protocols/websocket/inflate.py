"""permessage-deflate (RFC 7692), one direction.

Whether the peers keep the context from message to message need not be known: who does not keep it never refers back to it, so
keeping it is right for both. A context that was lost is empty here, and zlib refuses what refers to before its beginning; so
nothing wrong ever comes out.
"""

import zlib
from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from fleetcap_streams.protocols.decoding import PIECE, DecodeError, OutputLimit

WINDOW: Final = 32 * 1024  # RFC 1951: how far back deflate refers
_TAIL: Final = b"\x00\x00\xff\xff"  # left off by the sender (RFC 7692 section 7.2.1)
_SLICE: Final = 4 * 1024  # input per step: zlib copies what it has not used yet, once for each piece


class Context(msgspec.Struct, array_like=True):
    """What earlier messages left behind."""

    window: bytes = b""
    lost: bool = False  # there was more

    def forget(self) -> None:
        """A message was lost, or could not be decoded."""
        self.window, self.lost = b"", True

    def inflate(self, data: bytes, limit: int, sink: Callable[[bytes], None]) -> None:
        """Decode one whole message and hand it on in pieces.

        Raises:
            DecodeError: it cannot be decoded, or refers to a context that is lost.
            OutputLimit: it is longer than `limit` bytes.
        """
        recent = bytearray(self.window)
        left = limit
        try:
            for piece in _pieces(data + _TAIL, self.window):
                sink(piece[:left])
                left -= len(piece)
                if left < 0:
                    break
                recent += piece
                del recent[:-WINDOW]
        except zlib.error as error:
            self.forget()
            raise DecodeError from error
        if left < 0:
            self.forget()
            raise OutputLimit
        self.window = bytes(recent)


def _engine(window: bytes) -> "zlib._Decompress":
    return zlib.decompressobj(-15, window) if window else zlib.decompressobj(-15)


def _pieces(data: bytes, window: bytes) -> Iterator[bytes]:
    engine = _engine(window)
    for start in range(0, len(data), _SLICE):
        rest = data[start : start + _SLICE]
        more = True
        while rest or more:
            piece = engine.decompress(rest, PIECE)
            if piece:
                window = (window + piece)[-WINDOW:]
                yield piece
            rest = engine.unused_data if engine.eof else engine.unconsumed_tail
            if engine.eof:  # a sender may end its stream with each message (RFC 7692 section 7.2.3.4)
                engine = _engine(window)
            more = len(piece) == PIECE
