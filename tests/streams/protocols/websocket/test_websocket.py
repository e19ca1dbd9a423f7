"""WebSocket frames of our own making, seen in every way in which a tap may see them."""

import zlib
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetcap_streams.protocols.contract import Direction, End, Gap, Limits, Message, Opening, Score
from fleetcap_streams.protocols.http1.probe import probe as probe_http1
from fleetcap_streams.protocols.websocket import SPEC
from fleetcap_streams.protocols.websocket.parser import probe
from tests.streams.protocols.tapping import CLIENT, JOINED, SERVER, Happening, Tap, beheaded, chopped, decoded, facts, holed
from tests.streams.protocols.transcript import hear, request

TEXT, BINARY, CONTINUATION, CLOSE, PING, PONG = 1, 2, 0, 8, 9, 10


def frame(opcode: int, payload: bytes, *, final: bool = True, compressed: bool = False, key: bytes = b"") -> bytes:
    first = opcode | (0x80 if final else 0) | (0x40 if compressed else 0)
    mask = 0x80 if key else 0
    if len(payload) < 126:
        size = bytes((mask | len(payload),))
    elif len(payload) < 1 << 16:
        size = bytes((mask | 126,)) + len(payload).to_bytes(2)
    else:
        size = bytes((mask | 127,)) + len(payload).to_bytes(8)
    turned = bytes(byte ^ key[place % 4] for place, byte in enumerate(payload)) if key else payload
    return bytes((first,)) + size + key + turned


class Deflater:
    """One direction's permessage-deflate; `keeps`: the context, from message to message."""

    def __init__(self, *, keeps: bool = True) -> None:
        self._keeps = keeps
        self._engine = zlib.compressobj(wbits=-15)

    def __call__(self, data: bytes) -> bytes:
        if not self._keeps:
            self._engine = zlib.compressobj(wbits=-15)
        return (self._engine.compress(data) + self._engine.flush(zlib.Z_SYNC_FLUSH)).removesuffix(b"\x00\x00\xff\xff")


KEY = b"\x12\x9a\x00\xff"


def talk(*, compressed: bool = True, keeps: bool = True) -> list[tuple[Direction, bytes]]:
    """A chat: texts in both directions, one in fragments with a ping in between, a large one, and a close."""
    squeeze = {way: Deflater(keeps=keeps) for way in Direction}

    def said(way: Direction, text: str, opcode: int = TEXT) -> tuple[Direction, bytes]:
        data = text.encode()
        held = squeeze[way](data) if compressed else data
        return way, frame(opcode, held, compressed=compressed, key=KEY if way is CLIENT else b"")

    half = squeeze[SERVER](b"first half, second half") if compressed else b"first half, second half"
    return [
        said(CLIENT, '{"type": "subscribe", "channel": "prices"}'),
        said(SERVER, '{"type": "subscribed", "channel": "prices"}'),
        *(said(SERVER, f'{{"type": "price", "channel": "prices", "value": {number}}}') for number in range(5)),
        (SERVER, frame(TEXT, half[:9], final=False, compressed=compressed)),
        (SERVER, frame(PING, b"alive?")),
        (CLIENT, frame(PONG, b"alive?", key=KEY)),
        (SERVER, frame(CONTINUATION, half[9:])),
        said(CLIENT, "x" * 70_000 + "end", BINARY),
        said(SERVER, "thanks"),
        (CLIENT, frame(CLOSE, b"\x03\xe8bye", key=KEY)),
        (SERVER, frame(CLOSE, b"\x03\xe8")),
    ]


TALKS = {
    "plain": talk(compressed=False),
    "compressed": talk(),
    "compressed, no context": talk(keeps=False),
}
each_talk = pytest.mark.parametrize("conversation", TALKS.values(), ids=TALKS)


def whole(messages: list[Message]) -> set[tuple[Direction, bytes, bytes]]:
    return {(message.direction, message.body, message.body_sha256) for message in messages if message.complete}


@each_talk
def test_a_conversation(conversation: list[tuple[Direction, bytes]]):
    messages = decoded(SPEC, conversation)
    assert all(message.complete and not message.notes[1:] for message in messages)
    assert [message.attributes["opcode"] for message in messages] == [
        *["text"] * 7,
        "ping",
        "pong",
        "text",
        "binary",
        "text",
        "close",
        "close",
    ]
    assert messages[9].body == b"first half, second half"
    assert messages[9].attributes["frames"] == 2
    assert (messages[10].body_size, messages[10].notes) == (70_003, ("truncated",))
    assert messages[12].attributes["close_code"] == 1000
    assert messages[12].attributes["close_reason"] == "bye"


@each_talk
@pytest.mark.parametrize("seed", range(8))
def test_cutting_and_moving_change_nothing(conversation: list[tuple[Direction, bytes]], seed: int):
    random = Random(seed)
    tap = Tap(SPEC)
    for number, (way, chunk) in enumerate(chopped(conversation, random, (3, 40, 5000)[seed % 3])):
        tap.see(way, chunk, 0)
        if number % 7 == 0:
            tap.move()
    tap.close()
    assert facts(tap.messages) == facts(decoded(SPEC, conversation))


@each_talk
def test_a_hole_costs_what_was_in_it(conversation: list[tuple[Direction, bytes]]):
    everything = whole(decoded(SPEC, conversation))
    for place in range(1, len(conversation)):
        tap = Tap(SPEC)
        tap.hear(holed(conversation, place), close=True)
        assert whole(tap.messages) <= everything
        other = conversation[place][0].other
        assert {one for one in everything if one[0] is other} <= whole(tap.messages)


