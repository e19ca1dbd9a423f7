"""NATS on the wire: a control line, and behind some of them headers and a payload of the length that the line gives.

Source: "Client Protocol" of NATS's manual; where that is silent, what nats-server's parser takes: verbs in any case, a line
that ends in LF alone, any number of spaces and tabs between arguments, anything behind PING, PONG and +OK.
"""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from fleetcap_streams.protocols.framing import INVALID, MORE, State, Step

LINE: Final = 64 * 1024  # bytes; clients may send 4 KiB, an INFO that lists a cluster's addresses is longer
LARGEST: Final = 0x7FFF_FFFF  # bytes of a payload: servers count them in an int32
LIKELY: Final = 64 << 20  # the same, where a line has only been found: servers advise against more
TRAILER: Final = b"\r\n"
HEADERS: Final = b"NATS/1.0"  # what a block of headers begins with

FROM_CLIENT: Final = frozenset((b"CONNECT", b"PUB", b"HPUB", b"SUB", b"UNSUB"))
FROM_SERVER: Final = frozenset((b"INFO", b"MSG", b"HMSG", b"+OK", b"-ERR"))
WITH_PAYLOAD: Final = frozenset((b"PUB", b"HPUB", b"MSG", b"HMSG", b"RMSG", b"LMSG"))
WITH_HEADERS: Final = frozenset((b"HPUB", b"HMSG"))
# How few and how many arguments. Between servers of a cluster the reply and the queues stand in one list.
_ARGUMENTS: Final = {b"PUB": (2, 3), b"HPUB": (3, 4), b"MSG": (3, 4), b"HMSG": (4, 64), b"RMSG": (3, 64), b"LMSG": (2, 64)}
_BETWEEN_SERVERS: Final = (b"RMSG", b"LMSG", b"RS+", b"RS-", b"LS+", b"LS-", b"A+", b"A-")
_VERBS: Final = (*FROM_CLIENT, *FROM_SERVER, b"PING", b"PONG", *_BETWEEN_SERVERS)
_LONGEST: Final = max(map(len, _VERBS))

_VERB: Final = re.compile(rb"(?i)(" + b"|".join(re.escape(verb) for verb in _VERBS) + rb")(?=[ \t\r\n])")
_WORD: Final = re.compile(rb"[^ \t\r\n]+")


class Line(NamedTuple):
    """A control line taken apart. `size` is of all that follows it, `header_size` of the headers in that."""

    verb: bytes
    rest: bytes  # what follows the verb, without white space at the ends
    words: list[bytes]  # its arguments, without sizes
    length: int  # of the line, with its end; 0 where that was not seen
    header_size: int
    size: int


def unit(data: bytes, at: int) -> Step:
    """The line that begins here, with what belongs to it."""
    match = _VERB.match(data, at)
    if match is None:
        return MORE if _may_become_verb(data[at : at + _LONGEST]) else INVALID
    end = data.find(b"\n", match.end(), at + LINE)
    if end < 0:
        return MORE if len(data) - at < LINE else INVALID
    verb = match[1].upper()
    if verb not in WITH_PAYLOAD:
        return State.DONE, end + 1 - at
    sizes = _sizes(verb, _WORD.findall(data, match.end(), end))
    return INVALID if sizes is None else (State.DONE, end + 1 - at + sizes[1] + len(TRAILER))


def _may_become_verb(data: bytes) -> bool:
    begun = data.upper()
    return any(verb.startswith(begun) for verb in _VERBS)


def _sizes(verb: bytes, words: list[bytes]) -> tuple[int, int] | None:
    """Of the headers and of all that follows the line; None: the line does not say."""
    least, most = _ARGUMENTS[verb]
    if not least <= len(words) <= most:
        return None
    size = _number(words[-1])
    header = _number(words[-2]) if verb in WITH_HEADERS else 0
    return (header, size) if 0 <= header <= size else None


def _number(digits: bytes) -> int:
    value = int(digits) if digits.isdigit() and len(digits) <= 10 else -1
    return value if value <= LARGEST else -1


def read(data: bytes) -> Line:
    """The line that a unit begins with, as far as it is there; it has to begin with a verb."""
    match = _VERB.match(data)
    assert match is not None  # noqa: S101 - `unit` took it for one
    verb = match[1].upper()
    end = data.find(b"\n", match.end())
    rest = data[match.end() : end if end >= 0 else len(data)].strip(b" \t\r")
    words = _WORD.findall(rest)
    sizes = _sizes(verb, words) if end >= 0 and verb in WITH_PAYLOAD else None
    if sizes is None:
        return Line(verb, rest, words, end + 1, 0, 0)
    return Line(verb, rest, words[: -2 if verb in WITH_HEADERS else -1], end + 1, *sizes)


