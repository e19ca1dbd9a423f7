import gzip
import hashlib
import zlib
from collections.abc import Callable

import brotli
import pytest
import zstandard
from hpack import Encoder

from fleetcap_streams.protocols.contract import Direction, End, Gap, Limits, Message, Role
from fleetcap_streams.protocols.http2.parser import Http2Parser
from fleetcap_streams.protocols.http2.reader import PREFACE
from tests.streams.protocols.http2.conversation import CLIENT, SERVER, headers_of, random_conversation, run
from tests.streams.protocols.http2.test_reader import frame

GET = [(":method", "GET"), (":scheme", "https"), (":authority", "example.test"), (":path", "/a")]
POST = [(":method", "POST"), *GET[1:]]
OK = [(":status", "200"), ("server", "test")]
DATA, HEADERS, PRIORITY, RST, SETTINGS, PUSH, PING, GOAWAY, WINDOW, CONTINUATION = range(10)
END_STREAM, END_HEADERS, PADDED, WITH_PRIORITY = 1, 4, 8, 0x20
BOTH = END_STREAM | END_HEADERS
Headers = list[tuple[str, str]]


class Peers:
    """Frames by hand, to say what no library would."""

    def __init__(self, *, upgrade: int | None = None, limits: Limits | None = None) -> None:
        self.parser = Http2Parser(limits or Limits(), upgrade=upgrade)
        self.encoders = {direction: Encoder() for direction in Direction}
        self.clock = 0
        self.messages: list[Message] = []
        self.send(CLIENT, PREFACE + frame(SETTINGS, 0, 0))
        self.send(SERVER, frame(SETTINGS, 0, 0))

    def send(self, direction: Direction, chunk: bytes | Gap | End) -> list[Message]:
        self.clock += 1000
        messages = list(self.parser.receive(direction, chunk, self.clock))
        self.messages += messages
        return messages

    def block(self, direction: Direction, headers: Headers) -> bytes:
        return self.encoders[direction].encode(headers)

    def head(self, direction: Direction, stream: int, headers: Headers, flags: int = END_HEADERS) -> list[Message]:
        return self.send(direction, frame(HEADERS, flags, stream, self.block(direction, headers)))

    def data(self, direction: Direction, stream: int, data: bytes, *, end: bool = True) -> list[Message]:
        return self.send(direction, frame(DATA, int(end), stream, data))

    def get(self, stream: int = 1) -> Message:
        return self.head(CLIENT, stream, GET, BOTH)[0]


def test_conversations_are_decoded_whole():
    for seed in range(5):
        talk = random_conversation(seed)
        for size in (1 << 20, 1, 13):
            chunks = [(side, data[at : at + size]) for side, data in talk.sent for at in range(0, len(data), size)]
            messages = run(Http2Parser(Limits()), chunks)  # type: ignore[arg-type]
            assert len(messages) == len(talk.said)
            for message, said in zip(messages, talk.said, strict=True):
                assert headers_of(message) == said.headers
                assert message.http is not None
                assert list(message.http.trailers) == said.trailers
                assert (message.body, message.body_size) == (said.body, len(said.body))
                assert message.body_sha256 == hashlib.sha256(said.body).digest()
                assert (message.direction, message.exchange) == (said.direction, said.stream)
                assert message.role is (Role.REQUEST if said.direction is CLIENT else Role.RESPONSE)
                assert (message.complete, message.notes, message.missing_bytes) == (True, (), 0)


