"""The engine's entrance: one `Engine` for each partition of the raw topic; records go in, outputs come out in order."""

from collections.abc import Iterable, Iterator

from fleetcap_streams.engine.values import Output, Record


class Engine:
    """All open connections of one partition.

    What comes out depends on the records alone: not on a clock, and not on where batches of them are cut.
    """

    def feed(self, records: Iterable[Record]) -> list[Output]:
        """Take the partition's next records and return what they led to, in order.

        Records whose effect on their connection is already in a restored state are skipped for it.
        """
        raise NotImplementedError

    def drain(self) -> list[Output]:
        """End every connection because the input has ended for good. A worker that stops never calls this."""
        raise NotImplementedError

    def changed(self) -> Iterator[tuple[str, bytes | None]]:
        """States by connection UUID that changed since the last call; None: the connection is over and forgotten."""
        raise NotImplementedError

    def restore(self, uuid: str, state: bytes) -> None:
        """Take back what `changed` once gave."""
        raise NotImplementedError

    def waiting(self) -> bool:
        """Whether anything here will end by log time alone, so that a silent partition needs a tick."""
        raise NotImplementedError