def test_without_compression_everything_behind_a_hole_is_found_again():
    conversation = TALKS["plain"]
    everything = whole(decoded(SPEC, conversation))
    for place in range(1, 6):
        tap = Tap(SPEC)
        tap.hear(holed(conversation, place), close=True)
        lost = {(conversation[place][0], conversation[place][1])}
        assert len(everything - whole(tap.messages)) <= len(lost)
        assert any("resynchronised" in message.notes for message in tap.messages)


@each_talk
def test_from_any_byte_on_nothing_wrong_is_certain(conversation: list[tuple[Direction, bytes]]):
    everything = {(way, body) for way, body, _ in whole(decoded(SPEC, conversation))}
    sizes = [*range(1, 400, 7), *range(400, sum(len(data) for _, data in conversation), 4001)]
    for size in sizes:
        tap = Tap(SPEC)
        tap.hear(beheaded(conversation, size), close=True)
        assert {(way, body) for way, body, _ in whole(tap.messages)} <= everything


def test_a_hole_inside_a_payload_costs_only_that_message():
    data = frame(BINARY, bytes(1000)) + frame(TEXT, b"next")
    tap = Tap(SPEC)
    tap.server(frame(TEXT, b"before"))
    tap.server(data[:500])
    tap.see(SERVER, Gap(300))
    tap.server(data[800:])
    broken, following = tap.messages[1:]
    assert (broken.complete, broken.missing_bytes, broken.body_size, broken.body_sha256) == (False, 300, 700, b"")
    assert (following.body, following.complete) == (b"next", True)


@pytest.mark.parametrize(
    "bytes_",
    [
        frame(3, b"reserved"),
        frame(PING, b"fragmented", final=False),
        frame(CONTINUATION, b"of nothing"),
        b"\x90\x00",
        b"\x81\x7e\x00\x05small",
        b"\x89\x7e\x00\x80",
        b"HTTP/1.1 200 OK\r\n\r\n",
    ],
)
def test_what_is_no_websocket_is_given_back(bytes_: bytes):
    tap = Tap(SPEC)
    tap.server(bytes_)
    tap.close()
    assert tap.wrong or not any(message.complete for message in tap.messages)


def test_text_that_is_none_says_so():
    (message,) = decoded(SPEC, [(SERVER, frame(TEXT, b"\xff\xfe"))])
    assert message.notes == ("invalid-utf8",)


def test_a_bomb_stops_at_the_limit():
    squeeze = Deflater()
    bomb = frame(BINARY, squeeze(bytes(50_000_000)), compressed=True)
    tap = Tap(SPEC, Limits(decompressed=1_000_000))
    tap.server(bomb)
    (message,) = tap.messages
    assert (message.complete, message.notes[0], message.body_sha256) == (False, "decompressed-limit", b"")
    assert message.body_size <= 1_000_000
    assert len(tap.parser.snapshot()) < 100_000


def test_a_compressed_message_too_long_to_keep_is_counted_only():
    data = Random(1).randbytes(400_000)
    tap = Tap(SPEC)
    tap.server(frame(BINARY, Deflater()(data), compressed=True))
    assert len(tap.parser.snapshot()) < 300_000
    (message,) = tap.messages
    assert (message.complete, message.notes) == (False, ("compressed-limit",))


def test_an_upgraded_connection_is_a_websocket():
    upgrade = (b"Upgrade: websocket", b"Connection: Upgrade")
    switching = b"\r\n".join([b"HTTP/1.1 101 Switching Protocols", *upgrade]) + b"\r\n\r\n"
    steps: list[Happening] = [
        (CLIENT, request(b"/chat", *upgrade, b"Sec-WebSocket-Key: x", b"Sec-WebSocket-Version: 13")),
        (SERVER, switching + frame(TEXT, b"welcome")),
        (CLIENT, frame(TEXT, b"thank you", key=KEY)),
    ]
    heard = hear(steps)
    assert [(message.protocol, message.body) for message in heard.messages[2:]] == [
        ("websocket", b"welcome"),
        ("websocket", b"thank you"),
    ]


@each_talk
def test_a_joined_connection_is_recognised(conversation: list[tuple[Direction, bytes]]):
    heard = hear([*JOINED, *conversation, (CLIENT, End.CLOSED), (SERVER, End.CLOSED)], joined=True)
    found = [message for message in heard.messages if message.protocol == "websocket" and message.complete]
    assert len(found) >= len(decoded(SPEC, conversation)) - 2


def test_the_probe_leaves_others_alone():
    chat = [data for way, data in TALKS["plain"] if way is CLIENT]
    assert probe(Opening(b"", b"".join(chat), joined=False, client=None)) is Score.NO
    opening = Opening(b"HTTP/1.1 200 OK\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", joined=True, client=None)
    assert probe(opening) is Score.NO
    assert probe_http1(opening) is not Score.NO


@given(st.lists(st.tuples(st.sampled_from(Direction), st.one_of(st.binary(max_size=60), st.integers(0, 99)))))
def test_nothing_makes_it_raise(steps: list[tuple[Direction, bytes | int]]):
    tap = Tap(SPEC)
    tap.server(frame(TEXT, b"so that it may not give up"))
    for way, step in steps:
        tap.see(way, step if isinstance(step, bytes) else Gap(step))
        tap.move()
    tap.close()
