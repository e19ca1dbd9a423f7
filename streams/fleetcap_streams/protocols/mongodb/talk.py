"""Which reply answers which command: from messages as they stand on the wire to messages that are put out.

A reply names the message it answers, so replies may come in any order and nothing that is lost makes another pairing doubtful.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from fleetcap_streams.protocols.contract import Direction, Limits, Message, Role, Score
from fleetcap_streams.protocols.framing import Frame, Framing, Step
from fleetcap_streams.protocols.mongodb import messages, wire
from fleetcap_streams.protocols.mongodb.messages import Said
from fleetcap_streams.protocols.shown import BODY_CUT, LEFT_OUT, TRUNCATED

NAME: Final = "mongodb"
UNREADABLE: Final = "unreadable"

_UNANSWERED: Final = frozenset((wire.INSERT, wire.UPDATE, wire.DELETE, wire.KILL_CURSORS))


class Asked(msgspec.Struct, array_like=True):
    """A command that waits for its reply."""

    number: int
    command: str
    exhaust: bool = False  # an OP_QUERY that is answered by one OP_REPLY after the other


class TalkState(msgspec.Struct, array_like=True):
    """What is remembered of a connection."""

    waiting: dict[int, Asked] = {}
    client: Direction | None = None
    count: int = 0


class MongoDb(Framing):
    """One connection's talk."""

    State = TalkState
    state: TalkState

    def __init__(self, limits: Limits, state: Any = None) -> None:
        self.state = TalkState() if state is None else state
        self._limits = limits

    @property
    def exchanges(self) -> int:
        """See `Framing`."""
        return self.state.count

    def find(self, direction: Direction, data: bytes, at: int, *, edge: bool) -> tuple[int, bool]:  # noqa: ARG002 - the contract's
        """A header of a known operation with what has to stand behind it is no accident."""
        return wire.find(data, at)

    def parse(self, direction: Direction, data: bytes, at: int) -> Step:  # noqa: ARG002 - the contract's
        """See `Framing`."""
        return wire.message(data, at)

    def stitch(self, direction: Direction, frame: Frame) -> Sequence[Message]:
        """See `Framing`."""
        if wire.is_message(frame.data, 0) is not Score.YES:
            return ()  # broken off before it said what it is
        said = messages.read(frame.data, self._limits.body, min(self._limits.head, self._limits.decompressed))
        asks = said.asks if said.asks is not None else self.state.client is not direction.other
        if said.asks is not None:
            self.state.client = direction if asks else direction.other
        message = self._message(direction, frame, said)
        if asks:
            self._ask(message, said)
        else:
            self._answer(message, said)
        message.attributes = said.told
        return (message,)

    def _message(self, direction: Direction, frame: Frame, said: Said) -> Message:
        shown = said.text.done()
        notes = {
            BODY_CUT: (said.text.cut and not frame.missing) or frame.cut,
            TRUNCATED: frame.missing > 0,
            LEFT_OUT: said.text.hid,
            UNREADABLE: said.broken,
        }
        return Message(
            NAME,
            direction,
            Role.RESPONSE,
            0,
            frame.start_ns,
            frame.end_ns,
            body=shown,
            body_size=frame.size,
            encoded_size=frame.size,
            complete=not frame.missing and not said.broken,
            missing_bytes=frame.missing,
            notes=tuple(note for note, holds in notes.items() if holds),
        )

    def _ask(self, message: Message, said: Said) -> None:
        state = self.state
        if said.code in _UNANSWERED or said.again:
            message.role = Role.SINGLE
            return
        message.role = Role.REQUEST
        state.count += 1
        message.exchange = state.count
        self._wait(said.header.request_id, Asked(state.count, str(said.told.get("command", "")), said.exhaust))

    def _wait(self, request_id: int, asked: Asked) -> None:
        waiting = self.state.waiting
        waiting.pop(request_id, None)  # a peer that uses a number again waits no longer for what it stood for
        while waiting and len(waiting) >= self._limits.pending:
            del waiting[next(iter(waiting))]
        waiting[request_id] = asked

    def _answer(self, message: Message, said: Said) -> None:
        said.told["response_to"] = said.header.response_to
        asked = self.state.waiting.pop(said.header.response_to, None)
        if asked is None:
            return
        message.exchange = asked.number
        if asked.command:
            said.told["command"] = asked.command
        if said.again and (said.code == wire.MSG or asked.exhaust):
            # The next one answers this one (the wire protocol's "exhaust" cursors and hello).
            message.role = Role.INTERIM
            self._wait(said.header.request_id, asked)
