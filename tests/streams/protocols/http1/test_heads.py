import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetcap_streams.protocols.contract import Opening, Score
from fleetcap_streams.protocols.http1 import notes
from fleetcap_streams.protocols.http1.framing import CHUNKED, UNTIL_CLOSE, frame
from fleetcap_streams.protocols.http1.head import HEADS, could_begin, read_head, read_start_line
from fleetcap_streams.protocols.http1.probe import probe
from fleetcap_streams.protocols.http1.search import LOOK_BACK, find_head


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"GET / HTTP/1.1\r\n", ("GET", "/", 0, "", "1.1", ())),
        (b"get /lower HTTP/1.0\n", ("get", "/lower", 0, "", "1.0", ())),
        (b"M-SEARCH * HTTP/1.1", ("M-SEARCH", "*", 0, "", "1.1", ())),
        (b"GET http://h/x?y HTTP/1.1", ("GET", "http://h/x?y", 0, "", "1.1", ())),
        ("GET /\u00fc HTTP/1.1".encode(), ("GET", "/\u00fc", 0, "", "1.1", ())),
        (b"GET /\xfc HTTP/1.1", ("GET", "/\u00fc", 0, "", "1.1", ())),
        (b"GET  /  HTTP/1.1", ("GET", "/", 0, "", "1.1", (notes.START_LINE_SPACES,))),
        (b"GET / HTTP/1.1 ", ("GET", "/", 0, "", "1.1", (notes.START_LINE_SPACES,))),
        (b"GET /a b HTTP/1.1", ("GET", "/a b", 0, "", "1.1", (notes.TARGET_SPACES,))),
        (b"HTTP/1.1 200 OK", ("", "", 200, "OK", "1.1", ())),
        (b"HTTP/1.0 404", ("", "", 404, "", "1.0", ())),
        (b"HTTP/1.1 404 ", ("", "", 404, "", "1.1", ())),
        (b"HTTP/1.1 299 any  thing", ("", "", 299, "any  thing", "1.1", ())),
        (b"HTTP/1.1 200 \xe9", ("", "", 200, "\u00e9", "1.1", ())),
    ],
)
def test_start_lines(line: bytes, expected: tuple[object, ...]):
    assert read_start_line(line) == expected


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"GET",
        b"GET /",
        b"GET / HTTP/2.0",
        b"PRI * HTTP/2.0",
        b"GET / HTTP/1.x",
        b"GET / http/1.1",
        b"GET HTTP/1.1",
        b" GET / HTTP/1.1",
        b"G@T / HTTP/1.1",
        b"A" * 41 + b" / HTTP/1.1",
        b"GET /\x00 HTTP/1.1",
        b"GET /\r HTTP/1.1",
        b"HTTP/1.1 20 OK",
        b"HTTP/1.1 2000 OK",
        b"HTTP/1.1 099 no",
        b"HTTP/1.1200 OK",
        b"HTTP/2 200",
        b"RTSP/1.0 200 OK",
        b"SIP/2.0 200 OK",
        b"220 mail.example ESMTP",
    ],
)
def test_no_start_lines(line: bytes):
    assert read_start_line(line) is None


words = st.sampled_from(
    [b"GET", b"HTTP/", b"1.", b"1", b"0", b"200", b" ", b"\t", b"/", b"\r", b"\x00", b"OK", b"A" * 39, b"\xc3"]
)


@settings(deadline=None)
@given(st.lists(words, max_size=9).map(b"".join), st.sampled_from([b"\r\n", b"\n", b"\r\r\n"]))
def test_whatever_begins_a_start_line_could_begin_one(line: bytes, end: bytes):
    """The judgement of dripping bytes may be wrong in one way only, or a cut would change what is read."""
    for candidate in (line + end, line + b" HTTP/1.1" + end, b"HTTP/1.1 200 " + line + end):
        if read_start_line(candidate) is not None:
            assert all(could_begin(candidate[:size]) for size in range(1, len(candidate)))


@pytest.mark.parametrize(
    "data", [b"\x16\x03", b"*1\r", b"PING\r\n", b"HTTP/2", b"HTTP/1.1 2x", b"A" * 41, b"GET \x01", b"{", b"\r"]
)
def test_what_cannot_begin_one_is_known_at_once(data: bytes):
    assert not could_begin(data)


