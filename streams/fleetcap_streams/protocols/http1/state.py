"""The form of an HTTP/1 parser's snapshot. A worker of another version must refuse it, hence `version`."""

from typing import Final

import msgspec

from fleetcap_streams.protocols.body import BodyState
from fleetcap_streams.protocols.raw import RawState

VERSION: Final = 2


class QueuedState(msgspec.Struct, array_like=True):
    """One thing that happened while a direction was held: bytes, or a gap of `missing`."""

    data: bytes
    missing: int | None
    time_ns: int


class OpenState(msgspec.Struct, array_like=True):
    """A message whose head is read and whose body is not over."""

    head: bytes
    start_ns: int
    exchange: int
    notes: tuple[str, ...]
    body: BodyState | None
    remaining: int
    unknown_gap: bool
    watch: bytes | None


class HalfState(msgspec.Struct, array_like=True):
    """One direction."""

    step: int
    buffer: bytes
    ends: list[int]
    times: list[int]
    now: int
    line_start: bool
    notes: tuple[str, ...]
    open: OpenState | None
    skipped: RawState
    queue: list[QueuedState]


class PairingState(msgspec.Struct, array_like=True):
    """Exchange numbers, as `Pairing` has them."""

    last: int
    waiting: tuple[list[int], list[int]]
    overflow: list[int]
    doubtful: list[int]
    held: int


class ParserState(msgspec.Struct, array_like=True):
    """Both directions and what joins them."""

    version: int
    halves: tuple[HalfState, HalfState]
    pairing: PairingState