class TestHeads:
    def test_a_request(self):
        message = Peers().head(CLIENT, 1, [*GET, ("accept", "*/*")], BOTH)[0]
        assert message.http is not None
        assert (message.http.method, message.http.target, message.http.authority) == ("GET", "/a", "example.test")
        assert (message.http.version, message.http.status) == ("2", 0)
        assert message.http.headers == (("accept", "*/*"),)
        assert message.head == b"GET /a HTTP/2\r\nhost: example.test\r\naccept: */*\r\n\r\n"
        assert message.attributes == {"stream_id": 1, "scheme": "https"}
        assert message.protocol == "http2"

    def test_times(self):
        peers = Peers()
        block = frame(HEADERS, END_HEADERS, 1, peers.block(CLIENT, POST))
        peers.send(CLIENT, block[:5])
        began = peers.clock
        peers.send(CLIENT, block[5:])
        message = peers.data(CLIENT, 1, b"x")[0]
        assert (message.start_ns, message.end_ns) == (began, peers.clock)

    def test_interim_responses_do_not_end_the_exchange(self):
        peers = Peers()
        peers.get()
        early = peers.head(SERVER, 1, [(":status", "103"), ("link", "</a.css>")])[0]
        final = peers.head(SERVER, 1, OK, BOTH)[0]
        assert (early.role, early.exchange, final.role, final.exchange) == (Role.INTERIM, 1, Role.RESPONSE, 1)

    def test_either_direction_may_be_the_clients(self):
        parser = Http2Parser(Limits())
        parser.receive(SERVER, PREFACE + frame(SETTINGS, 0, 0), 1)
        message = parser.receive(SERVER, frame(HEADERS, BOTH, 1, Encoder().encode(GET)), 2)[0]
        assert (message.direction, message.role) == (SERVER, Role.REQUEST)

    def test_connect_names_its_target(self):
        message = Peers().head(CLIENT, 1, [(":method", "CONNECT"), (":authority", "db.test:5432")], BOTH)[0]
        assert message.http is not None
        assert (message.http.target, message.notes) == ("db.test:5432", ())

    def test_extended_connect(self):
        said = [(":method", "CONNECT"), (":protocol", "websocket"), *GET[1:]]
        message = Peers().head(CLIENT, 1, said, BOTH)[0]
        assert message.attributes["connect_protocol"] == "websocket"
        assert message.notes == ()

    @pytest.mark.parametrize(
        ("headers", "note"),
        [
            ([*GET, ("Upper", "x")], "header-invalid"),
            ([*GET, ("x", "a\r\nb: c")], "header-invalid"),
            ([*GET, ("transfer-encoding", "chunked")], "connection-specific-header"),
            ([*GET, ("te", "gzip")], "connection-specific-header"),
            ([*GET, (":status", "200")], "pseudo-header-invalid"),
            ([("a", "b"), *GET], "pseudo-header-invalid"),
            ([*GET, (":path", "/b")], "pseudo-header-invalid"),
            (GET[:2], "pseudo-header-invalid"),
            ([*GET, (":new", "x")], "pseudo-header-invalid"),
            ([*GET, ("content-length", "5"), ("content-length", "6")], "content-length-invalid"),
            ([*GET, ("content-length", "5")], "content-length-mismatch"),
            ([*GET, ("content-encoding", "secret")], "content-coding-unknown"),
        ],
    )
    def test_what_is_wrong_with_a_head_is_noted(self, headers: Headers, note: str):
        assert note in Peers().head(CLIENT, 1, headers, BOTH)[0].notes

    def test_a_response_to_head_has_a_length_and_no_body(self):
        peers = Peers()
        peers.head(CLIENT, 1, [(":method", "HEAD"), *GET[1:]], BOTH)
        assert peers.head(SERVER, 1, [*OK, ("content-length", "7")], BOTH)[0].notes == ()


