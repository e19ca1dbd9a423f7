"""One connection: its two streams, its parser, its open exchanges, and what it puts out.

Knows what to do when a segment goes idle or ends; `lifecycle` says when that is.
"""

from collections.abc import Iterable
from copy import copy
from enum import IntEnum
from typing import TypeAlias

from fleetcap_streams.engine.exchanges import Exchanges, Paired
from fleetcap_streams.engine.limits import EngineLimits
from fleetcap_streams.engine.reassembly import Piece, Stream
from fleetcap_streams.engine.values import (
    CloseReason,
    ConnectionInfo,
    ConnectionOut,
    ExchangeOut,
    MessageOut,
    Output,
    Totals,
)
from fleetcap_streams.protocols.connection_parser import ConnectionParser
from fleetcap_streams.protocols.contract import Chunk, Direction, End, Gap, Message, Role
from fleetcap_streams.protocols.registry import Registry

CLIENT_DIRECTION = {1: Direction.SENT, 2: Direction.RECEIVED}  # the schema's Role: where the connecting side's bytes go
THREADS = 16  # remembered changes of thread in a direction, to name the one that moved a message's first byte
DIRECTIONS = (Direction.RECEIVED, Direction.SENT)
Moved: TypeAlias = tuple[int, tuple[int, str]]
"""From this event time on, this thread (id, name) moved a direction's bytes."""


class Phase(IntEnum):
    """Where in its life a connection is; each phase has its own time limit."""

    ACTIVE = 0  # bytes came within the idle timeout
    QUIET = 1  # a socket that lives but says nothing
    ENDED = 2  # its segment is over; remembered for what may come late or twice
    LOST = 3  # ended without a destroy; it may well go on


