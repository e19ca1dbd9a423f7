"""Gives up what a capture does not need: capabilities, new privileges, core dumps, and system calls.

    begin: what starting takes  ─▶  attached: what attaching to later processes takes, or nothing more  ─▶  system calls barred

Capabilities are a thread's own, so threads that need none are begun by one that has none. The filter of system calls holds for
all threads. It must not know what is captured.
"""

import ctypes
import errno
import os
import resource
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from enum import IntEnum
from typing import Final, Literal, TypeVar

from fleetcap_producer import probes
from fleetcap_producer.errors import TapError

Harden = Literal["off", "on", "freeze"]
T = TypeVar("T")


class Capability(IntEnum):
    """Those of linux/capability.h that a capture uses."""

    DAC_READ_SEARCH = 2  # files of other users: their libraries and programs
    SYS_PTRACE = 19  # what other users' processes map
    SYS_ADMIN = 21  # probes from Linux 6.16 on; stands for several of the others before Linux 5.8 and 5.9
    SYS_RESOURCE = 24  # locked memory for maps, before Linux 5.11
    PERFMON = 38  # probes, and reading memory in programs
    BPF = 39  # programs and maps
    CHECKPOINT_RESTORE = 40  # /proc/PID/map_files, for libraries that were deleted


STARTING: Final = frozenset(Capability)  # without SYS_ADMIN where the kernel lets it be
ATTACHING: Final = STARTING - {Capability.SYS_RESOURCE}
# Older kernels ask for it even where a map is only read.
READING: Final = frozenset({Capability.BPF})

_VERSION_3: Final = 0x20080522
_PR_CAPBSET_READ, _PR_CAPBSET_DROP = 23, 24
_PR_SET_NO_NEW_PRIVS = 38
_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 47, 4

