import pytest
from hpack.huffman import HuffmanEncoder
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH
from hypothesis import given
from hypothesis import strategies as st

from fleetcap_streams.protocols.http2.huffman import HuffmanError, decode

ENCODER = HuffmanEncoder(REQUEST_CODES, REQUEST_CODES_LENGTH)


@given(st.binary(max_size=400))
def test_what_another_encoder_writes_is_read(data: bytes):
    assert decode(ENCODER.encode(data)) == data


@pytest.mark.parametrize("symbol", range(256))
def test_every_symbol_at_every_bit(symbol: int):
    for before in range(8):
        text = b"0" * before + bytes((symbol,)) + b"z"
        assert decode(ENCODER.encode(text)) == text


@pytest.mark.parametrize(
    "data",
    [
        b"\x00\xff\xff",  # two symbols, then more than seven bits of padding
        b"\x1e",  # padding with a 0 in it
        b"\xff\xff\xff\xff",  # EOS
        b"\xff\xff\xff\xfc",
        b"\xff",  # nothing but padding, too much of it
    ],
)
def test_what_is_no_string_is_refused(data: bytes):
    with pytest.raises(HuffmanError):
        decode(data)


@given(st.binary(max_size=64))
def test_any_bytes_give_a_string_or_the_one_error(data: bytes):
    try:
        text = decode(data)
    except HuffmanError:
        return
    assert ENCODER.encode(text) == data
