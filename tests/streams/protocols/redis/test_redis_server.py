"""A real Redis server and its own client, through a recording proxy: what is decoded is what was said."""

import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleetcap_streams.protocols.contract import Message, Role
from fleetcap_streams.protocols.redis import SPEC
from tests.streams.protocols.proxy import HOST, free_port, recording, serving
from tests.streams.protocols.tapping import decoded, pairs

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("redis-server") is None, reason="no redis-server: apt-get install redis-server"),
]


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    place: Path = tmp_path_factory.mktemp("redis")
    port = free_port()
    settings = ["--bind", HOST, "--save", "", "--appendonly", "no", "--dir", str(place), "--requirepass", "hunter2"]
    with serving(["redis-server", "--port", str(port), *settings], port):
        yield port


def talk(port: int, lines: str, *flags: str) -> tuple[list[Message], str]:
    """What redis-cli says, decoded, and what it printed."""
    with recording(port) as recorder:
        command = ["redis-cli", "-h", HOST, "-p", str(recorder.port), "--no-auth-warning", "-a", "hunter2", *flags]
        printed = subprocess.run(command, input=lines, check=True, capture_output=True, text=True, timeout=60).stdout
    return decoded(SPEC, recorder.connections[0]), printed


@pytest.mark.parametrize("flags", [(), ("-3",)], ids=["RESP2", "RESP3"])
def test_what_a_client_asks_and_gets(port: int, flags: tuple[str, ...]):
    lines = [
        "FLUSHALL",
        'SET k "a b"',
        "GET k",
        "INCR k",
        "RPUSH l 1 2 3",
        "LRANGE l 0 -1",
        "HSET h f v g w",
        "HGETALL h",
        "GET none",
    ]
    messages, printed = talk(port, "\n".join(lines) + "\n", *flags)
    asked = [message for message in messages if message.role is Role.REQUEST]
    answers = {message.exchange: message for message in messages if message.role is Role.RESPONSE}
    by_command = {str(message.attributes["command"]): answers[message.exchange] for message in asked}
    assert [message.body.decode() for message in asked][-9:] == [line.replace('"', "") for line in lines]
    assert by_command["INCR"].attributes["error_code"] == "ERR"
    assert by_command["LRANGE"].body == b"1\n2\n3"
    assert by_command["LRANGE"].attributes["rows"] == 3
    assert by_command["HGETALL"].attributes["type"] == ("map" if flags else "array")
    assert by_command["HGETALL"].body == b"f\nv\ng\nw"
    assert answers[asked[-1].exchange].attributes["type"] == "null"
    assert "hunter2" not in repr(messages)
    assert all(message.complete for message in messages)
    assert "a b" in printed


def test_a_deep_pipeline(port: int):
    with recording(port) as recorder:
        said = "".join(f"SET key:{number} {number}\r\nGET key:{number}\r\n" for number in range(2000))
        with socket.create_connection((HOST, recorder.port)) as client:
            client.sendall(b"AUTH hunter2\r\n" + said.encode() + b"QUIT\r\n")
            while client.recv(65536):
                pass
    found = pairs(decoded(SPEC, recorder.connections[0]))
    assert found[1:-1] == [
        pair
        for number in range(2000)
        for pair in ((f"SET key:{number} {number}".encode(), b"OK"), (f"GET key:{number}".encode(), str(number).encode()))
    ]


def test_subscribers_and_monitors(port: int):
    with recording(port) as recorder:
        listener = socket.create_connection((HOST, recorder.port))
        listener.sendall(b"AUTH hunter2\r\nSUBSCRIBE news\r\nPSUBSCRIBE n*\r\n")
        watcher = socket.create_connection((HOST, recorder.port))
        watcher.sendall(b"AUTH hunter2\r\nMONITOR\r\n")
        heard = b""
        while heard.count(b"subscribe") < 2:
            heard += listener.recv(4096)
        talk(port, "PUBLISH news hello\n")
        while heard.count(b"hello") < 2:
            heard += listener.recv(4096)
        seen = b""
        while b"PUBLISH" not in seen:
            seen += watcher.recv(4096)
        listener.close()
        watcher.close()
    heard_messages, seen_messages = (decoded(SPEC, connection) for connection in recorder.connections[:2])
    pushed = [message.attributes for message in heard_messages if message.role is Role.SINGLE]
    assert [(push["push"], push["channel"], push.get("pattern")) for push in pushed] == [
        ("message", "news", None),
        ("pmessage", "news", "n*"),
    ]
    monitored = [message for message in seen_messages if message.attributes.get("push") == "monitor"]
    assert any(b'"PUBLISH" "news" "hello"' in message.body for message in monitored)
    assert len(pairs(seen_messages)) == 2
