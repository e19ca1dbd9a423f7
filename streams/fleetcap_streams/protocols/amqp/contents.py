"""A content that is coming in: a method, then a header with properties, then a body in frames, and at last one message."""

from typing import Any, Final

import msgspec

from fleetcap_streams.protocols.amqp import told, wire
from fleetcap_streams.protocols.contract import Direction, Limits, Message, Role
from fleetcap_streams.protocols.framing import Frame
from fleetcap_streams.protocols.shown import AFTER_GAP, BODY_CUT, TRUNCATED

NAME: Final = "amqp"
UNKNOWN_SIZE: Final = -1


class Content(msgspec.Struct, array_like=True):
    """One of them. `held` is what it keeps of the room that all contents of a connection share."""

    told: dict[str, Any]
    role: Role
    exchange: int
    start_ns: int
    size: int = UNKNOWN_SIZE  # of the body, as its header says
    received: int = 0  # bytes of it that went by, seen or lost
    kept: bytes = b""
    missing: int = 0
    held: int = 0
    notes: list[str] = []

    def note(self, *notes: str) -> None:
        """Add notes that it does not have."""
        self.notes += [note for note in notes if note not in self.notes]

    @property
    def over(self) -> bool:
        """Whether all that its header promised went by."""
        return UNKNOWN_SIZE < self.size <= self.received

    def add_header(self, frame: Frame, room: int) -> None:
        """Take its header. Properties that there is no room for are shown without their table."""
        self.missing += frame.missing
        if len(frame.data) < told.PROPERTIES:
            return
        self.size = int.from_bytes(frame.data[told.PROPERTIES - 8 : told.PROPERTIES], "big")
        properties, notes = told.of_properties(frame)
        self.note(*notes)
        size = len(msgspec.json.encode(properties))
        if size > room:
            properties.pop("headers", None)
            self.note(BODY_CUT)
            size = 0
        self.held += size
        self.told = {**self.told, **properties}

    def add_body(self, frame: Frame, room: int) -> None:
        """Take a frame of its body. Behind a hole nothing is kept: it would look as if it followed what came before."""
        payload = frame.data[wire.BEFORE : max(frame.size - 1, wire.BEFORE)]
        taken = b"" if self.missing else payload[: max(room, 0)]
        self.kept += taken
        self.held += len(taken)
        self.missing += frame.missing
        self.received += max(frame.size - wire.AROUND, 0)
        if len(self.kept) < self.received and not self.missing:
            self.note(BODY_CUT)

    def message(self, direction: Direction, time_ns: int, *, whole: bool) -> Message:
        """What it has become; `whole`: nothing more is to come."""
        if self.received > self.size != UNKNOWN_SIZE:
            self.note(told.UNREADABLE)
        if not whole:
            self.missing += max(self.size - self.received, 1)
        if self.missing:
            self.note(TRUNCATED)
        size = max(self.size, self.received)
        return Message(
            NAME,
            direction,
            self.role,
            self.exchange,
            self.start_ns,
            time_ns,
            head=told.line(self.told) + b"\n",
            body=self.kept,
            body_size=size,
            encoded_size=size,
            complete=not self.missing and not {AFTER_GAP, told.UNREADABLE} & {*self.notes},
            missing_bytes=self.missing,
            notes=tuple(self.notes),
            attributes=self.told,
        )


def room(limits: Limits, held: int, content: Content) -> int:
    """Bytes of a body that may still be kept, with so many held by all contents of the connection."""
    return min(limits.body - len(content.kept), limits.head - held)
