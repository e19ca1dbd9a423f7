"""RESP2 and RESP3 on the wire: where an element ends, where one may begin, and whether a connection speaks it.

An element is a whole line, a whole bulk string, or just the header of an aggregate: so none is nested, and depth is no
matter here. Source: the protocol specification "RESP" of redis.io, with the streamed types of the RESP3 proposal.
"""

import re
from collections.abc import Iterator
from typing import Final

from fleetcap_streams.protocols.contract import Opening, Score
from fleetcap_streams.protocols.framing import INVALID, MORE, State, Step
from fleetcap_streams.protocols.redis import commands

LINES: Final = b"+-:,(#_."
BULKS: Final = b"$=!;"
AGGREGATES: Final = b"*~%>|"
MAPS: Final = b"%|"
TYPES: Final = frozenset(LINES + BULKS + AGGREGATES)
RESP3: Final = frozenset(b",(#_.=!;~%>|")
ARRAY: Final = ord("*")
UNTIL_END: Final = -1  # the count of an aggregate or string that is streamed: `*?`, `$?`

LINE: Final = 64 * 1024  # bytes of a line; Redis itself takes no longer inline command
HEADER: Final = 24  # bytes of a header: type, 20 digits, CRLF
LARGEST: Final = 1 << 32  # bytes of a string or elements of an aggregate: more is not length but nonsense

_COUNTED: Final = frozenset(BULKS + AGGREGATES)
_COUNT: Final = re.compile(rb"[0-9]{1,10}|-1|\?")
_LINE: Final = re.compile(rb"[+-][^\r\n]*|:[+-]?[0-9]{1,19}|,[-+0-9.eEinfa]{1,40}|\([+-]?[0-9]+|#[tf]|_|\.")
_WORDS: Final = re.compile(rb"[A-Za-z\"'][^\x00-\x08\x0e-\x1f\r\n]*")


def element(data: bytes, at: int, *, inline: bool) -> Step:
    """The element that begins here; `inline`: commands may also be plain lines."""
    kind = data[at]
    if kind in _COUNTED:
        return _counted(data, at, kind)
    if kind in TYPES:
        end = data.find(b"\r\n", at, at + LINE)
        if end < 0:
            return MORE if len(data) - at < LINE else INVALID
        return (State.DONE, end + 2 - at) if _LINE.fullmatch(data, at, end) else INVALID
    return _inline(data, at) if inline else INVALID


def _counted(data: bytes, at: int, kind: int) -> Step:
    end = data.find(b"\r\n", at, at + HEADER)
    if end < 0:
        return MORE if len(data) - at < HEADER else INVALID
    if not _COUNT.fullmatch(data, at + 1, end):
        return INVALID
    size = end + 2 - at
    count = number(data[at + 1 : end])
    if count > LARGEST:
        return INVALID
    if kind in BULKS and count >= 0 and not (kind == 0x3B and count == 0):
        size += count + 2
    return State.DONE, size


def number(digits: bytes) -> int:
    """The count in a header: -1 where null or streamed."""
    return UNTIL_END if digits == b"?" else int(digits)


def _inline(data: bytes, at: int) -> Step:
    end = data.find(b"\n", at, at + LINE)
    if end < 0:
        return MORE if len(data) - at < LINE and (_WORDS.match(data, at) or data[at:] == b"\r") else INVALID
    line = data[at:end].removesuffix(b"\r")
    if not line:
        return State.IGNORED, end + 1 - at
    return (State.DONE, end + 1 - at) if _WORDS.fullmatch(line) else INVALID


_REQUEST: Final = re.compile(rb"\*[1-9][0-9]{0,6}\r\n\$[1-9][0-9]{0,2}\r\n[A-Za-z]")
_REQUEST_BEGUN: Final = re.compile(rb"\*(?:[1-9][0-9]{0,6}(?:\r(?:\n(?:\$(?:[1-9][0-9]{0,2}(?:\r(?:\n)?)?)?)?)?)?)?\Z")
_ANSWER: Final = re.compile(
    rb"[+-][^\r\n]{1,512}\r\n|[:(][+-]?[0-9]{1,19}\r\n|[,#_][^\r\n]{0,40}\r\n|\$(?:-1|[0-9]{1,10})\r\n|[*~%>](?:-1|0)\r\n"
    rb"|[*~%>|][0-9]{1,9}\r\n[-+:,(#_$=!*~%>|]"
)
_ANSWER_BEGUN: Final = re.compile(
    rb"(?:[+-][^\r\n]{0,512}\r?|[:(][+-]?[0-9]{0,19}\r?|[,#_][^\r\n]{0,40}\r?"
    rb"|\$(?:-1?|[0-9]{0,10})\r?|[*~%>|](?:-1?|[0-9]{0,9})(?:\r\n?)?)\Z"
)


