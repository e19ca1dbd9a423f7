import hashlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetcap_streams.protocols import sha256
from fleetcap_streams.protocols.sha256 import Implementation, OpenSslSha256, PythonSha256

LIBRARY = sha256.load_library()
Maker = Callable[[bytes], Implementation]


def openssl(state: bytes = b"") -> Implementation:
    if LIBRARY is None:
        pytest.skip("no libcrypto with the low-level calls on this machine")
    return OpenSslSha256(LIBRARY, state)


MAKERS = pytest.mark.parametrize("make", [openssl, PythonSha256])


@MAKERS
@pytest.mark.parametrize("size", [0, 1, 55, 56, 57, 63, 64, 65, 119, 120, 128, 1000])
def test_it_agrees_with_hashlib(make: Maker, size: int):
    data = bytes(range(256)) * 4
    hasher = make(b"")
    hasher.update(data[:size])
    assert hasher.digest() == hashlib.sha256(data[:size]).digest()


@given(st.lists(st.binary(max_size=200), max_size=8))
@MAKERS
def test_a_digest_in_between_changes_nothing(make: Maker, parts: list[bytes]):
    hasher = make(b"")
    for part in parts:
        hasher.update(part)
        hasher.digest()
    assert hasher.digest() == hashlib.sha256(b"".join(parts)).digest()


@given(st.binary(max_size=300), st.binary(max_size=300), st.booleans())
def test_either_implementation_goes_on_from_the_other_ones_state(first: bytes, second: bytes, order: bool):  # noqa: FBT001
    makers: list[Maker] = [openssl, PythonSha256]
    begin, resume = makers if order else reversed(makers)
    begun = begin(b"")
    begun.update(first)
    state = begun.state()
    assert len(state) < sha256.STATE_SIZE + 64
    resumed = resume(state)
    resumed.update(second)
    assert resumed.digest() == hashlib.sha256(first + second).digest()


def test_lengths_beyond_32_bits_of_bits_survive_a_restore():
    block = bytes(1 << 20)
    expected = hashlib.sha256()
    hasher = openssl()
    for _ in range(513):  # 513 MiB are more than 2**32 bits
        hasher.update(block)
        expected.update(block)
    resumed = openssl(hasher.state())
    resumed.update(b"end")
    expected.update(b"end")
    assert resumed.digest() == expected.digest()


def test_the_module_level_calls_agree():
    hasher = sha256.start()
    hasher.update(b"abc")
    resumed = sha256.restore(hasher.state())
    assert resumed.digest() == sha256.digest(b"abc") == hashlib.sha256(b"abc").digest()
    assert hashlib.sha256(b"").digest() == sha256.EMPTY
