"""HTTP/1 conversations, each fed whole, byte by byte, from both sides, with more behind it, with a hole, across restarts."""

import gzip
import hashlib
import random
import zlib
from dataclasses import replace

import brotli
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from fleetcap_streams.protocols.contract import End, Gap, Limits, Message, Role
from fleetcap_streams.protocols.http1 import notes
from tests.streams.protocols.transcript import (
    RECEIVED,
    SENT,
    Step,
    bytewise,
    closed,
    cut,
    hear,
    mirrored,
    plain,
    request,
    response,
)

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4;x=1\r\nWiki\r\n5\r\npedia\r\n0\r\nX-Sum: 9\r\n\r\n"
BODY = b"the quick brown fox " * 40

# Each: the steps, and what comes of them: role, exchange, method or status, body, notes.
Told = tuple[Role, int, str | int, bytes, tuple[str, ...]]
REQUEST, RESPONSE, INTERIM = Role.REQUEST, Role.RESPONSE, Role.INTERIM
VECTORS: dict[str, tuple[list[Step], list[Told]]] = {
    "an exchange": (
        [(SENT, request()), (RECEIVED, response(b"hi"))],
        [(REQUEST, 1, "GET", b"", ()), (RESPONSE, 1, 200, b"hi", ())],
    ),
    "keep-alive": (
        [(SENT, request(b"/1")), (RECEIVED, response(b"a")), (SENT, request(b"/2")), (RECEIVED, response(b"b"))],
        [(REQUEST, 1, "GET", b"", ()), (RESPONSE, 1, 200, b"a", ()), (REQUEST, 2, "GET", b"", ()), (RESPONSE, 2, 200, b"b", ())],
    ),
    "pipelining, all in one event": (
        [(SENT, request(b"/1") + request(b"/2", method=b"POST", body=b"xy")), (RECEIVED, response(b"a") + response(b"b"))],
        [
            (REQUEST, 1, "GET", b"", ()),
            (REQUEST, 2, "POST", b"xy", ()),
            (RESPONSE, 1, 200, b"a", ()),
            (RESPONSE, 2, 200, b"b", ()),
        ],
    ),
    "HEAD has a length and no body": (
        [
            (SENT, request(method=b"HEAD")),
            (RECEIVED, b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n"),
            (SENT, request()),
            (RECEIVED, response(b"z")),
        ],
        [(REQUEST, 1, "HEAD", b"", ()), (RESPONSE, 1, 200, b"", ()), (REQUEST, 2, "GET", b"", ()), (RESPONSE, 2, 200, b"z", ())],
    ),
    "204 and 304 have none either": (
        [
            (SENT, request() + request()),
            (RECEIVED, b"HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"),
        ],
        [(REQUEST, 1, "GET", b"", ()), (REQUEST, 2, "GET", b"", ()), (RESPONSE, 1, 204, b"", ()), (RESPONSE, 2, 304, b"", ())],
    ),
    "interim responses": (
        [
            (SENT, b"PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"),
            (RECEIVED, b"HTTP/1.1 100 Continue\r\n\r\n"),
            (SENT, b"abc"),
            (RECEIVED, b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + response()),
        ],
        [(INTERIM, 1, 100, b"", ()), (REQUEST, 1, "PUT", b"abc", ()), (INTERIM, 1, 103, b"", ()), (RESPONSE, 1, 200, b"", ())],
    ),
    "chunked with an extension and a trailer": (
        [(SENT, request()), (RECEIVED, CHUNKED)],
        [(REQUEST, 1, "GET", b"", ()), (RESPONSE, 1, 200, b"Wikipedia", ())],
    ),
    "lower-case names and odd values": (
        [
            (SENT, b"GET / HTTP/1.1\r\nhost:a\r\nx-odd:\t v \r\n\r\n"),
            (RECEIVED, b"HTTP/1.1 200 OK\r\ncontent-length:2\r\n\r\nok"),
        ],
        [(REQUEST, 1, "GET", b"", ()), (RESPONSE, 1, 200, b"ok", ())],
    ),
    "no reason, and a bare LF": (
        [(SENT, request()), (RECEIVED, b"HTTP/1.1 200\nContent-Length: 2\n\nok")],
        [(REQUEST, 1, "GET", b"", ()), (RESPONSE, 1, 200, b"ok", (notes.BARE_LF,))],
    ),
    "both lengths: chunked counts and it is told": (
        [
            (SENT, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"),
            (RECEIVED, response()),
        ],
        [(REQUEST, 1, "POST", b"x", (notes.LENGTH_AND_CHUNKED,)), (RESPONSE, 1, 200, b"", ())],
    ),
    "the same length twice": (
        [(SENT, request()), (RECEIVED, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok")],
        [(REQUEST, 1, "GET", b"", ()), (RESPONSE, 1, 200, b"ok", (notes.LENGTH_REPEATED,))],
    ),
    "a folded field": (
        [(SENT, b"GET / HTTP/1.1\r\nHost: a\r\nX: one\r\n two\r\n\r\n"), (RECEIVED, response())],
        [(REQUEST, 1, "GET", b"", (notes.OBS_FOLD,)), (RESPONSE, 1, 200, b"", ())],
    ),
}
VECTORS |= {
    f"coded with {name}": (
        [(SENT, request()), (RECEIVED, response(encode(BODY), b"Content-Encoding: " + name.encode()))],
        [(REQUEST, 1, "GET", b"", ()), (RESPONSE, 1, 200, BODY, ())],
    )
    for name, encode in {
        "gzip": gzip.compress,
        "deflate": zlib.compress,
        "br": brotli.compress,
        "zstd": zstandard.compress,
    }.items()
}
vectors = pytest.mark.parametrize(("steps", "expected"), VECTORS.values(), ids=VECTORS)


def told(messages: list[Message]) -> list[Told]:
    return [
        (message.role, message.exchange, message.http.method or message.http.status, message.body, message.notes)
        for message in messages
        if message.http is not None
    ]


@vectors
def test_whole(steps: list[Step], expected: list[Told]):
    heard = hear(closed(steps))
    assert told(heard.messages) == expected
    assert all(message.complete and not message.missing_bytes for message in heard.messages)
    for message in heard.messages:
        assert message.body_sha256 == hashlib.sha256(message.body).digest()


@vectors
def test_byte_by_byte_and_from_the_other_side(steps: list[Step], expected: list[Told]):
    whole = hear(closed(steps)).plain()
    assert hear(closed(bytewise(steps))).plain() == whole
    other = hear(closed(mirrored(steps)))
    assert told(other.messages) == expected
    assert hear(closed(bytewise(mirrored(steps)))).plain() == other.plain()


@vectors
def test_with_more_behind_it(steps: list[Step], expected: list[Told]):
    more = [(SENT, request(b"/more")), (RECEIVED, response(b"more"))]
    found = told(hear(closed([*steps, *more])).messages)
    assert found[: len(expected)] == expected
    assert [one[2:] for one in found[len(expected) :]] == [("GET", b"", ()), (200, b"more", ())]


@vectors
def test_a_restart_at_any_step_of_single_bytes_changes_nothing(steps: list[Step], expected: list[Told]):
    split = closed(bytewise(steps))
    whole = hear(split).plain()
    for start in range(7):
        assert hear(split, restore_at=range(start, len(split), 7)).plain() == whole
    assert expected


@vectors
def test_behind_a_hole_of_any_place_the_next_exchange_is_right(steps: list[Step], expected: list[Told]):
    more = [(SENT, request(b"/more")), (RECEIVED, response(b"more"))]
    random_ = random.Random(5)
    for _ in range(60):
        number = random_.randrange(len(steps))
        direction, data = steps[number]
        assert isinstance(data, bytes)
        start = random_.randrange(len(data))
        end = random_.randint(start + 1, len(data))
        holed: list[Step] = [*steps[:number], (direction, data[:start]), (direction, Gap(end - start)), (direction, data[end:])]
        holed = [step for step in holed if step[1] != b""]
        found = hear(closed([*holed, *steps[number + 1 :], *more, *more]))
        https = [message for message in found.messages if message.http is not None]
        assert any(message.http and message.http.target == "/more" for message in https), (number, start, end)
        # Where the request that was lost may have been a HEAD, its response's length may be of no body: then it says so.
        assert https[-1].body == b"more" or https[-1].notes, (number, start, end)
        whole = [one for one in told(https) if not one[4]]
        # What is told as certain is true: no body of a message without a note is one that nobody sent.
        assert {one[3] for one in whole} <= {one[3] for one in expected} | {b"more", b""}, (number, start, end)


def test_a_body_that_runs_until_the_close_is_whole_only_when_that_was_seen():
    steps: list[Step] = [(SENT, request()), (RECEIVED, b"HTTP/1.0 200 OK\r\n\r\nall of it")]
    done = hear(closed(steps)).messages[-1]
    assert (done.body, done.complete, done.notes) == (b"all of it", True, ())
    lost = hear(closed(steps, End.LOST)).messages[-1]
    assert (lost.body, lost.complete, lost.notes) == (b"all of it", False, (notes.END_NOT_SEEN,))
    assert len(hear([*steps, (RECEIVED, End.IDLE)]).messages) == 1, "a flush does not end it"


def test_a_body_cut_by_the_end_is_incomplete():
    cut_off = hear(closed([(SENT, request()), (RECEIVED, b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")])).messages[-1]
    assert (cut_off.body, cut_off.complete, cut_off.notes) == (b"half", False, (notes.BODY_CUT,))


def test_bytes_missing_inside_a_body_are_counted_and_the_parser_stays_in_step():
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"
    steps: list[Step] = [
        (SENT, request()),
        (RECEIVED, head + b"a" * 30),
        (RECEIVED, Gap(50)),
        (RECEIVED, b"b" * 20 + response(b"next")),
    ]
    holed, following = hear(closed(steps)).messages[1:]
    assert (holed.missing_bytes, holed.complete, holed.body_sha256) == (50, False, b"")
    assert following.body == b"next"


def test_a_connection_joined_in_the_middle_begins_with_the_next_head():
    steps: list[Step] = [
        (RECEIVED, b"the end of a body\r\n" + response(b"a")),
        (SENT, request(b"/2")),
        (RECEIVED, response(b"b")),
    ]
    messages = hear(closed(steps), joined=True).messages
    skipped = b"".join(message.body for message in messages if message.protocol == "raw")
    assert skipped == b"the end of a body\r\n"
    assert [one[2:4] for one in told(messages)] == [(200, b"a"), ("GET", b""), (200, b"b")]


def test_bytes_between_messages_that_are_no_message_are_put_out_as_they_are():
    steps: list[Step] = [(SENT, request()), (RECEIVED, response(b"a") + b"\x00garbage\xff\n" + response(b"b"))]
    messages = hear(closed([*steps, (SENT, request())])).messages
    assert b"garbage" in b"".join(message.body for message in messages if message.protocol == "raw")
    assert b"b" in [message.body for message in messages if message.http]


def test_a_body_is_kept_to_the_limit_and_counted_and_hashed_whole():
    body = random.Random(1).randbytes(300_000)
    steps: list[Step] = [(SENT, request(method=b"POST", body=body)), (RECEIVED, response())]
    split = [part for step in steps for part in cut(step, range(999, 400_000, 999))]
    for restores in (range(0), range(0, 400, 13)):
        sent = hear(closed(split), Limits(body=1000), restore_at=restores).messages[0]
        assert (sent.body, sent.body_size) == (body[:1000], len(body))
        assert sent.body_sha256 == hashlib.sha256(body).digest()
        assert sent.notes == ("truncated",)
        assert sent.complete


@pytest.mark.parametrize("name", ["gzip", "br", "zstd"])
def test_a_bomb_is_cut_at_the_limit(name: str):
    bomb = {"gzip": gzip.compress, "br": brotli.compress, "zstd": zstandard.compress}[name](bytes(50_000_000))
    steps: list[Step] = [(SENT, request()), (RECEIVED, response(bomb, b"Content-Encoding: " + name.encode())), (SENT, request())]
    bombed = hear(closed(steps), replace(Limits(), decompressed=1_000_000)).messages[1]
    assert bombed.body_size == 1_000_000
    assert "decompressed-limit" in bombed.notes


def test_heads_without_end_are_bounded():
    limits = Limits(head=1000, headers=10)
    long = b"GET / HTTP/1.1\r\nX: " + b"x" * 5000 + b"\r\n\r\n"
    many = b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 50 + b"\r\n"
    for head, word in ((long, notes.HEAD_TOO_LONG), (many, notes.HEADERS_TOO_MANY)):
        first, *_ = [message for message in hear(closed([(SENT, head), (SENT, request(b"/2"))]), limits).messages if message.http]
        assert word in first.notes
        assert len(first.head) <= 1000


def test_other_protocols_bytes_are_not_taken_for_http():
    for opening in (
        b"\x16\x03\x01\x02\x00\x01",
        b"\x00\x00\x00\x08\x04\xd2\x16\x2f",
        b"GETTING there\r\n",
        b"J\x00\x00\x00\x0a8.0",
    ):
        messages = hear(closed([(SENT, opening)])).messages
        assert "http1" not in {message.protocol for message in messages}


@st.composite
def conversations(draw: st.DrawFn) -> list[Step]:
    """Requests and responses of every framing, in any mixture."""
    steps: list[Step] = []
    for _ in range(draw(st.integers(1, 5))):
        body = draw(st.binary(max_size=60))
        method = draw(st.sampled_from([b"GET", b"HEAD", b"POST"]))
        steps.append(
            (
                SENT,
                request(
                    b"/" + draw(st.sampled_from([b"", b"a", b"b?c"])), method=method, body=body if method == b"POST" else b""
                ),
            )
        )
        match draw(st.integers(0, 3)):
            case 0:
                answer = b"HTTP/1.1 204 No Content\r\n\r\n"
            case 1:
                answer = response(body) if method != b"HEAD" else response(body)[: len(response(body)) - len(body)]
            case 2:
                coded = gzip.compress(body)
                answer = response(coded, b"Content-Encoding: gzip")
                answer = answer[: len(answer) - len(coded)] if method == b"HEAD" else answer
            case _:
                chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:7], body[7:]) if part) + b"0\r\n\r\n"
                answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + (b"" if method == b"HEAD" else chunks)
        steps.append((RECEIVED, answer))
    return steps


@given(conversations(), st.data())
def test_any_cut_and_any_restarts_give_the_same_messages(steps: list[Step], data: st.DataObject):
    whole = hear(closed(steps))
    assert all(message.complete for message in whole.messages)
    assert len(whole.messages) == len(steps)
    split: list[Step] = []
    for step in steps:
        places = sorted(data.draw(st.lists(st.integers(1, 300), max_size=6, unique=True)))
        split += cut(step, places)
    restores = data.draw(st.lists(st.integers(0, len(split)), max_size=3))
    assert hear(closed(split), restore_at=restores).plain() == whole.plain()


pieces = st.one_of(
    st.binary(max_size=40),
    st.sampled_from(
        [request(), response(b"x"), CHUNKED, b"\r\n", b"HTTP/1.1 ", b"GET / HTTP/1.1\r\n", b"Content-Length: 7\r\n\r\n"]
    ),
)
chunks = st.one_of(pieces, st.integers(0, 30).map(Gap), st.just(End.IDLE))


@given(st.lists(st.tuples(st.sampled_from([RECEIVED, SENT]), chunks), max_size=25), st.booleans(), st.data())
def test_whatever_comes_nothing_raises_and_a_restart_changes_nothing(steps: list[Step], joined: bool, data: st.DataObject):  # noqa: FBT001
    steps = [step for step in steps if step[1] != b""]
    whole = hear(closed(steps), joined=joined)
    restores = data.draw(st.lists(st.integers(0, len(steps) + 1), max_size=4))
    assert [plain(message) for message in hear(closed(steps), joined=joined, restore_at=restores).messages] == whole.plain()
