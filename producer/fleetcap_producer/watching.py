"""Keeps every TLS library in use probed: attaches new ones, once for each inode, and lets go of those nobody uses any more.

    system and named libraries           ─▶ attached for good
    files that the kernel says are new   ─▶ attached at once, while some process maps them
    /proc, again and again               ─▶ the same, for what was missed; and what is unused is detached

It must not know what the programs do. Looking at every process each second would be dear, so a process is looked at often
while it is young, as that is when libraries are loaded, and in turn with the others afterwards.
"""

import itertools
import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from fleetcap_producer import elf, libraries, placement
from fleetcap_producer.arrivals import Arrivals, Arrived
from fleetcap_producer.errors import TapError
from fleetcap_producer.libraries import Inode, Library, Mapped
from fleetcap_producer.placement import Placed
from fleetcap_producer.points import LIBRARY_POINTS, SOURCES, WRAPPED
from fleetcap_producer.probes import Attaching, Spots
from fleetcap_producer.records import Described

_log = logging.getLogger(__name__)

_YOUNG_ROUNDS = 5
_ROUNDS_FOR_ALL = 10
_UNUSED_ROUNDS = 2 * _ROUNDS_FOR_ALL  # by then every process was looked at, and some twice

ProgramOf = Callable[[str], int]
_File = tuple[str, int]  # a file as /proc/PID/maps tells it
_Program = tuple[int, int, int]  # device, inode, time of the last change

_MOST_PROGRAMS = 4096

_MOST_CLOSERS = 64

# Each takes up to some twenty descriptors, of which a process often may have 1,024; others are probed when they are run.
_MOST_INSTALLED = 24

_MOST_WAIT_S = 0.2  # in which a stop is not heard
# A file is mapped microseconds after it is told of, unless its process has to wait for a processor.
_TRIES = 20
_TRY_S = 0.001


@dataclass(slots=True)
class _Probed:
    library: Library
    number: int  # 0 where programs cannot see it
    lasting: bool
    entries: list[int] = field(default_factory=list)
    returns: list[int] = field(default_factory=list)
    unused_rounds: int = 0


def _close_together(fds: Sequence[int]) -> None:
    """The kernel waits a tenth of a second for each, but for all at once no longer where it does not take them in turn."""
    if fds:
        with ThreadPoolExecutor(min(len(fds), _MOST_CLOSERS)) as closers:
            list(closers.map(os.close, fds))


