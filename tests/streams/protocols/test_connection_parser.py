"""What becomes of a connection whose parser switches, is mistaken or has a defect; with a made-up protocol of lines."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetcap_streams.protocols.connection_parser import ConnectionParser
from fleetcap_streams.protocols.contract import (
    Chunk,
    Direction,
    End,
    Gap,
    Limits,
    Message,
    Opening,
    ProtocolSpec,
    Role,
    Score,
    SwitchProtocol,
    WrongProtocol,
)
from fleetcap_streams.protocols.errors import RegistryError, SnapshotError
from fleetcap_streams.protocols.registry import Registry, default_registry
from tests.streams.protocols.transcript import RECEIVED, SENT, Step, bytewise, closed, plain, request, response

LIMITS = Limits()


class LineParser:
    """Each line is a message. `?` is another protocol, `!` a defect, `>NAME` a switch."""

    def __init__(self, _limits: Limits) -> None:
        self.begun = [b"", b""]
        self.count = 0

    def receive(self, direction: Direction, chunk: Chunk, time_ns: int) -> Sequence[Message]:
        messages: list[Message] = []
        if isinstance(chunk, End):
            return self.end(direction, time_ns) if chunk is not End.IDLE else messages
        if isinstance(chunk, Gap):
            return messages
        *lines, self.begun[direction] = (self.begun[direction] + chunk).split(b"\n")
        for number, line in enumerate(lines):
            match line[:1]:
                case b"?":
                    raise WrongProtocol
                case b"!":
                    raise ZeroDivisionError(line)
                case b">":
                    rest = b"\n".join([*lines[number + 1 :], self.begun[direction]])
                    items = [(direction, rest, time_ns)] if rest else []
                    raise SwitchProtocol(messages, items, line[1:].decode(), self.count)
            messages.append(self.message(direction, line, time_ns))
        return messages

    def message(self, direction: Direction, line: bytes, time_ns: int) -> Message:
        self.count += 1
        return Message("lines", direction, Role.REQUEST, self.count, time_ns, time_ns, body=line)

    def end(self, direction: Direction, time_ns: int) -> list[Message]:
        rest, self.begun[direction] = self.begun[direction], b""
        return [self.message(direction, rest, time_ns)] if rest else []

    def snapshot(self) -> bytes:
        return b"%d|" % self.count + self.begun[0] + b"|" + self.begun[1]

    @classmethod
    def restore(cls, limits: Limits, snapshot: bytes) -> "LineParser":
        parser = cls(limits)
        count, *parser.begun = snapshot.split(b"|")
        parser.count = int(count)
        return parser


def line_probe(opening: Opening) -> Score:
    data = opening.received + opening.sent
    if data[:1] == b"\x07":
        raise KeyError(data)
    if len(data) < 2:
        return Score.MORE
    return Score.YES if data[:2] in (b"a1", b"a2") else Score.NO


REGISTRY = Registry([ProtocolSpec("lines", line_probe, LineParser, LineParser.restore, ("lines",)), *default_registry()])


def hear(
    steps: Sequence[Step], *, joined: bool = False, every: int = 0, limits: Limits = LIMITS
) -> tuple[list[Message], ConnectionParser]:
    parser = ConnectionParser(REGISTRY, limits, joined, None)
    messages: list[Message] = []
    for number, (direction, chunk) in enumerate(steps):
        if every and number % every == 0:
            parser = ConnectionParser.restore(REGISTRY, limits, parser.snapshot())
        messages += parser.receive(direction, chunk, number + 1)
    return messages, parser


def told(messages: Sequence[Message]) -> list[tuple[str, int, bytes]]:
    return [(message.protocol, message.exchange, message.head + message.body) for message in messages]


def test_it_is_undecided_then_decided():
    parser = ConnectionParser(REGISTRY, LIMITS, False, None)
    assert not parser.receive(SENT, b"a", 1)
    assert parser.protocol == ""
    assert told(parser.receive(SENT, b"1\nx", 2)) == [("lines", 1, b"a1")]
    assert parser.protocol == "lines"


def test_the_times_of_what_waited_are_kept():
    messages, _ = hear([(SENT, b"G"), (SENT, b"ET / HTTP/1.1\r\n"), (SENT, b"\r\n")])
    assert [(message.start_ns, message.end_ns) for message in messages] == [(1, 3)]


def test_a_mistaken_parser_leaves_everything_to_the_default_one():
    messages, parser = hear(closed([(SENT, b"a1"), (RECEIVED, b"?"), (SENT, b"x"), (RECEIVED, b"b\n"), (RECEIVED, b"c\n")]))
    assert told(messages) == [("raw", 0, b"?b\nc\n"), ("raw", 0, b"a1x")]
    assert (parser.protocol, parser.failure) == ("raw", "")
    assert [message.start_ns for message in messages] == [2, 1]


def test_a_defect_costs_the_connection_its_parser_and_no_byte():
    messages, parser = hear(closed([(SENT, b"a1"), (SENT, b"secret"), (SENT, b"\n!boom\nafter"), (SENT, b"more")]))
    assert told(messages) == [("raw", 0, b"a1secret\n!boom\naftermore")]
    assert messages[0].notes == ("parser-failed",)
    assert parser.failure.startswith("ZeroDivisionError at protocols/test_connection_parser.py:")
    assert "boom" not in parser.failure


def test_a_defect_after_messages_puts_out_what_was_open_then_the_rest_raw():
    messages, parser = hear(closed([(SENT, b"a1\n"), (RECEIVED, b"open"), (SENT, b"b\n"), (SENT, b"!\n"), (SENT, b"z")]))
    assert told(messages) == [("lines", 1, b"a1"), ("lines", 2, b"b"), ("lines", 3, b"open"), ("raw", 0, b"!\nz")]
    assert parser.failure


def test_a_probe_with_a_defect_costs_its_connection_only():
    messages, parser = hear(closed([(SENT, b"\x07abc"), (SENT, b"d")]))
    assert told(messages) == [("raw", 0, b"\x07abcd")]
    assert parser.failure.startswith("KeyError at ")


def test_a_parser_that_is_silent_for_too_long_cannot_be_mistaken_any_more():
    long = b"x" * 5000
    messages, parser = hear(closed([(SENT, b"a1"), (SENT, long), (RECEIVED, b"?\n")]), limits=Limits(detection=1000))
    assert told(messages) == [("lines", 1, b"a1" + long), ("raw", 0, b"?\n")]
    assert (parser.protocol, parser.failure) == ("raw", "")


@pytest.mark.parametrize("split", [False, True])
def test_a_switch_by_name_goes_on_with_higher_numbers(split: bool):  # noqa: FBT001
    steps: list[Step] = [(SENT, b"a1\nb\n>lines\nc\n"), (RECEIVED, b"d\n")]
    messages, parser = hear(closed(bytewise(steps) if split else steps))
    assert told(messages) == [("lines", 1, b"a1"), ("lines", 2, b"b"), ("lines", 3, b"c"), ("lines", 4, b"d")]
    assert parser.protocol == "lines"


def test_a_switch_to_an_unknown_protocol_is_raw():
    messages, parser = hear(closed([(SENT, b"a1\n>sesame\na1\n"), (RECEIVED, b"x")]))
    assert told(messages) == [("lines", 1, b"a1"), ("raw", 0, b"x"), ("raw", 0, b"a1\n")]
    assert parser.protocol == "raw"


def test_a_switch_without_a_name_detects_anew():
    steps: list[Step] = [(SENT, b"a1\n>\n"), (SENT, request()), (RECEIVED, response(b"x"))]
    messages, parser = hear(closed(steps))
    assert [(message.protocol, message.exchange) for message in messages] == [("lines", 1), ("http1", 2), ("http1", 2)]
    assert parser.protocol == "http1"


H2C = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: %s\r\n\r\n"
TUNNEL = b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n"
HELLO = b"\x16\x03\x01\x00\x05hello"


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        pytest.param(
            [(SENT, TUNNEL), (SENT, HELLO), (RECEIVED, b"HTTP/1.1 200 OK\r\n\r\n" + HELLO)],
            [("http1", 1), ("http1", 1), ("raw", HELLO), ("raw", HELLO)],
            id="tunnel, the client did not wait",
        ),
        pytest.param(
            [(SENT, TUNNEL), (RECEIVED, response(b"no", status=b"407 Who")), (SENT, request()), (RECEIVED, response(b"x"))],
            [("http1", 1), ("http1", 1), ("http1", 2), ("http1", 2)],
            id="tunnel refused",
        ),
        pytest.param(
            [(SENT, TUNNEL), (RECEIVED, b"HTTP/1.1 200 OK\r\n\r\n"), (SENT, request()), (RECEIVED, response(b"x"))],
            [("http1", 1), ("http1", 1), ("http1", 2), ("http1", 2)],
            id="HTTP/1 in a tunnel",
        ),
        pytest.param(
            [(SENT, b"GET / HTTP/1.1\r\nUpgrade: chess\r\n\r\n"), (RECEIVED, SWITCHING % b"chess" + b"e4"), (SENT, b"e5")],
            [("http1", 1), ("http1", 1), ("raw", b"e4"), ("raw", b"e5")],
            id="upgrade to what nobody knows",
        ),
        pytest.param(
            [(SENT, H2C + request()), (RECEIVED, response(b"no")), (RECEIVED, response(b"x"))],
            [("http1", 1), ("http1", 1), ("http1", 2), ("http1", 2)],
            id="upgrade ignored",
        ),
        pytest.param(
            [(SENT, H2C + request())],
            [("http1", 1), ("http1", 2)],
            id="upgrade never answered",
        ),
    ],
)
@pytest.mark.parametrize("every", [0, 1, 5])
@pytest.mark.parametrize("split", [False, True])
def test_http_switches(steps: list[Step], expected: list[tuple[str, object]], split: bool, every: int):  # noqa: FBT001
    messages, _ = hear(closed(bytewise(steps) if split else steps), every=every)
    found = [(message.protocol, message.body if message.protocol == "raw" else message.exchange) for message in messages]
    assert sorted(map(str, found)) == sorted(map(str, expected))


def test_h2c_leads_to_http2():
    _, parser = hear([(SENT, H2C), (RECEIVED, SWITCHING % b"h2c"), (SENT, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")])
    assert parser.protocol == "http2"


def test_who_joins_in_a_long_body_reads_on_from_the_next_request():
    body = bytes(range(256)) * 600
    steps: list[Step] = [
        (RECEIVED, body[:100_000]),
        (RECEIVED, body[100_000:]),
        (SENT, request(b"/next")),
        (RECEIVED, response(b"found")),
    ]
    for split, every in ((False, 0), (False, 1), (True, 0)):
        cut_ = [part for step in steps[:2] for part in ([step] if not split else chop(step, 977))] + (
            bytewise(steps[2:]) if split else steps[2:]
        )
        messages, parser = hear(closed(cut_), joined=True, every=every)
        raws = b"".join(message.body for message in messages if message.protocol == "raw")
        https = [(message.exchange, message.body) for message in messages if message.protocol == "http1"]
        assert raws == body
        assert https == [(1, b""), (1, b"found")]
        assert parser.protocol == "http1"


def chop(step: Step, size: int) -> list[Step]:
    direction, data = step
    assert isinstance(data, bytes)
    return [(direction, data[start : start + size]) for start in range(0, len(data), size)]


def test_turns_of_a_joined_connection_that_is_no_protocol_stay_raw():
    talk: list[Step] = [(SENT, b"HELO you\r\n"), (RECEIVED, b"GE"), (SENT, b"T off\r\n"), (RECEIVED, b"HTTP/1.1\r\n")]
    messages, parser = hear(closed([(RECEIVED, bytes(70_000)), *talk]), joined=True, every=1)
    assert b"".join(message.body for message in messages if message.direction is SENT) == b"HELO you\r\nT off\r\n"
    assert b"".join(message.body for message in messages if message.direction is RECEIVED) == bytes(70_000) + b"GEHTTP/1.1\r\n"
    assert parser.protocol == "raw"


chunk = st.sampled_from(
    [
        b"a1\n",
        b"a",
        b"x\ny",
        b"\n",
        b"?\n",
        b"!\n",
        b">lines\n",
        b">\n",
        b"\x00",
        request(),
        response(b"x"),
        H2C,
        Gap(3),
        End.IDLE,
    ]
)


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from([SENT, RECEIVED]), chunk), max_size=12), st.booleans(), st.integers(1, 3))
def test_restarts_change_nothing(steps: list[Step], joined: bool, every: int):  # noqa: FBT001
    whole, one = hear(closed(steps), joined=joined)
    again, other = hear(closed(steps), joined=joined, every=every)
    assert [(plain(m), m.start_ns, m.end_ns) for m in again] == [(plain(m), m.start_ns, m.end_ns) for m in whole]
    assert (one.protocol, one.failure) == (other.protocol, other.failure)


@pytest.mark.parametrize("junk", [b"", b"\xc1", b"\x9f", b"{}", b"\x93\x01\x02\x03"])
def test_a_snapshot_of_something_else_is_refused(junk: bytes):
    with pytest.raises(SnapshotError, match="restore it with the version that wrote it"):
        ConnectionParser.restore(REGISTRY, LIMITS, junk)


def test_a_snapshot_of_a_protocol_that_is_gone_is_refused_by_name():
    _, parser = hear([(SENT, b"a1\n")])
    with pytest.raises(RegistryError, match="'lines'"):
        ConnectionParser.restore(default_registry(), LIMITS, parser.snapshot())
