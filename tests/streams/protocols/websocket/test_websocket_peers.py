"""A real client and a real server, which compress as they are used to; what they logged is the truth."""

import threading
from collections.abc import Iterator

import pytest
from websockets.sync.client import connect
from websockets.sync.server import ServerConnection, serve

from fleetcap_streams.protocols.contract import Message
from tests.streams.protocols.proxy import HOST, Recorder, recording
from tests.streams.protocols.tapping import CLIENT, SERVER
from tests.streams.protocols.transcript import hear

TEXTS = ['{"n": 1, "what": "price"}', '{"n": 2, "what": "price"}', "grüße " * 50, "y" * 200_000, ""]


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    def answer(connection: ServerConnection) -> None:
        for said in connection:
            connection.send(said[::-1])
            connection.send([b"frag", b"ment", b"ed"])

    with serve(answer, HOST, 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.socket.getsockname()[1]
        server.shutdown()
        thread.join(30)


def spoken(recorder: Recorder, compression: str | None) -> None:
    with connect(f"ws://{HOST}:{recorder.port}/chat", compression=compression, max_size=None) as client:
        for text in TEXTS:
            client.send(text)
            assert client.recv() == text[::-1]
            assert client.recv() == b"fragmented"
        client.ping(b"still there?").wait(30)


def sizes(messages: list[Message]) -> list[tuple[object, int]]:
    return [(message.attributes["opcode"], message.body_size) for message in messages if message.protocol == "websocket"]


@pytest.mark.parametrize("compression", ["deflate", None])
def test_peers(port: int, compression: str | None):
    with recording(port) as recorder:
        spoken(recorder, compression)
    messages = [each for each in hear(recorder.connections[0]).messages if each.protocol == "websocket"]
    assert all(message.complete for message in messages)
    sent = [message for message in messages if message.direction is CLIENT]
    received = [message for message in messages if message.direction is SERVER]
    expected = [("text", len(text.encode())) for text in TEXTS]
    assert sizes(sent) == [*expected, ("ping", 12), ("close", 2)]
    answers = [one for text in expected for one in (text, ("binary", 10))]
    assert sizes(received) == [*answers, ("pong", 12), ("close", 2)]
    assert sent[0].body.decode() == TEXTS[0]
    assert {bool(message.attributes.get("compressed")) for message in sent[:3]} == {compression == "deflate"}
