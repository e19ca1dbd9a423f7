"""TLS key material, only where it was asked for: where libraries hand it out, and from the kernel's records to events.

Every TLS library has a key log, and calls one function of its own for each secret, in which it looks whether the program
wanted a log. A probe there sees the secrets of all sessions: (session, label, secret, its length), of OpenSSL, BoringSSL and
GnuTLS alike. That function is seldom exported, but it is known by its callers, each of which names one of the labels of RFC 9850.
Where the client random is in a session is read from the accessor that every build exports.

Nothing is guessed: callers that do not agree, or accessors that do not look as expected, leave that library without keys.
"""

import logging
import mmap
import os
import platform
import struct
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import capstone
from capstone import x86

from fleetcap_producer import elf, placement
from fleetcap_producer.captured import NOWHERE, Captured
from fleetcap_producer.decoding import Facts
from fleetcap_producer.libraries import Library
from fleetcap_producer.placement import Placed
from fleetcap_producer.points import GO_KEY_LOG, GO_KEY_PROGRAM, RANDOMS, SECRET_LOGGERS, LibraryPoint
from fleetcap_producer.program import Programs
from fleetcap_producer.records import NO_POINTER, SECRET_LAYOUTS, SecretLayout, SecretRecord, text
from fleetcap_producer.table import Connections
from fleetcap_proto.v1 import raw_pb2, secrets_pb2

_log = logging.getLogger(__name__)

_TLS12 = "CLIENT_RANDOM"
# RFC 9850, section 2; the length of a TLS 1.3 secret is that of its hash, of a TLS 1.2 master secret always 48 (RFC 5246, 8.1).
_TLS13 = frozenset(
    {
        "CLIENT_EARLY_TRAFFIC_SECRET",
        "EARLY_EXPORTER_SECRET",
        "EARLY_EXPORTER_MASTER_SECRET",
        "CLIENT_HANDSHAKE_TRAFFIC_SECRET",
        "SERVER_HANDSHAKE_TRAFFIC_SECRET",
        "CLIENT_TRAFFIC_SECRET_0",
        "SERVER_TRAFFIC_SECRET_0",
        "EXPORTER_SECRET",
    }
)
_HASH_SIZES = frozenset({32, 48, 64})
_MASTER_SIZE = 48

_LEA_RSI = b"\x48\x8d\x35"  # lea rsi, [rip + four bytes]
_DISTANCE = struct.Struct("<i")
_TO_CALL = 8  # instructions from naming a label to the call it is for
_AGREEING = 2  # callers of different labels, at least
_ACCESSOR = 12  # instructions in which an accessor has formed the address
_RANDOM_SIZE = 32
_LONGEST = 15  # bytes of an x86 instruction


class NotUnderstoodError(Exception):
    """A library's code does not look as expected; `str()` says what does not."""


class Layout(NamedTuple):
    """Where a session keeps its client random: at `client_random` of itself, or of what `pointer` of it points to."""

    pointer: int | None
    client_random: int


class Place(NamedTuple):
    """The function that is given each secret, as an offset in the file, and how a session is laid out."""

    logger: int
    layout: Layout


def find(library: Library) -> Place:
    """Where an OpenSSL, BoringSSL or GnuTLS hands out its secrets.

    Raises:
        NotUnderstoodError: that cannot be told for sure.
    """
    if platform.machine() != "x86_64":
        raise NotUnderstoodError(f"keys are not read on {platform.machine()} yet")
    try:
        with mmap.mmap(library.fd, 0, mmap.MAP_PRIVATE, mmap.PROT_READ) as data:
            logger = next((library.functions[name] for name in SECRET_LOGGERS if name in library.functions), None)
            return Place(_logger(data) if logger is None else logger, _layout(data, library))
    except (elf.ElfError, ValueError, OSError, struct.error) as error:
        raise NotUnderstoodError(f"it cannot be read ({error})") from error


