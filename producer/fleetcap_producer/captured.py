"""The seam between the tap, which sees, and packing, which ships."""

from typing import NamedTuple

from fleetcap_proto.v1 import common_pb2

# The connection of what belongs to none; never changed.
NOWHERE = common_pb2.Connection()


class Captured(NamedTuple):
    """What one probe hit saw, with its connection; fields as in the schema's `RawEvent`.

    A finished fact belongs to no connection, so its `connection` is `NOWHERE`, and its `payload` is the serialized `Activity` or
    `KeyLogEntry`.

    `connection` is one object for as long as the connection lives; the tap raises its `revision` when it learns more.
    `length` is 0 where all of the bytes are in `payload`. `received_total` and `sent_total` belong to a CLOSED event and are
    None where the kernel's count is not known.
    """

    connection: common_pb2.Connection
    kind: int
    timestamp_ns: int
    direction: int = 0
    position: int = 0
    payload: bytes = b""
    length: int = 0
    tid: int = 0
    comm: str = ""
    received_total: int | None = None
    sent_total: int | None = None
