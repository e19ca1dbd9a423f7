"""The steps of a body: each takes bytes from a position and returns the next one (RFC 9112 sections 6 and 7)."""

from fleetcap_streams.protocols.http1 import chunked, notes
from fleetcap_streams.protocols.http1.flow import Flow, Step


def _fill(flow: Flow, data: bytes, pos: int) -> int:
    """Give the body what it still waits for."""
    opened = flow.opened()
    stop = min(pos + opened.remaining, len(data))
    flow.out += opened.feed(data[pos:stop], flow.backlog.time_at(pos))
    opened.remaining -= stop - pos
    return stop


def length(flow: Flow, data: bytes, pos: int) -> int:
    """A body of known length."""
    stop = _fill(flow, data, pos)
    if not flow.opened().remaining:
        flow.finish(flow.backlog.time_at(stop - 1))
    return stop


def until_close(flow: Flow, data: bytes, pos: int) -> int:
    """A body that ends with the connection."""
    flow.opened().remaining = len(data) - pos
    return _fill(flow, data, pos)


def chunk_size(flow: Flow, data: bytes, pos: int) -> int:
    """The line before a chunk's bytes."""
    match chunked.read_size(data, pos):
        case chunked.Size(size, after):
            flow.opened().remaining = size
            flow.step = Step.CHUNK_DATA if size else Step.TRAILERS
            return after
        case chunked.Need():
            return _wait(flow, data, pos)
        case chunked.Broken():
            return _broken(flow, pos)


def chunk_data(flow: Flow, data: bytes, pos: int) -> int:
    """A chunk's bytes."""
    stop = _fill(flow, data, pos)
    if not flow.opened().remaining:
        flow.step = Step.CHUNK_END
    return stop


def chunk_end(flow: Flow, data: bytes, pos: int) -> int:
    """The line end behind a chunk's bytes."""
    after = chunked.read_end(data, pos)
    if after == chunked.NEED_MORE:
        return _wait(flow, data, pos)
    if after == chunked.NO_LINE_END:
        return _broken(flow, pos)
    flow.step = Step.CHUNK_SIZE
    return after


def trailers(flow: Flow, data: bytes, pos: int) -> int:
    """Fields behind the last chunk, and the empty line that ends the message."""
    match chunked.read_trailers(data, pos, flow.limits.head):
        case chunked.Trailers(pairs, said, after):
            flow.opened().trail(pairs, said)
            flow.finish(flow.backlog.time_at(after - 1))
            return after
        case chunked.Need():
            return _wait(flow, data, pos)
        case chunked.Broken():
            return _broken(flow, pos)


def _wait(flow: Flow, data: bytes, pos: int) -> int:
    flow.backlog.keep(data, pos)
    return len(data)


def _broken(flow: Flow, pos: int) -> int:
    flow.cut(flow.backlog.time_at(max(pos - 1, 0)), notes.CHUNK_INVALID)
    flow.lose()
    return pos