class Connection:
    """State of one connection, in memory. `since_ms` is the log time from which the phase's limit counts."""

    __slots__ = (
        "destroyed",
        "exchange_count",
        "exchanges",
        "info",
        "last_ns",
        "message_count",
        "notes",
        "offset",
        "opened_ns",
        "parser",
        "phase",
        "registry",
        "segment",
        "segment_exchanges",
        "since_ms",
        "spoken",
        "streams",
        "threads",
    )

    def __init__(self, info: ConnectionInfo, registry: Registry) -> None:
        self.info = info
        self.registry = registry
        self.phase = Phase.ENDED  # no segment yet
        self.since_ms = 0
        self.offset = -1  # of the last record that touched it
        self.opened_ns = 0
        self.last_ns = 0
        self.segment = 0
        self.message_count = 0
        self.exchange_count = 0
        self.segment_exchanges = 0
        self.destroyed = False
        self.spoken = False  # bytes came since the last flush
        self.notes: list[str] = []
        self.streams = (Stream(), Stream())
        self.threads: tuple[list[Moved], list[Moved]] = ([], [])
        self.parser: ConnectionParser | None = None
        self.exchanges: Exchanges | None = None

    @property
    def uuid(self) -> str:
        """The connection's UUID."""
        return self.info.uuid

    @property
    def socket_life(self) -> bool:
        """Whether a destroy event is to end it. What comes after the destroy can only end by being idle."""
        return bool(self.info.sock) and not self.destroyed

    def lacks(self, received: int | None, sent: int | None) -> bool:
        """Whether more bytes crossed it by the kernel's count than were seen here."""
        return (received or 0) > self.streams[0].next or (sent or 0) > self.streams[1].next

    def open_segment(self, time_ns: int, limits: EngineLimits, out: list[Output]) -> None:
        """Begin the connection, or begin it again after a segment of it ended."""
        self.segment += 1
        self.opened_ns = self.last_ns = time_ns
        self.segment_exchanges = 0
        self.spoken = False
        self.notes = ["late"] if self.destroyed else []
        for stream in self.streams:
            stream.totals = Totals()
        joined = self.info.joined or self.segment > 1
        self.parser = ConnectionParser(self.registry, limits.parser, joined=joined, client=CLIENT_DIRECTION.get(self.info.role))
        self.exchanges = Exchanges(limits.parser.pending)
        out.append(self._record(None))

    def data(self, direction: Direction, piece: Piece, thread: tuple[int, str], out: list[Output]) -> None:
        """Bytes of one event; `thread` is the id and name of the thread that moved them."""
        stream = self.streams[direction]
        self.spoken = True
        threads = self.threads[direction]
        if not threads or threads[-1][1] != thread:
            threads.append((piece.time_ns, thread))
            del threads[:-THREADS]
        if piece.position == stream.next and not stream.waiting and piece.length == len(piece.payload):
            stream.next += piece.length  # in order and whole: by far the most common, so it goes straight through
            stream.totals.bytes += piece.length
            self._receive(direction, piece.payload, piece.time_ns, out)
        else:
            self._deliver(direction, stream.accept(piece), out)

    def idle(self, out: list[Output]) -> None:
        """Flush what needs no more bytes; the segment goes on."""
        if not self.spoken:
            return
        self.spoken = False
        for direction in DIRECTIONS:
            self._deliver(direction, self.streams[direction].flush(), out)
        for direction in DIRECTIONS:
            self._receive(direction, End.IDLE, self.last_ns, out)

    def end(self, reason: CloseReason, out: list[Output], totals: tuple[int | None, int | None] = (None, None)) -> None:
        """End the segment: everything buffered is put out, both directions at once.

        `totals` are the bytes received and sent by the kernel's count, None where it did not tell.
        """
        end = End.CLOSED if reason is CloseReason.DESTROYED else End.LOST
        for direction in DIRECTIONS:
            self._deliver(direction, self.streams[direction].finish(totals[direction], self.last_ns), out)
        for direction in DIRECTIONS:
            self._receive(direction, end, self.last_ns, out)
        if self.exchanges is not None:
            self._exchanges(self.exchanges.drain(), out)
        if self.parser is not None and self.parser.failure:
            self.notes.append(f"parser failed: {self.parser.failure}")
        out.append(self._record(reason))
        self.parser = self.exchanges = None
        for threads in self.threads:
            threads.clear()

    def _deliver(self, direction: Direction, chunks: Iterable[tuple[bytes | Gap, int]], out: list[Output]) -> None:
        for chunk, time_ns in chunks:
            self._receive(direction, chunk, time_ns, out)

    def _receive(self, direction: Direction, chunk: Chunk, time_ns: int, out: list[Output]) -> None:
        if self.parser is None:
            return
        for message in self.parser.receive(direction, chunk, time_ns):
            message.tid, message.comm = self._thread(message)
            self.streams[message.direction].totals.messages += 1
            self.message_count += 1
            out.append(MessageOut(self.info, message, self.message_count))
            if message.role is not Role.SINGLE and self.exchanges is not None:
                self._exchanges(self.exchanges.add(message), out)

    def _exchanges(self, pairs: Iterable[Paired], out: list[Output]) -> None:
        for paired in pairs:
            self.exchange_count += 1
            self.segment_exchanges += 1
            out.append(ExchangeOut(self.info, self.exchange_count, paired.request, paired.response, paired.interim))

    def _thread(self, message: Message) -> tuple[int, str]:
        threads = self.threads[message.direction]
        for start_ns, thread in reversed(threads):
            if start_ns <= message.start_ns:
                return thread
        return threads[0][1] if threads else (0, "")

    def _record(self, reason: CloseReason | None) -> ConnectionOut:
        received, sent = self.streams
        return ConnectionOut(
            connection=self.info,
            reason=reason,
            opened_ns=self.opened_ns,
            closed_ns=0 if reason is None else self.last_ns,
            protocol=self.parser.protocol if self.parser is not None else "",
            received=copy(received.totals),  # a copy: the counting goes on
            sent=copy(sent.totals),
            exchanges=self.segment_exchanges,
            segment=self.segment,
            notes=tuple(self.notes),
        )
