"""Makes the programs that fit this kernel and this configuration: their compile-time definitions, loading, the filters' maps."""

import ctypes
import logging
import os
import platform
import re
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from fleetcap_producer import btf, points, probes, records
from fleetcap_producer.config import Filters, TapConfig
from fleetcap_producer.errors import TapError
from fleetcap_producer.kernel import kernel_version
from fleetcap_producer.probes import Attaching
from fleetcap_producer.program import Programs, RejectedError

_log = logging.getLogger(__name__)

_CGROUP_MOUNT = re.compile(r"^\S+ (\S+) cgroup2 ", re.MULTILINE)

# A quarter of the ring, but no more than what is read at once: enough events to be worth waking for.
_MOST_WAKE_BYTES = 1 << 20

# Where struct pt_regs (asm/ptrace.h) keeps a system call's arguments and its number, and what the numbers are (asm/unistd.h).
_CALLS: Mapping[str, Mapping[str, int]] = {
    "x86_64": {
        "FIRST_ARGUMENT": 112,
        "SECOND_ARGUMENT": 104,
        "THIRD_ARGUMENT": 96,
        "CALL_NUMBER": 120,
        "NR_READ": 0,
        "NR_WRITE": 1,
        "NR_READV": 19,
        "NR_WRITEV": 20,
        "NR_SENDTO": 44,
        "NR_RECVFROM": 45,
        "NR_SENDMSG": 46,
        "NR_RECVMSG": 47,
    },
    "aarch64": {
        "FIRST_ARGUMENT": 0,
        "SECOND_ARGUMENT": 8,
        "THIRD_ARGUMENT": 16,
        "CALL_NUMBER": 64,
        "NR_READ": 63,
        "NR_WRITE": 64,
        "NR_READV": 65,
        "NR_WRITEV": 66,
        "NR_SENDTO": 206,
        "NR_RECVFROM": 207,
        "NR_SENDMSG": 211,
        "NR_RECVMSG": 212,
    },
}
_OTHER_CALLS = dict.fromkeys(_CALLS["x86_64"], 0xFFFF)  # then no system call is known by its number

_MSGHDR_IOV = 16  # struct msghdr (sendmsg(2)) of 64-bit programs: name, its length, vectors

# Tried in turn where the verifier finds the programs too long.
_FEWER_CHUNKS = (16, 4, 1)

# Without these there is nothing to see; the others each add something.
_NEEDED = frozenset({"ssl_read_enter", "ssl_read_leave", "ssl_write_enter", "ssl_write_leave"})

PAGE = 4096

# Of programs and libraries that begin to run: some thousands wait at most, which is more than a machine starts in a second.
FILE_RING_BYTES = 1 << 18


@dataclass(frozen=True, slots=True)
class Built:
    """Loaded programs. `library_programs` has the descriptors of those that the kernel accepted."""

    programs: Programs
    library_programs: dict[str, int]
    socket_points: tuple[points.KernelPoint, ...]
    ring_bytes: int
    wake_bytes: int  # how many must wait for a program to wake the reader
    attaching: Attaching


def load_types() -> btf.Btf:
    """The running kernel's types.

    Raises:
        TapError: it has none, or none that can be read.
    """
    try:
        return btf.load()
    except (OSError, btf.BtfError) as error:
        raise TapError(
            f"the kernel's type information {btf.VMLINUX} cannot be read ({error})",
            "use a kernel built with CONFIG_DEBUG_INFO_BTF",
        ) from error


def has_socket_points(types: btf.Btf) -> bool:
    """Whether the kernel tells the socket of each transfer itself."""
    return kernel_version() >= (5, 15) and all(types.has_tracepoint(point.name) for point in points.SOCKET_USE)


