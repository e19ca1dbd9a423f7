"""What is spoken inside an HTTP/2 stream: it sees a message's DATA as it comes, and tells attributes of the HTTP message.

A layer is chosen by the head's content type. It never changes the body, keeps little, and never raises on what bytes say.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar, Final, Protocol

from fleetcap_streams.protocols.contract import Attribute
from fleetcap_streams.protocols.http2.grpc import GrpcLayer
from fleetcap_streams.protocols.http2.static_table import Field


class Layer(Protocol):
    """One message's; made without arguments."""

    name: ClassVar[str]
    """Stands in the message's `protocol`."""

    def __init__(self) -> None:
        """Before the body's first byte."""

    @staticmethod
    def speaks(content_type: str) -> bool:
        """Whether a body of that content type, in lower case and without parameters, is this layer's."""

    @staticmethod
    def describe(fields: Sequence[Field]) -> Mapping[str, Attribute]:
        """What a head's fields tell."""

    def feed(self, data: bytes) -> None:
        """The next bytes of the body as sent."""

    def gap(self, missing: int) -> None:
        """Bytes are missing here; 0: it is not known how many."""

    def finish(self, trailers: Sequence[Field]) -> Mapping[str, Attribute]:
        """Nothing more is coming: what the body and the trailers tell."""

    def state(self) -> bytes:
        """What a snapshot holds of it; a few bytes."""

    def restore(self, state: bytes) -> None:
        """Go on from a state."""


LAYERS: Final[tuple[type[Layer], ...]] = (GrpcLayer,)
"""The first one that speaks a content type is taken."""


def layer_of(content_type: str) -> type[Layer] | None:
    """The layer of messages with that content type, None where nothing is known to be spoken inside."""
    for layer in LAYERS:
        if layer.speaks(content_type):
            return layer
    return None


def layer_called(name: str) -> type[Layer] | None:
    """The layer of that name, as a snapshot has it."""
    return next((layer for layer in LAYERS if layer.name == name), None)
