"""Finds functions in an ELF file, as places a uprobe takes: offsets in the file. Reads 64-bit files only.

Format: System V ABI, chapters 4 and 5.
"""

import mmap
import struct
from collections.abc import Collection, Iterator
from typing import NamedTuple

_HEADER = struct.Struct("=16sHHIQQQIHHHHHH")
_SECTION = struct.Struct("=IIQQQQIIQQ")
_SEGMENT = struct.Struct("=IIQQQQQQ")
_SYMBOL = struct.Struct("=IBBHQQ")

_LOAD = 1
_SYMBOL_TABLES = (11, 2)  # .dynsym is small and has what a library exports; .symtab is for programs linked statically
_FUNCTION_TYPES = frozenset({2, 10})  # function, indirect function


class ElfError(ValueError):
    """The file is no 64-bit ELF file of this machine's byte order, or is cut."""


class _Section(NamedTuple):
    name: int
    kind: int
    flags: int
    address: int
    offset: int
    size: int
    link: int
    info: int
    alignment: int
    entry_size: int


def functions(fd: int, wanted: Collection[str], required: Collection[str] = ()) -> dict[str, int]:
    """The file offset of each function of `wanted` that the file defines.

    Nothing where the names of `required` are not all there: a program may have a million symbols, to be gone through in vain.

    Raises:
        ElfError: see there.
    """
    try:
        with mmap.mmap(fd, 0, mmap.MAP_PRIVATE, mmap.PROT_READ) as data:
            return _functions(data, {name.encode() for name in wanted}, {name.encode() for name in required})
    except (ValueError, OSError, struct.error, IndexError) as error:
        raise ElfError(f"not a readable 64-bit ELF file ({error})") from error


class Image:
    """Sections and segments of a mapped file.

    Raises:
        ElfError: it does not begin as a 64-bit ELF file.
    """

    def __init__(self, data: mmap.mmap) -> None:
        header = _HEADER.unpack_from(data)
        if header[0][:5] != b"\x7fELF\x02":
            raise ElfError("it does not begin as one")
        self._data = data
        self._segments = list(_segments(data, header[5], header[10]))
        self.sections = [_Section(*_SECTION.unpack_from(data, header[6] + i * _SECTION.size)) for i in range(header[12])]
        self._names = self.sections[header[13]] if header[13] < len(self.sections) else None

    def section(self, name: bytes) -> "_Section | None":
        """The section of this name."""
        for section in self.sections if self._names else ():
            start = self._names.offset + section.name if self._names else 0
            if self._data[start : start + len(name) + 1] == name + b"\0":
                return section
        return None

    def file_offset(self, address: int) -> int | None:
        """Where in the file the byte at this address is; None where it is in none of it."""
        return _file_offset(self._segments, address)

    def address(self, offset: int) -> int | None:
        """The address of the byte at this offset of the file; None where it is not loaded."""
        return _file_offset([(at, size, start) for start, size, at in self._segments], offset)


def _functions(data: mmap.mmap, wanted: Collection[bytes], required: Collection[bytes]) -> dict[str, int]:
    image = Image(data)
    sections = image.sections
    found: dict[str, int] = {}
    for kind in _SYMBOL_TABLES:
        for section in sections:
            if section.kind == kind:
                for name, address in _symbols(data, section, sections[section.link], wanted, required):
                    offset = image.file_offset(address)
                    if offset is not None:
                        found.setdefault(name.decode(), offset)
        if required and found.keys() >= {name.decode() for name in required}:
            break
    return found


def _segments(data: mmap.mmap, at: int, count: int) -> Iterator[tuple[int, int, int]]:
    """Loaded segments: address, size in the file, offset in the file."""
    for index in range(count):
        kind, _, offset, address, _, size, _, _ = _SEGMENT.unpack_from(data, at + index * _SEGMENT.size)
        if kind == _LOAD:
            yield address, size, offset


def _symbols(
    data: mmap.mmap, table: _Section, names: _Section, wanted: Collection[bytes], required: Collection[bytes]
) -> Iterator[tuple[bytes, int]]:
    strings = data[names.offset : names.offset + names.size]
    if not all(name + b"\0" in strings for name in required):
        return
    places = {at: name for name in wanted for at in _places(strings, name)}
    raw = data[table.offset : table.offset + table.size // _SYMBOL.size * _SYMBOL.size]
    for at, info, _, section, address, _ in _SYMBOL.iter_unpack(raw):
        if at in places and section and address and info & 0xF in _FUNCTION_TYPES:
            yield places[at], address


def _places(strings: bytes, name: bytes) -> Iterator[int]:
    """Where a symbol's name may begin: also inside a longer name that ends alike, as linkers share such ends."""
    at = strings.find(name + b"\0")
    while at >= 0:
        yield at
        at = strings.find(name + b"\0", at + 1)


def _file_offset(segments: list[tuple[int, int, int]], address: int) -> int | None:
    for start, size, offset in segments:
        if start <= address < start + size:
            return address - start + offset
    return None
