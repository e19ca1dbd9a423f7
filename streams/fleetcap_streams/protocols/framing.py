"""What a framed protocol supplies to the loop in framed.py, and what it is given. docs/adding-a-protocol.md shows how.

find    where, in bytes that start anywhere, does a frame begin?
parse   how long is the frame that begins here?
stitch  which messages does this frame finish?
"""

from collections.abc import Sequence
from enum import Enum
from typing import Any, ClassVar, Final, NamedTuple, Protocol, TypeAlias

from fleetcap_streams.protocols.contract import Direction, End, Limits, Message


class State(Enum):
    """What `parse` makes of the bytes at a place where a frame should begin."""

    INVALID = "invalid"  # not a frame
    MORE = "more"  # cannot tell yet
    IGNORED = "ignored"  # a frame that says nothing: it passes by without being kept
    DONE = "done"  # a frame


Step: TypeAlias = tuple[State, int]
"""A state, and for IGNORED and DONE the whole frame's size in bytes, of which no more than tells the size need be there."""

INVALID: Final[Step] = (State.INVALID, 0)
MORE: Final[Step] = (State.MORE, 0)


class Frame(NamedTuple):
    """One frame. `data` holds its first bytes: all of them where `whole`, else up to the cap, the hole or the end."""

    data: bytes
    size: int  # on the wire
    whole: bool
    missing: int  # bytes of it that were lost or never came, at least; 0 where it was only cut by the cap
    start_ns: int
    end_ns: int

    @property
    def cut(self) -> bool:
        """Whether it was longer than the cap."""
        return not self.whole and not self.missing


class DesyncError(Exception):
    """Raised by `stitch`, which then must have changed nothing: this cannot have been a frame."""


class Handover(Exception):  # noqa: N818 - not an error: see SwitchProtocol
    """Raised by `parse`: from this byte on the peers speak what the token names, as in `SwitchProtocol`."""


class Framing(Protocol):
    """What a protocol supplies, one for each connection.

    `state` is all it remembers: something msgspec can write and, by the type `State`, read; bounded by the limits.
    """

    State: ClassVar[Any]
    state: Any

    def __init__(self, limits: Limits, state: Any = None) -> None:
        """Begin, or go on from a state that was saved."""

    def find(self, direction: Direction, data: bytes, at: int, *, edge: bool) -> tuple[int, bool]:
        """Where at or after `at` a frame begins. `edge`: the hole ended at `at`, and holes often end where frames begin.

        True with it: surely. False: the bytes from there on may become one, those before are let go. It must decide about a
        place by a certain number of bytes, however many more there are: else chunking would change something.
        """
        raise NotImplementedError

    def parse(self, direction: Direction, data: bytes, at: int) -> Step:
        """The frame that begins at `at`, where at least one byte is. What is said of `find` holds here too."""
        raise NotImplementedError

    def stitch(self, direction: Direction, frame: Frame) -> Sequence[Message]:
        """Take the next frame and give the messages it finishes."""
        raise NotImplementedError

    def lost(self, direction: Direction, missing: int, time_ns: int) -> Sequence[Message]:  # noqa: ARG002 - a default
        """Bytes are missing, or could not be read; whole frames may be among them. 0: nobody knows how many, nor whether any."""
        return ()

    def ended(self, direction: Direction, end: End, time_ns: int) -> Sequence[Message]:  # noqa: ARG002 - a default
        """As in the contract. Unless IDLE, put out what is open, as incomplete."""
        return ()

    def aligned(self, direction: Direction) -> bool:  # noqa: ARG002 - a default
        """While a frame is looked for: whether the next bytes must begin one, by what the other direction said."""
        return False

    @property
    def exchanges(self) -> int:
        """The highest exchange number used."""
        return 0
