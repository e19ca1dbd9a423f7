"""Whether a connection speaks HTTP/2: the client's preface, the server's SETTINGS, or, joined, frames."""

import re
from typing import Final

from fleetcap_streams.protocols.contract import Opening, Score
from fleetcap_streams.protocols.http2.search import Searcher

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"  # RFC 9113 section 3.4

_FRAME_HEADER: Final = 9
_SETTINGS: Final = 4
_SETTING_SIZE: Final = 6
_MOST_SETTINGS: Final = 16  # there are 9 registered ones; a few more are greased
_DEFAULT_FRAME: Final = 16_384  # SETTINGS_MAX_FRAME_SIZE before anybody raises it (section 6.5.2)
_TEXT: Final = re.compile(rb"[\t\r\n\x20-\x7e]{8}")

# Section 6: the flags a frame may carry, and whether it belongs to a stream (None: either), by its type.
_FRAMES: Final[dict[int, tuple[int, bool | None]]] = {
    0x0: (0x09, True),  # DATA
    0x1: (0x2D, True),  # HEADERS
    0x2: (0x00, True),  # PRIORITY
    0x3: (0x00, True),  # RST_STREAM
    0x4: (0x01, False),  # SETTINGS
    0x5: (0x0C, True),  # PUSH_PROMISE
    0x6: (0x01, False),  # PING
    0x7: (0x00, False),  # GOAWAY
    0x8: (0x00, None),  # WINDOW_UPDATE
    0x9: (0x04, True),  # CONTINUATION
}
_SIZES: Final = {0x2: 5, 0x3: 4, 0x6: 8, 0x8: 4}  # of frames that have but one


def probe(opening: Opening) -> Score:
    """YES for the preface; MAYBE for a server's SETTINGS while the client is silent; joined, YES for frames."""
    prefaces = [_preface(data) for data in (opening.received, opening.sent) if data]
    if Score.YES in prefaces or not prefaces:
        return Score.YES if prefaces else Score.MORE
    if opening.joined:
        return _joined(opening)
    if len(prefaces) == 2:
        return Score.MORE if Score.MORE in prefaces else Score.NO
    return Score.MORE if prefaces[0] is Score.MORE else _server_settings(opening.received or opening.sent)


def _preface(data: bytes) -> Score:
    if data.startswith(PREFACE):
        return Score.YES
    return Score.MORE if PREFACE.startswith(data) else Score.NO


def _header_fits(header: bytes) -> bool:
    length, kind, flags = int.from_bytes(header[:3]), header[3], header[4]
    stream = int.from_bytes(header[5:9])
    if kind not in _FRAMES or length > _DEFAULT_FRAME or stream >> 31:
        return False
    allowed, of_stream = _FRAMES[kind]
    if flags & ~allowed or (of_stream is not None and of_stream != bool(stream)):
        return False
    if kind == _SETTINGS:
        return length == 0 if flags else length % _SETTING_SIZE == 0 and length <= _MOST_SETTINGS * _SETTING_SIZE
    return _SIZES.get(kind, length) == length


def _server_settings(data: bytes) -> Score:
    """The server's first frame, which may come before the client's preface is seen (section 3.4)."""
    begun = data[:5]
    if begun[:2] != bytes(len(begun[:2])) or (len(begun) > 3 and begun[3] != _SETTINGS) or (len(begun) > 4 and begun[4]):
        return Score.NO
    if len(data) < _FRAME_HEADER:
        return Score.MORE
    if not _header_fits(data[:_FRAME_HEADER]):
        return Score.NO
    end = _FRAME_HEADER + int.from_bytes(data[:3])
    identifiers = [int.from_bytes(data[at : at + 2]) for at in range(_FRAME_HEADER, min(end, len(data) - 1), _SETTING_SIZE)]
    if 0 in identifiers:
        return Score.NO
    return Score.MAYBE if len(data) >= end else Score.MORE


def _joined(opening: Opening) -> Score:
    """Frames anywhere, as the parser would find them.

    Somebody who speaks text speaks something else. In the middle of a long body there is nothing to be found, so that
    one silent and one puzzling direction tell nothing yet.
    """
    found = [_frames(data) for data in (opening.received, opening.sent) if data]
    if Score.YES in found:
        return Score.YES
    if Score.MORE in found:
        return Score.MORE
    texts = any(_TEXT.match(data) for data in (opening.received, opening.sent) if data)
    return Score.NO if texts or len(found) == 2 else Score.MORE


def _frames(data: bytes) -> Score:
    searcher = Searcher(lambda _data, _time_ns: None)
    searcher.add(data, 0)
    if searcher.look(pushes=False, last=False):
        return Score.YES
    return Score.MORE if searcher.puzzled or len(data) < _FRAME_HEADER else Score.NO
