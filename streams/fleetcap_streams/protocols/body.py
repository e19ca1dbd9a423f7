"""A message body while it arrives: decoded, counted, hashed, and its first bytes kept.

Knows content codings, not how a protocol frames a body. A decoder's state cannot be written down, so the encoded bytes are
kept up to `REBUILD` and decoded again after a restore; of a longer body what comes after a restore is counted on the wire
only, and the body says `decoder-lost`. The same bytes let a broken body be decoded up to the very byte that broke it.
"""

from collections.abc import Callable
from typing import Final, NamedTuple, TypeAlias

import msgspec

from fleetcap_streams.protocols import sha256
from fleetcap_streams.protocols.contract import Limits
from fleetcap_streams.protocols.decoding import Chain, DecodeError, OutputLimit

Tap: TypeAlias = Callable[[bytes], None]
"""Is given each decoded byte of a body once and in order, also where the body is decoded again."""

REBUILD: Final = 256 * 1024  # encoded bytes kept; bounds the snapshot of a connection with a body in flight
_SLICE: Final = 64 * 1024  # divides REBUILD, so that what is kept does not depend on how the bytes were cut
_FINE_SLICE: Final = 1024

# Notes of a message about its body.
TRUNCATED: Final = "truncated"  # more was decoded than is kept; size and hash are of all of it
DECODE_CUT: Final = "decode-cut"  # the coding's own end was not seen
DECODE_ERROR: Final = "decode-error"  # what comes before the broken place is decoded
CODING_WRONG: Final = "content-coding-wrong"  # nothing could be decoded: the body, its size and hash are as sent
OVER_LIMIT: Final = "decompressed-limit"  # decoding stopped there
DECODER_LOST: Final = "decoder-lost"  # a restart came too late in the body to decode its rest


class BodyState(msgspec.Struct, array_like=True):
    """A body in flight as it stands in a snapshot."""

    codings: tuple[str, ...]
    encoded: bytes | None
    kept: bytes
    size: int
    hasher: bytes
    encoded_size: int
    missing: int
    trouble: str
    tapped: int = 0


class Finished(NamedTuple):
    """What a body came to; the fields of `Message` of the same names. The hash is empty where it would not be the body's."""

    body: bytes
    body_size: int
    body_sha256: bytes
    encoded_size: int
    notes: tuple[str, ...]


class _Kept:
    """The decoded side. Nothing is hashed before it is over `limit`: until then all of it is here."""

    __slots__ = ("data", "hasher", "limit", "size", "tap", "tapped")

    def __init__(self, limit: int, tap: Tap | None, tapped: int) -> None:
        self.data = bytearray()
        self.size = 0
        self.limit = limit
        self.hasher: sha256.Implementation | None = None
        self.tap = tap
        self.tapped = tapped  # decoded bytes that the tap has had

    def add(self, piece: bytes) -> None:
        self.size += len(piece)
        if self.tap is not None and self.size > self.tapped:
            self.tap(piece[-(self.size - self.tapped) :])
            self.tapped = self.size
        if self.hasher is not None:
            self.hasher.update(piece)
        elif self.size <= self.limit:
            self.data += piece
        else:
            self.hasher = sha256.start()
            self.hasher.update(bytes(self.data))
            self.hasher.update(piece)
            self.data += piece[: self.limit - len(self.data)]

    def digest(self) -> bytes:
        return sha256.digest(self.data) if self.hasher is None else self.hasher.digest()


