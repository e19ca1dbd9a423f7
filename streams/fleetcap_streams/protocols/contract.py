"""The contract between the engine and a protocol: what goes into a parser, what comes out of it.

A protocol supplies three parts: a *probe* that scores the first bytes of both directions, a *parser* that turns chunks of
either direction into messages, and a bounded *snapshot* of that parser. Parsers never do I/O, never read a clock and never
raise because of what the bytes say: loss and nonsense are data. The one exception is `WrongProtocol`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, IntEnum
from typing import NamedTuple, Protocol, TypeAlias


class Direction(IntEnum):
    """Which way bytes went, seen from the captured process; the numbers of the reference's DataType."""

    RECEIVED = 0
    SENT = 1

    @property
    def other(self) -> "Direction":
        """The opposite direction."""
        return Direction.SENT if self is Direction.RECEIVED else Direction.RECEIVED


class Score(IntEnum):
    """What a probe makes of the bytes it was shown. Higher wins; equal scores are settled by declared order."""

    NO = 0
    MORE = 1  # cannot tell yet: ask again with more bytes
    MAYBE = 2  # fits, but other protocols' bytes may look the same
    YES = 3  # a signature no other protocol shares


@dataclass(frozen=True, slots=True)
class Gap:
    """Bytes known to be missing from a direction, at this place.

    `missing` is how many; 0 where it is only known that something is (the tap joined a connection that was open already).
    """

    missing: int


class End(Enum):
    """Why nothing more is coming, for now or for good. Given once for each direction."""

    IDLE = "idle"  # a flush: the connection lives on. Only what needs no more bytes to be whole is put out.
    CLOSED = "closed"  # for good: everything buffered is put out, and a body that runs until the end is complete
    LOST = "lost"  # for good, but nobody saw the end: what is open is incomplete


Chunk: TypeAlias = bytes | Gap | End
"""One thing that happens in one direction."""


class Role(Enum):
    """What part a message plays in an exchange."""

    REQUEST = "request"
    RESPONSE = "response"  # the final one: it ends the exchange
    INTERIM = "interim"  # a response before the final one, as HTTP's 1xx
    SINGLE = "single"  # belongs to no exchange


Attribute: TypeAlias = "str | int | float | bool | bytes | Sequence[Attribute] | Mapping[str, Attribute] | None"


@dataclass(slots=True)
class Http:
    """What HTTP alone has, of any version. A request leaves `status` 0; a response leaves `method` empty."""

    method: str = ""
    target: str = ""
    authority: str = ""
    version: str = ""
    status: int = 0
    reason: str = ""
    headers: Sequence[tuple[str, str]] = ()
    trailers: Sequence[tuple[str, str]] = ()


@dataclass(slots=True)
class Message:
    """One decoded protocol unit. Times are Unix nanoseconds of the node, sizes are bytes.

    `exchange` joins messages: a response answers the request with the same number. A parser counts them as it likes, as
    long as a number is not used again before its exchange has ended; a response with number 0 is one whose request was never
    seen and never will be. `head` is what the text form shows before the body.
    `body` is decoded and cut at the body limit; `body_size` and `body_sha256` are of the whole decoded body, kept or not,
    and the hash is empty where bytes are missing. `encoded_size` is the body's size on the wire without transfer coding.
    """

    protocol: str
    direction: Direction
    role: Role
    exchange: int
    start_ns: int
    end_ns: int
    head: bytes = b""
    body: bytes = b""
    body_size: int = 0
    body_sha256: bytes = b""
    encoded_size: int = 0
    complete: bool = True
    missing_bytes: int = 0
    notes: tuple[str, ...] = ()
    http: Http | None = None
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    tid: int = 0  # filled in by the engine: the thread and its name that moved the message's first byte
    comm: str = ""


class WrongProtocol(Exception):  # noqa: N818 - not an error of ours: the bytes are another protocol's
    """Raised by a parser that has found, before its first message, that the connection speaks something else.

    The engine then gives every byte seen so far to the default parser.
    """


class SwitchProtocol(Exception):  # noqa: N818 - not an error: the peers agreed to speak something else from here on
    """Raised by a parser as its last word, at any time: HTTP's 101 Upgrade, a CONNECT tunnel, STARTTLS and their like.

    `messages` are those that the current chunk finished. `rest` holds, in order, what the parser was given but belongs to
    the next protocol. `token` names that protocol as the peers did, to be found among the registry's `upgrades`; empty:
    detect anew. `exchanges` is the highest exchange number used, so that the next parser's numbers do not collide.
    """

    def __init__(
        self,
        messages: "Sequence[Message]",
        rest: "Sequence[tuple[Direction, Chunk, int]]",
        token: str,
        exchanges: int,
    ) -> None:
        super().__init__(token)
        self.messages = messages
        self.rest = rest
        self.token = token
        self.exchanges = exchanges


@dataclass(frozen=True, slots=True)
class Limits:
    """What input can make grow, and how far. Sizes are bytes. What is cut says so in its message's notes."""

    body: int = 64 * 1024  # kept of each decoded body; the rest is counted and hashed
    head: int = 256 * 1024  # of one message's head, or of one unit that has to be whole before it can be read
    headers: int = 1000  # header fields in a head
    pending: int = 10_000  # requests of one connection that wait for their response
    decompressed: int = 1 << 30  # of one body; beyond it decoding stops and the rest is only counted on the wire
    detection: int = 64 * 1024  # undecided bytes in each direction; more than that is raw


class Parser(Protocol):
    """One connection's parser, both directions."""

    def receive(self, direction: Direction, chunk: Chunk, time_ns: int) -> Sequence[Message]:
        """Take what happened next in one direction and return the messages that are finished by it, in order.

        Raises:
            WrongProtocol: only before the parser has returned its first message.
            SwitchProtocol: the parser's work is done; it is not called again.
        """

    def snapshot(self) -> bytes:
        """Everything needed to go on from here in another process; bounded by the limits."""


class Opening(NamedTuple):
    """The first bytes of both directions, as far as they are known; what a probe judges.

    `joined`: the tap came in mid-connection, or bytes were lost, so these need not be the first bytes that were spoken.
    `client`: the direction in which the connecting side's bytes go, None where nobody knows who connected.
    """

    received: bytes
    sent: bytes
    joined: bool
    client: Direction | None


@dataclass(frozen=True, slots=True)
class ProtocolSpec:
    """A protocol as the registry holds it.

    `probe` must answer the same for the same opening, whatever came before, and may change its mind only from MORE: that
    makes detection independent of how bytes were cut into chunks. `restore` takes what `snapshot` gave. `upgrades` are the
    lower-case names under which peers switch to this protocol, as HTTP's Upgrade field does (RFC 9110 section 7.8).
    """

    name: str
    probe: Callable[[Opening], Score]
    create: Callable[[Limits], Parser]
    restore: Callable[[Limits, bytes], Parser]
    upgrades: tuple[str, ...] = ()
