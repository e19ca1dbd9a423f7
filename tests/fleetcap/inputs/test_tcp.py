"""TCP connections as they are captured: put in order, with holes where bytes are missing, and each connection by itself."""

import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetcap.inputs import flows, tcp
from fleetcap.inputs.frame import Frame
from fleetcap_proto.v1 import common_pb2
from tests.fleetcap.inputs.build import ACK, CLIENT, ETHERNET, FIN, RST, SERVER, START_NS, SYN, Talk, ip4, on_link
from tests.fleetcap.inputs.told import of_frames

SEGMENTS = st.tuples(st.booleans(), st.integers(0, 80), st.integers(0, 63), st.binary(max_size=30), st.integers(0, 80))


def test_a_connection_is_shown_as_its_client_saw_it():
    talk = Talk().opened().asks(b"GET / HTTP/1.0\r\n\r\n").answers(b"HTTP/1.0 200 OK\r\n\r\nhi").closed()
    (found,) = of_frames(talk.frames)
    assert (found.sent, found.received) == (b"GET / HTTP/1.0\r\n\r\n", b"HTTP/1.0 200 OK\r\n\r\nhi")
    assert found.closed
    connection = found.connection
    assert (connection.local.ip, connection.local.port) == ("192.0.2.1", 40000)
    assert (connection.remote.ip, connection.remote.port) == ("198.51.100.2", 80)
    assert (connection.role, connection.source) == (common_pb2.ROLE_CLIENT, common_pb2.SOURCE_PACKETS)
    assert not connection.joined
    assert connection.sock


def test_bytes_have_the_time_at_which_they_were_captured():
    (found,) = of_frames(Talk().opened().asks(b"a").answers(b"b").frames)
    assert [event.timestamp_ns - START_NS for event in found.events] == [1_000_000, 3_000_000, 4_000_000]


@pytest.mark.parametrize("start", [0, 1, 0x7FFFFFFF, 0xFFFFFFF0, 0xFFFFFFFE, 0xFFFFFFFF])
def test_sequence_numbers_wrap_around(start: int):
    talk = Talk(client_next=start).opened().asks(b"0123456789").asks(b"abcdefghij").answers(b"x").asks(b"KLM").closed()
    (found,) = of_frames(talk.frames)
    assert (found.sent, found.received, found.closed) == (b"0123456789abcdefghijKLM", b"x", True)


def test_what_was_sent_again_counts_once():
    talk = Talk().opened()
    base = talk.client_next
    talk.asks(b"abcdef").segment(CLIENT, base, ACK, b"abcdef").segment(CLIENT, base + 3, ACK, b"defghi")
    talk.segment(CLIENT, base - 1, ACK, b"!")  # a keep-alive probe
    assert of_frames(talk.frames)[0].sent == b"abcdefghi"


def test_of_two_versions_of_a_byte_the_first_stays():
    talk = Talk().opened()
    base = talk.client_next
    talk.segment(CLIENT, base + 2, ACK, b"CD").segment(CLIENT, base, ACK, b"abcdef")
    assert of_frames(talk.frames)[0].sent == b"abcdef"  # what waits behind a hole has not been read by anybody
    talk = Talk().opened().segment(CLIENT, base, ACK, b"abcd").segment(CLIENT, base, ACK, b"ABCDEF")
    assert of_frames(talk.frames)[0].sent == b"abcdEF"


def test_a_hole_that_is_filled_late_is_none():
    talk = Talk().opened()
    base = talk.client_next
    for number in range(1, 400):
        talk.segment(CLIENT, base + 1000 * number, ACK, b"%04d" % number * 250)
    talk.segment(CLIENT, base, ACK, b"0000" * 250)
    assert of_frames(talk.frames)[0].sent == b"".join(b"%04d" % number * 250 for number in range(400))


def test_a_hole_that_was_answered_is_told_before_the_answer():
    talk = Talk().opened()
    base = talk.client_next
    talk.asks(b"abc")
    talk.client_next += 4  # not captured
    talk.asks(b"xyz").answers(b"ok").asks(b"more")
    (found,) = of_frames(talk.frames)
    assert (found.sent, found.received) == (b"abc????xyzmore", b"ok")
    directions = [event.direction for event in found.events if event.payload or event.length]
    assert directions == [1, 1, 1, 0, 1]
    assert base


def test_a_hole_that_nobody_acknowledged_is_told_at_the_end():
    talk = Talk().opened().asks(b"abc")
    talk.segment(CLIENT, talk.client_next + 2, ACK, b"xyz")
    assert of_frames(talk.frames)[0].sent == b"abc??xyz"


def test_too_much_behind_a_hole_is_given_up(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tcp, "MOST_WAITING_BYTES", 5000)
    talk = Talk().opened()
    base = talk.client_next
    for number in range(1, 7):
        talk.segment(CLIENT, base + 1000 * number, ACK, b"x" * 1000)
    talk.segment(CLIENT, base, ACK, b"o" * 1000)
    assert of_frames(talk.frames)[0].sent == b"?" * 1000 + b"x" * 6000


