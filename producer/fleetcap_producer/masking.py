"""Masks what must not leave the node: values of named header fields, and whatever matches given patterns.

Masked bytes become asterisks, as many as there were, so that positions, lengths and framing stay true. It looks at plain text
as it crosses, also where a name or a value is cut into several events; it parses no protocol. So what is compressed on the way
(HTTP/2's header fields, coded bodies) it cannot find; see docs/decisions/0032.
"""

import re
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import ne
from typing import Final

from fleetcap_producer.captured import Captured
from fleetcap_proto.v1 import raw_pb2

_DATA: Final = raw_pb2.EVENT_KIND_DATA
_CLOSED: Final = raw_pb2.EVENT_KIND_CLOSED
_MASK: Final = b"*"
# Bytes of the former event that are looked at again: a name, or a pattern's match, that began there is found up to this length.
_BEHIND: Final = 256
_MOST_STREAMS: Final = 65_536


class MaskError(ValueError):
    """A rule cannot be used. One line that ends with the remedy."""


@dataclass(slots=True)
class _Stream:
    """Where one direction of a connection is: its next position, its last bytes, and whether they end within a value."""

    next: int = 0
    tail: bytes = b"\n"  # nobody knows what came before it, so a line may begin here
    within: bool = False


class Masker:
    """Masks the values of `headers` (names, whatever their case) and the matches of `patterns` (regular expressions for bytes).

    Raises:
        MaskError: a name is none of a header field, or a pattern is no expression or matches nothing at all.
    """

    def __init__(self, headers: Sequence[str] = (), patterns: Sequence[str] = ()) -> None:
        for name in headers:
            if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}", name):  # a token, RFC 9110 section 5.6.2
                raise MaskError(f"{name!r} is no name of a header field; give names such as authorization")
        names = b"|".join(re.escape(name.encode()) for name in headers)
        # A field begins a line; its value ends with the line, or not yet (RFC 9112 section 5).
        self._header = re.compile(rb"(?i)(?<=\n)(?:" + names + rb")[ \t]*:[ \t]*([^\r\n]*)") if headers else None
        self._patterns = [_compiled(pattern) for pattern in patterns]
        self._streams: OrderedDict[tuple[str, int], _Stream] = OrderedDict()
        self.masked = 0  # bytes

    def mask(self, events: Iterable[Captured]) -> list[Captured]:
        """The same events with their bytes masked."""
        return [self._event(event) if event.kind == _DATA else self._other(event) for event in events]

    def _other(self, event: Captured) -> Captured:
        if event.kind == _CLOSED:
            for direction in (0, 1):
                self._streams.pop((event.connection.uuid, direction), None)
        return event

    def _event(self, event: Captured) -> Captured:
        stream = self._stream(event)
        if event.position != stream.next:
            # What is missing may hold the end of a value, or not: a value that was open stays so up to the next line.
            stream.tail = b"\n"
        text = stream.tail + event.payload
        masked = bytearray(text)
        begin = len(stream.tail)
        ends_within = self._mask_headers(text, masked, begin, within=stream.within)
        for pattern in self._patterns:
            for match in pattern.finditer(text):
                self._cover(masked, max(match.start(), begin), match.end())
        stream.next = event.position + (event.length or len(event.payload))
        stream.tail = text[-_BEHIND:] if stream.next == event.position + len(event.payload) else b"\n"
        stream.within = ends_within
        payload = bytes(masked[begin:])
        if payload == event.payload:
            return event
        self.masked += sum(map(ne, payload, event.payload))
        return event._replace(payload=payload)

    def _mask_headers(self, text: bytes, masked: bytearray, begin: int, *, within: bool) -> bool:
        """Mask values from `begin` on; returns whether the text ends within one."""
        if self._header is None:
            return False
        ends_within = False
        if within:
            end = _line_end(text, begin)
            self._cover(masked, begin, end)
            ends_within = end == len(text)
        for match in self._header.finditer(text):
            self._cover(masked, max(match.start(1), begin), match.end(1))
            # Where nothing of the value came yet, its name will be found once more with the next event.
            ends_within |= match.start(1) < match.end(1) == len(text)
        return ends_within

    @staticmethod
    def _cover(masked: bytearray, begin: int, end: int) -> None:
        if end > begin:
            masked[begin:end] = _MASK * (end - begin)

    def _stream(self, event: Captured) -> _Stream:
        key = event.connection.uuid, event.direction
        stream = self._streams.get(key)
        if stream is None:
            if len(self._streams) >= _MOST_STREAMS:
                self._streams.popitem(last=False)
            stream = self._streams[key] = _Stream(event.position)
        return stream


def _line_end(text: bytes, begin: int) -> int:
    ends = [at for at in (text.find(b"\r", begin), text.find(b"\n", begin)) if at >= 0]
    return min(ends, default=len(text))


def _compiled(pattern: str) -> re.Pattern[bytes]:
    try:
        compiled = re.compile(pattern.encode())
    except re.error as error:
        raise MaskError(f"the pattern {pattern!r} is no regular expression ({error}); see Python's module re") from error
    if compiled.match(b"") and compiled.fullmatch(b""):
        raise MaskError(f"the pattern {pattern!r} matches nothing at all, too; write it so that it needs at least one byte")
    return compiled
