"""What the engine asks of a shortcut: something that does its work for records, or parts of them, faster than it can.

The engine does not know how. Whatever a shortcut takes must lead to the outputs and the state that the engine's own way
leads to.
"""

from typing import Any, Protocol

from fleetcap_streams.engine.connection import Connection
from fleetcap_streams.engine.values import EncodedOut


class Taken(Protocol):
    """Part of a record, from an event on: `until` is the first event not taken, `events` is how many the record has."""

    @property
    def until(self) -> int: ...  # noqa: D102 - the class says it

    @property
    def events(self) -> int: ...  # noqa: D102

    @property
    def output(self) -> EncodedOut: ...  # noqa: D102


class Shortcut(Protocol):
    """Takes parts of records of connections that are in a plain state."""

    def take(self, connection: Connection, value: bytes, start: int) -> Any:
        """Try a record's events from `start` on and return a `Taken`, or None for nothing; changes nothing."""

    def apply(self, connection: Connection, taken: Any) -> None:
        """Bring the connection to where it is behind what was taken."""
