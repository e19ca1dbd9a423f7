"""Where the next head may begin, in the middle of anything.

A body need not end with a line end, so a head is looked for at every byte: a status line anywhere, a request line after a line
end, or anywhere if its method is a usual one. The line must be whole, and a field or an empty line must follow.
"""

import re
from typing import Final

from fleetcap_streams.protocols.http1.head import looks_like_field, read_start_line

LOOK_BACK: Final = 8 * 1024  # longest request line that is found: from its end back to its method
_FIELD_NAME: Final = 64  # bytes of the second line by which it is judged
_MARK: Final = b"HTTP/1."
_MARK_AND_DIGIT: Final = 8
_STATUS = re.compile(rb"HTTP/1\.[0-9] [1-5][0-9]{2}[ \r\n]")
_STATUS_SIZE: Final = 13
_METHODS = re.compile(
    rb"(?:GET|HEAD|POST|PUT|DELETE|OPTIONS|PATCH|CONNECT|TRACE|PROPFIND|PROPPATCH|MKCOL|COPY|MOVE|LOCK|UNLOCK|REPORT|SEARCH)$"
)
_LONGEST_METHOD: Final = 9


def find_head(data: bytes, start: int, *, line_start: bool) -> tuple[int, int]:
    """Look for a head at or after `start`; `line_start` says whether a line of its own may begin right there.

    Returns where the head begins, or -1, and from where bytes must be kept to go on when more of them have come.
    """
    mark = data.find(_MARK, start)
    while mark >= 0:
        begin = _begin(data, start, mark, line_start=line_start)
        if begin >= 0:
            verdict = _judge(data, begin, mark)
            if verdict is None:
                return -1, begin
            if verdict:
                return begin, begin
        mark = data.find(_MARK, mark + 1)
    return -1, max(start, data.rfind(b"\n", start) + 1, len(data) - LOOK_BACK)


def _begin(data: bytes, start: int, mark: int, *, line_start: bool) -> int:
    """Where the start line with `HTTP/1.` at `mark` would begin, or -1."""
    if mark == start or data[mark - 1] not in b" \t":
        return mark
    low = max(start, mark - LOOK_BACK)
    line = max(low, data.rfind(b"\n", low, mark) + 1)
    space = data.rfind(b" ", line, mark - 1)
    if space < 0:
        return -1
    method = _METHODS.search(data[max(line, space - _LONGEST_METHOD) : space])
    if method is not None:
        return space - len(method.group())
    own_line = line_start if line == start else data[line - 1] == 0x0A
    return line if own_line else -1


def _judge(data: bytes, begin: int, mark: int) -> bool | None:
    """Whether a head begins there; None: more bytes are needed to tell."""
    if begin == mark:
        if not _STATUS.match(data, begin):
            return None if len(data) - begin < _STATUS_SIZE else False
    elif data[mark + _MARK_AND_DIGIT : mark + _MARK_AND_DIGIT + 1] not in (b"\r", b"\n"):
        return None if len(data) <= mark + _MARK_AND_DIGIT else False
    line_end = data.find(b"\n", mark, mark + LOOK_BACK)
    if line_end < 0:
        return None if len(data) - mark < LOOK_BACK else False
    following = data[line_end + 1 : line_end + 1 + _FIELD_NAME]
    if following[:1] == b"\n" or following[:2] == b"\r\n" or looks_like_field(following):
        return read_start_line(data[begin:line_end]) is not None
    return None if len(following) < _FIELD_NAME and b"\n" not in following else False
