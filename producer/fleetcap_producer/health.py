"""How the producer fares: its counts, put together now and then, for a record of the raw topic and for whoever asks.

It owns when that happens and what the record says. It must not know where counts come from, nor how they are served.
"""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from fleetcap_producer.losses import KeyLoss
from fleetcap_producer.packing import Packed
from fleetcap_proto.v1 import activity_pb2, raw_pb2

_MOST_CONNECTIONS: Final = 100  # told in one record, those that lost most


@dataclass(frozen=True, slots=True)
class Counts:
    """Totals since the start. Losses are by cause, those of connections by UUID, as far as they are known."""

    events: int = 0
    payload_bytes: int = 0
    records: int = 0
    lost_events: Mapping[str, int] = field(default_factory=dict)
    lost_bytes: Mapping[str, int] = field(default_factory=dict)
    lost_by_key: Mapping[bytes, KeyLoss] = field(default_factory=dict)
    spool_bytes: int = 0


def merged(*counts: Mapping[str, int]) -> Mapping[str, int]:
    """Sums by cause."""
    total: Counter[str] = Counter()
    for one in counts:
        total.update(one)
    return dict(total)


class Health:
    """Takes counts every second, and says of each `interval_s` seconds' last what stands in a record.

    `counts` is called in the caller's thread alone; `latest` may be read by any.
    """

    def __init__(
        self,
        node_id: str,
        boot_id: str,
        counts: Callable[[], Counts],
        interval_s: float = 10.0,
        wall_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._node_id = node_id
        self._boot_id = boot_id
        self._counts = counts
        self._interval_s = interval_s
        self._wall_ns = wall_ns
        self._started_ns = wall_ns()
        self._looked_s = float("-inf")
        self._told_s = float("-inf")
        self.latest = Counts()

    def due(self, now_s: float) -> list[Packed]:
        """The record that is due now, if any; to be called often."""
        if now_s - self._looked_s < min(1.0, self._interval_s):
            return []
        self._looked_s = now_s
        self.latest = self._counts()
        if now_s - self._told_s < self._interval_s:
            return []
        self._told_s = now_s
        return [self.record()]

    def last(self) -> Packed:
        """The record of how it ended."""
        self.latest = self._counts()
        return self.record()

    def record(self) -> Packed:
        """A record of the latest counts, under the node's name."""
        counts = self.latest
        worst = sorted(counts.lost_by_key.items(), key=lambda item: item[1].events, reverse=True)[:_MOST_CONNECTIONS]
        health = activity_pb2.NodeHealth(
            started_ns=self._started_ns,
            captured_events=counts.events,
            captured_bytes=counts.payload_bytes,
            lost_events={cause: count for cause, count in counts.lost_events.items() if count},
            lost_bytes={cause: count for cause, count in counts.lost_bytes.items() if count},
            connections=[
                activity_pb2.ConnectionLoss(uuid=key.decode("utf-8", "replace"), events=lost.events, bytes=lost.bytes)
                for key, lost in worst
            ],
            spool_bytes=counts.spool_bytes,
        )
        event = raw_pb2.RawEvent(
            kind=raw_pb2.EVENT_KIND_ACTIVITY,
            timestamp_ns=self._wall_ns(),
            activity=activity_pb2.Activity(kind=activity_pb2.ACTIVITY_KIND_NODE_HEALTH, health=health),
        )
        batch = raw_pb2.RawBatch(node_id=self._node_id, boot_id=self._boot_id, event_count=1, events=[event])
        return Packed(self._node_id.encode(), batch.SerializeToString(), 1)
