import random

import pytest
from hpack import Encoder
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetcap_streams.protocols.http2.hpack import INVALID, LIST_CUT, TABLE_TOO_LARGE, UNKNOWN, Decoder, HeaderBlock
from tests.streams.protocols.http2.vectors import cases

Headers = tuple[tuple[str, str], ...]
Story = list[tuple[bytes, Headers]]


def decoder(*, joined: bool = False, cap: int = 64 * 1024, fields: int = 1000, size: int = 256 * 1024) -> Decoder:
    return Decoder(cap, fields, size, joined=joined)


def story(content: dict) -> Story:  # type: ignore[type-arg]
    return [
        (bytes.fromhex(case["wire"]), tuple((name, value) for field in case["headers"] for name, value in field.items()))
        for case in content["cases"]
    ]


def assert_never_wrong(block: HeaderBlock, truth: Headers) -> None:
    """Everything that is not marked unknown is what was sent."""
    assert INVALID not in block.notes
    assert len(block.fields) == len(truth)
    for (name, value), (sent_name, sent_value) in zip(block.fields, truth, strict=True):
        assert name in (UNKNOWN, sent_name)
        assert value == sent_value or (value == UNKNOWN and name == UNKNOWN)
    assert block.unknown == sum(name == UNKNOWN for name, _ in block.fields)


STORIES = [(name, story(content)) for name, content in cases("hpack-test-case", "*/*.json")]


@pytest.mark.parametrize("blocks", [blocks for _, blocks in STORIES], ids=[name for name, _ in STORIES])
class TestOthersEncoders:
    def test_all_blocks(self, blocks: Story):
        reading = decoder()
        reading.allow(1 << 16)
        assert [(block.fields, block.unknown, block.notes) for block in (reading.decode(wire) for wire, _ in blocks)] == [
            (headers, 0, ()) for _, headers in blocks
        ]

    def test_joined_at_every_block(self, blocks: Story):
        for start in range(len(blocks)):
            reading = decoder(joined=True)
            for wire, headers in blocks[start:]:
                assert_never_wrong(reading.decode(wire), headers)

    def test_a_block_is_lost_anywhere(self, blocks: Story):
        for lost in range(len(blocks)):
            reading = decoder()
            for count, (wire, headers) in enumerate(blocks):
                if count == lost:
                    reading.lose()
                else:
                    assert_never_wrong(reading.decode(wire), headers)

    def test_snapshot_before_every_block(self, blocks: Story):
        reading = decoder(joined=True)
        for wire, _ in blocks:
            restored = decoder()
            restored.restore(reading.state())
            expected = reading.decode(wire)
            got = restored.decode(wire)
            assert (got.fields, got.unknown, got.notes) == (expected.fields, expected.unknown, expected.notes)
            assert restored.state() == reading.state()

    def test_a_small_cap_forgets_but_never_errs(self, blocks: Story):
        reading = decoder(cap=200)
        for wire, headers in blocks:
            assert_never_wrong(reading.decode(wire), headers)
            assert sum(reading.state().sizes) <= 200


NAMES = st.sampled_from(["a", "x-b", "cookie", ":path", "x-long-name-of-a-field"])
VALUES = st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF, blacklist_categories=["Cs"]), max_size=60)
STEPS = st.lists(
    st.one_of(st.lists(st.tuples(NAMES, VALUES), min_size=1, max_size=6), st.sampled_from([0, 40, 200, 4096, 10_000])),
    min_size=1,
    max_size=25,
)


@settings(max_examples=150, deadline=None)
@given(steps=STEPS, join=st.integers(0, 24), lose=st.integers(0, 24), huffman=st.booleans())
def test_any_conversation_joined_and_lost_anywhere(
    *, steps: list[list[tuple[str, str]] | int], join: int, lose: int, huffman: bool
):
    encoder = Encoder()
    reading = decoder(joined=join > 0)
    reading.allow(1 << 16)
    for count, step in enumerate(steps):
        if isinstance(step, int):
            if step != encoder.header_table_size:  # set to the same size again, it forgets to announce it
                encoder.header_table_size = step
            continue
        wire = encoder.encode(step, huffman=huffman)
        if count < join:
            continue
        if count == lose:
            reading.lose()
            continue
        assert_never_wrong(reading.decode(wire), tuple(step))


@settings(max_examples=300, deadline=None)
@given(blocks=st.lists(st.binary(max_size=60), max_size=5), joined=st.booleans())
def test_any_bytes_give_a_block(*, blocks: list[bytes], joined: bool):
    reading = decoder(joined=joined)
    for wire in blocks:
        reading.decode(wire)
        assert sum(reading.state().sizes) <= 64 * 1024


