"""Which response answers which request: in order, by direction (RFC 9112 section 9.3.2), as far as none was lost.

Each direction may carry requests, so either side can be the client, and nobody has to say which. An exchange number and what
its response must know of its request are kept as one integer, because a client may have thousands of them on their way.
"""

from collections import deque
from enum import IntEnum
from typing import NamedTuple

from fleetcap_streams.protocols.contract import Direction
from fleetcap_streams.protocols.http1.state import PairingState


class Kind(IntEnum):
    """What of a request changes how long its response's body is."""

    PLAIN = 0
    HEAD = 1
    CONNECT = 2
    UNKNOWN = 3  # it was not seen


class Answered(NamedTuple):
    """The exchange of a response; `certain`: no loss can have moved it to another one's place."""

    exchange: int
    kind: Kind
    certain: bool


class Pairing:
    """The exchanges of one connection."""

    __slots__ = ("attention", "doubtful", "held", "last", "limit", "overflow", "token", "waiting")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.last = 0
        self.waiting: tuple[deque[int], deque[int]] = (deque(), deque())  # by the direction of the requests
        self.overflow = [0, 0]  # requests after those that wait, not remembered
        self.doubtful = [0, 0]  # by the direction of the responses: exchanges up to this may have been answered in a gap
        self.held = 0  # the exchange that asks to change the protocol; its direction waits for the answer
        self.token: str | None = None  # the answer was yes, and this is the new protocol
        self.attention = False  # `held` or `token` has changed

    def at_rest(self) -> bool:
        """Whether nobody waits for an answer and no loss is in doubt."""
        waiting = self.waiting[0] or self.waiting[1] or self.held or self.token is not None
        return not (waiting or any(self.overflow) or any(self.doubtful) or self.attention)

    def request(self, direction: Direction, kind: Kind) -> tuple[int, bool]:
        """A request's exchange, and whether its response will find it."""
        doubtful = self.doubtful[direction ^ 1]
        waiting = self.waiting[direction]
        # Clients rarely pipeline: whoever asks anew has had the answers to what was asked before.
        while doubtful and waiting and waiting[0] >> 2 <= doubtful:
            waiting.popleft()
        self.last += 1
        if self.overflow[direction] or len(waiting) >= self.limit:
            self.overflow[direction] += 1
            return self.last, False
        waiting.append(self.last << 2 | kind)
        return self.last, True

    def response(self, direction: Direction, *, final: bool) -> Answered:
        """The exchange that a response in this direction belongs to; a final one ends it."""
        requests = direction ^ 1
        waiting = self.waiting[requests]
        certain = self._settle_doubt(direction, waiting)
        if waiting:
            entry = waiting.popleft() if final else waiting[0]
            return Answered(entry >> 2, Kind(entry & 3), certain)
        if final and self.overflow[requests]:
            self.overflow[requests] -= 1
        self.last += 1
        if not final:
            waiting.append(self.last << 2 | Kind.UNKNOWN)
        return Answered(self.last, Kind.UNKNOWN, certain)

    def _settle_doubt(self, direction: Direction, waiting: deque[int]) -> bool:
        """The first response behind a gap answers the one request that waits; of several, nobody knows which."""
        doubtful, self.doubtful[direction] = self.doubtful[direction], 0
        if not doubtful:
            return True
        if len(waiting) > 1 and waiting[1] >> 2 <= doubtful:
            while waiting and waiting[0] >> 2 <= doubtful:
                waiting.popleft()
        return False

    def gap(self, direction: Direction) -> None:
        """Bytes of this direction are missing, and heads may be among them."""
        if self.waiting[direction ^ 1]:
            self.doubtful[direction] = self.last

    def answered(self, exchange: int) -> None:
        """A final response came and changes nothing: whoever waited for it may go on."""
        if self.held and exchange >= self.held:
            self.release()

    def release(self) -> None:
        """Nobody waits any more."""
        self.held = 0
        self.attention = True

    def switch(self, token: str) -> None:
        """The peers agreed to speak another protocol."""
        self.token = token
        self.attention = True

    def state(self) -> PairingState:
        """What a snapshot holds of it. `attention` is settled before one can be taken."""
        received, sent = (list(waiting) for waiting in self.waiting)
        return PairingState(self.last, (received, sent), list(self.overflow), list(self.doubtful), self.held)

    @classmethod
    def restore(cls, limit: int, state: PairingState) -> "Pairing":
        """Go on from a state."""
        pairing = cls(limit)
        pairing.last, pairing.held = state.last, state.held
        pairing.waiting = (deque(state.waiting[0]), deque(state.waiting[1]))
        pairing.overflow, pairing.doubtful = list(state.overflow), list(state.doubtful)
        return pairing
