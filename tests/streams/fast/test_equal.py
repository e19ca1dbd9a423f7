"""The native module and the engine lead to the same bytes: outputs of every topic, states, and what a restart makes of them."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetcap_proto.v1 import raw_pb2
from fleetcap_streams.engine.connection import Connection
from fleetcap_streams.engine.engine import Engine
from fleetcap_streams.engine.limits import EngineLimits
from fleetcap_streams.engine.values import Record
from fleetcap_streams.fast.build import BuildError, build
from fleetcap_streams.fast.loading import load
from fleetcap_streams.fast.path import FastPath, Taken
from fleetcap_streams.kafka.outgoing import Source
from fleetcap_streams.outputs.records import Encoder
from fleetcap_streams.protocols.contract import Limits
from fleetcap_streams.protocols.registry import default_registry
from tests.streams.talk import Log, Talk

Values = dict[tuple[str, bytes | None], list[bytes]]
SOURCE = Source("raw", 0, 0)
LIMITS = EngineLimits(parser=Limits(body=3000))
native, why = load()
pytestmark = pytest.mark.skipif(native is None, reason=why)


class Counting(FastPath):
    """Tells how many events were taken, so that no test is about nothing."""

    def __init__(self, limits: EngineLimits) -> None:
        super().__init__(native, limits)
        self.taken = 0

    def take(self, connection: Connection, value: bytes, start: int) -> Taken | None:
        taken = super().take(connection, value, start)
        self.taken += 0 if taken is None else taken.until - start
        return taken


def values(engine: Engine, records: list[Record], into: Values) -> list[dict[str, bytes | None]]:
    """Put records through one by one; the states that changed with each."""
    encode, changed = Encoder(), []
    for record in records:
        for output in engine.feed((record,)):
            for one in encode(output, SOURCE):
                into.setdefault((one.topic, one.key), []).extend(one.values)
        changed.append(dict(engine.changed()))
    return changed


def compare(records: list[Record], limits: EngineLimits = LIMITS) -> int:
    """Both ways over the same records, and the native one restarted in their midst; how many events it took."""
    slow, fast, restarted = Values(), Values(), Values()
    counting = Counting(limits)
    engine = Engine(default_registry(), limits, counting)
    plain = values(Engine(default_registry(), limits), records, slow)
    assert values(engine, records, fast) == plain
    assert fast == slow
    middle = len(records) // 2
    begun = Engine(default_registry(), limits, Counting(limits))
    saved: dict[str, bytes | None] = {}
    for states in values(begun, records[:middle], restarted):
        saved.update(states)
    resumed = Engine(default_registry(), limits, Counting(limits))
    for uuid, state in saved.items():
        if state is not None:
            resumed.restore(uuid, state)
    values(resumed, records[middle:], restarted)
    assert restarted == slow
    return counting.taken


def request(method: str = "GET", target: str = "/", body: bytes = b"", *lines: str) -> bytes:
    length = [f"Content-Length: {len(body)}"] if body else []
    return "\r\n".join([f"{method} {target} HTTP/1.1", "Host: a.example", *length, *lines, "", ""]).encode() + body


def response(status: str = "200 OK", body: bytes = b"", *lines: str) -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *lines, "", ""]).encode() + body


PLAIN = (request(), response(body=b"hello"))
ODD_REQUESTS = (
    request("HEAD"),
    request("CONNECT", "a.example:443"),
    request("POST", "/", b"x" * 600),
    request("POST", "/", b"x" * 4000),
    request("GET", "/with space"),
    request("GET", "/\xe4"),
    request("GET", "/", b"", "Upgrade: h2c"),
    request("POST", "/", b"", "Transfer-Encoding: chunked") + b"3\r\nabc\r\n0\r\n\r\n",
    request("GET", "/", b"", "No-Colon"),
    request("GET", "/", b"", "Space : x"),
    request("GET", "/", b"", "Folded: x", " y"),
    request("GET", "/", b"", "Content-Length: 1, 1") + b"x",
    request("GET", "/", b"", "Content-Length: 1", "content-length: 2") + b"x",
    request("GET", "/", b"", "Empty:", "Tab:\tvalue\t", "Host: second"),
    request("GET", "/", b"", "Long: " + "x" * 3000),
    request("GET", "/", b"", "Long: " + "x" * 300),
    b"\r\n" + request(),
    b"GET / HTTP/1.1\nHost: a\n\n",
    b"GET / HTTP/1.1\r\n\r\n",
    b"GET  / HTTP/1.0\r\nHost: a\r\n\r\n",
    b"nonsense\r\n\r\n",
    request() * 3,
)
ODD_RESPONSES = (
    response("204 No Content", b"", "X: 1"),
    response("304 Not Modified", b""),
    b"HTTP/1.1 304 Not Modified\r\nContent-Length: 17\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n" + response(),
    b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.0 999  odd reason \r\nContent-Length: 1\r\n\r\nx",
    b"HTTP/1.1 200 OK\r\n\r\nuntil the end",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nContent-Length: 0\r\n\r\n",
    response("200 OK", b"z", "Content-Encoding: gzip"),
    response("200 OK", b"\x00\xff" * 700),
    response("200 OK", b"y" * 3001),
    response("404 Not Found", b"no", "Connection: close", "Content-Type: text/plain"),
    response("200 OK", b"id: 1\ndata: a\n\n: b\n\ndata: c", "Content-Type: Text/Event-Stream;charset=utf-8"),
    response() * 2,
)


def exchanges(talk: Talk, said: list[tuple[bytes, bytes]], step: float = 1.0) -> list[raw_pb2.RawEvent]:
    return [
        event
        for number, (asked, answered) in enumerate(said)
        for event in (talk.sent(asked, number * step), talk.received(answered, number * step + 0.25))
    ]


def records_of(talk: Talk, events: list[raw_pb2.RawEvent], sizes: list[int]) -> list[Record]:
    log, start = Log(), 0
    for size in [*sizes, len(events)]:
        if events[start : start + size]:
            log.add(talk, *events[start : start + size], at=start)
        start += size
    return log.records


def test_plain_exchanges_are_taken():
    talk = Talk()
    events = exchanges(talk, [PLAIN] * 50)
    assert compare(records_of(talk, [*events, talk.closed(60)], [10] * 5)) >= 95


@pytest.mark.parametrize("odd", ODD_REQUESTS, ids=lambda odd: repr(odd[:60]))
def test_a_request_that_is_not_plain(odd: bytes):
    talk = Talk()
    said = [PLAIN] * 3 + [(odd, response(body=b"to the odd one"))] + [PLAIN] * 3
    assert compare(records_of(talk, exchanges(talk, said), [3, 5])) > 0


@pytest.mark.parametrize("odd", ODD_RESPONSES, ids=lambda odd: repr(odd[:60]))
def test_a_response_that_is_not_plain(odd: bytes):
    talk = Talk()
    said = [PLAIN] * 3 + [(request("POST", "/odd", b"b" * 55), odd)] + [PLAIN] * 3
    assert compare(records_of(talk, exchanges(talk, said), [3, 5])) > 0


def test_hashes_of_every_length_around_blocks():
    talk = Talk()
    said = [(request(), response(body=b"a" * size)) for size in range(600)]
    assert compare(records_of(talk, exchanges(talk, said, 0.5), [100] * 12)) > 1000


def test_other_threads_lost_bytes_and_pauses():
    talk = Talk()
    events = exchanges(talk, [PLAIN] * 4)
    events += [talk.sent(request(), 10, tid=77), talk.received(response(), 10.5, tid=78)]
    events += exchanges(talk, [PLAIN] * 2, 20)
    events.append(talk.sent(request("GET", "/late"), 5000))
    talk.position[0] += 500
    events.append(talk.received(response(), 5001))
    events += [talk.sent(request(), 5002, tid=77), talk.received(response(), 5003, tid=78)] * 2
    assert compare(records_of(talk, events, [4, 4, 3])) > 0


@pytest.mark.parametrize("cut", [1, 17, 400])
def test_a_damaged_record_is_one_dead_letter_and_nothing_else(cut: int):
    talk = Talk()
    records = records_of(talk, exchanges(talk, [PLAIN] * 9), [6, 6])
    damaged = records[1]._replace(value=(records[1].value or b"")[:-cut])
    compare([records[0], damaged, records[2]])


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_mix_cut_anywhere(data: st.DataObject):
    talk = Talk()
    asked = st.sampled_from((PLAIN[0],) * 20 + ODD_REQUESTS)
    answered = st.sampled_from((PLAIN[1],) * 20 + ODD_RESPONSES)
    events: list[raw_pb2.RawEvent] = []
    for number, pair in enumerate(data.draw(st.lists(st.tuples(asked, answered), min_size=1, max_size=25))):
        at = number * data.draw(st.sampled_from((0.5, 0.5, 0.5, 600)))
        for direction, payload in zip((1, 0), pair, strict=True):
            cut = data.draw(st.sampled_from((0, 0, 0, 5, 40))) % len(payload)
            parts = [part for part in (payload[:cut], payload[cut:]) if part]
            events += [talk.data(direction, part, at, tid=data.draw(st.sampled_from((0, 0, 0, 7)))) for part in parts]
    order = data.draw(st.lists(st.integers(0, len(events) - 1), max_size=2))
    for index in order:  # what arrives late, or twice
        events.insert(0 if index % 2 else index, events[index])
    sizes = data.draw(st.lists(st.integers(1, 12), max_size=10))
    compare(records_of(talk, [*events, talk.closed(99_999)], sizes))


@settings(max_examples=100, deadline=None)
@given(flips=st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=4))
def test_any_damage_to_a_record(flips: list[tuple[int, int]]):
    talk = Talk()
    records = records_of(talk, exchanges(talk, [PLAIN] * 9), [6, 6])
    value = bytearray(records[1].value or b"")
    for place, byte in flips:
        value[place % len(value)] = byte
    compare([records[0], records[1]._replace(value=bytes(value)), records[2]])


def test_it_can_be_built_and_says_where_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("sysconfig.get_path", lambda _: str(tmp_path))
    with pytest.raises(BuildError, match="python3-dev"):
        build(tmp_path)


def test_the_switch(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FLEETCAP_NATIVE", "0")
    assert load() == (None, "switched off by FLEETCAP_NATIVE=0")
