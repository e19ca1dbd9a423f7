"""The loop of framed protocols, tried with the example of docs/adding-a-protocol.md as it stands there."""

import re
from pathlib import Path
from random import Random
from typing import Any

import pytest

from fleetcap_streams.protocols.connection_parser import ConnectionParser
from fleetcap_streams.protocols.contract import Direction, End, Gap, Limits, Message, ProtocolSpec, Role, SwitchProtocol
from fleetcap_streams.protocols.errors import SnapshotError
from fleetcap_streams.protocols.framed import RESYNCHRONISED, FramedParser, framed_spec
from fleetcap_streams.protocols.framing import DesyncError, Frame, Handover, State, Step
from fleetcap_streams.protocols.postgresql import SPEC as POSTGRESQL
from fleetcap_streams.protocols.registry import Registry, default_registry
from tests.streams.protocols.conversations import said
from tests.streams.protocols.tapping import CLIENT, SERVER, Tap, chopped, decoded, facts, pairs

GUIDE = Path(__file__).parents[3] / "docs" / "adding-a-protocol.md"


def example() -> dict[str, Any]:
    """The names that the guide's example defines."""
    (code,) = re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    names: dict[str, Any] = {"__name__": "quiz"}
    exec(compile(code, str(GUIDE), "exec"), names)  # noqa: S102 - our own guide: it must not only look right
    return names


NAMES = example()
SPEC: ProtocolSpec = NAMES["SPEC"]
TALK: Any = NAMES["Talk"]


def say(text: bytes, mark: bytes = b"?") -> bytes:
    return mark + len(text).to_bytes(2, "big") + text


def reply(text: bytes) -> bytes:
    return say(text, b"=")


TALKED = (
    (CLIENT, say(b"one") + say(b"two")),
    (SERVER, reply(b"1") + reply(b"2")),
    (CLIENT, say(b"three")),
    (SERVER, reply(b"3")),
    (CLIENT, say(b"four")),
    (SERVER, reply(b"4")),
)


def test_the_guides_example_is_recognised_and_decoded():
    parser = ConnectionParser(Registry([*default_registry(), SPEC]), Limits(), joined=False, client=CLIENT)
    messages = [message for way, data in TALKED for message in parser.receive(way, data, 0)]
    assert parser.protocol == "quiz"
    assert pairs(messages) == [(b"one", b"1"), (b"two", b"2"), (b"three", b"3"), (b"four", b"4")]


@pytest.mark.parametrize("seed", range(8))
def test_chunks_and_snapshots_change_nothing(seed: int):
    tap = Tap(SPEC)
    for way, chunk in chopped(TALKED, Random(seed), 4):
        tap.see(way, chunk, 0)
        tap.move()
    assert facts(tap.messages) == facts(decoded(SPEC, TALKED))


def test_times_are_those_of_the_first_and_last_byte():
    tap = Tap(SPEC)
    tap.see(CLIENT, say(b"one")[:2], 10)
    tap.see(CLIENT, say(b"one")[2:4], 20)
    (one, two) = tap.see(CLIENT, say(b"one")[4:] + say(b"two"), 30)
    assert [(one.start_ns, one.end_ns), (two.start_ns, two.end_ns)] == [(10, 30), (30, 30)]


def test_a_hole_within_a_frame_costs_that_frame_only():
    tap = Tap(SPEC)
    data = say(b"question") + say(b"next")
    messages = tap.hear([(CLIENT, data[:5]), (CLIENT, Gap(4)), (CLIENT, data[9:])])
    assert [(message.body, message.complete, message.missing_bytes) for message in messages] == [
        (b"qu", False, 4),
        (b"next", True, 0),
    ]
    assert all(RESYNCHRONISED not in message.notes for message in messages)


@pytest.mark.parametrize("missing", [6, 7, 100, 0])
def test_after_a_hole_beyond_a_frame_the_next_one_is_found(missing: int):
    tap = Tap(SPEC)
    rest = b"stion" + say(b"next")
    messages = tap.hear([(CLIENT, say(b"question")[:5]), (CLIENT, Gap(missing)), (CLIENT, rest)])
    assert (messages[0].body, messages[0].complete) == (b"qu", False)
    assert messages[-1].body == b"next"
    assert RESYNCHRONISED in messages[-1].notes


def test_the_pairing_is_doubtful_after_a_loss_until_both_sides_stand_at_the_same_place():
    tap = Tap(SPEC)
    tap.hear([(CLIENT, say(b"one") + say(b"two")), (SERVER, Gap(4)), (SERVER, reply(b"2"))])
    doubtful = tap.messages[-1]
    assert (doubtful.exchange, doubtful.complete) == (0, False)
    tap.hear([(CLIENT, say(b"three")), (SERVER, reply(b"3"))])
    assert pairs(tap.messages) == [(b"three", b"3")]


