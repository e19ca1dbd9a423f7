"""The Huffman code of HPACK (RFC 7541 section 5.2 and appendix B), decoded a byte at a time.

Knows no header fields. The code is canonical, so the lengths of its codes are all there is to write down: of equally long
ones the smaller symbol has the smaller code.
"""

from functools import cache
from itertools import pairwise
from typing import Any, Final

# Code length in bits, and the symbols that have it. EOS (256), of 30 bits, comes after all of them.
_SYMBOLS: Final[dict[int, bytes]] = {
    5: b"012aceiost",
    6: b" %-./3456789=A_bdfghlmnpru",
    7: b":BCDEFGHIJKLMNOPQRSTUVWYjkqvwxyz",
    8: b"&*,;XZ",
    10: b'!"()?',
    11: b"'+|",
    12: b"#>",
    13: b"\x00$@[]~",
    14: b"^}",
    15: b"<`{",
    19: b"\\\xc3\xd0",
    20: b"\x80\x82\x83\xa2\xb8\xc2\xe0\xe2",
    21: b"\x99\xa1\xa7\xac\xb0\xb1\xb3\xd1\xd8\xd9\xe3\xe5\xe6",
    22: b"\x81\x84\x85\x86\x88\x92\x9a\x9c\xa0\xa3\xa4\xa9\xaa\xad\xb2\xb5\xb9\xba\xbb\xbd\xbe\xc4\xc6\xe4\xe8\xe9",
    23: b"\x01\x87\x89\x8a\x8b\x8c\x8d\x8f\x93\x95\x96\x97\x98\x9b\x9d\x9e\xa5\xa6\xa8\xae\xaf\xb4\xb6\xb7\xbc\xbf\xc5\xe7\xef",
    24: b"\t\x8e\x90\x91\x94\x9f\xab\xce\xd7\xe1\xec\xed",
    25: b"\xc7\xcf\xea\xeb",
    26: b"\xc0\xc1\xc8\xc9\xca\xcd\xd2\xd5\xda\xdb\xee\xf0\xf2\xf3\xff",
    27: b"\xcb\xcc\xd3\xd4\xd6\xdd\xde\xdf\xf1\xf4\xf5\xf6\xf7\xf8\xfa\xfb\xfc\xfd\xfe",
    28: b"\x02\x03\x04\x05\x06\x07\x08\x0b\x0c\x0e\x0f\x10\x11\x12\x13\x14\x15\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f\x7f\xdc\xf9",
    30: b"\n\r\x16",
}
_EOS: Final = 256
_FAILED: Final = 256  # the state after EOS, which may not be in a string; those before it are the code's inner nodes
_SHORT: Final = 64  # bytes; of so few, adding up is faster than joining
_PADDING: Final = 7  # at most so many bits, all of them 1, may follow the last symbol


class HuffmanError(ValueError):
    """The bytes are no string in this code."""


def _codes() -> list[tuple[int, int, int]]:
    """Code, its length and its symbol, in canonical order."""
    ordered = [(length, symbol) for length, symbols in _SYMBOLS.items() for symbol in symbols] + [(30, _EOS)]
    code = 0
    codes = [(0, *ordered[0])]
    for (length, _), (next_length, symbol) in pairwise(ordered):
        code = (code + 1) << (next_length - length)
        codes.append((code, next_length, symbol))
    return codes


def _tree() -> tuple[list[list[int]], list[int]]:
    """Inner nodes with their two children (a symbol is -1 - symbol), and the nodes at which a string may end."""
    nodes = [[0, 0]]
    for code, length, symbol in _codes():
        node = 0
        for bit in range(length - 1, 0, -1):
            side = code >> bit & 1
            if not nodes[node][side]:
                nodes.append([0, 0])
                nodes[node][side] = len(nodes) - 1
            node = nodes[node][side]
        nodes[node][code & 1] = -1 - symbol
    ends = [0]
    while len(ends) <= _PADDING:
        ends.append(nodes[ends[-1]][1])
    return nodes, ends


def _nibbles(nodes: list[list[int]]) -> list[list[tuple[int, bytes]]]:
    """For each node and each four bits, where they lead and what is complete by them."""
    table: list[list[tuple[int, bytes]]] = []
    for first in range(len(nodes)):
        row: list[tuple[int, bytes]] = []
        for nibble in range(16):
            node, symbols = first, b""
            for bit in (8, 4, 2, 1):
                node = nodes[node][1 if nibble & bit else 0]
                if node == -1 - _EOS:
                    node = _FAILED
                    break
                if node < 0:
                    symbols += bytes((-1 - node,))
                    node = 0
            row.append((node, symbols))
        table.append(row)
    table.append([(_FAILED, b"")] * 16)
    return table


@cache
def _start() -> tuple[list[Any], frozenset[int]]:
    """The first state's steps by byte, and the identities of the states at which a string may end.

    A step is the steps of the next state and the symbols that are complete now. Some 5 MB and 50 ms, hence only when needed.
    """
    nodes, ends = _tree()
    nibbles = _nibbles(nodes)
    states: list[list[Any]] = [[] for _ in nibbles]
    shared: dict[tuple[int, bytes], tuple[list[Any], bytes]] = {}
    for steps, row in zip(states, nibbles, strict=True):
        for high, symbols in row:
            for low, more in nibbles[high]:
                key = (low, symbols + more)
                step = shared.get(key)
                if step is None:
                    step = shared[key] = (states[low], key[1])
                steps.append(step)
    return states[0], frozenset(id(states[end]) for end in ends)


def decode(data: bytes) -> bytes:
    """The string that `data` stands for.

    Raises:
        HuffmanError: it holds EOS, or what is left after the last symbol is no padding.
    """
    steps, ends = _start()
    if len(data) <= _SHORT:
        text = b""
        for byte in data:
            steps, symbols = steps[byte]
            text += symbols
    else:
        parts: list[bytes] = []
        for byte in data:
            steps, symbols = steps[byte]
            parts.append(symbols)
        text = b"".join(parts)
    if id(steps) not in ends:
        raise HuffmanError
    return text
