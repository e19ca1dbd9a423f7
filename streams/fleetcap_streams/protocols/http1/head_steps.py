"""The steps between bodies: a head, the search for one, and the short way for messages with nothing special about them.

Each takes bytes from a position and returns the next one.
"""

from fleetcap_streams.protocols import sha256
from fleetcap_streams.protocols.contract import Message, Role
from fleetcap_streams.protocols.http1 import notes
from fleetcap_streams.protocols.http1.flow import Flow, Step
from fleetcap_streams.protocols.http1.head import (
    CACHED_SIZE,
    HEADS,
    PREFIX,
    Head,
    blank_line,
    could_begin,
    read_head,
    read_start_line,
)
from fleetcap_streams.protocols.http1.open_message import NAME, NO_ATTRIBUTES
from fleetcap_streams.protocols.http1.search import find_head

_LF = 0x0A
_SHORTEST_HEAD = 16  # `GET / HTTP/1.1` and a line end


def head(flow: Flow, data: bytes, pos: int) -> int:
    """Start line, fields and empty line. Empty lines before them are ignored (RFC 9112 section 2.2)."""
    start = pos
    while start < len(data) and data[start] in b"\r\n":
        start += 1
    if start > pos:
        flow.say(notes.LEADING_CRLF)
    if start == len(data):
        return start
    end = blank_line(data, start, flow.limits.head)
    if end < 0:
        return _unfinished(flow, data, start)
    raw = data[start:end]
    read = HEADS.get(raw) or read_head(raw)
    if read is None:
        flow.lose()
        return start
    opened = flow.begin(read, flow.backlog.time_at(start))
    if opened.body is None:
        flow.finish(flow.backlog.time_at(end - 1))
    return end


def _unfinished(flow: Flow, data: bytes, start: int) -> int:
    """Wait for the rest of a head, unless it is none or too long."""
    limit = flow.limits.head
    line_end = data.find(b"\n", start, start + limit)
    if line_end >= 0:
        flow.checked = read_start_line(data[start:line_end]) is not None
        lost = not flow.checked
    else:
        lost = not could_begin(data[start : start + PREFIX])
    too_long = len(data) - start > limit
    if lost or (too_long and not flow.checked):
        flow.lose()
        return start
    if too_long:
        flow.put_partial(data, start, start + limit, notes.HEAD_TOO_LONG)
        flow.lose()
        return start + limit
    flow.backlog.keep(data, start)
    return len(data)


def search(flow: Flow, data: bytes, pos: int) -> int:
    """Skip to the next head."""
    found, keep = find_head(data, pos, line_start=flow.line_start)
    if found >= 0:
        flow.skip(data, pos, found)
        flow.put_skipped()
        flow.step = Step.HEAD
        return found
    flow.skip(data, pos, keep)
    if keep > pos:
        flow.line_start = data[keep - 1] == _LF
    flow.backlog.keep(data, keep)
    return len(data)


def enqueue(flow: Flow, data: bytes, pos: int) -> int:
    """Hold everything: it is HTTP or another protocol, and the answer that tells has not come."""
    flow.queue.append((data[pos:], flow.backlog.time_at(pos)))
    flow.queued += len(data) - pos
    if flow.step is Step.HELD and flow.queued > flow.limits.detection:
        flow.pairing.release()
    return len(data)


def quick(flow: Flow, data: bytes, pos: int) -> int:
    """Whole messages with nothing special about them, straight through; returns where the first other one begins.

    It does what the steps would do, without what most messages never need: that is most of the stage's speed. All of
    `data` came at once, and no note waits for the next message.
    """
    pairing, direction, out = flow.pairing, flow.direction, flow.out
    now, size, longest = flow.backlog.now, len(data), flow.limits.body
    while pos < size:
        end = data.find(b"\n\r\n", pos) + 3
        raw = data[pos:end]
        read = HEADS.get(raw) or _read(raw)
        if read is None or not read.plain:
            return pos
        length = read.length
        after = end + length
        if after > size or length > longest:
            return pos
        http = read.http
        if http.status:
            answers = flow.answers
            if not answers or answers[0] & 3 or pairing.doubtful[direction] or pairing.held:
                return pos
            role, exchange = Role.RESPONSE, answers.popleft() >> 2
        else:
            mine = flow.mine
            if len(mine) >= pairing.limit or pairing.doubtful[direction ^ 1] or pairing.overflow[direction]:
                return pos
            role, exchange = Role.REQUEST, pairing.last + 1
            pairing.last = exchange
            mine.append(exchange << 2 | read.kind)
        body = data[end:after]
        digest = sha256.digest(body) if length else sha256.EMPTY
        out.append(
            Message(
                NAME,
                direction,
                role,
                exchange,
                now,
                now,
                read.raw,
                body,
                length,
                digest,
                length,
                True,
                0,
                read.notes,
                http,
                NO_ATTRIBUTES,
            )
        )
        pos = after
    return pos


def _read(raw: bytes) -> Head | None:
    if not _SHORTEST_HEAD <= len(raw) <= CACHED_SIZE or raw[0] in b"\r\n" or b"\n\n" in raw:
        return None
    return read_head(raw)
