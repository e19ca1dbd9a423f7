"""Whether a connection speaks HTTP/1: its first line says so, as HTTP/1's does in either direction."""

from fleetcap_streams.protocols.contract import Opening, Score
from fleetcap_streams.protocols.http1.head import could_begin, read_start_line
from fleetcap_streams.protocols.http1.search import find_head


def probe(opening: Opening) -> Score:
    """YES for a whole start line at the beginning; joined in mid-connection, MAYBE for a head further on."""
    scores = [_judge(data) for data in (opening.received, opening.sent) if data]
    if Score.YES in scores:
        return Score.YES
    if opening.joined:
        found = any(find_head(data, 0, line_start=True)[0] >= 0 for data in (opening.received, opening.sent))
        return Score.MAYBE if found else Score.MORE
    return Score.NO if Score.NO in scores else Score.MORE


def _judge(data: bytes) -> Score:
    line = data.lstrip(b"\r\n")
    end = line.find(b"\n")
    if end >= 0:
        return Score.NO if read_start_line(line[:end]) is None else Score.YES
    return Score.MORE if not line or could_begin(line) else Score.NO