class LibraryProbes:
    """The probes of all libraries.

    `program` gives the descriptor of a loaded program, or raises `KeyError` for one that could not be loaded, whose points
    are left out. Where `pids` names processes, others are left alone. `further` gives probes besides those of the table.
    """

    def __init__(
        self,
        program: ProgramOf,
        attaching: Attaching,
        pids: Sequence[int] = (),
        further: Callable[[Library], Iterable[Placed]] | None = None,
    ) -> None:
        self._program = program
        self._further = further
        self._attaching = attaching
        self._pids = pids
        self._by_inode: dict[Inode, _Probed] = {}
        self._numbers = itertools.count(1) if attaching.numbered else itertools.repeat(0)
        self._by_number: dict[int, Library] = {}  # those too that are just being attached
        self.attached = 0
        self.failed = 0

    def __contains__(self, inode: Inode) -> bool:
        return inode in self._by_inode

    def paths(self) -> list[str]:
        """What is probed now, as its users name it."""
        return [probed.library.path for probed in list(self._by_inode.values())]

    def used_by(self, seen: Described) -> str:
        """The file that was probed where a connection was seen, as its process names it; empty where that cannot be told.

        The process may be gone by now, which is why programs tell the number of the library.
        """
        if seen.library:
            probed = [self._by_number[seen.library]] if seen.library in self._by_number else []
        else:
            probed = [one.library for one in list(self._by_inode.values()) if SOURCES[one.library.kind] == seen.source]
        alike = {library.inode: library for library in probed}
        numbers = {inode.number for inode in alike}
        for mapped in libraries.mapped_libraries(seen.tgid):
            if mapped.inode in numbers:
                return mapped.path
        try:
            program = os.stat(f"/proc/{seen.tgid}/exe")  # noqa: PTH116  the link must be followed as it is
            if Inode(program.st_dev, program.st_ino) in alike:
                return os.readlink(f"/proc/{seen.tgid}/exe")  # noqa: PTH115
        except OSError:
            pass
        return next(iter(alike.values())).path if len(alike) == 1 else ""

    def add(self, library: Library, *, lasting: bool) -> None:
        """Attach to `library`, unless its inode is probed already, as far as its functions and the kernel allow.

        Raises:
            OSError: the kernel refused one of the points; none is attached then.
        """
        known = self._by_inode.get(library.inode)
        if known:
            known.lasting |= lasting
            os.close(library.fd)
            return
        probed = _Probed(library, next(self._numbers), lasting)
        self._by_number[probed.number] = library
        try:
            points = [point for point in LIBRARY_POINTS if point.library == library.kind]
            wrapped = [one for one in WRAPPED if one.library == library.kind]
            places = *placement.place(library, points, wrapped), *(self._further(library) if self._further else ())
            self._attach(places, probed)
        except OSError:
            self._detach(probed)
            raise
        self._by_inode[library.inode] = probed
        self.attached += 1
        _log.info("probing %s", library.path)

    def _attach(self, places: Iterable[Placed], to: _Probed) -> None:
        """In their order, but those of one program together."""
        offsets: dict[tuple[str, bool], list[int]] = {}
        for place in places:
            offsets.setdefault((place.program, place.on_return), []).append(place.offset)
        for (name, on_return), of_program in offsets.items():
            try:
                program = self._program(name)
            except KeyError:
                continue
            spots = Spots(to.library.file, of_program, on_return)
            for descriptor in self._attaching.attach(program, spots, pids=self._pids, number=to.number):
                (to.returns if on_return else to.entries).append(descriptor)

    def _detach(self, probed: _Probed) -> None:
        """Entries before returns, so that no call begins that nobody sees end."""
        _close_together(probed.entries)
        _close_together(probed.returns)
        os.close(probed.library.fd)
        self._by_number.pop(probed.number, None)

    def used(self, inodes: Iterable[Inode]) -> bool:
        """Says which libraries processes use, once a round; those long unused are detached, if there are such."""
        in_use = set(inodes)
        before = len(self._by_inode)
        for inode, probed in list(self._by_inode.items()):
            probed.unused_rounds = 0 if probed.lasting or inode in in_use else probed.unused_rounds + 1
            if probed.unused_rounds > _UNUSED_ROUNDS:
                del self._by_inode[inode]
                self._detach(probed)
                _log.info("no process uses %s any more", probed.library.path)
        return len(self._by_inode) < before

    def close(self) -> None:
        """Detach from everything."""
        all_probed = list(self._by_inode.values())
        self._by_inode.clear()
        _close_together([fd for probed in all_probed for fd in probed.entries])
        _close_together([fd for probed in all_probed for fd in probed.returns])
        for probed in all_probed:
            os.close(probed.library.fd)


