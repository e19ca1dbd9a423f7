"""Who asked what, and which answer belongs to it: from RESP elements to messages. Cannot be wrong about where elements end."""

import re
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from fleetcap_streams.protocols.contract import Attribute, Direction, End, Limits, Message, Role
from fleetcap_streams.protocols.framing import INVALID, Frame, Framing, Step
from fleetcap_streams.protocols.redis import commands, wire
from fleetcap_streams.protocols.redis.values import NAMES, Value
from fleetcap_streams.protocols.shown import AFTER_GAP, BODY_CUT, LEFT_OUT, TRUNCATED, text, texts
from fleetcap_streams.protocols.turns import Turns

NAME: Final = "redis"

_PUSH: Final = ord(">")
# What answers these get depends on all of their arguments.
_BY_ARGUMENTS: Final = commands.SUBSCRIBING | commands.UNSUBSCRIBING | {b"CLIENT"}
_MONITORED: Final = re.compile(rb"[0-9]{9,11}\.[0-9]{6} \[[0-9]+ ")


class Asked(msgspec.Struct, array_like=True):
    """A command that waits for its answers; a subscription gets one for each channel."""

    number: int
    command: bytes
    answers: int = 1


class TalkState(msgspec.Struct, array_like=True):
    """What is remembered of a connection."""

    turns: Turns[Asked] = msgspec.field(default_factory=Turns)
    open: list[Value | None] = msgspec.field(default_factory=lambda: [None, None])
    joined: bool = False
    sure: bool = False  # of who asks
    inline: bool = False
    transaction: bool = False
    silent: int = 0  # commands to come that get no answer: CLIENT REPLY SKIP; -1: all of them, OFF
    replica: bool = False  # after PSYNC the server sends what it is told

    @property
    def client(self) -> Direction | None:
        """Who asks, as far as it is known."""
        return self.turns.client


