"""Joins requests with their responses, by the exchange number their parser gave them.

A response may end before its request does (a server that refuses an upload), so either may come first.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from fleetcap_streams.protocols.contract import Message, Role

# Bodies kept while their exchange is open. Beyond it the oldest lose theirs: their message has been put out already.
HELD_BYTES = 512 * 1024


class Paired(NamedTuple):
    """What came together; one of request and response may be None."""

    request: Message | None
    response: Message | None
    interim: list[Message]


@dataclass(slots=True)
class Open:
    """An exchange of which something is still to come."""

    request: Message | None = None
    response: Message | None = None
    interim: list[Message] = field(default_factory=list)

    def messages(self) -> Iterator[Message]:
        """What has come of it."""
        if self.request is not None:
            yield self.request
        if self.response is not None:
            yield self.response
        yield from self.interim


class Exchanges:
    """The open exchanges of one connection, oldest first; at most `limit` of them."""

    __slots__ = ("held", "limit", "open")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.open: dict[int, Open] = {}
        self.held = 0

    def add(self, message: Message) -> Iterator[Paired]:
        """Take a message of any role but SINGLE and give the exchanges that are over by it."""
        if message.role is Role.RESPONSE and not message.exchange:
            yield Paired(None, message, [])
            return
        entry = self.open.setdefault(message.exchange, Open())
        match message.role:
            case Role.REQUEST:
                entry.request = message
            case Role.RESPONSE:
                entry.response = message
            case _:
                entry.interim.append(message)
        self.held += len(message.body)
        if entry.request is not None and entry.response is not None:
            yield self._close(message.exchange)
        elif len(self.open) > self.limit:
            yield self._close(next(iter(self.open)))
        if self.held > HELD_BYTES:
            self._let_go_of_bodies()

    def drain(self) -> Iterator[Paired]:
        """Close everything, oldest first."""
        while self.open:
            yield self._close(next(iter(self.open)))

    def _close(self, number: int) -> Paired:
        entry = self.open.pop(number)
        self.held -= sum(len(message.body) for message in entry.messages())
        return Paired(entry.request, entry.response, entry.interim)

    def _let_go_of_bodies(self) -> None:
        for entry in self.open.values():
            entry.request = self._without_body(entry.request)
            entry.response = self._without_body(entry.response)
            if self.held <= HELD_BYTES:
                return

    def _without_body(self, message: Message | None) -> Message | None:
        if message is None or not message.body:
            return message
        self.held -= len(message.body)
        # A copy: the message itself may be on its way out already.
        return replace(message, body=b"", notes=(*message.notes, "body-let-go"))