def _logger(data: mmap.mmap) -> int:
    """The function that every caller which names a label calls with it."""
    image = elf.Image(data)
    code, constants = image.section(b".text"), image.section(b".rodata")
    if code is None or constants is None:
        raise NotUnderstoodError("it has no sections")
    labels = set[int]()
    for label in (_TLS12, *_TLS13):
        at = data.find(label.encode() + b"\0", constants.offset, constants.offset + constants.size)
        labels.update(range(at, at + 1) if at >= 0 else ())
    shift = code.address - code.offset
    found: dict[int, set[int]] = {}
    at = data.find(_LEA_RSI, code.offset, code.offset + code.size)
    while at >= 0:
        after = at + len(_LEA_RSI) + _DISTANCE.size
        named = after + shift + _DISTANCE.unpack_from(data, at + len(_LEA_RSI))[0] - constants.address + constants.offset
        if named in labels and (called := _next_call(data, after)) is not None:
            found.setdefault(called, set()).add(named)
        at = data.find(_LEA_RSI, at + 1, code.offset + code.size)
    if len(found) != 1 or len(next(iter(found.values()))) < _AGREEING:
        raise NotUnderstoodError(f"{len(found)} functions seem to be given its secrets")
    return next(iter(found))


def _decode(data: mmap.mmap, at: int, most: int) -> Iterator[capstone.CsInsn]:
    decoder = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
    decoder.detail = True
    yield from decoder.disasm(data[at : at + most * _LONGEST], at, most)


def _next_call(data: mmap.mmap, at: int) -> int | None:
    """What the code at `at` calls next, if it comes to that in a straight line with the second argument kept."""
    for one in _decode(data, at, _TO_CALL):
        groups = set(one.groups)
        direct = len(one.operands) == 1 and one.operands[0].type == x86.X86_OP_IMM
        if capstone.CS_GRP_CALL in groups:
            return int(one.operands[0].imm) if direct else None
        if capstone.CS_GRP_JUMP in groups or capstone.CS_GRP_RET in groups:
            return None
        if x86.X86_REG_RSI in one.regs_access()[1]:
            return None
    return None


def _layout(data: mmap.mmap, library: Library) -> Layout:
    """As the accessors of both randoms tell it, which in every library stand side by side."""
    client, server = RANDOMS[library.kind]
    if client not in library.functions or server not in library.functions:
        raise NotUnderstoodError(f"it defines no {client}")
    ours = _addresses(data, library.functions[client])
    for one in ours:
        for other in _addresses(data, library.functions[server]):
            if one.pointer == other.pointer and abs(one.client_random - other.client_random) == _RANDOM_SIZE:
                return one
    raise NotUnderstoodError(f"{client} does not tell where the client random is")


def _addresses(data: mmap.mmap, start: int) -> list[Layout]:
    """The addresses within a session that an accessor forms from its first argument, in their order."""
    holds: dict[int, tuple[int | None, int]] = {x86.X86_REG_RDI: (None, 0)}
    found: list[Layout] = []
    for one in _decode(data, start, _ACCESSOR):
        if capstone.CS_GRP_RET in set(one.groups) or capstone.CS_GRP_CALL in set(one.groups):
            break
        value = _value(one, holds)
        for register in one.regs_access()[1]:
            holds.pop(register, None)
        if value is not None:
            holds[one.operands[0].reg] = value
            if value[1] and one.mnemonic != "mov":
                found.append(Layout(*value))
    return found


def _value(one: capstone.CsInsn, holds: dict[int, tuple[int | None, int]]) -> tuple[int | None, int] | None:
    """What an instruction puts into its first operand, where that is an address within a session."""
    if len(one.operands) != 2 or one.operands[0].type != x86.X86_OP_REG:
        return None
    source = one.operands[1]
    if one.mnemonic == "add" and source.type == x86.X86_OP_IMM and one.operands[0].reg in holds:
        pointer, at = holds[one.operands[0].reg]
        return pointer, at + source.imm
    if one.mnemonic == "mov" and source.type == x86.X86_OP_REG:
        return holds.get(source.reg)
    if source.type != x86.X86_OP_MEM or source.mem.index or source.mem.base not in holds:
        return None
    pointer, at = holds[source.mem.base]
    if one.mnemonic == "lea":
        return pointer, at + source.mem.disp
    if one.mnemonic == "mov" and pointer is None and one.operands[0].size == 8:
        return at + source.mem.disp, 0
    return None


