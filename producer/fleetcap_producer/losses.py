"""What was lost on the node behind the tap: events and bytes by cause, and by connection.

It counts and nothing else.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Final, NamedTuple

from fleetcap_producer.packing import Packed

_MOST_KEYS: Final = 4096


class KeyLoss(NamedTuple):
    """What was lost of one connection; `bytes` are those of its records."""

    events: int
    bytes: int


class Losses:
    """Totals since they were made. Connections beyond a few thousand are counted together, under an empty key."""

    def __init__(self) -> None:
        self._events: Counter[str] = Counter()
        self._bytes: Counter[str] = Counter()
        self._keys: dict[bytes, KeyLoss] = {}

    def add(self, cause: str, packed: Packed) -> None:
        """A record was lost."""
        self.count(cause, packed.key, packed.events, len(packed.value))

    def count(self, cause: str, key: bytes, events: int, size: int) -> None:
        """As `add`, for a record of which only this much is known."""
        self._events[cause] += events
        self._bytes[cause] += size
        if key:
            kept = key if key in self._keys or len(self._keys) < _MOST_KEYS else b""
            known = self._keys.get(kept, KeyLoss(0, 0))
            self._keys[kept] = KeyLoss(known.events + events, known.bytes + size)

    def events(self) -> Mapping[str, int]:
        """By cause."""
        return dict(self._events)

    def sizes(self) -> Mapping[str, int]:
        """Bytes by cause; of records as they were shipped."""
        return dict(self._bytes)

    def by_key(self) -> Mapping[bytes, KeyLoss]:
        """By connection UUID; those of further connections than are remembered stand under an empty one."""
        return dict(self._keys)
