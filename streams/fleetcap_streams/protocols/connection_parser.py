"""One connection's parser as the engine sees it: whatever the connection speaks, and whatever becomes of that.

    Detector ──▶ chosen parser ──SwitchProtocol──▶ the next one, or a new Detector
        └──────▶ RawParser, of a joined connection behind a Listener ──▶ the protocol that shows at a turn
                      │ WrongProtocol, or a defect of ours
                      └──▶ RawParser

It owns what must be given again to another parser: everything before a decision, and after it everything until the first
message is out. It knows no protocol but the default one.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from pathlib import Path
from traceback import extract_tb
from typing import Final

import msgspec

from fleetcap_streams.protocols import raw
from fleetcap_streams.protocols.contract import (
    Chunk,
    Direction,
    End,
    Gap,
    Limits,
    Message,
    Parser,
    ProtocolSpec,
    SwitchProtocol,
    WrongProtocol,
)
from fleetcap_streams.protocols.detection import Detector, Item, ItemState, item_of, item_state
from fleetcap_streams.protocols.errors import SnapshotError
from fleetcap_streams.protocols.listening import Listener, ListenerState
from fleetcap_streams.protocols.raw import RawParser
from fleetcap_streams.protocols.registry import Registry

VERSION: Final = 2
_REPLAY_FACTOR: Final = 4  # detection holds two directions of `Limits.detection`; as much again may come before a first message
PARSER_FAILED: Final = "parser-failed"  # on raw messages: they are raw because of a defect of ours


class _State(msgspec.Struct, array_like=True):
    version: int
    protocol: str
    failure: str
    joined: bool
    client: int | None
    unseen: list[int]
    base: int
    parser_name: str
    parser: bytes
    items: list[ItemState] | None
    listener: ListenerState | None


class ConnectionParser:
    """Satisfies `Parser`, and never raises.

    `protocol` is empty while undecided. `failure` is empty, or tells the type and place of the exception that cost this
    connection its parser; never what the bytes were.
    """

    __slots__ = (
        "_base",
        "_client",
        "_detector",
        "_joined",
        "_limits",
        "_listener",
        "_parser",
        "_parser_name",
        "_registry",
        "_replay",
        "_replayed",
        "_settled",
        "_unseen",
        "failure",
        "protocol",
    )

    def __init__(self, registry: Registry, limits: Limits, joined: bool, client: Direction | None) -> None:  # noqa: FBT001 - the engine's call
        self.protocol = ""
        self.failure = ""
        self._registry = registry
        self._limits = limits
        self._joined = joined
        self._client = client
        self._unseen = list(Direction) if joined else []  # directions in which the gap before the first byte is to be told
        self._base = 0  # added to exchange numbers: those of the parsers before this one
        self._parser: Parser | None = None
        self._parser_name = ""
        self._replay: list[Item] | None = None  # what a parser has had that has not given a message yet
        self._replayed = 0  # bytes in it
        self._detector = Detector(registry, limits, joined=joined, client=client)
        self._listener: Listener | None = None
        self._settled = False  # the parser may be given things as they come

    def receive(self, direction: Direction, chunk: Chunk, time_ns: int) -> Sequence[Message]:
        """Take what happened next in one direction and return the messages that are finished by it, in order."""
        parser = self._parser
        if parser is None or not self._settled:
            return self._feed(self._introduced(direction, chunk, time_ns))
        try:
            messages = parser.receive(direction, chunk, time_ns)
        except Exception as error:  # noqa: BLE001 - any defect of a parser may cost its own connection, never the worker
            todo: deque[Item] = deque()
            return self._recover(error, (direction, chunk, time_ns), todo) + self._feed(todo)
        return self._renumbered(messages) if self._base else messages

    def in_charge(self) -> Parser | None:
        """The parser that is given things as they come; None: there are reasons why it cannot be, or nobody knows yet."""
        return self._parser if self._settled and not self._base else None

    def _introduced(self, direction: Direction, chunk: Chunk, time_ns: int) -> list[Item]:
        """Something that happened, behind the gap that comes before all else in a direction of a joined connection."""
        if direction not in self._unseen:
            return [(direction, chunk, time_ns)]
        self._unseen.remove(direction)
        return [(direction, Gap(0), time_ns), (direction, chunk, time_ns)]

    def _feed(self, items: Iterable[Item]) -> list[Message]:
        """Give items to whoever is in charge; each step may put others before those that are still to do."""
        todo = deque(items)
        messages: list[Message] = []
        while todo:
            item = todo.popleft()
            if self._parser is None:
                self._detect(item, todo)
            elif self._listener is not None:
                messages += self._listen(self._listener, self._parser, item, todo)
            else:
                messages += self._give(self._parser, item, todo)
        self._settled = not self._unseen and self._replay is None and self._listener is None and self._parser is not None
        return messages

    def _detect(self, item: Item, todo: deque[Item]) -> None:
        detector = self._detector
        try:
            detector.add(*item)
        except Exception as error:  # noqa: BLE001 - as in `receive`: a probe is a parser's
            self.failure = self.failure or _place(error)
            todo.extendleft(reversed(detector.items))
            self._choose(None, (PARSER_FAILED,))
            return
        if detector.decided:
            todo.extendleft(reversed(detector.items))
            self._choose(detector.spec)
            if detector.joined and detector.spec is None:
                self._listener = Listener(self._registry, self._limits, self._client)

    def _listen(self, listener: Listener, parser: Parser, item: Item, todo: deque[Item]) -> list[Message]:
        """Give the default parser what is certainly raw; when a protocol shows, what came before it is over."""
        verdict = listener.add(item)
        messages: list[Message] = []
        if verdict.spec is None:
            for raw_item in verdict.items:
                messages += parser.receive(*raw_item)
            return messages
        for direction in Direction:
            messages += parser.receive(direction, End.IDLE, item[2])
        todo.extendleft(reversed(verdict.items))
        self._choose(verdict.spec)
        return messages

    def _choose(self, spec: ProtocolSpec | None, notes: tuple[str, ...] = ()) -> None:
        """Put a protocol in charge; None: the default parser."""
        self._detector = Detector(self._registry, self._limits, joined=False, client=self._client)
        self._listener = None
        self._joined = False  # whoever detects next begins where this one is done
        self._replayed = 0
        if spec is None:
            self._parser, self._replay = RawParser(self._limits, notes=notes), None
            self._parser_name = self.protocol = raw.NAME
        else:
            self._parser, self._replay = spec.create(self._limits), []
            self._parser_name = self.protocol = spec.name

    def _give(self, parser: Parser, item: Item, todo: deque[Item]) -> list[Message]:
        self._remember(item)
        try:
            messages = self._renumbered(parser.receive(*item))
        except Exception as error:  # noqa: BLE001 - as in `receive`
            return self._recover(error, item, todo)
        if messages:
            self._replay = None
        return messages

    def _remember(self, item: Item) -> None:
        """A parser that is still silent after so much cannot be called a mistake any more."""
        if self._replay is None:
            return
        self._replay.append(item)
        self._replayed += len(item[1]) if isinstance(item[1], bytes) else 1
        if self._replayed > _REPLAY_FACTOR * self._limits.detection:
            self._replay = None

    def _renumbered(self, messages: Sequence[Message]) -> list[Message]:
        for message in messages:
            if message.exchange:
                message.exchange += self._base
        return list(messages)

    def _recover(self, error: Exception, item: Item, todo: deque[Item]) -> list[Message]:
        """A parser will not go on. What it leaves is put before `todo`; returns the messages it still gave."""
        if isinstance(error, SwitchProtocol):
            messages = self._renumbered(error.messages)
            self._base += error.exchanges
            todo.extendleft(reversed(error.rest))
            self._switch(error.token)
            return messages
        wrong = isinstance(error, WrongProtocol)
        if not wrong:
            self.failure = self.failure or _place(error)
        messages = []
        if self._replay is None:
            messages = self._last_words()
            todo.appendleft(item)
        else:
            todo.extendleft(reversed(self._replay))
        self._choose(None, () if wrong else (PARSER_FAILED,))
        return messages

    def _switch(self, token: str) -> None:
        spec = self._registry.by_upgrade(token)
        if token or spec is not None:
            self._choose(spec)
        else:
            self._parser, self._parser_name, self._replay = None, "", None

    def _last_words(self) -> list[Message]:
        """What a failed parser had open, as far as it is still able to say."""
        messages: list[Message] = []
        for direction in Direction:
            try:
                messages += self._parser.receive(direction, End.LOST, 0) if self._parser else ()
            except Exception:  # noqa: BLE001, S112 - it has failed already, and that is told
                continue
        return self._renumbered(messages)

    def snapshot(self) -> bytes:
        """The parser's snapshot; before its first message what it was given, and before a decision only that."""
        undecided = self._parser is None
        items = self._detector.items if undecided else self._replay
        return msgspec.msgpack.encode(
            _State(
                VERSION,
                self.protocol,
                self.failure,
                self._joined,
                self._client,
                [int(direction) for direction in self._unseen],
                self._base,
                self._parser_name,
                self._parser.snapshot() if self._parser is not None else b"",
                None if items is None else [item_state(item) for item in items],
                None if self._listener is None else self._listener.state(),
            )
        )

    @classmethod
    def restore(cls, registry: Registry, limits: Limits, snapshot: bytes) -> "ConnectionParser":
        """Go on from a snapshot.

        Raises:
            SnapshotError: it is not one of a connection, or of another version.
            RegistryError: its protocol is not in the registry.
        """
        try:
            state = msgspec.msgpack.decode(snapshot, type=_State)
        except msgspec.DecodeError as error:
            raise SnapshotError("not a snapshot of a connection's parser: restore it with the version that wrote it") from error
        if state.version != VERSION:
            raise SnapshotError(f"snapshot version {state.version}, not {VERSION}: restore it with the version that wrote it")
        parser = cls(registry, limits, state.joined, None if state.client is None else Direction(state.client))
        parser._take_over(state)
        return parser

    def _take_over(self, state: _State) -> None:
        self.protocol, self.failure, self._base = state.protocol, state.failure, state.base
        self._unseen = [Direction(direction) for direction in state.unseen]
        self._parser_name = state.parser_name
        items = None if state.items is None else [item_of(item) for item in state.items]
        if not state.parser_name:
            self._detector = Detector(self._registry, self._limits, joined=state.joined, client=self._client)
            for item in items or ():
                self._detector.add(*item)
            return
        if state.listener is not None:
            self._listener = Listener(self._registry, self._limits, self._client)
            self._listener.restore(state.listener)
        restore = RawParser.restore if state.parser_name == raw.NAME else self._registry.get(state.parser_name).restore
        self._parser = restore(self._limits, state.parser)
        for item in items or ():
            self._replay = [] if self._replay is None else self._replay
            self._remember(item)


def _place(error: Exception) -> str:
    """Type and place of an exception, without its text, which may hold payload."""
    frame = extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} at {'/'.join(Path(frame.filename).parts[-2:])}:{frame.lineno}"