def test_indices_count_back_within_the_inserts_seen():
    encoder = Encoder()
    first = encoder.encode([("x-old", "1")])
    reading = decoder(joined=True)
    assert first
    assert encoder.encode([("x-new", "2")])
    # x-new was not seen either: a tap that joins now sees x-newest at 62, and has to leave 63 and 64 unknown.
    assert reading.decode(encoder.encode([("x-newest", "3")])).fields == (("x-newest", "3"),)
    block = reading.decode(encoder.encode([("x-newest", "3"), ("x-new", "2"), ("x-old", "1")]))
    assert block.fields == (("x-newest", "3"), (UNKNOWN, UNKNOWN), (UNKNOWN, UNKNOWN))
    assert block.unknown == 2


def test_a_known_name_is_given_where_only_the_value_is_new():
    reading = decoder(joined=True)
    assert reading.decode(b"\x7e\x01a").fields == ((UNKNOWN, "a"),)  # 62: older than all that was seen
    assert reading.decode(b"\xbe").fields == ((UNKNOWN, "a"),)  # and inserted it is known as far as it is known
    assert reading.decode(b"\xbe").unknown == 1


def test_a_table_that_was_emptied_is_known():
    reading = decoder(joined=True)
    assert reading.older
    reading.decode(b"\x20")
    assert not reading.older
    assert reading.decode(b"\xbe").notes == (INVALID,)


def test_eviction_by_a_known_size_leaves_nothing_older():
    reading = decoder(joined=True)
    reading.decode(b"\x3f\x21")  # 64 bytes
    assert reading.older
    for letter in b"ab":
        reading.decode(b"\x40\x01" + bytes((letter,)) + b"\x01v")
    assert (reading.known, reading.older) == (1, False)


@pytest.mark.parametrize(
    ("wire", "notes"),
    [
        (b"\x80", (INVALID,)),  # index 0
        (b"\xbe", (INVALID,)),  # nothing was inserted
        (b"\x82\x20", (INVALID,)),  # a size update behind a field
        (b"\x00\x05ab", (INVALID,)),  # a string that is cut off
        (b"\x00", (INVALID,)),
        (b"\xff\xff\xff\xff\xff\xff", (INVALID,)),  # an integer without an end
        (b"\x00\x81\xff\x01a", (INVALID,)),  # Huffman padding only
        (b"\x3f\xe2\x1f", (TABLE_TOO_LARGE,)),  # 4097
        (b"\x3f\xe1\x1f", ()),  # 4096
        (b"", ()),
    ],
)
def test_what_is_wrong_with_a_block(wire: bytes, notes: tuple[str, ...]):
    assert decoder().decode(wire).notes == notes


def test_an_invalid_block_loses_the_table():
    reading = decoder()
    reading.decode(b"\x40\x01a\x01b")
    assert reading.decode(b"\x82\x80").fields == ((":method", "GET"),)
    assert (reading.known, reading.older) == (0, True)


def test_an_entry_larger_than_the_table_empties_it():
    reading = decoder()
    reading.decode(b"\x40\x01a\x01b")
    reading.decode(b"\x40\x01a\x7f\xa1\x1f" + b"v" * 4128)
    assert (reading.known, reading.older) == (0, False)


def test_sizes_are_those_of_the_bytes():
    reading = decoder()
    reading.decode(b"\x40\x01a\x02\xc3\xa9" + b"\x40\x01b\x01\xe9")
    state = reading.state()
    assert state.entries == [("b", "é"), ("a", "é")]
    assert state.sizes == [34, 35]


class TestBombs:
    def test_many_references_to_a_large_entry(self):
        reading = decoder()
        reading.decode(b"\x40\x01a\x7f\xa1\x1e" + b"v" * 4000)
        block = reading.decode(b"\xbe" * 100_000)
        assert block.notes == (LIST_CUT,)
        assert sum(len(name) + len(value) + 32 for name, value in block.fields) <= 256 * 1024
        assert reading.decode(b"\xbe").fields == (("a", "v" * 4000),)

    def test_many_fields(self):
        block = decoder().decode(b"\x82" * 5000)
        assert (len(block.fields), block.notes) == (1000, (LIST_CUT,))

    def test_many_size_updates(self):
        assert decoder().decode(b"\x3f\xe2\x1f" * 10_000).notes == (TABLE_TOO_LARGE,)

    def test_a_huge_table_is_kept_up_to_the_cap(self):
        reading = decoder()
        reading.allow(1 << 24)
        reading.decode(b"\x3f" + b"\xe1\xff\xff\x07")
        rng = random.Random(1)
        for _ in range(300):
            reading.decode(b"\x40\x04" + rng.randbytes(4).hex()[:4].encode() + b"\x7f\xe9\x07" + b"v" * 1128)
        assert sum(reading.state().sizes) <= 64 * 1024
        assert reading.older
        assert reading.decode(b"\xff\xff\x01").fields == ((UNKNOWN, UNKNOWN),)
