"""A reader's sink that writes down what it was told."""

from collections import defaultdict

from fleetcap_streams.protocols.http2.reader import Times


class Listener:
    """What a reader found. Bodies are by stream."""

    def __init__(self) -> None:
        self.frames: list[tuple[int, int, int, bytes]] = []
        self.times: list[Times] = []
        self.bodies: dict[int, bytes] = defaultdict(bytes)
        self.ended: list[int] = []
        self.holes: list[tuple[int, int]] = []
        self.lost_frames: list[tuple[int, int]] = []
        self.invalid: list[int] = []
        self.losses: list[int] = []
        self.found_again = 0
        self.skipped = b""
        self.client: bool | None = None

    def begin(self, *, client: bool) -> None:
        self.client = client

    def frame(self, kind: int, flags: int, stream: int, payload: bytes, times: Times) -> None:
        self.frames.append((kind, flags, stream, payload))
        self.times.append(times)

    def data(self, stream: int, piece: bytes, times: Times, *, ends: bool) -> None:
        self.bodies[stream] += piece
        self.times.append(times)
        if ends:
            self.ended.append(stream)

    def data_end(self, stream: int, flags: int, end_ns: int) -> None:  # noqa: ARG002 - as the sink has it
        if flags & 1:
            self.ended.append(stream)

    def data_hole(self, stream: int, missing: int, time_ns: int) -> None:  # noqa: ARG002 - as the sink has it
        self.holes.append((stream, missing))

    def frame_lost(self, kind: int, flags: int, stream: int, times: Times) -> None:  # noqa: ARG002 - as the sink has it
        self.lost_frames.append((kind, stream))

    def frame_invalid(self, kind: int, flags: int, stream: int, error: int) -> None:  # noqa: ARG002 - as the sink has it
        self.invalid.append(error)

    def lost(self, missing: int) -> None:
        self.losses.append(missing)

    def found(self) -> None:
        self.found_again += 1

    def skip(self, data: bytes, time_ns: int) -> None:  # noqa: ARG002 - as the sink has it
        self.skipped += data
