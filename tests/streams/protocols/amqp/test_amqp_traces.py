"""Public packet captures of AMQP: what is decoded is what the captures' authors saw in them. (tests/differential asks tshark.)"""

import re
from collections import Counter
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from fleetcap_streams.protocols.amqp import SPEC
from fleetcap_streams.protocols.contract import Attribute, Message, Opening, Role, Score
from tests.streams.protocols.tapping import TRACES, Conversation, beheaded, connections_of, decoded, has_tshark, pairs

CAPTURES = sorted((TRACES / "amqp").glob("*.pcap"))
pytestmark = [
    pytest.mark.skipif(not CAPTURES, reason="no captures: set FLEETCAP_TRACES to a checkout of them"),
    pytest.mark.skipif(not has_tshark(), reason="no tshark: apt-get install tshark"),
]
each_capture = pytest.mark.parametrize("trace", CAPTURES, ids=[trace.stem for trace in CAPTURES])

# They tell these of later frames too, so the method has to have them.
_ARGUMENTS: Final = {
    "exchange": ("exchange.declare", "exchange.delete", "queue.bind", "basic.publish", "basic.deliver", "basic.return"),
    "routing_key": ("queue.bind", "basic.publish", "basic.deliver", "basic.return"),
    "queue": ("queue.declare", "queue.bind", "basic.consume", "basic.get"),
    "vhost": ("connection.open",),
    "resp_text": ("connection.close", "channel.close", "basic.return"),
}
_OURS: Final = {"vhost": "virtual_host", "resp_text": "reply_text"}
# A close is told once for each part that it plays, and the two do not see the same parts.
_SEVERAL: Final = ("channel.close", "connection.close")


class Fact(NamedTuple):
    """One frame, as far as both tell it; of a content's header and body only the size."""

    what: str
    channel: int
    told: tuple[tuple[str, str], ...] = ()
    size: int = -1


def theirs(line: str) -> Fact | None:
    channel = int(number_of("channel_id", line))
    if "is_protcol_header: true" in line:
        return Fact("protocol-header", 0)
    match = re.search(r"class_id: (\w+), method_id: (\w+)", line)
    if match is None:
        if "frame_type: Header" in line:
            return Fact("header", channel, size=int(number_of("body_size", line)))
        return None  # a body: the header told its size
    what = f"{match[1].lower()}.{re.sub(r'(?<!^)(?=[A-Z])', '-', match[2]).lower()}"
    told = {name: re.search(rf'\b{name}: Some\("(.*?)"\)', line) for name, where in _ARGUMENTS.items() if what in where}
    return Fact(what, channel, tuple(sorted((name, found[1]) for name, found in told.items() if found and found[1])))


def number_of(name: str, line: str) -> str:
    match = re.search(rf"\b{name}: ([0-9]+)", line)
    assert match is not None, line
    return match[1]


def ours(message: Message) -> list[Fact]:
    facts = message.attributes
    what, channel = str(facts["operation"]), facts.get("channel", 0)
    assert isinstance(channel, int)
    told: dict[str, Attribute] = {name: facts.get(_OURS.get(name, name)) for name, where in _ARGUMENTS.items() if what in where}
    fact = Fact(what, channel, tuple(sorted((name, str(value)) for name, value in told.items() if value)))
    return [fact, Fact("header", channel, size=message.body_size)] if message.head else [fact]


def counted(facts: list[Fact]) -> Counter[Fact]:
    return Counter([fact for fact in facts if fact.what not in _SEVERAL] + [*{fact for fact in facts if fact.what in _SEVERAL}])


def talks(trace: Path) -> list[Conversation]:
    return list(connections_of(trace).values())


@each_capture
def test_what_the_authors_of_a_capture_saw_in_it(trace: Path):
    results = trace.with_suffix(".result")
    if not results.exists():
        pytest.skip("nothing written")
    lines = [line for line in results.read_text().splitlines() if line.startswith("AmqpInfo")]
    expected = [fact for fact in map(theirs, lines) if fact is not None]
    found = [fact for talk in talks(trace) for message in decoded(SPEC, talk) for fact in ours(message)]
    assert counted(found) == counted(expected)


@each_capture
def test_everything_is_whole_and_every_method_has_its_answer(trace: Path):
    for talk in talks(trace):
        messages = decoded(SPEC, talk)
        assert all(message.complete and set(message.notes) <= {"secret-hidden"} for message in messages)
        answers = {message.exchange: message for message in messages if message.role is Role.RESPONSE}
        asked = [message for message in messages if message.role is Role.REQUEST]
        unanswered = [str(message.attributes["operation"]) for message in asked if message.exchange not in answers]
        # The last word of a connection has no answer, nor has what was just said when a capture ended.
        assert unanswered in ([], ["connection.close"], [str(messages[-1].attributes["operation"])])
        assert 0 not in answers


@each_capture
def test_joined_at_any_byte_nothing_wrong_is_told(trace: Path):
    for talk in talks(trace):
        messages = decoded(SPEC, talk)
        truth = Counter((message.direction, message.body, str(message.attributes["operation"])) for message in messages)
        for size in range(1, sum(len(data) for _, data in talk), 11):
            tap = [(direction, chunk) for direction, chunk in beheaded(talk, size) if isinstance(chunk, bytes)]
            heard = decoded(SPEC, tap, joined=True)
            whole = [message for message in heard if message.complete]
            assert not Counter((m.direction, m.body, str(m.attributes["operation"])) for m in whole) - truth, size
            assert set(pairs(heard)) <= set(pairs(messages)), size


@each_capture
@pytest.mark.parametrize("joined", [False, True])
def test_it_is_known_from_its_first_event_on(trace: Path, joined: bool):  # noqa: FBT001
    for talk in talks(trace):
        sent = talk[0][1]
        assert SPEC.probe(Opening(b"", sent, joined, None)) is Score.YES


def test_a_failure_answers_what_failed():
    messages = [message for trace in CAPTURES for talk in talks(trace) for message in decoded(SPEC, talk)]
    errors = [message for message in messages if message.role is Role.RESPONSE and "error" in message.attributes]
    assert {(message.attributes["failing_method"], message.attributes["error_code"]) for message in errors} == {
        ("connection.open", 530),
        ("exchange.declare", 406),
    }
