import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetcap_streams.protocols.http2.reader import PREFACE, FrameReader
from tests.streams.protocols.http2.conversation import CLIENT, SERVER, random_conversation
from tests.streams.protocols.http2.listener import Listener

KEEP = 256 * 1024


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3) + bytes((kind, flags)) + stream.to_bytes(4) + payload


SETTINGS = frame(4, 0, 0)
PING = frame(6, 0, 0, b"12345678")
GET = frame(1, 5, 3, b"\x82\x86\x84")
OPENING = PREFACE + SETTINGS + PING


def read(data: bytes, size: int = 1 << 20) -> Listener:
    listener = Listener()
    reader = FrameReader(listener, KEEP)
    for count, start in enumerate(range(0, len(data), size)):
        reader.feed(data[start : start + size], count)
    return listener


def heard(listener: Listener) -> tuple[object, ...]:
    return (listener.frames, dict(listener.bodies), listener.ended, listener.holes, listener.invalid, listener.skipped)


@pytest.mark.parametrize("size", [1, 2, 7, 9, 10, 64])
def test_chunks_change_nothing(size: int):
    for seed in range(3):
        talk = random_conversation(seed)
        for direction in (CLIENT, SERVER):
            data = b"".join(chunk for side, chunk in talk.sent if side == direction)
            assert heard(read(data, size)) == heard(read(data))


def test_the_preface_tells_the_client():
    assert read(OPENING, 5).client is True
    assert read(SETTINGS + PING, 5).client is False
    assert read(GET + PING + PING).client is None


def test_times_are_those_of_the_first_and_the_last_byte():
    listener = Listener()
    reader = FrameReader(listener, KEEP)
    reader.feed(OPENING, 1)
    listener.times.clear()
    for time_ns, piece in enumerate((GET[:3], GET[3:10], GET[10:] + PING[:1], PING[1:]), 100):
        reader.feed(piece, time_ns)
    assert listener.times == [(100, 102), (102, 103)]


def test_unknown_types_are_passed_over():
    listener = read(OPENING + frame(0xB, 7, 9, bytes(300)) + GET, 11)
    assert [kind for kind, *_ in listener.frames] == [4, 6, 1]
    assert not listener.invalid


def test_a_data_frame_is_handed_on_as_it_comes():
    listener = Listener()
    reader = FrameReader(listener, KEEP)
    reader.feed(OPENING + frame(0, 1, 3, b"0123456789")[:14], 1)
    assert listener.bodies[3] == b"01234"
    assert not listener.ended
    reader.feed(b"56789", 2)
    assert (listener.bodies[3], listener.ended) == (b"0123456789", [3])


def test_a_frame_that_is_too_large_to_keep_is_told_and_passed_over():
    listener = Listener()
    reader = FrameReader(listener, 1000)
    reader.feed(OPENING + frame(1, 4, 3, bytes(1001)) + PING, 1)
    assert listener.lost_frames == [(1, 3)]
    assert listener.frames[-1][0] == 6


@pytest.mark.parametrize("hole", range(1, 30))
def test_a_hole_inside_a_data_frame_costs_only_itself(hole: int):
    wire = frame(0, 9, 3, b"\x05" + b"d" * 30 + bytes(5))  # padded: 1, 30, 5
    for start in range(9, len(wire) - hole + 1):
        listener = Listener()
        reader = FrameReader(listener, KEEP)
        reader.feed(OPENING + wire[:start], 1)
        reader.gap(hole, 2)
        reader.feed(wire[start + hole :] + PING, 3)
        missing = sum(count for _, count in listener.holes)
        if start > 9:
            assert len(listener.bodies[3]) + missing == 30
        assert listener.ended == [3]
        assert listener.frames[-1] == (6, 0, 0, b"12345678")
        assert not listener.losses


def test_a_hole_inside_a_header_block_costs_that_frame():
    listener = Listener()
    reader = FrameReader(listener, KEEP)
    reader.feed(OPENING + GET[:-2], 1)
    reader.gap(1, 2)
    reader.feed(GET[-1:] + PING, 3)
    assert listener.lost_frames == [(1, 3)]
    assert (listener.frames[-1][0], listener.losses) == (6, [])


@pytest.mark.parametrize("missing", [0, 1, 8, 9, 10, 5000])
def test_after_a_hole_over_a_frames_end_frames_are_found_again(missing: int):
    listener = Listener()
    reader = FrameReader(listener, KEEP)
    reader.feed(OPENING + PING[:4], 1)
    reader.gap(missing, 2)
    reader.feed(b"the middle of something" + PING + GET, 3)
    assert (listener.losses, listener.found_again) == ([missing], 1)
    assert listener.skipped == PING[:4] + b"the middle of something"
    assert [kind for kind, *_ in listener.frames[-2:]] == [6, 1]


def test_nothing_is_believed_only_because_it_is_in_a_body():
    rng = random.Random(3)
    for _ in range(50):
        listener = read(rng.randbytes(20_000))
        assert listener.found_again == 0


def test_padding_before_a_header_is_not_taken_for_frames():
    data = bytes(200) + frame(0, 8, 3, b"\x07" + b"x" * 2000 + bytes(7)) + frame(0, 8, 3, b"\x00" + b"y") + PING
    listener = Listener()
    reader = FrameReader(listener, KEEP)
    reader.gap(0, 0)
    reader.feed(data, 1)
    assert dict(listener.bodies) in ({3: b"x" * 2000 + b"y"}, {})
    assert listener.frames[-1] == (6, 0, 0, b"12345678")


def test_a_single_frame_is_believed_when_nothing_follows():
    listener = Listener()
    reader = FrameReader(listener, KEEP)
    reader.gap(0, 0)
    reader.feed(frame(0, 1, 3, b"hello"), 1)
    assert not listener.bodies
    reader.rest()
    assert (listener.bodies[3], listener.ended) == (b"hello", [3])


def test_what_is_left_over_at_the_end_is_skipped_not_lost():
    listener = Listener()
    reader = FrameReader(listener, KEEP)
    reader.feed(OPENING + GET[:-1], 1)
    reader.finish()
    assert GET[9:-1] == listener.skipped


@settings(max_examples=100, deadline=None)
@given(st.lists(st.one_of(st.binary(max_size=60), st.integers(0, 40), st.sampled_from([PING, GET, OPENING, SETTINGS]))))
def test_anything_goes_in_and_every_byte_of_a_search_comes_out(steps: list[bytes | int]):
    listener = Listener()
    reader = FrameReader(listener, KEEP)
    for count, step in enumerate(steps):
        if isinstance(step, int):
            reader.gap(step, count)
        else:
            reader.feed(step, count)
        other = FrameReader(listener, KEEP)
        other.restore(reader.state())
        assert other.state() == reader.state()
    reader.finish()
