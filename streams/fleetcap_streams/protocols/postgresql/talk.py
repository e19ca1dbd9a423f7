"""From PostgreSQL's messages to requests and their answers. The client's half; the server's is in answers.py."""

from collections.abc import Sequence
from struct import Struct
from typing import Any, Final

from fleetcap_streams.protocols.contract import Attribute, Direction, End, Limits, Message, Role, Score
from fleetcap_streams.protocols.framing import INVALID, MORE, DesyncError, Frame, Framing, Handover, State, Step
from fleetcap_streams.protocols.postgresql import frontend, wire
from fleetcap_streams.protocols.postgresql.answers import NAME, Answers
from fleetcap_streams.protocols.postgresql.units import SYNC, Group, Portal, Statement, TalkState, Unit, facts
from fleetcap_streams.protocols.shown import BODY_CUT, LEFT_OUT, TRUNCATED, text, without_secrets

UNKNOWN_STATEMENT: Final = "statement-unknown"  # it was prepared before the tap joined, or in a hole, or too long ago
NAMED_PORTAL_TEXT: Final = 4096  # bytes remembered of the statement of a portal that has a name
_INT32: Final = Struct(">I")
_TLS_RECORD: Final = 0x16


class PostgreSql(Framing):
    """One connection's talk."""

    State = TalkState
    state: TalkState

    def __init__(self, limits: Limits, state: Any = None) -> None:
        self.state = TalkState() if state is None else state
        self._limits = limits
        self._answers = Answers(self.state, limits)

    @property
    def exchanges(self) -> int:
        """The highest exchange number used."""
        return self.state.turns.count

    def _tables(self, direction: Direction) -> wire.Tables:
        client = self.state.client
        if client is None:
            return wire.BOTH
        return (wire.FRONTEND,) if client is direction else (wire.BACKEND,)

    def find(self, direction: Direction, data: bytes, at: int, *, edge: bool) -> tuple[int, bool]:
        """A message by its shape; where the tap joined, also a startup at once."""
        if self.state.client is None and edge and data[at] == 0:
            state = wire.startup(data, at)[0]
            if state is not State.INVALID:
                return at, state is State.DONE
        return wire.find(data, at, self._tables(direction))

    def parse(self, direction: Direction, data: bytes, at: int) -> Step:
        """A message, a startup, or the server's one byte about encryption."""
        state, first = self.state, data[at]
        if state.client is direction.other and state.asked_for_encryption and first in b"SNG":
            return State.DONE, 1
        if state.encrypted and (first == _TLS_RECORD or (state.encrypted == "gss" and first == 0)):
            raise Handover("tls" if first == _TLS_RECORD else "gss")
        if first == 0:
            return wire.startup(data, at) if state.client is not direction.other else INVALID
        if state.client is None and wire.anchor(data, at, wire.BOTH) is Score.MORE:
            return MORE
        return wire.message(data, at, self._tables(direction))

    def aligned(self, direction: Direction) -> bool:
        """The server's next byte begins an answer when its client has just asked anew."""
        return self.state.turns.aligned(direction)

    def stitch(self, direction: Direction, frame: Frame) -> Sequence[Message]:
        """Give the message to its half."""
        state = self.state
        if len(frame.data) < wire.HEADER and not (frame.whole and frame.size == 1):
            return ()
        if state.client is None:
            state.turns.meet(_client(direction, frame))
        if state.client is not direction:
            return self._answers.take(direction, frame)
        if frame.data[0] == 0:
            return self._startup(frame)
        state.encrypted = ""
        return self._request(chr(frame.data[0]), frame.data[wire.HEADER :], frame)

    def lost(self, direction: Direction, missing: int, time_ns: int) -> Sequence[Message]:
        """A hole on the client's side breaks the group that is open; on the server's, the answer that is coming in."""
        state = self.state
        if state.client is not direction.other:
            state.group = None
        if state.client is not direction:
            state.asked_for_encryption = ""
            self._answers.damaged(missing)
        before = list(state.turns.waiting)
        state.turns.lost(direction, missing)
        return () if state.turns.waiting else self._given_up(before, time_ns)

    def ended(self, direction: Direction, end: End, time_ns: int) -> Sequence[Message]:
        """Idle: after a loss both sides stand at the same place again. Else what is open is incomplete."""
        state = self.state
        if end is End.IDLE:
            return self._given_up(state.turns.settle(), time_ns) if state.turns.doubtful else ()
        if state.client is direction:
            return self._close_group() if state.group is not None else ()
        waiting, state.turns.waiting = state.turns.waiting, []
        return self._given_up(waiting, time_ns)

    def _given_up(self, units: Sequence[Unit], time_ns: int) -> list[Message]:
        client = self.state.client
        return [] if client is None else self._answers.given_up(units, client.other, time_ns)

    def _turn(self, time_ns: int) -> list[Message]:
        """A request begins."""
        doubtful = self.state.turns.doubtful
        given_up = self.state.turns.turn()
        return self._given_up(given_up, time_ns) if doubtful and not self.state.turns.doubtful else []

    def _startup(self, frame: Frame) -> Sequence[Message]:
        code = _INT32.unpack_from(frame.data, 4)[0] if len(frame.data) >= 8 else 0
        messages = self._turn(frame.start_ns)
        if code == wire.Code.CANCEL:
            process = _INT32.unpack_from(frame.data, 8)[0] if len(frame.data) >= 12 else 0
            message = self._message(frame, Role.SINGLE, b"cancel %d" % process, facts("cancel", None, process_id=process))
            message.notes = (*message.notes, LEFT_OUT)
            return [*messages, message]
        if code in (wire.Code.SSL, wire.Code.GSS):
            self.state.asked_for_encryption = "ssl" if code == wire.Code.SSL else "gss"
            operation = self.state.asked_for_encryption + "_request"
            return [*messages, self._ask(Unit(0, "U"), self._message(frame, Role.REQUEST, b"", facts(operation, None)))]
        self.state.encrypted = self.state.asked_for_encryption = ""
        parameters = frontend.startup_parameters(frame.data)
        body = "\n".join(f"{name}={value}" for name, value in parameters.items()).encode()
        known = {name: parameters.pop(name, "") for name in ("user", "database", "application_name")}
        attributes = facts("startup", None, **known, parameters=parameters or None)
        return [*messages, self._ask(Unit(0, "U"), self._message(frame, Role.REQUEST, body, attributes))]

    def _request(self, kind: str, body: bytes, frame: Frame) -> Sequence[Message]:
        match kind:
            case "Q":
                message = self._message(frame, Role.REQUEST, frontend.string(body, 0)[0], facts("query", None))
                return [*self._turn(frame.start_ns), self._ask(Unit(0, "Q"), message)]
            case "F":
                call = b"function %d" % (_INT32.unpack_from(body)[0] if len(body) >= 4 else 0)
                message = self._message(frame, Role.REQUEST, call, facts("function_call", None))
                return [*self._turn(frame.start_ns), self._ask(Unit(0, "Q"), message)]
            case "P" | "B" | "D" | "C" | "E":
                return self._extended(kind, body, frame)
            case "S" | "H":
                messages = self._close_group()
                if kind == "S":
                    self.state.skipping = False
                    self.state.turns.ask(Unit(0, SYNC), self._limits.pending)
                return messages
            case "d":
                self._answers.copied(frame.size - wire.HEADER)
            case "X":
                return (self._message(frame, Role.SINGLE, b"", facts("terminate", None)),)
        return ()  # a password, or what stands for one, is not read; the ends of a COPY show in its answer

    def _extended(self, kind: str, body: bytes, frame: Frame) -> Sequence[Message]:
        messages: list[Message] = []
        group = self.state.group
        if group is None:
            messages = self._turn(frame.start_ns)
            group = self.state.group = Group(frame.start_ns)
        group.add(kind, frame)
        match kind:
            case "P":
                self._parsed(group, frontend.parse(body), missing=bool(frame.missing))
            case "B":
                self._bound(group, body)
            case "E":
                group.portal = text(frontend.string(body, 0)[0])
                messages += self._close_group()
            case _:
                self._named(group, kind, body[:1], text(frontend.string(body, 1)[0]))
        return messages

    def _parsed(self, group: Group, parsed: frontend.Parsed, *, missing: bool) -> None:
        group.statement = text(parsed.name)
        group.text = parsed.statement[: self._limits.body]
        group.cut = len(parsed.statement) > self._limits.body
        size = len(group.text) + len(parsed.name) + 4 * len(parsed.types)
        if missing:
            self.state.statements.forget(group.statement)
            return
        self.state.statements.put(group.statement, Statement(group.text, parsed.types), size, self._limits.head)

    def _bound(self, group: Group, body: bytes) -> None:
        name = text(frontend.string(body, frontend.string(body, 0)[1])[0])
        statement = self.state.statements.get(name)
        bound = frontend.bind(body, statement.types if statement is not None else [])
        group.statement, group.portal = name, text(bound.portal)
        portal = Portal(name, None, bound.values, bound.total, bound.binary)
        if statement is not None:
            portal.text = statement.text[:NAMED_PORTAL_TEXT] if bound.portal else statement.text
            portal.columns = statement.columns
        size = len(portal.text or b"") + sum(len(value or "") for value in bound.values) + 64 * len(portal.columns)
        self.state.portals.put(group.portal, portal, size, self._limits.head)

    def _named(self, group: Group, kind: str, what: bytes, name: str) -> None:
        """Describe or Close of a statement or portal."""
        if what != b"S":
            group.portal = name
            return
        group.statement = name
        if kind == "D":
            group.described = name
        elif statement := self.state.statements.get(name):
            group.text = statement.text
            self.state.statements.forget(name)

    def _close_group(self) -> list[Message]:
        """The unit is whole: it is asked, or where the server skips, known to stay without an answer."""
        state, group = self.state, self.state.group
        state.group = None
        if group is None:
            return []
        portal = state.portals.get(group.portal) if "B" in group.steps or "E" in group.steps else None
        unit = Unit(0, group.steps, described=group.described)
        if portal is not None:
            unit.columns, unit.binary = portal.columns, portal.binary
        message = self._group_message(group, portal)
        if not state.skipping or state.client is None:
            return [self._ask(unit, message)]
        state.turns.count += 1
        unit.number = message.exchange = state.turns.count
        return [message, self._answers.skipped(unit, state.client.other, group.end_ns)]

    def _group_message(self, group: Group, portal: Portal | None) -> Message:
        statement = group.text
        if portal is not None and portal.text is not None:
            statement = portal.text
        elif statement is None and portal is None and group.statement is not None:
            known = self.state.statements.get(group.statement)
            statement = known.text if known is not None else None
        name = portal.statement if portal is not None else group.statement
        attributes = facts(group.operation, portal, statement=name or "", portal=group.portal)
        message = self._message(group, Role.REQUEST, statement or b"", attributes)
        if statement is None:
            message.notes = (*message.notes, UNKNOWN_STATEMENT)
        return message

    def _ask(self, unit: Unit, message: Message) -> Message:
        turns = self.state.turns
        turns.count += 1
        unit.number = message.exchange = turns.count
        turns.ask(unit, self._limits.pending)
        return message

    def _message(self, source: Frame | Group, role: Role, body: bytes, attributes: dict[str, Attribute]) -> Message:
        shown = without_secrets(body[: self._limits.body])
        cut = len(body) > self._limits.body or source.cut
        notes = (
            *((BODY_CUT,) if cut else ()),
            *((TRUNCATED,) if source.missing else ()),
            *((LEFT_OUT,) if shown != body[: self._limits.body] else ()),
        )
        return Message(
            NAME,
            Direction.SENT if self.state.client is None else self.state.client,
            role,
            0,
            source.start_ns,
            source.end_ns,
            body=shown,
            body_size=source.size,
            encoded_size=source.size,
            complete=not source.missing,
            missing_bytes=source.missing,
            notes=notes,
            attributes=attributes,
        )


def _client(direction: Direction, frame: Frame) -> Direction:
    """Who asks, by the shape of the first message."""
    if frame.data[0] == 0:
        return direction
    body, size = frame.data[wire.HEADER :][: wire.LOOK], frame.size - wire.HEADER
    if len(body) < min(size, wire.LOOK):  # broken off before its shape could be seen
        raise DesyncError
    asks, answers = (table.get(frame.data[0]) for table in wire.BOTH)
    if answers is not None and answers(body, size):
        return direction.other
    if asks is None or not asks(body, size):
        raise DesyncError
    return direction
