"""Files of packets and the layers in them: whatever the format, the byte order, the resolution, the link and the IP version."""

import io
import struct
from collections.abc import Callable, Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetcap.inputs.errors import DamagedInputError, UnknownFormatError
from fleetcap.inputs.frame import Frame
from fleetcap.inputs.packets import PacketRecords
from fleetcap.inputs.pcap import read_pcap
from fleetcap.inputs.pcapng import read_pcapng
from tests.fleetcap.inputs.build import (
    ETHERNET,
    LOOP,
    NULL,
    RAW,
    SLL,
    SLL2,
    START_NS,
    Talk,
    ip4,
    ip6,
    on_link,
    pcap,
    pcapng,
    tcp,
)
from tests.fleetcap.inputs.told import of_frames

REQUEST, RESPONSE = b"GET / HTTP/1.0\r\n\r\n", b"HTTP/1.0 204 No Content\r\n\r\n"
Reader = Callable[[str, io.BytesIO], Iterable[Frame]]


def a_talk(
    link: int = ETHERNET, client: tuple[str, int] = ("192.0.2.1", 40000), server: tuple[str, int] = ("198.51.100.2", 80)
) -> Talk:
    return Talk(client, server, link=link, step_ns=1_234_567).opened().asks(REQUEST).answers(RESPONSE).closed()


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize(
    ("variant", "unit"), [({}, 1000), ({"nanoseconds": True}, 1), ({"extended": True}, 1000)], ids=["us", "ns", "modified"]
)
def test_pcap_of_every_kind_is_read(order: str, variant: dict[str, bool], unit: int):
    frames = a_talk().frames
    found = list(read_pcap("x", io.BytesIO(pcap(frames, order=order, **variant))))
    assert found == [frame._replace(time_ns=frame.time_ns // unit * unit) for frame in frames]


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize(("resolution", "unit"), [(6, 1000), (9, 1), (3, 1_000_000), (10, 1)])
@pytest.mark.parametrize("offset_s", [0, 1_600_000_000, -3600])
def test_pcapng_of_every_resolution_is_read(order: str, resolution: int, unit: int, offset_s: int):
    frames = [frame._replace(time_ns=frame.time_ns // unit * unit) for frame in a_talk().frames]
    made = pcapng(frames, order=order, resolution=resolution, offset_s=offset_s)
    assert list(read_pcapng("x", io.BytesIO(made))) == frames


def test_binary_resolutions_are_read():
    frames = [Frame(START_NS + 500_000_000, ETHERNET, b"abcd", 4)]
    assert list(read_pcapng("x", io.BytesIO(pcapng(frames, resolution=0x8A)))) == frames


def test_interfaces_of_a_file_have_links_of_their_own():
    talks = [a_talk(link, client=(f"192.0.2.{link % 250}", 40000)) for link in (ETHERNET, SLL, RAW)]
    frames = [frame for together in zip(*(talk.frames for talk in talks), strict=True) for frame in together]
    found = of_frames(list(read_pcapng("x", io.BytesIO(pcapng(frames)))))
    assert [one.received for one in found] == [RESPONSE] * 3


def test_sections_may_follow_each_other_in_other_byte_orders():
    one, two = a_talk(client=("192.0.2.1", 1111)), a_talk(SLL2, client=("192.0.2.2", 2222))
    file = pcapng(one.frames, order="<") + pcapng(two.frames, order=">")
    assert [found.sent for found in of_frames(list(read_pcapng("x", io.BytesIO(file))))] == [REQUEST] * 2


def test_simple_packets_and_the_older_kind_are_read():
    head = struct.pack("<IIIHHqI", 0x0A0D0D0A, 28, 0x1A2B3C4D, 1, 0, -1, 28)
    interface = struct.pack("<IIHHII", 1, 20, ETHERNET, 0, 6, 20)
    simple = struct.pack("<III", 3, 24, 10) + b"abcdef\0\0" + struct.pack("<I", 24)
    old = struct.pack("<IIHHIIII", 2, 36, 0, 0, 0, 7_000_000, 3, 9) + b"xyz\0" + struct.pack("<I", 36)
    found = list(read_pcapng("x", io.BytesIO(head + interface + simple + old)))
    assert found == [Frame(0, ETHERNET, b"abcdef", 10), Frame(7_000_000_000, ETHERNET, b"xyz", 9)]


@pytest.mark.parametrize("link", [ETHERNET, SLL, SLL2, NULL, LOOP, RAW, 12, 14])
@pytest.mark.parametrize("ends", [("192.0.2.1", "198.51.100.2"), ("2001:db8::1", "2001:db8::2")], ids=["v4", "v6"])
def test_every_link_carries_both_versions(link: int, ends: tuple[str, str]):
    (found,) = of_frames(a_talk(link, client=(ends[0], 40000), server=(ends[1], 80)).frames)
    assert (found.sent, found.received, found.closed) == (REQUEST, RESPONSE, True)
    assert (found.connection.local.ip, found.connection.remote.ip) == ends


def test_the_families_of_other_systems_loopbacks_are_read():
    frames = a_talk(NULL, client=("::1", 40000), server=("::1", 80)).frames
    for family in (b"\x0a\0\0\0", b"\x18\0\0\0", b"\0\0\0\x1c", b"\x1e\0\0\0"):
        (found,) = of_frames([frame._replace(data=family + frame.data[4:]) for frame in frames])
        assert found.received == RESPONSE


@pytest.mark.parametrize("link", [ETHERNET, SLL, SLL2])
@pytest.mark.parametrize(
    "tags", [[(0x8100, 5)], [(0x88A8, 7), (0x8100, 5)], [(0x9100, 7), (0x8100, 5)], [(0x8100, 1), (0x8100, 2), (0x8100, 3)]]
)
def test_tags_are_taken_off(link: int, tags: list[tuple[int, int]]):
    frames = [frame._replace(link=link, data=on_link(link, frame.data, tags=tags)) for frame in a_talk(RAW).frames]
    assert of_frames(frames)[0].received == RESPONSE


def test_labels_and_pppoe_are_taken_off():
    raw = a_talk(RAW).frames
    labelled = b"\0" * 12 + b"\x88\x47" + b"\0\1\0\x40" + b"\0\2\1\x40"
    session = b"\0" * 12 + b"\x88\x64" + b"\x11\0\0\1\0\x10" + b"\0\x21"
    for head in (labelled, session):
        assert of_frames([frame._replace(link=ETHERNET, data=head + frame.data) for frame in raw])[0].received == RESPONSE


def _segment(payload: bytes) -> bytes:
    return tcp(40000, 80, 1000, 0x10, payload, 5000)


def _pieces(data: bytes, size: int) -> list[tuple[int, bytes]]:
    return [(start, data[start : start + size]) for start in range(0, len(data), size)]


def _frames(packets: Iterable[bytes]) -> list[Frame]:
    return [Frame(START_NS + number, RAW, packet, len(packet)) for number, packet in enumerate(packets)]


def fragments4(payload: bytes, identity: int = 9) -> list[bytes]:
    data = _segment(payload)
    return [
        ip4("192.0.2.1", "192.0.2.2", part, id=identity, mf=int(start + len(part) < len(data)), offset=start // 8)
        for start, part in _pieces(data, 64)
    ]


def fragments6(payload: bytes, identity: int = 9, before: bytes = b"") -> list[bytes]:
    data, first = _segment(payload), 0 if before else 44
    head = [
        struct.pack(">BBHI", 6, 0, start | int(start + len(part) < len(data)), identity) + part
        for start, part in _pieces(data, 64)
    ]
    return [ip6("2001:db8::1", "2001:db8::2", before + part, next_header=first) for part in head]


HOP_BY_HOP = b"\x2c\0\1\4\0\0\0\0"  # padding, then a fragment's header


@pytest.mark.parametrize("make", [fragments4, fragments6, lambda payload: fragments6(payload, 9, HOP_BY_HOP)])
@pytest.mark.parametrize(
    "order", [lambda one: one, lambda one: one[::-1], lambda one: one[1::2] + one[::2], lambda one: one + one]
)
def test_fragments_are_put_together_in_any_order(
    make: Callable[[bytes], list[bytes]], order: Callable[[list[bytes]], list[bytes]]
):
    payload = bytes(range(256)) * 2
    (found,) = of_frames(_frames(order(make(payload))))
    assert found.sent == payload


def test_fragments_of_two_datagrams_do_not_mix():
    one, two = fragments4(b"a" * 200, 1), fragments4(b"b" * 200, 2)
    mixed = [packet for pair in zip(one, two, strict=True) for packet in pair]
    assert of_frames(_frames(mixed))[0].sent == b"a" * 200  # the second says the same positions again


def test_a_datagram_that_lacks_a_fragment_is_a_hole():
    parts = fragments4(b"a" * 200)
    talk = Talk(client=("192.0.2.1", 40000), server=("192.0.2.2", 80), client_next=1200, server_next=5000, link=RAW)
    before = Talk(client=("192.0.2.1", 40000), server=("192.0.2.2", 80), client_next=990, server_next=5000, link=RAW).asks(
        b"x" * 10
    )
    frames = before.frames + _frames(parts[:1] + parts[2:]) + talk.asks(b"end").answers(b"ok").frames
    assert of_frames(frames)[0].sent == b"x" * 10 + b"?" * 200 + b"end"


@pytest.mark.parametrize(
    ("first", "headers"),
    [
        (0, b"\x06\0\1\4\0\0\0\0"),
        (60, b"\x06\1" + b"\1\x0c" + b"\0" * 12),
        (43, b"\x06\2\4\0" + b"\0" * 20),
        (0, b"\x2b\0\1\4\0\0\0\0" + b"\x3c\0\0\0\0\0\0\0" + b"\x06\0\1\4\0\0\0\0"),
        (51, b"\x06\4\0\0" + b"\0" * 20),
        (44, b"\x06\0\0\0\0\0\0\7"),
    ],
    ids=["hop-by-hop", "destination", "routing", "three", "authentication", "atomic fragment"],
)
def test_extension_headers_are_passed_over(first: int, headers: bytes):
    packet = ip6("2001:db8::1", "2001:db8::2", headers + _segment(b"here"), next_header=first)
    assert of_frames(_frames([packet]))[0].sent == b"here"


def test_options_of_both_headers_are_passed_over():
    segment = bytearray(_segment(b""))
    segment[12] = 8 << 4
    data = bytes(segment) + b"\1\1\x08\x0a" + b"\0" * 8 + b"here"
    packet = bytearray(ip4("192.0.2.1", "192.0.2.2", data))
    packet[0] = 0x46
    packet[2:4] = struct.pack(">H", 24 + len(data))
    assert of_frames(_frames([bytes(packet[:20]) + b"\1\1\1\0" + bytes(packet[20:])]))[0].sent == b"here"


@pytest.mark.parametrize(("make", "read"), [(pcap, read_pcap), (pcapng, read_pcapng)], ids=["pcap", "pcapng"])
def test_of_a_file_that_was_cut_everything_before_is_given(make: Callable[..., bytes], read: Reader):
    frames = a_talk().frames
    whole = make(frames)
    for size in range(len(whole)):
        found: list[Frame] = []
        try:
            found.extend(read("cut", io.BytesIO(whole[:size])))
        except DamagedInputError as error:
            assert "cut" in str(error)  # noqa: PT017 - a cut between packets is none that can be seen
        assert [one.data for one in found] == [one.data for one in frames[: len(found)]]
    assert len(list(read("whole", io.BytesIO(whole)))) == len(frames)


@given(st.binary(max_size=200))
def test_any_bytes_read_or_raise_our_error(data: bytes):
    for head, read in ((pcap([]), read_pcap), (pcapng([Frame(0, 1, b"", 0)]), read_pcapng)):
        try:
            list(read("x", io.BytesIO(head + data)))
        except DamagedInputError:
            continue


def test_a_link_that_nobody_knows_is_told():
    with pytest.raises(UnknownFormatError, match="link type 147"):
        list(PacketRecords("x", "node").records([Frame(0, 147, b"abc", 3)]))


def test_damage_is_told_with_its_place():
    file = pcap(a_talk().frames[:1]) + struct.pack("<IIII", 0, 0, 1 << 31, 1 << 31)
    with pytest.raises(DamagedInputError, match="byte 94"):
        list(read_pcap("x", io.BytesIO(file)))
    file = pcapng(a_talk().frames[:1]) + struct.pack("<III", 6, 13, 0)
    with pytest.raises(DamagedInputError, match="no block"):
        list(read_pcapng("x", io.BytesIO(file)))
