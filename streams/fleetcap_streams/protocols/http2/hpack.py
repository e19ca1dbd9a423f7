"""One direction's header compression (RFC 7541), as a tap has to read it: joined at any header block, lossy, bounded.

Indices of the dynamic table count back from the newest entry. So whoever knows the last n inserts knows what the n lowest
indices stand for, whatever was inserted before, and whatever the table's size is: an encoder that keeps to the RFC refers to
nothing that was evicted. What lies further back is unknown (`UNKNOWN`), and an error only where nothing can lie there.

Knows neither frames nor what header fields mean.
"""

from typing import Any, Final

import msgspec

from fleetcap_streams.protocols.http2.huffman import HuffmanError
from fleetcap_streams.protocols.http2.huffman import decode as decode_huffman
from fleetcap_streams.protocols.http2.static_table import FIRST_DYNAMIC, STATIC, Field

UNKNOWN: Final = "?"  # no field name may be this one (RFC 9110 section 5.1); a value is it only where the name is, too
UNKNOWN_FIELD: Final[Field] = (UNKNOWN, UNKNOWN)

DEFAULT_TABLE: Final = 4096  # RFC 9113 section 6.5.2
_OVERHEAD: Final = 32  # of an entry (section 4.1)
_LONGEST_STATIC: Final = 64
_LARGEST_TABLE: Final = 16 * 1024 * 1024  # where its size is not known; an index beyond it is nonsense

# Bounds what decoding again is saved by, for all connections of a worker: 8,192 strings of at most 256 bytes.
_STRINGS_KEPT: Final = 8192
_STRING_SIZE: Final = 256
_BLOCKS_KEPT: Final = 64  # per direction, of at most 512 bytes; forgotten whenever the table changes
_BLOCK_SIZE: Final = 512

_huffman_strings: Final[dict[bytes, str]] = {}
_plain_strings: Final[dict[bytes, str]] = {}

INVALID: Final = "hpack-invalid"
LIST_CUT: Final = "header-list-cut"
TABLE_TOO_LARGE: Final = "table-size-above-settings"


class HeaderBlock:
    """A decoded header block; shared by equal blocks, hence never changed, except that its reader keeps `meaning` here.

    `unknown` counts the fields of which the value or the name is not known. `notes` tell what is wrong with it.
    """

    __slots__ = ("fields", "meaning", "notes", "unknown")

    def __init__(self, fields: tuple[Field, ...], unknown: int, notes: tuple[str, ...]) -> None:
        self.fields = fields
        self.unknown = unknown
        self.notes = notes
        self.meaning: Any = None


class DecoderState(msgspec.Struct, array_like=True):
    """A decoder as it stands in a snapshot; entries newest first."""

    entries: list[tuple[str, str]]
    sizes: list[int]
    older: bool
    max_size: int | None
    allowed: int | None
    sure: bool


class _Invalid(Exception):  # noqa: N818 - a fact about the peer's bytes; never leaves this module
    """The block breaks RFC 7541."""


