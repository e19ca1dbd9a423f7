"""The same records give the same outputs: however they are batched, wherever a worker is replaced, however bytes are cut."""

import itertools
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from fleetcap_streams.engine.engine import Engine
from fleetcap_streams.engine.limits import EngineLimits
from fleetcap_streams.engine.values import ConnectionOut, ExchangeOut, MessageOut, Output, Record
from fleetcap_streams.protocols.contract import Direction, Message
from fleetcap_streams.protocols.registry import default_registry
from tests.streams.talk import Log, Talk

REQUESTS = [
    b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n",
    b"POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello",
    b"HEAD /c HTTP/1.1\r\nHost: h\r\n\r\n",
]
RESPONSES = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-T: 1\r\n\r\n",
    b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n",
]


def plain(value: Any) -> Any:
    """A value as comparable data: its fields by name, with no difference between kinds of sequences and mappings."""
    if is_dataclass(value):
        return type(value).__name__, {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


@st.composite
def logs(draw: st.DrawFn) -> list[Record]:
    """A partition with a few connections of both lives, cut, lossy, repeated, and with time passing."""
    log, now = Log(), 0.0
    talks = [Talk(f"c{number}", sock=draw(st.sampled_from([0, 7]))) for number in range(draw(st.integers(1, 3)))]
    for _ in range(draw(st.integers(1, 12))):
        talk = draw(st.sampled_from(talks))
        now += draw(st.sampled_from([0, 1, 20, 900, 1600, 700_000, 1_900_000]))
        kind = draw(st.sampled_from(["exchange", "exchange", "exchange", "noise", "close", "tick", "garbage", "loss"]))
        match kind:
            case "exchange":
                content = draw(st.sampled_from(REQUESTS)), draw(st.sampled_from(RESPONSES))
                events = [talk.data(1 - index, part, now) for index in (0, 1) for part in cut(draw, content[index])]
            case "noise":
                events = [talk.data(draw(st.integers(0, 1)), draw(st.binary(min_size=1, max_size=30)), now)]
            case "loss":
                events = [talk.data(draw(st.integers(0, 1)), b"", now, length=draw(st.integers(1, 50)))]
            case "close":
                events = [talk.closed(now)]
            case _:
                events = []
        if events:
            repeats = draw(st.integers(1, 2)) if kind != "close" else 1
            for _ in range(repeats):
                log.add(talk, *events, at=now)
        elif kind == "tick":
            log.tick(now)
        else:
            log.raw(b"k", b"\xff\xff", at=now)
    return log.records


def cut(draw: st.DrawFn, content: bytes) -> list[bytes]:
    points = sorted({0, len(content), *draw(st.lists(st.integers(0, len(content)), max_size=3))})
    return [content[start:end] for start, end in itertools.pairwise(points)]


def whole(records: list[Record]) -> list[Any]:
    engine = Engine(default_registry())
    return [plain(output) for output in engine.feed(records) + engine.drain()]


@given(logs(), st.data())
@settings(max_examples=150)
def test_batch_boundaries_change_nothing(records: list[Record], data: st.DataObject):
    engine, out, start = Engine(default_registry()), [], 0
    while start < len(records):
        size = data.draw(st.integers(1, len(records) - start))
        out += engine.feed(records[start : start + size])
        start += size
    assert [plain(output) for output in out + engine.drain()] == whole(records)


@given(logs(), st.data())
@settings(max_examples=150)
def test_a_worker_that_takes_over_from_the_saved_states_goes_on_as_if_nothing_had_happened(
    records: list[Record], data: st.DataObject
):
    saved: dict[str, bytes] = {}
    out: list[Output] = []
    engine = Engine(default_registry())
    for record in records:
        out += engine.feed([record])
        if data.draw(st.booleans()):
            for uuid, state in engine.changed():
                if state is None:
                    saved.pop(uuid, None)
                else:
                    saved[uuid] = state
            engine = Engine(default_registry())
            for uuid in data.draw(st.permutations(sorted(saved))):
                engine.restore(uuid, saved[uuid])
            # A new owner learns log time from the next record; nothing that is due may come out earlier or later for it.
    per_connection = by_connection([plain(output) for output in out + engine.drain()])
    assert per_connection == by_connection(whole(records))


@given(logs(), st.data())
@settings(max_examples=150)
def test_checkpoints_change_nothing(records: list[Record], data: st.DataObject):
    """After one, silent connections are nothing but their saved states until they are heard of again."""
    engine, out = Engine(default_registry()), []
    for record in records:
        out += engine.feed([record])
        if data.draw(st.booleans()):
            list(engine.changed())
    assert [plain(output) for output in out + engine.drain()] == whole(records)


def by_connection(outputs: list[Any]) -> dict[str, list[Any]]:
    """Order is promised within a connection; across connections only while nobody is replaced."""
    parts: dict[str, list[Any]] = {}
    for name, values in outputs:
        uuid = values["connection"][1]["uuid"] if "connection" in values else ""
        parts.setdefault(uuid, []).append((name, values))
    return parts


def messages(records: list[Record]) -> list[tuple[Any, ...]]:
    engine = Engine(default_registry())
    return [facts(output.message) for output in engine.feed(records) + engine.drain() if isinstance(output, MessageOut)]


def facts(message: Message) -> tuple[Any, ...]:
    return (
        message.protocol,
        message.direction,
        message.http,
        message.body,
        message.body_size,
        message.body_sha256,
        message.complete,
        message.missing_bytes,
        message.notes,
    )


@given(st.lists(st.tuples(st.sampled_from(REQUESTS), st.integers(0, 2)), min_size=1, max_size=6), st.data())
def test_any_cut_into_events_and_records_gives_the_same_messages(conversation: list[tuple[bytes, int]], data: st.DataObject):
    plainly, cut_up = Log(), Log()
    one, other = Talk(), Talk()
    for request, answer in conversation:
        response = b"HTTP/1.1 204 No Content\r\n\r\n" if request.startswith(b"HEAD") else RESPONSES[answer]
        plainly.add(one, one.sent(request), one.received(response))
        for direction, content in ((1, request), (0, response)):
            for part in cut(data.draw, content):  # type: ignore[arg-type]
                cut_up.add(other, other.data(direction, part))
    assert messages(cut_up.records) == messages(plainly.records)


def test_a_connection_that_never_ends_does_not_grow_its_state():
    talk, log = Talk(), Log()
    engine = Engine(default_registry(), EngineLimits())
    sizes = []
    for number in range(2000):
        log.add(talk, talk.sent(REQUESTS[0], number), talk.received(RESPONSES[0], number))
        engine.feed(log.records[-1:])
        ((_, state),) = engine.changed()
        assert state is not None
        sizes.append(len(state))
    assert max(sizes[1000:]) <= max(sizes[:1000]) + 32  # counters grow by digits


def test_both_directions_of_every_exchange_are_told_apart():
    talk, log = Talk(), Log()
    log.add(talk, talk.sent(REQUESTS[0]), talk.received(RESPONSES[0]))
    outputs = Engine(default_registry()).feed(log.records)
    exchange = next(output for output in outputs if isinstance(output, ExchangeOut))
    assert exchange.request is not None
    assert exchange.response is not None
    assert (exchange.request.direction, exchange.response.direction) == (Direction.SENT, Direction.RECEIVED)
    assert isinstance(outputs[0], ConnectionOut)
