"""What is remembered of a MySQL connection: what was agreed, what waits, what is open. All of it goes into snapshots."""

from typing import Final

import msgspec

from fleetcap_streams.protocols.contract import Direction
from fleetcap_streams.protocols.mysql.answers import Answer, Phase, Wire
from fleetcap_streams.protocols.mysql.requests import Statement
from fleetcap_streams.protocols.remembered import Remembered
from fleetcap_streams.protocols.turns import Turns

LOGIN: Final = 0x100  # stands for a command where there is none


class Asked(msgspec.Struct, array_like=True):
    """A command that waits for its answer."""

    number: int
    command: int
    sequence: int  # of the answer's first packet
    text: bytes = b""  # of the statement that is prepared
    statement: int = -1
    answer: Answer | None = None


class Packet(msgspec.Struct, array_like=True):
    """Packets that make one: the first of them and the size of all."""

    data: bytes
    length: int
    size: int
    missing: int
    start_ns: int
    sequence: int


class SessionState(msgspec.Struct, array_like=True):
    """What is remembered of a connection."""

    turns: Turns[Asked] = msgspec.field(default_factory=Turns)
    wire: Wire = msgspec.field(default_factory=Wire)
    offered: int = 0  # the server's capabilities
    login: bool = False  # from the greeting until the server's verdict
    encrypting: bool = False  # the client asked for TLS and has not spoken since
    compressed: bool | None = None
    expected: int = -1  # sequence number of the server's next packet, and in a login or upload of the client's; -1: any
    parts: list[Packet | None] = msgspec.field(default_factory=lambda: [None, None])
    orphan: Answer | None = None
    statements: Remembered[Statement] = msgspec.field(default_factory=Remembered)

    @property
    def client(self) -> Direction | None:
        """Who asks, as far as it is known."""
        return self.turns.client

    @property
    def server(self) -> Direction:
        """The direction in which the server speaks, as far as it is known."""
        return Direction.RECEIVED if self.client is None else self.client.other

    @property
    def uploading(self) -> bool:
        """Whether the client is sending a file that the server asked for."""
        front = self.turns.front()
        return front is not None and front.answer is not None and front.answer.phase is Phase.INFILE
