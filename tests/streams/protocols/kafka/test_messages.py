"""Every API in every version, as Kafka's own classes write it: what is told is what was put in, and no byte is left over."""

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest

from fleetcap_streams.protocols.contract import Message, Opening, Role, Score
from fleetcap_streams.protocols.kafka import SPEC, wire
from fleetcap_streams.protocols.kafka.apis import APIS
from tests.streams.protocols.kafka.conversation import kafka_asks
from tests.streams.protocols.tapping import CLIENT, SERVER, Tap

LINES = (Path(__file__).parents[3] / "vectors" / "kafka" / "messages.tsv").read_text().splitlines()
# Where the group's name or the error code is not the first thing that is said, it is not read.
ERROR_FURTHER_IN = {"Envelope": {0}, "AlterPartitionReassignments": {1}, "OffsetFetch": set(range(2, 8))}
GROUP_FURTHER_IN = {"TxnOffsetCommit", "AddOffsetsToTxn"}
NUMBER = 4711
NAMELESS = (7, 0)


class Line(NamedTuple):
    key: int
    name: str
    version: int
    kind: str
    facts: dict[str, str]
    frame: bytes


def read(line: str) -> Line:
    key, name, version, kind, facts, frame = line.split("\t")
    return Line(int(key), name, int(version), kind, dict(fact.split("=") for fact in facts.split()), bytes.fromhex(frame))


ALL = [read(line) for line in LINES]
REQUESTS = [line for line in ALL if line.kind == "request"]
RESPONSES = {(line.key, line.version): line for line in ALL if line.kind == "response"}
each = pytest.mark.parametrize("asked", REQUESTS, ids=[f"{line.name}-{line.version}" for line in REQUESTS])


def exchange(asked: Line) -> list[Message]:
    tap = Tap(SPEC)
    if (asked.key, asked.version) == NAMELESS:  # so somebody else has to tell who asks
        tap.client(kafka_asks(18, 0, NUMBER + 1))
    before = len(tap.messages)
    tap.client(asked.frame)
    tap.server(RESPONSES[asked.key, asked.version].frame)
    return [replace(message, exchange=message.exchange - before) for message in tap.messages[before:]]


def expected(line: Line) -> dict[str, object]:
    facts = dict(line.facts)
    if line.version in ERROR_FURTHER_IN.get(line.name, ()):
        facts.pop("error_code", None)
    if line.name in GROUP_FURTHER_IN:
        facts.pop("group", None)
    told: dict[str, object] = {name: int(value) for name, value in facts.items() if name not in ("topics", "group")}
    if "topics" in facts:
        told["topics"] = facts["topics"].split(",")
        told["topic_count"] = len(facts["topics"].split(","))
    return told | ({"group": facts["group"]} if "group" in facts else {})


def test_every_key_up_to_the_newest_is_known_by_its_name_and_newest_version():
    assert {line.key: line.name for line in ALL} == {key: api.name for key, api in enumerate(APIS)}
    newest = {key: max(line.version for line in ALL if line.key == key) for key in range(len(APIS))}
    assert newest == {key: api.newest for key, api in enumerate(APIS)}


@each
def test_what_is_told_is_what_was_said(asked: Line):
    request, response = exchange(asked)
    for message, line in ((request, asked), (response, RESPONSES[asked.key, asked.version])):
        facts = dict(message.attributes)
        header = {"api_key": line.key, "api_name": line.name, "api_version": line.version, "correlation_id": NUMBER}
        assert {name: facts.pop(name) for name in header} == header
        client = facts.pop("client_id", None)
        assert client == ("app-1" if line.kind == "request" and (line.key, line.version) != NAMELESS else None)
        assert not (facts.pop("error_name", "") and "error_code" not in facts)
        if "errors" not in line.facts:
            facts.pop("errors", None)
        assert facts == expected(line)
        assert message.complete
        assert not message.notes
        assert message.body_size == len(line.frame)
    assert (request.role, response.role) == (Role.REQUEST, Role.RESPONSE)
    assert request.exchange == response.exchange == 1


@each
def test_the_body_begins_where_the_header_ends(asked: Line):
    header = wire.read_request(asked.frame)
    assert header is not None
    api = APIS[asked.key]
    name = 0 if (asked.key, asked.version) == NAMELESS else 2 + len(b"app-1")
    assert header.body == 12 + name + (api.request_header(asked.version) == 2)


@each
def test_a_byte_too_few_or_too_many_is_seen_where_all_is_read(asked: Line):
    if asked.name not in ("Produce", "Fetch", "Metadata"):
        return
    for change, note in ((-1, "unreadable"), (1, "bytes-left")):
        body = (asked.frame + b"\0")[4 : len(asked.frame) + change]
        tap = Tap(SPEC)
        tap.client(kafka_asks(18, 0, NUMBER - 1))
        (message,) = tap.client(len(body).to_bytes(4, "big") + body)
        assert message.notes == (note,)
        assert message.complete is (change > 0)


@each
def test_a_connection_is_known_by_any_request(asked: Line):
    for size in range(len(asked.frame) + 1):
        score = SPEC.probe(Opening(b"", asked.frame[:size], False, None))
        assert score is (Score.MORE if size < known_by(asked) else Score.YES), size
    assert SPEC.probe(Opening(RESPONSES[asked.key, asked.version].frame, asked.frame, False, CLIENT)) is Score.YES


def known_by(asked: Line) -> int:
    """Bytes that have to be there: the header's; what has no client's name in it is never sure alone."""
    header = wire.read_request(asked.frame)
    assert header is not None
    return len(asked.frame) + 1 if header.client is None else header.body


@pytest.mark.parametrize("asked", [line for line in REQUESTS if line.version == APIS[line.key].newest][::7])
def test_a_newer_version_is_read_by_its_header_alone_and_says_so(asked: Line):
    newer = asked.frame[:6] + (asked.version + 1).to_bytes(2, "big") + asked.frame[8:]
    tap = Tap(SPEC)
    tap.client(newer)
    tap.server(RESPONSES[asked.key, asked.version].frame)
    request, response = tap.messages
    for message in (request, response):
        assert message.notes == ("version-unknown",)
        assert set(message.attributes) - {"client_id"} == {"api_key", "api_name", "api_version", "correlation_id"}
    assert request.attributes["client_id"] == "app-1"
    assert (request.direction, response.direction) == (CLIENT, SERVER)
