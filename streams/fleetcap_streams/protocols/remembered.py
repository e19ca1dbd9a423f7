"""Things a connection refers to again by name, such as prepared statements: bounded by size, the oldest are forgotten."""

from typing import Final, Generic, TypeVar

import msgspec

T = TypeVar("T")
MOST: Final = 4096  # entries, however small


class Remembered(msgspec.Struct, Generic[T], array_like=True):
    """By name, each with the size in bytes it is counted with."""

    entries: dict[str, tuple[T, int]] = {}
    held: int = 0

    def put(self, name: str, value: T, size: int, limit: int) -> None:
        """Remember under a name, and forget what is over the limit."""
        self.forget(name)
        self.entries[name] = (value, size)
        self.held += size
        while self.held > limit or len(self.entries) > MOST:
            self.forget(next(iter(self.entries)))

    def get(self, name: str) -> T | None:
        """What has that name, if it is still known."""
        entry = self.entries.get(name)
        return None if entry is None else entry[0]

    def forget(self, name: str) -> None:
        """Forget it, if it is known."""
        entry = self.entries.pop(name, None)
        if entry is not None:
            self.held -= entry[1]
