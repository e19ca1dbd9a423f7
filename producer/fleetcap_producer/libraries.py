"""Finds the TLS libraries of this machine: the system's own, those that processes use, and those that the user names.

Reads /proc, the linker's cache and ELF files. It attaches nothing. Files are opened through /proc/PID/root, so that a
container's library is found by the name its processes use, and are told apart by inode.
"""

import os
import re
import stat
import subprocess
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from fleetcap_producer import bio, elf, golang
from fleetcap_producer.errors import TapError
from fleetcap_producer.points import REQUIRED_SYMBOLS, SOURCES, SYMBOLS

# libssl.so.3, libssl.so.1.1, and libssl-2e15ed8b.so.1.1 as wheels carry it; not libssl3.so, which is NSS.
_NAME = re.compile(r"lib(ssl|crypto|gnutls)(-[0-9a-f]+)?\.so(\.[0-9.]+)?$")
_KINDS = {"ssl": "openssl", "crypto": "crypto", "gnutls": "gnutls"}
_MAPPING = re.compile(
    rb"^([0-9a-f]+-[0-9a-f]+) \S+ \S+ ([0-9a-f]+:[0-9a-f]+) (\d+) +(/.*lib(?:ssl|crypto|gnutls).*)$", re.MULTILINE
)
_LARGE = 3 << 20  # bytes; a static OpenSSL alone is four million, Go's runtime and TLS as much
_DELETED = " (deleted)"
_CACHED = re.compile(r" => (/.*)$", re.MULTILINE)
_DIRECTORIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/usr/local/lib64")
_VERSION = re.compile(rb"(?:OpenSSL|LibreSSL) \d+\.\d+\.\d+[a-z]*(?: +\d+ \w{3} \d{4})?")


class Inode(NamedTuple):
    """A file, by whatever name."""

    device: int
    number: int


class Mapped(NamedTuple):
    """A library in a process's memory. `device` is as in /proc/PID/maps, which on some filesystems is not that of stat(2)."""

    pid: int
    path: str  # as the process names it
    addresses: str
    device: str
    inode: int
    deleted: bool


@dataclass(frozen=True, slots=True)
class Library:
    """An open library that can be probed. Whoever holds it closes `fd`, through which it stays reachable."""

    path: str
    kind: str
    inode: Inode
    fd: int
    functions: dict[str, int] = field(repr=False)  # offset in the file, by symbol
    ends: dict[str, int] = field(default_factory=dict, repr=False)  # where they end, by symbol; Go only

    @property
    def file(self) -> str:
        """A path to this very file, whatever happens to its name."""
        return f"/proc/self/fd/{self.fd}"


def is_library_name(path: str) -> bool:
    """Whether a file of this name is likely to be a TLS library that can be probed."""
    return _NAME.fullmatch(path.rpartition("/")[2]) is not None


def holds_sessions(path: str) -> bool:
    """Whether a library of this name is one whose calls carry what is captured."""
    return SOURCES[_kind(path)] != 0


def _kind(path: str) -> str:
    """What a file of this name is; OpenSSL where the name does not tell."""
    named = _NAME.fullmatch(path.rpartition("/")[2])
    return _KINDS[named[1]] if named else "openssl"


def open_library(file: str, path: str) -> Library:
    """The library or program in `file`, which its users call `path`.

    Raises:
        OSError: it cannot be opened.
        elf.ElfError: it is no ELF file, or lacks what a library of its kind must have.
    """
    kind = _kind(path)
    fd = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    try:
        status = os.fstat(fd)
        inode = Inode(status.st_dev, status.st_ino)
        found = elf.functions(fd, SYMBOLS, REQUIRED_SYMBOLS[kind])
        if not found and (go := golang.functions(fd, SYMBOLS)).keys() >= set(REQUIRED_SYMBOLS["go"]):
            starts, ends = ({name: one[index] for name, one in go.items()} for index in (0, 1))
            return Library(path, "go", inode, fd, starts, ends)
        _require_symbols(found, kind)
        if kind == "crypto" and (writers := bio.writers(fd, found)):
            found = writers
        return Library(path, kind, inode, fd, found)
    except BaseException:
        os.close(fd)
        raise


def _require_symbols(found: Collection[str], kind: str) -> None:
    missing = [symbol for symbol in REQUIRED_SYMBOLS[kind] if symbol not in found]
    if missing:
        raise elf.ElfError(f"it defines no {' or '.join(missing)}")


