"""Hears from the kernel which files begin to run, each once. Owns the ring buffer `files` and the map `told_files`."""

import ctypes
import os
from typing import NamedTuple, Protocol

from fleetcap_producer.building import FILE_RING_BYTES
from fleetcap_producer.program import Programs
from fleetcap_producer.records import Arrival, File
from fleetcap_producer.ring import MappedRing

_RECORD = ctypes.sizeof(Arrival)


class Arrived(NamedTuple):
    """A process runs a file, or is about to map it executable. `key` names the file to `Arrivals.forget`."""

    pid: int
    inode: int
    name: str  # without directories; cut
    program: bool
    key: bytes


class Arrivals(Protocol):
    """What tells of files."""

    def wait(self, timeout_s: float) -> list[Arrived]:
        """What arrived since the last call; waits up to `timeout_s` seconds where that is nothing."""

    def forget(self, key: bytes) -> None:
        """Tell of this file again when it is used again."""

    def forget_all(self) -> None:
        """Tell of every file again."""


class KernelArrivals:
    """`Arrivals`, by the maps of loaded programs."""

    def __init__(self, programs: Programs) -> None:
        self._ring = MappedRing(programs.map_fd("files"), FILE_RING_BYTES)
        self._told = programs.table("told_files", ctypes.sizeof(File), 1)

    def wait(self, timeout_s: float) -> list[Arrived]:
        """See `Arrivals`."""
        if not self._ring.waiting():
            self._ring.wait(timeout_s)
        found = []
        for at in self._ring.ready():
            raw = bytes(self._ring.data[at : at + _RECORD])
            one = Arrival.from_buffer_copy(raw)
            found.append(Arrived(one.tgid, one.file.inode, os.fsdecode(one.name), bool(one.program), raw[: ctypes.sizeof(File)]))
        self._ring.release()
        return found

    def forget(self, key: bytes) -> None:
        """See `Arrivals`."""
        self._told.delete(key)

    def forget_all(self) -> None:
        """See `Arrivals`."""
        for key in self._told.keys():  # noqa: SIM118  not a dict
            self._told.delete(key)

    def close(self) -> None:
        """Unmaps the ring."""
        self._ring.close()
