"""From MySQL's packets to commands and their answers. Knows nothing of compression."""

from collections.abc import Sequence
from typing import Any, Final

from fleetcap_streams.protocols.contract import Direction, End, Limits, Message, Role, Score
from fleetcap_streams.protocols.framing import INVALID, MORE, Frame, Framing, Handover, State, Step
from fleetcap_streams.protocols.mysql import handshake, requests, wire
from fleetcap_streams.protocols.mysql import messages as messages_of
from fleetcap_streams.protocols.mysql.answers import Answer, Phase
from fleetcap_streams.protocols.mysql.handshake import Capability
from fleetcap_streams.protocols.mysql.requests import Statement
from fleetcap_streams.protocols.mysql.state import LOGIN, Asked, Packet, SessionState
from fleetcap_streams.protocols.mysql.wire import HEADER, Command
from fleetcap_streams.protocols.shown import BODY_CUT, LEFT_OUT

UNKNOWN_STATEMENT: Final = "statement-unknown"  # it was prepared before the tap joined, or in a hole, or too long ago
_TLS_RECORD: Final = b"\x16\x03"


class Session(Framing):
    """One connection's talk."""

    State = SessionState
    state: SessionState

    def __init__(self, limits: Limits, state: Any = None) -> None:
        self.state = SessionState() if state is None else state
        self._limits = limits

    @property
    def exchanges(self) -> int:
        """The highest exchange number used."""
        return self.state.turns.count

    def find(self, direction: Direction, data: bytes, at: int, *, edge: bool) -> tuple[int, bool]:
        """A packet by its content."""
        client = self.state.client
        if client is not None:
            return wire.find(data, at, client=client is direction)
        verdict = self._begins(data, at) if edge else Score.NO
        if verdict is not Score.NO:
            return at, verdict is Score.YES
        return wire.first(data, *(wire.find(data, at, client=asks, least=wire.SHORT + 1) for asks in (True, False)))

    def _begins(self, data: bytes, at: int) -> Score:
        """Whether a packet of anybody, be it a greeting, begins here."""
        if len(data) <= at + HEADER:
            return Score.MORE
        length, sequence = wire.header(data, at)
        if sequence == 0 and data[at + HEADER] in handshake.PROTOCOLS and length <= handshake.LONGEST:
            if len(data) < at + HEADER + length:
                return Score.MORE
            if handshake.greeting(data[at + HEADER : at + HEADER + length]) is not None:
                return Score.YES
        return max(wire.anchor(data, at, client=client) for client in (True, False))

    def parse(self, direction: Direction, data: bytes, at: int) -> Step:
        """A packet, with the sequence number that is due."""
        state = self.state
        if state.encrypting and direction is state.client and data[at : at + 2] == _TLS_RECORD:
            raise Handover("tls")
        if len(data) < at + HEADER:
            return MORE
        length, sequence = wire.header(data, at)
        if not length:
            return (State.DONE, HEADER) if self._fits(direction, sequence, 0, -1) else INVALID
        if len(data) == at + HEADER:
            return MORE
        return (State.DONE, HEADER + length) if self._fits(direction, sequence, length, data[at + HEADER]) else INVALID

    def _fits(self, direction: Direction, sequence: int, length: int, first: int) -> bool:
        state = self.state
        part = state.parts[direction]
        if part is not None:
            return sequence == (part.sequence + 1) & 0xFF or bool(state.compressed)
        if state.client is None:
            return sequence == 0 and (first in (*handshake.PROTOCOLS, 0xFF) or wire.is_size(first, length))
        if state.client is direction and not (state.login or state.uploading):
            return sequence == 0 and wire.is_size(first, length)
        if state.client is not direction and (state.expected < 0 or first == 0xFF):
            return True
        return sequence == state.expected or bool(state.compressed)  # then MariaDB goes on with the outer packets' numbers

    def aligned(self, direction: Direction) -> bool:
        """The server's next byte begins an answer when its client has just asked anew; the client's a login after a greeting."""
        state = self.state
        if state.client is direction:
            return state.login and not state.turns.count
        return state.turns.aligned(direction)

    def stitch(self, direction: Direction, frame: Frame) -> Sequence[Message]:
        """Put packets together and give them to their half."""
        state = self.state
        if len(frame.data) < HEADER:
            return ()
        length, sequence = wire.header(frame.data, 0)
        part = state.parts[direction]
        if part is None:
            part = Packet(frame.data[HEADER:], 0, 0, 0, frame.start_ns, sequence)
        part.length += length
        part.size += frame.size
        part.missing += frame.missing
        part.sequence = sequence
        state.parts[direction] = part if length == wire.FULL else None
        if length == wire.FULL:
            return ()
        if state.client is None:
            state.turns.meet(direction if self._asks(part) else direction.other)
        if state.client is direction:
            return self._client_says(part, frame.end_ns)
        state.expected = (sequence + 1) & 0xFF
        return self._server_says(part, frame.end_ns)

    def _asks(self, packet: Packet) -> bool:
        """Whether the first packet seen is a command."""
        return handshake.greeting(packet.data) is None and wire.is_command(packet.data[: wire.LOOK], packet.length)

    def lost(self, direction: Direction, missing: int, time_ns: int) -> Sequence[Message]:
        """What is open in that direction is damaged; the next sequence number is not known."""
        state = self.state
        state.parts[direction] = None
        state.expected = -1
        front = state.turns.front()
        for answer in (front.answer if front is not None else None, state.orphan):
            if answer is not None and state.client is not direction:
                answer.missing += max(missing, 1)
        state.login = False
        before = list(state.turns.waiting)
        state.turns.lost(direction, missing)
        return () if state.turns.waiting else self._given_up(before, time_ns)

    def ended(self, direction: Direction, end: End, time_ns: int) -> Sequence[Message]:
        """Idle: after a loss both sides stand at the same place again. Else what is open is incomplete."""
        state = self.state
        if end is End.IDLE:
            return self._given_up(state.turns.settle(), time_ns) if state.turns.doubtful else self._trailing(time_ns)
        if state.client is direction:
            return ()
        trailing = self._trailing(time_ns)
        waiting, state.turns.waiting = state.turns.waiting, []
        return [*trailing, *self._given_up(waiting, time_ns)]

    def _given_up(self, commands: Sequence[Asked], time_ns: int) -> list[Message]:
        """These are not answered any more: what came of their answers is put out as incomplete."""
        orphan, self.state.orphan = self.state.orphan, None
        messages = []
        for number, answer in [(0, orphan), *((asked.number, asked.answer) for asked in commands)]:
            if answer is not None:
                answer.missing = answer.missing or 1
                messages.append(messages_of.answer(self.state, number, answer, time_ns))
        return messages

    def _trailing(self, time_ns: int) -> list[Message]:
        """An answer that may be over is over, for something else comes."""
        front = self.state.turns.front()
        if front is None or front.answer is None or front.answer.phase is not Phase.TRAILING:
            return []
        return self._over(front, front.answer, time_ns)

    def _turn(self, time_ns: int) -> list[Message]:
        """A command begins."""
        messages = self._trailing(time_ns)
        if messages:
            self.state.wire.deprecate_eof = True
        doubtful = self.state.turns.doubtful
        given_up = self.state.turns.turn()
        if not doubtful or self.state.turns.doubtful:
            return messages
        return [*messages, *self._given_up(given_up, time_ns)]

    def _client_says(self, packet: Packet, time_ns: int) -> Sequence[Message]:
        state = self.state
        state.expected = (packet.sequence + 1) & 0xFF if state.login or state.uploading else state.expected
        if state.uploading:
            return self._upload(packet)
        if state.login:
            return self._login(packet, time_ns)
        if not packet.data:
            return ()
        messages = self._turn(packet.start_ns)
        command = packet.data[0]
        request = requests.read(packet.data, packet.length, state.statements, state.wire.capabilities, self._limits.body)
        message = messages_of.request(state, packet, request.text, request.facts, time_ns)
        if request.cut:
            message.notes = (*message.notes, BODY_CUT)
        if request.unknown:
            message.notes = (*message.notes, UNKNOWN_STATEMENT)
        if command in wire.UNANSWERED:
            message.role = Role.SINGLE
            return [*messages, message]
        self._ask(message, Asked(0, command, (packet.sequence + 1) & 0xFF, statement=request.statement), packet)
        if command == Command.CHANGE_USER:
            state.login, state.expected = True, (packet.sequence + 1) & 0xFF
            message.notes = (*message.notes, LEFT_OUT)
        return [*messages, message]

    def _ask(self, message: Message, asked: Asked, packet: Packet) -> None:
        turns = self.state.turns
        turns.count += 1
        asked.number = message.exchange = turns.count
        if asked.command == Command.STMT_PREPARE and not packet.missing:
            asked.text = packet.data[1 : 1 + self._limits.body]
        turns.ask(asked, self._limits.pending)

    def _upload(self, packet: Packet) -> Sequence[Message]:
        """A piece of the file that the server asked for; an empty one ends it."""
        front = self.state.turns.front()
        if front is not None and front.answer is not None:
            front.answer.infile_bytes += packet.length
            front.answer.phase = Phase.INFILE if packet.length else Phase.FIRST
        return ()

    def _login(self, packet: Packet, time_ns: int) -> Sequence[Message]:
        """The client's login, or more of what proves it, which is not read."""
        state = self.state
        if state.turns.waiting:
            return ()
        capabilities = handshake.capabilities_of(packet.data)
        if packet.length <= handshake.SSL_REQUEST and capabilities & Capability.SSL:
            state.encrypting = True
            return ()
        state.encrypting = False
        login = handshake.login(packet.data)
        state.wire.capabilities = login.capabilities & (state.offered or login.capabilities)
        state.wire.deprecate_eof = bool(state.wire.capabilities & Capability.DEPRECATE_EOF)
        state.wire.cached_metadata = (
            not login.capabilities & Capability.LONG_PASSWORD and not state.offered & Capability.LONG_PASSWORD
        )
        messages = self._turn(packet.start_ns)
        message = messages_of.request(state, packet, b"", login.facts("login"), time_ns)
        message.notes = (*message.notes, LEFT_OUT)
        self._ask(message, Asked(0, LOGIN, (packet.sequence + 1) & 0xFF), packet)
        return [*messages, message]

    def _server_says(self, packet: Packet, time_ns: int) -> Sequence[Message]:
        state, turns = self.state, self.state.turns
        front = turns.front()
        if front is None and not turns.count and state.orphan is None:
            found = handshake.greeting(packet.data)
            if found is not None:
                return (self._greeting(found, packet, time_ns),)
        turns.heard()
        front = turns.front()
        answer = front.answer if front is not None else state.orphan
        if answer is None:
            answer = self._begun(packet, front)
        answer.size += packet.size
        answer.missing += packet.missing
        if state.login and packet.data[:1] in (b"\1", b"\xfe"):  # more is asked of the client, or by another plugin
            if front is not None:
                front.answer = answer
            return ()
        answer.take(packet.data, packet.length, state.wire, self._limits.body)
        if answer.phase is not Phase.OVER:
            if front is not None:
                front.answer = answer
            else:
                state.orphan = answer
            return ()
        state.expected = -1
        if front is None:
            state.orphan = None
            return (messages_of.answer(self.state, 0, answer, time_ns),)
        return self._over(front, answer, time_ns)

    def _begun(self, packet: Packet, front: Asked | None) -> Answer:
        """An answer whose first packet this is, unless by its sequence number packets before it were not seen."""
        state = self.state
        answer = Answer(packet.start_ns, front.command if front is not None else 0)
        first = front.sequence if front is not None else 1
        if packet.sequence != first and not state.login and (state.turns.doubtful or not state.compressed):
            answer.phase, answer.missing = Phase.MIDDLE, 1
        statement = state.statements.get(str(front.statement)) if front is not None else None
        if statement is not None:
            answer.names, answer.types = list(statement.names), list(statement.columns)
        return answer

    def _over(self, front: Asked, answer: Answer, time_ns: int) -> list[Message]:
        """The front has its answer."""
        state = self.state
        state.turns.done()
        if state.login:
            state.login = False
            agreed = state.wire.capabilities & (Capability.COMPRESS | Capability.ZSTD)
            state.compressed = bool(agreed) and not answer.error_code if front.command == LOGIN else state.compressed
        if answer.statement >= 0 and front.text:
            statement = Statement(front.text, answer.parameters, [], answer.types, answer.names)
            state.statements.put(str(answer.statement), statement, len(front.text) + 72 * len(answer.types), self._limits.head)
        following = state.turns.front()
        state.expected = following.sequence if following is not None else -1
        return [messages_of.answer(self.state, front.number, answer, time_ns)]

    def _greeting(self, found: handshake.Greeting, packet: Packet, time_ns: int) -> Message:
        self.state.login = True
        self.state.offered = found.capabilities
        return messages_of.greeting(self.state, found, packet, time_ns)
