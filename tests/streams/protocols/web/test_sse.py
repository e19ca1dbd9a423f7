"""Events of `text/event-stream` bodies, by the HTML standard, section 9.2.6, from any transport and cut anywhere."""

import gzip
import subprocess
import threading
import zlib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise

import brotli
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetcap_streams.protocols.contract import Direction, End, Gap, Limits, Message, Role
from fleetcap_streams.protocols.web.sse import EVENT_CUT, FIELD_CUT, FIELD_LIMIT, GAP, NO_DATA, RESYNCHRONISED, EventStream
from tests.streams.protocols.proxy import HOST, recording
from tests.streams.protocols.transcript import RECEIVED, SENT, Step, bytewise, closed, hear, request
from tests.streams.protocols.web.streams import facts, inner, over_http1, over_http2, sliced

TYPE = b"text/event-stream; charset=utf-8"
Told = list[tuple[bytes, dict[str, object], tuple[str, ...]]]


def message(**more: object) -> dict[str, object]:
    return {"event": "message", **more}


STREAMS: dict[str, tuple[bytes, Told]] = {
    "one event": (b"data: hello\n\n", [(b"hello", message(), ())]),
    "several lines of data": (b"data: a\ndata: b\ndata:\n\n", [(b"a\nb\n", message(), ())]),
    "name, id and retry": (
        b"event: add\nid: 7\nretry: 3000\ndata: 73857293\n\n",
        [(b"73857293", {"event": "add", "id": "7", "retry": 3000}, ())],
    ),
    "CR LF": (b"event: a\r\ndata: x\r\n\r\ndata: y\r\n\r\n", [(b"x", {"event": "a"}, ()), (b"y", message(), ())]),
    "CR": (b"event: a\rdata: x\r\rdata: y\r\r", [(b"x", {"event": "a"}, ()), (b"y", message(), ())]),
    "all line ends mixed": (
        b"data: x\r\ndata: y\rdata: z\n\r\ndata: w\r\r\n",
        [(b"x\ny\nz", message(), ()), (b"w", message(), ())],
    ),
    "only one space is the syntax's": (b"data:  x \n\ndata:y\n\n", [(b" x ", message(), ()), (b"y", message(), ())]),
    "a byte order mark": (b"\xef\xbb\xbfdata: x\n\n", [(b"x", message(), ())]),
    "a second one is not the syntax's": (b"\xef\xbb\xbf\xef\xbb\xbfdata: x\n\ndata: y\n\n", [(b"y", message(), ())]),
    "the beginning of one": (b"\xef\xbbdata: x\n\ndata: y\n\n", [(b"y", message(), ())]),
    "comments": (b": hi\n\n:\n\ndata: x\n: in it\n\ndata: y\n\n", [(b"x", message(comments=3), ()), (b"y", message(), ())]),
    "a field's name alone": (
        b"data\n\ndata\ndata\n\nid\ndata: x\n\n",
        [(b"", message(), ()), (b"\n", message(), ()), (b"x", message(id=""), ())],
    ),
    "no data is not dispatched": (
        b"retry: 10\n\nid: 4\nevent: e\n\n",
        [(b"", message(retry=10), (NO_DATA,)), (b"", {"event": "e", "id": "4"}, (NO_DATA,))],
    ),
    "what means nothing": (b"dat: x\ndatas: x\nretry: 1s\nid: a\0b\n Data: x\ndata: x\n\n", [(b"x", message(), ())]),
    "empty lines": (b"\n\n\r\n\r\r\n\ndata: x\n\n\n\n", [(b"x", message(), ())]),
    "the last one counts": (b"event: a\nevent: b\nid: 1\nid: 2\ndata: x\n\n", [(b"x", {"event": "b", "id": "2"}, ())]),
    "colons in the value": (b'data: {"a": 1}\nevent: a:b\n\n', [(b'{"a": 1}', {"event": "a:b"}, ())]),
    "not UTF-8": (b"event: \xff\ndata: \xff\n\n", [(b"\xff", {"event": "\ufffd"}, ())]),
    "cut at the end": (b"data: x\n\nid: 3\ndata: y", [(b"x", message(), ()), (b"y", message(id="3"), (EVENT_CUT,))]),
    "cut inside a field": (b"data: x\n\nid: 3", [(b"x", message(), ())]),
    "a long name": (b"event: " + b"e" * 5000 + b"\ndata: x\n\n", [(b"x", {"event": "e" * FIELD_LIMIT}, (FIELD_CUT,))]),
}


def told(messages: list[Message]) -> Told:
    return [
        (each.body, {name: value for name, value in each.attributes.items() if name != "stream_id"}, each.notes)
        for each in messages
    ]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 1 << 16])
