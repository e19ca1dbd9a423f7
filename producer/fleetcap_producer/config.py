"""What the tap is asked to capture and how much it may hold. Values only."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Filters:
    """Which processes and sockets are captured, checked in the kernel. An empty list asks for nothing, so all pass.

    Different lists must all agree; within a list, one entry must.
    """

    pids: Sequence[int] = ()
    comms: Sequence[str] = ()  # of the thread or of its process's main thread; the kernel keeps 15 bytes
    uids: Sequence[int] = ()
    ports: Sequence[int] = ()  # local or remote; a connection without a known socket does not pass
    cgroups: Sequence[str] = ()  # paths in the unified hierarchy; each stands for all below it
    programs: Sequence[Path] = ()  # files that processes run, by inode: a copy is another one, and so is an upgraded one


@dataclass(frozen=True, slots=True)
class TapConfig:
    """How one tap works.

    What one entry of `excluded` names is left out, whatever `filters` says.
    `denied` are endpoints (IP address, port), such as those of the broker, whose connections no process has captured,
    whichever end they are; an unspecified address (`0.0.0.0`, `::`) stands for every address.
    """

    node_id: str
    filters: Filters = Filters()
    excluded: Filters = Filters()
    denied: Sequence[tuple[str, int]] = ()
    ring_pages: int = 8192  # of 4 KiB, a power of two: 32 MiB hold a burst of some 160,000 small events
    max_call_bytes: int = 8 * MIB  # captured of one call; rounded up to chunks of 16 KiB
    max_connections: int = 65536  # remembered in the kernel at once
    libraries: Sequence[Path] = ()  # probed besides those that are found
    discover: bool = True  # find libraries in use and the system's own
    watch: bool = True  # find those, too, that come into use later
    secrets: bool = False  # take over the keys of TLS sessions, too
    plain: Sequence[int] = ()  # ports, local or remote, on which plain TCP sockets are captured, too
    older: bool = False  # use only what kernels before Linux 6.3 have, even where this one has better
    rescan_s: float = 1.0  # how often new processes are looked at