@pytest.mark.parametrize(
    ("fields", "pairs", "expected"),
    [
        (b"A: b\r\n", [("A", "b")], ()),
        (b"a:b\r\nA:\t c \t\r\n", [("a", "b"), ("A", "c")], ()),
        (b"A:\r\n", [("A", "")], ()),
        (b"A: b: c\r\n", [("A", "b: c")], ()),
        ("A: \u20ac\r\n".encode(), [("A", "\u20ac")], ()),
        (b"A: \xe9\r\n", [("A", "\u00e9")], ()),
        (b"A: b\nC: d\n", [("A", "b"), ("C", "d")], (notes.BARE_LF,)),
        (b"A: b\r\nC: d\n", [("A", "b"), ("C", "d")], (notes.BARE_LF,)),
        (b"A: b\r\n  c\r\n\td\r\nE: f\r\n", [("A", "b c d"), ("E", "f")], (notes.OBS_FOLD,)),
        (b"A : b\r\n", [("A", "b")], (notes.SPACE_BEFORE_COLON,)),
        (b"no field\r\nA: b\r\n", [("A", "b")], (notes.HEADER_INVALID,)),
        (b": b\r\n", [], (notes.HEADER_INVALID,)),
        (b"A: b\x00c\r\n", [("A", "b\x00c")], (notes.HEADER_INVALID,)),
        (b"A: b\rc\r\n", [("A", "b\rc")], (notes.HEADER_INVALID,)),
    ],
)
def test_fields(fields: bytes, pairs: list[tuple[str, str]], expected: tuple[str, ...]):
    raw = b"GET / HTTP/1.1\r\n" + fields + b"\r\n"
    for _ in range(2):  # read, and looked up
        head = read_head(raw)
        assert head is not None
        assert (list(head.http.headers), head.notes, head.raw) == (pairs, expected, raw)


def test_what_is_remembered_of_heads_is_bounded():
    for number in range(5000):
        read_head(b"GET /%d HTTP/1.1\r\nX-Number: %d\r\n\r\n" % (number, number))
    assert len(HEADS) <= 1024
    long = b"GET / HTTP/1.1\r\nX: " + bytes(9000).replace(b"\0", b"x") + b"\r\n\r\n"
    assert read_head(long) is not None
    assert long not in HEADS


@pytest.mark.parametrize(
    ("lengths", "transfer", "content", "request_length", "response_length", "codings", "said"),
    [
        ([], [], [], 0, UNTIL_CLOSE, (), ()),
        (["5"], [], [], 5, 5, (), ()),
        (["5", "5"], [], [], 5, 5, (), (notes.LENGTH_REPEATED,)),
        (["5, 05"], [], [], 5, 5, (), (notes.LENGTH_REPEATED,)),
        (["5", "6"], [], [], 0, UNTIL_CLOSE, (), (notes.LENGTH_CONFLICT,)),
        (["5,6"], [], [], 0, UNTIL_CLOSE, (), (notes.LENGTH_CONFLICT,)),
        (["+5"], [], [], 0, UNTIL_CLOSE, (), (notes.LENGTH_INVALID,)),
        (["-1"], [], [], 0, UNTIL_CLOSE, (), (notes.LENGTH_INVALID,)),
        (["0x5"], [], [], 0, UNTIL_CLOSE, (), (notes.LENGTH_INVALID,)),
        ([""], [], [], 0, UNTIL_CLOSE, (), (notes.LENGTH_INVALID,)),
        (["\u0665"], [], [], 0, UNTIL_CLOSE, (), (notes.LENGTH_INVALID,)),
        (["9" * 19], [], [], 0, UNTIL_CLOSE, (), (notes.LENGTH_INVALID,)),
        ([], ["chunked"], [], CHUNKED, CHUNKED, (), ()),
        ([], ["Chunked"], [], CHUNKED, CHUNKED, (), ()),
        (["9"], ["chunked"], [], CHUNKED, CHUNKED, (), (notes.LENGTH_AND_CHUNKED,)),
        ([], ["gzip, chunked"], [], CHUNKED, CHUNKED, ("gzip",), ()),
        ([], ["gzip", "chunked"], ["br"], CHUNKED, CHUNKED, ("gzip", "br"), ()),
        ([], ["chunked, gzip"], [], UNTIL_CLOSE, UNTIL_CLOSE, ("gzip",), (notes.CHUNKED_NOT_LAST, notes.TRANSFER_CODING_UNKNOWN)),
        ([], ["strange, chunked"], [], CHUNKED, CHUNKED, (), (notes.TRANSFER_CODING_UNKNOWN,)),
        (["5"], ["identity"], [], 5, 5, (), ()),
        (["5"], [], ["gzip, br"], 5, 5, ("br", "gzip"), ()),
        (["5"], [], ["GZIP", "identity"], 5, 5, ("gzip",), ()),
        (["5"], [], ["aws-chunked, gzip"], 5, 5, ("gzip",), (notes.CONTENT_CODING_UNKNOWN,)),
        (["5"], [], ["gzip,gzip,gzip,gzip,gzip"], 5, 5, ("gzip",) * 4, (notes.CONTENT_CODING_UNKNOWN,)),
    ],
)
def test_framing(
    lengths: list[str],
    transfer: list[str],
    content: list[str],
    request_length: int,
    response_length: int,
    codings: tuple[str, ...],
    said: tuple[str, ...],
):
    for request, length in ((True, request_length), (False, response_length)):
        framing = frame(request=request, version="1.1", lengths=lengths, transfer=transfer, content=content)
        assert (framing.length, framing.codings, set(framing.notes)) == (length, codings, set(said))


