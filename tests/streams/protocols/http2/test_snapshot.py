import gzip
import random

import msgspec
import pytest

from fleetcap_streams.protocols.contract import Chunk, Direction, Gap, Limits, Message
from fleetcap_streams.protocols.errors import SnapshotError
from fleetcap_streams.protocols.http2.parser import VERSION, Http2Parser
from tests.streams.protocols.http2.conversation import CLIENT, SERVER, Conversation, random_conversation, run
from tests.streams.protocols.http2.test_parser import END_HEADERS, GET, OK, Peers


def coded() -> Conversation:
    talk = Conversation().begin()
    for number in range(4):
        stream = talk.request(GET)
        body = gzip.compress(str(number).encode() * 4000 + random.Random(number).randbytes(500))
        talk.respond(stream, [*OK, ("content-encoding", "gzip"), ("content-type", "application/grpc")], body, pieces=4)
    return talk


def with_restores(chunks: list[tuple[Direction, Chunk]], every: int) -> list[Message]:
    parser = Http2Parser(Limits())
    messages: list[Message] = []
    for count, (direction, chunk) in enumerate(chunks):
        if count % every == 0:
            parser = Http2Parser.restore(Limits(), parser.snapshot())
        messages += parser.receive(direction, chunk, count * 1_000_000)
    return messages + run(parser, [])


@pytest.mark.parametrize("talk", [coded(), *(random_conversation(seed, 5) for seed in range(2))])
@pytest.mark.parametrize("size", [1, 17])
def test_a_restore_anywhere_changes_nothing(talk: Conversation, size: int):
    pieces: list[tuple[Direction, Chunk]] = [
        (side, data[at : at + size]) for side, data in talk.sent for at in range(0, len(data), size)
    ]
    middle = len(pieces) // 2
    for chunks in (pieces, [*pieces[:middle], (SERVER, Gap(30)), *pieces[middle + 5 :]], pieces[middle // 2 :]):
        expected = run(Http2Parser(Limits()), chunks)
        got = with_restores(chunks, 7 if size == 1 else 1)
        for message in expected + got:
            message.end_ns = 0 if "body-cut" in message.notes else message.end_ns
        assert got == expected


def test_every_state_can_be_saved():
    peers = Peers()
    peers.get()
    peers.head(SERVER, 1, OK)
    peers.send(SERVER, b"\0\0\x20\1\0\0\0\0\x03" + bytes(10))  # an unfinished HEADERS frame
    peers.head(CLIENT, 5, GET, 0)  # an unfinished header block
    snapshot = peers.parser.snapshot()
    assert Http2Parser.restore(Limits(), snapshot).snapshot() == snapshot


@pytest.mark.parametrize(
    "snapshot", [b"", b"\xc1", msgspec.msgpack.encode([99, [], []]), msgspec.msgpack.encode({"a": 1}), b"\x93"]
)
def test_what_is_no_snapshot_is_refused(snapshot: bytes):
    with pytest.raises(SnapshotError, match="version that wrote it"):
        Http2Parser.restore(Limits(), snapshot)


def test_another_version_is_refused():
    state = msgspec.msgpack.decode(Peers().parser.snapshot())
    with pytest.raises(SnapshotError, match=f"snapshot version 99, not {VERSION}"):
        Http2Parser.restore(Limits(), msgspec.msgpack.encode([99, *state[1:]]))


def test_hpack_goes_on_after_a_restore():
    peers = Peers()
    peers.head(CLIENT, 1, [*GET, ("x-a", "b")], END_HEADERS | 1)
    peers.parser = Http2Parser.restore(Limits(), peers.parser.snapshot())
    message = peers.head(CLIENT, 3, [*GET, ("x-a", "b")], END_HEADERS | 1)[0]
    assert message.http is not None
    assert (message.http.headers, message.notes) == ((("x-a", "b"),), ())