class Decoder:
    """Decodes the header blocks of one direction, in order.

    `older`: the peer's table may hold entries older than those known here. `max_size` is the peer's table size, None: not
    known. `allowed` is the most that the other peer's SETTINGS permit, None: not known.
    """

    __slots__ = (
        "_blocks",
        "_cap",
        "_changed",
        "_largest",
        "_most",
        "_most_fields",
        "_most_list",
        "_sizes",
        "_sure",
        "_table",
        "_used",
        "allowed",
        "max_size",
        "older",
    )

    def __init__(self, cap: int, most_fields: int, most_list: int, *, joined: bool = False) -> None:
        """`cap` bounds the table, `most_fields` and `most_list` (bytes) a block's fields."""
        self._cap = cap
        self._most_fields = most_fields
        self._most_list = most_list
        self._table: list[Field] = [UNKNOWN_FIELD, *STATIC]  # index 0 stands for nothing
        self._sizes: list[int] = []
        self._used = 0
        self._blocks: dict[bytes, HeaderBlock] = {}
        self._changed = False  # by the block that is being decoded
        self.older = joined
        self.max_size: int | None = None if joined else DEFAULT_TABLE
        self.allowed: int | None = None if joined else DEFAULT_TABLE
        self._most = cap if joined else min(DEFAULT_TABLE, cap)  # of the entries known here
        self._largest = _LONGEST_STATIC  # no entry is larger
        self._sure = True  # no field was unknown so far

    @property
    def known(self) -> int:
        """How many entries of the dynamic table are known."""
        return len(self._sizes)

    def lose(self) -> None:
        """A header block was lost: entries may have been inserted, so none of those known has a known index any more."""
        self._clear()
        self.older = self._changed = True
        self.max_size = None
        self._most = self._cap

    def allow(self, size: int) -> None:
        """The other direction's SETTINGS_HEADER_TABLE_SIZE; which value counts when is its sender's business, not a tap's."""
        if self.allowed is not None:
            self.allowed = max(self.allowed, size)

    def decode(self, block: bytes) -> HeaderBlock:
        """Decode a whole block. Never raises: an invalid one gives the fields before its error, and loses the table."""
        cached = self._blocks.get(block)
        if cached is not None:
            return cached
        notes: list[str] = []
        fields: list[Field] = []
        table = self._table
        self._changed = False
        pos, end = 0, len(block)
        try:
            while pos < end:
                byte = block[pos]
                pos += 1
                if byte > 0x80:  # section 6.1: an indexed field
                    if byte == 0xFF:
                        byte, pos = _integer(block, pos, 0x7F)
                    else:
                        byte &= 0x7F
                    try:
                        fields.append(table[byte])
                    except IndexError:
                        fields.append(self._old(byte))
                elif 0x20 <= byte < 0x40:
                    pos = self._size_update(block, pos, notes, first=not fields)
                else:
                    pos = self._literal(block, pos, fields)
        except (_Invalid, IndexError, HuffmanError):
            notes.append(INVALID)
            self.lose()
        return self._done(block, fields, notes)

    def _literal(self, block: bytes, pos: int, fields: list[Field]) -> int:
        """A field whose first byte was just read (section 6.2); returns where the next one begins."""
        byte = block[pos - 1]
        if byte >= 0x80:  # the index 0
            raise _Invalid
        mask = 0x3F if byte >= 0x40 else 0x0F
        index = byte & mask
        if index:
            if index == mask:
                index, pos = _integer(block, pos, mask)
            name = (self._table[index] if index < len(self._table) else self._old(index))[0]
        else:
            name, pos = _name(block, pos)
        start = pos
        value, pos = _string(block, pos)
        field = (name, value)
        fields.append(field)
        if byte >= 0x40:
            size = len(name) + _OVERHEAD + (len(value) if value.isascii() else len(_raw(block, start)))
            self._insert(field, size)
        return pos

    def _size_update(self, block: bytes, pos: int, notes: list[str], *, first: bool) -> int:
        """Section 6.3; only at the beginning of a block (section 4.2)."""
        if not first:
            raise _Invalid
        size = block[pos - 1] & 0x1F
        if size == 0x1F:
            size, pos = _integer(block, pos, 0x1F)
        if not self._resize(size) and TABLE_TOO_LARGE not in notes:
            notes.append(TABLE_TOO_LARGE)
        return pos

    def _done(self, block: bytes, fields: list[Field], notes: list[str]) -> HeaderBlock:
        # Huffman codes of 5 bits are the shortest, so literals are less than twice as long as the block.
        if len(fields) > self._most_fields or len(fields) * self._largest + 2 * len(block) > self._most_list:
            fields = self._cut(fields, notes)
        unknown = 0 if self._sure else sum(field[0] == UNKNOWN for field in fields)
        decoded = HeaderBlock(tuple(fields), unknown, tuple(notes))
        if self._changed:
            if self._blocks:
                self._blocks = {}
        elif len(block) <= _BLOCK_SIZE:
            if len(self._blocks) >= _BLOCKS_KEPT:
                self._blocks = {}
            self._blocks[block] = decoded
        return decoded

    def _cut(self, fields: list[Field], notes: list[str]) -> list[Field]:
        """Keep the first fields, as many as the limits allow."""
        left = self._most_list
        for count, (name, value) in enumerate(fields):
            left -= len(name) + len(value) + _OVERHEAD
            if left < 0 or count == self._most_fields:
                notes.append(LIST_CUT)
                return fields[:count]
        return fields

    def _old(self, index: int) -> Field:
        """An index further back than all known entries."""
        size = _LARGEST_TABLE if self.max_size is None else self.max_size
        if not self.older or index >= FIRST_DYNAMIC + size // _OVERHEAD:
            raise _Invalid
        self._sure = False
        return UNKNOWN_FIELD

    def _insert(self, entry: Field, size: int) -> None:
        self._changed = True
        self._table.insert(FIRST_DYNAMIC, entry)
        self._sizes.insert(0, size)
        self._used += size
        self._largest = max(self._largest, size)
        if self._used > self._most:
            self._evict()

    def _evict(self) -> None:
        """Section 4.3. Sizes of entries with an unknown name are too small, so what is evicted here is gone there, too."""
        self.older = self.max_size != self._most
        while self._used > self._most:
            self._used -= self._sizes.pop()
            self._table.pop()

    def _resize(self, size: int) -> bool:
        """Take a new table size; whether it is one that the other peer permits."""
        self._changed = True
        self.max_size = size
        self._most = min(size, self._cap)
        if not size or self._used > self._most:
            self._evict()
        return self.allowed is None or size <= self.allowed

    def _clear(self) -> None:
        del self._table[FIRST_DYNAMIC:]
        self._sizes.clear()
        self._used = 0
        self._blocks = {}

    def state(self) -> DecoderState:
        """What a snapshot holds of it."""
        entries, sizes = self._table[FIRST_DYNAMIC:], list(self._sizes)
        return DecoderState(entries, sizes, self.older, self.max_size, self.allowed, self._sure)

    def restore(self, state: DecoderState) -> None:
        """Go on from a state."""
        self._clear()
        self._table += [(name, value) for name, value in state.entries]
        self._sizes = list(state.sizes)
        self._used = sum(state.sizes)
        self._largest = max((_LONGEST_STATIC, *state.sizes))
        self.older, self.max_size, self.allowed, self._sure = state.older, state.max_size, state.allowed, state.sure
        self._most = self._cap if state.max_size is None else min(state.max_size, self._cap)


