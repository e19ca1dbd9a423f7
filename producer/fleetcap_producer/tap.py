"""The tap: everything from attaching to a list of captured events, behind four functions.

    start ─▶ drain, drain, drain … ─▶ stop ─▶ drain until empty ─▶ close

    ring ─▶ records ─▶ connections (describes, closes) ─▶ Captured

It must not know who takes the events, nor bcc, Kafka or any protocol.
"""

import struct
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from fleetcap_producer import checks, identity
from fleetcap_producer.arrivals import KernelArrivals
from fleetcap_producer.building import Built, build, refill, same_filters
from fleetcap_producer.captured import Captured
from fleetcap_producer.clock import WallClock
from fleetcap_producer.config import TapConfig
from fleetcap_producer.decoding import Decoder
from fleetcap_producer.errors import TapError
from fleetcap_producer.keys import Secrets
from fleetcap_producer.points import FILES
from fleetcap_producer.program import RejectedError
from fleetcap_producer.records import KIND_SECRET
from fleetcap_producer.ring import MappedRing
from fleetcap_producer.state import KernelMaps
from fleetcap_producer.table import Connections, Namer
from fleetcap_producer.watching import LibraryProbes, Watcher, attach_known

# How long events gather before they are taken: keeps small batches, which are dear, rare, and is no delay to speak of.
_GATHER_S = 0.004
# While nothing comes at all, looking less often saves most of what waiting costs.
_IDLE_S = 0.02
_IDLE_AFTER_S = 0.2
# After detaching, programs already running end in microseconds.
_SETTLE_S = 0.1

_INDEX = 4  # bytes of an array's index

# Names of the kernel's counters of lost events and lost bytes; indexes of the map `losses`, see fleetcap_bpf/record.h.
_EVENT_LOSSES = {
    "kernel ring buffer full": 0,
    "call longer than captured": 2,
    "process memory unreadable": 4,
    "moved outside process memory": 6,
    "too many connections": 8,
    "call not followed": 10,
    "close not told": 11,
    "bodies shed": 12,
    "connections shed": 14,
}
_WITHOUT_BYTES = (10, 11)
_BYTE_LOSSES = {name: index + 1 for name, index in _EVENT_LOSSES.items() if index not in _WITHOUT_BYTES}
_COUNTERS = 16


class Tap:
    """One tap on this machine, made for one start. All functions are for one thread."""

    def __init__(self, config: TapConfig) -> None:
        self._config = config
        self._clock = WallClock()
        self._running: _Running | None = None
        self._counted: list[int] = [0] * _COUNTERS
        self._evicted = 0
        self._unknown = 0

    @property
    def secrets(self) -> bool:
        """Whether keys are taken over."""
        return self._config.secrets

    def start(self) -> None:
        """Attach. Nothing is captured before.

        Raises:
            TapError: this machine or the configuration does not allow it; nothing stays attached.
        """
        checks.require()
        built = build(self._config)
        try:
            self._running = _Running(self._config, built, self._clock)
        except BaseException:
            built.programs.close()
            raise

    def drain(self, timeout_s: float) -> list[Captured]:
        """What was captured since the last call, in order; waits up to `timeout_s` seconds where that is nothing.

        One call returns within bounds, however much comes in. It can be called after `stop`, until it returns nothing.
        """
        running = self._running
        return running.drain(timeout_s) if running else []

    def losses(self) -> Mapping[str, int]:
        """Events lost or cut before they were drained, by cause. It can be called at any time."""
        counted = self._count()
        return {
            **{name: counted[index] for name, index in _EVENT_LOSSES.items()},
            "connections evicted": self._evicted,
            "connection forgotten": self._unknown,
        }

    def lost_bytes(self) -> Mapping[str, int]:
        """Bytes known to be lost, by cause. Their positions are missing in the events, too."""
        counted = self._count()
        return {name: counted[index] for name, index in _BYTE_LOSSES.items()}

    def _count(self) -> list[int]:
        if self._running:
            self._counted = self._running.built.programs.per_cpu_sum("losses", _COUNTERS)
            self._evicted = self._running.connections.evicted
            self._unknown = self._running.decoder.unknown
        return self._counted

    def refilter(self, config: TapConfig) -> None:
        """Filter by `config` from now on, whose other parts do not count. Connections already refused stay so.

        Raises:
            TapError: an entry cannot be used, or kinds of filters are asked for that the loaded programs do not have.
        """
        if not self._running:
            return
        if not same_filters(self._config, config):
            raise TapError("filters of other kinds than at the start are asked for", "start the capture again for these")
        refill(self._running.built.programs, config)
        self._config = config

    def libraries(self) -> list[str]:
        """The files that are probed now."""
        return self._running.probes.paths() if self._running else []

    def stop(self) -> None:
        """Detach. What was captured before can still be drained."""
        if self._running:
            self._running.detach()

    def close(self) -> None:
        """Detach and free everything; what was not drained is gone."""
        if self._running:
            self._running.detach()
            self._count()
            self._running.close()
            self._running = None


