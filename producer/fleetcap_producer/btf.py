"""Reads member offsets of kernel structures from BTF, so that one program fits every kernel.

Owns the BTF format (Documentation/bpf/btf.rst) as far as structures need it, and knows nothing of which offsets are wanted.
"""

import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

VMLINUX = Path("/sys/kernel/btf/vmlinux")

_MAGIC = 0xEB9F
_HEADER = struct.Struct("=HBBIIIII")
_TYPE = struct.Struct("=III")
_MEMBER = struct.Struct("=III")

_KIND_ARRAY, _KIND_STRUCT, _KIND_UNION, _KIND_TYPEDEF = 3, 4, 5, 8
_MODIFIERS = frozenset({_KIND_TYPEDEF, 9, 10, 11, 18})  # typedef, volatile, const, restrict, type tag

# Bytes that follow a type, by kind: (fixed, for each of vlen).
_TRAILING: Mapping[int, tuple[int, int]] = {
    1: (4, 0),  # int
    _KIND_ARRAY: (12, 0),
    _KIND_STRUCT: (0, 12),
    _KIND_UNION: (0, 12),
    6: (0, 8),  # enum
    13: (0, 8),  # function prototype
    14: (4, 0),  # variable
    15: (0, 12),  # data section
    17: (4, 0),  # declaration tag
    19: (0, 12),  # enum64
}


class BtfError(ValueError):
    """The bytes are not BTF, or lack a structure or member that was asked for."""


@dataclass(frozen=True, slots=True)
class _Type:
    at: int
    kind: int
    length: int
    target: int
    bitfields: bool


class Btf:
    """The types of one kernel.

    Raises:
        BtfError: `data` is not BTF in this machine's byte order.
    """

    def __init__(self, data: bytes) -> None:
        if len(data) < _HEADER.size:
            raise BtfError("BTF is shorter than its header")
        magic, _, _, header, type_at, type_size, name_at, name_size = _HEADER.unpack_from(data)
        if magic != _MAGIC:
            raise BtfError(f"BTF begins with {magic:#x}, not {_MAGIC:#x}")
        self._types = data[header + type_at : header + type_at + type_size]
        self._names = data[header + name_at : header + name_at + name_size]
        if len(self._types) != type_size or len(self._names) != name_size:
            raise BtfError("BTF is cut")
        self._offsets = list(self._walk())
        self._structs = self._index_structs()

    def _walk(self) -> Iterator[int]:
        types, unpack, trailing = self._types, _TYPE.unpack_from, _TRAILING
        yield 0  # type number 0 is void and has no bytes
        at = 0
        try:
            while at < len(types):
                yield at
                _, info, _ = unpack(types, at)
                fixed, each = trailing.get(info >> 24 & 0x1F, (0, 0))
                at += 12 + fixed + each * (info & 0xFFFF)
        except struct.error as error:
            raise BtfError("BTF is cut inside a type") from error

    def _index_structs(self) -> dict[int, int]:
        """Type number by offset of the name, for structures."""
        found: dict[int, int] = {}
        for number, at in enumerate(self._offsets[1:], 1):
            name, info, _ = _TYPE.unpack_from(self._types, at)
            if name and info >> 24 & 0x1F == _KIND_STRUCT:
                found.setdefault(name, number)
        return found

    def _name(self, at: int) -> str:
        return self._names[at : self._names.index(0, at)].decode()

    def _type(self, number: int) -> _Type:
        at = self._offsets[number]
        _, info, target = _TYPE.unpack_from(self._types, at)
        return _Type(at + 12, info >> 24 & 0x1F, info & 0xFFFF, target, bool(info >> 31))

    def _resolve(self, number: int) -> _Type:
        """The type itself, behind its typedefs and qualifiers."""
        found = self._type(number)
        while found.kind in _MODIFIERS:
            found = self._type(found.target)
        return found

    def _struct(self, name: str) -> _Type:
        for offset, number in self._structs.items():
            if self._names.startswith(name.encode() + b"\0", offset):
                return self._type(number)
        raise BtfError(f"the kernel's BTF has no struct {name}")

    def _members(self, of: _Type) -> Iterator[tuple[str, _Type, int]]:
        for index in range(of.length):
            name, target, bits = _MEMBER.unpack_from(self._types, of.at + 12 * index)
            yield self._name(name), self._resolve(target), (bits & 0xFFFFFF if of.bitfields else bits) // 8

    def _find(self, of: _Type, member: str) -> tuple[_Type, int] | None:
        """`member` in `of` or in an unnamed structure or union inside it."""
        for name, kind, at in self._members(of):
            if name == member:
                return kind, at
            if not name and kind.kind in {_KIND_STRUCT, _KIND_UNION}:
                inner = self._find(kind, member)
                if inner:
                    return inner[0], at + inner[1]
        return None

    def offset(self, path: str) -> int:
        """The offset in bytes of `struct.member` or `struct.member.member`.

        Raises:
            BtfError: this kernel has no such structure or member.
        """
        name, *members = path.split(".")
        of, total = self._struct(name), 0
        for member in members:
            found = self._find(of, member)
            if found is None:
                raise BtfError(f"the kernel's BTF has no member {member} in {path}")
            of, at = found
            total += at
        return total

    def offsets(self, paths: Iterable[str]) -> dict[str, int]:
        """The offsets of many paths; see `offset`."""
        return {path: self.offset(path) for path in paths}

    def has_tracepoint(self, name: str) -> bool:
        """Whether the kernel has this tracepoint: each leaves a typedef `btf_trace_NAME` for raw tracepoints."""
        return b"\0btf_trace_" + name.encode() + b"\0" in self._names


def load(path: Path = VMLINUX) -> Btf:
    """The running kernel's types.

    Raises:
        OSError: `path` cannot be read.
        BtfError: it is not BTF.
    """
    return Btf(path.read_bytes())