def build(config: TapConfig) -> Built:
    """Compile and load.

    Raises:
        TapError: this machine or the configuration does not allow it, and why.
    """
    _check(config)
    types = load_types()
    attaching = probes.attaching(types, older=config.older)
    native = has_socket_points(types) and not config.older
    if config.plain and not native:
        raise TapError(
            "this kernel does not tell what crosses plain sockets", "use Linux 6.3 or later, or capture without --plain"
        )
    chunks = -(-config.max_call_bytes // records.CHUNK_SIZE)
    reason = ""
    for fewer in (chunks, *(number for number in _FEWER_CHUNKS if number < chunks)):
        programs = Programs(
            {**_defines(config, types, attaching), "MAX_CHUNKS": fewer, **({"TASK_REGISTERS": 1} if native else {})}
        )
        try:
            names = *points.PROGRAMS, *(points.SECRET_PROGRAMS if config.secrets else ())
            loaded = dict(_load(programs, names, attaching.attach_type))
        except RejectedError as error:
            programs.close()
            reason = str(error)
            _log.warning("the kernel refused programs that capture %d bytes of a call: %s", fewer * records.CHUNK_SIZE, error)
            continue
        _fill(programs, config)
        uses = points.SOCKET_USE if native else points.SYSCALL_USE
        plain = points.PLAIN if config.plain else ()
        socket_points = *points.SOCKET_LIFE, *uses, *plain
        return Built(programs, loaded, socket_points, ring_bytes(config), _wake_bytes(config), attaching)
    raise TapError(
        f"the kernel's verifier refused the eBPF programs ({reason})", "report it with the output of `fleetcap doctor`"
    )


def ring_bytes(config: TapConfig) -> int:
    """The size of the ring buffer."""
    return config.ring_pages * PAGE


def _wake_bytes(config: TapConfig) -> int:
    return min(ring_bytes(config) // 4, _MOST_WAKE_BYTES)


def _check(config: TapConfig) -> None:
    pages = config.ring_pages
    if pages < 1 or pages & (pages - 1) or (pages * PAGE) % os.sysconf("SC_PAGE_SIZE"):
        raise TapError(f"a ring buffer of {pages} pages is not possible", "give a power of two, such as 4096")
    if config.max_call_bytes < 1 or config.max_connections < 1:
        raise TapError("the limits on a call's bytes and on connections must be positive", "leave them out for their defaults")


def _load(programs: Programs, names: Iterable[str], attach_type: int) -> Iterator[tuple[str, int]]:
    for name in names:
        try:
            yield name, programs.load(name, attach_type=attach_type)
        except RejectedError as error:
            if name in _NEEDED:
                raise
            _log.warning("captured without %s, which the kernel refused: %s", name, error)


def _defines(config: TapConfig, types: btf.Btf, attaching: Attaching) -> dict[str, int]:
    try:
        offsets = {f"AT_{name}": types.offset(path) for path, name in points.OFFSETS.items()}
    except btf.BtfError as error:
        raise TapError(str(error), "this kernel is too old or too new for this version of fleetcap") from error
    try:
        offsets |= {f"AT_{name}": types.offset(path) for path, name in points.OFFSETS_IPV6.items()}
    except btf.BtfError:
        _log.info("the kernel was built without IPv6")
    return {
        **offsets,
        **_filter_defines(config.filters, "FILTER"),
        **_filter_defines(config.excluded, "EXCLUDE"),
        **({"SECRETS": 1} if config.secrets else {}),
        **({"PLAIN": 1} if config.plain else {}),
        **({"ATTACH_NUMBERS": 1} if attaching.numbered else {}),
        **({"ATOMIC_FETCH": 1} if kernel_version() >= (5, 12) else {}),
        "RING_BYTES": ring_bytes(config),
        "RING_PAGES": ring_bytes(config) // os.sysconf("SC_PAGE_SIZE"),
        "FILE_PAGES": FILE_RING_BYTES // os.sysconf("SC_PAGE_SIZE"),
        "WAKE_BYTES": _wake_bytes(config),
        "MAX_CONNECTIONS": config.max_connections,
        "OWN_TGID": os.getpid(),
        "MSGHDR_IOV": _MSGHDR_IOV,
        **_CALLS.get(platform.machine(), _OTHER_CALLS),
    }


def _filter_defines(filters: Filters, prefix: str) -> dict[str, int]:
    """Only what is asked for is compiled in."""
    asked = {
        "PIDS": filters.pids,
        "COMMS": filters.comms,
        "UIDS": filters.uids,
        "PORTS": filters.ports,
        "PROGRAMS": filters.programs,
    }
    defines = {f"{prefix}_{name}": 1 for name, values in asked.items() if values}
    if filters.cgroups:
        defines[f"{prefix}_CGROUPS"] = max(depth for _, depth in map(find_cgroup, filters.cgroups))
    return defines


def _keys(filters: Filters, prefix: str) -> dict[str, list[bytes]]:
    """What stands in each of the filters' maps."""
    return {
        f"{prefix}_pids": [struct.pack("=I", pid) for pid in filters.pids],
        f"{prefix}_comms": [_comm_key(comm) for comm in filters.comms],
        f"{prefix}_uids": [struct.pack("=I", uid) for uid in filters.uids],
        f"{prefix}_ports": [struct.pack("=I", port) for port in filters.ports],
        f"{prefix}_cgroups": [struct.pack("=Q", find_cgroup(path)[0]) for path in filters.cgroups],
        f"{prefix}_programs": [_program_key(path) for path in filters.programs],
    }


def _fill(programs: Programs, config: TapConfig) -> None:
    keys = {
        **_keys(config.filters, "filter"),
        **_keys(config.excluded, "exclude"),
        "plain_ports": [struct.pack("=H", port) for port in config.plain],
        "denied": [_endpoint_key(ip, port) for ip, port in config.denied],
    }
    for name, wanted in keys.items():
        if wanted:
            table = programs.table(name, len(wanted[0]), ctypes.sizeof(ctypes.c_uint8))
            for key in wanted:
                try:
                    table.put(key, b"\1")
                except OSError as error:
                    raise TapError(f"{len(wanted)} entries are too many for {name}", "name fewer, or filter by cgroup") from error


def same_filters(one: TapConfig, other: TapConfig) -> bool:
    """Whether programs that were built for one have all that the other needs, and nothing more.

    Processes asked for by number must be the same: probes may be limited to these.
    """
    return list(one.filters.pids) == list(other.filters.pids) and all(
        _filter_defines(getattr(one, name), "") == _filter_defines(getattr(other, name), "") for name in ("filters", "excluded")
    )


def refill(programs: Programs, config: TapConfig) -> None:
    """Put other entries into the filters of loaded programs; new ones before old ones go, so that nothing slips through.

    Raises:
        TapError: an entry cannot be used; the filters may hold some of the new ones besides the old.
    """
    _fill(programs, config)
    wanted = {**_keys(config.filters, "filter"), **_keys(config.excluded, "exclude")}
    for name, keys in wanted.items():
        if keys:
            table = programs.table(name, len(keys[0]), ctypes.sizeof(ctypes.c_uint8))
            for key in set(table.keys()) - set(keys):
                table.delete(key)


def _program_key(path: Path) -> bytes:
    """The file's inode and the kernel's own number for its device, where stat(2) gives its two parts."""
    try:
        status = path.stat()
    except OSError as error:
        raise TapError(f"the program {path} cannot be found: {error.strerror}", "give the path of a file that is run") from error
    device = os.major(status.st_dev) << 20 | os.minor(status.st_dev)
    return bytes(records.File(status.st_ino, device, 0))


def _comm_key(comm: str) -> bytes:
    return comm.encode()[: records.COMM_SIZE - 1].ljust(records.COMM_SIZE, b"\0")


def _endpoint_key(ip: str, port: int) -> bytes:
    try:
        return records.packed(ip) + struct.pack("=I", port)
    except ValueError as error:
        raise TapError(f"{ip} is not an IP address", "give addresses, not names, of endpoints not to capture") from error


def find_cgroup(path: str) -> tuple[int, int]:
    """The id of a cgroup and its depth below the root of the unified hierarchy. `path` may begin there or at the mount point.

    Raises:
        TapError: there is no such cgroup, or no unified hierarchy.
    """
    mounts = _CGROUP_MOUNT.findall(Path("/proc/self/mounts").read_text(encoding="utf-8", errors="surrogateescape"))
    if not mounts:
        raise TapError(
            "filtering by cgroup needs the unified hierarchy, which is not mounted", "mount -t cgroup2 none /sys/fs/cgroup"
        )
    root = Path(mounts[0])
    place = Path(path) if Path(path).is_relative_to(root) else root / path.lstrip("/")
    if not place.is_dir():
        raise TapError(f"there is no cgroup {path} below {root}", "`cat /proc/PID/cgroup` shows a process's cgroup, after `0::`")
    return place.stat().st_ino, len(place.relative_to(root).parts)
