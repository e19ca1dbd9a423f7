"""What is remembered of a connection, bounded: who asks, what waits, which topics were named."""

from typing import Final

import msgspec

from fleetcap_streams.protocols.contract import Direction
from fleetcap_streams.protocols.kafka.apis import SASL_HANDSHAKE
from fleetcap_streams.protocols.kafka.wire import Request, is_name
from fleetcap_streams.protocols.remembered import Remembered

_NEAR: Final = 10_000  # requests between one that was seen and one that was lost, at most, if its response is to be taken for one
_RESERVED: Final = 2**31 - 8  # from here on Kafka's own client numbers logins; all else begins at 0


class Waiting(msgspec.Struct, array_like=True):
    """A request that waits for its response."""

    number: int
    key: int
    version: int


class TalkState(msgspec.Struct, array_like=True):
    """All that is remembered."""

    waiting: dict[int, Waiting] = {}  # by correlation id
    client: Direction | None = None  # in which direction requests go
    name: bytes = b""  # the client's, where it has one
    count: int = 0
    last: int | None = None  # the newest request's correlation id
    sasl: bool = False  # the client said that its login comes in bare tokens
    tokens: list[int] = []  # exchange numbers of those that wait for the server's
    doubtful: bool = False  # the next response was found by its number alone, not where one had to begin
    topics: Remembered[bytes] = msgspec.field(default_factory=Remembered)  # names by id

    @property
    def expects_token(self) -> bool:
        """Whether the server's next frame is a bare token."""
        return self.sasl and not self.waiting

    def is_near(self, correlation: int) -> bool:
        """Whether a response of that number can be one: clients count up."""
        if self.last is None or correlation in self.waiting:
            return True
        return abs(correlation - self.last) <= _NEAR

    def meet(self, client: Direction, header: Request) -> None:
        """A request came."""
        if self.client is not client:
            self.client = client
            self.waiting.clear()
        self.sasl = (header.key, header.version) == (SASL_HANDSHAKE, 0)
        self.tokens.clear()
        if header.client and is_name(header.client, whole=True):
            self.name = header.client[:255]
        if header.correlation < _RESERVED:
            self.last = header.correlation

    def wait(self, correlation: int, request: Waiting, limit: int) -> None:
        """Remember a request; too many count as lost, the oldest first."""
        self.waiting.pop(correlation, None)  # a client that uses a number again waits no longer for what it stood for
        while self.waiting and len(self.waiting) >= limit:
            del self.waiting[next(iter(self.waiting))]
        self.waiting[correlation] = request

    def wait_token(self, number: int, limit: int) -> None:
        """The same of a bare token."""
        if len(self.tokens) >= limit:
            self.tokens.clear()
        self.tokens.append(number)
