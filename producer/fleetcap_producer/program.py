"""Compiles and loads the programs, attaches them to the kernel, and reads their maps. The one module that touches bcc.

bcc is the distribution's (python3-bpfcc) and is imported on first use, so that everything else works without it.
"""

import ctypes
import importlib
import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from fleetcap_producer import source
from fleetcap_producer.errors import TapError
from fleetcap_producer.points import KernelPoint

_SAID = 4000  # of what a compiler or the verifier said, at its end, where the reason stands
_ERROR = re.compile(r"(?:fatal )?error: .*")


def import_bcc() -> Any:
    """The bcc module.

    Raises:
        TapError: it is not installed, or not for this Python.
    """
    try:
        bcc = importlib.import_module("bcc")
    except (ImportError, OSError) as error:
        raise TapError(
            f"Python's bcc bindings cannot be imported ({error})", "install the system package python3-bpfcc"
        ) from error
    if not hasattr(bcc, "BPF"):
        raise TapError(
            "the installed module bcc is another package of that name",
            "uninstall it and install the system package python3-bpfcc",
        )
    return bcc


@contextmanager
def _hushed() -> Iterator[list[str]]:
    """Keeps what native code writes to standard error off the screen; the list holds it afterwards."""
    said: list[str] = []
    with tempfile.TemporaryFile() as sink:
        screen = os.dup(2)
        os.dup2(sink.fileno(), 2)
        try:
            yield said
        finally:
            os.dup2(screen, 2)
            os.close(screen)
            sink.seek(max(0, sink.tell() - _SAID))
            said.append(sink.read().decode("utf-8", "replace"))


def _reason(said: Iterable[str]) -> str:
    """The one line of a compiler's or the verifier's output that says most."""
    lines = [line.strip() for line in "".join(said).splitlines() if line.strip()]
    for line in lines:
        if found := _ERROR.search(line):
            return found.group()
    # The verifier gives its reason just before a line of statistics.
    return next((line for line in reversed(lines) if not line.startswith(("processed ", "HINT"))), "no reason given")


class RejectedError(Exception):
    """The kernel's verifier refused a program; `str()` is its reason."""


class Programs:
    """One compiled set of programs and their maps.

    Raises:
        TapError: bcc is missing or could not compile.
    """

    def __init__(self, defines: Mapping[str, int], file: str = "tap.bpf.c") -> None:
        self._bcc = import_bcc()
        self._fds: dict[str, int] = {}
        self._points: list[tuple[KernelPoint, int]] = []
        flags = [f"-D{name}={value}" for name, value in defines.items()]
        error: Exception | None = None
        with _hushed() as said:
            try:
                self._bpf = self._bcc.BPF(text=source.assemble(file).encode(), cflags=[*flags, "-Wno-everything"])
            except Exception as failed:  # noqa: BLE001  bcc raises bare Exception
                error = failed
        if error is not None:
            raise TapError(
                f"bcc could not compile the eBPF programs: {_reason(said)}",
                "install the kernel headers so that /lib/modules/$(uname -r)/build leads to them",
            ) from error

    def load(self, name: str, kind: str = "KPROBE", attach_type: int = -1) -> int:
        """The descriptor of the program `name`, loaded as bcc's program type `kind`, and for one way of attaching, if not -1.

        Raises:
            RejectedError: by the verifier.
        """
        if name in self._fds:
            return self._fds[name]
        error: Exception | None = None
        with _hushed() as said:
            try:
                loaded = self._bpf.load_func(name.encode(), getattr(self._bcc.BPF, kind), None, attach_type)
            except Exception as failed:  # noqa: BLE001  bcc raises bare Exception
                error = failed
        if error is not None:
            raise RejectedError(f"{error}: {_reason(said)}") from error
        self._fds[name] = int(loaded.fd)
        return self._fds[name]

    def attach(self, point: KernelPoint) -> None:
        """Attach to a tracepoint.

        Raises:
            TapError: the kernel has no such tracepoint or refused.
            RejectedError: by the verifier.
        """
        if point.category:
            self._attach_classic(point)
            return
        program = self.load(point.program, "RAW_TRACEPOINT")
        fd = self._bcc.lib.bpf_attach_raw_tracepoint(program, point.name.encode())
        if fd < 0:
            raise TapError(
                f"the kernel's tracepoint {point.name} cannot be attached ({os.strerror(ctypes.get_errno())})",
                "`fleetcap doctor` says what this kernel lacks",
            )
        self._points.append((point, fd))

    def _attach_classic(self, point: KernelPoint) -> None:
        self.load(point.program, "TRACEPOINT")
        name = f"{point.category}:{point.name}"
        error: Exception | None = None
        with _hushed():
            try:
                self._bpf.attach_tracepoint(tp=name.encode(), fn_name=point.program.encode())
            except Exception as failed:  # noqa: BLE001  bcc raises bare Exception
                error = failed
        if error is not None:
            raise TapError(
                f"the kernel's tracepoint {name} cannot be attached",
                "mount tracefs: mount -t tracefs tracefs /sys/kernel/tracing",
            ) from error
        self._points.append((point, -1))

    def detach(self) -> None:
        """Detach from all tracepoints; maps stay readable."""
        while self._points:
            point, fd = self._points.pop()
            if point.category:
                self._bpf.detach_tracepoint(tp=f"{point.category}:{point.name}".encode())
            else:
                os.close(fd)

    def map_fd(self, name: str) -> int:
        """The descriptor of a map."""
        return int(self._bpf[name.encode()].map_fd)

    def table(self, name: str, key_size: int, value_size: int) -> "Table":
        """A hash map's contents as bytes."""
        return Table(self._bcc.lib, self.map_fd(name), key_size, value_size)

    def per_cpu_sum(self, name: str, count: int) -> list[int]:
        """The first `count` entries of a per-CPU array of counters, each summed over all processors."""
        table = self._bpf[name.encode()]
        return [sum(table[ctypes.c_int(index)]) for index in range(count)]

    def number(self, name: str) -> int:
        """The first entry of an array of counters."""
        return int(self._bpf[name.encode()][ctypes.c_int(0)].value)

    def close(self) -> None:
        """Free programs and maps."""
        self.detach()
        self._bpf.cleanup()


class Table:
    """A hash map whose keys and values are bytes of fixed sizes."""

    def __init__(self, lib: Any, fd: int, key_size: int, value_size: int) -> None:
        self._lib = lib
        self._fd = fd
        self._key = ctypes.create_string_buffer(key_size)
        self._value = ctypes.create_string_buffer(value_size)

    def get(self, key: bytes) -> bytes | None:
        """The value, or None."""
        self._key.raw = key
        return self._value.raw if self._lib.bpf_lookup_elem(self._fd, self._key, self._value) == 0 else None

    def put(self, key: bytes, value: bytes) -> None:
        """Set the value.

        Raises:
            OSError: the map is full.
        """
        self._key.raw = key
        self._value.raw = value
        if self._lib.bpf_update_elem(self._fd, self._key, self._value, 0) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))

    def delete(self, key: bytes) -> None:
        """Remove the key if it is there."""
        self._key.raw = key
        self._lib.bpf_delete_elem(self._fd, self._key)

    def keys(self) -> list[bytes]:
        """All keys; entries that come and go meanwhile may be missed."""
        found: list[bytes] = []
        following = ctypes.create_string_buffer(len(self._key))
        if self._lib.bpf_get_first_key(self._fd, following, len(following)) != 0:
            return found
        found.append(following.raw)
        while self._lib.bpf_get_next_key(self._fd, found[-1], following) == 0:
            found.append(following.raw)
        return found
