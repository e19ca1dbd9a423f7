"""Public packet captures of Kafka: what is decoded is what the captures' authors saw in them."""

import re
from collections import Counter
from pathlib import Path

import pytest

from fleetcap_streams.protocols.contract import Message, Role
from fleetcap_streams.protocols.kafka import SPEC
from tests.streams.protocols.tapping import TRACES, connections_of, decoded, has_tshark

CAPTURES = sorted((TRACES / "kafka").glob("*.result"))
# Of these responses the authors do not read the error code, and write this instead.
NOT_READ = "-2"

pytestmark = [
    pytest.mark.skipif(not CAPTURES, reason="no captures: set FLEETCAP_TRACES to a checkout of them"),
    pytest.mark.skipif(not has_tshark(), reason="no tshark: apt-get install tshark"),
]
each_capture = pytest.mark.parametrize("result", CAPTURES, ids=[path.stem for path in CAPTURES])


def decode(result: Path) -> list[Message]:
    talks = connections_of(result.with_suffix(".pcap")).values()
    return [message for talk in talks for message in decoded(SPEC, talk, joined=True)]


def written(result: Path) -> list[dict[str, str]]:
    """The lines of a result as fields by name, without what Rust wraps them in."""
    lines = [line for line in result.read_text().splitlines() if line.startswith("KafkaInfo")]
    found = [dict(re.findall(r'(\w+): (?:Some\()?"?([^",)]*)"?\)?', line)) for line in lines]
    assert found
    return found


def seen_by_authors(line: dict[str, str]) -> tuple[object, ...]:
    asks = line["msg_type"] == "Request"
    size = int(line["req_msg_size" if asks else "resp_msg_size"])
    code = None if asks or line["status_code"] == NOT_READ else int(line["status_code"])
    return asks, int(line["correlation_id"]), line["command"], int(line["api_version"]), line["client_id"], size, code


def seen_by_us(message: Message, *, read: bool) -> tuple[object, ...]:
    facts = message.attributes
    asks = message.role is Role.REQUEST
    code = None if asks or not read else facts.get("error_code", 0)
    header = (facts["correlation_id"], facts["api_name"], facts["api_version"], facts.get("client_id", ""))
    return asks, *header, message.body_size - 4, code


@each_capture
def test_headers_sizes_and_errors_are_what_the_authors_of_a_capture_saw(result: Path):
    unread = {int(line["correlation_id"]) for line in written(result) if line["status_code"] == NOT_READ}
    ours = [seen_by_us(message, read=message.attributes["correlation_id"] not in unread) for message in decode(result)]
    assert Counter(ours) == Counter(seen_by_authors(line) for line in written(result))


@each_capture
def test_topics_are_what_the_authors_of_a_capture_saw(result: Path):
    named = {(line["msg_type"], line["topic_name"]) for line in written(result) if line["topic_name"]}
    ours = {
        ("Request" if message.role is Role.REQUEST else "Response", topic)
        for message in decode(result)
        for topic in message.attributes.get("topics", ())  # type: ignore[union-attr]
    }
    assert ours == named


@each_capture
def test_groups_are_what_the_authors_of_a_capture_saw(result: Path):
    groups = {(message.attributes["correlation_id"], message.attributes.get("group")) for message in decode(result)}
    assert {(int(line["correlation_id"]), line["group_id"]) for line in written(result) if line["group_id"]} <= groups


@each_capture
def test_every_response_has_its_request(result: Path):
    messages = decode(result)
    asked = Counter(message.exchange for message in messages if message.role is Role.REQUEST)
    answered = Counter(message.exchange for message in messages if message.role is Role.RESPONSE)
    assert asked == answered
    assert all(message.complete for message in messages)