def is_verb(data: bytes) -> bool:
    """Whether bytes begin with a whole verb."""
    return _VERB.match(data) is not None


# A line as clients' libraries and servers write it. White space of other kinds and other verbs are for people and clusters.
_NAME: Final = rb"[^\x00-\x20\x7f]{1,1024}+"
_ERROR: Final = rb"-ERR '[^\r\n]{1,1024}'\r\n"
_CLIENT: Final = (
    rb'CONNECT \{"|H?PUB ' + _NAME + rb" (?:" + _NAME + rb" )?(?:[0-9]{2,8} )?[0-9]{1,8}\r\n"
    rb"|SUB " + _NAME + rb" (?:" + _NAME + rb" | )?" + _NAME + rb"\r\n|UNSUB " + _NAME + rb"(?: [0-9]{1,9})?\r\n"
)
_SERVER: Final = (
    rb'INFO \{"|H?MSG ' + _NAME + b" " + _NAME + rb" (?:" + _NAME + rb" )?(?:[0-9]{2,8} )?[0-9]{1,8}\r\n"
    rb"|\+OK\r\n|" + _ERROR
)
_BOTH: Final = rb"|P[IO]NG\r\n"
STRONG: Final = re.compile(rb"(?:" + _CLIENT + b"|" + _SERVER + b")")
_SIDES: Final = {True: _CLIENT + _BOTH, False: _SERVER + _BOTH, None: _CLIENT + b"|" + _SERVER + _BOTH}
_WRITTEN: Final = {side: re.compile(lines) for side, lines in _SIDES.items()}
_WRITTEN_ANYHOW: Final = {side: re.compile(lines, re.IGNORECASE) for side, lines in _SIDES.items()}
_WRITTEN_LINE: Final = 4096 + 64  # bytes: of a control line that clients may send, and what a server adds to it
_BEGUN: Final = re.compile(rb"(?i)[A-Z+-][A-Z]{0,6}(?:\r| [^\r\n]*\r?)?\Z")


def written(data: bytes, at: int, *, client: bool | None = None, any_case: bool = False) -> bool | None:
    """Whether a line as libraries write it begins here; None: more bytes are needed to tell."""
    if (_WRITTEN_ANYHOW if any_case else _WRITTEN)[client].match(data, at):
        step = unit(data, at)
        return step is MORE or (step is not INVALID and step[1] <= LIKELY + LINE)
    there = data[at : at + _WRITTEN_LINE]
    if len(there) == _WRITTEN_LINE or not _BEGUN.match(there):
        return None if not there else False
    begun = there.partition(b" ")[0].rstrip(b"\r")
    begun = begun.upper() if any_case else begun
    whole = len(begun) < len(there)
    return None if any(verb == begun if whole else verb.startswith(begun) for verb in _VERBS) else False


def find(data: bytes, at: int, *, edge: bool, client: bool | None) -> tuple[int, bool]:
    """Where a line begins that a client or a server writes, or either, and whether that is certain.

    While it is not, the line feed before is kept too: without one, no line begins.
    """
    for place in _lines(data, at, edge=edge):
        found = _written_whole(data, place, client) if place == at and edge else written(data, place, client=client)
        if found is not False:
            return (place, True) if found else (place if place == at else place - 1, False)
    return max(len(data) - 1, at), False


_SUBSCRIBED: Final = re.compile(rb"(?i)SUB [^ \r\n]+ [^ \r\n]+\r\n")
_SIZED: Final = re.compile(rb"(?i)(?:PUB|MSG) [^\r\n]+ [0-9]{2,8} [0-9]{1,8}\r\n")


def _written_whole(data: bytes, at: int, client: bool | None) -> bool | None:  # noqa: FBT001 - as in `written`
    """The same behind a hole, where mostly a line begins, in any case; but SUB may be what is left of UNSUB, PUB of HPUB."""
    found = written(data, at, client=client, any_case=True)
    if not found:
        return found
    if _SUBSCRIBED.match(data, at):
        return False
    sized = _SIZED.match(data, at)
    if sized is None:
        return True
    begun = data[sized.end() : sized.end() + len(HEADERS)]
    return None if HEADERS.startswith(begun) and begun != HEADERS else begun != HEADERS


def _lines(data: bytes, at: int, *, edge: bool) -> Iterator[int]:
    if edge:
        yield at
    while feed := data.find(b"\n", at) + 1:
        at = feed
        yield at