@pytest.mark.parametrize("name", STREAMS)
def test_streams(name: str, size: int):
    data, expected = STREAMS[name]
    pieces = [data[start : start + size] for start in range(0, len(data), size)]
    for steps in (over_http1(pieces, TYPE), over_http2(pieces, TYPE.decode())):
        found = inner(steps, "sse")
        assert told(found) == expected
        assert all(each.role is Role.SINGLE and not each.exchange and each.direction is RECEIVED for each in found)
        assert all(each.complete == (EVENT_CUT not in each.notes) for each in found)
        exchange = [each for each in hear(steps).messages if each.role is Role.RESPONSE]
        assert [(each.body, each.complete, each.attributes["sse_events"]) for each in exchange] == [(data, True, len(expected))]


def test_every_event_comes_with_its_empty_line():
    steps = over_http1([b"data: a\n", b"\n", b"data: b\r\n\r", b"\ndata: c\n\n"], TYPE)
    parser, seen = hear(steps[:2]).parser, []
    for number, (direction, chunk) in enumerate(steps[2:6], 10):
        seen.append([(each.body, each.start_ns, each.end_ns) for each in parser.receive(direction, chunk, number)])
    assert seen == [[], [(b"a", 10, 11)], [(b"b", 12, 12)], [(b"c", 13, 13)]]


def flushing(coding: str, pieces: list[bytes]) -> list[bytes]:
    """Pieces as a server sends them that wants each of them to arrive."""
    match coding:
        case "gzip":
            engine = zlib.compressobj(wbits=31)
            return [engine.compress(piece) + engine.flush(zlib.Z_SYNC_FLUSH) for piece in pieces] + [engine.flush()]
        case "br":
            compressor = brotli.Compressor()
            return [compressor.process(piece) + compressor.flush() for piece in pieces] + [compressor.finish()]
        case _:
            writer = zstandard.ZstdCompressor().compressobj()
            flush = zstandard.COMPRESSOBJ_FLUSH_BLOCK
            return [writer.compress(piece) + writer.flush(flush) for piece in pieces] + [writer.flush()]


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
def test_coded_streams_come_event_by_event_also_after_a_restart(coding: str):
    pieces = [b"id: %d\ndata: %b\n\n" % (number, b"x" * number) for number in range(40)]
    coded = flushing(coding, pieces)
    for steps in (
        over_http1(coded, TYPE, b"Content-Encoding: " + coding.encode()),
        over_http2(coded, TYPE.decode(), ("content-encoding", coding)),
    ):
        assert [each.body for each in inner(steps, "sse")] == [b"x" * number for number in range(40)]
        places = range(0, len(steps), 3)
        assert [facts(each) for each in inner(steps, "sse", places)] == [facts(each) for each in inner(steps, "sse")]
        assert len(inner(steps[:-10], "sse")) > 25


def test_a_coding_that_was_not_applied():
    data = b"data: a\n\ndata: b\n\n"
    assert [each.body for each in inner(over_http1([data], TYPE, b"Content-Encoding: gzip"), "sse")] == [b"a", b"b"]


