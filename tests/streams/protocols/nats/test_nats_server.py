"""A real nats-server and a small client, through a recording proxy: what is decoded is what was said."""

import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from fleetcap_streams.protocols.contract import Message, Role
from fleetcap_streams.protocols.nats import SPEC
from tests.streams.protocols.proxy import HOST, Recorder, free_port, recording, serving
from tests.streams.protocols.tapping import decoded, pairs

SEARCHED = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin"))
SERVER_PROGRAM = shutil.which("nats-server", path=SEARCHED)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(SERVER_PROGRAM is None, reason="no nats-server: apt-get install nats-server"),
]


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    port = free_port()
    settings = ["--addr", HOST, "--port", str(port), "--user", "app", "--pass", "hunter2"]
    assert SERVER_PROGRAM is not None
    with serving([SERVER_PROGRAM, *settings], port):
        yield port


class Client:
    """Says bytes and waits for bytes."""

    def __init__(self, port: int, *, verbose: bool, password: str = "hunter2", more: str = "") -> None:  # noqa: S107 - a test's
        self._socket = socket.create_connection((HOST, port), timeout=20)
        self._heard = b""
        self.wait_for(b"INFO")
        wish = str(verbose).lower()
        self.say(f'CONNECT {{"verbose":{wish},"pedantic":true,"user":"app","pass":"{password}","headers":true{more}}}')

    def say(self, *lines: str) -> None:
        self._socket.sendall("".join(line + "\r\n" for line in lines).encode())

    def wait_for(self, wanted: bytes, times: int = 1) -> None:
        """Until it was heard so many times since the last wait."""
        while self._heard.count(wanted) < times:
            data = self._socket.recv(65536)
            assert data, f"the server hung up before {wanted!r}"
            self._heard += data
        self._heard = b""

    def read_to_the_end(self) -> None:
        while self._socket.recv(65536):
            pass

    def close(self) -> None:
        self._socket.close()


@contextmanager
def connected(recorder: Recorder, *, verbose: bool) -> Iterator[Client]:
    client = Client(recorder.port, verbose=verbose, more=',"no_responders":true')
    try:
        yield client
    finally:
        client.close()


def told(messages: list[Message], *names: str) -> list[tuple[object, ...]]:
    return [tuple(message.attributes.get(name) for name in names) for message in messages]


def test_a_verbose_client_gets_an_answer_to_every_command(port: int):
    with recording(port) as recorder, connected(recorder, verbose=True) as client:
        client.wait_for(b"+OK")
        client.say("SUB a.* 1", "SUB b workers 2", "PUB a.b 5", "hello", "PUB a.* 1", "x", "SUB a..b 3", "UNSUB 2", "PING")
        client.wait_for(b"PONG")
    messages = decoded(SPEC, recorder.connections[0])
    answers = {message.exchange: message for message in messages if message.role is Role.RESPONSE}
    asked = [message for message in messages if message.role is Role.REQUEST]
    assert all(message.complete for message in messages)
    assert [(message.attributes["operation"], answers[message.exchange].attributes["operation"]) for message in asked] == [
        ("CONNECT", "+OK"),
        ("SUB", "+OK"),
        ("SUB", "+OK"),
        ("PUB", "+OK"),
        ("PUB", "+OK"),
        ("SUB", "-ERR"),
        ("UNSUB", "+OK"),
        ("PING", "PONG"),
    ]
    warnings = [message for message in messages if message.role is Role.INTERIM]
    assert [(message.exchange, message.attributes["error"]) for message in warnings] == [
        (asked[4].exchange, "Invalid Publish Subject")
    ]
    assert "hunter2" not in repr(messages)


def test_a_request_with_headers_and_its_answer(port: int):
    with (
        recording(port) as recorder,
        connected(recorder, verbose=False) as asking,
        connected(recorder, verbose=False) as serving_one,
    ):
        serving_one.say("SUB ask.me 1", "PING")
        serving_one.wait_for(b"PONG")
        asking.say("SUB _INBOX.x.*  7", "HPUB ask.me _INBOX.x.1 22 27", "NATS/1.0\r\nBar: Baz\r\n\r\nwhat?")
        serving_one.wait_for(b"what?\r\n")
        serving_one.say("PUB _INBOX.x.1 4", "that")
        asking.wait_for(b"that\r\n")
        asking.say("PUB nobody _INBOX.x.2 0", "")
        asking.wait_for(b"503")
    asked, served = (decoded(SPEC, connection) for connection in recorder.connections)
    for messages in (asked, served):
        assert all(message.complete and not set(message.notes) - {"secret-hidden"} for message in messages)
    names = ("operation", "subject", "reply_to", "in_reply_to", "headers", "status")
    assert told(asked, *names)[-4:] == [
        ("HPUB", "ask.me", "_INBOX.x.1", None, [("Bar", "Baz")], None),
        ("MSG", "_INBOX.x.1", None, "ask.me", None, None),
        ("PUB", "nobody", "_INBOX.x.2", None, None, None),
        ("HMSG", "_INBOX.x.2", None, "nobody", None, 503),
    ]
    assert told(served, *names)[-2:] == [
        ("HMSG", "ask.me", "_INBOX.x.1", None, [("Bar", "Baz")], None),
        ("PUB", "_INBOX.x.1", None, "ask.me", None, None),
    ]
    assert [message.body for message in asked[-4:]] == [b"what?", b"that", b"", b""]


def test_a_client_that_is_refused(port: int):
    with recording(port) as recorder:
        client = Client(recorder.port, verbose=True, password="hunter22")  # noqa: S106 - a test's
        client.read_to_the_end()
        client.close()
    messages = decoded(SPEC, recorder.connections[0])
    assert told(messages, "operation", "error", "answers")[1:] == [
        ("CONNECT", None, None),
        ("-ERR", "Authorization Violation", "CONNECT"),
    ]
    assert "hunter2" not in repr(messages)


def test_an_unknown_command_is_answered_by_an_error(port: int):
    with recording(port) as recorder, connected(recorder, verbose=True) as client:
        client.wait_for(b"+OK")
        client.say("PING")
        client.wait_for(b"PONG")
        client.say("DEADBEEF")
        client.read_to_the_end()
    messages = decoded(SPEC, recorder.connections[0])
    assert pairs(messages)[-1:] == [(b"PING", b"PONG")]
    assert told(messages, "operation", "error")[-1] == ("-ERR", "Unknown Protocol Operation")


def test_a_thousand_messages_that_are_sent_ahead(port: int):
    count = 1000
    with recording(port) as recorder, connected(recorder, verbose=True) as client:
        client.say("SUB many 1", *(f"PUB many {len(str(number))}\r\n{number}" for number in range(count)), "PING")
        client.wait_for(b"PONG")
    messages = decoded(SPEC, recorder.connections[0])
    bodies = [str(number).encode() for number in range(count)]
    assert [request for request, answer in pairs(messages) if answer == b"+OK"][2:] == bodies
    assert [message.body for message in messages if message.attributes["operation"] == "MSG"] == bodies
