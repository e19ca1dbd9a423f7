"""Recorded connections of real peers against what another dissector, and tshark, made of them."""

import re
from pathlib import Path

import pytest

from fleetcap_streams.protocols.contract import Limits, Message, Role
from fleetcap_streams.protocols.http2.parser import Http2Parser
from tests.streams.protocols.http2.captures import conversation, ports, tshark
from tests.streams.protocols.http2.conversation import run
from tests.streams.protocols.http2.vectors import folder

HTTP = folder("deepflow-traces") / "http"
CAPTURES = [
    "grpc-segmented",
    "grpc-server-stream",
    "grpc-service-name",
    "grpc-unary",
    "grpc-unknown",
    "h2c_ascii",
    "http2-multi",
    "httpv2-stream-id",
]
FACT = re.compile(r'(stream_id|path|host|status_code|grpc_status_code): (?:Some\()?"?([^"),]*)')


def facts(name: str) -> list[dict[str, str]]:
    """What the other dissector says of each packet that has something to say."""
    lines = (HTTP / f"{name}.result").read_text().splitlines()
    found = [{key: value for key, value in FACT.findall(line) if value not in ("", "None")} for line in lines]
    return [fact for fact in found if len(fact) > 1]


def decoded(name: str) -> list[Message]:
    return run(Http2Parser(Limits()), conversation(HTTP / f"{name}.pcap"))


@pytest.mark.parametrize("name", CAPTURES)
def test_what_the_other_dissector_found_is_found(name: str):
    messages = decoded(name)
    for fact in facts(name):
        mine = [message for message in messages if str(message.attributes.get("stream_id")) == fact["stream_id"]]
        assert mine
        told = {str(value) for m in mine if m.http for value in (m.http.target, m.http.authority, m.http.status)}
        assert {fact[key] for key in ("path", "host", "status_code") if key in fact} <= told
        if "grpc_status_code" in fact:
            assert fact["grpc_status_code"] in {str(message.attributes.get("grpc_status")) for message in mine}


@pytest.mark.parametrize("name", CAPTURES)
def test_header_values_that_tshark_shows_are_shown(name: str):
    path = HTTP / f"{name}.pcap"
    decode_as = ("-d", f"tcp.port=={ports(path)[1]},http2")
    shown = tshark(path, *decode_as, "-Y", "http2.header", "-T", "fields", "-E", "aggregator=\t", "-e", "http2.header.value")
    told = {"http", "https", "POST", "GET"}
    for message in decoded(name):
        if message.http is not None:
            http = message.http
            told |= {value for _, value in (*http.headers, *http.trailers)}
            told |= {http.method, http.target, http.authority, str(http.status)}
    values = {value for line in shown.splitlines() for value in line.split("\t") if value and value != "<unknown>"}
    assert values <= told


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("h2c_ascii", {(Role.REQUEST, 43), (Role.RESPONSE, 21)}),
        ("grpc-service-name", {(Role.REQUEST, 90), (Role.RESPONSE, 108)}),
        ("http2-multi", {(Role.REQUEST, 17), (Role.RESPONSE, 148), (Role.RESPONSE, 150)}),
    ],
)
def test_bodies_are_whole(name: str, sizes: set[tuple[Role, int]]):
    assert {(message.role, message.body_size) for message in decoded(name) if message.complete} == sizes


def test_calls_and_their_messages():
    request, response = decoded("grpc-service-name")
    assert (request.attributes["grpc_messages"], response.attributes["grpc_messages"]) == (3, 1)
    assert (request.exchange, response.exchange) == (1, 1)


def test_frames_around_holes_between_packets_are_read():
    """Of this one, packets with one small frame each are missing; all that is there belongs to one response."""
    response = next(message for message in decoded("grpc-server-stream") if message.role is Role.RESPONSE)
    payload = sum(len(chunk) for _, chunk in conversation(HTTP / "grpc-server-stream.pcap") if isinstance(chunk, bytes))
    assert response.encoded_size > 0.9 * (payload - 183 - 100)
    assert not response.complete


def test_captures_are_there():
    assert all(Path(HTTP / f"{name}.pcap").is_file() for name in CAPTURES)
