from collections.abc import Callable
from typing import Any

import pytest

from fleetcap_streams.protocols.http2 import frames
from fleetcap_streams.protocols.http2.frames import DEFAULT_MAX_FRAME, HEADER_SIZE, PADDED, PRIORITY_FLAG, FrameType
from fleetcap_streams.protocols.http2.reader import FrameReader
from tests.streams.protocols.http2.listener import Listener
from tests.streams.protocols.http2.vectors import cases

CASES = cases("http2-frame-test-case", "*/*.json")
VALID = [(name, case) for name, case in CASES if case["error"] is None]
INVALID = [(name, case) for name, case in CASES if case["error"] is not None]


def priority_of(flags: int, payload: bytes) -> dict[str, Any]:
    said = frames.priority(frames.unpad(flags, payload)) if flags & PRIORITY_FLAG else (None, None, None)
    return dict(zip(("stream_dependency", "weight", "exclusive"), said, strict=True))


# A payload's fields under the names that the cases give them.
FIELDS: dict[int, Callable[[int, bytes], dict[str, Any]]] = {
    FrameType.DATA: lambda flags, payload: {"data": frames.unpad(flags, payload).decode()},
    FrameType.HEADERS: lambda flags, payload: (
        {"header_block_fragment": frames.fragment(flags, payload).decode()} | priority_of(flags, payload)
    ),
    FrameType.PRIORITY: lambda _, payload: priority_of(PRIORITY_FLAG, payload) | {"padding_length": None, "padding": None},
    FrameType.RST_STREAM: lambda _, payload: {"error_code": int.from_bytes(payload)},
    FrameType.SETTINGS: lambda _, payload: {"settings": [list(pair) for pair in frames.settings(payload)]},
    FrameType.PUSH_PROMISE: lambda flags, payload: {
        "promised_stream_id": frames.promise(flags, payload)[0],
        "header_block_fragment": frames.promise(flags, payload)[1].decode(),
    },
    FrameType.PING: lambda _, payload: {"opaque_data": payload.decode()},
    FrameType.GOAWAY: lambda _, payload: {
        "last_stream_id": frames.goaway(payload).last_stream,
        "error_code": frames.goaway(payload).error,
        "additional_debug_data": frames.goaway(payload).debug.decode(),
    },
    FrameType.WINDOW_UPDATE: lambda _, payload: {"window_size_increment": frames.number(payload)},
    FrameType.CONTINUATION: lambda _, payload: {"header_block_fragment": payload.decode()},
}


def fields_of(kind: int, flags: int, payload: bytes) -> dict[str, Any]:
    fields = FIELDS[kind](flags, payload)
    if kind in (FrameType.DATA, FrameType.HEADERS, FrameType.PUSH_PROMISE):
        length = payload[0] if flags & PADDED else None
        fields |= {"padding_length": length, "padding": payload[len(payload) - length :].decode() if length else None}
    return fields


@pytest.mark.parametrize("case", [case for _, case in VALID], ids=[name for name, _ in VALID])
class TestValidFrames:
    def test_fields(self, case: dict[str, Any]):
        wire, frame = bytes.fromhex(case["wire"]), case["frame"]
        length, kind, flags, stream = int.from_bytes(wire[:3]), wire[3], wire[4], frames.number(wire, 5)
        payload = wire[HEADER_SIZE:]
        assert (length, kind, flags, stream) == (
            frame["length"],
            frame["type"],
            frame["flags"],
            frame["stream_identifier"],
        )
        assert frames.header_error(kind, flags, stream, length, DEFAULT_MAX_FRAME) is None
        assert frames.payload_error(kind, flags, payload) is None
        assert fields_of(kind, flags, payload) == frame["frame_payload"]

    @pytest.mark.parametrize("size", [1, 5, 1000])
    def test_through_the_reader(self, case: dict[str, Any], size: int):
        wire, frame = bytes.fromhex(case["wire"]), case["frame"]
        listener = Listener()
        reader = begun(listener)
        feed(reader, wire, size)
        if frame["type"] == FrameType.DATA:
            assert listener.bodies == {frame["stream_identifier"]: frame["frame_payload"]["data"].encode()}
        elif frame["type"] != FrameType.WINDOW_UPDATE:  # says nothing about messages
            assert listener.frames == [(frame["type"], frame["flags"], frame["stream_identifier"], wire[HEADER_SIZE:])]
        assert not listener.invalid


@pytest.mark.parametrize("case", [case for _, case in INVALID], ids=[name for name, _ in INVALID])
@pytest.mark.parametrize("size", [1, 5, 1000])
def test_invalid_frames_are_flagged_with_the_error_that_is_theirs(case: dict[str, Any], size: int):
    listener = Listener()
    reader = begun(listener)
    feed(reader, bytes.fromhex(case["wire"]), size)
    assert listener.invalid
    assert all(error in case["error"] for error in listener.invalid)
    assert not listener.frames
    assert not any(listener.bodies.values())


@pytest.mark.parametrize("case", [case for _, case in INVALID], ids=[name for name, _ in INVALID])
def test_what_follows_an_invalid_frame_is_read(case: dict[str, Any]):
    if int.from_bytes(bytes.fromhex(case["wire"])[:3]) > DEFAULT_MAX_FRAME:
        pytest.skip("where that frame ends is not in the case")
    listener = Listener()
    ping = b"\0\0\x08\x06\0\0\0\0\0" + b"deadbeef"
    feed(begun(listener), bytes.fromhex(case["wire"]) + ping * 3, 1000)
    assert listener.frames[-3:] == [(FrameType.PING, 0, 0, b"deadbeef")] * 3


def begun(listener: Listener) -> FrameReader:
    reader = FrameReader(listener, 256 * 1024)
    reader.feed(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 1)
    reader.feed(b"\0\0\0\4\0\0\0\0\0" * 2, 1)
    listener.frames.clear()
    return reader


def feed(reader: FrameReader, wire: bytes, size: int) -> None:
    for start in range(0, len(wire), size):
        reader.feed(wire[start : start + size], 2)