def test_an_idle_connection_settles_the_pairing():
    tap = Tap(SPEC)
    tap.hear([(CLIENT, say(b"one")), (SERVER, reply(b"1")), (CLIENT, say(b"two")), (SERVER, Gap(4))])
    tap.hear([(SERVER, End.IDLE), (CLIENT, End.IDLE), (CLIENT, say(b"three")), (SERVER, reply(b"3"))])
    assert pairs(tap.messages)[-1] == (b"three", b"3")


def test_a_frame_longer_than_the_cap_passes_by():
    tap = Tap(SPEC, Limits(head=100))
    tap.client(say(b"x" * 4000))
    tap.client(say(b"next"))
    long, after = tap.messages
    assert (len(long.body), long.body_size, long.complete) == (97, 4003, True)
    assert after.body == b"next"
    assert len(tap.parser.snapshot()) < 400


def test_bytes_that_are_no_frame_are_another_protocols():
    tap = Tap(SPEC)
    tap.client(b"hello")
    assert tap.wrong
    later = Tap(SPEC)
    later.client(say(b"one"))
    later.client(b"hello" + say(b"two"))
    assert [message.body for message in later.messages] == [b"one", b"two"]


def test_noise_without_end_is_another_protocols_even_where_the_tap_joined():
    tap = Tap(SPEC, Limits(detection=1000))
    tap.hear([(CLIENT, Gap(0)), *[(CLIENT, b"\0" * 300)] * 4])
    assert tap.wrong


@pytest.mark.parametrize("end", [End.CLOSED, End.LOST])
def test_what_is_open_at_the_end_is_put_out(end: End):
    tap = Tap(SPEC)
    tap.client(say(b"one") + say(b"question")[:6])
    (rest,) = tap.close(end)
    assert (rest.body, rest.complete, rest.missing_bytes) == (b"que", False, 5)


def test_an_idle_moment_puts_nothing_out_that_is_not_whole():
    tap = Tap(SPEC)
    tap.client(say(b"question")[:6])
    assert tap.see(CLIENT, End.IDLE) == []
    assert tap.client(say(b"question")[6:])[0].body == b"question"


def test_at_an_idle_moment_what_may_become_a_frame_does_not_hide_what_is_one():
    tap = Tap(POSTGRESQL)
    tap.hear([(CLIENT, Gap(9)), (CLIENT, b"Q\0\0\0\x50select" + said(b"Q", b"select 1\0"))])
    assert tap.messages == []
    tap.see(CLIENT, End.IDLE)
    assert [message.body for message in tap.messages] == [b"select 1"]


class Strict(TALK):  # type: ignore[misc]
    """Texts must not contain a bang, which only shows when they are read; after `tls` other bytes come."""

    def stitch(self, direction: Direction, frame: Frame) -> list[Message]:
        if b"!" in frame.data:
            raise DesyncError
        return list(super().stitch(direction, frame))

    def parse(self, direction: Direction, data: bytes, at: int) -> Step:
        if data[at] == 0x16:
            raise Handover("tls")
        if data[at] == 0x2E:
            return State.IGNORED, 4
        step: Step = super().parse(direction, data, at)
        return step


STRICT = framed_spec("strict", NAMES["probe"], Strict)


@pytest.mark.parametrize("size", [1, 1000])
def test_a_frame_that_proves_to_be_none_is_searched_for_one(size: int):
    tap = Tap(STRICT)
    said = say(b"one") + say(b"!" + say(b"inner")) + say(b"two")
    tap.hear(chopped([(CLIENT, said)], Random(0), size))
    assert [message.body for message in tap.messages] == [b"one", b"inner", b"two"]


def test_ignored_frames_leave_no_trace():
    tap = Tap(STRICT, Limits(head=10))
    tap.hear(chopped([(CLIENT, say(b"one") + b"...." + say(b"two"))], Random(0), 2))
    assert [message.body for message in tap.messages] == [b"one", b"two"]


def test_another_protocol_takes_over_with_every_byte_that_is_its_own():
    tap = Tap(STRICT)
    tap.server(reply(b"ready")[:4])
    tap.client(say(b"one") + b"\x16\3\1")
    assert isinstance(tap.switched, SwitchProtocol)
    assert [message.body for message in tap.messages] == [b"one"]
    assert (tap.switched.token, tap.switched.exchanges) == ("tls", 1)
    assert (CLIENT, b"\x16\3\1") in [(way, data) for way, data, _ in tap.switched.rest]


def test_a_snapshot_of_another_version_is_refused():
    parser = FramedParser(TALK(Limits()), Limits())
    with pytest.raises(SnapshotError, match="version 0"):
        SPEC.restore(Limits(), b"\x94\x00" + parser.snapshot()[2:])


def test_too_many_unanswered_requests_are_given_up():
    tap = Tap(SPEC, Limits(pending=3))
    for number in range(5):
        tap.client(say(b"%d" % number))
    tap.server(reply(b"a"))
    answer = tap.messages[-1]
    assert (answer.role, answer.exchange, answer.complete) == (Role.RESPONSE, 0, False)
