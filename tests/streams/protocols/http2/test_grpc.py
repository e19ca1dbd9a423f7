import pytest

from fleetcap_streams.protocols.contract import Gap, Message, Role
from fleetcap_streams.protocols.http2.grpc import GrpcLayer
from tests.streams.protocols.http2.conversation import CLIENT, SERVER
from tests.streams.protocols.http2.test_parser import BOTH, Peers
from tests.streams.protocols.http2.test_reader import frame

CALL = [
    (":method", "POST"),
    (":scheme", "http"),
    (":path", "/shop.Cart/Get"),
    (":authority", "cart:7070"),
    ("content-type", "application/grpc+proto"),
    ("te", "trailers"),
    ("grpc-timeout", "1S"),
]
ANSWER = [(":status", "200"), ("content-type", "application/grpc"), ("grpc-encoding", "gzip")]


def message(size: int, flag: int = 0) -> bytes:
    return bytes((flag,)) + size.to_bytes(4) + b"m" * size


def call(asked: list[bytes], answered: list[bytes], status: str = "0") -> list[Message]:
    peers = Peers()
    peers.head(CLIENT, 1, CALL)
    for count, data in enumerate(asked, 1):
        peers.data(CLIENT, 1, data, end=count == len(asked))
    peers.head(SERVER, 1, ANSWER)
    for data in answered:
        peers.data(SERVER, 1, data, end=False)
    peers.head(SERVER, 1, [("grpc-status", status), ("grpc-message", "no%20such%20cart")], BOTH)
    return peers.messages


def test_a_unary_call():
    request, response = call([message(3)], [message(5)])
    assert (request.protocol, request.role, response.protocol, response.role) == ("grpc", Role.REQUEST, "grpc", Role.RESPONSE)
    assert request.http is not None
    assert request.http.target == "/shop.Cart/Get"
    assert request.attributes == {
        "stream_id": 1,
        "scheme": "http",
        "grpc_timeout": "1S",
        "grpc_messages": 1,
        "grpc_message_sizes": [3],
        "grpc_messages_size": 3,
    }
    assert response.attributes["grpc_status"] == 0
    assert response.attributes["grpc_encoding"] == "gzip"
    assert response.attributes["grpc_message"] == "no such cart"
    assert response.body == message(5)


@pytest.mark.parametrize(
    ("asked", "answered", "counts"),
    [
        ([message(1), message(2) + message(3)], [message(9)], (3, 1)),
        ([message(1)], [message(9), message(0), message(7, 1)], (1, 3)),
        ([message(1), message(1)], [message(2), message(2)], (2, 2)),
        ([message(30)[:3], message(30)[3:20], message(30)[20:] + message(4)[:2], message(4)[2:]], [b""], (2, 0)),
    ],
)
def test_streaming(asked: list[bytes], answered: list[bytes], counts: tuple[int, int]):
    request, response = call(asked, answered)
    assert (request.attributes["grpc_messages"], response.attributes["grpc_messages"]) == counts
    assert "grpc_framing" not in request.attributes


def test_compressed_messages_are_counted():
    assert call([message(1)], [message(7, 1), message(2)])[1].attributes["grpc_compressed_messages"] == 1


def test_an_answer_that_is_nothing_but_trailers():
    peers = Peers()
    peers.head(CLIENT, 1, CALL, BOTH)
    answer = peers.head(SERVER, 1, [*ANSWER, ("grpc-status", "12")], BOTH)[0]
    assert (answer.attributes["grpc_status"], answer.attributes["grpc_messages"]) == (12, 0)


def test_what_is_no_grpc_says_so():
    assert call([b"\x07hello there"], [message(5)[:-1]])[0].attributes["grpc_framing"] == "broken"
    assert call([message(1)], [message(5)[:-1]])[1].attributes["grpc_framing"] == "incomplete"


def test_a_hole_in_a_message_is_survived_and_one_over_its_end_is_not():
    for missing, framing, count in ((4, None, 2), (6, "broken", 1)):
        peers = Peers()
        peers.head(CLIENT, 1, CALL)
        wire = frame(0, 1, 1, message(10) + message(20))
        peers.send(CLIENT, wire[: 9 + 5 + 5])
        peers.send(CLIENT, Gap(missing))
        request = peers.send(CLIENT, wire[9 + 5 + 5 + missing :])[0]
        assert request.attributes.get("grpc_framing") == framing
        assert request.attributes["grpc_messages"] == count


def test_chunks_change_nothing():
    data = b"".join(message(size) for size in (0, 1, 5, 300, 0, 4))
    whole = GrpcLayer()
    whole.feed(data)
    for size in range(1, 12):
        layer = GrpcLayer()
        for at in range(0, len(data), size):
            layer.feed(data[at : at + size])
            restored = GrpcLayer()
            restored.restore(layer.state())
            layer = restored
        assert layer.finish(()) == whole.finish(())
