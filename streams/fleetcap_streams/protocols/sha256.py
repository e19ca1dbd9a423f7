"""SHA-256 (FIPS 180-4) whose unfinished state can be written down and taken up in another process.

hashlib cannot do that. OpenSSL's low-level calls keep the state in a public structure, so they are used through ctypes where
a libcrypto with them can be loaded; elsewhere the same is done in Python, slower. Both write the same state, so one worker
may go on with what another began.
"""

import ctypes
import ctypes.util
import struct
from hashlib import sha256 as one_shot
from math import isqrt
from typing import Final, Protocol, TypeAlias

EMPTY: Final = one_shot(b"").digest()
STATE_SIZE: Final = 40  # bytes before the pending ones: eight words and the length

_STATE = struct.Struct(">8IQ")
_BLOCK: Final = 64


def digest(data: bytes | bytearray) -> bytes:
    """The hash of bytes that are all there. It identifies content, so a FIPS build may not refuse it."""
    return one_shot(data, usedforsecurity=False).digest()


class Hasher(Protocol):
    """A hash being computed."""

    def update(self, data: bytes) -> None:
        """Add bytes."""

    def digest(self) -> bytes:
        """The hash of all bytes so far; more may follow."""

    def state(self) -> bytes:
        """At most 103 bytes from which `restore` goes on."""


class _Context(ctypes.Structure):
    """SHA256_CTX of <openssl/sha.h>: the same 112 bytes in OpenSSL 1.1 and 3."""

    _fields_ = (
        ("words", ctypes.c_uint32 * 8),
        ("low", ctypes.c_uint32),  # length in bits, lower half
        ("high", ctypes.c_uint32),
        ("data", ctypes.c_uint8 * _BLOCK),
        ("pending", ctypes.c_uint32),  # how much of `data` waits for the rest of its block
        ("digest_size", ctypes.c_uint32),
    )
    words: "ctypes.Array[ctypes.c_uint32]"
    low: int
    high: int
    data: "ctypes.Array[ctypes.c_uint8]"
    pending: int
    digest_size: int


class OpenSslSha256:
    """By libcrypto; `library` must have passed `usable`."""

    __slots__ = ("_context", "_library")

    def __init__(self, library: ctypes.CDLL, state: bytes = b"") -> None:
        self._library = library
        self._context = _Context()
        library.SHA256_Init(ctypes.byref(self._context))
        if state:
            self._load(state)

    def _load(self, state: bytes) -> None:
        *words, length = _STATE.unpack_from(state)
        pending = state[STATE_SIZE:]
        self._context.words[:] = words
        self._context.low = length * 8 & 0xFFFFFFFF
        self._context.high = length * 8 >> 32
        self._context.data[: len(pending)] = list(pending)
        self._context.pending = len(pending)

    def update(self, data: bytes) -> None:
        """Add bytes."""
        self._library.SHA256_Update(ctypes.byref(self._context), data, ctypes.c_size_t(len(data)))

    def digest(self) -> bytes:
        """The hash of all bytes so far; more may follow."""
        last = _Context.from_buffer_copy(self._context)  # Final writes into the context
        result = ctypes.create_string_buffer(32)
        self._library.SHA256_Final(result, ctypes.byref(last))
        return result.raw

    def state(self) -> bytes:
        """At most 103 bytes from which a new one goes on."""
        context = self._context
        length = ((context.high << 32) | context.low) // 8
        return _STATE.pack(*context.words, length) + bytes(context.data[: context.pending])


def _fraction_of_root(number: int, cube: bool) -> int:  # noqa: FBT001 - two roots, one helper of this module
    """The first 32 bits of the fractional part of a square or cube root, by integers alone."""
    if not cube:
        return isqrt(number << 64) & 0xFFFFFFFF
    low, high = 0, 1 << 40
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if middle**3 <= number << 96 else (low, middle - 1)
    return low & 0xFFFFFFFF


_PRIMES = [n for n in range(2, 312) if all(n % divisor for divisor in range(2, n))]
_ROUNDS = [_fraction_of_root(prime, True) for prime in _PRIMES[:64]]
_START = [_fraction_of_root(prime, False) for prime in _PRIMES[:8]]


def _turn(word: int, by: int) -> int:
    return (word >> by | word << (32 - by)) & 0xFFFFFFFF


