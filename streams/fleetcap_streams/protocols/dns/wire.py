"""Where DNS messages end and begin on a stream (RFC 1035 section 4.2.2), and whether bytes look like one."""

from typing import Final, NamedTuple

from fleetcap_streams.protocols.contract import Opening, Score

PREFIX: Final = 2  # the message's length
HEADER: Final = 12
_OPCODES: Final = frozenset((0, 2, 4, 5))  # QUERY, STATUS, NOTIFY, UPDATE
_CLASSES: Final = frozenset((1, 3, 4, 254, 255))  # IN, CH, HS, NONE, ANY
_LEAST_RECORD: Final = 11  # bytes of a record whose name is a pointer or the root
_NAME: Final = 255  # RFC 1035 section 2.3.4
_LABEL: Final = 63


class Head(NamedTuple):
    """The first fields of a message; `size` is the whole frame's."""

    size: int
    id: int
    response: bool
    score: Score


def read_head(data: bytes, at: int) -> Head | None:
    """The frame that begins at `at`, judged by its header and its question; None: it is none.

    Its score says MORE where bytes are missing, YES where a question of a known class stands at its place.
    """
    there = len(data) - at
    if there < PREFIX + HEADER:
        return Head(0, 0, response=False, score=Score.MORE)
    length = int.from_bytes(data[at : at + 2])
    flags = int.from_bytes(data[at + 4 : at + 6])
    questions, *records = (int.from_bytes(data[at + place : at + place + 2]) for place in (6, 8, 10, 12))
    response = flags >= 0x8000
    opcode, reserved = flags >> 11 & 15, flags & 0x40
    fits = HEADER + 5 * questions + _LEAST_RECORD * sum(records) <= length
    if opcode not in _OPCODES or reserved or not fits or questions > 1 or not (questions or response):
        return None
    if not response and (flags & 0x000F or (records[0] and opcode == 0)):
        return None
    score = _question(data, at + PREFIX + HEADER, at + PREFIX + length) if questions else Score.MAYBE
    if score is Score.NO:
        return None
    return Head(PREFIX + length, int.from_bytes(data[at + 2 : at + 4]), response, score)


def _question(data: bytes, at: int, end: int) -> Score:
    """A name of labels, which no pointer can abbreviate here, then type and class."""
    begin = at
    while at < end and at - begin <= _NAME:
        if at >= len(data):
            return Score.MORE
        size = data[at]
        if size > _LABEL:
            return Score.NO
        at += 1 + size
        if size:
            continue
        if at + 4 > end:
            return Score.NO
        if at + 4 > len(data):
            return Score.MORE
        return Score.YES if int.from_bytes(data[at + 2 : at + 4]) & 0x7FFF in _CLASSES else Score.NO
    return Score.NO


def probe(opening: Opening) -> Score:
    """YES where each direction that speaks begins with a message, and they are not both asking."""
    heads = [read_head(data, 0) for data in (opening.received, opening.sent) if data]
    if None in heads or not heads:
        return Score.NO if heads else Score.MORE
    known = [head for head in heads if head is not None]
    if any(head.score is Score.MORE for head in known):
        return Score.MORE
    if len(known) == 2 and known[0].response == known[1].response:
        return Score.NO
    if len(known) == 1 and known[0].response and not opening.joined:
        return Score.NO  # nobody answers before there is a question
    return Score.YES if all(head.score is Score.YES for head in known) else Score.MAYBE
