"""Who asks, and which answer belongs to which request, in protocols whose server answers in the order in which it was asked.

It is where pipelining and loss meet. As long as nothing is lost, the oldest waiting request is the one that is answered. After
a loss it is not known how many requests or answers went by, so until both sides are certain to stand at the same place
again, answers are `doubtful`: they belong to no exchange, unless just one request can be meant.

Both sides stand at the same place when a client that waits for its answers before it asks again does ask again, and when
the connection has been idle. A client that was seen asking in between answers (`overlaps`) gives the first sign no more.
"""

from typing import Generic, TypeVar

import msgspec

from fleetcap_streams.protocols.contract import Direction

T = TypeVar("T")


class Turns(msgspec.Struct, Generic[T], array_like=True):
    """Requests that wait, oldest first. `T` is what a protocol wants to know of a request when its answer comes."""

    waiting: list[T] = []
    client: Direction | None = None  # in which direction requests go
    count: int = 0  # requests so far: the highest exchange number
    known: int | None = None  # so many of those that wait come before anything lost; None: nothing was lost
    doubtful: bool = False
    answered: bool = True  # the server spoke, or something of it was lost, since the last request
    overlaps: bool = False
    hopeful: bool = False  # the first request after joining was taken for the next to be answered
    fresh: bool = False  # the next byte of the server begins an answer
    torn: list[bool] = msgspec.field(default_factory=lambda: [False, False])  # bytes of it were lost before the client was known

    def meet(self, client: Direction) -> None:
        """It has been found out who asks. Where requests were lost before, answers to them may be to come."""
        self.client = client
        if self.torn[client]:
            self.lost(client, 1)

    def aligned(self, direction: Direction) -> bool:
        """Whether the next byte begins an answer, because the client has just asked anew."""
        return self.fresh and self.client is direction.other

    def turn(self) -> list[T]:
        """A request begins. Returns those that are given up, because their answers must have been lost."""
        given_up: list[T] = []
        if self.doubtful and self.answered and not self.overlaps:
            given_up = self.settle()
            self.hopeful = not self.count
        elif self.waiting and self.answered and not self.doubtful:
            self.overlaps = True
        self.answered = False
        return given_up

    def ask(self, request: T, limit: int) -> None:
        """A request waits from now on; it has the number `count`, which the caller has raised. Too many count as lost."""
        if len(self.waiting) >= limit:
            self.doubtful = self.overlaps = True
            self.waiting.clear()
            self.known = 0
        self.waiting.append(request)

    def heard(self, waiting: int | None = None) -> None:
        """The server says something that belongs to an answer. `waiting`: for how many requests, where not all are."""
        if self.hopeful and self.client is not None and (len(self.waiting) if waiting is None else waiting) > 1:
            self.lost(self.client.other, 0)  # the client asks ahead: there may have been more requests, unseen
        self.hopeful = False
        self.answered = True
        self.fresh = False

    def front(self) -> T | None:
        """The request that is being answered; None: nobody knows which."""
        return self.waiting[0] if self.waiting and self.known != 0 else None

    def done(self) -> None:
        """The request at the front has its answer."""
        del self.waiting[0]
        if self.known is not None:
            self.known -= 1

    def lost(self, direction: Direction, missing: int) -> None:
        """Bytes of a direction are lost; 0: it is not known how many, nor whether any."""
        self.doubtful = True
        self.fresh = False
        if self.client is None:
            self.torn[direction] = self.torn[direction] or missing > 0
        elif self.client is direction:
            self.known = len(self.waiting) if self.known is None else self.known
            self.answered = False
        else:
            self.answered = True
            if len(self.waiting) > 1 or self.known is not None:
                self.waiting.clear()
                self.known = 0

    def settle(self) -> list[T]:
        """Both sides stand at the same place again. Returns the requests that are given up."""
        if not self.doubtful:
            return []
        given_up, self.waiting = self.waiting, []
        self.known = None
        self.doubtful = False
        self.fresh = True
        return given_up