def named_library(path: Path) -> Library:
    """A library that the user named.

    Raises:
        TapError: it cannot be probed, and why.
    """
    remedy = "name an OpenSSL libssl, a libgnutls, or a program that contains OpenSSL and still has its symbols"
    try:
        return open_library(str(path), str(path))
    except OSError as error:
        raise TapError(f"library {path} cannot be opened: {error.strerror}", remedy) from error
    except elf.ElfError as error:
        raise TapError(f"library {path} cannot be probed: {error}", remedy) from error


def system_libraries() -> list[str]:
    """Paths of the libraries that newly started programs will use, from the linker's cache or the usual directories."""
    found: dict[str, None] = {}
    for path in [*_cached(), *_listed()]:
        if is_library_name(path):
            found.setdefault(os.path.realpath(path))
    return list(found)


def _cached() -> list[str]:
    for program in ("ldconfig", "/sbin/ldconfig"):
        try:
            said = subprocess.run([program, "-p"], capture_output=True, text=True, check=False, timeout=10)
        except (OSError, subprocess.TimeoutExpired):
            continue
        return _CACHED.findall(said.stdout)
    return []


def _listed() -> Iterator[str]:
    for directory in _DIRECTORIES:
        for pattern in ("libssl*.so*", "libcrypto*.so*", "libgnutls*.so*"):
            yield from (str(path) for path in Path(directory).glob(pattern))


def large_programs() -> Iterator[str]:
    """Installed programs that are large enough to contain a TLS library of their own, each file once."""
    seen: set[Inode] = set()
    for directory in os.get_exec_path():
        for path in sorted(Path(directory).glob("*")):
            try:
                status = path.stat()
            except OSError:
                continue
            inode = Inode(status.st_dev, status.st_ino)
            if stat.S_ISREG(status.st_mode) and status.st_size >= _LARGE and inode not in seen:
                seen.add(inode)
                yield os.path.realpath(path)


def processes() -> list[int]:
    """All process numbers but our own."""
    own = os.getpid()
    with os.scandir("/proc") as entries:
        return [pid for entry in entries if entry.name.isdecimal() and (pid := int(entry.name)) != own]


def mapped_libraries(pid: int) -> list[Mapped]:
    """The libraries that a process has in memory, each once; empty when it is gone, or may not be looked at."""
    try:
        return parse_maps(pid, Path(f"/proc/{pid}/maps").read_bytes())
    except OSError:
        return []


def maps_inode(pid: int, inode: int) -> bool | None:
    """Whether a process maps a file of this inode number, whatever its device; None where the process is gone."""
    try:
        return b" %d " % inode in Path(f"/proc/{pid}/maps").read_bytes()
    except OSError:
        return None


def parse_maps(pid: int, text: bytes) -> list[Mapped]:
    """The libraries in the text of /proc/PID/maps (proc_pid_maps(5)), by the file's inode, each once."""
    found: dict[tuple[str, int], Mapped] = {}
    for addresses, device, inode, raw in _MAPPING.findall(text):
        path = os.fsdecode(raw)
        name = path.removesuffix(_DELETED)
        if is_library_name(name):
            key = device.decode(), int(inode)
            found.setdefault(key, Mapped(pid, name, addresses.decode(), *key, deleted=path != name))
    return list(found.values())


def open_mapped(mapped: Mapped) -> Library:
    """The library in a process's memory, also where its file was replaced meanwhile.

    Raises:
        OSError, elf.ElfError: as `open_library`.
    """
    through_root = f"/proc/{mapped.pid}/root{mapped.path}"
    if not mapped.deleted:
        library = open_library(through_root, mapped.path)
        if library.inode.number == mapped.inode:
            return library
        os.close(library.fd)
    return open_library(f"/proc/{mapped.pid}/map_files/{mapped.addresses}", mapped.path)


def open_program(pid: int) -> Library:
    """The program that a process runs, where it contains a TLS library.

    Raises:
        OSError, elf.ElfError: as `open_library`; the process is gone, or its program contains none.
    """
    link = f"/proc/{pid}/exe"
    return open_library(link, os.readlink(link).removesuffix(_DELETED))  # noqa: PTH115  as it is


def library_version(path: str) -> str:
    """The version that the library, or the libcrypto beside it, states; empty where neither does."""
    beside = path.replace("libssl", "libcrypto")
    for file in (path, beside):
        try:
            found = _VERSION.search(Path(file).read_bytes())
        except OSError:
            continue
        if found:
            return found.group().decode()
    return ""


def open_all(paths: Iterable[str]) -> Iterator[Library | tuple[str, Exception]]:
    """Each library of `paths`, or the path and why it could not be opened."""
    for path in paths:
        try:
            yield open_library(path, path)
        except (OSError, elf.ElfError) as error:
            yield path, error