class Watcher:
    """Looks for libraries in a thread of its own, every `interval_s` seconds."""

    def __init__(self, probed: LibraryProbes, arrivals: Arrivals, interval_s: float) -> None:
        self._probes = probed
        self._arrivals = arrivals
        self._interval_s = interval_s
        self._ages: dict[int, int] = {}
        self._using: dict[int, frozenset[_File]] = {}
        self._inodes: dict[_File, Inode] = {}
        self._refused: set[_File] = set()
        self._programs: dict[_Program, bool] = {}
        self._running: dict[int, Inode] = {}
        self._turn = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="fleetcap-libraries", daemon=True)

    def start(self) -> None:
        """Look at all processes now, and at new ones from now on."""
        self.look()
        self._thread.start()

    def stop(self) -> None:
        """End the thread; what is attached stays."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        self._add_installed()
        next_look = time.monotonic() + self._interval_s
        while not self._stop.is_set():
            left = next_look - time.monotonic()
            try:
                for arrived in self._arrivals.wait(max(0.0, min(left, _MOST_WAIT_S))):
                    self._take(arrived)
                if left <= 0:
                    next_look = time.monotonic() + self._interval_s
                    self.look()
            except Exception:  # noqa: BLE001  a thread must not die unheard; it is logged whole
                # Captures go on with the libraries already probed; the next round tries again.
                _log.exception("looking for libraries failed")
                self._stop.wait(self._interval_s)

    def _add_installed(self) -> None:
        """Programs that contain a TLS library, before they are run: they may be done before they could be looked at."""
        for path in libraries.large_programs():
            if self._stop.is_set() or self._probes.attached >= _MOST_INSTALLED:
                return
            with suppress(OSError, elf.ElfError):
                self._probes.add(libraries.open_library(path, path), lasting=True)
            for arrived in self._arrivals.wait(0):
                self._take(arrived)

    def _take(self, arrived: Arrived) -> None:
        if arrived.program:
            if not self._look_at_program(arrived.pid):
                self._arrivals.forget(arrived.key)
            return
        if not libraries.is_library_name(arrived.name):
            return
        # The kernel tells before the file is mapped, which is what puts it into /proc/PID/maps.
        for _ in range(_TRIES):
            mapped = libraries.maps_inode(arrived.pid, arrived.inode)
            if mapped is None:
                break
            if mapped:
                self._look_at_libraries(arrived.pid)
                return
            if self._stop.wait(_TRY_S):
                return
        self._arrivals.forget(arrived.key)

    def look(self) -> None:
        """One round."""
        present = set(libraries.processes())
        for pid in [pid for pid in self._ages if pid not in present]:
            del self._ages[pid]
            self._using.pop(pid, None)
            self._running.pop(pid, None)
        self._turn = (self._turn + 1) % _ROUNDS_FOR_ALL
        for pid in present:
            age = self._ages.get(pid, 0)
            self._ages[pid] = age + 1
            if age < _YOUNG_ROUNDS or pid % _ROUNDS_FOR_ALL == self._turn:
                self._look_at(pid)
        files = {file for using in self._using.values() for file in using}
        self._inodes = {file: inode for file, inode in self._inodes.items() if file in files}
        self._refused &= files
        if self._probes.used([*self._inodes.values(), *self._running.values()]):
            self._arrivals.forget_all()

    def _look_at(self, pid: int) -> None:
        self._look_at_program(pid)
        self._look_at_libraries(pid)

    def _look_at_libraries(self, pid: int) -> None:
        mapped = libraries.mapped_libraries(pid)
        self._using[pid] = frozenset((library.device, library.inode) for library in mapped)
        for library in mapped:
            file = library.device, library.inode
            inode = self._inodes.get(file)
            if file not in self._refused and (inode is None or inode not in self._probes):
                self._add(file, library)

    def _look_at_program(self, pid: int) -> bool:
        """A program may contain a TLS library. Most do not, which is remembered until the file changes. False: it is gone."""
        try:
            status = os.stat(f"/proc/{pid}/exe")  # noqa: PTH116  the link must be followed as it is
        except OSError:
            self._running.pop(pid, None)  # it is gone, or the kernel's own
            return False
        inode = Inode(status.st_dev, status.st_ino)
        self._running[pid] = inode
        program = (*inode, status.st_mtime_ns)
        contains = self._programs.get(program)
        if contains is False or (contains and inode in self._probes):
            return True
        if len(self._programs) >= _MOST_PROGRAMS:
            self._programs.clear()
        try:
            self._programs[program] = False
            self._probes.add(libraries.open_program(pid), lasting=False)
            self._programs[program] = True
        except elf.ElfError:
            pass  # no TLS library is in it
        except FileNotFoundError:
            del self._programs[program]
            return False
        except OSError as error:
            self._probes.failed += 1
            _log.warning("the program of process %d cannot be probed: %s", pid, error)
        return True

    def _add(self, file: _File, mapped: Mapped) -> None:
        try:
            library = libraries.open_mapped(mapped)
            self._inodes[file] = library.inode
            self._probes.add(library, lasting=False)
        except FileNotFoundError:
            pass  # the process is gone
        except (OSError, elf.ElfError) as error:
            self._refused.add(file)
            self._probes.failed += 1
            _log.warning("%s of process %d cannot be probed: %s", mapped.path, mapped.pid, error)


def attach_known(probed: LibraryProbes, named: Iterable[os.PathLike[str]], *, system: bool) -> None:
    """Attach to the libraries that are known before any process uses them.

    Raises:
        TapError: one that the user named cannot be probed.
    """
    for path in named:
        library = libraries.named_library(Path(path))
        try:
            probed.add(library, lasting=True)
        except OSError as error:
            raise TapError(
                f"library {path} cannot be probed: {error.strerror}", "`fleetcap doctor` says what is missing"
            ) from error
    for found in libraries.open_all(libraries.system_libraries() if system else ()):
        if isinstance(found, Library):
            try:
                probed.add(found, lasting=True)
            except OSError as error:
                raise TapError(
                    f"the system's {found.path} cannot be probed: {error.strerror}", "`fleetcap doctor` says what is missing"
                ) from error
        else:
            _log.warning("the system's %s cannot be probed: %s", *found)