def _integer(block: bytes, pos: int, value: int) -> tuple[int, int]:
    """An integer whose prefix is full (section 5.1); 28 bits are more than anything here can need."""
    for shift in (0, 7, 14, 21, 28):
        byte = block[pos]
        pos += 1
        value += (byte & 0x7F) << shift
        if byte < 0x80:
            return value, pos
    raise _Invalid


def _string(block: bytes, pos: int) -> tuple[str, int]:
    """A string and where it ends (section 5.2)."""
    byte = block[pos]
    pos += 1
    length = byte & 0x7F
    if length == 0x7F:
        length, pos = _integer(block, pos, 0x7F)
    stop = pos + length
    raw = block[pos:stop]
    if stop > len(block):
        raise _Invalid
    strings = _huffman_strings if byte >= 0x80 else _plain_strings
    found = strings.get(raw)
    if found is not None:
        return found, stop
    shown = text(decode_huffman(raw) if byte >= 0x80 else raw)
    if length <= _STRING_SIZE:
        if len(strings) >= _STRINGS_KEPT:
            strings.clear()
        strings[raw] = shown
    return shown, stop


def _name(block: bytes, start: int) -> tuple[str, int]:
    """A field name and where it ends. One that is not ASCII is malformed, and shown byte by byte so that its length is right."""
    name, pos = _string(block, start)
    if name.isascii():
        return name, pos
    return _raw(block, start).decode("latin-1"), pos


def _raw(block: bytes, pos: int) -> bytes:
    """The bytes of a string that has been read once; for those that are shown with another length."""
    byte = block[pos]
    pos += 1
    length = byte & 0x7F
    if length == 0x7F:
        length, pos = _integer(block, pos, 0x7F)
    raw = block[pos : pos + length]
    return decode_huffman(raw) if byte >= 0x80 else raw


def text(data: bytes) -> str:
    """As the schema wants it: UTF-8, else Latin-1, which maps every byte."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")
