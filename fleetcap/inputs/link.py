"""From a frame to the IP packet in it: link layers by their LINKTYPE number, tags and labels taken off.

Numbers are those of tcpdump's list of link-layer header types. What carries no IP gives None.
"""

from collections.abc import Callable
from typing import Final

from dpkt import ethernet, pcap

# Where an IP packet begins in the frame, or None.
Offset = Callable[[bytes], int | None]

_IP: Final = frozenset({ethernet.ETH_TYPE_IP, ethernet.ETH_TYPE_IP6})
# 802.1Q, 802.1ad (QinQ), and what was used for the outer tag before it.
_TAGS: Final = frozenset({ethernet.ETH_TYPE_8021Q, ethernet.ETH_TYPE_8021AD, 0x9100, 0x9200})
_MPLS: Final = frozenset({ethernet.ETH_TYPE_MPLS, ethernet.ETH_TYPE_MPLS_MCAST})
_PPPOE: Final = 0x8864
_PPP_IP: Final = frozenset({0x0021, 0x0057})
_MOST_TAGS = 8  # a frame with more is made to keep us busy

_RAW_LINKS: Final = (12, 14, pcap.DLT_RAW, 101, pcap.DLT_IPV4, pcap.DLT_IPV6)  # 101: LINKTYPE_RAW; 12 and 14: BSDs' own
_NULL, _LOOP = pcap.DLT_NULL, 108


def ip_packet(link: int, data: bytes) -> bytes | None:
    """The IP packet that a frame carries, with whatever padding comes after it."""
    find = _LINKS.get(link)
    if find is None:
        return None
    start = find(data)
    return data[start:] if start is not None and start < len(data) else None


def known(link: int) -> bool:
    """Whether frames of this link type can be read at all."""
    return link in _LINKS


def _number(data: bytes, place: int) -> int:
    return int.from_bytes(data[place : place + 2])


def _typed(data: bytes, place: int) -> int | None:
    """Where IP begins, given the place of an EtherType."""
    for _ in range(_MOST_TAGS):
        kind, place = _number(data, place), place + 2
        if kind in _IP:
            return place
        if kind in _TAGS:
            place += 2
        elif kind in _MPLS:
            return _labelled(data, place)
        elif kind == _PPPOE:
            return place + 8 if _number(data, place + 6) in _PPP_IP else None
        else:
            return None
    return None


def _labelled(data: bytes, place: int) -> int | None:
    """Below the last MPLS label (RFC 3032 section 2.1) stands an IP packet, by all that can be told from here."""
    for _ in range(_MOST_TAGS):
        label = data[place : place + 4]
        place += 4
        if len(label) < 4:
            return None
        if label[2] & 1:
            return place
    return None


def _ethernet(data: bytes) -> int | None:
    return _typed(data, 12)


def _cooked(data: bytes) -> int | None:
    return _typed(data, 14)


def _cooked_2(data: bytes) -> int | None:
    # The type comes first here; a tag, if any, begins after the whole header of 20 bytes.
    kind = _number(data, 0)
    if kind in _IP:
        return 20
    return _typed(data, 22) if kind in _TAGS else None


def _loopback(_data: bytes) -> int:
    # Four bytes of an address family whose number and byte order differ among systems; IP's own version says the same.
    return 4


def _bare(_data: bytes) -> int:
    return 0


def _ppp(data: bytes) -> int | None:
    start = 2 if data[:2] == b"\xff\x03" else 0  # RFC 1662 section 3.1
    return start + 2 if _number(data, start) in _PPP_IP else None


_LINKS: Final[dict[int, Offset]] = {
    pcap.DLT_EN10MB: _ethernet,
    pcap.DLT_LINUX_SLL: _cooked,
    pcap.DLT_LINUX_SLL2: _cooked_2,
    _NULL: _loopback,
    _LOOP: _loopback,
    pcap.DLT_PPP: _ppp,
    **dict.fromkeys(_RAW_LINKS, _bare),
}