def _compress(words: list[int], block: bytes) -> list[int]:
    """FIPS 180-4 section 6.2.2."""
    schedule = list(struct.unpack(">16I", block))
    for i in range(16, 64):
        early, late = schedule[i - 15], schedule[i - 2]
        small0 = _turn(early, 7) ^ _turn(early, 18) ^ early >> 3
        small1 = _turn(late, 17) ^ _turn(late, 19) ^ late >> 10
        schedule.append((schedule[i - 16] + small0 + schedule[i - 7] + small1) & 0xFFFFFFFF)
    a, b, c, d, e, f, g, h = words
    for constant, word in zip(_ROUNDS, schedule, strict=True):
        big1 = _turn(e, 6) ^ _turn(e, 11) ^ _turn(e, 25)
        first = h + big1 + ((e & f) ^ (~e & g)) + constant + word
        big0 = _turn(a, 2) ^ _turn(a, 13) ^ _turn(a, 22)
        second = big0 + ((a & b) ^ (a & c) ^ (b & c))
        a, b, c, d, e, f, g, h = (first + second) & 0xFFFFFFFF, a, b, c, (d + first) & 0xFFFFFFFF, e, f, g
    return [(old + new) & 0xFFFFFFFF for old, new in zip(words, (a, b, c, d, e, f, g, h), strict=True)]


class PythonSha256:
    """Without libcrypto: some thousand times slower, and used only where bodies are longer than what is kept of them."""

    __slots__ = ("_length", "_pending", "_words")

    def __init__(self, state: bytes = b"") -> None:
        self._words, self._length = list(_START), 0
        if state:
            *self._words, self._length = _STATE.unpack_from(state)
        self._pending = state[STATE_SIZE:]

    def update(self, data: bytes) -> None:
        """Add bytes."""
        self._length += len(data)
        data = self._pending + data
        whole = len(data) // _BLOCK * _BLOCK
        for start in range(0, whole, _BLOCK):
            self._words = _compress(self._words, data[start : start + _BLOCK])
        self._pending = data[whole:]

    def digest(self) -> bytes:
        """The hash of all bytes so far; more may follow."""
        zeros = -(len(self._pending) + 9) % _BLOCK
        tail = self._pending + b"\x80" + bytes(zeros) + struct.pack(">Q", self._length * 8)
        words = self._words
        for start in range(0, len(tail), _BLOCK):
            words = _compress(words, tail[start : start + _BLOCK])
        return struct.pack(">8I", *words)

    def state(self) -> bytes:
        """At most 103 bytes from which a new one goes on."""
        return _STATE.pack(*self._words, self._length) + self._pending


def usable(library: ctypes.CDLL) -> bool:
    """Whether a loaded libcrypto has the low-level calls, and they do what they should, also when resumed."""
    try:
        begun = OpenSslSha256(library)
        begun.update(bytes(range(100)))
        resumed = OpenSslSha256(library, begun.state())
        resumed.update(b"resumed")
        return resumed.digest() == digest(bytes(range(100)) + b"resumed")
    except AttributeError:  # an OpenSSL built with no-deprecated
        return False


def load_library() -> ctypes.CDLL | None:
    """A libcrypto that can be used: that of Python's own hashlib, else the system's."""
    for name in (_of_hashlib(), ctypes.util.find_library("crypto"), "libcrypto.so.3", "libcrypto.so.1.1"):
        if name is None:
            continue
        try:
            library = ctypes.CDLL(name)
        except OSError:
            continue
        if usable(library):
            return library
    return None


def _of_hashlib() -> str | None:
    """The module behind hashlib: looking a symbol up in it also searches the libcrypto that it is linked with."""
    try:
        import _hashlib  # noqa: PLC0415 - CPython's private module; a Python without OpenSSL has none
    except ImportError:
        return None
    return getattr(_hashlib, "__file__", None)


Implementation: TypeAlias = OpenSslSha256 | PythonSha256

_LIBRARY: Final = load_library()


def start() -> Implementation:
    """A new hash, by the fastest means there is."""
    return PythonSha256() if _LIBRARY is None else OpenSslSha256(_LIBRARY)


def restore(state: bytes) -> Implementation:
    """Go on from what `state` gave, whichever implementation gave it."""
    return PythonSha256(state) if _LIBRARY is None else OpenSslSha256(_LIBRARY, state)
