"""Chooses, by disassembly, the instructions at which a library's probes cost least. Reads code, attaches nothing.

The kernel single-steps most probed instructions in a copy, at the price of a second exception, but emulates a few. A probe
on one of those costs a tenth. So a function's entry is taken at its first emulated instruction, as long as until there the
arguments and the stack are what they were. And where public functions only wrap an inner one that has their arguments,
that one is probed in their stead: it tends to begin with a `push`, and its other callers are seen as well.

Nothing here is trusted to be so for every build: what does not match is probed at the public function's entry.
"""

import os
import platform
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import NamedTuple, Protocol

import capstone
from capstone import x86

from fleetcap_producer.points import LibraryPoint, Wrapped

_ARGUMENTS = ("rdi", "rsi", "rdx", "rcx", "r8", "r9")  # System V ABI for x86-64, section 3.2.3
_KEPT = frozenset((*_ARGUMENTS[:4], "rsp"))  # what programs read of a function's entry

# Of Go's convention: the receiver, the slice's address and length, the stack, the goroutine.
_KEPT_BY_GO = frozenset(("rax", "rbx", "rcx", "rsp", "r14"))
_PUSH_RBP = 0x55

# How far to look: wrappers take 9 to 11 instructions to reach what they wrap; a function's body, to rule out jumps into its
# beginning, some hundreds.
_MOST_STEPS = 32
_MOST_INSTRUCTIONS = 4096
_READ = 4096
_LONGEST = 15  # bytes of an x86 instruction


@dataclass(frozen=True, slots=True)
class Placed:
    """One probe: `program` runs at this offset of the file, or where the function that is entered there returns."""

    program: str
    offset: int
    on_return: bool


class Functions(Protocol):
    """An open file and offsets in it, by symbol."""

    @property
    def fd(self) -> int:
        """Of the file."""

    @property
    def functions(self) -> Mapping[str, int]:
        """Where they begin."""

    @property
    def ends(self) -> Mapping[str, int]:
        """Where those of Go end."""


def place(library: Functions, points: Iterable[LibraryPoint], wrapped: Sequence[Wrapped]) -> list[Placed]:
    """Where to attach each of `points` whose function `library` has.

    In the order of `points`, where those of wrappers give way to those of what they wrap.
    """
    functions = library.functions
    code = _Code(library.fd) if platform.machine() == "x86_64" else None
    inner = {found.offset: (one, found) for one in wrapped if code and (found := _inner(code, functions, one))}
    covered = {symbol for one, _ in inner.values() for symbol in (one.exact, *one.others)}
    placed = [
        Placed(program, _entry(code, found.offset), on_return)
        for one, found in inner.values()
        for program, on_return in ((one.leave, True), (found.entry, False))
    ]
    for point in points:
        start = functions.get(point.symbol)
        if code and start is not None and point.symbol in library.ends:
            placed.extend(_place_go(code, point, start, library.ends[point.symbol]))
        elif start is not None and point.symbol not in covered and point.unless not in functions:
            placed.append(Placed(point.program, _entry(code, start), point.on_return))
    return placed


def _place_go(code: "_Code", point: LibraryPoint, start: int, end: int) -> Iterator[Placed]:
    """A Go function is entered behind its check of the stack's size, which may begin it anew, and left at each RET."""
    body = _sweep(code, start, end)
    if point.on_return:
        yield from (Placed(point.program, one.offset, on_return=False) for one in body if one.name == "ret")
        return
    beginning = takewhile(lambda one: one.raw[0] == _PUSH_RBP or not one.writes & _KEPT_BY_GO, body[:_MOST_STEPS])
    entry = next((one.offset for one in beginning if one.raw[0] == _PUSH_RBP), start)
    yield Placed(point.program, entry, on_return=False)


def _sweep(code: "_Code", start: int, end: int) -> list["_Instruction"]:
    """All instructions of a function, if they are known; Go puts no data between them."""
    found: list[_Instruction] = []
    at = start
    while at < end and (one := code.at(at)):
        found.append(one)
        at = one.after
    return found if at >= end else []


