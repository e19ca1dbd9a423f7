import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetcap_streams.protocols.contract import Chunk, Direction, End, Gap, Limits, Message, Role
from fleetcap_streams.protocols.errors import SnapshotError
from fleetcap_streams.protocols.raw import RawParser
from tests.streams.protocols.transcript import RECEIVED, SENT, Step, bytewise, closed, plain

LIMITS = Limits(body=10)


def listen(steps: list[Step], restore_every: int = 0) -> list[Message]:
    parser = RawParser(LIMITS, notes=("always",))
    messages: list[Message] = []
    for number, (direction, chunk) in enumerate(steps):
        if restore_every and number % restore_every == 0:
            parser = RawParser.restore(LIMITS, parser.snapshot())
        messages += parser.receive(direction, chunk, 100 + number)
    return messages


@pytest.mark.parametrize("why", list(End))
def test_each_direction_is_one_message_at_an_end(why: End):
    sent, received = listen([(SENT, b"ab"), (RECEIVED, b"x"), (SENT, b"cd"), (SENT, why), (RECEIVED, why)])
    assert (sent.protocol, sent.direction, sent.role, sent.exchange) == ("raw", SENT, Role.SINGLE, 0)
    assert (sent.body, sent.body_size, sent.encoded_size, sent.complete) == (b"abcd", 4, 4, True)
    assert (sent.start_ns, sent.end_ns) == (100, 102)
    assert sent.body_sha256 == hashlib.sha256(b"abcd").digest()
    assert (received.body, received.start_ns, received.end_ns) == (b"x", 101, 101)


def test_a_flush_goes_on_with_a_new_message():
    first, second = listen([(SENT, b"ab"), (SENT, End.IDLE), (SENT, End.IDLE), (SENT, b"c"), (SENT, End.CLOSED)])
    assert (first.body, second.body) == (b"ab", b"c")


def test_a_long_one_is_cut_and_says_so():
    messages = listen([(SENT, bytes(25)), (SENT, End.CLOSED)])
    assert [message.body_size for message in messages] == [10, 10, 5]
    assert [message.notes for message in messages] == [("always", "split"), ("always", "split"), ("always",)]


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        ([b"a", Gap(3), b"b"], [(b"ab", 3, ("always", "gap"))]),
        ([Gap(3), b"b"], [(b"b", 3, ("always", "gap"))]),
        ([Gap(0), Gap(0), b"b"], [(b"b", 0, ("always", "joined"))]),
        ([b"a", Gap(0), b"b"], [(b"ab", 0, ("always", "gap"))]),
        ([b"a", Gap(2), Gap(3)], [(b"a", 5, ("always", "gap"))]),
        ([Gap(3)], []),
    ],
)
def test_what_is_missing_is_told(chunks: list[Chunk], expected: list[tuple[bytes, int, tuple[str, ...]]]):
    messages = listen([*[(SENT, chunk) for chunk in chunks], (SENT, End.LOST)])
    assert [(message.body, message.missing_bytes, message.notes) for message in messages] == expected
    assert not any(message.complete for message in messages)
    assert all(message.body_sha256 == b"" for message in messages if "gap" in message.notes)


things = st.one_of(st.binary(min_size=1, max_size=30), st.integers(0, 5).map(Gap), st.just(End.IDLE))


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(list(Direction)), things), max_size=12), st.integers(1, 4))
def test_cuts_and_restarts_change_nothing(steps: list[Step], every: int):
    steps = closed(steps)
    whole = [plain(message) for message in listen(steps)]
    assert [plain(message) for message in listen(bytewise(steps), every)] == whole


@pytest.mark.parametrize("junk", [b"", b"\xc1", b"\x93\x01\x02\x03"])
def test_a_snapshot_of_something_else_is_refused(junk: bytes):
    with pytest.raises(SnapshotError):
        RawParser.restore(LIMITS, junk)
