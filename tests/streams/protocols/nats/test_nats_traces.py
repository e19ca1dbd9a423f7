"""Public packet captures of NATS: what is decoded is what the captures' authors saw in them.

There is no second opinion: Debian 12's tshark does not know NATS.
"""

import ast
import re
from collections import Counter
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from fleetcap_streams.protocols.contract import Attribute, Direction, Message, Opening, Role, Score
from fleetcap_streams.protocols.nats import SPEC
from tests.streams.protocols.tapping import CLIENT, SERVER, TRACES, beheaded, connections_of, decoded, has_tshark

CAPTURES = sorted((TRACES / "nats").glob("*.pcap"))
pytestmark = [
    pytest.mark.skipif(not CAPTURES, reason="no captures: set FLEETCAP_TRACES to a checkout of them"),
    pytest.mark.skipif(not has_tshark(), reason="no tshark: apt-get install tshark"),
]
each_capture = pytest.mark.parametrize("trace", CAPTURES, ids=[trace.stem for trace in CAPTURES])

_WORDS: Final = {"Ok": "+OK", "Err": "-ERR"}
_VALUE: Final = r'(?:Some\()?(?:"((?:[^"\\]|\\.)*)"|None|(\d+|true|false))\)?'
# Their names of facts, and ours.
_NAMED: Final = {
    "subject": "subject",
    "reply_to": "reply_to",
    "queue_group": "queue",
    "sid": "sid",
    "max_msgs": "max_messages",
    "error_message": "error",
    "server_id": "server_id",
    "server_name": "server_name",
    "max_payload": "max_payload",
    "verbose": "verbose",
    "pedantic": "pedantic",
}


class Fact(NamedTuple):
    """One unit, as far as both tell it."""

    operation: str
    told: tuple[tuple[str, str], ...]
    headers: tuple[tuple[str, str], ...]
    payload: bytes


def theirs(line: str) -> Fact:
    match = re.search(r"message: (\w+)\((.*)\), attributes: \[", line)
    assert match is not None
    verb, said = match.groups()
    payload = re.search(r"payload: (\[[0-9, ]*\])", said)
    headers = re.search(r"headers: (\{.*?\})", said)
    told = []
    for name, ours in _NAMED.items():
        found = re.search(rf"\b{name}: {_VALUE}", said)
        if found and (found[1] or found[2]):
            told.append((ours, (found[1] or found[2]).strip("'")))
    return Fact(
        _WORDS.get(verb, verb.upper()),
        tuple(sorted(told)),
        tuple(sorted(ast.literal_eval(headers[1]).items())) if headers else (),
        bytes(ast.literal_eval(payload[1])) if payload else b"",
    )


def ours(message: Message) -> Fact:
    facts = message.attributes
    told = {name: str(facts[name]).lower() if isinstance(facts[name], bool) else str(facts[name]) for name in known(facts)}
    headers = facts.get("headers", ())
    assert isinstance(headers, list | tuple)
    return Fact(
        str(facts["operation"]),
        tuple(sorted(told.items())),
        tuple(sorted((str(name), str(value)) for name, value in headers)),
        message.body if "subject" in facts and message.head else b"",
    )


def known(facts: object) -> list[str]:
    assert isinstance(facts, dict)
    return [name for name in _NAMED.values() if name in facts]


def decode(trace: Path) -> list[Message]:
    return [message for talk in connections_of(trace).values() for message in decoded(SPEC, talk)]


@each_capture
def test_what_the_authors_of_a_capture_saw_in_it(trace: Path):
    results = trace.with_suffix(".result")
    if not results.exists():
        pytest.skip("nothing written")
    expected = [theirs(line) for line in results.read_text().splitlines() if line.startswith("NatsInfo")]
    assert Counter(map(ours, decode(trace))) == Counter(expected)


@each_capture
def test_everything_is_whole_and_every_answer_has_its_question(trace: Path):
    messages = decode(trace)
    wrong = trace.stem == "nats-err"  # its client says what is no command
    assert all(message.complete for message in messages)
    answers = {message.exchange: str(message.attributes["operation"]) for message in messages if message.role is Role.RESPONSE}
    for message in messages:
        if message.role is Role.REQUEST and message.attributes["operation"] == "PING":
            assert answers[message.exchange] == "PONG"
        elif message.role is Role.REQUEST:
            assert answers[message.exchange] == "+OK"
    assert 0 not in answers
    assert [message.attributes["error"] for message in messages if "error" in message.attributes] == (
        ["Unknown Protocol Operation"] if wrong else []
    )


@each_capture
def test_joined_at_every_event_nothing_wrong_is_told(trace: Path):
    for talk in connections_of(trace).values():
        truth = Counter((message.direction, ours(message).payload) for message in decoded(SPEC, talk))
        for size in range(1, sum(len(data) for _, data in talk), 7):
            tap = [(direction, chunk) for direction, chunk in beheaded(talk, size) if isinstance(chunk, bytes)]
            seen = Counter(
                (message.direction, ours(message).payload)
                for message in decoded(SPEC, tap, joined=True)
                if message.complete and message.head
            )
            assert not seen - truth, size


@each_capture
@pytest.mark.parametrize("joined", [False, True])
def test_it_is_known_from_its_first_event_on(trace: Path, joined: bool):  # noqa: FBT001
    for talk in connections_of(trace).values():
        direction, data = talk[0]
        opening = {SERVER: b"", CLIENT: b"", direction: data}
        assert SPEC.probe(Opening(opening[Direction.RECEIVED], opening[Direction.SENT], joined, None)) is Score.YES


def test_headers_and_errors_of_a_capture_are_there():
    found: list[Attribute] = [message.attributes for trace in CAPTURES for message in decode(trace)]
    assert "sw8" in repr(found)
    assert "traceparent" in repr(found)
