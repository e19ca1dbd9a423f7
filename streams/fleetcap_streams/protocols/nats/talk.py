"""Which units answer which: from control lines and payloads to messages.

A connection has three series of questions, each answered in order: the client's PING, the server's, and, where the client wished
for it, its commands. None can take another's answer, so what a loss makes doubtful in one leaves the others alone.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from fleetcap_streams.protocols.contract import Attribute, Direction, End, Limits, Message, Role
from fleetcap_streams.protocols.framing import DesyncError, Frame, Framing, Step
from fleetcap_streams.protocols.nats import facts, greeting, wire
from fleetcap_streams.protocols.nats.wire import Line
from fleetcap_streams.protocols.shown import AFTER_GAP, BODY_CUT, LEFT_OUT, TRUNCATED, text
from fleetcap_streams.protocols.turns import Turns

NAME: Final = "nats"

_ASKS_FOR_ANSWER: Final = frozenset((b"PUB", b"HPUB", b"SUB", b"UNSUB"))
_DIGITS: Final = 18  # of a count: all that an int64 holds
_INBOXES: Final = 256  # requests whose answers are told apart; older ones are forgotten
# The server says these whatever it was asked last; with all but the last it hangs up.
_UNASKED: Final = (
    b"stale connection",
    b"slow consumer",
    b"authentication timeout",
    b"user authentication",
    b"account authentication",
    b"maximum connections exceeded",
    b"maximum account",
    b"server shutdown",
    b"secure connection",
    b"unknown protocol operation",
    b"parser error",
    b"maximum control line exceeded",
    b"connection closed",
)
# Said of a command that is carried out all the same, and then answered by +OK.
_WARNING: Final = b"invalid publish subject"


class Asked(msgspec.Struct, array_like=True):
    """What waits for its answer."""

    number: int
    operation: str


def _pings() -> list[Turns[Asked]]:
    return [Turns(client=direction) for direction in Direction]


class TalkState(msgspec.Struct, array_like=True):
    """What is remembered of a connection."""

    pings: list[Turns[Asked]] = msgspec.field(default_factory=_pings)  # by the direction of PING
    commands: Turns[Asked] = msgspec.field(default_factory=Turns)
    client: Direction | None = None
    verbose: bool | None = None  # None: CONNECT was not seen
    lossy: bool = False
    count: int = 0
    requests: dict[str, str] = {}  # where an answer is to go: the subject of the request, oldest first


class Nats(Framing):
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

    def find(self, direction: Direction, data: bytes, at: int, *, edge: bool) -> tuple[int, bool]:
        """A line as the side that speaks writes it."""
        client = self.state.client
        return wire.find(data, at, edge=edge, client=None if client is None else client is direction)

    def parse(self, direction: Direction, data: bytes, at: int) -> Step:  # noqa: ARG002 - the contract's
        """See `Framing`."""
        return wire.unit(data, at)

    def lost(self, direction: Direction, missing: int, time_ns: int) -> Sequence[Message]:  # noqa: ARG002 - the contract's
        """See `Framing`."""
        state = self.state
        state.lossy = True
        if state.verbose is None:
            # How this client asks is not known: it may have asked ahead all the time.
            state.commands.overlaps = True
        for turns in (*state.pings, state.commands):
            turns.lost(direction, missing)
        return ()

    def ended(self, direction: Direction, end: End, time_ns: int) -> Sequence[Message]:  # noqa: ARG002 - the contract's
        """Idle: both sides stand at the same place again."""
        if end is End.IDLE:
            for turns in (*self.state.pings, self.state.commands):
                turns.settle()
        return ()

    def stitch(self, direction: Direction, frame: Frame) -> Sequence[Message]:
        """See `Framing`."""
        if not wire.is_verb(frame.data):
            return ()  # broken off before it said what it is
        line = wire.read(frame.data)
        with_payload = line.verb in wire.WITH_PAYLOAD and line.length
        if with_payload and frame.whole and not frame.data.endswith(wire.TRAILER):
            raise DesyncError
        self._meet(direction, line.verb)
        message = self._message(direction, frame, line)
        message.attributes = {"operation": text(line.verb)}
        if with_payload:
            self._payload(message, frame, line)
        else:
            self._line(message, frame, line)
        if frame.whole:
            self._pair(message, line)
        return (message,)

    def _meet(self, direction: Direction, verb: bytes) -> None:
        state = self.state
        if state.client is None and verb in wire.FROM_CLIENT | wire.FROM_SERVER:
            state.client = direction if verb in wire.FROM_CLIENT else direction.other
            state.commands.meet(state.client)

    def _message(self, direction: Direction, frame: Frame, line: Line) -> Message:
        payload = max(line.size - line.header_size, 0) if line.verb in wire.WITH_PAYLOAD and line.length else frame.size
        return Message(
            NAME,
            direction,
            Role.SINGLE,
            0,
            frame.start_ns,
            frame.end_ns,
            body_size=payload,
            encoded_size=payload,
            complete=not frame.missing,
            missing_bytes=frame.missing,
            notes=(TRUNCATED,) if frame.missing else (),
        )

    def _payload(self, message: Message, frame: Frame, line: Line) -> None:
        begin = line.length + line.header_size
        kept = frame.data[begin : line.length + line.size]
        message.head = frame.data[:begin]
        message.body = kept[: self._limits.body]
        if len(message.body) < line.size - line.header_size and not frame.missing:
            message.notes += (BODY_CUT,)
        told = facts.of_line(line)
        subject, reply_to = told.get("subject", ""), told.get("reply_to")
        request = self.state.requests.get(subject)
        if request is not None:
            told["in_reply_to"] = request
        if reply_to:
            self._expect(reply_to, subject)
        headers = facts.of_headers(line.verb, frame.data[line.length : begin])
        message.attributes = {**message.attributes, **told, **headers}

    def _expect(self, inbox: str, subject: str) -> None:
        requests = self.state.requests
        requests.pop(inbox, None)
        while requests and len(requests) >= min(_INBOXES, self._limits.pending):
            del requests[next(iter(requests))]
        requests[inbox] = subject

    def _line(self, message: Message, frame: Frame, line: Line) -> None:
        """A unit that is a line and nothing else; only a whole one says for sure what it says."""
        if line.verb in (b"INFO", b"CONNECT"):
            self._greeting(message, frame, line)
            return
        shown = frame.data.rstrip(b"\r\n")
        message.body = shown[: self._limits.body]
        if frame.cut or len(shown) > self._limits.body:
            message.notes += (BODY_CUT,)
        if frame.whole:
            told: dict[str, Attribute] = {**message.attributes, **facts.of_line(line)}
            if line.verb == b"UNSUB" and len(line.words) == 2 and line.words[1].isdigit():
                told["max_messages"] = int(line.words[1][:_DIGITS])
            message.attributes = told

    def _greeting(self, message: Message, frame: Frame, line: Line) -> None:
        said = greeting.read(line.verb, line.rest if frame.whole else b"")
        message.head = line.verb + b" "
        message.body_size = message.encoded_size = len(line.rest) if frame.whole else frame.size
        message.body = said.text[: self._limits.body]
        message.attributes = {**message.attributes, **said.facts}
        if said.hid:
            message.notes += (LEFT_OUT,)
        if len(said.text) > self._limits.body:
            message.notes += (BODY_CUT,)
        if line.verb == b"CONNECT":
            # The server's own default, and what it takes where the client does not say.
            self.state.verbose = True if said.verbose is None else said.verbose

    def _pair(self, message: Message, line: Line) -> None:
        direction, state = message.direction, self.state
        match line.verb:
            case b"PING":
                self._ask(state.pings[direction], message)
            case b"PONG":
                self._answer(state.pings[direction.other], message)
            case b"+OK":
                if state.verbose is None:
                    state.verbose = True
                self._answer(state.commands, message)
            case b"-ERR":
                self._error(message, line.rest.strip(b"'").lower())
            case verb if verb == b"CONNECT" or verb in _ASKS_FOR_ANSWER:
                if state.client is direction and (state.verbose or (state.verbose is None and not state.lossy)):
                    self._ask(state.commands, message)

    def _ask(self, turns: Turns[Asked], message: Message) -> None:
        turns.turn()
        turns.count += 1
        self.state.count += 1
        turns.ask(Asked(self.state.count, str(message.attributes["operation"])), self._limits.pending)
        message.role, message.exchange = Role.REQUEST, self.state.count

    def _answer(self, turns: Turns[Asked], message: Message, role: Role = Role.RESPONSE) -> None:
        turns.heard()
        front = turns.front()
        message.role = role
        if turns.doubtful:
            message.complete = False
            message.notes += (AFTER_GAP,)
        if front is None:
            return
        message.exchange = front.number
        message.attributes = {**message.attributes, "answers": front.operation}
        if role is Role.RESPONSE:
            turns.done()

    def _error(self, message: Message, error: bytes) -> None:
        """It answers the oldest command that has no answer, unless by what it says it does not."""
        turns = self.state.commands
        front = turns.front()
        if not turns.waiting or error.startswith(_UNASKED):
            return
        refused = error.startswith(b"authorization violation")
        if refused and front is not None and front.operation != "CONNECT":
            return
        self._answer(turns, message, Role.INTERIM if error.startswith(_WARNING) else Role.RESPONSE)