_libc = ctypes.CDLL(None, use_errno=True)


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Sets(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


def _call(result: int, what: str) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise TapError(f"{what} failed: {os.strerror(code)}", "start with --harden off if this kernel has no such thing")


def held() -> int:
    """The calling thread's permitted capabilities, as bits."""
    sets = (_Sets * 2)()
    _call(_libc.capget(ctypes.byref(_Header(_VERSION_3, 0)), sets), "reading capabilities")
    return int(sets[0].permitted) | int(sets[1].permitted) << 32


def keep(capabilities: Iterable[Capability]) -> None:
    """Give up all other capabilities of the calling thread, for good: of what it has, and of what it could ever get.

    Raises:
        TapError: the kernel refused.
    """
    wanted = sum(1 << one for one in capabilities) & held()
    for number in range(64):
        # Taking one out of what can ever be got needs a capability itself; without that, there is nothing to get.
        if not wanted >> number & 1 and _libc.prctl(_PR_CAPBSET_READ, number, 0, 0, 0) == 1:
            _libc.prctl(_PR_CAPBSET_DROP, number, 0, 0, 0)
    _libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    sets = (_Sets * 2)(*(_Sets(part, part, 0) for part in (wanted & 0xFFFFFFFF, wanted >> 32)))
    _call(_libc.capset(ctypes.byref(_Header(_VERSION_3, 0)), sets), "giving up capabilities")


def begin() -> None:
    """At the start, before there are other threads: keep what starting takes, no new privileges, no core dumps.

    Raises:
        TapError: the kernel refused.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # they would hold plaintext
    _call(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "forbidding new privileges")
    modest = STARTING - {Capability.SYS_ADMIN}
    # What a kernel before 5.8 calls SYS_ADMIN is all there is of PERFMON and BPF.
    modern = held() >> Capability.BPF & 1
    keep(modest if modern and _with(modest, probes.permitted) else STARTING)


def without_capabilities(make: Callable[[], T]) -> T:
    """What `make` gives, called in a thread that has no capabilities; so threads that it begins have none either."""
    return _with((), make)


def _with(capabilities: Iterable[Capability], make: Callable[[], T]) -> T:
    with ThreadPoolExecutor(1, initializer=keep, initargs=(capabilities,)) as executor:
        return executor.submit(make).result()


def attached(harden: Harden) -> None:
    """Once attached: keep what attaching to later processes takes, or with `freeze` nothing but reading maps; then bar calls.

    Raises:
        TapError: the kernel refused, or there is no libseccomp.
    """
    keep(READING if harden == "freeze" else ATTACHING)
    bar_system_calls(frozen=harden == "freeze")


# Whoever took this process over would begin with these.
_BARRED: Final = (
    *("execve", "execveat", "ptrace", "process_vm_readv", "process_vm_writev", "pidfd_getfd", "kcmp"),
    *("init_module", "finit_module", "delete_module", "kexec_load", "kexec_file_load", "reboot", "swapon", "swapoff"),
    *("mount", "umount2", "pivot_root", "chroot", "setns", "unshare", "move_mount", "open_tree", "fsopen", "fsmount"),
    *("add_key", "request_key", "keyctl", "userfaultfd", "io_uring_setup", "personality", "acct", "quotactl"),
    *("settimeofday", "clock_settime", "adjtimex", "sethostname", "setdomainname", "syslog"),
    *("setuid", "setgid", "setreuid", "setregid", "setresuid", "setresgid", "setgroups", "setfsuid", "setfsgid"),
    *("fork", "vfork", "mknod", "mknodat"),
)
_BARRED_WHEN_FROZEN: Final = ("perf_event_open",)
_MAP_CREATE, _PROG_LOAD, _LINK_CREATE = 0, 5, 28

# seccomp.h of libseccomp 2
_ALLOW: Final = 0x7FFF0000
_ERRNO: Final = 0x00050000
_THREADS_TOO: Final = 4
_EQUAL: Final = 4


class _Argument(ctypes.Structure):
    """`struct scmp_arg_cmp`."""

    _fields_ = (("number", ctypes.c_uint), ("how", ctypes.c_int), ("first", ctypes.c_uint64), ("second", ctypes.c_uint64))


def bar_system_calls(*, frozen: bool) -> None:
    """From now on, starting programs, looking into others, and loading into the kernel fail with EPERM, in all threads.

    Raises:
        TapError: there is no libseccomp, or the kernel refused.
    """
    try:
        library = ctypes.CDLL("libseccomp.so.2")
    except OSError as error:
        raise TapError("libseccomp is not there", "install the package libseccomp2, or start with --harden off") from error
    library.seccomp_init.restype = ctypes.c_void_p
    library.seccomp_rule_add_array.argtypes = (ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint, ctypes.c_void_p)
    library.seccomp_attr_set.argtypes = (ctypes.c_void_p, ctypes.c_int, ctypes.c_uint32)
    library.seccomp_load.argtypes = library.seccomp_release.argtypes = (ctypes.c_void_p,)
    rules = library.seccomp_init(_ALLOW)
    refused = _ERRNO | errno.EPERM
    try:
        _seccomp(library.seccomp_attr_set(rules, _THREADS_TOO, 1))
        for name in (*_BARRED, *(_BARRED_WHEN_FROZEN if frozen else ())):
            number = library.seccomp_syscall_resolve_name(name.encode())
            if number >= 0:  # others are not there on this processor
                _seccomp(library.seccomp_rule_add_array(rules, refused, number, 0, None))
        bpf = library.seccomp_syscall_resolve_name(b"bpf")
        for command in (_MAP_CREATE, _PROG_LOAD, *((_LINK_CREATE,) if frozen else ())):
            argument = _Argument(0, _EQUAL, command, 0)
            _seccomp(library.seccomp_rule_add_array(rules, refused, bpf, 1, ctypes.byref(argument)))
        _seccomp(library.seccomp_load(rules))
    finally:
        library.seccomp_release(rules)


def _seccomp(result: int) -> None:
    if result < 0:
        raise TapError(
            f"the filter of system calls was refused: {os.strerror(-result)}",
            "use a kernel built with CONFIG_SECCOMP_FILTER, or start with --harden off",
        )