def test_chunked_in_http_1_0_is_read_and_told():
    framing = frame(request=False, version="1.0", lengths=[], transfer=["chunked"], content=[])
    assert (framing.length, framing.notes) == (CHUNKED, (notes.CHUNKED_IN_1_0,))


HEAD = b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n"


@pytest.mark.parametrize(
    ("data", "place"),
    [
        (HEAD, 0),
        (b'{"a": 1}' + HEAD, 8),
        (b"xx\nGET / HTTP/1.1\r\nA: b\r\n", 3),
        (b'{"a": 1}GET / HTTP/1.1\r\nA: b\r\n', 8),
        (b"xx\nBREW /pot HTTP/1.1\r\nA: b\r\n", 3),
        (b"xxBREW /pot HTTP/1.1\r\nA: b\r\n", 0),  # its own method, for all that anybody knows
        (b"x xBREW /pot HTTP/1.1\r\nA: b\r\n", 0),
        (b"HTTP/1.1 OK 200\r\n" + HEAD, 17),
        (b"curl says: HTTP/1.1 200 OK and then\r\nmore text\r\n" + HEAD, 48),
        (b"GET / HTTP/1.1\r\n\r\n", 0),
        (b"\r\nHTTP/1.1 204\nA: b\n\n", 2),
        (b"see GET / HTTP/1.1 for more\r\n" + HEAD, 29),
        (b"x" * 3 * LOOK_BACK + HEAD, 3 * LOOK_BACK),
    ],
)
def test_the_next_head_is_found_anywhere(data: bytes, place: int):
    assert find_head(data, 0, line_start=True)[0] == place


@pytest.mark.parametrize(
    "data", [b"", b"HTTP/1.1 200 OK\r\nno field\r\n", b"text HTTP/1.1\r\n", b"GET /x HTTP/1.1\r\n\x00", b"\x00" * 99]
)
def test_what_only_looks_like_one_is_not_found(data: bytes):
    assert find_head(data, 0, line_start=True)[0] < 0


@settings(deadline=None)
@given(
    st.lists(st.sampled_from([b"HTTP/1.1 200 OK\r\n", b"A: b\r\n", b"GET / ", b"\n", b"x", b" ", b"H"]), max_size=12).map(
        b"".join
    )
)
def test_what_is_kept_is_enough_to_find_it_when_more_comes(data: bytes):
    whole, _ = find_head(data, 0, line_start=True)
    start, line_start = 0, True
    for size in range(1, len(data) + 1):
        found, keep = find_head(data[start:size], 0, line_start=line_start)
        if found >= 0:
            assert start + found == whole
            return
        line_start = data[start + keep - 1] == 0x0A if keep else line_start
        start += keep
    assert whole < 0


@pytest.mark.parametrize(
    ("received", "sent", "joined", "score"),
    [
        (b"", b"", False, Score.MORE),
        (b"", b"GET / HTTP/1.1\r\n", False, Score.YES),
        (b"GET / HTTP/1.1\r\n", b"", False, Score.YES),
        (b"HTTP/1.1 200 OK\r\n", b"", False, Score.YES),
        (b"HTTP/1.1 200 OK", b"", False, Score.MORE),
        (b"", b"\r\n\r\nGET / HTTP/1.1\r\n", False, Score.YES),
        (b"", b"GET /" + b"x" * 5000, False, Score.MORE),
        (b"", b"GET / HTTP/2.0\r\n", False, Score.NO),
        (b"\x16\x03\x03", b"GE", False, Score.NO),
        (b"\x4a\x00\x00\x00\x0a5.7", b"", False, Score.NO),
        (b"", b"\x00\x00\x00\x08\x04\xd2\x16\x2f", False, Score.NO),
        (b"+OK\r\n", b"*1\r\n$4\r\nPING\r\n", False, Score.NO),
        (b"\x00\x01", b"", True, Score.MORE),
        (b"tail of a body" + HEAD, b"", True, Score.MAYBE),
        (b"", b"GET / HTTP/1.1\r\n", True, Score.YES),
    ],
)
def test_the_probe(received: bytes, sent: bytes, joined: bool, score: Score):  # noqa: FBT001
    assert probe(Opening(received, sent, joined, None)) is score
