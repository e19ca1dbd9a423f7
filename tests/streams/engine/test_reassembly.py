"""One direction's events in any order become its bytes in order, each once, with every hole named."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from fleetcap_streams.engine.reassembly import WINDOW_EVENTS, WINDOW_NS, Piece, Stream
from fleetcap_streams.protocols.contract import Gap


def piece(position: int, payload: bytes, *, length: int | None = None, time_ns: int = 0) -> Piece:
    return Piece(position, len(payload) if length is None else length, payload, time_ns)


def chunks(stream: Stream, *pieces: Piece) -> list[bytes | Gap]:
    return [chunk for each in pieces for chunk, _ in stream.accept(each)]


def test_in_order_goes_straight_through():
    stream = Stream()
    assert chunks(stream, piece(0, b"abc"), piece(3, b"de")) == [b"abc", b"de"]
    assert stream.totals.bytes == 5


def test_disorder_is_waited_out():
    stream = Stream()
    assert chunks(stream, piece(3, b"de")) == []
    assert chunks(stream, piece(0, b"abc")) == [b"abc", b"de"]
    assert stream.totals.gaps == 0


def test_duplicates_are_dropped_and_counted():
    stream = Stream()
    assert chunks(stream, piece(0, b"abc"), piece(0, b"abc"), piece(1, b"bcde")) == [b"abc", b"de"]
    assert stream.totals.duplicate_bytes == 5


def test_a_call_captured_in_part_leaves_a_gap_of_the_rest():
    stream = Stream()
    assert chunks(stream, piece(0, b"abc", length=10), piece(10, b"k")) == [b"abc", Gap(7), b"k"]
    assert (stream.totals.bytes, stream.totals.missing_bytes, stream.totals.gaps) == (4, 7, 1)


def test_nothing_captured_of_a_call_is_a_gap_too():
    assert chunks(Stream(), piece(0, b"", length=10), piece(10, b"k")) == [Gap(10), b"k"]


def test_a_hole_is_given_up_when_the_window_is_full():
    stream = Stream()
    late = [piece(5 + index, b"x") for index in range(WINDOW_EVENTS + 1)]
    out = chunks(stream, *late)
    assert out[0] == Gap(5)
    assert out[1:] == [b"x"] * (WINDOW_EVENTS + 1)


def test_a_hole_is_given_up_after_a_second_of_event_time():
    stream = Stream()
    assert chunks(stream, piece(5, b"x", time_ns=1)) == []
    assert chunks(stream, piece(6, b"y", time_ns=WINDOW_NS + 2)) == [Gap(5), b"x", b"y"]


def test_what_waits_is_flushed_and_a_loss_at_the_very_end_is_known():
    stream = Stream()
    chunks(stream, piece(0, b"ab"), piece(4, b"ef"))
    assert [chunk for chunk, _ in stream.finish(9, 0)] == [Gap(2), b"ef", Gap(3)]
    assert stream.totals.missing_bytes == 5


@given(st.binary(min_size=1, max_size=200), st.data())
def test_any_cut_any_order_within_the_window_and_any_repeats_give_the_same_bytes(content: bytes, data: st.DataObject):
    cuts = sorted({0, len(content), *data.draw(st.lists(st.integers(0, len(content)), max_size=20))})
    pieces = [piece(start, content[start:end]) for start, end in itertools.pairwise(cuts)]
    pieces += data.draw(st.lists(st.sampled_from(pieces), max_size=5))
    stream = Stream()
    out = chunks(stream, *data.draw(st.permutations(pieces)))
    assert b"".join(chunk for chunk in out if isinstance(chunk, bytes)) == content
    assert not any(isinstance(chunk, Gap) for chunk in out)


@given(st.lists(st.tuples(st.integers(0, 300), st.binary(max_size=40), st.integers(0, 40)), max_size=120))
def test_whatever_comes_every_position_is_delivered_or_missing_exactly_once(events: list[tuple[int, bytes, int]]):
    stream = Stream()
    out = chunks(stream, *(piece(position, payload, length=len(payload) + more) for position, payload, more in events))
    out += [chunk for chunk, _ in stream.flush()]
    delivered = sum(len(chunk) for chunk in out if isinstance(chunk, bytes))
    missing = sum(chunk.missing for chunk in out if isinstance(chunk, Gap))
    assert delivered + missing == stream.next
    assert (delivered, missing) == (stream.totals.bytes, stream.totals.missing_bytes)
    assert stream.waiting == []
    assert stream.waiting_bytes == 0
