"""Kafka's frames on the wire: where they begin and end, what their headers say.

A frame is its length and so many bytes (INT32, then a request or a response). A request names its API, version and client, so
it can be told from anything else; a response begins with nothing but the number of the request it answers.
Source: "Protocol Guide" of Kafka's documentation; KIP-482 for the headers of flexible versions.
"""

import re
from collections.abc import Iterator
from struct import Struct
from typing import Final, NamedTuple

from fleetcap_streams.protocols.contract import Score
from fleetcap_streams.protocols.kafka import error_names
from fleetcap_streams.protocols.kafka.apis import APIS, CONTROLLED_SHUTDOWN, Api
from fleetcap_streams.protocols.kafka.reading import MalformedError, Reader, ShortError

PREFIX: Final = 4  # the length
RESPONSE: Final = 8  # length and correlation id
MOST: Final = 1 << 28  # bytes of a frame: brokers take requests of 100 MiB, unless they are set to take more
MOST_TOKEN: Final = 1 << 19  # bytes of a SASL token that a broker takes (sasl.server.max.receive.size)
SHORT_HEADER: Final = 12  # of a request up to its correlation id
HEADER: Final = 14  # and the client id's length
LEAST: Final = 10  # of a request's length
_CLIENT: Final = 255  # bytes of a client id that are taken for one where it has to prove a request
_NEWER: Final = 4  # versions of an API beyond the newest known that still prove a request
_LOOSE_KEYS: Final = 1024  # keys and versions of Kafka to come are below
_LOOSE_VERSIONS: Final = 256

_REQUEST: Final = Struct(">ihhih")
_TWO: Final = Struct(">ii")
_HEAD: Final = rb"(?s)(?!\0\0\0[\0-\x09])(?=[\0-\x0f]...\0[\0-%b]\0[\0-\x1f][\0-\x7f]..." % re.escape(bytes((len(APIS) - 1,)))
_CANDIDATE: Final = re.compile(_HEAD + rb"[\0\xff])")
_NAMED: Final = re.compile(_HEAD + rb"\0[^\0])")
_ANSWER: Final = re.compile(rb"(?s)(?!\0\0\0[\0-\x03])(?=[\0-\x0f].{7})")


class Request(NamedTuple):
    """A request's header. `client` is None where it has none; `body` is where in the frame that begins."""

    key: int
    version: int
    correlation: int
    client: bytes | None
    body: int

    @property
    def api(self) -> Api | None:
        """The API, if it is known."""
        return APIS[self.key] if 0 <= self.key < len(APIS) else None

    @property
    def known(self) -> bool:
        """Whether this version of the API is known, and so what the rest of the frame is."""
        api = self.api
        return api is not None and 0 <= self.version <= api.newest


def size_of(data: bytes, at: int) -> int:
    """The length that begins a frame; 4 bytes have to be there."""
    return int.from_bytes(data[at : at + PREFIX], "big", signed=True)


def identity(data: bytes, at: int) -> tuple[int, bytes]:
    """Correlation id and client id of a request, of which `is_request` was sure."""
    _, _, _, correlation, length = _REQUEST.unpack_from(data, at)
    return correlation, data[at + HEADER : at + HEADER + max(length, 0)]


def read_request(data: bytes) -> Request | None:
    """The header of the request that these bytes of a frame begin; None: they do not reach to its end.

    Without a client id's last bytes what there is of it is given.
    """
    if len(data) < SHORT_HEADER:
        return None
    key, version = (int.from_bytes(data[at : at + 2], "big", signed=True) for at in (4, 6))
    correlation = int.from_bytes(data[8:SHORT_HEADER], "big", signed=True)
    header = Request(key, version, correlation, None, SHORT_HEADER)
    shape = header.api.request_header(version) if header.known and header.api else 1
    if not shape:
        return header
    if len(data) < HEADER:
        return None
    length = int.from_bytes(data[SHORT_HEADER:HEADER], "big", signed=True)
    body = HEADER + max(length, 0)
    header = header._replace(client=None if length < 0 else data[HEADER:body], body=body)
    if shape == 1 or len(data) <= body:
        return header
    try:
        return header._replace(body=Reader(data, body, PREFIX + size_of(data, 0), flexible=True).tags())
    except (ShortError, MalformedError):
        return header._replace(body=len(data))


