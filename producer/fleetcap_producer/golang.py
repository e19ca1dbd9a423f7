"""Finds functions in a Go program by the table that its runtime keeps for stack traces, which `strip` cannot take away.

Format: Go's runtime/symtab.go, versions 1.18 and later, which also pass arguments in registers. It reads files and knows no
probe.
"""

import mmap
import struct
from collections.abc import Collection
from typing import NamedTuple

from fleetcap_producer import elf

_SECTION = b".gopclntab"
_MODULE = b".go.module"
_MAGICS = frozenset({0xFFFFFFF0, 0xFFFFFFF1})  # 1.18, 1.20
_HEADER = struct.Struct("=IHBB8Q")
_ENTRY = struct.Struct("=II")  # of the table of functions: distance from the text's start, place of the description
_FUNCTION = struct.Struct("=Ii")  # beginning of a description: the same distance, place of the name
_TEXT_WORD = 22  # of the module's data: where the text starts; the header says it before Go 1.26
_WORD = struct.Struct("=Q")

# cmp 0x10(%r14),%rsp and lea -n(%rsp),%r12: how every function that calls others begins (x86-64).
_PROLOGUES = (b"\x49\x3b\x66\x10", b"\x4c\x8d\x64\x24", b"\x4c\x8d\xa4\x24")


class Function(NamedTuple):
    """Offsets in the file."""

    start: int
    end: int


def functions(fd: int, wanted: Collection[str]) -> dict[str, Function]:
    """Those of `wanted` (as `crypto/tls.(*Conn).Read`) that the program contains; none where it is no Go program.

    Raises:
        elf.ElfError: the file is no 64-bit ELF file, or the table is not understood.
    """
    try:
        with mmap.mmap(fd, 0, mmap.MAP_PRIVATE, mmap.PROT_READ) as data:
            return _functions(data, {name.encode() for name in wanted})
    except (ValueError, OSError, struct.error, IndexError) as error:
        raise elf.ElfError(f"its table of Go functions cannot be read ({error})") from error


def _functions(data: mmap.mmap, wanted: Collection[bytes]) -> dict[str, Function]:
    image = elf.Image(data)
    table = image.section(_SECTION)
    if table is None:
        return {}
    header = _HEADER.unpack_from(data, table.offset)
    magic, count, text, names_at, functions_at = header[0], header[4], header[6], header[7], header[11]
    if magic not in _MAGICS:
        raise elf.ElfError("it was built by a version of Go before 1.18")
    names = _names(data, table.offset + names_at, table.offset + table.size, wanted)
    start = text or _text_start(data, image)
    first = table.offset + functions_at
    found: dict[str, Function] = {}
    for index in range(count):
        entry, description = _ENTRY.unpack_from(data, first + index * _ENTRY.size)
        name = names.get(_FUNCTION.unpack_from(data, first + description)[1])
        if name:
            end = _ENTRY.unpack_from(data, first + (index + 1) * _ENTRY.size)[0]
            found[name] = _checked(data, image, start + entry, start + end)
    return found


def _names(data: mmap.mmap, start: int, end: int, wanted: Collection[bytes]) -> dict[int, str]:
    """The wanted names by their place in the table of names."""
    places = {}
    for name in wanted:
        at = data.find(b"\0" + name + b"\0", start, end)
        if at >= 0:
            places[at + 1 - start] = name.decode()
    return places


def _text_start(data: mmap.mmap, image: elf.Image) -> int:
    module = image.section(_MODULE)
    if module is None:
        raise elf.ElfError("where its code begins is not said")
    return int(_WORD.unpack_from(data, module.offset + _TEXT_WORD * _WORD.size)[0])


def _checked(data: mmap.mmap, image: elf.Image, start: int, end: int) -> Function:
    """A wrong start of the text would put probes into the middle of instructions, so the code must look like a function's."""
    offset = image.file_offset(start)
    if offset is None or not data[offset : offset + 4].startswith(_PROLOGUES):
        raise elf.ElfError("its functions are not where its table says")
    return Function(offset, offset + end - start)