class Secrets:
    """The probes for secrets and the reader of what they see."""

    def __init__(self, programs: Programs) -> None:
        self._table = programs.table("secret_layouts", 4, 8)
        self._slots: list[Layout] = []

    def places(self, library: Library) -> list[Placed]:
        """The probes of one library; none, with a line in the log, where it is not understood."""
        try:
            return list(self._places(library))
        except NotUnderstoodError as error:
            _log.warning("the keys of sessions of %s stay unknown: %s", library.path, error)
            return []

    def _places(self, library: Library) -> Iterable[Placed]:
        if library.kind == "crypto":
            return
        if library.kind == "go":
            yield from placement.place(library, [LibraryPoint("go", GO_KEY_LOG, GO_KEY_PROGRAM)], ())
            return
        place = find(library)
        yield Placed(f"secret_logged_{self._slot(place.layout)}", place.logger, on_return=False)

    def _slot(self, layout: Layout) -> int:
        if layout not in self._slots:
            if len(self._slots) >= SECRET_LAYOUTS:
                raise NotUnderstoodError(f"{SECRET_LAYOUTS} other layouts are in use already")
            pointer = NO_POINTER if layout.pointer is None else layout.pointer
            self._table.put(struct.pack("=I", len(self._slots)), bytes(SecretLayout(pointer, layout.client_random)))
            self._slots.append(layout)
        return self._slots.index(layout)

    def reader(self, connections: Connections, to_unix: Callable[[int], int]) -> Facts:
        """Makes events of records; what is no secret by its label and length is left out."""

        def read(data: memoryview, at: int) -> Iterator[Captured]:
            seen = SecretRecord.from_buffer_copy(data, at)
            label, secret = text(bytes(seen.label)), bytes(seen.secret)[: seen.length]
            if not is_secret(label, secret):
                return
            known = connections.by_id.get(seen.connection)
            entry = secrets_pb2.KeyLogEntry(
                label=label,
                client_random=bytes(seen.client_random),
                secret=secret,
                connection_uuid=known.connection.uuid if known else "",
            )
            yield Captured(NOWHERE, raw_pb2.EVENT_KIND_KEY, to_unix(seen.time), payload=entry.SerializeToString(), tid=seen.tid)

        return read


def is_secret(label: str, secret: bytes) -> bool:
    """Whether this can be a secret of TLS: all else would be something that a probe in a wrong place saw."""
    if label == _TLS12:
        return len(secret) == _MASTER_SIZE
    return label in _TLS13 and len(secret) in _HASH_SIZES


def key_log_line(entry: secrets_pb2.KeyLogEntry) -> str:
    """As NSS writes it and Wireshark reads it (RFC 9850), with its newline."""
    return f"{entry.label} {entry.client_random.hex()} {entry.secret.hex()}\n"


class KeyLogFile:
    """A key log that only its owner can read. Lines are appended.

    Raises:
        OSError: it cannot be opened, or is a link, which somebody else could have put there.
    """

    def __init__(self, path: os.PathLike[str]) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        self._fd = os.open(path, flags, 0o600)
        os.fchmod(self._fd, 0o600)

    def take(self, events: Iterable[Captured]) -> None:
        """Write the keys among these events."""
        lines = [
            key_log_line(secrets_pb2.KeyLogEntry.FromString(event.payload))
            for event in events
            if event.kind == raw_pb2.EVENT_KIND_KEY
        ]
        if lines:
            os.write(self._fd, "".join(lines).encode())

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)
