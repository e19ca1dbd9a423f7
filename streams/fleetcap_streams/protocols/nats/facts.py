"""What a unit says of itself, as attributes: by the arguments of its line, and by its headers. Knows nothing of other units."""

import re
from typing import Final

from fleetcap_streams.protocols.contract import Attribute
from fleetcap_streams.protocols.nats.wire import HEADERS, WITH_HEADERS, Line
from fleetcap_streams.protocols.shown import VALUES, text

_HEADER_VALUE: Final = 1024  # bytes shown of one: those that carry trace contexts are long
_ERROR: Final = 1024  # bytes shown of one: it may quote a subject
_STATUS: Final = re.compile(re.escape(HEADERS) + rb"(?: ([0-9]{3})(?: ([^\r\n]*))?)?\r?\n")


# By verb and number of arguments, sizes not among them.
_ARGUMENTS: Final[dict[tuple[bytes, int], tuple[str, ...]]] = {
    (b"SUB", 2): ("subject", "sid"),
    (b"SUB", 3): ("subject", "queue", "sid"),
    (b"UNSUB", 1): ("sid",),
    (b"UNSUB", 2): ("sid", "max_messages"),
    (b"PUB", 1): ("subject",),
    (b"PUB", 2): ("subject", "reply_to"),
    (b"HPUB", 1): ("subject",),
    (b"HPUB", 2): ("subject", "reply_to"),
    (b"MSG", 2): ("subject", "sid"),
    (b"MSG", 3): ("subject", "sid", "reply_to"),
    (b"HMSG", 2): ("subject", "sid"),
    (b"HMSG", 3): ("subject", "sid", "reply_to"),
}
# Between servers, where lists of replies and queues may follow.
_FIRST_ARGUMENTS: Final[dict[bytes, tuple[str, ...]]] = {
    b"RMSG": ("account", "subject"),
    b"HMSG": ("account", "subject"),
    b"RS+": ("account", "subject"),
    b"RS-": ("account", "subject"),
    b"LMSG": ("subject",),
    b"LS+": ("subject",),
    b"LS-": ("subject",),
    b"A+": ("account",),
    b"A-": ("account",),
}


def of_line(line: Line) -> dict[str, str]:
    """The arguments of a line that was seen to its end, as text."""
    if line.verb == b"-ERR":
        return {"error": text(line.rest.strip(b"'"), _ERROR)}
    names = _ARGUMENTS.get((line.verb, len(line.words))) or _FIRST_ARGUMENTS.get(line.verb, ())
    return {name: text(word) for name, word in zip(names, line.words, strict=False)}


def of_headers(verb: bytes, block: bytes) -> dict[str, Attribute]:
    """A block of headers, as far as it is there: a line with the version and maybe a status, then one for each header."""
    match = _STATUS.match(block) if verb in WITH_HEADERS else None
    if match is None:
        return {}
    told: dict[str, Attribute] = {}
    if match[1]:
        told["status"] = int(match[1])
    if match[2]:
        told["description"] = text(match[2].strip())
    headers = [line.partition(b":") for line in block[match.end() :].split(b"\r\n", VALUES)[:VALUES]]
    pairs = [(text(name), text(value.strip(), _HEADER_VALUE)) for name, colon, value in headers if colon]
    if pairs:
        told["headers"] = pairs
    return told