def is_request(data: bytes, at: int) -> Score:
    """Whether a request of a known API begins here, in a version that is known or will soon be there.

    YES with a client's name, MAYBE with an empty one or none, MORE where the bytes there are fit.
    """
    there = len(data) - at
    if there < HEADER:
        return Score.MORE if _may_begin(data, at, there) else Score.NO
    size, key, version, correlation, length = _REQUEST.unpack_from(data, at)
    if not (0 <= key < len(APIS) and LEAST <= size <= MOST and correlation >= 0 and -1 <= length <= _CLIENT):
        return Score.NO
    api = APIS[key]
    if not 0 <= version <= api.newest + _NEWER:
        return Score.NO
    flexible = api.request_header(version) == 2
    behind = HEADER + max(length, 0)
    if size + PREFIX < behind + flexible:
        return Score.NO
    if not is_name(data[at + HEADER : at + behind], whole=there >= behind):
        return Score.NO
    if there < behind + flexible:
        return Score.MORE
    if flexible and data[at + behind]:  # no tag has been defined for this header yet
        return Score.NO
    return Score.YES if length > 0 else Score.MAYBE


def _may_begin(data: bytes, at: int, there: int) -> bool:
    """Whether less than a header may become one."""
    return (
        (there < 1 or data[at] <= 0x0F)
        and (there < 5 or data[at + 4] == 0)
        and (there < 6 or data[at + 5] < len(APIS))
        and (there < 7 or data[at + 6] == 0)
        and (there < 8 or data[at + 7] <= APIS[data[at + 5]].newest + _NEWER)
        and (there < 9 or data[at + 8] < 0x80)
        and (there < 13 or data[at + 12] in (0, 0xFF))
    )


def is_name(name: bytes, *, whole: bool) -> bool:
    """Text without control characters; without its end it may be cut within a character."""
    if any(byte < 0x20 or byte == 0x7F for byte in name):
        return False
    try:
        name.decode("utf-8")
    except UnicodeDecodeError as error:
        return not whole and error.reason == "unexpected end of data"
    return True


def request_places(data: bytes, at: int, *, named: bool) -> Iterator[int]:
    """Where at or after `at` the headers of requests may stand; `named`: only of those that name their client."""
    return (match.start() for match in (_NAMED if named else _CANDIDATE).finditer(data, at))


def response_places(data: bytes, at: int) -> Iterator[int]:
    """Where at or after `at` responses may begin."""
    return (match.start() for match in _ANSWER.finditer(data, at))


def is_next_request(data: bytes, at: int) -> Score:
    """Whether, where a request has to begin, one does, be it of a Kafka to come: YES, MORE or NO."""
    if not LEAST <= size_of(data, at) <= MOST:
        return Score.NO
    if len(data) - at < HEADER:
        return Score.MORE
    size, key, version, _, length = _REQUEST.unpack_from(data, at)
    named = -1 <= length <= size - LEAST or (key, version) == (CONTROLLED_SHUTDOWN, 0)
    return Score.YES if 0 <= key < _LOOSE_KEYS and 0 <= version < _LOOSE_VERSIONS and named else Score.NO


def is_response(data: bytes, at: int, api: Api, version: int) -> Score:
    """Whether what stands here begins as that API's responses of that version do: YES, MORE or NO."""
    body = at + RESPONSE + api.response_header(version)
    place = api.error_place(version)
    behind = body if place is None else body + place + 2
    if at + PREFIX + size_of(data, at) < behind:
        return Score.NO
    if len(data) < behind:
        return Score.MORE
    if body > at + RESPONSE and data[body - 1]:  # no tag has been defined for this header yet
        return Score.NO
    if place is None:
        return Score.YES
    throttled = data[body] < 0x80 if place else True
    code = int.from_bytes(data[behind - 2 : behind], "big", signed=True)
    return Score.YES if throttled and -1 <= code <= error_names.NEWEST else Score.NO


def read_response(data: bytes, at: int) -> tuple[int, int]:
    """Length and correlation id; 8 bytes have to be there."""
    size, correlation = _TWO.unpack_from(data, at)
    return int(size), int(correlation)