class Redis(Framing):
    """One connection's talk."""

    State = TalkState
    state: TalkState

    def __init__(self, limits: Limits, state: Any = None) -> None:
        self.state = TalkState() if state is None else state
        self._limits = limits

    @property
    def exchanges(self) -> int:
        """The highest exchange number used."""
        return self.state.turns.count

    def find(self, direction: Direction, data: bytes, at: int, *, edge: bool) -> tuple[int, bool]:
        """A line that begins a command, or an answer, as far as it is known who asks."""
        client = self.state.client if self.state.sure else None
        return wire.find(data, at, edge=edge, request=client is not direction.other, answer=client is not direction)

    def parse(self, direction: Direction, data: bytes, at: int) -> Step:
        """An element. Only commands may be inline."""
        state = self.state
        if state.open[direction] is not None:
            return wire.element(data, at, inline=False)
        if state.sure and state.client is direction and data[at] in wire.TYPES and data[at] != wire.ARRAY:
            return INVALID
        inline = state.client is not direction.other
        return wire.element(data, at, inline=inline)

    def aligned(self, direction: Direction) -> bool:
        """The server's next byte begins an answer when its client has just asked anew."""
        return self.state.turns.aligned(direction)

    def stitch(self, direction: Direction, frame: Frame) -> Sequence[Message]:
        """Add the element to the value that is open in its direction."""
        value = self.state.open[direction]
        if value is None:
            value = Value(frame.start_ns)
        value.take(frame, self._limits.body)
        self.state.open[direction] = None if value.over else value
        return self._finish(direction, value, frame.end_ns) if value.over else ()

    def lost(self, direction: Direction, missing: int, time_ns: int) -> Sequence[Message]:
        """A broken command ends; a broken answer goes on, for it may be long, until the next question proves it over."""
        state = self.state
        state.joined = True
        value = state.open[direction]
        if value is not None:
            value.missing += max(missing, 1)
        from_client = state.client is None or state.client is direction
        if from_client:
            state.transaction, state.silent = False, 0  # the command that ends it may be what was lost
        messages = self._break_off(direction, time_ns) if from_client else []
        state.turns.lost(direction, missing)
        return messages

    def ended(self, direction: Direction, end: End, time_ns: int) -> Sequence[Message]:
        """Idle: after a loss both sides stand at the same place again. Else what is open is incomplete."""
        if end is End.IDLE:
            return self._settled(self.state.turns.settle, time_ns)
        return self._break_off(direction, time_ns)

    def _settled(self, settle: Callable[[], object], time_ns: int) -> list[Message]:
        """Whatever of an answer is still open when both sides are known to stand at the same place was broken by a loss."""
        state = self.state
        doubtful = state.turns.doubtful
        front = state.turns.front()
        settle()
        if not doubtful or state.turns.doubtful or state.client is None:
            return []
        server = state.client.other
        value, state.open[server] = state.open[server], None
        return [] if value is None or value.kind < 0 else [self._answer(server, value, front, time_ns, whole=False)]

    def _break_off(self, direction: Direction, time_ns: int) -> list[Message]:
        value, self.state.open[direction] = self.state.open[direction], None
        if value is None or value.kind < 0:
            return []
        value.missing = value.missing or 1
        return list(self._finish(direction, value, time_ns))

    def _finish(self, direction: Direction, value: Value, time_ns: int) -> Sequence[Message]:
        state = self.state
        if not state.sure:
            self._meet(direction, value)
        return self._command(direction, value, time_ns) if state.client is direction else self._reply(direction, value, time_ns)

    def _meet(self, direction: Direction, value: Value) -> None:
        """Who asks, by a value that is whole. Where the tap joined, a list of strings may be an answer as well as a command."""
        state = self.state
        named = value.command_like and bool(value.pieces)
        state.sure = named and (commands.known(value.pieces[0]) or not state.joined)
        if state.sure:
            client = direction
        elif state.client is None or not value.command_like:
            client = direction.other
        else:
            client = state.client
        if client is not state.client:
            mistaken = state.client is not None
            state.turns.meet(client)
            if mistaken:
                state.turns.lost(client, 1)

    def _command(self, direction: Direction, value: Value, time_ns: int) -> list[Message]:
        state, turns = self.state, self.state.turns
        messages = self._settled(turns.turn, time_ns)
        name = value.pieces[0].upper()[: commands.LONGEST] if value.pieces else b""
        words = commands.without_secrets(value.pieces)
        told = not value.missing or (commands.known(name) and name not in _BY_ARGUMENTS)
        answers = self._answers(name, [word.upper() for word in words[1:3]], len(words) - 1) if told else 0
        if not told:
            turns.lost(direction, 1)  # nobody knows how many answers it gets
        if answers:
            turns.count += 1
            turns.ask(Asked(turns.count, name, answers), self._limits.pending)
        message = self._message(direction, value, Role.REQUEST if answers else Role.SINGLE, time_ns)
        message.exchange = turns.count if answers else 0
        self._show(message, b" ".join(words))
        message.attributes = self._command_attributes(value, name, words)
        if words != value.pieces:
            message.notes = (*message.notes, LEFT_OUT)
        state.transaction = (state.transaction or name == b"MULTI") and name not in (b"EXEC", b"DISCARD")
        return [*messages, message]

    def _command_attributes(self, value: Value, name: bytes, words: Sequence[bytes]) -> dict[str, Attribute]:
        attributes: dict[str, Attribute] = {
            "command": text(name),
            "arguments": texts(words[1:]),
            "argument_count": max(value.scalars - 1, 0),
        }
        if value.kind == 0:
            attributes["inline"] = True
        if self.state.transaction and name != b"MULTI":
            attributes["transaction"] = True
        return attributes

    def _answers(self, name: bytes, words: Sequence[bytes], arguments: int) -> int:
        """How many answers a command gets."""
        state = self.state
        if state.replica:
            return 0
        if name == b"CLIENT" and words[:1] == [b"REPLY"]:
            state.silent = {b"OFF": -1, b"SKIP": 2}.get(words[-1], 0)
        if state.silent:
            state.silent -= 1 if state.silent > 0 else 0
            return 0
        return max(arguments, 1) if name in commands.SUBSCRIBING | commands.UNSUBSCRIBING else 1

    def _reply(self, direction: Direction, value: Value, time_ns: int) -> Sequence[Message]:
        turns = self.state.turns
        front = turns.front()
        kind = self._pushed(value, front)
        if kind:
            if value.missing and kind.encode() not in commands.PUBLISHED:
                turns.lost(direction, 1)  # it may have been the answer to a subscription
            return (self._push(direction, value, kind, time_ns),)
        turns.heard()
        front = turns.front()
        message = self._answer(direction, value, front, time_ns, whole=not value.missing)
        if front is None:
            return (message,)
        front.answers -= 1
        if front.answers > 0:
            message.role = Role.INTERIM
            return (message,)
        turns.done()
        self.state.replica = self.state.replica or (front.command in commands.REPLICATION and not value.errors)
        return (message,)

    def _pushed(self, value: Value, front: Asked | None) -> str:
        """What the server says unasked: its kind, or nothing where it is an answer."""
        first = value.pieces[0] if value.pieces else b""
        if first.upper() in commands.SUBSCRIBING | commands.UNSUBSCRIBING and value.scalars == 3:
            return "" if front is not None and front.command == first.upper() else text(first)
        if value.kind == _PUSH:
            return text(first) or "push"
        if self.state.replica:
            return "replication"
        waits = front is not None and front.command not in commands.WHILE_SUBSCRIBED
        if first in commands.PUBLISHED and value.elements in (3, 4) and not waits:
            return text(first)
        if value.kind == ord("+") and front is None and _MONITORED.match(first):
            return "monitor"
        return ""

    def _push(self, direction: Direction, value: Value, kind: str, time_ns: int) -> Message:
        message = self._message(direction, value, Role.SINGLE, time_ns)
        pieces = commands.without_secrets(value.pieces)
        self._show(message, b"\n".join(pieces))
        attributes: dict[str, Attribute] = {"type": NAMES.get(value.kind, ""), "push": kind, "resp": 3 if value.resp3 else 2}
        channels = pieces[1:-1] if kind in ("message", "pmessage", "smessage") else ()
        if channels:
            attributes["channel"] = text(channels[-1])
        if len(channels) > 1:
            attributes["pattern"] = text(channels[0])
        message.attributes = attributes
        return message

    def _answer(self, direction: Direction, value: Value, front: Asked | None, time_ns: int, *, whole: bool) -> Message:
        message = self._message(direction, value, Role.RESPONSE, time_ns)
        message.exchange = front.number if front is not None else 0
        pieces = commands.without_secrets(value.pieces) if value.elements else value.pieces
        self._show(message, b"\n".join(pieces))
        message.complete = whole and not self.state.turns.doubtful
        if self.state.turns.doubtful:
            message.notes = (*message.notes, AFTER_GAP)
        if pieces != value.pieces:
            message.notes = (*message.notes, LEFT_OUT)
        message.attributes = self._answer_attributes(value, front)
        return message

    def _answer_attributes(self, value: Value, front: Asked | None) -> dict[str, Attribute]:
        attributes: dict[str, Attribute] = {
            "type": "null" if value.null else NAMES.get(value.kind, "inline"),
            "resp": 3 if value.resp3 else 2,
        }
        if front is not None:
            attributes["command"] = text(front.command)
        if value.kind in wire.AGGREGATES and not value.null and value.elements >= 0:
            attributes["rows"] = value.elements
        if value.errors:
            attributes["errors"] = value.errors
        if value.kind in b"-!":
            attributes["error"] = text(value.error, 1024)
            attributes["error_code"] = text(value.error.partition(b" ")[0])
        elif value.kind == ord("+") and value.pieces == [b"QUEUED"]:
            attributes["queued"] = True
        return attributes

    def _show(self, message: Message, body: bytes) -> None:
        """Set the body; what stands between its pieces counts against the limit too."""
        message.body = body[: self._limits.body]
        if len(body) > self._limits.body and BODY_CUT not in message.notes:
            message.notes = (*message.notes, BODY_CUT)

    def _message(self, direction: Direction, value: Value, role: Role, time_ns: int) -> Message:
        notes = ((BODY_CUT,) if value.cut else ()) + ((TRUNCATED,) if value.missing else ())
        return Message(
            NAME,
            direction,
            role,
            0,
            value.start_ns,
            time_ns,
            body_size=value.size,
            encoded_size=value.size,
            complete=not value.missing,
            missing_bytes=value.missing,
            notes=notes,
        )
