"""What is remembered of a channel: who asked what, the contents that are coming in, what publishers wait to have confirmed.

A channel is a conversation of its own: its methods are carried out, and answered, in order. Knows no frames.
"""

from typing import Final, NamedTuple

import msgspec

from fleetcap_streams.protocols.amqp.contents import Content
from fleetcap_streams.protocols.contract import Direction, Role
from fleetcap_streams.protocols.turns import Turns

# A connection sees each of these once, and a channel until it is opened anew: no loss makes their answers doubtful.
ONCE: Final = frozenset(
    [f"connection.{method}" for method in ("start", "tune", "open", "close")] + ["channel.open", "channel.close"]
)
WAITING: Final = 256  # methods of one channel that wait for their answers; clients mostly wait for each
NO_CONFIRMS: Final = -1


class Asked(msgspec.Struct, array_like=True):
    """A method that waits for its answer."""

    number: int
    operation: str


def _turns() -> list[Turns[Asked]]:
    return [Turns(client=direction) for direction in Direction]


class Paired(NamedTuple):
    """The part that a message plays."""

    role: Role = Role.SINGLE
    exchange: int = 0
    doubtful: bool = False


class Channel(msgspec.Struct, array_like=True):
    """One channel. `opener` is who opened it; None: nobody saw that, or something was lost since."""

    turns: list[Turns[Asked]] = msgspec.field(default_factory=_turns)  # by the direction of who asks
    once: list[dict[str, int]] = msgspec.field(default_factory=lambda: [{}, {}])  # the same, of what is asked only once
    contents: list[Content | None] = msgspec.field(default_factory=lambda: [None, None])
    opener: Direction | None = None
    published: int = NO_CONFIRMS  # contents since the channel was put in confirm mode
    unconfirmed: dict[int, int] = {}  # delivery tags, and the exchanges of what was published with them

    def doubt(self) -> None:
        """Nobody saw this channel's beginning."""
        for turns in self.turns:
            turns.doubtful = True

    def lost(self, direction: Direction, missing: int) -> None:
        """Bytes of a direction are lost. Contents may be among them, so nobody can count them any more."""
        for turns in self.turns:
            turns.lost(direction, missing)
        self.opener = None
        self.stop_confirms()

    def stop_confirms(self) -> None:
        """What has been published is not told apart from here on."""
        self.published = NO_CONFIRMS
        self.unconfirmed = {}

    def confirm(self) -> None:
        """From here on, contents are confirmed; the first has the tag 1."""
        if self.opener is not None and self.published == NO_CONFIRMS:
            self.published = 0

    def ask(self, direction: Direction, asked: Asked, limit: int) -> None:
        """A method waits for its answer from here on."""
        if asked.operation in ONCE:
            self.once[direction][asked.operation] = asked.number
            return
        turns = self.turns[direction]
        turns.turn()
        turns.count += 1
        turns.ask(asked, min(limit, WAITING))

    def answer(self, direction: Direction, operation: str) -> Paired:
        """Somebody answers such a method. Those that were asked before it will not be answered any more."""
        if operation in ONCE:
            return Paired(Role.RESPONSE, self.once[direction.other].pop(operation, 0))
        turns = self.turns[direction.other]
        turns.heard()
        known = turns.waiting if turns.known is None else turns.waiting[: turns.known]
        while any(asked.operation == operation for asked in known):
            front = turns.waiting[0]
            turns.done()
            if front.operation == operation:
                return Paired(Role.RESPONSE, front.number, turns.doubtful)
            known = known[1:]
        return Paired(Role.RESPONSE, 0, turns.doubtful)

    def publish(self, exchange: int) -> None:
        """A content is published that will be confirmed."""
        self.published += 1
        self.unconfirmed[self.published] = exchange

    def confirmed(self, tag: int, *, multiple: bool) -> list[tuple[int, int]]:
        """Tags and exchanges of what a confirmation is about; the tag 0 means all."""
        if not multiple:
            return [(tag, self.unconfirmed.pop(tag))] if tag in self.unconfirmed else []
        found = [(each, exchange) for each, exchange in self.unconfirmed.items() if each <= tag or not tag]
        for each, _ in found:
            del self.unconfirmed[each]
        return found
