"""What a client asks for, as units that are answered each by itself, and what is remembered of it until the answer comes.

In the extended query protocol a unit is what leads up to an Execute (Parse, Bind, Describe), or to a Sync without one. Its
`steps` name the answers that are still due, by the letter of what asked for them; as the server owes exactly one for each,
a unit is over when none is left.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from fleetcap_streams.protocols.contract import Attribute, Direction
from fleetcap_streams.protocols.framing import Frame
from fleetcap_streams.protocols.postgresql.results import Column, Result
from fleetcap_streams.protocols.remembered import Remembered
from fleetcap_streams.protocols.turns import Turns

SYNC: Final = "S"
UNTIL_READY: Final = "QU"  # a simple query or function call, and a startup: over at ReadyForQuery
# By which messages the server is done with a step.
DONE_BY: Final[Mapping[str, bytes]] = {"P": b"1", "B": b"2", "C": b"3", "D": b"nT", "E": b"CIs", "Q": b"Z", "U": b"Z", "S": b"Z"}
OPERATIONS: Final = (("E", "execute"), ("P", "prepare"), ("B", "bind"), ("D", "describe"), ("C", "close"))


class Unit(msgspec.Struct, array_like=True):
    """A request that waits. A Sync is one too, without an exchange: number 0."""

    number: int
    steps: str
    result: Result | None = None
    described: str | None = None  # the statement whose columns are being told
    columns: list[Column] = []  # known from an earlier description
    binary: bool = False


class Statement(msgspec.Struct, array_like=True):
    """A prepared statement."""

    text: bytes
    types: list[int]
    columns: list[Column] = []


class Portal(msgspec.Struct, array_like=True):
    """A statement with its parameters."""

    statement: str
    text: bytes | None
    values: list[str | None]
    count: int
    binary: bool
    columns: list[Column] = []


class Group(msgspec.Struct, array_like=True):
    """Messages of the client that lead up to an Execute, a Sync or a Flush."""

    start_ns: int
    end_ns: int = 0
    size: int = 0
    missing: int = 0
    steps: str = ""
    statement: str | None = None
    described: str | None = None
    portal: str = ""
    text: bytes | None = None
    cut: bool = False  # more of the statement came than is kept

    def add(self, step: str, frame: Frame) -> None:
        """One more message."""
        self.steps += step
        self.size += frame.size
        self.missing += frame.missing
        self.end_ns = frame.end_ns

    @property
    def operation(self) -> str:
        """What it is mostly about."""
        return next((name for step, name in OPERATIONS if step in self.steps), "sync")


class TalkState(msgspec.Struct, array_like=True):
    """What is remembered of a connection."""

    turns: Turns[Unit] = msgspec.field(default_factory=Turns)
    asked_for_encryption: str = ""  # ssl or gss, while the server's one byte is due
    encrypted: str = ""  # ssl or gss, from the server's consent on
    skipping: bool = False  # after an error the server lets everything pass until a Sync
    group: Group | None = None
    orphan: Result | None = None  # an answer whose request is not known
    statements: Remembered[Statement] = msgspec.field(default_factory=Remembered)
    portals: Remembered[Portal] = msgspec.field(default_factory=Remembered)

    @property
    def client(self) -> Direction | None:
        """Who asks, as far as it is known."""
        return self.turns.client


def facts(operation: str, bound: Portal | None, **more: Attribute) -> dict[str, Attribute]:
    """Attributes of a request, those that say something."""
    found: dict[str, Attribute] = {"operation": operation, **more}
    if bound is not None and bound.count:
        found |= {"parameters": bound.values, "parameter_count": bound.count}
    return {name: value for name, value in found.items() if value not in ("", None)}
