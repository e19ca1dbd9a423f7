"""The partitions this worker owns: taken over after a rebalance, fed, ticked and checkpointed, given up before the next.

It must not know what an engine does. Whatever goes wrong here ends the worker, and `failure` says why.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from aiokafka.errors import IllegalStateError
from faust.types import TP

from fleetcap_streams.errors import StalledError
from fleetcap_streams.kafka.checkpoint import Names, group_metadata
from fleetcap_streams.kafka.cluster import Cluster
from fleetcap_streams.kafka.owned import OwnedPartition, Parts, Surroundings
from fleetcap_streams.kafka.partition import Batch, PartitionLimits
from fleetcap_streams.kafka.ticks import Ticker
from fleetcap_streams.kafka.watchdog import Watchdog

log = logging.getLogger("fleetcap.worker")


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds, all of them of the worker's own clock."""

    checkpoint_s: float = 0.2
    tick_s: float = 0.5
    # A rebalance waits this long for last checkpoints; the group's coordinator waits for us as long as the session lasts.
    release_s: float = 5.0
    stall_s: float = 120.0  # with work to do and without a checkpoint; then the worker ends


class Partitions:
    """All partitions in this worker's hands, by number."""

    def __init__(self, cluster: Cluster, names: Names, parts: Parts, limits: PartitionLimits, timing: Timing) -> None:
        self.failure: BaseException | None = None
        self._failed = asyncio.Event()
        self._names = names
        self._measures = parts.measures
        self._timing = timing
        self._owned: dict[int, OwnedPartition] = {}
        self._ticked: dict[int, float] = {}
        self._turn = 0  # counts acquisitions and releases, so that one that was overtaken notices
        self._ticker = Ticker(cluster, names.source)
        self._closed = False
        self._settled = False  # whether the last assignment has been taken over
        self._outage: int | None = None  # how many checkpoints there were when the last broker was lost
        self._consumer: Any = None
        self._around = Surroundings(
            cluster=cluster,
            names=names,
            metadata=group_metadata(cluster, names.group),
            parts=parts,
            limits=limits,
            seek=self._seek,
            failed=self.fail,
        )

    def attach(self, consumer: Callable[[], Any]) -> None:
        """Say how to get at the consumer, which Faust makes later."""
        self._consumer = consumer

    async def feed(self, batch: Batch) -> None:
        """Put a batch through its partition's engine; dropped where the partition is not ours any more."""
        owned = self._owned.get(batch.partition)
        if owned is not None:
            await owned.feed(batch)

    async def acquire(self, numbers: Iterable[int]) -> None:
        """Take over these partitions, and only these: fence former owners, restore states."""
        await self.release()
        if self._closed:
            return
        self._turn += 1
        turn = self._turn
        owned = {number: OwnedPartition(number, self._around) for number in numbers}
        self._owned = owned
        self._ticked = {}
        results = await asyncio.gather(*(one.recover() for one in owned.values()), return_exceptions=True)
        failures = [result for result in results if isinstance(result, BaseException)]
        if turn != self._turn:
            return  # overtaken by the next rebalance, which has released them
        self._settled = True
        self._measures.own(owned, ())
        if failures:
            self.fail(failures[0])
        elif owned:
            connections = sum(result for result in results if isinstance(result, int))
            log.info("owns partition%s %s of %s; %d connections restored", *_listed(owned), self._names.source, connections)

    async def release(self) -> None:
        """Give all partitions up, each after a last checkpoint."""
        self._turn += 1
        self._settled = False
        owned, self._owned = self._owned, {}
        self._measures.own((), owned)
        patience_s = None if self.failure is not None else self._timing.release_s
        results = await asyncio.gather(*(one.release(patience_s) for one in owned.values()), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                self.fail(result)
        if owned:
            log.info("gave up partition%s %s of %s", *_listed(owned), self._names.source)

    async def run(self) -> None:
        """Write checkpoints and ticks until cancelled."""
        loop = asyncio.get_running_loop()
        self._watchdog = Watchdog(self._timing.stall_s, lambda why: _from_thread(loop, self.fail, StalledError(why)))
        self._watchdog.start()
        try:
            await self._run()
        finally:
            self._watchdog.stop()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._timing.checkpoint_s)
            for owned in list(self._owned.values()):
                owned.start_checkpoint()
                self._maybe_tick(owned)
            self._ticker.poll()
            self._tell_outage()
            self._watchdog.note(self._progress(), self._waiting_for())

    def fail(self, error: BaseException) -> None:
        """Note why the worker has to end; the first reason counts."""
        if self.failure is None:
            self.failure = error
            self._failed.set()

    async def failed(self) -> None:
        """Return when the worker has to end."""
        await self._failed.wait()

    async def close(self) -> None:
        """Give everything up for good; without last checkpoints where something failed."""
        self._closed = True
        await self.release()
        self._ticker.close()

    def measure(self) -> None:
        """Bring the measures of where things are up to date."""
        now_s = time.time()
        for owned in self._owned.values():
            owned.measure(self._end(owned.number), now_s)

    def not_ready(self) -> str | None:
        """Why no records are being read; None where they are."""
        if self.failure is not None:
            return str(self.failure)
        if self._outage is not None:
            return "no broker can be reached"
        return None if self._settled else "partitions are being assigned and taken over"

    def _written(self) -> int:
        return sum(owned.written for owned in self._owned.values())

    def _progress(self) -> tuple[int, int, int]:
        return self._turn, self._written(), sum(owned.looked for owned in self._owned.values())

    def _waiting_for(self) -> str | None:
        """What has to happen next; None where there is nothing to do, or no broker to do it with."""
        if self._outage is not None or self._closed:
            return None
        if not self._settled:
            return "partitions to be assigned and taken over"
        late = [owned.number for owned in self._owned.values() if not owned.done(self._end(owned.number))]
        return f"a checkpoint of partition {late[0]}" if late else None

    def _tell_outage(self) -> None:
        written = self._written()
        if self._ticker.lost and self._outage is None:
            log.warning("no broker can be reached; waiting for one, nothing is lost")
            self._outage = written
        elif self._outage is not None and written != self._outage:
            log.info("a broker can be reached again")
            self._outage, self._ticker.lost = None, False

    def _maybe_tick(self, owned: OwnedPartition) -> None:
        now = time.monotonic()
        silent_s = min(owned.silence_s(), now - self._ticked.get(owned.number, 0.0))
        if silent_s >= self._timing.tick_s and owned.tick_due() and owned.caught_up(self._end(owned.number)):
            self._ticked[owned.number] = now
            self._ticker.write(owned.number)

    def _end(self, number: int) -> int | None:
        try:
            end: int | None = self._consumer().highwater(TP(self._names.source, number))
        except AssertionError:  # aiokafka's way to say that the partition is not assigned, during a rebalance
            return None
        return end

    async def _seek(self, number: int, offset: int) -> int | None:
        try:
            seeks: int = await self._consumer().seek_to(TP(self._names.source, number), offset)
        except IllegalStateError:  # not assigned any more: it is about to be released
            return None
        return seeks


def _from_thread(loop: asyncio.AbstractEventLoop, call: Callable[[BaseException], None], error: BaseException) -> None:
    with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
        loop.call_soon_threadsafe(call, error)


def _listed(owned: dict[int, OwnedPartition]) -> tuple[str, str]:
    return "s" if len(owned) > 1 else "", ", ".join(str(number) for number in sorted(owned))