def find(data: bytes, at: int, *, edge: bool, request: bool, answer: bool) -> tuple[int, bool]:
    """Where a line begins that looks like the beginning of a request or of an answer, whichever may be.

    While that is not sure, the line feed before is kept too: without one, no line begins.
    """
    for place in _lines(data, at, edge=edge):
        if (request and _REQUEST.match(data, place)) or (answer and _ANSWER.match(data, place)):
            return place, True
        if (request and _REQUEST_BEGUN.match(data, place)) or (answer and _ANSWER_BEGUN.match(data, place)):
            return place if place == at else place - 1, False
    return max(len(data) - 1, at), False


def _lines(data: bytes, at: int, *, edge: bool) -> Iterator[int]:
    if edge:
        yield at
    while feed := data.find(b"\n", at) + 1:
        at = feed
        yield at


_COMMAND: Final = re.compile(rb"\*[1-9][0-9]{0,6}\r\n\$([1-9][0-9]?)\r\n([A-Za-z][A-Za-z0-9._|-]*)\r\n")
_SURE_ANSWER: Final = re.compile(
    rb"\+(?:PONG|QUEUED)\r\n|:-?[0-9]{1,19}\r\n|\$-1\r\n|\*(?:-1|0)\r\n|[*~%>][0-9]{1,9}\r\n[:$*+%~_#,-]"
    rb"|-(?!ERR ')[A-Z]{2,20} [^\r\n]+\r\n"
)
_POSSIBLE_ANSWER: Final = re.compile(rb"[-+:$*~%>_#,(|]")
_DECIDED: Final = 1024  # bytes within which a first line ends, or it is none


def probe(opening: Opening) -> Score:
    """YES for a known command as a client sends it; an inline command only together with an answer."""
    scores = [_direction(data) for data in (opening.received, opening.sent)]
    for score in (Score.YES, Score.MAYBE):
        if score in scores:
            return score
    asked = [_is_inline(data) for data in (opening.received, opening.sent)]
    for mine, other in ((0, opening.sent), (1, opening.received)):
        if asked[mine]:
            return Score.YES if _SURE_ANSWER.match(other) else _maybe_answer(other)
    return Score.MORE if opening.joined else min(scores)


def _direction(data: bytes) -> Score:
    """What one direction's bytes tell alone."""
    if not data:
        return Score.MORE
    match = _COMMAND.match(data)
    if match:
        if int(match[1]) != len(match[2]):
            return Score.NO
        return Score.YES if commands.known(match[2]) else Score.MAYBE
    if _REQUEST_BEGUN.match(data) or (_REQUEST.match(data) and len(data) < commands.LONGEST):
        return Score.MORE
    return _reply_alone(data)


def _reply_alone(data: bytes) -> Score:
    if data[0] not in b":$*%~>" or (len(data) > HEADER and b"\r\n" not in data[:HEADER]):
        # `+OK`, `-ERR` are POP3's and NATS's too, but nothing of theirs would go on as RESP.
        return Score.MORE if (data[0] in b"+-" and len(data) < _DECIDED) or _may_be_inline(data) else Score.NO
    if _SURE_ANSWER.match(data):
        return Score.MAYBE
    state, size = element(data, 0, inline=False)
    if state is State.INVALID:
        return Score.NO
    if state is State.MORE or len(data) < min(size, _DECIDED):
        return Score.MORE
    return Score.MAYBE if size > _DECIDED or data[size - 2 : size] == b"\r\n" else Score.NO


def _is_inline(data: bytes) -> bool:
    line, found, _ = data[:_DECIDED].partition(b"\n")
    words = line.split()
    return bool(found and words and words[0].upper() in commands.KNOWN and b"HTTP/" not in line)


def _may_be_inline(data: bytes) -> bool:
    """Whether this is the beginning of an inline command, whose line has not ended."""
    name, rest, _ = data[:_DECIDED].upper().partition(b" ")
    if rest:
        return name in commands.KNOWN and b"\n" not in data and len(data) < _DECIDED
    return any(known.startswith(name.removesuffix(b"\r")) for known in commands.KNOWN)


def _maybe_answer(other: bytes) -> Score:
    return Score.MORE if not other or (_POSSIBLE_ANSWER.match(other) and len(other) < _DECIDED) else Score.NO
