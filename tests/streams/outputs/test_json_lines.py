"""JSON objects for programs: documented fields, always valid, nothing of the bytes lost."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetcap_proto.v1 import common_pb2, event_pb2, exchange_pb2
from fleetcap_streams.engine.values import ConnectionInfo, Endpoint, MessageOut
from fleetcap_streams.outputs import json_lines, messages
from fleetcap_streams.outputs.wire import Wire
from fleetcap_streams.protocols.contract import Direction, Http, Message, Role


def exchange(body: bytes = b"", **fields: object) -> dict[str, object]:
    request = exchange_pb2.Message(
        protocol="http1",
        start_ns=5,
        http=exchange_pb2.Http(
            method="GET",
            target="/",
            authority="h",
            version="1.1",
            headers=[exchange_pb2.Header(name="a", value="1"), exchange_pb2.Header(name="A", value="2")],
        ),
    )
    response = exchange_pb2.Message(
        protocol="http1",
        http=exchange_pb2.Http(status=200, reason="OK", version="1.1"),
        body=body,
        body_size=fields.get("size", len(body)),  # type: ignore[arg-type]
        complete=True,
    )
    value = exchange_pb2.Exchange(
        connection_uuid="c", protocol="http1", latency_ns=7, request=request, response=response, role="ROLE_CLIENT"
    )
    return json.loads(json_lines.line(json_lines.exchange(value)))  # type: ignore[no-any-return]


def test_an_exchange_has_the_documented_fields():
    found = exchange(b"hi")
    assert list(found)[:4] == ["kind", "protocol", "connection", "timestamp_ns"]
    assert (found["kind"], found["protocol"], found["timestamp_ns"], found["latency_ns"]) == ("exchange", "http1", 5, 7)
    request, response = found["request"], found["response"]
    assert isinstance(request, dict)
    assert isinstance(response, dict)
    assert {name: request[name] for name in ("method", "target", "authority", "version")} == {
        "method": "GET",
        "target": "/",
        "authority": "h",
        "version": "1.1",
    }
    assert request["headers"] == [["a", "1"], ["A", "2"]]
    assert "status" not in request
    assert {name: response[name] for name in ("status", "body", "body_size", "complete", "missing_bytes", "trailers")} == {
        "status": 200,
        "body": "hi",
        "body_size": 2,
        "complete": True,
        "missing_bytes": 0,
        "trailers": [],
    }


def test_text_that_was_cut_inside_a_character_is_still_text():
    response = exchange("grün".encode()[:3], size=5)["response"]
    assert isinstance(response, dict)
    assert (response["body"], "body_encoding" in response) == ("gr", False)


@given(st.binary(max_size=100))
def test_a_body_can_be_had_back_byte_for_byte(body: bytes):
    response = exchange(body)["response"]
    assert isinstance(response, dict)
    text = response["body"]
    assert (base64.b64decode(text) if response.get("body_encoding") == "base64" else text.encode()) == body


def test_a_protocols_own_facts_stand_among_the_fields():
    value = Message(
        "redis",
        Direction.SENT,
        Role.SINGLE,
        0,
        1,
        1,
        http=Http(),
        attributes={"command": "GET", "rows": 3, "ok": True, "list": ["a", 1], "map": {"x": 1.5}, "none": None},
    )
    found = json_lines.message(messages.message(value, 4), common_pb2.Connection(uuid="c"), "n")
    assert {name: found[name] for name in ("command", "rows", "ok", "list", "map", "number", "direction")} == {
        "command": "GET",
        "rows": 3,
        "ok": True,
        "list": ["a", 1],
        "map": {"x": 1.5},
        "number": 4,
        "direction": "sent",
    }
    assert "none" not in found


def test_a_fact_never_takes_the_place_of_a_field_that_all_messages_have():
    value = Message("amqp", Direction.SENT, Role.SINGLE, 0, 1, 1, attributes={"connection": 5, "body": "x", "kind": 1})
    found = json_lines.message(messages.message(value, 1), common_pb2.Connection(uuid="c"), "n")
    assert (found["kind"], found["connection"], found["body"]) == ("message", "c", "")
    assert (found["amqp_kind"], found["amqp_connection"], found["amqp_body"]) == (1, 5, "x")


def test_what_is_no_number_in_json_stands_as_text():
    value = Message("redis", Direction.SENT, Role.SINGLE, 0, 1, 1, attributes={"a": float("nan"), "b": float("-inf"), "c": 0.5})
    found = json.loads(json_lines.line(json_lines.message(messages.message(value, 1), common_pb2.Connection(), "")))
    assert (found["a"], found["b"], found["c"]) == ("nan", "-inf", 0.5)


SINGLE = [
    Message("redis", Direction.SENT, Role.SINGLE, 0, 1, 2, body=b"abc", body_size=3, attributes={"command": "GET", "rows": 3}),
    Message("raw", Direction.RECEIVED, Role.SINGLE, 0, 1, 2, body=b"\0\xff", body_size=2, body_sha256=b"h" * 32, notes=("cut",)),
    Message("raw", Direction.RECEIVED, Role.SINGLE, 0, 1, 2, body=b"text\0and more", body_size=13, encoded_size=13),
    Message("raw", Direction.RECEIVED, Role.SINGLE, 0, 1, 2),
    Message("http1", Direction.SENT, Role.SINGLE, 0, 1, 2, head=b"HEAD\r\n", body=b"body", body_size=4, http=Http(method="GET")),
]


@pytest.mark.parametrize("value", SINGLE)
def test_from_the_topic_and_from_a_file_a_message_is_the_same_object(value: Message):
    info = ConnectionInfo("c1", "n", pid=7, comm="redis", uid=3, local=Endpoint("::1", 3), remote=Endpoint("::2", 4), role=1)
    output = MessageOut(info, value, 5)
    event = event_pb2.LogEntry.FromString(Wire().log_entry(output)).event_payload
    from_file = json_lines.message(messages.message(value, 5), messages.connection(info), "n")
    assert json_lines.event(event) == from_file
    assert list(json_lines.event(event)) == list(from_file)


def test_a_message_of_an_exchange_has_the_references_shape():
    value = Message("http1", Direction.SENT, Role.REQUEST, 1, 1, 2, head=b"GET / HTTP/1.1\r\n\r\n")
    found = json_lines.event(messages.event(MessageOut(ConnectionInfo("c1"), value, 5)))
    assert (found["kind"], found["payload"], found["uuid"]) == ("message", "GET / HTTP/1.1\r\n\r\n", "0_0__0_1")
    assert "body" not in found


def test_whatever_is_known_of_the_process_is_told():
    process = common_pb2.Process(pid=7, comm="curl", start_ns=5, container_id="abc", labels={"pod": "p"}, command_line="curl x")
    found = json_lines.exchange(exchange_pb2.Exchange(process=process))["process"]
    assert found == {
        "pid": 7,
        "comm": "curl",
        "start_ns": 5,
        "uid": 0,
        "command_line": "curl x",
        "container_id": "abc",
        "labels": {"pod": "p"},
    }
    assert json_lines.exchange(exchange_pb2.Exchange())["process"] == {"pid": 0, "comm": ""}
