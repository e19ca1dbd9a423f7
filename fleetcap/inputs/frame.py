"""What files of packets are made of, whichever their format."""

from typing import NamedTuple


class Frame(NamedTuple):
    """One captured packet. `link` is the file's LINKTYPE number; `length` its size on the wire, of which `data` may be less."""

    time_ns: int
    link: int
    data: bytes
    length: int