class TestFrames:
    def test_padding_and_priority(self):
        peers = Peers()
        block = peers.block(CLIENT, POST)
        flags = END_HEADERS | PADDED | WITH_PRIORITY
        peers.send(CLIENT, frame(HEADERS, flags, 1, b"\x04" + b"\0\0\0\0\x10" + block + bytes(4)))
        message = peers.send(CLIENT, frame(DATA, END_STREAM | PADDED, 1, b"\x03abc" + bytes(3)))[0]
        assert (headers_of(message), message.body) == (POST, b"abc")

    @pytest.mark.parametrize("pieces", [2, 3, 10])
    def test_continuation(self, pieces: int):
        peers = Peers()
        block = peers.block(CLIENT, [*GET, ("x", "y" * 50)])
        size = -(-len(block) // pieces)
        parts = [block[at : at + size] for at in range(0, len(block), size)]
        wire = frame(HEADERS, END_STREAM, 1, parts[0])
        for part in parts[1:-1]:
            wire += frame(CONTINUATION, 0, 1, part)
        message = peers.send(CLIENT, wire + frame(CONTINUATION, END_HEADERS, 1, parts[-1]))[0]
        assert headers_of(message) == [*GET, ("x", "y" * 50)]

    def test_a_block_that_is_broken_off_costs_the_table_not_the_connection(self):
        peers = Peers()
        peers.send(CLIENT, frame(HEADERS, END_STREAM, 1, peers.block(CLIENT, [*GET, ("x-lost", "1")])))
        peers.send(CLIENT, frame(PING, 0, 0, bytes(8)))
        lost = peers.messages[0]
        assert (lost.complete, lost.role) == (False, Role.REQUEST)
        assert {"head-unknown", "continuation-missing"} <= set(lost.notes)
        message = peers.head(CLIENT, 3, [*GET, ("x-lost", "1"), ("x-new", "2")], BOTH)[0]
        assert message.http is not None
        assert message.http.headers[-2:] == (("?", "?"), ("x-new", "2"))
        assert (message.notes, message.attributes["stream_id"]) == (("headers-unknown",), 3)

    def test_trailers(self):
        peers = Peers()
        peers.get()
        peers.head(SERVER, 1, OK)
        peers.data(SERVER, 1, b"body", end=False)
        message = peers.head(SERVER, 1, [("x-sum", "1")], BOTH)[0]
        assert message.http is not None
        assert (message.body, message.http.trailers, message.complete) == (b"body", (("x-sum", "1"),), True)

    def test_streams_are_interleaved(self):
        peers = Peers()
        for stream in (1, 3, 5):
            peers.get(stream)
            peers.head(SERVER, stream, OK)
        for letter in b"xyz":
            for stream in (5, 1, 3):
                peers.data(SERVER, stream, bytes((letter,)) * stream, end=letter == ord("z"))
        assert [(m.exchange, m.body) for m in peers.messages[3:]] == [
            (stream, b"x" * stream + b"y" * stream + b"z" * stream) for stream in (5, 1, 3)
        ]

    def test_a_response_may_end_before_its_request(self):
        peers = Peers()
        peers.head(CLIENT, 1, POST)
        answer = peers.head(SERVER, 1, [(":status", "413")], BOTH)[0]
        request = peers.send(SERVER, frame(RST, 0, 1, bytes(4)))[0]
        assert (answer.role, answer.exchange, answer.complete) == (Role.RESPONSE, 1, True)
        assert (request.role, request.exchange, request.complete) == (Role.REQUEST, 1, False)
        assert request.notes == ("reset:NO_ERROR",)

    def test_a_reset_ends_what_is_open_and_answers_what_is_asked(self):
        peers = Peers()
        peers.get(1)
        peers.get(3)
        peers.head(SERVER, 3, OK)
        refused = peers.send(SERVER, frame(RST, 0, 1, (7).to_bytes(4)))
        cancelled = peers.send(CLIENT, frame(RST, 0, 3, (8).to_bytes(4)))
        assert [(m.role, m.exchange, m.complete, m.notes) for m in refused] == [
            (Role.RESPONSE, 1, False, ("reset:REFUSED_STREAM",))
        ]
        assert [(m.role, m.exchange, m.complete, m.notes) for m in cancelled] == [(Role.RESPONSE, 3, False, ("reset:CANCEL",))]
        assert peers.data(SERVER, 3, b"was on its way", end=False) == []
        assert "frames-after-end" in peers.head(SERVER, 5, OK, BOTH)[0].notes

    def test_goaway(self):
        peers = Peers()
        message = peers.send(SERVER, frame(GOAWAY, 0, 0, (5).to_bytes(4) + (11).to_bytes(4) + b"slow down"))[0]
        assert (message.role, message.body, message.notes) == (Role.SINGLE, b"slow down", ("goaway",))
        assert message.attributes == {"last_stream_id": 5, "error_code": 11, "error": "ENHANCE_YOUR_CALM"}

    def test_a_promised_request_pairs_with_what_is_pushed(self):
        peers = Peers()
        peers.get()
        promise = [(":method", "GET"), *GET[1:3], (":path", "/style.css")]
        pushed = peers.send(SERVER, frame(PUSH, END_HEADERS, 1, (2).to_bytes(4) + peers.block(SERVER, promise)))[0]
        peers.head(SERVER, 2, OK)
        answer = peers.data(SERVER, 2, b"body {}")[0]
        assert (pushed.role, pushed.exchange, pushed.notes, pushed.direction) == (Role.REQUEST, 2, ("pushed",), SERVER)
        assert headers_of(pushed) == promise
        assert (answer.role, answer.exchange, answer.body) == (Role.RESPONSE, 2, b"body {}")

    def test_table_sizes_go_up_and_down(self):
        peers = Peers()
        for stream, size in enumerate((100, 4096, 0, 16_000, 60)):
            peers.send(SERVER, frame(SETTINGS, 0, 0, b"\0\1" + size.to_bytes(4)))
            peers.encoders[CLIENT].header_table_size = size
            for more in (1, 3, 5):
                headers = [*GET, ("x-a", str(stream)), ("x-b", "b" * 30)]
                assert headers_of(peers.head(CLIENT, stream * 6 + more, headers, BOTH)[0]) == headers
        assert {note for message in peers.messages for note in message.notes} == set()

    def test_invalid_frames_are_noted_and_the_connection_goes_on(self):
        peers = Peers()
        peers.send(CLIENT, frame(PRIORITY, 0, 1, bytes(6)))
        assert peers.get().notes == ("frame-invalid:PRIORITY:FRAME_SIZE_ERROR",)

    def test_an_upgraded_connection_answers_the_http1_request_first(self):
        peers = Peers(upgrade=7)
        answer = peers.head(SERVER, 1, OK, BOTH)[0]
        peers.get(3)
        second = peers.head(SERVER, 3, OK, BOTH)[0]
        assert [(m.exchange, m.notes) for m in (answer, second)] == [(7, ("upgraded",)), (3, ())]

    def test_a_response_that_nobody_asked_for_has_no_exchange(self):
        peers = Peers()
        assert peers.head(SERVER, 1, OK, BOTH)[0].notes == ("upgraded",)
        answer = peers.head(SERVER, 3, OK, BOTH)[0]
        assert (answer.exchange, answer.notes) == (0, ("request-unknown",))


def zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(data)


class TestBodies:
    BODY = b"all work and no play " * 400

    @pytest.mark.parametrize(
        ("coding", "encode"),
        [("gzip", gzip.compress), ("deflate", zlib.compress), ("br", brotli.compress), ("zstd", zstd)],
    )
    @pytest.mark.parametrize("pieces", [1, 4])
    def test_content_codings(self, coding: str, encode: Callable[[bytes], bytes], pieces: int):
        peers = Peers()
        peers.get()
        peers.head(SERVER, 1, [*OK, ("content-encoding", coding)])
        encoded = encode(self.BODY)
        size = -(-len(encoded) // pieces)
        for at in range(0, len(encoded), size):
            peers.data(SERVER, 1, encoded[at : at + size], end=at + size >= len(encoded))
        message = peers.messages[-1]
        assert (message.body, message.encoded_size, message.notes) == (self.BODY, len(encoded), ())
        assert message.body_sha256 == hashlib.sha256(self.BODY).digest()

    def test_a_hole_in_a_body_is_counted_where_it_is(self):
        peers = Peers()
        peers.get()
        peers.head(SERVER, 1, OK)
        wire = frame(DATA, END_STREAM, 1, b"0123456789")
        peers.send(SERVER, wire[:12])
        peers.send(SERVER, Gap(4))
        message = peers.send(SERVER, wire[16:])[0]
        assert (message.body, message.missing_bytes, message.complete) == (b"012789", 4, False)
        assert (message.body_sha256, message.notes) == (b"", ("gap",))

    def test_a_stream_that_never_ends_is_put_out_at_the_end(self):
        peers = Peers()
        peers.get()
        peers.head(SERVER, 1, OK)
        peers.data(SERVER, 1, b"half", end=False)
        assert peers.send(SERVER, End.IDLE) == []
        message = peers.send(SERVER, End.CLOSED)[0]
        assert (message.body, message.complete, message.notes) == (b"half", False, ("body-cut",))


class TestJoined:
    def test_the_first_bytes_are_the_middle_of_a_body(self):
        parser = Http2Parser(Limits())
        parser.receive(SERVER, Gap(0), 1)
        messages = list(parser.receive(SERVER, b"rest of a body" + frame(DATA, 1, 5, b"end"), 2))
        messages += parser.receive(SERVER, frame(HEADERS, BOTH, 7, Encoder().encode(OK)), 3)
        messages += parser.receive(SERVER, End.IDLE, 4)
        skipped, tail, answer = messages
        assert (skipped.role, skipped.body, skipped.notes[0]) == (Role.SINGLE, b"rest of a body", "skipped")
        assert (tail.body, tail.complete, tail.exchange) == (b"end", False, 5)
        assert "head-unknown" in tail.notes
        assert (headers_of(answer), answer.role) == (OK, Role.RESPONSE)

    def test_missing_bytes_are_told_even_where_frames_go_on_at_once(self):
        peers = Peers()
        peers.send(CLIENT, Gap(100))
        told, message = peers.head(CLIENT, 9, GET, BOTH)
        assert (told.missing_bytes, told.role) == (100, Role.SINGLE)
        assert message.notes == ("resynchronised",)

    def test_a_body_whose_coding_may_be_unknown_says_so(self):
        peers = Peers()
        peers.get()
        peers.head(SERVER, 1, [*OK, ("content-encoding", "gzip")], BOTH)
        peers.send(SERVER, Gap(50))
        peers.get(3)
        peers.head(SERVER, 3, [*OK, ("content-encoding", "gzip")])
        message = peers.data(SERVER, 3, gzip.compress(b"x"))[-1]
        assert (message.complete, message.body_sha256) == (True, b"")
        assert {"headers-unknown", "content-coding-uncertain"} <= set(message.notes)

    def test_trailers_that_are_all_there_is_are_not_taken_for_a_whole_response(self):
        """The request was seen, but what came before the first byte of the response's direction was not."""
        parser = Http2Parser(Limits())
        parser.receive(SERVER, Gap(0), 1)
        parser.receive(CLIENT, PREFACE + frame(SETTINGS, 0, 0) + frame(HEADERS, BOTH, 1, Encoder().encode(GET)), 2)
        messages = list(parser.receive(SERVER, frame(HEADERS, BOTH, 1, b"\xbe\x7e\x016"), 3))
        messages += parser.receive(SERVER, End.IDLE, 4)
        answer = messages[-1]
        assert (answer.role, answer.complete) == (Role.RESPONSE, False)
        assert {"head-unknown", "trailers-uncertain"} <= set(answer.notes)
