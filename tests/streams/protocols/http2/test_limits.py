"""What input can make grow does not grow past its limit, and the message says so."""

import gzip
import random

import pytest

from fleetcap_streams.protocols.contract import Gap, Limits, Message
from fleetcap_streams.protocols.http2.limits import Http2Limits
from fleetcap_streams.protocols.http2.parser import Http2Parser
from fleetcap_streams.protocols.http2.reader import PREFACE
from tests.streams.protocols.http2.conversation import CLIENT, SERVER
from tests.streams.protocols.http2.test_parser import BOTH, END_HEADERS, GET, OK, POST, Peers
from tests.streams.protocols.http2.test_reader import frame

MOST_OF_A_SNAPSHOT = 3 * 1024 * 1024


def peers_with(limits: Limits, own: Http2Limits | None = None) -> Peers:
    peers = Peers(limits=limits)
    peers.parser = Http2Parser(limits, own)
    peers.send(CLIENT, PREFACE + frame(4, 0, 0))
    peers.send(SERVER, frame(4, 0, 0))
    return peers


def test_a_body_is_cut_but_counted():
    peers = peers_with(Limits(body=100))
    peers.head(CLIENT, 1, POST)
    peers.data(CLIENT, 1, b"x" * 80, end=False)
    message = peers.data(CLIENT, 1, b"x" * 80)[0]
    assert (len(message.body), message.body_size, message.notes) == (100, 160, ("truncated",))
    assert message.body_sha256


def test_a_body_in_one_frame_is_cut():
    peers = peers_with(Limits(body=100))
    peers.head(CLIENT, 1, POST)
    message = peers.data(CLIENT, 1, b"x" * 160)[0]
    assert (len(message.body), message.body_size, message.notes) == (100, 160, ("truncated",))


def test_a_bomb_stops():
    peers = peers_with(Limits(decompressed=1 << 20))
    peers.get()
    peers.head(SERVER, 1, [*OK, ("content-encoding", "gzip")])
    message = peers.data(SERVER, 1, gzip.compress(bytes(1 << 23)))[0]
    assert message.notes[-2:] == ("decompressed-limit", "truncated")
    assert message.body_size <= (1 << 20) + (1 << 17)


def test_too_many_fields():
    message = peers_with(Limits(headers=10)).head(CLIENT, 1, [*GET, *[("a", "b")] * 20], BOTH)[0]
    assert message.http is not None
    assert (len(message.http.headers), message.notes, message.complete) == (6, ("header-list-cut",), False)


def test_endless_continuation():
    peers = Peers()
    peers.send(CLIENT, frame(1, 1, 1, peers.block(CLIENT, GET)))
    for _ in range(200):
        peers.send(CLIENT, frame(9, 0, 1, bytes(16_000)))
        assert len(peers.parser.snapshot()) < MOST_OF_A_SNAPSHOT
    message = peers.send(CLIENT, frame(9, END_HEADERS, 1))[0]
    assert {"head-unknown", "header-block-limit"} <= set(message.notes)
    assert peers.get(3).http is not None


def test_a_million_streams_are_forgotten():
    own = Http2Limits(streams=50)
    peers = peers_with(Limits(), own)
    block = peers.block(CLIENT, POST)
    peers.encoders[CLIENT] = Peers().encoders[CLIENT]
    put_out: list[Message] = []
    for stream in range(1, 20_001, 2):
        put_out += peers.parser.receive(CLIENT, frame(1, END_HEADERS, stream, block), stream)
        assert len(peers.parser._streams) <= 50
    assert len(put_out) == 10_000 - 50
    assert all(message.notes == ("streams-limit",) and not message.complete for message in put_out)


def test_what_streams_hold_is_bounded():
    peers = Peers()
    for stream in range(1, 801, 2):
        peers.head(CLIENT, stream, [*POST, ("x", "y" * 500)])
        peers.data(CLIENT, stream, random.Random(stream).randbytes(8000), end=False)
        peers.data(CLIENT, stream, bytes(8000), end=False)
    assert len(peers.parser.snapshot()) < MOST_OF_A_SNAPSHOT
    message = peers.data(CLIENT, 799, b"end")[0]
    assert (message.body_size, message.complete) == (16_003, True)
    assert len(message.body) < 16_003
    assert "body-not-kept" in message.notes
    assert message.body_sha256


def test_coded_bodies_that_cannot_all_be_held():
    peers = peers_with(Limits(), Http2Limits(held=50_000))
    body = gzip.compress(random.Random(1).randbytes(30_000))
    for stream in (1, 3, 5):
        peers.get(stream)
        peers.head(SERVER, stream, [*OK, ("content-encoding", "gzip")])
        peers.data(SERVER, stream, body[:15_000], end=False)
    messages = [peers.data(SERVER, stream, body[15_000:])[0] for stream in (1, 3, 5)]
    assert all(message.body_size == 30_000 and message.complete and message.body_sha256 for message in messages)
    assert "body-not-kept" in messages[-1].notes


def test_decoders_at_once():
    peers = peers_with(Limits(), Http2Limits(decoders=2))
    for stream in (1, 3, 5):
        peers.get(stream)
        peers.head(SERVER, stream, [*OK, ("content-encoding", "gzip")])
        peers.data(SERVER, stream, gzip.compress(b"hello")[:10], end=False)
    messages = [peers.data(SERVER, stream, gzip.compress(b"hello")[10:])[0] for stream in (1, 3, 5)]
    assert [message.notes for message in messages] == [(), (), ("decoders-limit",)]
    assert [message.body for message in messages] == [b"hello", b"hello", gzip.compress(b"hello")]


def test_a_large_table_is_kept_up_to_the_limit():
    peers = peers_with(Limits(), Http2Limits(table=1000))
    peers.send(SERVER, frame(4, 0, 0, b"\0\1" + (1 << 20).to_bytes(4)))
    peers.encoders[CLIENT].header_table_size = 1 << 20
    for number in range(40):
        peers.head(CLIENT, 2 * number + 1, [*GET, (f"x-{number}", "y" * 50)], BOTH)
    message = peers.head(CLIENT, 999, [*GET, ("x-0", "y" * 50), ("x-39", "y" * 50)], BOTH)[0]
    assert message.http is not None
    assert message.http.headers[-2:] == (("?", "?"), ("x-39", "y" * 50))
    assert "headers-unknown" in message.notes


@pytest.mark.parametrize("seed", range(8))
def test_noise_does_not_grow(seed: int):
    rng = random.Random(seed)
    parser = Http2Parser(Limits())
    pieces = [rng.randbytes(300), frame(0, 0, 1, bytes(500)), frame(1, 4, 3, rng.randbytes(40)), bytes(100), PREFACE]
    pieces += [
        frame(rng.randrange(12), rng.randrange(256), rng.randrange(6), rng.randbytes(rng.randrange(30))) for _ in range(30)
    ]
    for count in range(3000):
        direction = rng.choice([CLIENT, SERVER])
        if rng.random() < 0.02:
            parser.receive(direction, Gap(rng.randrange(3)), count)
        parser.receive(direction, rng.choice(pieces), count)
    assert len(parser.snapshot()) < MOST_OF_A_SNAPSHOT
