"""Finds how libcrypto writes into memory: the functions behind `BIO_s_mem` and `BIO_s_bio`.

They are private and have no symbols in a stripped library, but a public function gives each method's table, and another
reads the very member that is wanted: both are a few instructions, from which address and offset are taken. So nothing here
depends on a version's layout. What does not look like that is left out, and the caller probes what is public instead.
"""

import mmap
import struct
from collections.abc import Iterator, Mapping

import capstone
from capstone import x86

from fleetcap_producer import elf

METHODS = ("BIO_s_mem", "BIO_s_bio")
WRITER = "BIO_meth_get_write"
_SUFFIX = ".bwrite"

_RELA = struct.Struct("=QQq")
_RELA_TABLE = 4  # section type
_RELATIVE = 8  # R_X86_64_RELATIVE (System V ABI for x86-64, section 4.4)
_POINTER = struct.Struct("=Q")
_READ = 32
_MOST_MEMBER = 128  # bytes; the table has ten pointers


def writer_of(method: str) -> str:
    """What the function that `method` writes with is called here."""
    return method + _SUFFIX


def writers(fd: int, functions: Mapping[str, int]) -> dict[str, int]:
    """The file offset of what each known method writes with, by `writer_of` its name; empty where that cannot be told."""
    if WRITER not in functions:
        return {}
    try:
        with mmap.mmap(fd, 0, mmap.MAP_PRIVATE, mmap.PROT_READ) as data:
            return dict(_writers(data, functions))
    except (ValueError, OSError, struct.error, IndexError):
        return {}


def _writers(data: mmap.mmap, functions: Mapping[str, int]) -> Iterator[tuple[str, int]]:
    image = elf.Image(data)
    member = _member(data, functions[WRITER])
    if member is None:
        return
    for method in METHODS:
        table = _table(data, image, functions[method]) if method in functions else None
        address = _pointer(data, image, table + member) if table is not None else 0
        offset = image.file_offset(address) if address else None
        if offset is not None:
            yield writer_of(method), offset


def _first(data: mmap.mmap, offset: int, address: int) -> capstone.CsInsn | None:
    """A function's first instruction, if it is all that the function does; some builds clear registers before the return."""
    decoder = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
    decoder.detail = True
    code = decoder.disasm(data[offset : offset + _READ], address)
    found = [one for one in code if one.mnemonic not in {"endbr64", "xor"}][:2]
    return found[0] if len(found) == 2 and found[1].mnemonic == "ret" else None


def _member(data: mmap.mmap, offset: int) -> int | None:
    """The offset of the member that a getter returns: `mov member(%rdi), %rax; ret`."""
    found = _first(data, offset, 0)
    if found is None or found.mnemonic != "mov" or len(found.operands) != 2:
        return None
    to, source = found.operands
    if to.type != x86.X86_OP_REG or to.reg != x86.X86_REG_RAX or source.type != x86.X86_OP_MEM:
        return None
    member = source.mem.disp
    return member if source.mem.base == x86.X86_REG_RDI and not source.mem.index and 0 <= member < _MOST_MEMBER else None


def _table(data: mmap.mmap, image: elf.Image, offset: int) -> int | None:
    """The address that a function returns: `lea table(%rip), %rax; ret`."""
    address = image.address(offset)
    found = _first(data, offset, address) if address is not None else None
    if found is None or found.mnemonic != "lea":
        return None
    source = found.operands[1]
    return int(found.address + found.size + source.mem.disp) if source.mem.base == x86.X86_REG_RIP else None


def _pointer(data: mmap.mmap, image: elf.Image, address: int) -> int:
    """What the loader puts at `address`, relative to where it loads the file; 0 where that cannot be told."""
    for section in image.sections:
        if section.kind == _RELA_TABLE:
            raw = data[section.offset : section.offset + section.size // _RELA.size * _RELA.size]
            for place, info, addend in _RELA.iter_unpack(raw):
                if place == address:
                    return int(addend) if info & 0xFFFFFFFF == _RELATIVE else 0
    # Packed relocations (SHT_RELR) keep the addend in its place.
    offset = image.file_offset(address)
    return int(_POINTER.unpack_from(data, offset)[0]) if offset is not None else 0