# A probe costs a descriptor for each process it is limited to; beyond this many, the filter in the programs has to do.
_MOST_ALONE = 16


def _only(pids: Sequence[int]) -> Sequence[int]:
    """The processes to which probes can be limited: those asked for, if they are there already; none stands for all."""
    alone = len(pids) <= _MOST_ALONE and all(Path(f"/proc/{pid}").exists() for pid in pids)
    return pids if alone else ()


class _Running:
    """What exists between `start` and `close`."""

    def __init__(self, config: TapConfig, built: Built, clock: WallClock) -> None:
        self.built = built
        self._clock = clock
        self._stopped = False
        self._taken_s = 0.0
        self._seen_s = 0.0  # when something was last found
        secrets = Secrets(built.programs) if config.secrets else None
        further = secrets.places if secrets else None
        self.probes = LibraryProbes(built.library_programs.__getitem__, built.attaching, _only(config.filters.pids), further)
        self._ring = MappedRing(built.programs.map_fd("events"), built.ring_bytes)
        self._switch = built.programs.table("stopped", _INDEX, _INDEX)
        namer = Namer(config.node_id, identity.boot_id(), self.probes.used_by)
        self.connections = Connections(KernelMaps(built.programs), namer, self._to_unix)
        facts = {KIND_SECRET: secrets.reader(self.connections, self._to_unix)} if secrets else {}
        self.decoder = Decoder(self.connections, clock, facts)
        self._arrivals = KernelArrivals(built.programs)
        self._watcher = Watcher(self.probes, self._arrivals, config.rescan_s)
        try:
            self._attach(config)
        except BaseException:
            self.detach()
            self._ring.close()
            self._arrivals.close()
            raise

    def _to_unix(self, time_ns: int) -> int:
        return time_ns + self._clock.offset_ns

    def _attach(self, config: TapConfig) -> None:
        """Sockets first, so that each captured connection's opening can have been seen."""
        try:
            for point in (*self.built.socket_points, *(FILES if config.discover and config.watch else ())):
                self.built.programs.attach(point)
        except RejectedError as error:
            raise TapError(
                f"the kernel's verifier refused the eBPF programs ({error})", "report it with `fleetcap doctor`"
            ) from error
        attach_known(self.probes, config.libraries, system=config.discover)
        if config.discover and config.watch:
            self._watcher.start()
        elif config.discover:
            self._watcher.look()

    def detach(self) -> None:
        if self._stopped:
            return
        self._stopped = True
        self._switch.put(bytes(_INDEX), struct.pack("=I", 1))
        self._watcher.stop()
        self.probes.close()
        self.built.programs.detach()

    def close(self) -> None:
        self._ring.close()
        self._arrivals.close()
        self.built.programs.close()

    def drain(self, timeout_s: float) -> list[Captured]:
        deadline = time.monotonic() + timeout_s
        if self._stopped:
            return self._drain_rest()
        while True:
            self._gather(deadline)
            if events := self._take():
                return events
            left = deadline - time.monotonic()
            if left <= 0:
                return []
            idle = self._taken_s - self._seen_s > _IDLE_AFTER_S
            self._ring.wait(min(left, _IDLE_S if idle else _GATHER_S))

    def _gather(self, deadline: float) -> None:
        """Waits for a batch worth taking; a program wakes us before the time where much comes in."""
        early = min(self._taken_s + _GATHER_S, deadline) - time.monotonic()
        if early > 0 and self._ring.waiting() < self.built.wake_bytes:
            self._ring.wait(early)

    def _take(self) -> list[Captured]:
        self._clock.watch()
        events: list[Captured] = []
        now_ns = time.monotonic_ns()
        if at := self._ring.ready():
            self.decoder.decode(self._ring.data, at, now_ns, events)
            self.connections.trim(now_ns)
        else:
            events.extend(self.connections.sweep(now_ns))
        self._ring.release()
        self._taken_s = time.monotonic()
        if at:
            self._seen_s = self._taken_s
        return events

    def _drain_rest(self) -> list[Captured]:
        until = time.monotonic() + _SETTLE_S
        while True:
            if events := self._take():
                return events
            if not self._ring.waiting():
                return list(self.connections.recover_closes(time.monotonic_ns()))
            if time.monotonic() > until:
                return []
