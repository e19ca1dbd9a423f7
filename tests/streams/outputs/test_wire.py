"""What is written by hand is, byte for byte, what the generated classes write."""

import string

from hypothesis import given
from hypothesis import strategies as st

from fleetcap_proto.v1 import event_pb2
from fleetcap_streams.engine.values import CloseReason, ConnectionInfo, ConnectionOut, Endpoint, ExchangeOut, MessageOut, Totals
from fleetcap_streams.outputs import messages
from fleetcap_streams.outputs.wire import Wire
from fleetcap_streams.protocols.contract import Direction, Http, Message, Role

text = st.text(string.ascii_letters + "é", max_size=8)
number = st.one_of(st.integers(0, 300), st.integers(0, (1 << 63) - 1))
pairs = st.lists(st.tuples(text, text), max_size=3)
https = st.builds(Http, text, text, text, text, st.integers(0, 999), text, headers=pairs, trailers=st.one_of(st.just([]), pairs))


@st.composite
def decoded(draw: st.DrawFn) -> Message:
    http = draw(st.one_of(st.none(), https))
    # What a head says is the same whenever it is the same: here it says everything.
    head = draw(st.sampled_from([b"", repr(http).encode()])) if http else draw(st.binary(max_size=3))
    return Message(
        draw(st.sampled_from(["http1", "raw"])),
        draw(st.sampled_from(Direction)),
        draw(st.sampled_from(Role)),
        1,
        draw(number),
        draw(number),
        head,
        draw(st.binary(max_size=40)),
        draw(number),
        draw(st.sampled_from([b"", b"h" * 32])),
        draw(number),
        draw(st.booleans()),
        draw(number),
        draw(st.lists(text, max_size=2).map(tuple)),
        http,
        draw(st.dictionaries(text, st.one_of(st.integers(-5, 5), text, st.none(), st.lists(st.integers(0, 9))), max_size=2)),
        draw(st.integers(0, 2)),
        draw(st.sampled_from(["", "t"])),
    )


infos = st.builds(
    ConnectionInfo,
    uuid=st.sampled_from(["c1", "c2"]),
    node_id=st.just("n"),
    revision=st.just(0),
    pid=st.just(7),
    comm=st.just("curl"),
    labels=st.just((("a", "b"),)),
    sock=st.just(5),
    local=st.just(Endpoint("::1", 3)),
    remote=st.just(Endpoint("", 0)),
    role=st.just(1),
)
WIRE = Wire()  # one for all examples, so that what it remembers is put to the test too


@given(infos, decoded(), number)
def test_events(info: ConnectionInfo, message: Message, count: int):
    output = MessageOut(info, message, count)
    expected = event_pb2.LogEntry(log_type=event_pb2.LOG_TYPE_EVENT, event_payload=messages.event(output))
    assert WIRE.log_entry(output) == expected.SerializeToString()


@given(infos, st.one_of(st.none(), decoded()), st.one_of(st.none(), decoded()), st.lists(decoded(), max_size=2), number)
def test_exchanges(info: ConnectionInfo, request: Message | None, response: Message | None, interim: list[Message], count: int):
    output = ExchangeOut(info, count, request, response, interim)
    assert WIRE.exchange(output) == messages.exchange(output).SerializeToString(deterministic=True)


totals = st.builds(Totals, number, number, number, number, number)


@given(infos, st.sampled_from([None, *CloseReason]), number, number, st.sampled_from(["", "http1"]), totals, totals, number)
def test_connections(
    info: ConnectionInfo,
    reason: CloseReason | None,
    opened_ns: int,
    closed_ns: int,
    protocol: str,
    received: Totals,
    sent: Totals,
    exchanges: int,
):
    output = ConnectionOut(info, reason, opened_ns, closed_ns, protocol, received, sent, exchanges, 3, ("late",))
    assert WIRE.connection_record(output) == messages.connection_record(output).SerializeToString(deterministic=True)