class Body:
    """One body in flight; `codings` in the order in which they are taken off, all of them known."""

    __slots__ = ("_chain", "_codings", "_encoded", "_kept", "_limits", "_trouble", "encoded_size", "missing")

    def __init__(self, limits: Limits, codings: tuple[str, ...] = (), tap: Tap | None = None) -> None:
        self.encoded_size = 0
        self.missing = 0
        self._limits = limits
        self._codings = codings
        self._trouble = ""
        self._kept = _Kept(limits.body, tap, 0)
        self._begin()

    def _begin(self) -> None:
        self._kept = _Kept(self._limits.body, self._kept.tap, self._kept.tapped)
        self._chain = Chain(self._codings, self._limits.decompressed) if self._codings else None
        self._encoded: bytearray | None = bytearray()

    def feed(self, data: bytes) -> None:
        """Take bytes as sent, without transfer coding."""
        if self._chain is None:
            self.encoded_size += len(data)
            if self._trouble != OVER_LIMIT:
                self._kept.add(data)
            return
        start = 0
        while start < len(data):
            end = start + _SLICE - self.encoded_size % _SLICE
            self._decode(data[start:end])
            start = end

    def _decode(self, data: bytes) -> None:
        self.encoded_size += len(data)
        if self._chain is None:  # an earlier slice has shown that the body is not coded
            self._kept.add(data)
            return
        if self._trouble:
            return
        self._retain(data)
        try:
            self._chain.push(data, self._kept.add)
        except OutputLimit:
            self._stop(OVER_LIMIT)
        except DecodeError:
            self._salvage()

    def _retain(self, data: bytes) -> None:
        if self._encoded is not None and len(self._encoded) + len(data) <= REBUILD:
            self._encoded += data
        else:
            self._encoded = None

    def _stop(self, why: str) -> None:
        self._trouble = why
        self._encoded = None

    def _salvage(self) -> None:
        """Decode once more, up to the byte that is wrong, because a decoder that fails keeps its last output to itself."""
        if self._encoded is None:
            self._stop(DECODE_ERROR)
            return
        encoded = bytes(self._encoded)
        sound = self._decode_slices(encoded, 0, _FINE_SLICE)
        self._decode_slices(encoded, sound, 1)
        if self._chain is not None and self._chain.finished:  # it ended before: what follows is padding, as behind gzip
            self._encoded = bytearray(encoded)
            return
        if self._kept.size:
            self._stop(DECODE_ERROR)
            return
        self._take_as_sent(encoded)

    def _take_as_sent(self, encoded: bytes) -> None:
        """Nothing could be decoded: some servers name a coding that they have not applied."""
        self._codings = ()
        self._begin()
        self._trouble = CODING_WRONG
        self._kept.add(encoded)

    def _decode_slices(self, encoded: bytes, sound: int, size: int) -> int:
        """Begin anew, decode `sound` bytes at once and the rest in slices; how many bytes went well."""
        self._begin()
        assert self._chain is not None  # noqa: S101 - only a coded body fails to decode
        try:
            for start in range(0, sound, _FINE_SLICE):
                self._chain.push(encoded[start : start + _FINE_SLICE], self._kept.add)
            for start in range(sound, len(encoded), size):
                self._chain.push(encoded[start : start + size], self._kept.add)
                sound = min(start + size, len(encoded))
        except (DecodeError, OutputLimit):
            pass
        return sound

    def gap(self, missing: int) -> None:
        """Bytes of it were lost, 0 where their number is not known. No decoder can go on behind a hole."""
        self.missing += missing
        if self._chain is not None and not self._trouble:
            self._stop(DECODE_CUT)

    def finish(self, *, complete: bool) -> Finished:
        """Nothing more is coming; `complete` tells whether that is because the body is whole."""
        if self._chain is not None and self.encoded_size and not self._chain.finished and not self._trouble:
            if complete and not self._kept.size and self._encoded is not None:
                self._take_as_sent(bytes(self._encoded))
            else:
                self._trouble = DECODE_CUT
        kept = self._kept
        notes = (self._trouble,) if self._trouble else ()
        if kept.size > self._limits.body:
            notes = (*notes, TRUNCATED)
        sound = not self.missing and self._trouble in ("", CODING_WRONG)
        return Finished(bytes(kept.data), kept.size, kept.digest() if sound else b"", self.encoded_size, notes)

    @property
    def decoder_lost(self) -> bool:
        """A restore came when it was too late to rebuild the decoder."""
        return self._trouble == DECODER_LOST

    def state(self) -> BodyState:
        """What a snapshot holds of it."""
        kept, rebuild = self._kept, self._chain is not None and not self._trouble and self._encoded is not None
        return BodyState(
            codings=self._codings,
            encoded=bytes(self._encoded) if rebuild and self._encoded is not None else None,
            kept=b"" if rebuild else bytes(kept.data),
            size=0 if rebuild else kept.size,
            hasher=b"" if rebuild or kept.hasher is None else kept.hasher.state(),
            encoded_size=self.encoded_size,
            missing=self.missing,
            trouble=self._trouble,
            tapped=kept.tapped,
        )

    @classmethod
    def restore(cls, limits: Limits, state: BodyState, tap: Tap | None = None) -> "Body":
        """Go on from a state."""
        body = cls(limits, state.codings, tap)
        body._kept.tapped = state.tapped
        if state.encoded is not None:
            body.feed(state.encoded)
            return body
        body.encoded_size, body.missing, body._trouble = state.encoded_size, state.missing, state.trouble
        body._kept.data, body._kept.size = bytearray(state.kept), state.size
        body._kept.hasher = sha256.restore(state.hasher) if state.hasher else None
        if state.codings and not state.trouble:
            body._stop(DECODER_LOST)
        return body
