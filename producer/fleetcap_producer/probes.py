"""Attaches loaded programs to instructions of files. Knows no library and no program.

A probe belongs to the file's inode, wherever and by whomever it is mapped, and lives until its descriptor is closed. Kernels
have learned better ways of it; which of them this one has is `Attaching`:

    perf_event_open(2) and an ioctl    since Linux 4.17
    the same, and a link by bpf(2)     since Linux 5.15: the program can ask which probe it was
    one link for many instructions     since Linux 6.6, for chosen processes since 6.11: attached and detached at once, where the
                                       others take the kernel a tenth of a second each, one after the other
"""

import ctypes
import errno
import fcntl
import os
import platform
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from fleetcap_producer import btf
from fleetcap_producer.kernel import kernel_version

_PMU = Path("/sys/bus/event_source/devices/uprobe")
_PERF_EVENT_OPEN = {"x86_64": 298, "aarch64": 241}
_BPF = {"x86_64": 321, "aarch64": 280}
_CLOSE_ON_EXEC = 8
_SET_PROGRAM = 0x40042408
_ENABLE = 0x2400
_LINK_CREATE = 28
_PERF_EVENT, _UPROBE_MULTI = 41, 48
_ON_RETURN = 1

_libc = ctypes.CDLL(None, use_errno=True)


class _Attributes(ctypes.Structure):
    """`struct perf_event_attr` up to version 1 (linux/perf_event.h), which has all that a uprobe needs."""

    _fields_ = (
        ("type", ctypes.c_uint32),
        ("size", ctypes.c_uint32),
        ("config", ctypes.c_uint64),
        ("sample_period", ctypes.c_uint64),
        ("sample_type", ctypes.c_uint64),
        ("read_format", ctypes.c_uint64),
        ("flags", ctypes.c_uint64),
        ("wakeup_events", ctypes.c_uint32),
        ("breakpoint_type", ctypes.c_uint32),
        ("config1", ctypes.c_uint64),
        ("config2", ctypes.c_uint64),
    )


