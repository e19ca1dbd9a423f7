"""Says whether this machine can capture, and what to do where it cannot: for `fleetcap doctor`, and before a start.

Each check is a function that returns its finding; none changes anything that stays.
"""

import ctypes
import os
import platform
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from fleetcap_producer import btf, building, elf, libraries, points, probes, program
from fleetcap_producer.errors import TapError
from fleetcap_producer.kernel import kernel_version

_OLDEST = (5, 8)  # the first with ring buffers
_SYS_ADMIN, _PERFMON, _BPF = 21, 38, 39
_INITIAL_PID_NAMESPACE = 4026531836  # PROC_PID_INIT_INO, linux/proc_ns.h
_MACHINES = ("x86_64", "aarch64")
_TRACEFS = (Path("/sys/kernel/tracing"), Path("/sys/kernel/debug/tracing"))
_UPROBES = Path("/sys/bus/event_source/devices/uprobe/type")


@dataclass(frozen=True, slots=True)
class Check:
    """One finding. `remedy` is what to do; empty where all is well."""

    name: str
    ok: bool
    detail: str
    remedy: str = ""


def _check(name: str, detail: str, *, ok: bool, remedy: str) -> Check:
    return Check(name, ok, detail, "" if ok else remedy)


def _capabilities() -> int:
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("CapEff:"):
            return int(line.split()[1], 16)
    return 0


def system() -> Check:
    """Linux on a processor we know the registers of."""
    found = f"{platform.system()} on {platform.machine()}"
    return _check(
        "system",
        found,
        ok=found.startswith("Linux") and platform.machine() in _MACHINES,
        remedy="capture on Linux, x86-64 or arm64",
    )


def permissions() -> Check:
    """The capabilities that loading and attaching take."""
    held = _capabilities()

    def has(number: int) -> bool:
        return bool(held >> number & 1)

    ok = has(_SYS_ADMIN) or (has(_BPF) and has(_PERFMON))
    detail = "root" if os.geteuid() == 0 else f"user {os.geteuid()}"
    detail += ", may load eBPF" if ok else ", may not load eBPF"
    return _check("permissions", detail, ok=ok, remedy="run as root (sudo), in a container with --privileged")


def kernel() -> Check:
    """New enough for ring buffers."""
    return _check(
        "kernel",
        platform.release(),
        ok=kernel_version() >= _OLDEST,
        remedy="use Linux 5.8 or later, which has BPF ring buffers",
    )


def pid_namespace() -> Check:
    """Process numbers in the kernel's events must be those of our /proc."""
    number = Path("/proc/self/ns/pid").stat().st_ino
    ok = number == _INITIAL_PID_NAMESPACE
    detail = "the machine's own" if ok else "a container's, whose process numbers are not the kernel's"
    return _check("process namespace", detail, ok=ok, remedy="start the container with --pid=host")


def type_information() -> Check:
    """BTF, from which all structure offsets come."""
    try:
        types = btf.load()
        types.offsets(points.OFFSETS)
    except (OSError, btf.BtfError) as error:
        return Check("type information", False, str(error), "use a kernel built with CONFIG_DEBUG_INFO_BTF")
    return Check("type information", True, f"{btf.VMLINUX} has all structures needed")


def tracefs() -> Check:
    """Needed on kernels without the sockets' own tracepoints."""
    mounted = [str(place) for place in _TRACEFS if os.path.isdir(place / "events")]  # noqa: PTH112 - Path's raises without root
    return _check(
        "tracefs",
        mounted[0] if mounted else "not mounted",
        ok=bool(mounted),
        remedy="mount -t tracefs tracefs /sys/kernel/tracing",
    )


def tracepoints() -> Check:
    """How sockets become known."""
    try:
        types = btf.load()
    except (OSError, btf.BtfError) as error:
        return Check("tracepoints", False, str(error), "use a kernel built with CONFIG_DEBUG_INFO_BTF")
    missing = [point.name for point in points.SOCKET_LIFE if not types.has_tracepoint(point.name)]
    if missing:
        return Check("tracepoints", False, f"the kernel has no {', '.join(missing)}", "use Linux 5.8 or later")
    if building.has_socket_points(types):
        return Check("tracepoints", True, "the kernel tells the socket of each transfer")
    ok = any((place / "events/syscalls/sys_enter_read").is_dir() for place in _TRACEFS)
    detail = "sockets are learned from system calls" if ok else "neither socket nor system call tracepoints"
    return _check("tracepoints", detail, ok=ok, remedy="mount tracefs, on a kernel built with CONFIG_FTRACE_SYSCALLS")