def test_a_coding_that_breaks_off_gives_no_event_twice():
    whole = gzip.compress(b"".join(b"data: %d\n\n" % number for number in range(2000)))
    broken = whole[: len(whole) // 2] + b"\xff" * 50
    found = [each.body for each in inner(over_http1([broken], TYPE, b"Content-Encoding: gzip"), "sse") if each.complete]
    assert found == [b"%d" % number for number in range(len(found))]
    assert len(found) > 100


lines = st.sampled_from(
    [b"data: x", b"data", b"data:y" * 3, b"id: 1", b"event: e", b"retry: 5", b": c", b"", b"", b"", b"zz: 1", b"\xef\xbb\xbf"]
)
ends = st.sampled_from([b"\n", b"\r", b"\r\n"])
bodies = st.lists(st.builds(lambda line, end: line + end, lines, ends), max_size=30).map(b"".join)


@settings(max_examples=150)
@given(data=bodies, places=st.sets(st.integers(1, 200), max_size=8), restore=st.booleans())
def test_cutting_changes_nothing(data: bytes, places: set[int], restore: bool):  # noqa: FBT001 - drawn
    borders = [0, *sorted(place for place in places if place < len(data)), len(data)]
    pieces = [data[start:stop] for start, stop in pairwise(borders)]
    whole, cut = EventStream(RECEIVED, Limits()), EventStream(RECEIVED, Limits())
    whole.feed(data)
    out: list[Message] = []
    for piece in pieces:
        cut.feed(piece)
        out += cut.take()
        if restore:
            again = EventStream(RECEIVED, Limits())
            again.restore(cut.state())
            cut = again
    assert cut.finish((), complete=True) == whole.finish((), complete=True)
    assert [facts(each) for each in out + cut.take()] == [facts(each) for each in whole.take()]


@given(start=st.integers(0, 400), size=st.integers(1, 60), known=st.booleans())
def test_after_a_hole_no_event_is_wrong(start: int, size: int, known: bool):  # noqa: FBT001 - drawn
    events = [b"event-%d\nsecond line" % number for number in range(20)]
    body = b"".join(b"id: %d\ndata: %b\n\n" % (number, each.replace(b"\n", b"\ndata: ")) for number, each in enumerate(events))
    start = min(start, len(body) - size - 1)
    stream = EventStream(RECEIVED, Limits())
    stream.feed(body[:start])
    stream.gap(size if known else 0)
    stream.feed(body[start + size :])
    stream.finish((), complete=False)
    found = stream.take()
    assert {each.body for each in found if each.complete} <= set(events)
    assert all(each.attributes["id"] == str(events.index(each.body)) for each in found if each.complete)
    lost = body.count(b"\n\n", max(start - 60, 0), start + size + 60) + 3
    assert sum(each.complete for each in found) >= len(events) - lost
    assert all(GAP in each.notes for each in found if EVENT_CUT in each.notes)
    assert sum(RESYNCHRONISED in each.notes for each in found) <= 1


def test_a_hole_in_the_connection_is_told_before_the_restart():
    steps = over_http1([b"data: a\n\ndata: b", b"ehind it\n\ndata: lost\n\ndata: c\n\n", b"data: d\n\n"], TYPE)
    cut = steps[3][1]
    assert isinstance(cut, bytes)
    holed: list[Step] = [*steps[:3], (RECEIVED, cut[:8]), (RECEIVED, Gap(7)), (RECEIVED, cut[15:]), *steps[4:]]
    found = inner(holed, "sse")
    assert [(each.body, each.complete, each.missing_bytes) for each in found[:2]] == [(b"a", True, 0), (b"behin", False, 7)]
    assert [each.body for each in found if each.complete][-1] == b"d"
    for place in range(len(holed)):
        assert [facts(each) for each in inner(holed, "sse", [place])] == [facts(each) for each in found]


def test_a_stream_that_nobody_ends():
    steps: list[Step] = [
        (SENT, request()),
        (RECEIVED, b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: a\n\nda"),
    ]
    assert [each.body for each in inner(steps, "sse")] == [b"a"]
    assert [each.notes for each in hear(closed(steps, End.LOST)).messages if each.role is Role.RESPONSE] == [("end-not-seen",)]


def test_requests_and_other_types_have_no_events():
    steps: list[Step] = [
        (SENT, request(b"/", b"Content-Type: text/event-stream", method=b"POST", body=b"data: x\n\n")),
        *over_http1([b"data: x\n\n"], b"text/plain")[1:],
    ]
    assert inner(steps, "sse") == []


def test_what_it_holds_is_bounded():
    limits = Limits(body=1000)
    stream = EventStream(Direction.SENT, limits)
    for piece in [b"data: ", *[b"x" * 10_000] * 100, b"\nevent: ", *[b"y" * 10_000] * 100, *[b"\nz" + b"z" * 10_000] * 100]:
        stream.feed(piece)
        assert len(stream.state()) < 4000
        assert stream.weight() <= limits.body
    stream.feed(b"\n\n")
    (event,) = stream.take()
    assert (len(event.body), event.body_size, event.notes) == (1000, 1_000_000, (FIELD_CUT, "truncated"))


class Events(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        coded = "gzip" in self.headers.get("Accept-Encoding", "")
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        if coded:
            self.send_header("Content-Encoding", "gzip")
        self.end_headers()
        pieces = [b'event: tick\nid: %d\ndata: {"n": %d}\n\n' % (number, number) for number in range(50)]
        for piece in flushing("gzip", pieces) if coded else pieces:
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    server = ThreadingHTTPServer((HOST, 0), Events)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join(30)
    server.server_close()


@pytest.mark.parametrize("options", [[], ["--compressed"]], ids=["plain", "compressed"])
def test_curl_and_a_server(port: int, options: list[str]):
    with recording(port) as recorder:
        command = ["curl", "--silent", "--no-buffer", "--max-time", "30", *options, f"http://{HOST}:{recorder.port}/"]
        printed = subprocess.run(command, capture_output=True, check=True, timeout=60).stdout
    found = inner(closed(list(recorder.connections[0])), "sse")
    assert [(each.attributes["id"], each.body) for each in found] == [(str(n), b'{"n": %d}' % n) for n in range(50)]
    assert b"".join(b"event: tick\nid: %b\ndata: %b\n\n" % (str(e.attributes["id"]).encode(), e.body) for e in found) == printed


def test_all_of_it_byte_by_byte():
    steps = over_http1([data for data, _ in STREAMS.values()], TYPE)
    expected = [facts(each) for each in inner(steps, "sse")]
    assert [facts(each) for each in inner(bytewise(steps), "sse")] == expected
    assert [facts(each) for each in inner(sliced(steps, 7), "sse", range(0, 4000, 11))] == expected