def test_connections_together_are_bounded_too(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(flows, "_MOST_WAITING_BYTES", 5000)
    frames: list[Frame] = []
    for port in range(4):
        talk = Talk(client=("192.0.2.1", 40000 + port)).opened()
        talk.segment(CLIENT, talk.client_next + 10, ACK, b"x" * 2000)
        frames += talk.frames
    table = flows.Flows("node")
    assert table._waiting <= 5000
    assert [found.sent for found in of_frames(frames)] == [b"?" * 10 + b"x" * 2000] * 4


def test_the_longest_quiet_connection_makes_room(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(flows, "MOST_FLOWS", 2)
    first, second, third = (Talk(client=("192.0.2.1", 40000 + number)).opened() for number in range(3))
    frames = first.frames + second.frames + first.asks(b"a").frames[-1:] + third.frames + first.asks(b"b").frames[-1:]
    assert [found.sent for found in of_frames(frames)] == [b"ab", b"", b""]


def test_one_joined_in_the_middle_begins_with_what_is_seen():
    talk = Talk().asks(b"GET / HTTP/1.1\r\n\r\n").answers(b"HTTP/1.1 204 No Content\r\n\r\n")
    (found,) = of_frames(talk.frames)
    assert found.connection.joined
    assert found.connection.role == common_pb2.ROLE_CLIENT
    assert (found.sent, found.received) == (b"GET / HTTP/1.1\r\n\r\n", b"HTTP/1.1 204 No Content\r\n\r\n")
    assert not found.closed


def test_of_one_joined_in_the_middle_ports_tell_the_client():
    talk = Talk().answers(b"from the server").asks(b"from the client")
    assert of_frames(talk.frames)[0].connection.local.port == 40000
    between = Talk(client=("192.0.2.1", 50001), server=("192.0.2.2", 50002)).answers(b"x")
    found = of_frames(between.frames)[0]
    assert (found.connection.local.port, found.connection.role) == (50002, common_pb2.ROLE_UNSPECIFIED)


def test_an_answered_handshake_is_enough_to_know_the_beginning():
    talk = Talk().opened().asks(b"a").answers(b"b")
    (found,) = of_frames(talk.frames[1:])
    assert (found.sent, found.received, found.connection.joined) == (b"a", b"b", False)


def test_bytes_before_the_first_that_were_captured_are_missing_where_a_peer_counted_them():
    talk = Talk().opened().asks(b"lost").asks(b"seen")
    assert of_frames(talk.frames[:3] + talk.frames[4:])[0].sent == b"????seen"


def test_ports_that_are_used_again_are_another_connection():
    one = Talk().opened().asks(b"one").closed()
    two = Talk(client_next=777_777, server_next=888_888).opened().asks(b"two").closed()
    first, second = of_frames(one.frames + two.frames)
    assert (first.sent, second.sent) == (b"one", b"two")
    assert first.connection.uuid != second.connection.uuid


def test_ports_that_are_used_again_without_an_end_are_another_connection():
    one = Talk().opened().asks(b"one")
    two = Talk(client_next=777_777, server_next=888_888).opened().asks(b"two")
    first, second = of_frames(one.frames + two.frames)
    assert (first.sent, second.sent, first.closed) == (b"one", b"two", False)


def test_a_handshake_that_was_sent_again_is_the_same_connection():
    talk = Talk()
    talk.segment(CLIENT, 1000, SYN).opened().asks(b"one")
    talk.segment(CLIENT, 1000, SYN).segment(SERVER, 5000, SYN | ACK).asks(b"two")
    (found,) = of_frames(talk.frames)
    assert found.sent == b"onetwo"


def test_data_with_the_handshake_counts():
    talk = Talk()
    talk.segment(CLIENT, 1000, SYN, b"early ")
    talk.client_next = 1007
    talk.segment(SERVER, 5000, SYN | ACK)
    talk.server_next = 5001
    assert of_frames(talk.asks(b"late").frames)[0].sent == b"early late"


def test_a_reset_ends_a_connection_and_what_comes_after_belongs_to_nobody():
    talk = Talk().opened().asks(b"one").reset().asks(b"two")
    (found,) = of_frames(talk.frames)
    assert (found.sent, found.closed) == (b"one", True)


def test_a_reset_from_far_away_is_not_believed():
    talk = Talk().opened().asks(b"one").segment(SERVER, 123_456_789, RST).asks(b"two").closed()
    (found,) = of_frames(talk.frames)
    assert (found.sent, found.closed) == (b"onetwo", True)


def test_one_side_may_go_on_after_the_other_ended():
    talk = Talk().opened().asks(b"ask")
    talk.segment(CLIENT, talk.client_next, FIN | ACK)
    talk.client_next += 1
    talk.answers(b"a long").answers(b" answer")
    (found,) = of_frames(talk.frames)
    assert (found.received, found.closed) == (b"a long answer", True)
    talk.segment(SERVER, talk.server_next, FIN | ACK)
    assert of_frames(talk.frames)[0].closed


def test_an_end_says_what_is_missing_before_it():
    talk = Talk().opened().asks(b"abc")
    talk.client_next += 5
    (found,) = of_frames(talk.closed().frames)
    assert (found.sent, found.closed) == (b"abc?????", True)


def test_an_attempt_that_was_refused_is_no_connection():
    talk = Talk()
    talk.segment(CLIENT, 1000, SYN)
    talk.segment(SERVER, 0, RST | ACK)
    assert of_frames(talk.frames) == []


def test_packets_that_were_cut_leave_their_rest_missing():
    talk = Talk().opened().asks(b"0123456789" * 10).answers(b"ok").asks(b"more")
    cut = [Frame(one.time_ns, one.link, one.data[:74], one.length) for one in talk.frames]
    assert of_frames(cut)[0].sent == (b"0123456789" * 2 + b"?" * 80) + b"more"


def test_the_padding_of_short_frames_is_not_data():
    talk = Talk().opened().asks(b"a")
    padded = [Frame(one.time_ns, one.link, one.data.ljust(60, b"\xee"), max(one.length, 60)) for one in talk.frames]
    assert of_frames(padded)[0].sent == b"a"


def test_a_packet_whose_length_was_left_to_the_network_card_is_read():
    talk = Talk().opened().asks(b"a" * 100)
    frames = [_without_length(frame) for frame in talk.frames]
    assert of_frames(frames)[0].sent == b"a" * 100


def _without_length(frame: Frame) -> Frame:
    data = frame.data[:16] + b"\0\0" + frame.data[18:]
    return Frame(frame.time_ns, frame.link, data, frame.length)


def test_the_same_capture_gives_the_same_records():
    frames = Talk().opened().asks(b"a").closed().frames
    assert [found.events for found in of_frames(frames)] == [found.events for found in of_frames(frames)]


@settings(max_examples=150)
@given(
    st.binary(min_size=1, max_size=400),
    st.integers(min_value=0, max_value=0xFFFFFFFF),
    st.integers(min_value=0, max_value=1 << 30),
)
def test_however_a_stream_was_cut_repeated_and_disordered_it_is_put_together(stream: bytes, start: int, seed: int):
    rng = random.Random(seed)
    talk = Talk(client_next=start).opened()
    base = talk.client_next
    cuts = sorted({0, len(stream), *(rng.randrange(len(stream) + 1) for _ in range(12))})
    segments = list(pairwise(cuts))
    again = [part for part in segments if rng.random() < 0.5]
    segments += [(max(low - rng.randrange(20), 0), min(high + rng.randrange(20), len(stream))) for low, high in again]
    rng.shuffle(segments)
    for low, high in segments:
        talk.segment(CLIENT, base + low, ACK, stream[low:high])
    (found,) = of_frames(talk.frames)
    assert found.sent == stream


@settings(max_examples=150)
@given(st.binary(min_size=30, max_size=300), st.integers(min_value=0, max_value=1 << 30))
def test_whatever_is_lost_nothing_moves_from_its_place(stream: bytes, seed: int):
    rng = random.Random(seed)
    stream = stream.replace(b"?", b"!")
    talk = Talk(client_next=rng.getrandbits(32)).opened()
    base, expected = talk.client_next, bytearray(b"?" * len(stream))
    for low in range(0, len(stream), 10):
        if rng.random() < 0.7:
            piece = stream[low : low + 10]
            expected[low : low + len(piece)] = piece
            talk.segment(CLIENT, base + low, ACK, piece)
        if rng.random() < 0.2:
            talk.client_next = base + low + 10
            talk.answers(b"y")
    talk.client_next = base + len(stream)
    (found,) = of_frames(talk.closed().frames)
    assert found.sent == bytes(expected)


@settings(max_examples=300)
@given(st.lists(SEGMENTS, max_size=40))
def test_no_sequence_of_segments_breaks_anything(segments: list[tuple[bool, int, int, bytes, int]]):
    talk = Talk(client_next=0xFFFFFFE0, server_next=0xFFFFFFE0)
    for client, sequence, flags, payload, acknowledged in segments:
        if client:
            talk.server_next = 0xFFFFFFE0 + acknowledged
        else:
            talk.client_next = 0xFFFFFFE0 + acknowledged
        talk.segment(CLIENT if client else SERVER, 0xFFFFFFE0 + sequence, flags, payload)
    of_frames(talk.frames)


@given(st.lists(st.binary(max_size=80), max_size=20))
def test_no_bytes_in_a_frame_break_anything(packets: list[bytes]):
    frames = [Frame(START_NS, ETHERNET, on_link(ETHERNET, ip4("192.0.2.1", "192.0.2.2", packet)), 2000) for packet in packets]
    of_frames(frames + [Frame(START_NS, link, packet, 100) for packet in packets for link in (0, 1, 9, 101, 108, 113, 276)])