def uprobes() -> Check:
    """The kernel's probes in user space."""
    ok = _UPROBES.exists()
    return _check("uprobes", "supported" if ok else "not supported", ok=ok, remedy="use a kernel built with CONFIG_UPROBE_EVENTS")


def bindings() -> Check:
    """The bindings that compile and load, for this Python."""
    try:
        bcc = program.import_bcc()
    except TapError as error:
        return Check("bcc", False, error.what, error.remedy)
    return Check("bcc", True, f"version {getattr(bcc, '__version__', 'unknown')}")


def headers() -> Check:
    """Kernel headers, which bcc's own preamble includes; no structure of ours depends on their version."""
    release = platform.release()
    places = [Path(f"/lib/modules/{release}/build"), Path("/sys/kernel/kheaders.tar.xz")]
    if named := os.environ.get("BCC_KERNEL_SOURCE"):
        places.insert(0, Path(named))
    found = [str(place) for place in places if place.exists()]
    return _check(
        "kernel headers",
        found[0] if found else f"/lib/modules/{release}/build leads nowhere",
        ok=bool(found),
        remedy="install the package linux-headers-$(uname -r); scripts/setup links those of another version where there is none",
    )


def trial() -> Check:
    """A program that is really compiled, loaded, attached to a function of the C library, and hit by a call to it."""
    name, remedy = "trial program", "see the checks above; a kernel in lockdown allows no eBPF"
    try:
        hits = _try_program()
    except (TapError, program.RejectedError, OSError, elf.ElfError, StopIteration) as error:
        return Check(name, False, str(error), remedy)
    return _check(name, "loaded, attached and hit" if hits else "attached, but never hit", ok=hits > 0, remedy=remedy)


def _try_program() -> int:
    with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as maps:  # noqa: PTH123  read line by line
        libc_path = next(
            line.split(None, 5)[5].strip() for line in maps if "/libc.so" in line or "/libc-" in line or "/ld-musl" in line
        )
    fd = os.open(libc_path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        offset = elf.functions(fd, {"getppid"})["getppid"]
        tried = program.Programs({"OWN_TGID": os.getpid()}, "check.bpf.c")
        try:
            way = probes.attaching(btf.load())
            hit = tried.load("count_hit", attach_type=way.attach_type)
            (probe,) = way.attach(hit, probes.Spots(f"/proc/self/fd/{fd}", [offset]))
            try:
                ctypes.CDLL(None).getppid()
                return tried.number("hits")
            finally:
                os.close(probe)
        finally:
            tried.close()
    finally:
        os.close(fd)


def tls_libraries() -> Check:
    """What there is to capture."""
    paths = [path for path in libraries.system_libraries() if libraries.holds_sessions(path)]
    found = [f"{path} ({libraries.library_version(path) or 'version unknown'})" for path in paths]
    return _check(
        "TLS libraries",
        ", ".join(found) or "no libssl in the linker's cache",
        ok=bool(found),
        remedy="install OpenSSL, or name a library with --library; containers' own are found when they are used",
    )


_CHEAP: tuple[Callable[[], Check], ...] = (system, permissions, kernel, type_information, uprobes, bindings, headers)


def run_all() -> list[Check]:
    """Every check, in the order in which to mend what fails. The trial takes a second or two; failures before it skip nothing."""
    return list(_all())


def _all() -> Iterator[Check]:
    for check in (system, permissions, kernel, pid_namespace, type_information, tracefs, tracepoints, uprobes, bindings, headers):
        yield check()
    yield trial()
    yield tls_libraries()


def require() -> None:
    """Checks what a start cannot do without, in milliseconds.

    Raises:
        TapError: for the first check that fails.
    """
    for check in _CHEAP:
        found = check()
        if not found.ok:
            raise TapError(f"cannot capture: {found.name}: {found.detail}", found.remedy)
