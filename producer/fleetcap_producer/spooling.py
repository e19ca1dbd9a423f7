"""A sink before Kafka that keeps records on disk while Kafka does not take them.

    direct:    send ─▶ client ─▶ Kafka
    spooling:  send ─▶ spool ─▶ (poll) ─▶ client ─▶ Kafka

It begins to spool when a record has waited too long for Kafka's answer, or too many do. What waits in memory by then is put on
disk first, so that a killed process leaves it there. It goes back to direct once nothing in the spool is unread. So no record
overtakes one that was taken before it. What Kafka answered for is done with on disk as well. A record that Kafka had written,
and whose answer did not reach a process that was killed, is written again by the next: readers know it by its events' positions.

It owns this order, and which losses are whose. It must not know how records are kept or shipped.
"""

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from fleetcap_producer.packing import Packed
from fleetcap_producer.shipping import UNSENT, Settled
from fleetcap_producer.spool import Spool, Spooled
from fleetcap_producer.spool_folder import Place

# Read from disk in one `poll`: bounds how long the tap waits meanwhile.
_MOST_READ_BYTES: Final = 4 << 20
_SLICE_S: Final = 0.1


class Client(Protocol):
    """What takes records for Kafka; see `Shipper`."""

    def offer(self, packed: Packed, settled: Settled) -> bool:
        """Take a record if there is room; `settled` is told what became of it."""

    def poll(self) -> None:
        """Report. Never waits."""

    def flush(self, timeout_s: float) -> int:
        """Wait until everything is written."""

    def close(self, timeout_s: float) -> None:
        """Give up what is not written by then, and report it."""


@dataclass(frozen=True, slots=True)
class SpoolingOptions:
    """`patience_s`: how long Kafka may take to answer for a record. `window_bytes`: for how much of them at once."""

    patience_s: float = 1.0
    window_bytes: int = 32 << 20


@dataclass(slots=True)
class _Taken:
    """A record that the client has. `packed` is kept while it is in memory only, `place` where it is on disk."""

    packed: Packed | None
    place: Place | None
    events: int
    size: int
    since_s: float
    settled: bool = False
    kept: bool = False  # the client gave it up; it is on disk for the next process


class SpoolingSink:
    """A sink; owns `client` and `spool`. `clock` gives seconds that only go forward."""

    def __init__(
        self,
        client: Client,
        spool: Spool,
        options: SpoolingOptions | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._spool = spool
        self._options = options or SpoolingOptions()
        self._clock = clock
        self._taken: deque[_Taken] = deque()
        self._waiting_bytes = 0
        self._next: Spooled | None = None  # read, and refused by a full client
        self.lost = spool.lost
        self.spooling = spool.unread  # what an earlier process left goes first

    def send(self, packed: Packed, wait_s: float) -> None:  # noqa: ARG002  there is always room, or none for longer
        """Take a record."""
        if not self.spooling:
            if not self._impatient() and self._offer(packed, None, packed):
                return
            self._begin()
        self._spool.append(packed)

    def poll(self) -> None:
        """Let answers come in, and bring out what is on disk as far as Kafka takes it."""
        self._client.poll()
        self._settle()
        if not self.spooling:
            if self._impatient():
                self._begin()
            return
        self._refill()
        if self._next is None and not self._spool.unread and not self._impatient():
            self.spooling = False

    def close(self, timeout_s: float) -> None:
        """Bring out what is there, while Kafka takes it; the rest stays on disk for the next process."""
        deadline = self._clock() + timeout_s
        heard_s = self._clock()
        while (self._taken or self._spool.unread or self._next) and self._clock() < min(
            deadline, heard_s + 2 * self._options.patience_s
        ):
            before = len(self._taken), self._spool.unread
            self._refill()
            self._client.flush(min(_SLICE_S, max(0.0, deadline - self._clock())))
            self._settle()
            if (len(self._taken), self._spool.unread) != before:
                heard_s = self._clock()
        if self._taken and not self.spooling:
            self._begin()
        self._client.close(0.0)
        self._settle()
        self._spool.close()

    def losses(self) -> Mapping[str, int]:
        """Events of records that were lost, by cause."""
        return self.lost.events()

    @property
    def kept_bytes(self) -> int:
        """What the spool takes on disk."""
        return self._spool.size

    def _impatient(self) -> bool:
        if self._waiting_bytes > self._options.window_bytes:
            return True
        return bool(self._taken) and self._clock() - self._taken[0].since_s > self._options.patience_s

    def _begin(self) -> None:
        """From now on by way of the disk, also what is in memory only. The client has that, so it is not read from there."""
        self.spooling = True
        for one in self._taken:
            if one.packed is not None:
                # A full spool costs nothing here: the client may yet bring it out.
                one.place, one.packed = self._spool.append(one.packed, only_copy=False), None
        self._spool.skip(self._spool.end)

    def _refill(self) -> None:
        left = _MOST_READ_BYTES
        while left > 0 and self._waiting_bytes < self._options.window_bytes:
            one = self._next or self._spool.read()
            if one is None:
                return
            self._next = None if self._offer(one.packed, one.end, None) else one
            if self._next:
                return
            left -= len(one.packed.value)

    def _offer(self, packed: Packed, place: Place | None, kept: Packed | None) -> bool:
        packed_key = packed.key
        one = _Taken(kept, place, packed.events, len(packed.value), self._clock())

        def settled(cause: str) -> None:
            one.settled, one.packed = True, None
            self._waiting_bytes -= one.size
            one.kept = cause in UNSENT and one.place is not None
            if cause and not one.kept:
                self.lost.count(cause, packed_key, one.events, one.size)

        self._waiting_bytes += one.size
        if not self._client.offer(packed, settled):
            self._waiting_bytes -= one.size
            return False
        self._taken.append(one)
        return True

    def _settle(self) -> None:
        """What Kafka answered for, and all before it, is done with on disk. Nothing is behind what it never got."""
        until = None
        while self._taken and self._taken[0].settled and not self._taken[0].kept:
            until = self._taken.popleft().place or until
        if until:
            self._spool.done(until)