class _PerfLink(ctypes.Structure):
    """`link_create` of `union bpf_attr` (linux/bpf.h), as it is for a perf event."""

    _fields_ = (
        ("program", ctypes.c_uint32),
        ("target", ctypes.c_uint32),
        ("attach_type", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
        ("cookie", ctypes.c_uint64),
    )


class _MultiLink(ctypes.Structure):
    """The same, as it is for probes on many instructions of a file."""

    _fields_ = (
        ("program", ctypes.c_uint32),
        ("target", ctypes.c_uint32),
        ("attach_type", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
        ("path", ctypes.c_uint64),
        ("offsets", ctypes.c_uint64),
        ("counters", ctypes.c_uint64),
        ("cookies", ctypes.c_uint64),
        ("count", ctypes.c_uint32),
        ("probe_flags", ctypes.c_uint32),
        ("pid", ctypes.c_uint32),
    )


@dataclass(frozen=True, slots=True)
class Spots:
    """Instructions of the file `path`, by offset; with `on_return`, where the functions that begin there return."""

    path: str
    offsets: Sequence[int]
    on_return: bool = False


@dataclass(frozen=True, slots=True)
class Attaching:
    """How probes are attached on this kernel. `numbered`: programs can ask for a probe's number."""

    numbered: bool
    together: bool

    @property
    def attach_type(self) -> int:
        """What programs have to be loaded for; -1 stands for nothing in particular."""
        return _UPROBE_MULTI if self.together else -1

    def attach(self, program: int, spots: Spots, *, pids: Sequence[int] = (), number: int = 0) -> Iterator[int]:
        """Run `program` (a descriptor) wherever `spots` are executed; it sees `number`. Closing what this gives ends it.

        Where processes are named, others do not even take the exception; those that are gone are left out.

        Raises:
            OSError: the kernel has no uprobes, or refused; the error's number says why.
        """
        for pid in pids or (-1,):
            if self.together:
                with suppress(ProcessLookupError):
                    yield _attach_together(program, spots, pid, number)
                continue
            for offset in spots.offsets:
                with suppress(ProcessLookupError):
                    yield _attach_one(program, spots, offset, pid, number if self.numbered else 0)


def attaching(types: btf.Btf, *, older: bool = False) -> Attaching:
    """The best that the running kernel has; with `older`, what those before Linux 6.6 have."""
    try:
        types.offset("bpf_trace_run_ctx.bpf_cookie")
    except btf.BtfError:
        return Attaching(numbered=False, together=False)
    return Attaching(numbered=True, together=_can_together() and not older)


def permitted() -> bool:
    """Whether the calling thread may attach at all.

    CAP_PERFMON is enough for perf_event_open(2) from Linux 5.8 on; Linux 6.16, and older ones that took over its change, ask for
    CAP_SYS_ADMIN again. A link for many instructions never asked for more than CAP_BPF and CAP_PERFMON.
    """
    if _can_together():
        return True
    try:
        os.close(_open("", 0))  # refused for its path too, but only by a kernel that looks at it
    except OSError as error:
        return error.errno not in {errno.EACCES, errno.EPERM}
    return True


def _can_together() -> bool:
    return kernel_version() >= (6, 11)


def _attach_together(program: int, spots: Spots, pid: int, number: int) -> int:
    path = ctypes.create_string_buffer(os.fsencode(spots.path) + b"\0")
    count = len(spots.offsets)
    offsets = (ctypes.c_uint64 * count)(*spots.offsets)
    cookies = (ctypes.c_uint64 * count)(*[number] * count)
    attributes = _MultiLink(
        program=program,
        attach_type=_UPROBE_MULTI,
        path=ctypes.addressof(path),
        offsets=ctypes.addressof(offsets),
        cookies=ctypes.addressof(cookies),
        count=count,
        probe_flags=_ON_RETURN if spots.on_return else 0,
        pid=max(pid, 0),
    )
    return _bpf(_LINK_CREATE, attributes)


def _attach_one(program: int, spots: Spots, offset: int, pid: int, number: int) -> int:
    fd = _open(spots.path, offset, on_return=spots.on_return, pid=pid)
    try:
        if not number:
            fcntl.ioctl(fd, _SET_PROGRAM, program)
            fcntl.ioctl(fd, _ENABLE, 0)
            return fd
        link = _bpf(_LINK_CREATE, _PerfLink(program, fd, _PERF_EVENT, 0, number))
        fcntl.ioctl(fd, _ENABLE, 0)
    except OSError:
        os.close(fd)
        raise
    os.close(fd)  # the link holds it
    return link


def _bpf(command: int, attributes: ctypes.Structure) -> int:
    fd = _libc.syscall(_number(_BPF), command, ctypes.byref(attributes), ctypes.sizeof(attributes))
    if fd < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return int(fd)


def _open(path: str, offset: int, *, on_return: bool = False, pid: int = -1) -> int:
    name = os.fsencode(path) + b"\0"
    text = ctypes.create_string_buffer(name)
    attributes = _Attributes(
        type=int((_PMU / "type").read_text(encoding="ascii")),
        size=ctypes.sizeof(_Attributes),
        config=1 << _return_bit() if on_return else 0,
        config1=ctypes.addressof(text),
        config2=offset,
    )
    # Where no process is named, the processor only says where the event is kept.
    processor = 0 if pid < 0 else -1
    fd = _libc.syscall(_number(_PERF_EVENT_OPEN), ctypes.byref(attributes), pid, processor, -1, _CLOSE_ON_EXEC)
    if fd < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), path)
    return int(fd)


def _return_bit() -> int:
    """The bit of `config` that asks for a return probe, as the kernel says it: `config:0`."""
    return int((_PMU / "format" / "retprobe").read_text(encoding="ascii").strip().removeprefix("config:"))


def _number(of: dict[str, int]) -> int:
    number = of.get(platform.machine())
    if number is None:
        raise OSError(f"no uprobes on {platform.machine()} yet")
    return number
