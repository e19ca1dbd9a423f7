"""What a row of the table says of messages."""

import io

import pytest

from fleetcap.show.table import TablePrinter
from fleetcap_proto.v1 import common_pb2
from fleetcap_streams.outputs import messages
from fleetcap_streams.protocols.contract import Attribute, Direction, Message, Role


def row(body: bytes, **attributes: Attribute) -> str:
    out = io.StringIO()
    message = Message("nats", Direction.SENT, Role.SINGLE, 0, 0, 0, body=body, body_size=len(body), attributes=attributes)
    TablePrinter(out).message(messages.message(message), common_pb2.Connection(), "node")
    return out.getvalue().splitlines()[-1]


@pytest.mark.parametrize(
    ("body", "attributes", "shown"),
    [
        (b"hello", {"operation": "PUB", "subject": "a.b"}, "PUB a.b hello"),
        (b"hello", {"operation": "basic.publish", "exchange": "", "routing_key": "k"}, "basic.publish k hello"),
        (b"SUB a.b 1", {"operation": "SUB", "subject": "a.b", "sid": "1"}, "SUB a.b 1"),
        (b"SELECT 1", {"operation": "query"}, "SELECT 1"),
        (b"\x1b[2Jhello", {"operation": "PUB", "subject": "\x1b[2J"}, "PUB"),
    ],
)
def test_where_a_payload_goes_stands_before_it(body: bytes, attributes: dict[str, Attribute], shown: str):
    line = row(body, **attributes)
    assert f"nats         {shown}" in line
    assert "\x1b" not in line
