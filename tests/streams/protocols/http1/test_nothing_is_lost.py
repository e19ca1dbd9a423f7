"""Whatever bytes come: none is lost, and neither how they were cut nor a restart changes what is made of them."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetcap_streams.protocols.contract import End, Gap, Limits, Message, SwitchProtocol
from fleetcap_streams.protocols.http1.parser import Http1Parser
from tests.streams.protocols.transcript import LIMITS, RECEIVED, SENT, Step, bytewise, closed, cut, plain, request, response

TIGHT = replace(LIMITS, body=40, head=120, headers=3, detection=64)
UNFRAMED = [
    request(),
    request(b"/long", b"X-Field: " + b"x" * 150),
    request(method=b"POST", body=b"0123456789"),
    request(method=b"HEAD"),
    response(b"hello"),
    response(b"", status=b"304 Not Modified"),
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"HTTP/1.0 200 OK\r\n\r\nuntil the end",
    b"POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
    b"GET / HTTP/1.1\nA: b\n\n",
    b"HTTP/1.1 ",
    b"GET /half HTTP/1.1\r\nHost",
    b"GET  /two  HTTP/1.1\r\n",
    b"\x00\x01\x02",
    b"}",
    b"HTTP/1.1 2000 no\r\n\r\n",
    b"X: y\r\n\r\n",
]
CHUNKED = [
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
    b"3\r\nabc\r\n",
    b"3;ext=1\r\nabc",
    b"0\r\n\r\n",
    b"0\r\nTrailer: 1\r\n\r\n",
    b"zz\r\n",
]
SWITCHING = [
    b"GET / HTTP/1.1\r\nUpgrade: h2c\r\n\r\n",
    b"CONNECT a:1 HTTP/1.1\r\n\r\n",
    b"HTTP/1.1 101 Go\r\nUpgrade: h2c\r\n\r\n",
]


def listen(steps: list[Step], limits: Limits, restore_every: int = 0) -> list[Message | tuple[object, ...]]:
    """The parser alone, without detection, so that bytes which detection would call raw come to it too."""
    parser = Http1Parser(limits)
    heard: list[Message | tuple[object, ...]] = []
    for number, (direction, chunk) in enumerate(steps):
        if restore_every and number % restore_every == 0:
            parser = Http1Parser.restore(limits, parser.snapshot())
        try:
            heard += parser.receive(direction, chunk, number)
        except SwitchProtocol as switch:
            rest = [b"", b""]
            for way, part, _ in switch.rest:
                rest[way] += part if isinstance(part, bytes) else b"|"
            heard += [*switch.messages, (switch.token, switch.exchanges)]
            # What comes afterwards is not this parser's any more, so it belongs to the rest.
            for way, part in steps[number + 1 :]:
                rest[way] += part if isinstance(part, bytes) else b"|" if isinstance(part, Gap) else b""
            return [*heard, tuple(rest)]
    return heard


def comparable(heard: list[Message | tuple[object, ...]]) -> list[tuple[object, ...]]:
    return [plain(item) if isinstance(item, Message) else item for item in heard]


def soups(*kinds: list[bytes]) -> st.SearchStrategy[list[Step]]:
    pieces = st.one_of(st.sampled_from([piece for kind in kinds for piece in kind]), st.binary(min_size=1, max_size=12))
    chunk = st.one_of(pieces, pieces, pieces, st.integers(0, 12).map(Gap), st.just(End.IDLE))
    return st.lists(st.tuples(st.sampled_from([SENT, RECEIVED]), chunk), max_size=20)


limits = st.sampled_from([LIMITS, TIGHT])


@settings(max_examples=200, deadline=None)
@given(soups(UNFRAMED), limits, st.sampled_from([End.CLOSED, End.LOST]))
def test_every_byte_is_in_a_message(steps: list[Step], limits: Limits, why: End):
    """Heads, bodies as sent and skipped bytes, in their order, are what was given, but for empty lines before a head."""
    whole = replace(limits, body=1 << 20)
    messages = [item for item in listen(closed(steps, why), whole) if isinstance(item, Message)]
    for direction in (SENT, RECEIVED):
        given_ = b"".join(chunk for way, chunk in steps if way is direction and isinstance(chunk, bytes))
        told = b"".join(item.head + item.body for item in messages if item.direction is direction)
        assert told.translate(None, b"\r\n") == given_.translate(None, b"\r\n")
        missing = sum(chunk.missing for way, chunk in steps if way is direction and isinstance(chunk, Gap))
        assert sum(item.missing_bytes for item in messages if item.direction is direction) <= missing


@settings(max_examples=200, deadline=None)
@given(soups(UNFRAMED, CHUNKED, SWITCHING), limits, st.data())
def test_no_cut_changes_anything(steps: list[Step], limits: Limits, data: st.DataObject):
    steps = closed(steps)
    whole = comparable(listen(steps, limits))
    assert comparable(listen(bytewise(steps), limits)) == whole
    places = sorted(data.draw(st.sets(st.integers(1, 200), max_size=8)))
    assert comparable(listen([part for step in steps for part in cut(step, places)], limits)) == whole


@settings(max_examples=100, deadline=None)
@given(soups(UNFRAMED, CHUNKED, SWITCHING), limits, st.integers(1, 5))
def test_no_restart_changes_anything(steps: list[Step], limits: Limits, every: int):
    steps = bytewise(closed(steps))
    assert comparable(listen(steps, limits, every)) == comparable(listen(steps, limits))


@settings(max_examples=50, deadline=None)
@given(soups(UNFRAMED, CHUNKED, SWITCHING))
def test_a_snapshot_is_bounded(steps: list[Step]):
    parser = Http1Parser(TIGHT)
    for direction, chunk in steps * 5:
        try:
            parser.receive(direction, chunk, 1)
        except SwitchProtocol:
            return
        assert len(parser.snapshot()) < 60_000


@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_a_flood_of_nonsense_is_put_out_in_bounded_pieces(size: int):
    flood = bytes(range(14, 256)) * 400
    steps = closed(list(cut((SENT, flood), range(size, len(flood), size))))
    messages = [item for item in listen(steps, LIMITS) if isinstance(item, Message)]
    assert b"".join(item.body for item in messages) == flood
    assert max(item.body_size for item in messages) == LIMITS.body
    assert {item.notes for item in messages} == {("skipped", "split"), ("skipped",)}


def test_requests_behind_an_upgrade_that_nobody_answers_come_once():
    request = b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n"
    steps: list[Step] = [(SENT, b"GET / HTTP/1.1\r\nUpgrade: h2c\r\n\r\n"), (SENT, request), (SENT, request)]
    for spoken in (steps, bytewise(steps)):
        told = [item for item in listen(closed(spoken), TIGHT) if isinstance(item, Message)]
        assert [item.exchange for item in told] == [1, 2, 3]
