"""The storage of the Faust table `connections`: it turns Faust's rebalances into partitions taken over and given up.

The table's changelog is the durable state; its hot form lives in the engines, so nothing is held here a second time. Faust
keeps the changelog's partitions together with the raw topic's, and calls this store at the right moments of a rebalance.
"""

from typing import Any

from faust.stores import base

from fleetcap_streams.kafka.partitions import Partitions


class ConnectionStore(base.Store):  # type: ignore[misc] # Faust ships no types
    """A store without contents of its own; `partitions` are given as the table's options."""

    def __init__(self, *arguments: Any, options: Any, **more: Any) -> None:
        super().__init__(*arguments, options=options, **more)
        self.data: dict[Any, Any] = {}
        self.partitions: Partitions = options["partitions"]

    async def on_recovery_completed(self, active_tps: set[Any], standby_tps: set[Any]) -> None:  # noqa: ARG002 - Faust's signature
        """Take the assigned partitions over. Faust goes on to the committed offsets only when this has returned."""
        await self.partitions.acquire(sorted(tp.partition for tp in active_tps))

    def persisted_offset(self, tp: Any) -> int | None:  # noqa: ARG002 - Faust's signature
        """None: nothing is kept on disk."""
        return None

    def apply_changelog_batch(self, batch: Any, to_key: Any, to_value: Any) -> None:
        """Nothing: Faust's own recovery never reads the changelog."""

    def reset_state(self) -> None:
        """Nothing: there are no files."""

    async def backup_partition(self, tp: Any, flush: bool = True, purge: bool = False, keep: int = 1) -> None:  # noqa: FBT001, FBT002 - Faust's signature
        """Nothing: there are no files."""

    def restore_backup(self, tp: Any, latest: bool = True, backup_id: int = 0) -> None:  # noqa: FBT001, FBT002 - Faust's signature
        """Nothing: there are no files."""
