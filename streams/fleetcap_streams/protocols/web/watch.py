"""What follows the decoded body of an HTTP message while it arrives, chosen by the head's content type.

A watch never changes the message's body, keeps little, and never raises on what bytes say.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol, TypeAlias

from fleetcap_streams.protocols.contract import Attribute, Direction, Limits, Message
from fleetcap_streams.protocols.web.sse import EventStream

Pairs: TypeAlias = Sequence[tuple[str, str]]


class Watch(Protocol):
    """One body's. `now_ns` is set before each call: when the bytes in question came."""

    @property
    def name(self) -> str:
        """Under which a snapshot has it."""

    now_ns: int

    def feed(self, data: bytes) -> None:
        """The next bytes of the body, decoded."""

    def gap(self, missing: int) -> None:
        """Bytes are missing here; 0: it is not known how many."""

    def take(self) -> list[Message]:
        """Messages that are finished since the last call, in order."""

    def finish(self, trailers: Pairs, *, complete: bool) -> Mapping[str, Attribute]:
        """Nothing more is coming: what the body tells of the message around it. `take` may give more afterwards."""

    def weight(self) -> int:
        """Bytes that it holds."""

    def state(self) -> bytes:
        """What a snapshot holds of it."""

    def restore(self, state: bytes) -> None:
        """Go on from a state."""


_WATCHES: Final[dict[str, Callable[[Direction, Limits], Watch]]] = {EventStream.name: EventStream}


def watch_of(content_type: str, *, request: bool) -> str:
    """The watch for bodies of a Content-Type field's value; empty where none is."""
    media_type = content_type.partition(";")[0].strip(" \t").lower()
    if media_type == "text/event-stream" and not request:
        return EventStream.name
    return ""


def watch_called(name: str, direction: Direction, limits: Limits) -> Watch:
    """A new watch of that name, before the body's first byte."""
    return _WATCHES[name](direction, limits)
