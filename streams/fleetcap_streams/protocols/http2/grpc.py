"""gRPC over HTTP/2 (the PROTOCOL-HTTP2 document of gRPC): messages by their length prefix, status from trailers.

Tells of each direction how many messages there were and how large, so that unary calls and the three streaming forms show.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar, Final
from urllib.parse import unquote

import msgspec

from fleetcap_streams.protocols.contract import Attribute
from fleetcap_streams.protocols.http2.static_table import Field

NAME: Final = "grpc"
_PREFIX: Final = 5  # compressed flag and length
_SIZES_KEPT: Final = 100
_MESSAGE_SIZE: Final = 1024  # of the status message


class _State(msgspec.Struct, array_like=True):
    prefix: bytes = b""
    left: int = 0  # bytes of the message that is open
    count: int = 0
    compressed: int = 0
    sizes: list[int] = []
    total: int = 0
    broken: bool = False


class GrpcLayer:
    """One direction of a call."""

    __slots__ = ("_state",)
    name: ClassVar[str] = NAME

    def __init__(self) -> None:
        self._state = _State()

    @staticmethod
    def speaks(content_type: str) -> bool:
        """With or without the codec. gRPC-Web frames its trailers otherwise and is another one."""
        return content_type == "application/grpc" or content_type.startswith("application/grpc+")

    @staticmethod
    def describe(fields: Sequence[Field]) -> Mapping[str, Attribute]:
        """Encoding and timeout; the status where a response has nothing but a head."""
        told: dict[str, Attribute] = {}
        for name, value in fields:
            if name[:5] == "grpc-":
                if name == "grpc-status" and value.isascii() and value.isdigit():
                    told["grpc_status"] = int(value[:9])
                elif name == "grpc-message":
                    told["grpc_message"] = unquote(value)[:_MESSAGE_SIZE]
                elif name in ("grpc-encoding", "grpc-timeout"):
                    told[name.replace("-", "_")] = value
        return told

    def feed(self, data: bytes) -> None:
        """Count messages."""
        state = self._state
        pos, size = 0, len(data)
        if (
            not (state.count or state.prefix or state.broken)
            and size >= _PREFIX
            and data[0] <= 1
            and int.from_bytes(data[1:_PREFIX]) == size - _PREFIX
        ):
            state.count, state.compressed, state.total = 1, data[0], size - _PREFIX
            state.sizes = [state.total]
            return  # one message in one piece, as in nearly all unary calls
        while pos < size and not state.broken:
            if state.left:
                step = min(state.left, size - pos)
                state.left -= step
                pos += step
                continue
            prefix = state.prefix + data[pos : pos + _PREFIX - len(state.prefix)]
            pos += len(prefix) - len(state.prefix)
            if len(prefix) < _PREFIX:
                state.prefix = prefix
                return
            state.prefix = b""
            self._begin(prefix[0], int.from_bytes(prefix[1:]))

    def _begin(self, flag: int, length: int) -> None:
        state = self._state
        if flag > 1:  # nothing else is defined, so this is no message
            state.broken = True
            return
        state.compressed += flag
        state.count += 1
        state.total += length
        state.left = length
        if len(state.sizes) < _SIZES_KEPT:
            state.sizes.append(length)

    def gap(self, missing: int) -> None:
        """A hole inside one message costs nothing; behind any other the next prefix cannot be found."""
        state = self._state
        if missing and missing <= state.left:
            state.left -= missing
        else:
            state.broken = True

    def finish(self, trailers: Sequence[Field]) -> Mapping[str, Attribute]:
        """How many messages there were, their sizes (of the first ones), and more where there is more to tell."""
        state = self._state
        told: dict[str, Attribute] = {
            "grpc_messages": state.count,
            "grpc_message_sizes": state.sizes,
            "grpc_messages_size": state.total,
        }
        if state.compressed:
            told["grpc_compressed_messages"] = state.compressed
        if state.broken or state.left or state.prefix:
            told["grpc_framing"] = "broken" if state.broken else "incomplete"
        if trailers:
            told.update(self.describe(trailers))
        return told

    def state(self) -> bytes:
        """See `Layer`."""
        return msgspec.msgpack.encode(self._state)

    def restore(self, state: bytes) -> None:
        """See `Layer`."""
        self._state = msgspec.msgpack.decode(state, type=_State)
