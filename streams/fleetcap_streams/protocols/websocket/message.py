"""A WebSocket message while its frames arrive."""

from typing import Final

import msgspec

from fleetcap_streams.protocols.body import DECODE_ERROR, OVER_LIMIT, Body, BodyState
from fleetcap_streams.protocols.contract import Attribute, Direction, Limits, Message, Role
from fleetcap_streams.protocols.decoding import DecodeError, OutputLimit
from fleetcap_streams.protocols.websocket.frames import NAMES, Opcode
from fleetcap_streams.protocols.websocket.inflate import Context

NAME: Final = "websocket"
PROOF: Final = 16  # bytes of text that are no accident
_UTF8_MOST: Final = 4  # bytes of a character, which the body limit may cut
ENCODED_MOST: Final = 256 * 1024  # of a compressed message, which is decoded once it is whole; bounds the snapshot

# Notes of a message.
GAP: Final = "gap"  # bytes of it are missing
CUT: Final = "cut-by-close"  # the connection ended inside it
JOINED: Final = "joined"  # its first frames were not seen
RESYNCHRONISED: Final = "resynchronised"  # it is the first one after bytes that could not be read
CONTEXT_LOST: Final = "compression-context-lost"  # it refers to messages that were not seen, so it cannot be decoded
TOO_LONG: Final = "compressed-limit"  # too long to be decoded
NOT_UTF8: Final = "invalid-utf8"


class OpenState(msgspec.Struct, array_like=True):
    """An open message as it stands in a snapshot."""

    opcode: int
    compressed: bool
    start_ns: int
    frames: int
    notes: tuple[str, ...]
    body: BodyState
    encoded: bytes | None
    encoded_size: int
    missing: int


class OpenMessage:
    """One message, of data or control. A compressed one is collected and decoded at its end."""

    __slots__ = ("_body", "_encoded", "_limits", "compressed", "encoded_size", "frames", "missing", "notes", "opcode", "start_ns")

    def __init__(self, limits: Limits, opcode: Opcode, start_ns: int, notes: tuple[str, ...], *, compressed: bool) -> None:
        self._limits = limits
        self.opcode = opcode
        self.compressed = compressed
        self.start_ns = start_ns
        self.notes = notes
        self.frames = 1
        self.encoded_size = 0
        self.missing = 0
        self._body = Body(limits)
        self._encoded: bytearray | None = bytearray() if compressed else None

    def feed(self, data: bytes) -> None:
        """Payload, no longer masked."""
        self.encoded_size += len(data)
        if not self.compressed:
            self._body.feed(data)
        elif self._encoded is not None:
            self._encoded += data
            if len(self._encoded) > ENCODED_MOST:
                self._encoded = None

    def gap(self, missing: int) -> None:
        """Bytes of its payload are lost."""
        self.missing += missing
        self._encoded = None
        if not self.compressed:
            self._body.gap(missing)

    def finish(self, direction: Direction, end_ns: int, context: Context, *, whole: bool) -> Message:
        """It is over; `whole` tells whether its last frame ended."""
        notes, sound = self.notes, whole and not self.missing and JOINED not in self.notes
        if self.missing:
            notes += (GAP,)
        if self.compressed:
            trouble = self._inflate(context, whole=whole)
            notes += trouble
            sound = sound and not trouble
        done = self._body.finish(complete=sound)
        notes += done.notes
        sound = sound and (RESYNCHRONISED not in notes or self._proves_itself(done.body))
        if self.opcode is Opcode.TEXT and sound and done.body_size == len(done.body) and not _is_text(done.body):
            notes += (NOT_UTF8,)
        return Message(
            NAME,
            direction,
            Role.SINGLE,
            0,
            self.start_ns,
            end_ns,
            body=done.body,
            body_size=done.body_size,
            body_sha256=done.body_sha256 if sound else b"",
            encoded_size=self.encoded_size,
            complete=sound,
            missing_bytes=self.missing,
            notes=notes,
            attributes=self._attributes(done.body),
        )

    def _proves_itself(self, body: bytes) -> bool:
        """Whether what was found by a run of headers is a message for certain: only text can show that it is."""
        return self.opcode is Opcode.TEXT and len(body) >= PROOF and _is_text(body[:-_UTF8_MOST] or body)

    def _attributes(self, body: bytes) -> dict[str, Attribute]:
        told: dict[str, Attribute] = {"opcode": NAMES[self.opcode]}
        if self.frames > 1:
            told["frames"] = self.frames
        if self.compressed:
            told["compressed"] = True
        if self.opcode is Opcode.CLOSE and len(body) >= 2:
            told["close_code"] = int.from_bytes(body[:2])
            told["close_reason"] = body[2:].decode("utf-8", "replace")
        return told

    def _inflate(self, context: Context, *, whole: bool) -> tuple[str, ...]:
        """Decode into the body; notes on why not."""
        if not whole or self._encoded is None:
            context.forget()
            return () if self.missing or not whole else (TOO_LONG,)
        was_lost = context.lost
        try:
            context.inflate(bytes(self._encoded), self._limits.decompressed, self._body.feed)
        except OutputLimit:
            return (OVER_LIMIT,)
        except DecodeError:
            self._body = Body(self._limits)  # what came before the broken place may rest on the wrong context
            return (CONTEXT_LOST if was_lost else DECODE_ERROR,)
        return ()

    def state(self) -> OpenState:
        """What a snapshot holds of it."""
        encoded = None if self._encoded is None else bytes(self._encoded)
        return OpenState(
            self.opcode,
            self.compressed,
            self.start_ns,
            self.frames,
            self.notes,
            self._body.state(),
            encoded,
            self.encoded_size,
            self.missing,
        )

    @classmethod
    def restore(cls, limits: Limits, state: OpenState) -> "OpenMessage":
        """Go on from a state."""
        opened = cls(limits, Opcode(state.opcode), state.start_ns, state.notes, compressed=state.compressed)
        opened.frames, opened.encoded_size, opened.missing = state.frames, state.encoded_size, state.missing
        opened._body = Body.restore(limits, state.body)
        opened._encoded = None if state.encoded is None else bytearray(state.encoded)
        return opened


def _is_text(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True
