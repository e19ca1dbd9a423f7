"""Attaches a loaded program to an instruction of a file, by perf_event_open(2). Knows no library and no program.

A probe belongs to the file's inode, wherever and by whomever it is mapped, and lives until its descriptor is closed.
"""

import ctypes
import errno
import fcntl
import os
import platform
from pathlib import Path
from typing import NamedTuple

_PMU = Path("/sys/bus/event_source/devices/uprobe")
_SYSCALLS = {"x86_64": 298, "aarch64": 241}
_CLOSE_ON_EXEC = 8
_BPF = {"x86_64": 321, "aarch64": 280}
_LINK_CREATE, _PERF_EVENT = 28, 41
_SET_PROGRAM = 0x40042408
_ENABLE = 0x2400

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


class _Link(ctypes.Structure):
    """`link_create` of `union bpf_attr` (linux/bpf.h), as it is for a perf event."""

    _fields_ = (
        ("program", ctypes.c_uint32),
        ("target", ctypes.c_uint32),
        ("attach_type", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
        ("cookie", ctypes.c_uint64),
    )


class Spot(NamedTuple):
    """The instruction at `offset` of the file `path`; with `on_return`, where the function that begins there returns."""

    path: str
    offset: int
    on_return: bool = False


def _return_bit() -> int:
    """The bit of `config` that asks for a return probe, as the kernel says it: `config:0`."""
    return int((_PMU / "format" / "retprobe").read_text(encoding="ascii").strip().removeprefix("config:"))


def attach(program: int, spot: Spot, *, pid: int = -1, number: int = 0) -> int:
    """Run `program` (a descriptor) wherever `spot` is executed.

    With `pid`, only in that process: others do not even take
    the exception. The program can ask for `number`, where it is not 0. Closing the descriptor that this gives ends it.

    Raises:
        OSError: the kernel has no uprobes, or refused; the error's number says why.
    """
    fd = _open(spot, pid)
    try:
        if number:
            link = _link(fd, program, number)
        else:
            fcntl.ioctl(fd, _SET_PROGRAM, program)
        fcntl.ioctl(fd, _ENABLE, 0)
    except OSError:
        os.close(fd)
        raise
    if not number:
        return fd
    os.close(fd)  # the link holds it
    return link


def _link(event: int, program: int, number: int) -> int:
    attributes = _Link(program, event, _PERF_EVENT, 0, number)
    fd = _libc.syscall(_BPF[platform.machine()], _LINK_CREATE, ctypes.byref(attributes), ctypes.sizeof(attributes))
    if fd < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return int(fd)


def permitted() -> bool:
    """Whether the calling thread may attach at all.

    CAP_PERFMON is enough from Linux 5.8 on; Linux 6.16, and older ones that took over its change, ask for CAP_SYS_ADMIN again.
    """
    try:
        os.close(_open(Spot("", 0)))  # refused for its path too, but only by a kernel that looks at it
    except OSError as error:
        return error.errno not in {errno.EACCES, errno.EPERM}
    return True


def _open(spot: Spot, pid: int = -1) -> int:
    name = os.fsencode(spot.path) + b"\0"
    text = ctypes.create_string_buffer(name)
    attributes = _Attributes(
        type=int((_PMU / "type").read_text(encoding="ascii")),
        size=ctypes.sizeof(_Attributes),
        config=1 << _return_bit() if spot.on_return else 0,
        config1=ctypes.addressof(text),
        config2=spot.offset,
    )
    number = _SYSCALLS.get(platform.machine())
    if number is None:
        raise OSError(f"no uprobes on {platform.machine()} yet")
    # Where no process is named, the processor only says where the event is kept.
    processor = 0 if pid < 0 else -1
    fd = _libc.syscall(number, ctypes.byref(attributes), pid, processor, -1, _CLOSE_ON_EXEC)
    if fd < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), spot.path)
    return int(fd)