class _Code:
    """Instructions of a file, by offset in it. Code is one segment, so distances in the file are those in memory."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._decoder = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
        self._decoder.detail = True
        self._from = 0
        self._bytes = b""

    def at(self, offset: int) -> "_Instruction | None":
        """None where there is no instruction, or none that is known."""
        if not self._from <= offset <= self._from + len(self._bytes) - _LONGEST:
            self._from, self._bytes = offset, os.pread(self._fd, _READ, offset) if offset >= 0 else b""
        begin = offset - self._from
        for found in self._decoder.disasm(self._bytes[begin : begin + _LONGEST], offset, 1):
            return _Instruction.of(found)
        return None


class _Instruction(NamedTuple):
    offset: int
    raw: bytes
    name: str
    writes: frozenset[str]  # whole registers
    copies: tuple[str, str] | None  # destination and source of a move of a whole register
    target: int | None  # of a direct jump or call
    jumps: bool
    calls: bool
    ends: bool  # nothing follows it: jmp, ret, ud2 …

    @classmethod
    def of(cls, found: capstone.CsInsn) -> "_Instruction":
        _, written = found.regs_access()
        groups = set(found.groups)
        jumps, calls = capstone.CS_GRP_JUMP in groups, capstone.CS_GRP_CALL in groups
        operands = found.operands
        direct = (jumps or calls) and len(operands) == 1 and operands[0].type == x86.X86_OP_IMM
        registers = [found.reg_name(one.reg) for one in operands if one.type == x86.X86_OP_REG]
        ends = found.mnemonic in {"jmp", "ret", "ud2", "hlt"}
        return cls(
            offset=found.address,
            raw=bytes(found.bytes),
            name=found.mnemonic,
            writes=frozenset(_whole(found.reg_name(one)) for one in written),
            copies=(registers[0], registers[1]) if found.mnemonic == "mov" and len(registers) == len(operands) == 2 else None,
            target=operands[0].imm if direct else None,
            jumps=jumps,
            calls=calls,
            ends=ends,
        )

    @property
    def after(self) -> int:
        return self.offset + len(self.raw)

    def emulated(self) -> bool:
        """Whether the kernel needs no single step for it (arch/x86/kernel/uprobes.c, since Linux 4.18)."""
        raw = self.raw
        match len(raw):
            case 1:
                return raw[0] == 0x90 or 0x50 <= raw[0] <= 0x57
            case 2:
                return raw[0] == 0xEB or 0x70 <= raw[0] <= 0x7F or (raw[0] == 0x41 and 0x50 <= raw[1] <= 0x57)
            case 5:
                return raw[0] in {0xE8, 0xE9}
            case 6:
                return raw[0] == 0x0F and 0x80 <= raw[1] <= 0x8F
        return False


_PARTS = {
    part: whole
    for whole, parts in {
        "rax": "eax ax al ah",
        "rbx": "ebx bx bl bh",
        "rcx": "ecx cx cl ch",
        "rdx": "edx dx dl dh",
        "rsi": "esi si sil",
        "rdi": "edi di dil",
        "rsp": "esp sp spl",
        "rbp": "ebp bp bpl",
        **{f"r{number}": f"r{number}d r{number}w r{number}b" for number in range(8, 16)},
    }.items()
    for part in parts.split()
}


def _whole(register: str) -> str:
    return _PARTS.get(register, register)


def _entry(code: _Code | None, start: int) -> int:
    """The first emulated instruction at which all is as on entry to the function at `start`; else `start`."""
    at = start
    for _ in range(_MOST_STEPS if code else 0):
        found = code.at(at) if code else None
        if found is None:
            break
        if found.emulated():
            return at if at == start or (code and not _jumped_into(code, start, at)) else start
        if found.jumps or found.calls or found.ends or found.writes & _KEPT:
            break
        at = found.after
    return start


def _reachable(code: _Code, starts: Iterable[int]) -> Iterator[_Instruction]:
    """Every instruction that direct jumps lead to; calls are taken to return."""
    waiting, seen = list(starts), set[int]()
    while waiting and len(seen) < _MOST_INSTRUCTIONS:
        at = waiting.pop()
        if at in seen or (found := code.at(at)) is None:
            continue
        seen.add(at)
        yield found
        if not found.ends:
            waiting.append(found.after)
        if found.jumps and found.target is not None:
            waiting.append(found.target)


def _jumped_into(code: _Code, start: int, end: int) -> bool:
    """Whether something jumps behind the function's start, but not behind `end`: such a pass would look like a call."""
    return any(found.jumps and found.target is not None and start < found.target <= end for found in _reachable(code, [start]))


class _Inner(NamedTuple):
    offset: int
    entry: str  # program


def _inner(code: _Code, functions: Mapping[str, int], one: Wrapped) -> _Inner | None:
    """The function that `one.exact` and all of `one.others` wrap, if it is the same."""
    starts = [functions.get(symbol) for symbol in (one.exact, *one.others)]
    if None in starts:
        return None
    exact = _wrapped_by(code, functions[one.exact], branches=False)
    entry = next((program for position, program in one.entries if exact and exact.arguments[position] == one.count), None)
    if exact is None or entry is None or exact.arguments[:3] != (0, 1, 2):
        return None
    for symbol in one.others:
        other = _wrapped_by(code, functions[symbol], branches=True)
        if other is None or other.offset != exact.offset or other.arguments[:2] != (0, 1):
            return None
    return _Inner(exact.offset, entry)


class _Call(NamedTuple):
    offset: int  # of what is called
    arguments: tuple[int | None, ...]  # which of the caller's arguments is handed on as the first, the second …


def _wrapped_by(code: _Code, start: int, *, branches: bool) -> _Call | None:
    """The one function that the function at `start` comes down to. With `branches`, it may also fail without calling it."""
    holds: dict[str, int | None] = {register: number for number, register in enumerate(_ARGUMENTS)}
    at, exits = start, list[int]()
    for _ in range(_MOST_STEPS):
        found = code.at(at)
        if found is None:
            return None
        if found.target is not None and (found.calls or found.ends):
            arguments = tuple(holds.get(register) for register in _ARGUMENTS)
            return None if _could_move_bytes(code, exits) else _Call(found.target, arguments)
        if found.jumps and found.target is not None and branches:
            exits.append(found.target)
        elif found.jumps or found.calls or found.ends:
            return None
        copied = holds.get(found.copies[1]) if found.copies else None
        for register in found.writes:
            holds[register] = copied if found.copies and register == found.copies[0] else None
        at = found.after
    return None


def _could_move_bytes(code: _Code, exits: Sequence[int]) -> bool:
    """Whether a way around the inner function calls through a pointer, as all that reads or writes records must."""
    return any(found.calls and found.target is None for found in _reachable(code, exits))
